"""Entries of files as texts, with hashes that know what they mean and not how they were spelt."""

from beatd.core.entry import Entry, entry_from_spec
from beatd.core.entry_set import EntrySet


def entry(name: str, **more: object) -> Entry:
    return entry_from_spec(name, {"task": "app.run", "every": "1m", **more})


def test_a_definition_has_the_hash_of_its_content_and_not_of_its_spelling() -> None:
    spelt = EntrySet.of([entry("a", grace="90s"), entry("b", grace="1m30s"), entry("c", grace="91s")]).hashes
    assert spelt["a"] == spelt["b"] != spelt["c"]


def test_a_set_is_the_same_in_any_order_and_another_with_any_change() -> None:
    a, b = entry("a"), entry("b")
    assert EntrySet.of([a, b]).hash == EntrySet.of([b, a]).hash
    others = [EntrySet.of(some).hash for some in ([a], [], [a, entry("c")], [a, entry("b", args=[1])])]
    assert len({EntrySet.of([a, b]).hash, *others}) == 5


def test_it_counts_its_entries() -> None:
    assert (len(EntrySet.of([entry("a"), entry("b")])), len(EntrySet.of([]))) == (2, 0)
