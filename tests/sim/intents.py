"""What must be true of the outbox: an intent comes by settle and serve, and leaves by a word about it only."""

from typing import Any, Final

from tests.sim.history import Book, State
from tests.sim.redis import Words

COMES: Final = ("settle", "serve")
LEAVES: Final = ("done", "remove", "pause")


class Intents:
    """Looks at every accepted call."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def made(self, seen: State, now: State) -> list[tuple[bytes, bytes]]:
        """The messages that a call has put there, as pushes to no queue."""
        return [(b"", now["obm"].get(key, b"")) for key in now["ob"].keys() - seen["ob"].keys()]

    def look(self, script: str, seen: State, now: State, args: Words) -> None:
        """I12, and that heads and messages are there together."""
        if now["ob"].keys() != now["obm"].keys():
            self._book.fail(f"{script} left a head or a message alone: {now['ob'].keys() ^ now['obm'].keys()}")
        if script not in COMES and now["ob"].keys() - seen["ob"].keys():
            self._book.fail(f"{script} made intents")
        changed = [key for key, head in seen["ob"].items() if now["ob"].get(key, head) != head]
        if changed:
            self._book.fail(f"{script} wrote over the intents {changed}")
        gone = seen["ob"].keys() - now["ob"].keys()
        if gone and script not in LEAVES:
            self._book.fail(f"I12: {script} took the intents {gone} out")
        if script in LEAVES:
            self._left(script, seen, now, args)

    def _left(self, script: str, seen: State, now: State, args: Words) -> None:
        """Exactly those that the call means have left."""
        for key, head in seen["ob"].items():
            if (key in now["ob"]) == self._meant(script, key, head.split(b"\x1f"), seen, now, args):
                self._book.fail(f"{script} {'left' if key in now['ob'] else 'took'} the intent {key!r} ({head!r})")

    def _meant(self, script: str, key: bytes, head: list[bytes], seen: State, now: State, args: Words) -> bool:
        if script == "done":
            count = int(args[6])
            named = zip(args[7 : 7 + count], args[7 + count : 7 + 2 * count], strict=True)
            return any(key == named_id and head[2] == task_id for named_id, task_id in named)
        return seen["rev"].get(head[0]) != now["rev"].get(head[0])  # a pause writes a revision, a removal takes it


def holder_of(args: Words) -> tuple[Any, Any] | None:
    """Epoch and owner of a done that only the leader may call."""
    return (args[1], args[2]) if args[0] == b"U" else None
