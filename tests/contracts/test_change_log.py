"""Rows of the change log: each says what stands after an edit, and all of them together stay within bounds."""

import json
import random

import pytest

from beatd.core.edit import PutItem
from beatd.store.entries import Pause, pause_call, put_call, remove_call, reset_call, resume_call
from beatd.store.scripts import Call
from tests.support.change_log import KINDS, replayed, stored
from tests.support.store import WHO, Store, put_item, with_args

MB = 1_048_576
LARGEST = "x" * 131_072
KEPT = 2  # the argument that says how many rows are kept


def size(store: Store) -> int:
    """Bytes of the log."""
    return int(store.do("MEMORY", "USAGE", store.key("log"), "SAMPLES", 0))


def put_rows(store: Store, item: PutItem) -> dict[str, str]:
    """The row of a put."""
    assert store.put(item) == "0"
    return store.rows("log")[-1]


def test_a_row_tells_the_pause_that_stands_after_a_put(store: Store) -> None:
    assert put_rows(store, put_item())["pause"] == ""
    store.pause("a")
    paused = json.loads(store.rows("log")[-1]["pause"])
    assert json.loads(put_rows(store, put_item(rev="n2.f2"))["pause"]) == paused
    store.resume("a")
    assert put_rows(store, put_item(rev="n3.f2"))["pause"] == ""
    until = store.now() + 60_000
    store.pause("a", nonce="p2", until=until)
    held = json.loads(put_rows(store, put_item(rev="n4.f2"))["pause"])
    assert held == {"until": str(until), "who": "me@here", "note": "a deploy"}


def test_a_pause_that_is_over_is_not_told(store: Store) -> None:
    store.do("HSET", store.key("hold"), "a", '{"until":"5","who":"me"}')
    assert put_rows(store, put_item())["pause"] == ""


def test_a_row_tells_what_is_disabled_and_what_a_file_owns(store: Store) -> None:
    row = put_rows(store, put_item(enabled=False, file_hash="h1"))
    assert (row["enabled"], row["file"]) == ("0", "h1")


def edits(store: Store, who: str) -> list[Call]:
    """One of each."""
    return [
        put_call(store.keys, [put_item()], who),
        remove_call(store.keys, ["a"], who),
        pause_call(store.keys, ["a"], "p1", who, Pause("me")),
        resume_call(store.keys, ["a"], "r1", who, catchup=False),
        reset_call(store.keys, {"a": 1}, "s1", who),
    ]


def test_who_makes_an_edit_is_told_in_few_bytes(store: Store) -> None:
    for wanted in edits(store, "w" * 4097):
        assert store.refusal(wanted) == "MALFORMED who makes an edit is told in at most 4096 bytes"
    assert store.run(put_call(store.keys, [put_item()], "w" * 4096))[0] == "0"


@pytest.mark.parametrize("rows", [200, 0])
def test_an_edit_keeps_as_many_rows_as_its_client_says(store: Store, rows: int) -> None:
    for number in range(700):
        store.run(with_args(put_call(store.keys, [put_item(rev=f"n{number}.f1")], WHO), {KEPT: rows}))
    assert rows <= len(store.rows("log")) < rows + 200


def test_the_log_stays_within_its_bytes_however_large_its_rows_are(store: Store) -> None:
    for number in range(2_000):
        store.put(put_item(f"n{number}"))
    for number in range(300):  # 39 MB
        store.put(put_item("a", f"n{number}.f1", definition=LARGEST))
    assert size(store) < 18 * MB
    assert store.rows("log")[-1]["rev"] == "n299.f1"
    for number in range(300):
        store.pause("a", nonce=f"p{number}")
    assert size(store) < 17 * MB


def test_a_removal_of_many_large_entries_leaves_a_log_within_its_bytes(store: Store) -> None:
    names = [f"n{number}" for number in range(400)]
    for start in range(0, len(names), 7):
        store.put(*(put_item(name, definition=LARGEST) for name in names[start : start + 7]))
    assert store.remove(*names) == "0" * len(names)  # 52 MB of definitions in one call
    assert size(store) < 18 * MB
    assert [row["op"] for row in store.rows("log")[-2:]] == ["remove", "remove"]
    assert store.rows("log")[-1]["def"] == LARGEST


def test_a_definition_that_no_script_would_have_stored_is_not_kept(store: Store) -> None:
    store.plant("a", 1_000)
    store.do("HSET", store.key("def"), "a", LARGEST + "x")
    store.remove("a")
    assert store.rows("log")[-1]["def"] == ""


def test_small_rows_are_never_cut_for_their_bytes(store: Store) -> None:
    for number in range(40):
        store.put(*(put_item(f"n{number}-{i}") for i in range(100)))
    assert len(store.rows("log")) == 4_000


def test_a_user_who_may_not_weigh_keeps_a_number_of_rows(store: Store) -> None:
    rights = ["on", "nopass", "~*", "&*", "+@all", "-memory|usage", "-xlen"]
    store.do("ACL", "SETUSER", "few", *rights)
    try:
        store.do("AUTH", "few", "x")
        assert store.put(put_item()) == "0"
    finally:
        store.do("AUTH", "default", "")
        store.do("ACL", "DELUSER", "few")
    assert len(store.rows("log")) == 1


# Replayed


class Editor:
    """Random edits of all kinds, good and refused ones."""

    def __init__(self, store: Store, seed: int) -> None:
        self.store = store
        self.random = random.Random(seed)
        self.nonces = 0

    def edit(self) -> None:
        kinds = [self.put] * 4 + [self.remove, self.pause, self.pause, self.resume, self.resume, self.reset]
        self.random.choice(kinds)()

    def names(self) -> list[str]:
        return self.random.sample("abcde", self.random.choice([1, 1, 2, 3]))

    def nonce(self) -> str:
        self.nonces += self.random.choice([1, 1, 1, 0])
        return f"n{self.nonces}"

    def put(self) -> None:
        names = self.names()
        free = [name for name in "abcde" if name not in names]
        self.store.put(*[self.item(name, free) for name in names])

    def item(self, name: str, free: list[str]) -> PutItem:
        r = self.random
        return put_item(
            name,
            f"{self.nonce()}.f{r.randint(1, 2)}",
            definition=json.dumps({"task": r.choice("tu"), "args": [r.random()]}),
            left=r.choice(["", "3", "keep"]),
            enabled=r.random() < 0.7,
            file_hash=r.choice(["", "h1", "h2"]),
            expected=r.choice(["*", "*", "*", ""]),
            replaces=free.pop() if r.random() < 0.4 and free else "",
        )

    def remove(self) -> None:
        self.store.remove(*self.names())

    def pause(self) -> None:
        until = self.random.choice([None, None, self.store.now() + 3_600_000])
        self.store.pause(*self.names(), nonce=self.nonce(), until=until)

    def resume(self) -> None:
        self.store.resume(*self.names(), nonce=self.nonce())

    def reset(self) -> None:
        self.store.reset(nonce=self.nonce(), **dict.fromkeys(self.names(), 3))


@pytest.mark.parametrize("seed", range(12))
def test_the_rows_replayed_make_what_is_stored(store: Store, seed: int) -> None:
    editor = Editor(store, seed)
    for _ in range(150):
        editor.edit()
        hashes = {kind: {k.encode(): v.encode() for k, v in store.hash(kind).items()} for kind in KINDS}
        rows = [{key.encode(): value.encode() for key, value in row.items()} for row in store.rows("log")]
        assert replayed((0, row) for row in rows) == stored(hashes)
    assert {row["op"] for row in store.rows("log")} >= {"put", "remove", "pause", "resume"}
