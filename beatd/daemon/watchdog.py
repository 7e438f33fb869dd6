"""The watchdog: a plain thread that looks at the loop's heartbeat, and ends the process when there is none.

A hung loop renews no lease, so a standby leads by then; what is left to do is to say where it hangs, and to get out of
the way of a fresh start. It can't be mended from inside.

A call that holds Python's interpreter lock (some C code that computes or waits without letting go of it) stops this
thread as well as the loop. That is seen from outside only: systemd's WatchdogSec, which this thread feeds no more then,
ends the process by SIGABRT, on which the stacks are written without any lock; in a container it is /healthz that no
longer answers. The lease runs out in any case.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Final

from beatd.core.pulse import MOST_MISSED, SAMPLE_S, Samples
from beatd.daemon.pulse import Pulse

EXIT_CODE: Final = 70
LAST_WORDS_S: Final = 1.0


class Watchdog:
    """Samples a Pulse once a second. ``saw_beat`` is called with each sample that saw one: it neither waits nor raises.

    After 12 samples in a row without, ``last_words`` has a second, in a thread of its own, and then ``leave`` is called
    with 70: the hung loop may hold whatever lock it needs, or stderr may be a pipe that nobody reads.
    """

    def __init__(
        self,
        pulse: Pulse,
        *,
        saw_beat: Callable[[], None],
        last_words: Callable[[], None],
        leave: Callable[[int], object] = os._exit,  # nothing that is done at an orderly end would come to one
        sample_s: float = SAMPLE_S,
        most_missed: int = MOST_MISSED,
    ) -> None:
        self._pulse = pulse
        self._saw_beat = saw_beat
        self._last_words = last_words
        self._leave = leave
        self._sample_s = sample_s
        self._most_missed = most_missed
        self._over = threading.Event()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watches as long as the block lasts; once per watchdog."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        try:
            yield
        finally:
            self._over.set()

    def _watch(self) -> None:
        samples = Samples(self._pulse.beats)
        while not self._over.wait(self._sample_s):
            samples = samples.then(self._pulse.beats)
            self._pulse.missed = samples.missed
            if samples.missed == 0:
                self._saw_beat()
            elif samples.expired(self._most_missed):
                self._expire()
                return

    def _expire(self) -> None:
        speaker = threading.Thread(target=self._last_words, name="last-words", daemon=True)
        with contextlib.suppress(RuntimeError):  # there may be no thread to be had
            speaker.start()
            speaker.join(LAST_WORDS_S)
        self._leave(EXIT_CODE)
