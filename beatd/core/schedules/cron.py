"""``cron``: wall times of a zone, from a cron expression."""

import re
from functools import lru_cache
from typing import Any, ClassVar, Final

from beatd.core.instant import LAST_MS
from beatd.core.schedules.cron_days import RARE_DAYS, DayRule, ever_matches, longest_wait
from beatd.core.schedules.cron_explain import explain_cron
from beatd.core.schedules.cron_text import CronText, parse_cron
from beatd.core.schedules.cron_times import CronTimes
from beatd.core.schedules.cron_words import cron_words
from beatd.core.schedules.explanation import Explanation
from beatd.core.schedules.rule import Kind, Request, Rule
from beatd.core.schedules.shifts import Shift, shift_effect, shift_remark, slot_remark
from beatd.core.shown import shown
from beatd.core.wallclock import count_reached, count_shown, last_reached, last_shown, next_reached, next_shown
from beatd.core.zone import Zone, forget_with_zones
from beatd.errors import ScheduleInvalid

LONGEST_HASH_ID: Final = 200
NEVER: Final = LAST_MS + 1

_HASHED = re.compile(r"(?:^|[ \t])h", re.IGNORECASE)  # no name of a month or weekday begins with h


class Cron(Rule):
    """A compiled expression in a zone. Shared between entries: one object for each distinct (text, zone, day, H)."""

    __slots__ = ("_both", "_hash_id", "_known", "_seed", "interval_like", "text", "times", "zone")

    kind: ClassVar[str] = "cron"
    named_bytes: ClassVar[int] = 900

    def __init__(self, text: str, zone: Zone, both: bool, hash_id: str | None, seed: str | None) -> None:
        parsed = parse_cron(text, seed)
        rule = day_rule(parsed, both)
        check_dates(parsed, rule)
        self.text = parsed.text
        self.zone = zone
        self.times = CronTimes(parsed, rule)
        self.interval_like = parsed.interval_like
        self._both = both
        self._hash_id = hash_id
        self._seed = seed if parsed.hashed else None
        # As found last: an instant, the first slot after it, and that one again or the first one after it. Entries
        # that share an expression are due together, and so ask for the same slots again and again.
        self._known = (NEVER, NEVER, NEVER)

    @property
    def named(self) -> bool:
        """H takes the entry's name where no hash_id is given."""
        return self._seed is not None and self._hash_id is None

    def renamed(self, name: str) -> Rule:
        return _interned(self.text, self.zone, self._both, None, name) if self.named else self

    def next_ms(self, after: int) -> int | None:
        since, slot, following = self._known
        if slot <= after < following:
            return following
        if since <= after < slot:
            return slot
        search = next_shown if self.interval_like else next_reached
        found = search(self.zone, self.times, after // 1_000)
        if found is None:
            return None
        found *= 1_000
        if after == following:
            self._known = (since if slot == following else slot, following, found)
        else:
            self._known = (after, found, found)
        return found

    def last_ms(self, until: int) -> int | None:
        _, slot, following = self._known
        if slot <= until < following:
            return slot
        search = last_shown if self.interval_like else last_reached
        found = search(self.zone, self.times, until // 1_000)
        return None if found is None else found * 1_000

    def count_ms(self, after: int, until: int, at_most: int) -> int:
        count = count_shown if self.interval_like else count_reached
        return count(self.zone, self.times, after // 1_000, until // 1_000, at_most)

    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = {"cron": self.text}
        if self._both:
            spec["day"] = "and"
        if self._hash_id is not None:
            spec["hash_id"] = self._hash_id
        return spec

    def parsed(self) -> CronText:
        """The fields, parsed again: only words, warnings and tests need them, a million entries do not."""
        return parse_cron(self.text, self._seed)

    def words(self) -> str:
        return cron_words(self.parsed(), self._both)

    def warnings(self) -> tuple[str, ...]:
        parsed = self.parsed()
        found = [remark for part in parsed.parts for remark in part.remarks]
        wait = longest_wait(day_rule(parsed, self._both), parsed.month.values)
        if wait > RARE_DAYS:
            found.append(f"fires rarely: up to {round(wait / 365.2425)} years pass between two matching dates")
        restricted = not parsed.day.starred and not parsed.weekday.starred
        if restricted and not self._both:
            found.append(
                "both day fields are restricted: either of them is enough (cron's rule); day: and asks for both"
            )
        if self._hash_id is not None and not parsed.hashed:
            found.append("hash_id has no effect without H")
        remark = shift_remark(self.zone, self.times, self.interval_like)
        return tuple(dict.fromkeys([*found, *([remark] if remark else [])]))

    def slot_remark(self, slot: int) -> str | None:
        return slot_remark(self.zone, self.times, self.interval_like, slot // 1_000)

    def shift_effect(self, shift: Shift) -> str | None:
        return shift_effect(shift, self.times, self.interval_like)

    def explain(self) -> Explanation:
        source = "the entry's name" if self._hash_id is None else f"hash_id {self._hash_id}"
        return explain_cron(self.parsed(), self._both, source)

    def _value(self) -> tuple[object, ...]:
        return (self.text, self.zone, self._both, self._hash_id, self._seed)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Cron) and other._value() == self._value()

    def __hash__(self) -> int:
        return hash(self._value())

    def __repr__(self) -> str:
        return f"Cron({self.text!r}, {self.zone.name!r})"


def day_rule(parsed: CronText, both: bool) -> DayRule:
    """vixie's rule: both fields must match when either text begins with a star, else one is enough."""
    starred = parsed.day.starred or parsed.weekday.starred
    return DayRule(
        parsed.day.values, parsed.day.specials, parsed.weekday.values, parsed.weekday.specials, both or starred
    )


def check_dates(parsed: CronText, rule: DayRule) -> None:
    """Raises ScheduleInvalid for an expression whose dates never occur, such as 31 February."""
    if not ever_matches(rule, parsed.month.values):
        fields = f"day of month {shown(parsed.day.text)}, month {shown(parsed.month.text)}"
        raise ScheduleInvalid(
            f"cron: {shown(parsed.text)} never fires: no date has {fields}, day of week {shown(parsed.weekday.text)}",
            hint="L is the last day of a month",
        )


def _read(request: Request) -> Rule:
    text, day = request.spec["cron"], request.spec.get("day", "or")
    if not isinstance(text, str):
        raise ScheduleInvalid(
            f"cron: found {shown(text)}; a text such as '0 9 * * mon-fri' is accepted", hint="quote the expression"
        )
    if day not in ("or", "and"):
        raise ScheduleInvalid(f"day: found {shown(day)}; 'or' (cron's own rule) and 'and' are accepted")
    hash_id = _hash_id(request.spec["hash_id"]) if "hash_id" in request.spec else None
    return _interned(text, request.zone, day == "and", hash_id, request.name if hash_id is None else hash_id)


def _hash_id(value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_HASH_ID or not value.isprintable():
        raise ScheduleInvalid(
            f"hash_id: found {shown(value)}; 1 to {LONGEST_HASH_ID} printable characters are accepted"
        )
    return value


def _interned(text: str, zone: Zone, both: bool, hash_id: str | None, seed: str | None) -> Cron:
    """One object for each distinct meaning: a name is no part of it unless there is an H to seed."""
    return _compiled(text, zone, both, hash_id, seed if _HASHED.search(text) else None)


@lru_cache(maxsize=16_384)
def _compiled(text: str, zone: Zone, both: bool, hash_id: str | None, seed: str | None) -> Cron:
    return Cron(text, zone, both, hash_id, seed)


forget_with_zones(_compiled.cache_clear)

KIND: Final = Kind("cron", frozenset({"day", "hash_id"}), _read)
