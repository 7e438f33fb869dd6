"""Threads for calls that can't be interrupted, such as the look-up of a host name: nobody waits for them at the end."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final, ParamSpec, TypeVar

MOST: Final = 32  # at once; further calls wait for one of them
P = ParamSpec("P")
T = TypeVar("T")


class LooseThreads(ThreadPoolExecutor):
    """An executor for a loop. Its threads end with their calls, and with the process whatever they do.

    The standard one is joined when the loop is closed, and once more when the interpreter ends: a name server that does
    not answer would keep a daemon from ending for minutes after Ctrl-C.
    """

    def __init__(self, most: int = MOST) -> None:
        super().__init__(max_workers=1)
        self._most = most
        self._running = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._counting = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Calls it in a thread, at once or as soon as another one is done."""
        future: Future[T] = Future()
        call = partial(_call, future, partial(fn, *args, **kwargs))
        with self._counting:
            if self._running < self._most:
                threading.Thread(target=self._work, args=(call,), name="call", daemon=True).start()
                self._running += 1
            else:
                self._waiting.append(call)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Waits for nobody."""

    def _work(self, call: Callable[[], None]) -> None:
        while True:
            call()
            with self._counting:
                if not self._waiting:
                    self._running -= 1
                    return
                call = self._waiting.popleft()


def _call(future: "Future[T]", function: Callable[[], T]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001  # whoever waits for the future gets it
        future.set_exception(error)
    else:
        future.set_result(result)
