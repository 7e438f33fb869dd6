"""Edits: what a put carries, and what becomes of the runs left."""

import pytest

from beatd.core.edit import ABSENT, ANY, KEEP, PutItem, put_item, runs_after, runs_left
from beatd.core.entry import Entry, entry_from_spec
from beatd.core.fire import jitter_of


def entry(max_runs: int | None = None, **more: object) -> Entry:
    runs = {} if max_runs is None else {"max_runs": max_runs}
    return entry_from_spec("nightly", {"task": "app.run", "every": "1m", **runs, **more})


def test_a_put_carries_all_that_a_script_must_know_of_an_entry() -> None:
    found = entry(jitter="1h", enabled=False)
    assert put_item(found, "nonce", expected=ABSENT, left="", file_hash="hash") == PutItem(
        name="nightly",
        rev=f"nonce.{found.fingerprint}",
        expected="",
        definition=found.to_definition(),
        jitter=jitter_of("nightly", 3_600_000),
        left="",
        enabled=False,
        file_hash="hash",
    )


def test_unless_it_is_said_a_put_goes_over_any_revision_and_keeps_the_runs_left() -> None:
    item = put_item(entry(), "nonce")
    assert (item.expected, item.left, item.file_hash) == (ANY, KEEP, "")


@pytest.mark.parametrize(
    "before, after, stored, left",
    [
        (None, None, None, ""),
        (5, None, 3, ""),  # not counted any more
        (None, 5, None, "5"),
        ("new", 5, None, "5"),
        (5, 5, 3, KEEP),
        (5, 5, None, "5"),  # the count was lost: begin again
        (5, 8, 3, "+3"),
        (5, 4, 3, "-1"),
        (5, 1, 3, "-4"),
        (5, 7, 0, "+2"),
    ],
)
def test_editing_max_runs_changes_the_runs_left_by_the_difference(
    before: int | str | None, after: int | None, stored: int | None, left: str
) -> None:
    old = None if isinstance(before, str) else entry(before)
    assert runs_left(old, entry(after), stored) == left


@pytest.mark.parametrize(
    "left, stored, after",
    [
        (KEEP, 3, 3),
        (KEEP, None, None),
        ("", 3, None),
        ("5", 3, 5),
        ("+2", 3, 5),
        ("-2", 3, 1),
        ("-4", 3, 0),
        ("+2", None, 2),
    ],
)
def test_what_a_put_makes_of_the_runs_left(left: str, stored: int | None, after: int | None) -> None:
    assert runs_after(left, stored) == after
