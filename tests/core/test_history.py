"""The rows of the histories, read without ever failing."""

import pytest

from beatd.core.change_log import Change
from beatd.core.fire import Skip
from beatd.core.history import Line, hindsight, lateness_ms, lines_of, percentile
from beatd.store.timetable import pack_skips

AT = 1_800_000_000_000
HEAD = {b"epoch": b"7", b"at": b"1800000000005"}


def test_a_row_of_a_batch_is_a_line_a_fire() -> None:
    packed = "a\x1f1000\x1eb \u00e9\x1f2000,3000".encode()
    assert lines_of("fired", AT, {**HEAD, b"fires": packed}) == [
        Line("fired", AT + 5, "a", 1_000, 1_000, epoch=7),
        Line("fired", AT + 5, "b \u00e9", 2_000, 2_000, epoch=7),
        Line("fired", AT + 5, "b \u00e9", 3_000, 3_000, epoch=7),
    ]


def test_what_was_fired_beside_the_timetable_names_its_cause_and_is_never_late() -> None:
    row = {**HEAD, b"cause": b"trigger", b"id": b"t-1", b"fires": b"a\x1f1000"}
    (line,) = lines_of("fired", AT, row)
    assert line == Line("fired", AT + 5, "a", 1_000, 1_000, epoch=7, cause="trigger", id="t-1")
    assert lateness_ms(line, 0) is None
    (past,) = lines_of("fired", AT, {**row, b"cause": b"backfill", b"id": b""})
    assert (past.cause, past.id) == ("backfill", None)


def test_a_skip_is_read_as_it_was_packed() -> None:
    skips = pack_skips([Skip("missed", 3, 1, 9), Skip("dropped", 10_000, 10, 99)])
    missed, dropped = lines_of("skipped", AT, {b"at": b"5", b"skips": f"a\x1f{skips}".encode()})
    assert missed == Line("skipped", 5, "a", 1, 9, "missed", 3)
    assert (dropped.reason, dropped.count, dropped.at_least, missed.at_least) == ("dropped", 10_000, True, False)


def test_a_row_of_an_edit_names_no_epoch_and_has_not_counted() -> None:
    (line,) = lines_of("skipped", AT, {b"skips": b"a\x1fpaused:0:5:6"})
    assert (line.at, line.epoch, line.count, line.reason) == (AT, None, 0, "paused")


@pytest.mark.parametrize(
    "what, fields, name, told",
    [
        ("fired", {b"x": b"1", b"y": b"2"}, None, "a row with the fields 'x, y'"),
        ("fired", {b"fires": b""}, None, "''"),
        ("fired", {b"fires": b"a"}, "a", "'a'"),
        ("fired", {b"fires": b"a\x1f1,x"}, "a", "'a\\x1f1,x'"),
        ("fired", {b"fires": b"a\x1f1000000000000000"}, "a", "'a\\x1f1000000000000000'"),
        ("skipped", {b"skips": b"a\x1fmissed:1:2"}, "a", "'a\\x1fmissed:1:2'"),
        ("skipped", {b"skips": b"a\x1fmissed:1:2:-3"}, "a", "'a\\x1fmissed:1:2:-3'"),
        ("skipped", {b"skips": b"\xff\x1f:1:2:3"}, "\udcff", "'\\udcff\\x1f:1:2:3'"),
        ("skipped", {b"skips": b"a\x1f" + b"x" * 100_000}, "a", None),
    ],
)
def test_what_another_client_wrote_is_shown_as_such(
    what: str, fields: dict[bytes, bytes], name: str, told: str
) -> None:
    (line,) = lines_of(what, AT, fields)  # type: ignore[arg-type]
    assert (line.what, line.name, line.at) == ("unreadable", name, AT)
    assert line.text is not None
    assert len(line.text) < 150
    assert told is None or line.text == told


def test_what_can_be_read_beside_it_is() -> None:
    lines = lines_of("skipped", AT, {b"skips": b"a\x1fnews:1:2:3;?\x1eb\x1fpast:1:2:2"})
    assert [(line.what, line.reason) for line in lines] == [
        ("skipped", "news"), ("unreadable", None), ("skipped", "past"),
    ]  # fmt: skip


def test_lateness_counts_from_slot_and_jitter_of_today_if_that_can_be() -> None:
    fired = Line("fired", 1_100, "a", 1_000)
    assert (lateness_ms(fired, 0), lateness_ms(fired, 60), lateness_ms(fired, 101)) == (100, 40, 100)
    assert lateness_ms(Line("skipped", 1_100, "a", 1_000), 0) is None


@pytest.mark.parametrize("values, p50, p99", [([], None, None), ([7], 7, 7), ([1, 2], 1, 2), (range(1, 101), 50, 99)])
def test_percentiles_are_values_that_were_there(values: list[int], p50: int, p99: int) -> None:
    assert (percentile(values, 50), percentile(values, 99)) == (p50, p99)


def test_a_pause_with_an_end_tells_of_slots_that_are_still_ahead() -> None:
    (row,) = lines_of("skipped", 1_000, {b"skips": b"a\x1fpaused:0:900:5000", b"at": b"1000"})
    (past,) = lines_of("skipped", 1_000, {b"skips": b"a\x1fmissed:2:800:900", b"at": b"1000"})
    assert (row.foretold, past.foretold) == (True, False)


AHEAD = Line("skipped", 1_000, "a", 2_000, 5_000, "paused", 0)


def change(op: str, at: int, name: str = "a") -> Change:
    return Change(op, at, name)


@pytest.mark.parametrize("now, ahead", [(1_000, True), (5_000, True), (5_001, False)])
def test_a_foretold_range_is_ahead_until_its_last_instant_is_past(now: int, ahead: bool) -> None:
    seen = hindsight(now, [AHEAD], [])
    assert (seen.ahead(AHEAD), seen.lifted(AHEAD)) == (ahead, False)


@pytest.mark.parametrize(
    "ending, lifted",
    [
        (change("resume", 1_500), True),
        (change("pause", 4_000), True),
        (change("remove", 5_000), True),
        (change("pause", 1_000), False),  # its own
        (change("resume", 5_001), False),
        (change("put", 3_000), False),
        (change("resume", 3_000, "b"), False),
    ],
)
def test_what_ends_a_pause_before_its_end_lifts_what_it_foretold(ending: Change, lifted: bool) -> None:
    for now in (4_500, 9_000):
        seen = hindsight(now, [AHEAD], [ending])
        assert seen.lifted(AHEAD) == lifted
        assert seen.ahead(AHEAD) == (not lifted and now < 5_000)


def test_a_later_row_that_begins_at_the_same_slot_takes_the_place_of_a_foretold_one() -> None:
    longer = Line("skipped", 1_200, "a", 2_000, 9_000, "paused", 0)
    other = Line("skipped", 1_300, "b", 2_000, 9_000, "paused", 0)
    seen = hindsight(1_400, [AHEAD, longer, other], [])
    assert [(seen.lifted(line), seen.ahead(line)) for line in (AHEAD, longer, other)] == [
        (True, False), (False, True), (False, True),
    ]  # fmt: skip


def test_a_row_about_the_past_is_never_lifted() -> None:
    past = Line("skipped", 1_000, "a", 800, 900, "missed", 2)
    seen = hindsight(850, [past], [change("resume", 1_001)])
    assert (seen.lifted(past), seen.ahead(past)) == (False, False)
