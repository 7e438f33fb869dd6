"""Events as log lines: one a line, storms summed up."""

import logging
from collections.abc import Iterator

import pytest

from beatd.core.fire import FireItem, Skip
from beatd.daemon.events import MOST_LINES_A_SECOND, WARNINGS, LogEvents

T0 = 1_800_000_000_000


class Log:
    """The events of a test on a clock of its own, and the lines that they left."""

    def __init__(self, lines: pytest.LogCaptureFixture) -> None:
        self.now = 100.0
        self.events = LogEvents(lambda: self.now)
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


@pytest.mark.parametrize(
    "value, shown",
    [
        ("café", "café"),
        ("", '""'),
        ("a b", '"a b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("a=b", '"a=b"'),
        ("two\nlines", '"two\\nlines"'),
        ("x\r\n12:00:00 INFO lease_lost", '"x\\r\\n12:00:00 INFO lease_lost"'),
        ("\x1b[2J", '"\\u001b[2J"'),
        ("half \ud800", '"half \\ud800"'),
    ],
)
def test_an_event_is_one_line_whatever_its_fields_hold(log: Log, value: str, shown: str) -> None:
    log.events.emit("config_refused", error=value)
    assert log.lines == [f"config_refused error={shown}"]


def test_what_somebody_should_look_at_is_a_warning(log: Log, caplog: pytest.LogCaptureFixture) -> None:
    for event in ("redis_up", *sorted(WARNINGS)):
        log.events.emit(event)
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.INFO] + [logging.WARNING] * len(WARNINGS)


def test_a_fire_tells_its_slot_and_how_late_it_was(log: Log) -> None:
    log.events.fired([item("nightly", T0)], T0 + 3)
    assert log.lines == ["entry_fired entry=nightly slot=2027-01-15T08:00:00Z late_ms=3 id=id"]


def test_a_slot_shows_milliseconds_only_where_there_are_some(log: Log) -> None:
    log.events.fired([item("fast", T0 + 10)], T0 + 10)
    assert "slot=2027-01-15T08:00:00.010Z" in log.lines[0]


def test_a_skip_is_told_with_its_reason_and_count(log: Log) -> None:
    log.events.fired([item("nightly", skips=(Skip("missed", 4, T0, T0 + 9),))], T0)
    assert log.lines == ["entry_skipped entry=nightly reason=missed count=4"]


def test_a_storm_is_told_by_fifty_lines_a_second_and_one_sum(log: Log) -> None:
    for part in range(3):
        log.events.fired([item(f"e{part}-{n}", T0, T0 + 1) for n in range(100)], T0)
    assert len(log.lines) == MOST_LINES_A_SECOND
    log.now += 1
    log.events.fired([item("next", T0)], T0)
    assert log.lines[50:] == ["entries_fired count=500", log.lines[51]]
    assert log.lines[51].startswith("entry_fired entry=next ")


def test_what_was_not_told_yet_is_told_at_the_end_and_once(log: Log) -> None:
    log.events.fired([item(f"e{n}", T0) for n in range(60)], T0)
    log.events.flush()
    log.events.flush()
    assert log.lines[50:] == ["entries_fired count=10"]
