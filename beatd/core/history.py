"""The rows of the two histories, unpacked: a line a fire, a line a skip, and one for what nobody can read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Literal

from beatd.core.fire import UNIT_SEPARATOR, TaskIds
from beatd.core.shown import shown
from beatd.core.span import EXACT_COUNT

if TYPE_CHECKING:
    from beatd.core.change_log import Change

RECORD_SEPARATOR: Final = "\x1e"
What = Literal["fired", "skipped", "unreadable"]
ByNow = Literal[What, "lifted", "waiting"]
ENDING: Final = frozenset({"pause", "resume", "remove"})
_LONGEST: Final = 15  # digits of a number of ours


@dataclass(frozen=True, slots=True)
class Line:
    """One fire or skip. Instants in UTC ms.

    at: when it was decided. slot: of a skip the first of its range, ``last`` the last one. count: how many slots lie in
    the range, 0 where nobody has counted. text: of an unreadable row what was found. cause: `trigger` or `backfill` of
    what was fired beside the timetable, None of the rest; id: the task id of a trigger. why: more than the reason says,
    of what was decided for another broker and not sent.
    """

    what: What
    at: int
    name: str | None = None
    slot: int | None = None
    last: int | None = None
    reason: str | None = None
    count: int = 1
    epoch: int | None = None
    text: str | None = None
    cause: str | None = None
    id: str | None = None
    why: str | None = None

    @property
    def at_least(self) -> bool:
        """Whether there may be more slots than the count says."""
        return self.what == "skipped" and self.count >= EXACT_COUNT

    @property
    def foretold(self) -> bool:
        """Whether slots were still ahead when this was written: a pause with an end tells them all at its beginning.

        Lifting it before that end, an edit or a removal lets later ones be fired, or not be there at all.
        """
        return self.what == "skipped" and self.last is not None and self.last > self.at


@dataclass(frozen=True, slots=True)
class Hindsight:
    """What became of lines since. now: UTC ms by the clock of Redis. ends: of entries, when a pause was lifted or
    replaced, or the entry removed. waiting: entries and slots that are decided, and wait for another broker than our
    Redis.
    """

    now: int = 0
    ends: Mapping[str, Sequence[int]] = field(default_factory=dict)
    waiting: frozenset[tuple[str, int]] = frozenset()

    def what(self, line: Line) -> ByNow:
        """What a line says by now: a fire may still wait, and a range that was foretold may have been lifted."""
        if line.what == "fired" and (line.name, line.slot) in self.waiting:
            return "waiting"
        return "lifted" if self.lifted(line) else line.what

    def lifted(self, line: Line) -> bool:
        """Whether the pause that foretold a range ended before it did: other rows tell then of its slots."""
        if not line.foretold or line.last is None:
            return False
        return any(line.at < end <= line.last for end in self.ends.get(line.name or "", ()))

    def ahead(self, line: Line) -> bool:
        """Whether some of a range is still to be skipped."""
        return line.foretold and line.last is not None and line.last >= self.now and not self.lifted(line)


def hindsight(now: int, lines: Sequence[Line], changes: "Iterable[Change]") -> Hindsight:
    """What later rows, and the change log, tell of the ranges among some lines.

    A pause that takes the place of another, and a lift without a catch-up, write a row that begins where the old one
    did: that shows it where the log doesn't reach back so far.
    """
    ends: dict[str, list[int]] = {line.name: [] for line in lines if line.foretold and line.name is not None}
    for change in changes:
        if change.op in ENDING and change.name in ends:
            ends[change.name].append(change.at)
    begins: dict[tuple[str | None, int | None], int] = {}
    for line in sorted((line for line in lines if line.reason == "paused"), key=lambda line: line.at):
        before = begins.setdefault((line.name, line.slot), line.at)
        if before < line.at and line.name in ends:
            ends[line.name].append(line.at)
    return Hindsight(now, ends)


def lines_of(what: Literal["fired", "skipped"], at: int, fields: Mapping[bytes, bytes]) -> list[Line]:
    """The lines of one row, oldest slot first. ``at`` is the instant of the row's id, for rows that name none."""
    packed = fields.get(b"fires" if what == "fired" else b"skips")
    if packed is None:
        names = ", ".join(sorted(_text(field) for field in fields))
        return [Line("unreadable", at, text=f"a row with the fields {shown(names)}")]
    at = _whole(_text(fields.get(b"at", b""))) or at
    epoch = _whole(_text(fields.get(b"epoch", b"")))
    unpack = _fires if what == "fired" else _skips
    pieces = _text(packed).split(RECORD_SEPARATOR)
    lines = [line for piece in pieces for line in unpack(piece, at, epoch)]
    cause, task_id, why = (_text(fields.get(key, b"")) or None for key in (b"cause", b"id", b"why"))
    if why is not None:
        return [replace(line, why=why) for line in lines]
    return lines if cause is None else [replace(line, cause=cause, id=task_id) for line in lines]


def _fires(piece: str, at: int, epoch: int | None) -> Iterator[Line]:
    name, _, packed = piece.partition(UNIT_SEPARATOR)
    slots = [_whole(text) for text in packed.split(",")]
    if not name or None in slots:
        yield Line("unreadable", at, name or None, text=shown(piece))
        return
    for slot in slots:
        yield Line("fired", at, name, slot, slot, epoch=epoch)


def _skips(piece: str, at: int, epoch: int | None) -> Iterator[Line]:
    name, _, packed = piece.partition(UNIT_SEPARATOR)
    for part in packed.split(";"):
        reason, *texts = part.split(":")
        numbers = [_whole(text) for text in texts]
        if not name or not reason or len(numbers) != 3 or None in numbers:
            yield Line("unreadable", at, name or None, text=shown(f"{name}{UNIT_SEPARATOR}{part}"))
            continue
        count, first, last = numbers
        yield Line("skipped", at, name, first, last, reason, count or 0, epoch)


def lateness_ms(line: Line, jitter: int) -> int | None:
    """How long after its slot and the entry's jitter a slot was fired; None of what was not, or beside the timetable.

    The jitter is the one of today: where that can't have been the one of the fire, it does not count.
    """
    if line.what != "fired" or line.slot is None or line.cause is not None:
        return None
    late = line.at - line.slot
    return late - jitter if jitter <= late else late


def task_id(line: Line, ids: TaskIds) -> str | None:
    """The task id of what was fired; None of what was not, and of a name that another client wrote in no encoding."""
    if line.what != "fired" or line.name is None or line.slot is None:
        return None
    if line.id is not None:
        return line.id
    try:
        return ids.of(line.name, line.slot)
    except UnicodeEncodeError:
        return None


def percentile(ordered: Sequence[int], percent: int) -> int | None:
    """The smallest value that so many percent of them don't exceed; None without values."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST else None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
