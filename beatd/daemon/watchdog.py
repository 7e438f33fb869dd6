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
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from beatd.core.pulse import BEAT_S, MOST_MISSED, SAMPLE_S, Samples
from beatd.daemon.pulse import Pulse

EXIT_CODE: Final = 70
LAST_WORDS_S: Final = 0.5


class Watchdog:
    """Samples a Pulse once a second. ``saw_beat`` is called with each sample that saw one: it neither waits nor raises.

    After 12 samples in a row without, ``last_words`` are tried one after another, each in its own thread, until one
    comes to its end within half a second; and then ``leave`` is called with 70, come what may: the hung loop
    may hold whatever lock they need, or stderr may be a pipe that nobody reads.
    """

    def __init__(
        self,
        pulse: Pulse,
        *,
        saw_beat: Callable[[], None],
        last_words: Sequence[Callable[[], None]],
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
            elif samples.expired(self._most_missed) and not self._beats_after_all(samples):
                self._expire()
                return

    def _beats_after_all(self, samples: Samples) -> bool:
        """A last look, so much later as a beat can have come before the hang: the loop has its whole seconds."""
        return self._over.wait(self._sample_s * BEAT_S / SAMPLE_S) or self._pulse.beats != samples.beats

    def _expire(self) -> None:
        with contextlib.suppress(RuntimeError):  # there may be no thread to be had
            for words in self._last_words:
                speaker = threading.Thread(target=words, name="last-words", daemon=True)
                speaker.start()
                speaker.join(LAST_WORDS_S)
                if not speaker.is_alive():
                    break
        self._leave(EXIT_CODE)
