"""What signals mean to a daemon: end, end at once, read the files again."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from typing import Final

from beatd.daemon.log_writer import flush_logs

END_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)
SIGNALS: Final = (*END_SIGNALS, signal.SIGHUP)
LAST_LINES_S: Final = 0.1
SAME_SIGNAL_S: Final = 0.5  # a key held down, or a shell and its child that both pass it on


@contextlib.contextmanager
def signals(reload: Callable[[], None]) -> Iterator["asyncio.Future[signal.Signals]"]:
    """The first SIGTERM or SIGINT as a future; a second one that is meant ends the process at once. SIGHUP reloads,
    unless it says that the terminal we were started in has gone: a daemon that nobody sees must not go on for ever.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[signal.Signals] = loop.create_future()
    terminals = [fd for fd in (0, 1, 2) if os.isatty(fd)]
    first = 0.0

    def received(which: signal.Signals) -> None:
        nonlocal first
        if not ended.done():
            first = loop.time()
            ended.set_result(which)
        elif loop.time() - first > SAME_SIGNAL_S:
            flush_logs(LAST_LINES_S)
            os._exit(128 + which)

    def hung_up() -> None:
        if terminals and not any(map(os.isatty, terminals)):
            received(signal.SIGTERM)
        else:
            reload()

    for which in END_SIGNALS:
        loop.add_signal_handler(which, received, which)
    loop.add_signal_handler(signal.SIGHUP, hung_up)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    try:
        yield ended
    finally:
        for which in SIGNALS:
            loop.remove_signal_handler(which)
