"""The difference between files and what is stored of them."""

import pytest

from beatd.core.difference import Difference, definition_hash, difference, shrinks_too_much
from beatd.core.entry import Entry, entry_from_spec


def entry(name: str, **more: object) -> Entry:
    return entry_from_spec(name, {"task": "app.run", "every": "1m", **more})


def test_only_what_is_new_changed_or_gone_is_written() -> None:
    same, changed, new = entry("same"), entry("changed", args=[2]), entry("new")
    stored = {"same": definition_hash(same), "changed": definition_hash(entry("changed")), "gone": "hash"}
    assert difference([same, changed, new], stored, frozenset()) == Difference([changed, new], ["gone"], [])


def test_a_name_that_somebody_else_holds_is_reported_and_left_alone() -> None:
    found = difference([entry("b"), entry("a"), entry("c")], {}, frozenset({"a", "b", "other"}))
    assert ([each.name for each in found.puts], found.removes, found.conflicts) == (["c"], [], ["a", "b"])


def test_the_same_files_are_no_difference() -> None:
    assert difference([entry("a")], {"a": definition_hash(entry("a"))}, frozenset()).empty
    assert not difference([], {"a": "hash"}, frozenset()).empty
    assert not difference([entry("a")], {}, frozenset()).empty


def test_the_hash_of_a_definition_knows_its_content_and_not_its_spelling() -> None:
    assert definition_hash(entry("a", grace="90s")) == definition_hash(entry("a", grace="1m30s"))
    assert definition_hash(entry("a", grace="90s")) != definition_hash(entry("a", grace="91s"))


def test_a_removed_entry_that_is_back_under_another_name_is_a_rename() -> None:
    new = entry("new", args=[1])
    stored = {"old": definition_hash(entry("old", args=[1])), "gone": definition_hash(entry("gone", args=[2]))}
    found = difference([new], stored, frozenset())
    assert found == Difference([new], ["gone"], [], {"new": "old"})


def test_renames_pair_one_by_one_and_the_rest_is_new_or_removed() -> None:
    same = definition_hash(entry("x"))
    assert difference([entry("c"), entry("d"), entry("e")], {"a": same, "b": same}, frozenset()) == Difference(
        [entry("c"), entry("d"), entry("e")], [], [], {"c": "a", "d": "b"}
    )
    found = difference([entry("c")], {"a": same, "b": same}, frozenset())
    assert (found.removes, found.renames) == (["b"], {"c": "a"})


def test_an_entry_that_stays_or_only_changes_is_no_rename() -> None:
    same = definition_hash(entry("x"))
    found = difference([entry("kept"), entry("copy")], {"kept": same}, frozenset())
    assert (found.removes, found.renames) == ([], {})
    found = difference(
        [entry("old", args=[5])], {"old": same, "gone": definition_hash(entry("g", args=[5]))}, frozenset()
    )
    assert (found.removes, found.renames) == (["gone"], {})
    found = difference([entry("held")], {"gone": same}, frozenset({"held"}))
    assert (found.removes, found.renames) == (["gone"], {})


@pytest.mark.parametrize(
    "stored, removed, too_much",
    [(10, 10, False), (11, 5, False), (11, 6, True), (12, 6, False), (12, 7, True), (100, 50, False), (100, 51, True)],
)
def test_losing_more_than_half_of_more_than_ten_entries_is_taken_for_a_mistake(
    stored: int, removed: int, too_much: bool
) -> None:
    assert shrinks_too_much(stored, removed) is too_much
