"""Remove: after its answer nothing of an entry is left but its last fire and a note."""

import json

import pytest

from beatd.core.fire import Skip
from beatd.core.term import Term
from beatd.store.entries import remove_call
from beatd.store.scripts import call
from tests.support.store import NO_NUMBERS, REV, WHO, Store, fire_item, put_item, with_args

# It works under memory pressure in both forms: both texts must work.
pytestmark = pytest.mark.parametrize("store", ["plain", "flagged"], indirect=True)

LOG_ROWS, ITEMS = 2, 3
KINDS = (
    "lease",
    "def",
    "rev",
    "due",
    "out",
    "hold",
    "gone",
    "blocked",
    "last",
    "jit",
    "left",
    "skip",
    "log",
    "file",
    "req",
    "asked",
)


@pytest.mark.parametrize("kind", ["due", "blocked"])
def test_a_removed_entry_leaves_its_last_fire_and_a_note(store: Store, kind: str) -> None:
    store.plant("a", 1_000, kind=kind, jit=5, left=3, last="900|901|id|", hold='{"until":1}', file="h1")
    codes, now = store.run(remove_call(store.keys, ["a"], WHO))
    assert codes == "0"
    contents = store.contents()
    log = contents.pop(store.key("log"))
    note = contents.pop(store.key("gone"))
    assert store.skips() == [("a", [Skip("removed", 0, 995, int(now))])]
    del contents[store.key("skip")]
    assert contents == {store.key("last"): {"a": "900|901|id|"}}
    assert json.loads(note["a"]) == {"at": now, "file": True}
    row = {"op": "remove", "name": "a", "rev": "", "was": REV, "at": now, "def": "{}", "owed": "1000", "heir": ""}
    assert log[0][1] == {**row, "who": WHO}


def test_a_file_entry_leaves_its_pause_behind(store: Store) -> None:
    store.put(put_item("file", enabled=False, file_hash="h"), put_item("api", enabled=False))
    for name in ("file", "api"):
        store.do("HSET", store.key("out"), name, '{"paused":{"who":"me"},"owed":"-7"}')
    store.remove("file", "api")
    notes = {name: json.loads(text) for name, text in store.hash("gone").items()}
    assert notes["file"].pop("paused") == {"who": "me"}
    assert [(name, sorted(note)) for name, note in notes.items()] == [("file", ["at", "file"]), ("api", ["at", "file"])]
    assert [row["owed"] for row in store.rows("log")[-2:]] == ["-7", "-7"]


def test_what_is_still_to_come_is_not_missed(store: Store) -> None:
    store.plant("a", store.now() + 60_000)
    assert store.remove("a") == "0"
    assert store.do("EXISTS", store.key("skip")) == 0


@pytest.mark.parametrize("out, tells", [
    ('{"paused":{},"owed":"1000"}', [("a", 1_000)]), ('{"finished":{},"owed":"1000"}', []), ('{"disabled":{}}', []),
])  # fmt: skip
def test_what_an_entry_outside_the_timetable_owed_is_told_unless_it_was_over(
    store: Store, out: str, tells: list[tuple[str, int]]
) -> None:
    store.plant("a", 1_000, out=out)
    store.do("ZREM", store.key("due"), "a")
    store.remove("a")
    assert [(name, skip.first) for name, [skip] in (store.skips() if tells else [])] == tells
    assert store.do("EXISTS", store.key("skip")) == len(tells)


def test_removing_twice_is_removing_once(store: Store) -> None:
    store.put(put_item("a"), put_item("b", file_hash="h"))
    assert store.remove("a", "b") == "00"
    with store.unchanged():
        assert store.remove("a", "b") == "11"


def test_what_is_not_there_stops_nobody_else(store: Store) -> None:
    store.put(put_item("a"))
    assert store.remove("no", "a") == "10"
    assert store.hash("rev") == {}


def test_a_conflict_on_one_name_refuses_the_whole_removal(store: Store) -> None:
    store.put(put_item("a"), put_item("b"))
    with store.unchanged():
        assert store.remove("a", "b", "no", expected=[REV, "n0.f0", REV]) == "021"
    assert store.remove("a", "b", expected=[REV, REV]) == "00"


def test_after_a_removal_nothing_of_the_entry_fires(store: Store, term: Term) -> None:
    store.plant("a", 1_000)
    store.remove("a")
    with store.unchanged():
        assert store.fire(term, fire_item()) == "2"


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_of_a_wrong_type_is_named(store: Store, kind: str) -> None:
    store.do("SET", store.key(kind), "x")
    assert store.refusal(remove_call(store.keys, ["a"], WHO)).startswith(f"BADTYPE {store.key(kind)} holds a string")


def test_a_writer_of_another_format_is_refused(store: Store, term: Term) -> None:
    store.put(put_item())
    store.do("HSET", store.key("lease"), "format", 2)
    assert store.refusal(remove_call(store.keys, ["a"], WHO)).startswith("FORMAT ")


def test_a_name_twice_in_a_call_is_refused(store: Store) -> None:
    store.put(put_item())
    assert store.refusal(remove_call(store.keys, ["a", "a"], WHO)) == "MALFORMED the name a stands twice in one call"


def test_500_names_fit_one_call_and_501_do_not(store: Store) -> None:
    names = [f"n{i}" for i in range(501)]
    store.put(*map(put_item, names[:500]))
    assert store.refusal(remove_call(store.keys, names, WHO)).startswith("MALFORMED ")
    assert store.remove(*names[:500]) == "0" * 500


def test_more_than_a_megabyte_is_refused(store: Store) -> None:
    store.put(put_item())
    assert store.refusal(remove_call(store.keys, ["a"], "w" * 1_048_576)).startswith("MALFORMED ")


@pytest.mark.parametrize("changes", [{i: j} for i in (LOG_ROWS, ITEMS) for j in (*NO_NUMBERS, 2**60)])
def test_a_call_whose_numbers_are_wrong_is_refused(store: Store, changes: dict[int, int | str]) -> None:
    store.put(put_item())
    assert store.refusal(with_args(remove_call(store.keys, ["a"], WHO), changes)).startswith("MALFORMED ")
    assert store.refusal(call("remove", store.keys, [])).startswith("MALFORMED ")


@pytest.mark.parametrize(
    "junk", ["", "x", "[]", "null", '{"paused":1e999}', '{"owed":{}}', '{"owed":true}', '{"owed":null}', "[" * 2_000]
)
def test_spoilt_reasons_never_stop_a_removal_half_way(store: Store, junk: str) -> None:
    store.put(put_item("a", file_hash="h"), put_item("b"))
    store.do("ZREM", store.key("due"), "a")
    store.do("HSET", store.key("out"), "a", junk)
    assert store.remove("a", "b") == "00"
    assert store.hash("rev") == {}
    assert set(json.loads(store.hash("gone")["a"])) == {"at", "file"}
    assert [row["op"] for row in store.rows("log")] == ["put", "put", "remove", "remove"]


def test_a_row_that_redis_refuses_does_not_stop_a_removal(store: Store) -> None:
    store.do("XADD", store.key("log"), f"{2**64 - 1}-{2**64 - 1}", "the", "end")  # no id can follow
    store.plant("a", 1_000)
    assert store.remove("a") == "0"
    assert store.do("EXISTS", *map(store.key, ("rev", "def", "due"))) == 0
