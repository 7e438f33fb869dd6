"""Remove and pause take back what is decided for another broker and not sent yet; no other edit does."""

import pytest

from beatd.core.fire import Skip
from beatd.core.term import Term
from tests.support.store import Store, fire_item, put_item

HOUR = 3_600_000
TAKEN_BACK = "it was decided, and taken back before the broker had confirmed it"


@pytest.fixture
def kept(store: Store, term: Term) -> Store:
    """Two intents of `a`, the later one first in the outbox, and one each of `b` and `other`."""
    for name in ("a", "b", "other"):
        store.plant(name, 1_000)
    items = [
        fire_item("a", slots=(1_000, 1_100), plain=False, messages=(b"1", b"2")),
        fire_item("b"),
        fire_item("other"),
    ]
    assert store.settle(term, *items) == "000"
    head = store.hash("ob")["1-1"]
    store.do("HDEL", store.key("ob"), "1-1")
    store.do("HSET", store.key("ob"), "1-1", head)
    return store


def withdrawn(store: Store) -> list[tuple[str, list[Skip]]]:
    """What the rows that speak of the outbox tell."""
    told = [row.get("why") == TAKEN_BACK for row in store.rows("skip")]
    return [skips for skips, is_told in zip(store.skips(), told, strict=True) if is_told]


def two(reason: str) -> tuple[str, list[Skip]]:
    return "a", [Skip(reason, 1, 1_000, 1_000), Skip(reason, 1, 1_100, 1_100)]  # type: ignore[arg-type]


def test_a_removal_withdraws_the_intents_of_its_entries_and_says_so(kept: Store) -> None:
    assert kept.remove("a", "b") == "00"
    assert [head[0] for head, _ in kept.intents().values()] == ["other"]
    assert withdrawn(kept) == [two("removed"), ("b", [Skip("removed", 1, 1_000, 1_000)])]


@pytest.mark.parametrize("ahead", [None, HOUR])
def test_a_pause_withdraws_the_intents_of_its_entries_and_says_so(kept: Store, ahead: int | None) -> None:
    assert kept.pause("a", "b", until=None if ahead is None else kept.now() + ahead) == "00"
    assert [head[0] for head, _ in kept.intents().values()] == ["other"]
    assert withdrawn(kept) == [two("paused"), ("b", [Skip("paused", 1, 1_000, 1_000)])]


def test_the_rows_are_written_once_whatever_is_repeated(kept: Store) -> None:
    for _ in range(2):
        kept.pause("a")
        kept.remove("b")
    assert len(withdrawn(kept)) == 2


def test_a_refused_removal_withdraws_nothing(kept: Store) -> None:
    with kept.unchanged():
        assert kept.remove("a", "b", expected=["*", "n0.f0"]) == "02"


@pytest.mark.parametrize("until", [None, 5])
def test_a_refused_pause_withdraws_nothing(kept: Store, until: int | None) -> None:
    with kept.unchanged():
        assert "0" not in kept.pause("gone" if until is None else "a", until=until)


def test_no_other_edit_withdraws_anything(kept: Store) -> None:
    kept.plant("paused", 1_000)
    kept.pause("paused")
    before = kept.intents()
    kept.put(put_item("a", "n2.f2"), put_item("b", "n2.f1", enabled=False), put_item("renamed", replaces="other"))
    kept.resume("paused")
    assert kept.intents() == before


def test_what_comes_after_a_pause_is_kept(kept: Store, term: Term) -> None:
    kept.pause("a")
    kept.resume("a", catchup=True)
    kept.plant("a", 9_000)
    assert kept.settle(term, fire_item("a", 9_000, 10_000)) == "0"
    assert ["a", "9000"] in [head[:2] for head, _ in kept.intents().values()]


def test_a_head_that_nobody_can_read_stops_no_edit(kept: Store) -> None:
    kept.do("HSET", kept.key("ob"), "1-2", "junk", "x", "a\x1f1000\x1f")
    assert kept.remove("a") == "0"
    assert withdrawn(kept) == [("a", [Skip("removed", 1, 1_000, 1_000)])]
    assert set(kept.hash("ob")) == {"1-2", "1-3", "1-4", "x"}


@pytest.mark.parametrize("kind", ["ob", "obm"])
def test_a_key_of_another_type_refuses_the_edit(kept: Store, kind: str) -> None:
    kept.do("DEL", kept.key(kind))
    kept.do("SET", kept.key(kind), "x")
    for edit in (kept.remove, kept.pause):
        with pytest.raises(Exception, match=f"BADTYPE {kept.key(kind)} holds a string"):
            edit("a")


def test_2000_intents_are_withdrawn_in_one_call(store: Store) -> None:
    store.plant("a", 1_000)
    for n in range(1, 2_001):
        head = "\x1f".join(["a", str(n), f"t{n}", "q", "", "", "0", "b", "", "1"])
        store.client.hset(store.key("ob"), f"9-{n}", head)
        store.client.hset(store.key("obm"), f"9-{n}", "m")
    assert store.remove("a") == "0"
    assert store.intents() == {}
    assert [skip.first for skip in withdrawn(store)[0][1]] == list(range(1, 2_001))
