"""``every``: a fixed number of elapsed milliseconds on a grid that nothing shifts."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

from beatd.core.duration import UNIT_MS, format_duration, parse_duration
from beatd.core.fire import name_hash
from beatd.core.instant import FIRST_MS, LAST_MS, Moment, instant_text, read_moment
from beatd.core.schedules.explanation import Detail, Explanation
from beatd.core.schedules.rule import Kind, Request, Rule
from beatd.core.shown import shown
from beatd.errors import ScheduleInvalid

SHORTEST_MS: Final = 1_000
SHORTEST_FAST_MS: Final = 10


@dataclass(frozen=True, slots=True)
class Interval(Rule):
    """The instants phase + k * every, for all whole k: the anchor names the grid, it does not begin it."""

    every_ms: int
    phase_ms: int
    fast: bool = False
    anchor: Moment | None = None
    named: bool = False
    anchor_assumed: bool = False
    in_utc: bool = True

    kind: ClassVar[str] = "every"
    named_bytes: ClassVar[int] = 130

    def renamed(self, name: str) -> Rule:
        return replace(self, phase_ms=name_hash(name) % self.every_ms, anchor_assumed=False) if self.named else self

    def next_ms(self, after: int) -> int | None:
        after = max(after, FIRST_MS - 1)
        slot = after + self.every_ms - (after - self.phase_ms) % self.every_ms
        return slot if slot <= LAST_MS else None

    def last_ms(self, until: int) -> int | None:
        until = min(until, LAST_MS)
        slot = until - (until - self.phase_ms) % self.every_ms
        return slot if slot >= FIRST_MS else None

    def count_ms(self, after: int, until: int, at_most: int) -> int:
        first, last = self.next_ms(after), self.last_ms(until)
        if first is None or last is None or last < first:
            return 0
        return min(at_most, (last - first) // self.every_ms + 1)

    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = {"every": format_duration(self.every_ms)}
        if self.fast:
            spec["fast"] = True
        if self.anchor is not None:
            spec["anchor"] = self.anchor.text
        return spec

    def words(self) -> str:
        return f"every {_spelled(self.every_ms)}"

    def _grid(self) -> str:
        first = instant_text(self.phase_ms)
        if UNIT_MS["d"] % self.every_ms:
            return f"on a grid through {first}"
        again = f" and every {_spelled(self.every_ms)} from there" if self.every_ms < UNIT_MS["d"] else ""
        return f"at {first[11:-1]} UTC{again}"

    def explain(self) -> Explanation:
        if self.anchor_assumed:
            text, source = "", "assumed, for want of a name, an anchor and a start"
        elif self.anchor is not None:
            text, source = self.anchor.text, "given"
        else:
            text, source = "", "from the entry's name" if self.named else "from the start"
        every = format_duration(self.every_ms)
        seconds = f"{self.every_ms / 1_000:,.3f}".rstrip("0").rstrip(".")
        details = (
            Detail("every", every, f"{seconds} s of elapsed time"),
            Detail("anchor", text, f"{self._grid()}, {source}"),
        )
        return Explanation(details, "elapsed time: shifts of the clock change nothing, wall times move when they come")

    def warnings(self) -> tuple[str, ...]:
        found = []
        if self.every_ms >= UNIT_MS["h"] and self.named:
            source = "the epoch, for want of a name," if self.anchor_assumed else "the entry's name"
            found.append(f"{source} chooses when it runs: {self._grid()}; give anchor or start to choose")
        if self.every_ms % UNIT_MS["d"] == 0 and not self.in_utc:
            found.append("counts 24-hour days, so its wall time moves when the clock does: cron keeps the wall time")
        return tuple(found)


def _spelled(ms: int) -> str:
    units = (("day", "d"), ("hour", "h"), ("minute", "m"), ("second", "s"), ("millisecond", "ms"))
    parts, rest = [], ms
    for word, unit in units:
        n, rest = divmod(rest, UNIT_MS[unit])
        if n:
            parts.append(f"{n:,} {word}{'s' if n > 1 else ''}")
    text = " ".join(parts)
    return text[2:] if len(parts) == 1 and text.startswith("1 ") else text


def _read(request: Request) -> Rule:
    spec = request.spec
    fast = spec.get("fast", False)
    if not isinstance(fast, bool):
        raise ScheduleInvalid(f"fast: found {shown(fast)}; true or false is accepted")
    every = _length(spec["every"], fast)
    anchor = read_moment("anchor", spec["anchor"], request.zone) if "anchor" in spec else None
    origin = anchor or request.start
    phase = origin.ms if origin else name_hash(request.name) if request.name is not None else 0
    return Interval(
        every_ms=every,
        phase_ms=phase % every,
        fast=fast,
        anchor=anchor,
        named=origin is None,
        anchor_assumed=origin is None and request.name is None,
        in_utc=request.zone.is_utc,
    )


def _length(value: object, fast: bool) -> int:
    try:
        every = parse_duration(value)
    except ScheduleInvalid as error:
        raise ScheduleInvalid(f"every: {error.message}", hint=error.hint) from error
    shortest = SHORTEST_FAST_MS if fast else SHORTEST_MS
    if every < shortest:
        hint = "below a second, add fast: true (at least 10ms)" if SHORTEST_FAST_MS <= every < SHORTEST_MS else None
        found, least = format_duration(every), format_duration(shortest)
        raise ScheduleInvalid(f"every: found {found}; at least {least} is accepted", hint=hint)
    return every


KIND: Final = Kind("every", frozenset({"anchor", "fast"}), _read)
