"""Numbers of all places, and rows of history by their bytes."""

import pytest

from beatd.core.census import LEAST_ROWS, MOST_ROWS, Sizes, rows_within
from beatd.core.recovery import Memory, Recovery

MB = 10**6


@pytest.mark.parametrize("sizes, amiss", [
    (Sizes(), (0, 0)),
    (Sizes(revisions=6, definitions=6, due=3, out=2, blocked=1), (0, 0)),
    (Sizes(revisions=6, definitions=5, due=3, out=2, blocked=1), (-1, 0)),
    (Sizes(revisions=6, definitions=6, due=2, out=2, blocked=1), (0, -1)),
    (Sizes(revisions=6, definitions=6, due=4, out=2, blocked=1), (0, 1)),
])  # fmt: skip
def test_every_entry_is_in_exactly_one_place(sizes: Sizes, amiss: tuple[int, int]) -> None:
    assert sizes.disagreement == amiss


@pytest.mark.parametrize("rows, size, most", [
    (0, 0, MOST_ROWS), (10, 0, MOST_ROWS),
    (1000, 1 * MB, 64_000),  # of a kB each, 64,000 are 64 MB
    (1000, 4 * MB, 16_000),
    (100_000, 640 * MB, 10_000),
    (5, 64 * MB, LEAST_ROWS),
    (1000, 1, MOST_ROWS),
])  # fmt: skip
def test_as_many_rows_are_kept_as_fit_into_the_bytes(rows: int, size: int, most: int) -> None:
    assert rows_within(rows, size, 64 * MB) == most


def test_after_a_loss_an_entry_goes_on_before_its_moment_and_once_only() -> None:
    names = frozenset({"staged", "unstaged"})
    recovery = Recovery(Memory("inc", bound=5000, staged={"staged": 6799}, names=names))
    assert recovery.settled("new", 200) is None
    assert recovery.settled("staged", 200) == 6799
    assert recovery.settled("unstaged", 200) == 4800
    recovery.taken_up("staged")
    assert recovery.settled("staged", 200) is None


def test_what_was_in_no_file_is_lost() -> None:
    assert Memory("inc", 0, {}, entries=10, from_files=4).not_in_files == 6
    assert Memory("inc", 0, {}, entries=1, from_files=4).not_in_files == 0
