"""docs/tour.md shows what a new user is shown: all of it is typed again, in a real terminal."""

from pathlib import Path

import pytest

from tests.support.terminal import plain
from tests.support.tour import PAGE, differences, page, shape


def test_the_tour_of_the_docs_shows_what_the_commands_show(tmp_path: Path) -> None:
    found = "\n".join(differences(PAGE.read_text(), page(tmp_path)))
    assert not found, f"python -m tests.support.tour writes the page anew\n{found}"


@pytest.mark.parametrize("one, other", [
    ("next 2026-11-30T08:00:00Z in 1 min", "next 2027-01-01T00:00:00.001Z in 23 h"),
    ("NAME         LEFT", "NAME  LEFT"),
    ("ce8da711-7135-5064-bb29-168ea28c5d58", "00000000-7135-5064-bb29-168ea28c5d58"),
    ("every: 2s (Europ…  scheduled", "every: 2s (E…  scheduled"),
    ("4 waiting, 3 ms late", "12 waiting, 1.5 s late"),
    ("run=deb9e657ed4a4923a16383f21776731d158c714f", "run=1111e657ed4a4923a16383f21776731d158c714f"),
])  # fmt: skip
def test_times_numbers_ids_and_widths_of_columns_are_not_compared(one: str, other: str) -> None:
    assert shape(one) == shape(other)


@pytest.mark.parametrize(
    "other", ["heartbeat  paused", "heartbeat", "heart beat  scheduled", "a\nheartbeat  scheduled"]
)
def test_words_are_compared(other: str) -> None:
    assert shape("heartbeat  scheduled") != shape(other)


@pytest.mark.parametrize("shown, seen", [
    ("\x1b[1mNAME\x1b[0m  STATE\r\na  \x1b[32mok\x1b[0m \r\n", "NAME  STATE\na  ok"),
    ("first\r\n\x1b[H\x1b[J\x1b[?25lsecond\r\n", "second"),
    ("\x1b[2J\x1b[Hone\x1b[K\r\ntwo\x1b[J\x1b[Hone\x1b[K\r\nthree\x1b[J\x1b[?25h\r\n", "one\nthree"),
    ("50 %\r100 %\r\n", "100 %"),
])  # fmt: skip
def test_a_capture_is_what_the_screen_shows_without_colours(shown: str, seen: str) -> None:
    assert plain(shown) == seen
