"""Tables that fit: which columns go, what is cut, and how wide a text is."""

import pytest

from beatd.cli.table import Column, cut, places, render

COLUMNS = (Column("NAME", least=6), Column("WHAT", least=5, rank=2), Column("AGO", rank=1), Column("STATE"))
ROWS = [
    ("nightly-report", "every second monday", "5 min ago", "paused"),
    ("a", "hourly", "never", "scheduled"),
]


def test_where_there_is_room_or_no_terminal_nothing_is_cut() -> None:
    lines = render(COLUMNS, ROWS)
    assert lines == [
        "NAME            WHAT                 AGO        STATE",
        "nightly-report  every second monday  5 min ago  paused",
        "a               hourly               never      scheduled",
    ]
    assert render(COLUMNS, ROWS, 57) == lines


def test_the_widest_are_cut_first_and_equally() -> None:
    assert render(COLUMNS, ROWS, 44) == [
        "NAME        WHAT        AGO        STATE",
        "nightly-r…  every sec…  5 min ago  paused",
        "a           hourly      never      scheduled",
    ]


@pytest.mark.parametrize("width, heads", [(35, ["NAME", "WHAT", "AGO", "STATE"]), (34, ["NAME", "WHAT", "STATE"])])
def test_what_is_worth_least_goes_where_cutting_is_not_enough(width: int, heads: list[str]) -> None:
    lines = render(COLUMNS, ROWS, width)
    assert lines[0].split() == heads
    assert max(map(places, lines)) <= width


def test_a_narrow_column_comes_back_where_a_wide_one_of_more_worth_has_left_room() -> None:
    columns = (Column("A"), Column("WIDEST", rank=2), Column("B", rank=1))
    assert render(columns, [("a", "much too wide", "b")], 8) == ["A  B", "a  b"]


def test_what_must_stay_stays_though_it_does_not_fit() -> None:
    assert render(COLUMNS, ROWS, 5)[1:] == ["night…  paused", "a       scheduled"]


@pytest.mark.parametrize(
    "text, width",
    [("abc", 3), ("日本", 4), ("é", 1), ("e\u0301", 1), ("a\u200bb", 2), ("", 0), ("Ａ", 2)],  # noqa: RUF001
)
def test_a_text_takes_as_many_places_as_a_terminal_gives_it(text: str, width: int) -> None:
    assert places(text) == width


@pytest.mark.parametrize(
    "text, width, short",
    [("abcd", 4, "abcd"), ("abcde", 4, "abc…"), ("日本語", 5, "日本…"), ("日本語", 4, "日…"), ("ab", 1, "…")],
)
def test_a_cut_is_marked_and_splits_no_sign(text: str, width: int, short: str) -> None:
    assert cut(text, width) == short


def test_columns_stay_aligned_whatever_is_in_them() -> None:
    lines = render((Column("A"), Column("B")), [("日本語", "x"), ("\x1b[31m", "y"), ("ab", "z")])
    assert {places(line) for line in lines} == {len("\\x1b[31m  y")}
    assert "\x1b" not in "".join(lines)


def test_styles_change_no_width() -> None:
    def red(text: str) -> str:
        return f"<{text}>"

    lines = render((Column("A"), Column("B")), [("x", "y"), ("long", "z")], None, [[red, None], [None, red]], red)
    assert lines == ["<A>     <B>", "<x>     y", "long  <z>"]
