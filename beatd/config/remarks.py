"""What a careful reader would ask about an entry that can be used: warnings, each at the key it is about."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from beatd.config.second_opinion import second_opinion
from beatd.core.entry import Entry
from beatd.core.instant import instant_text
from beatd.core.schedules import Schedule
from beatd.errors import ScheduleInvalid

# The beginning of a kernel's warning -> its own code; all others share W020.
_CODES: Final = (("the entry's name chooses", "W021"), ("both day fields", "W022"))


class Remark(NamedTuple):
    """A warning about an entry; ``key`` says where it belongs."""

    code: str
    key: str
    message: str
    hint: str | None = None


class Remarks:
    """Finds remarks, once for each distinct schedule: 20,000 entries share a few thousand."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms
        self._known: dict[Schedule, tuple[Remark, ...]] = {}

    def of(self, entry: Entry) -> Iterator[Remark]:
        """The remarks about one entry."""
        schedule = entry.schedule
        if schedule.kind == "at" and entry.enabled:
            yield from self._past(schedule, entry.policy.grace_ms)
        if schedule.rule.named:
            yield from _found(schedule, entry.name)
            return
        known = self._known.get(schedule)
        if known is None:
            known = self._known[schedule] = tuple(_found(schedule, entry.name))
        yield from known

    def _past(self, schedule: Schedule, grace_ms: int) -> Iterator[Remark]:
        slot = schedule.last_ms(self._now_ms)
        if slot is None:
            return
        late = self._now_ms - slot > grace_ms
        then = "a new entry is finished without a run" if late else "it runs once, late"
        yield Remark("W023", "at", f"{instant_text(slot)} is past: {then}", "give a later time, or take the entry out")


def _found(schedule: Schedule, name: str) -> Iterator[Remark]:
    for text in schedule.warnings:
        message, _, hint = text.partition("; ")
        code = next((code for beginning, code in _CODES if text.startswith(beginning)), "W020")
        yield Remark(code, schedule.kind, message, hint or None)
    if schedule.kind == "cron":
        yield from _other_reader(schedule, name)


def _other_reader(schedule: Schedule, name: str) -> Iterator[Remark]:
    spec = schedule.to_spec()
    try:
        difference = second_opinion(spec["cron"], spec.get("hash_id", name))
    except ScheduleInvalid:  # never: it was read before
        return
    if difference:
        yield Remark("W024", "cron", difference)
