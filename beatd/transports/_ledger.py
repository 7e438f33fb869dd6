"""What was written to a channel and has no answer yet. Pure bookkeeping: numbers and values in, values out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from beatd.core.intent import Outcome


class Window:
    """Messages that were handed over together, and what became of each."""

    def __init__(self, size: int, deadline: float) -> None:
        self.deadline = deadline  # monotonic: the rest is unknown then
        self._outcomes: list[Outcome | None] = [None] * size
        self._open = size

    @property
    def done(self) -> bool:
        """Whether nothing is open."""
        return not self._open

    def learn(self, place: int, outcome: Outcome) -> None:
        """What became of one message. What is known already stays."""
        if self._outcomes[place] is None:
            self._outcomes[place] = outcome
            self._open -= 1

    def outcomes(self, otherwise: Outcome) -> Sequence[Outcome]:
        """All outcomes in order, with one for those still open."""
        return [outcome or otherwise for outcome in self._outcomes]


@dataclass(slots=True, eq=False)
class Sent:
    """One message that was written, and who waits for its answer: windows with its place in them."""

    id: str
    message: bytes
    exchange: str
    routing_key: str
    correlation: str | None
    size: int  # of its body
    waiting: list[tuple[Window, int]] = field(default_factory=list)
    returned: str = ""  # why no queue took it

    def learn(self, outcome: Outcome) -> None:
        """Tells everybody who waits."""
        for window, place in self.waiting:
            window.learn(place, outcome)


class Ledger:
    """The messages of one channel by their delivery tags, which count from 1."""

    def __init__(self) -> None:
        self._sent: dict[int, Sent] = {}
        self._next = 1
        self._oldest = 1

    def __len__(self) -> int:
        return len(self._sent)

    def __iter__(self) -> Iterator[Sent]:
        return iter(self._sent.values())

    def write(self, sent: Sent) -> None:
        """The next message on the channel is this one."""
        self._sent[self._next] = sent
        self._next += 1

    def answered(self, tag: int, *, multiple: bool) -> list[Sent]:
        """Takes out what an answer is about: one tag, or all up to it (0: all there are)."""
        if not multiple:
            found = self._sent.pop(tag, None)
            return [found] if found is not None else []
        last = min(tag or self._next - 1, self._next - 1)
        tags = range(self._oldest, last + 1)
        self._oldest = max(self._oldest, last + 1)
        return [sent for each in tags if (sent := self._sent.pop(each, None)) is not None]

    def came_back(self, exchange: str, routing_key: str, correlation: str | None, why: str) -> None:
        """Marks the message that came back: the broker names no tag, and confirms it right after.

        Two messages to one place with one correlation id are copies of each other; the older one is taken.
        """
        for sent in self._sent.values():
            there = (sent.exchange, sent.routing_key, sent.correlation)
            if there == (exchange, routing_key, correlation) and not sent.returned:
                sent.returned = why
                return
