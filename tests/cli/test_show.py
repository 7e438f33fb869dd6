"""How instants, distances and tables look."""

import pytest

from beatd.cli.show import distance, instant, note, table

S, M, H, D = 1_000, 60_000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    "ms, text",
    [
        (None, None),
        (0, "1970-01-01T00:00:00Z"),
        (1_800_000_000_000, "2027-01-15T08:00:00Z"),
        (1_800_000_000_007, "2027-01-15T08:00:00.007Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-62_135_596_800_000, "0001-01-01T00:00:00Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (10**15, "1000000000000000 ms"),
    ],
)
def test_an_instant_is_utc_with_milliseconds_only_where_there_are_some(ms: int | None, text: str | None) -> None:
    assert instant(ms) == text


@pytest.mark.parametrize(
    "ms, text",
    [
        (0, "in 0 s"),
        (400, "in 0 s"),
        (5 * S, "in 5 s"),
        (-5 * S, "5 s ago"),
        (59_499, "in 59 s"),
        (59_500, "in 1 min"),
        (M, "in 1 min"),
        (90 * S, "in 2 min"),
        (59 * M + 29 * S, "in 59 min"),
        (59 * M + 30 * S, "in 1 h"),
        (3 * H, "in 3 h"),
        (-3 * H, "3 h ago"),
        (23 * H + 29 * M, "in 23 h"),
        (23 * H + 31 * M, "in 1 d"),
        (D, "in 1 d"),
        (-400 * D, "400 d ago"),
    ],
)
def test_a_distance_is_told_in_the_largest_unit_that_fits(ms: int, text: str) -> None:
    assert distance(ms) == text


def test_a_table_has_columns_as_wide_as_their_widest_cell_and_no_blanks_at_the_end() -> None:
    rows = [("nightly", None, 5), ("a", "x", "long")]
    assert table(("NAME", "NEXT", "N"), rows).splitlines() == [
        "NAME     NEXT  N",
        "nightly  -     5",
        "a        x     long",
    ]


def test_a_table_without_rows_is_its_heads() -> None:
    assert table(("NAME", "NEXT"), []) == "NAME  NEXT"


def test_a_falsy_cell_is_shown() -> None:
    assert table(("N", "T"), [(0, "")]).splitlines() == ["N  T", "0"]


def test_what_others_wrote_moves_no_cursor_and_begins_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "x\x1b[2J\nstate: ok"
    assert table(("A",), [(evil,)]) == "A\nx\\x1b[2J\\nstate: ok"
    note(evil)
    assert capsys.readouterr().err == "note: x\\x1b[2J\\nstate: ok\n"
