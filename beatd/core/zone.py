"""A time zone as segments of constant UTC offset: from wall time to instants, and back.

Instants are UTC seconds and wall times are seconds since 1970-01-01T00:00 on the zone's own clock, both integers.

The gap and fold rule lies in one word, *reached*: a wall time is reached at the first instant at which the clock shows
it or something later. So a time inside a gap is reached at the gap's end, and a time that comes twice is reached
in its first pass.
"""

import difflib
import re
from bisect import bisect_right
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from beatd.core.shown import shown
from beatd.core.tzif import DAY, EPOCH_ORDINAL, YearlyRule, read_tzif
from beatd.errors import ScheduleInvalid

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

FOREVER: Final = 1 << 62
EPOCH: Final = datetime(1970, 1, 1)
FIRST_DAY: Final = date.min.toordinal() - EPOCH_ORDINAL
LAST_DAY: Final = date.max.toordinal() - EPOCH_ORDINAL
FIRST_SECOND: Final = FIRST_DAY * DAY
LAST_SECOND: Final = LAST_DAY * DAY + DAY - 1
LAST_YEAR: Final = date.max.year
PLANNED_YEAR: Final = 2040  # segments up to here are laid out at once, later ones when somebody asks

REFUSED_FOLDERS: Final = ("posix/", "right/")
REFUSED_NAMES: Final = frozenset({"localtime", "posixrules", "Factory"})  # the host's zone, by other names, and none


class Segments(NamedTuple):
    """Segment i holds from starts[i] to starts[i + 1] at offsets[i]; marks[i] is the first wall time that no segment
    up to i reaches. ``until``: the segments are complete before this instant.
    """

    starts: list[int]
    offsets: list[int]
    marks: list[int]
    until: int


