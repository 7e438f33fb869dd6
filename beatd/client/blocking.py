"""The client for programs and commands that may wait."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

from beatd.client import entries
from beatd.client.steps import Ask, Steps, drive
from beatd.core.edit import PutItem
from beatd.store.blocking import BlockingLink
from beatd.store.entries import Pause, Row
from beatd.store.keys import Keys

T = TypeVar("T")


class Client:
    """Reads and edits the entries of one namespace. Every method raises Unreachable or AccessDenied."""

    def __init__(self, url: str, namespace: str = "default") -> None:
        self.link = BlockingLink(url, namespace)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self.link.close()

    @property
    def keys(self) -> Keys:
        """The keys of its namespace."""
        return self.link.keys

    def run(self, steps: Steps[T]) -> T:
        """Runs a verb to its end."""
        return drive(steps, self._answer)

    def _answer(self, question: Ask) -> list[Any]:
        return (self.link.ask if question.tolerant else self.link.request)(*question.commands)

    def now_ms(self) -> int:
        """The clock of Redis, UTC ms."""
        return self.run(entries.now_ms())

    def rows(self) -> Iterator[Row]:
        """All entries, page by page, in no order."""
        cursor = b"0"
        while True:
            cursor, found = self.run(entries.page(self.keys, cursor))
            yield from found
            if cursor == b"0":
                return

    def find(self, name: str) -> Row | None:
        """One entry, or None."""
        return self.run(entries.find(self.keys, name))

    def get(self, name: str) -> Row:
        """One entry. Raises NotFound."""
        return self.run(entries.get(self.keys, name))

    def runs_left(self, name: str) -> int | None:
        """How many runs `max_runs` still allows; None where they are not counted."""
        return self.run(entries.runs_left(self.keys, name))

    def put(self, items: Iterable[PutItem], who: str) -> None:
        """Writes entries, all or nothing within a step. Raises Refused."""
        self.run(entries.put(self.keys, items, who))

    def remove(self, names: Sequence[str], who: str, expected: Sequence[str] | None = None) -> None:
        """Removes entries, those at these revisions where they are given. Raises Refused or NotFound."""
        self.run(entries.remove(self.keys, names, who, expected))

    def pause(self, names: Sequence[str], nonce: str, who: str, wanted: Pause) -> None:
        """Pauses entries under a fresh nonce, all or nothing. Raises Refused or NotFound."""
        self.run(entries.pause(self.keys, names, nonce, who, wanted))

    def resume(self, names: Sequence[str], nonce: str, who: str, *, catchup: bool) -> list[str]:
        """Lifts pauses under a fresh nonce, all or nothing; the names of those that were paused. Raises NotFound."""
        return self.run(entries.resume(self.keys, names, nonce, who, catchup=catchup))

    def reset(self, runs: Mapping[str, int], nonce: str, who: str) -> None:
        """Gives entries their runs anew under a fresh nonce, all or nothing. Raises Refused or NotFound."""
        self.run(entries.reset(self.keys, runs, nonce, who))
