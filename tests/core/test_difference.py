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


@pytest.mark.parametrize(
    "stored, removed, too_much",
    [(10, 10, False), (11, 5, False), (11, 6, True), (12, 6, False), (12, 7, True), (100, 50, False), (100, 51, True)],
)
def test_losing_more_than_half_of_more_than_ten_entries_is_taken_for_a_mistake(
    stored: int, removed: int, too_much: bool
) -> None:
    assert shrinks_too_much(stored, removed) is too_much
