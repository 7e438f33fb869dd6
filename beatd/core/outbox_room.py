"""How much of the outbox each queue may have: what keeps a queue that takes no messages from holding up all others."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from beatd.core.intent import MOST_INTENT_BYTES, MOST_INTENTS, MOST_OF_ONE_BAD_QUEUE

MOST_OF_BAD_QUEUES: Final = 500
MOST_PROVEN: Final = 1_000  # queues remembered that took a message


class Queues:
    """What is held, and reserved, for each queue, and how the queues are.

    A queue is proven once it took a message. One that is not yet, or that refused one (bad), holds little, lest a
    missing queue fill the outbox before that is known. Of what is free a queue gets as much as it has already at most:
    whichever queues fill up, there is room for others.
    """

    def __init__(self) -> None:
        self.count = 0
        self.size = 0
        self.wanted: set[str] = set()  # those for which a request waits: what is due leaves it what gets free
        self._counts: Counter[str] = Counter()
        self._sizes: Counter[str] = Counter()
        self._bad: set[str] = set()
        self._proven: dict[str, None] = {}  # the latest last

    @property
    def bad(self) -> frozenset[str]:
        """Those that refused a message, and took none since."""
        return frozenset(self._bad)

    @property
    def only_bad(self) -> bool:
        """Whether something is held, and all of it for queues that refused a message."""
        return bool(self._counts) and self._bad.issuperset(self._counts)

    def hold(self, queue: str, count: int, size: int) -> None:
        """So much more is held of a queue, or less."""
        self.count += count
        self.size += size
        self._counts[queue] += count
        self._sizes[queue] += size
        if not self._counts[queue]:  # the next message will tell how it is
            self._bad.discard(queue)
            del self._counts[queue], self._sizes[queue]

    def held(self, queue: str) -> int:
        """How many messages of it are held or reserved."""
        return self._counts[queue]

    def prove(self, queue: str) -> bool:
        """It took a message; whether that is news of a bad one."""
        self._proven.pop(queue, None)
        self._proven[queue] = None
        if len(self._proven) > MOST_PROVEN:
            del self._proven[next(iter(self._proven))]
        was_bad = queue in self._bad
        self._bad.discard(queue)
        return was_bad

    def blame(self, queue: str) -> bool:
        """It refused a message; whether that is news."""
        self._proven.pop(queue, None)
        news = queue not in self._bad
        if self._counts[queue]:
            self._bad.add(queue)
        return news

    def doubt(self) -> None:
        """Which queues there are may have changed."""
        self._proven.clear()

    def is_full_and_bad(self, queue: str) -> bool:
        """Whether it refuses messages, and enough of them wait for it."""
        return queue in self._bad and self._most_of_bad(queue) < 1

    def most(self, queue: str, longest: int) -> int:
        """How many messages of at most that many bytes it may get now."""
        most = self._share(queue, longest)
        if queue in self._bad:
            most = min(most, self._most_of_bad(queue))
        elif queue not in self._proven:
            most = min(most, MOST_OF_ONE_BAD_QUEUE - self._counts[queue])
        return max(0, most)

    def _most_of_bad(self, queue: str) -> int:
        of_all = sum(self._counts[bad] for bad in self._bad)
        return min(MOST_OF_ONE_BAD_QUEUE - self._counts[queue], MOST_OF_BAD_QUEUES - of_all)

    def _share(self, queue: str, longest: int) -> int:
        """As many as leave at least as much free as the queue has then; one, where it has none."""
        free, free_bytes = MOST_INTENTS - self.count, MOST_INTENT_BYTES - self.size
        by_count = (free - self._counts[queue]) // 2
        by_size = (free_bytes - self._sizes[queue]) // 2 // longest
        least = not self._counts[queue] and free >= 1 and free_bytes >= longest
        return max(min(by_count, by_size), int(least))


class Room:
    """What the messages of one call may take of the outbox, reserved until it is closed.

    of_request: a request comes before what is due by the timetable, which would else take whatever gets free.
    """

    def __init__(self, queues: Queues, *, of_request: bool = False) -> None:
        self._queues = queues
        self._of_request = of_request
        self._blocked: dict[str, bool] = {}  # decided once a call: the script is told a digit a queue
        self._taken: list[tuple[str, int, int]] = []

    def blocked(self, queue: str) -> bool:
        """Whether the entries of a queue are to be blocked: it refuses messages, and gets no more of them."""
        found = self._blocked.get(queue)
        if found is None:
            found = self._blocked[queue] = queue in self._queues.bad and self._queues.most(queue, 1) < 1
        return found

    def most(self, queue: str, longest: int) -> int:
        """How many more messages of at most that many bytes there is room for."""
        if not self._of_request:
            return 0 if queue in self._queues.wanted else self._queues.most(queue, longest)
        most = self._queues.most(queue, longest)
        if not most:
            self._queues.wanted.add(queue)
        return most

    def take(self, queue: str, messages: Sequence[bytes]) -> None:
        """Reserves room; of a blocked queue none, for its messages are not written."""
        if messages and not self.blocked(queue):
            size = sum(map(len, messages))
            self._taken.append((queue, len(messages), size))
            self._queues.hold(queue, len(messages), size)

    def close(self) -> None:
        """Gives back what is reserved; what was accepted is added right before."""
        for queue, count, size in self._taken:
            self._queues.hold(queue, -count, -size)
        self._taken.clear()
