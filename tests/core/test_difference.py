"""The difference between files and what is stored of them."""

import pytest

from beatd.core.difference import Difference, difference, shrinks_too_much


def test_only_what_is_new_changed_or_gone_is_written() -> None:
    wanted = {"same": "h1", "changed": "h2", "new": "h3"}
    stored = {"same": "h1", "changed": "h1", "gone": "h1"}
    assert difference(wanted, stored, frozenset()) == Difference(["changed", "new"], ["gone"], [])


def test_a_name_that_somebody_else_holds_is_reported_and_left_alone() -> None:
    found = difference({"b": "h", "a": "h", "c": "h"}, {}, frozenset({"a", "b", "other"}))
    assert found == Difference(["c"], [], ["a", "b"])


def test_the_same_files_are_no_difference() -> None:
    assert difference({"a": "h"}, {"a": "h"}, frozenset()).empty
    assert not difference({}, {"a": "h"}, frozenset()).empty
    assert not difference({"a": "h"}, {}, frozenset()).empty


def test_an_entry_that_only_changed_its_name_is_renamed() -> None:
    wanted, stored = {"new": "h1", "other": "h2", "stays": "h1"}, {"old": "h1", "older": "h1", "stays": "h1"}
    found = difference(wanted, stored, frozenset())
    assert found == Difference(["new", "other"], ["older"], [], {"new": "old"})


def test_renames_pair_one_by_one_and_the_rest_is_new_or_removed() -> None:
    stored = {"a": "h", "b": "h"}
    found = difference({"c": "h", "d": "h", "e": "h"}, stored, frozenset())
    assert found == Difference(["c", "d", "e"], [], [], {"c": "a", "d": "b"})
    found = difference({"c": "h"}, stored, frozenset())
    assert (found.removes, found.renames) == (["b"], {"c": "a"})


def test_an_entry_that_stays_or_only_changes_is_no_rename() -> None:
    found = difference({"kept": "h", "copy": "h"}, {"kept": "h"}, frozenset())
    assert (found.removes, found.renames) == ([], {})
    found = difference({"old": "h5"}, {"old": "h", "gone": "h5"}, frozenset())
    assert (found.removes, found.renames) == (["gone"], {})
    found = difference({"held": "h"}, {"gone": "h"}, frozenset({"held"}))
    assert (found.removes, found.renames) == (["gone"], {})


@pytest.mark.parametrize(
    "stored, removed, too_much",
    [(10, 10, False), (11, 5, False), (11, 6, True), (12, 6, False), (12, 7, True), (100, 50, False), (100, 51, True)],
)
def test_losing_more_than_half_of_more_than_ten_entries_is_taken_for_a_mistake(
    stored: int, removed: int, too_much: bool
) -> None:
    assert shrinks_too_much(stored, removed) is too_much
