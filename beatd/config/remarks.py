"""What a careful reader would ask about an entry that can be used: warnings, each at the key it is about."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from beatd.config.second_opinion import second_opinion
from beatd.core.duration import format_duration
from beatd.core.entry import Entry
from beatd.core.fire import jitter_of
from beatd.core.instant import instant_text
from beatd.core.schedules import Schedule
from beatd.errors import ScheduleInvalid
from beatd.formats.celery import compile_template

# The beginning of a kernel's warning -> its own code; all others share W020.
_CODES: Final = (("the entry's name chooses", "W021"), ("both day fields", "W022"))
LEAST_LATE_MS: Final = 100  # so late may any run be that nothing is wrong with


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
        yield from _seldom_fired(entry)
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


def _seldom_fired(entry: Entry) -> Iterator[Remark]:
    """Policies under which a run is skipped although nothing is wrong: each alone is allowed."""
    policy, hint = entry.policy, "a second or more leaves room for an ordinary delay"
    if policy.deadline_ms is not None and policy.deadline_ms < LEAST_LATE_MS:
        found = f"deadline: {format_duration(policy.deadline_ms)} skips every run that is later than that"
        yield Remark("W025", "deadline", f"{found}, and any run is some milliseconds late", hint)
    if policy.catchup == "none" and policy.grace_ms < LEAST_LATE_MS:
        found = f"grace: {format_duration(policy.grace_ms)} with catchup: none skips every run that is later than that"
        yield Remark("W025", "grace", f"{found}, and any run is some milliseconds late", hint)
    if policy.jitter_ms and "expires" in entry.options:
        yield from _expired_by_jitter(entry)


def _expired_by_jitter(entry: Entry) -> Iterator[Remark]:
    expires = compile_template(entry.task, entry.queue, entry.sent_options, origin="").expires_ms
    offset = jitter_of(entry.name, entry.policy.jitter_ms)
    if expires is not None and expires <= offset + LEAST_LATE_MS:
        found = f"jitter moves its runs by {format_duration(offset)}, and expires counts from the slot"
        yield Remark("W025", "jitter", f"{found}: each is skipped as expired", "give a longer expires, or less jitter")
