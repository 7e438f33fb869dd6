"""Numbers of all places, and rows of history by their bytes."""

import pytest

from beatd.core.census import LEAST_ROWS, MOST_ROWS, STATES, LeftOut, Pausing, Sizes, Tally, rows_within, state_of
from beatd.core.recovery import Memory, Recovery

MB = 10**6
NOW = 1_800_000_000_000


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


@pytest.mark.parametrize("reasons, held, blocked, state", [
    ((), False, False, "scheduled"), ((), False, True, "blocked"), ((), True, True, "paused"),
    (("finished",), False, False, "finished"), (("finished",), True, False, "paused"),
    (("finished", "paused"), False, False, "paused"), (("paused", "disabled"), True, False, "disabled"),
    (("owed", "invalid", "disabled"), True, False, "invalid"), (("owed",), False, False, "scheduled"),
])  # fmt: skip
def test_of_several_states_the_most_telling_is_shown(
    reasons: tuple[str, ...], held: bool, blocked: bool, state: str
) -> None:
    assert state_of(reasons, held=held, blocked=blocked) == state
    assert state in STATES


def test_entries_are_counted_by_state_with_pauses_that_end() -> None:
    tally = Tally(at=NOW)
    out = [("paused",), ("paused", "disabled"), ("invalid",), ("finished",), ("finished",)]
    tally.add_left_out(LeftOut(str(number), reasons, None) for number, reasons in enumerate(out))
    pauses = [
        *(
            Pausing(NOW + 9, None, blocked=False),
            Pausing(NOW + 5, None, blocked=True),
            Pausing(NOW, None, blocked=False),
        ),
        *(Pausing(NOW + 7, ("finished",), blocked=False), Pausing(NOW + 7, ("disabled",), blocked=False)),
    ]
    tally.add_pausing(pauses, NOW)
    sizes = Sizes(revisions=12, definitions=12, due=5, out=5, blocked=2)
    assert tally.by_state(sizes) == {
        "scheduled": 4, "paused": 4, "disabled": 1, "finished": 1, "blocked": 1, "invalid": 1,
    }  # fmt: skip
    assert tally.ends == NOW + 5
