"""Edits of entries of files: the leader's alone, and so is the note of whose files are stored."""

import pytest

from beatd.core.registration import Applied
from beatd.core.term import Term
from beatd.store.entries import applied_call, put_call, remove_call
from tests.support.store import NO_NUMBERS, WHO, Store, put_item, with_args

HERE = Applied("h1", 7, "here:1")
FORMER = Term(1, "former", 0, 0, 0, "")


@pytest.fixture
def term(store: Store) -> Term:
    return store.lead()


def test_the_leader_writes_removes_and_renames(store: Store, term: Term) -> None:
    first = put_call(store.keys, [put_item("a", file_hash="h"), put_item("b", file_hash="h")], WHO, term)
    assert store.run(first)[0] == "00"
    renamed = put_call(store.keys, [put_item("c", "n2.f1", file_hash="h", replaces="b")], WHO, term)
    assert store.run(renamed)[0] == "00"
    assert store.run(remove_call(store.keys, ["a"], WHO, term=term))[0] == "0"
    assert list(store.scores()) == ["c"]


@pytest.mark.parametrize("replaces", ["", "a"])
def test_a_former_leader_changes_nothing(store: Store, term: Term, replaces: str) -> None:
    store.put(put_item("a", file_hash="h"))
    for stale in (FORMER, Term(term.epoch, "former", 0, 0, 0, ""), Term(term.epoch + 1, term.owner, 0, 0, 0, "")):
        edit = put_call(store.keys, [put_item("b", "n2.f1", file_hash="h", replaces=replaces)], WHO, stale)
        assert store.refusal(edit).startswith("FENCED ")
        assert store.refusal(remove_call(store.keys, ["a"], WHO, term=stale)).startswith("FENCED ")
        assert store.refusal(applied_call(store.keys, stale, "look", "m1")).startswith("FENCED ")


def test_without_a_leader_nobody_writes_as_one(store: Store) -> None:
    assert store.refusal(put_call(store.keys, [put_item()], WHO, Term(0, "", 0, 0, 0, ""))).startswith("FENCED ")


def note(store: Store, term: Term, step: str, mark: str = "", applied: Applied = HERE) -> int:
    return int(store.run(applied_call(store.keys, term, step, mark, applied))[0])


def test_what_is_applied_is_noted_with_its_registration_and_a_beginning_keeps_that(store: Store, term: Term) -> None:
    assert note(store, term, "look", "m1") == note(store, term, "done", "m1") == 1
    assert store.hash("meta") == {"shards": "1", "file": "h1", "file_at": "7", "file_by": "here:1", "file_mark": "m1"}
    assert note(store, term, "begin") == 1
    assert store.hash("meta") == {"shards": "1", "file": "", "file_at": "7", "file_by": "here:1", "file_mark": "m1"}


def test_behind_the_mark_nothing_is_noted(store: Store, term: Term) -> None:
    note(store, term, "look", "m1")
    note(store, term, "look", "m2")
    with store.unchanged():
        assert note(store, term, "done", "m1") == 0


def test_only_what_is_applied_is_registered_anew(store: Store, term: Term) -> None:
    note(store, term, "look", "m1")
    note(store, term, "done", "m1")
    assert note(store, term, "same", "", Applied("h1", 9, "there:2")) == 1
    assert store.hash("meta")["file_at"] == "9"
    with store.unchanged():
        assert note(store, term, "same", "", Applied("h2", 10, "there:2")) == 0


@pytest.mark.parametrize("step, applied", [("done", Applied()), ("same", Applied()), ("other", Applied("h", 7, "me"))])
def test_a_step_without_what_it_needs_is_refused(store: Store, term: Term, step: str, applied: Applied) -> None:
    assert store.refusal(applied_call(store.keys, term, step, "m1", applied)).startswith("MALFORMED ")


@pytest.mark.parametrize("at", NO_NUMBERS)
def test_an_instant_that_is_none_is_refused(store: Store, term: Term, at: str) -> None:
    wanted = with_args(applied_call(store.keys, term, "done", "m1", HERE), {6: at})
    assert store.refusal(wanted).startswith("MALFORMED ")


def test_a_key_of_a_wrong_type_is_told(store: Store, term: Term) -> None:
    store.do("DEL", store.key("meta"))
    store.do("SET", store.key("meta"), "x")
    assert store.refusal(applied_call(store.keys, term, "look", "m1")).startswith("BADTYPE ")


@pytest.mark.parametrize("more", [["1"], ["1", "o", "o"], ["x", "o"]])
def test_a_fence_is_an_epoch_and_an_owner(store: Store, term: Term, more: list[str]) -> None:
    for wanted in (put_call(store.keys, [put_item()], WHO, term), remove_call(store.keys, ["a"], WHO, term=term)):
        args = [*wanted.args[:-2], *more]
        assert store.refusal(type(wanted)(wanted.script, wanted.keys, args)).startswith("MALFORMED ")
