"""Events as log lines: one a line, storms summed up, and all as the one table says."""

import ast
import logging
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path

import pytest

from beatd.core.fire import FireItem, Skip
from beatd.daemon.event_table import EVENTS, faults_of
from beatd.daemon.events import MOST_LINES_A_SECOND, LogEvents
from beatd.daemon.log_lines import RESERVED

T0 = 1_800_000_000_000
ROOT = Path(__file__).parents[2]


class Log:
    """The events of a test on a clock of its own, and the lines that they left."""

    def __init__(self, lines: pytest.LogCaptureFixture) -> None:
        self.now = 100.0
        self.waiting: list[tuple[float, Callable[[], None]]] = []
        self.events = LogEvents(lambda: self.now, lambda seconds, call: self.waiting.append((seconds, call)))
        self._lines = lines

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self._lines.records]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[Log]:
    with caplog.at_level(logging.INFO, "beatd"):
        yield Log(caplog)


def item(name: str, *slots: int, skips: tuple[Skip, ...] = ()) -> FireItem:
    return FireItem(
        name, "rev", T0, None, slots, plain=len(slots) == 1, task_id="id", good_until=None, left=None, skips=skips,
        queue_key="celery", messages=[b""] * len(slots),
    )  # fmt: skip


def test_a_line_has_the_event_and_its_fields_but_no_field_without_a_value(log: Log) -> None:
    log.events.emit("redis_down", error="no answer", hint=None, service="leader", tries=3)
    assert log.lines == ['redis_down error="no answer" service=leader tries=3']


def test_an_event_has_the_level_of_the_table(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    for event in EVENTS:
        log.events.emit(event)
    expected = [kind.level for kind in EVENTS.values() if kind.level >= logging.INFO]
    assert [record.levelno for record in caplog.records] == expected


def test_a_fire_tells_its_slot_and_how_late_it_was(log: Log) -> None:
    log.events.fired([item("nightly", T0)], T0 + 3)
    assert log.lines == ["entry_fired entry=nightly slot=2027-01-15T08:00:00Z late_ms=3 id=id"]


def test_a_slot_shows_milliseconds_only_where_there_are_some(log: Log) -> None:
    log.events.fired([item("fast", T0 + 10)], T0 + 10)
    assert "slot=2027-01-15T08:00:00.010Z" in log.lines[0]


def test_several_slots_of_one_entry_are_one_line_with_their_number(log: Log) -> None:
    log.events.fired([item("fast", T0, T0 + 1_000)], T0 + 1_000)
    assert log.lines == ["entry_fired entry=fast slot=2027-01-15T08:00:01Z slots=2 late_ms=1000 id=id"]


def test_a_skip_is_told_with_its_reason_and_count(log: Log) -> None:
    log.events.fired([item("nightly", skips=(Skip("missed", 4, T0, T0 + 9),))], T0)
    assert log.lines == ["entry_skipped entry=nightly reason=missed count=4"]


def test_a_storm_is_told_by_fifty_lines_a_second_and_one_sum(log: Log) -> None:
    for part in range(3):
        log.events.fired([item(f"e{part}-{n}", T0, T0 + 1) for n in range(100)], T0 + part)
    assert len(log.lines) == MOST_LINES_A_SECOND
    log.now += 1
    log.events.fired([item("next", T0)], T0)
    assert log.lines[50:] == ["entries_fired count=500 late_ms=2", log.lines[51]]
    assert log.lines[51].startswith("entry_fired entry=next ")


def test_the_sum_is_told_when_its_second_is_over_though_nothing_follows(log: Log) -> None:
    log.events.fired([item(f"e{n}", T0) for n in range(60)], T0)
    ((seconds, call),) = log.waiting
    log.now += seconds
    call()
    assert log.lines[50:] == ["entries_fired count=10 late_ms=0"]


def test_what_was_not_told_yet_is_told_at_the_end_and_once(log: Log) -> None:
    log.events.fired([item(f"e{n}", T0) for n in range(60)], T0)
    log.events.flush()
    log.events.flush()
    assert log.lines[50:] == ["entries_fired count=10 late_ms=0"]


def test_ten_thousand_skips_at_once_are_fifty_lines_and_one_a_reason(log: Log) -> None:
    log.events.fired([item(f"e{n}", skips=(Skip("missed", 2, T0, T0 + 9),)) for n in range(10_000)], T0)
    log.events.emit("entry_skipped", entry="x", reason="blocked", queue="celery")
    log.events.flush()
    assert log.lines[50:] == [
        "entries_skipped reason=missed entries=9950 count=19900",
        "entries_skipped reason=blocked entries=1 count=1",
    ]


def test_ten_thousand_invalid_entries_at_once_are_fifty_lines_and_their_number(log: Log) -> None:
    for n in range(10_000):
        log.events.emit("entry_invalid", entry=f"e{n}", error="no task")
    log.now += 1
    log.events.emit("redis_up")
    assert log.lines[50:] == ["entries_invalid count=9950 entry=e50", "redis_up"]


def test_any_other_flood_is_cut_and_told_and_leaves_room_for_the_rest(log: Log) -> None:
    for n in range(60):
        log.events.emit("config_refused", entry=f"e{n}", error="owner_conflict")
    log.events.emit("lease_lost", epoch=1, reason="fenced")
    log.events.flush()
    assert log.lines[50:] == ["lease_lost epoch=1 reason=fenced", "lines_omitted of=config_refused count=10"]


def emitted() -> Iterator[tuple[str, str, list[str]]]:
    """Every place in the code that tells of an event: where, which, and the fields that are named there."""
    for path in sorted((ROOT / "beatd").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "emit":
                names = [word.value for word in ast.walk(node.args[0]) if isinstance(word, ast.Constant)]
                if names:
                    yield f"{path.name}:{node.lineno}", str(names[0]), [word.arg for word in node.keywords if word.arg]


def test_every_event_in_the_code_is_in_the_table_with_its_fields() -> None:
    found = list(emitted())
    faults = [
        f"{place}: {event} {name}"
        for place, event, fields in found
        for name in ("", *fields)
        if event not in EVENTS or (name and name not in EVENTS[event].fields)
    ]
    assert not faults
    assert len(found) > 20


def test_no_field_takes_the_place_of_what_every_line_has() -> None:
    assert not set(chain.from_iterable(kind.fields for kind in EVENTS.values())) & set(RESERVED)
    assert {kind.summed for kind in EVENTS.values()} <= set(EVENTS)


def test_an_event_that_is_not_as_the_table_says_is_found() -> None:
    assert faults_of("entry_fired", {"entry": "a", "late_ms": 3}) == []
    assert faults_of("job_done", {}) == ["job_done is no event"]
    assert faults_of("entry_fired", {"name": "a"}) == ["entry_fired has no field name"]
    assert faults_of("entry_fired", {"late_ms": "3"}) == ["entry_fired: late_ms is '3', and no number"]
    assert faults_of("entry_fired", {"late_ms": True}) == ["entry_fired: late_ms is True, and no number"]