class Zone:
    """One IANA zone. Equal by name; get it from ``zone_named``."""

    __slots__ = ("_rule", "name", "segments")

    def __init__(self, name: str, data: bytes) -> None:
        """Raises ValueError when the bytes are not a zone file."""
        self.name = name
        found = read_tzif(data)
        moves = [(at, offset) for at, offset in found.transitions if at >= FIRST_SECOND]
        before = [offset for at, offset in found.transitions if at < FIRST_SECOND]
        self._rule: YearlyRule | None = found.rule
        self.segments = self._lay([(-FOREVER, before[-1] if before else found.first_offset), *moves], PLANNED_YEAR)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Zone) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f"Zone({self.name!r})"

    @property
    def is_utc(self) -> bool:
        """Its clock is UTC at all times, whatever it is called."""
        return self.segments.offsets == [0]

    def index(self, instant: int) -> int:
        """The number of the segment that holds at an instant."""
        if instant >= self.segments.until:
            self.extend(instant)
        return bisect_right(self.segments.starts, instant) - 1

    def offset(self, instant: int) -> int:
        """Seconds east of UTC at an instant."""
        index = self.index(instant)
        return self.segments.offsets[index]

    def mark(self, instant: int) -> int:
        """The clock's high-water mark at an instant: every wall time before it has been reached."""
        index = self.index(instant)
        _, offsets, marks, _ = self.segments
        now = instant + offsets[index] + 1
        return now if index == 0 or marks[index - 1] < now else marks[index - 1]

    def reached(self, wall: int) -> int:
        """The instant at which a wall time is reached; a whole gap is reached at its end."""
        if wall >= self.segments.until - 2 * DAY:
            self.extend(wall + 2 * DAY)
        starts, offsets, marks, _ = self.segments
        index = bisect_right(marks, wall)
        instant = wall - offsets[index]
        return max(instant, starts[index])

    def extend(self, instant: int) -> None:
        """Lays out segments up to an instant and some years more. Beyond year 9999 the last segment holds."""
        day = min(max(instant // DAY, FIRST_DAY), LAST_DAY)
        year = date.fromordinal(day + EPOCH_ORDINAL).year
        starts, offsets, _, _ = self.segments
        self.segments = self._lay(list(zip(starts, offsets, strict=True)), year + 20)

    def _lay(self, moves: list[tuple[int, int]], year: int) -> Segments:
        last, until = moves[-1][0], FOREVER
        if self._rule is not None and self._rule.turns:
            begin = date.fromordinal(max(last // DAY, FIRST_DAY) + EPOCH_ORDINAL).year
            for later in range(begin, min(year, LAST_YEAR) + 1):
                moves += [move for move in self._rule.shifts(later) if move[0] > last]
            until = FOREVER if year >= LAST_YEAR else moves[-1][0]
        return _segments(moves, until)


def _segments(moves: list[tuple[int, int]], until: int) -> Segments:
    starts, offsets = [moves[0][0]], [moves[0][1]]
    for at, offset in moves[1:]:
        if offset != offsets[-1]:  # a change of the abbreviation alone is none of the clock
            starts.append(at)
            offsets.append(offset)
    marks: list[int] = []
    for end, offset in zip([*starts[1:], FOREVER], offsets, strict=True):
        marks.append(max(end + offset, marks[-1]) if marks else end + offset)
    return Segments(starts, offsets, marks, until)


class ZoneData:
    """Where zone files come from: the ``tzdata`` package, or a folder laid out as zoneinfo folders are."""

    def __init__(self, root: "Traversable", names: frozenset[str], version: str) -> None:
        self.root, self.names, self.version = root, names, version

    def read(self, name: str) -> bytes:
        """The zone file of one of ``names``."""
        return self.root.joinpath(*name.split("/")).read_bytes()


def package_data() -> ZoneData:
    """The zone data of the installed ``tzdata`` package."""
    from importlib.resources import files  # noqa: PLC0415  # costs a command that names no zone 4 ms

    root = files("tzdata")
    names = root.joinpath("zones").read_text(encoding="ascii").split()
    folder = root.joinpath("zoneinfo")
    return ZoneData(folder, frozenset(names), _version(folder))


def folder_data(folder: Path) -> ZoneData:
    """The zone data of a folder. Raises ScheduleInvalid when it holds no zone files."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    names = frozenset(path.relative_to(folder).as_posix() for path in found if path.read_bytes()[:4] == b"TZif")
    if not names:
        raise ScheduleInvalid(f"{folder} holds no zone files", hint="point BEATD_TZPATH at a zoneinfo folder")
    return ZoneData(folder, names, _version(folder))


def _version(folder: "Traversable") -> str:
    for name, pattern in (("tzdata.zi", r"# version (\S+)"), ("+VERSION", r"(\S+)")):
        path = folder.joinpath(name)
        match = re.match(pattern, path.read_text(encoding="utf-8")) if path.is_file() else None
        if match:
            return match[1]
    return ""


_override: list[ZoneData] = []
_dependent: list[Callable[[], None]] = []


def use_zone_data(data: ZoneData | None) -> None:
    """Takes zone files from elsewhere (None: from the package again) for all schedules read from now on."""
    _override[:] = [] if data is None else [data]
    for forget in (zone_named.cache_clear, zone_data.cache_clear, *_dependent):
        forget()


def forget_with_zones(forget: Callable[[], None]) -> None:
    """Registers a cache of things that hold zones, to be emptied when the zone data change."""
    _dependent.append(forget)


@cache
def zone_data() -> ZoneData:
    """The zone data in use, with their version."""
    return _override[0] if _override else package_data()


def data_version() -> str:
    """The IANA version of the zone data in use, such as `2026b`; '' where the data don't tell. Later is greater."""
    return zone_data().version


@cache
def zone_named(name: str) -> Zone:
    """The zone of an IANA name, never the host's. Raises ScheduleInvalid, with the nearest name, for any other text."""
    data = zone_data()
    if name not in data.names or name.startswith(REFUSED_FOLDERS) or name in REFUSED_NAMES:
        raise ScheduleInvalid(
            f"timezone: found {shown(name)}; an IANA zone name is accepted", hint=_zone_hint(name, data)
        )
    try:
        return Zone(name, data.read(name))
    except (OSError, ValueError) as error:
        raise ScheduleInvalid(f"timezone: the zone file of {name!r} can't be read: {error}") from error


def _zone_hint(name: str, data: ZoneData) -> str:
    fixed = re.fullmatch(r"(?:UTC|GMT|Z)?([+-])0?([0-9]{1,2})(?::?00)?", name.strip(), re.IGNORECASE)
    if fixed and int(fixed[2]) <= 14:
        sign = "-" if fixed[1] == "+" else "+"
        return f"a fixed offset is written Etc/GMT{sign}{int(fixed[2])} (POSIX counts west of Greenwich)"
    if not name or name == "localtime":
        return "the host's zone is never used; name one such as Europe/Paris, or UTC"
    folded = {known.casefold(): known for known in sorted(data.names)}
    close = difflib.get_close_matches(name[:64].casefold(), folded, n=1)
    return f"did you mean {folded[close[0]]}?" if close else "such as Europe/Paris, America/New_York or UTC"


def wall_of(moment: datetime) -> int:
    """Wall seconds of a naive datetime, fractions cut off."""
    return (moment.date().toordinal() - EPOCH_ORDINAL) * DAY + moment.hour * 3600 + moment.minute * 60 + moment.second


def naive_of(wall: int) -> datetime:
    """The naive datetime of wall seconds."""
    return EPOCH + timedelta(seconds=wall)
