"""Rows of the change log: read without ever failing, told field by field, and replayed."""

import json
import random
from typing import Any

import pytest

from beatd.core.change_log import Change, Kept, Newest, Replay, Told, change_of
from beatd.core.field_changes import FieldChange


def definition(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def put(name: str = "a", rev: str = "n1.f", was: str = "", **fields: Any) -> Change:
    return Change("put", 1_000, name, rev, was, definition(**fields))


def remove(name: str = "a", was: str = "n1.f") -> Change:
    return Change("remove", 2_000, name, "", was, b"{}")


def newest(changes: list[Change], count: int, name: str | None = None) -> list[Told]:
    """The newest changes, as they are read: from the last row back to the first that is needed."""
    found = Newest(lambda change: name in (None, change.name), count)
    for change in reversed(changes):
        if found.full:
            break
        found.add(change)
    return found.oldest_first()


def replayed(*changes: Change) -> list[Told]:
    replay = Replay()
    return [replay.add(change) for change in changes]


# Rows


def test_a_row_of_a_put_is_read_whole() -> None:
    change = change_of(7, {
        b"op": b"put", b"name": b"a", b"rev": b"n2.f", b"was": b"n1.f", b"at": b"5", b"def": b'{"task":"t"}',
        b"file": b"h", b"enabled": b"0", b"pause": b'{"at":"4","who":"me","note":"n"}', b"replaces": b"b",
        b"who": b'{"client":"c","note":"why"}',
    })  # fmt: skip
    assert change == Change(
        "put", 5, "a", "n2.f", "n1.f", b'{"task":"t"}', "h", enabled=False, replaces="b",
        pause={"at": "4", "who": "me", "note": "n"}, who={"client": "c", "note": "why"},
    )  # fmt: skip
    assert (change.what, change.note) == ("changed", "why")


@pytest.mark.parametrize(
    "junk", [b"", b"x", b"\xff", b"[]", b"null", b"1", b"{", b"[" * 5_000, b'{"note":[1]}', b'{"at":{}}', b"9" * 40]
)
@pytest.mark.parametrize(
    "field", [b"at", b"def", b"enabled", b"pause", b"asks", b"who", b"left", b"rev", b"was", b"what"]
)
def test_what_another_client_wrote_into_a_row_never_makes_it_unreadable(field: bytes, junk: bytes) -> None:
    for op in (b"put", b"remove", b"pause", b"resume", b"reset", b"conquer"):
        change = change_of(7, {b"op": op, b"name": b"a", field: junk})
        assert change is not None
        assert change.at == (int(junk) if field == b"at" and len(junk) == 1 and junk.isdigit() else 7)
        assert isinstance(change.note, str)
        for told in (*replayed(put(), change), *newest([put(), change], 9)):
            assert told.change.name == "a"


@pytest.mark.parametrize("fields", [{}, {b"op": b"put"}, {b"name": b"a"}, {b"the": b"end"}])
def test_a_row_that_names_no_entry_is_no_change(fields: dict[bytes, bytes]) -> None:
    assert change_of(7, fields) is None


@pytest.mark.parametrize("change, what", [
    (put(), "created"), (put(was="n0.f"), "changed"), (remove(), "removed"),
    (Change("put", 1, "a", "r", replaces="b"), "renamed"), (Change("put", 1, "a", "r", "q", replaces="b"), "changed"),
    (Change("remove", 1, "a", heir="b"), "renamed"), (Change("pause", 1, "a"), "paused"),
    (Change("resume", 1, "a"), "resumed"), (Change("reset", 1, "a"), "reset"), (Change("request", 1, "a"), "asked"),
    (Change("conquer", 1, "a"), "conquer"),
])  # fmt: skip
def test_what_was_done_is_said_in_a_word(change: Change, what: str) -> None:
    assert change.what == what


def test_the_note_is_the_one_of_the_edit_or_else_of_the_pause() -> None:
    pause = Change("pause", 1, "a", pause={"note": "a deploy"})
    assert pause.note == "a deploy"
    assert Change("pause", 1, "a", pause={"note": "a deploy"}, who={"note": "why"}).note == "why"
    assert Change("put", 1, "a", pause={"note": "a deploy"}).note == ""
    assert Change("request", 1, "a", asks={"note": "once more"}).note == "once more"


# Field by field


def test_a_put_tells_the_fields_that_it_changed() -> None:
    changes = [put(cron="0 9 * * *", task="t"), put(rev="n2.f", was="n1.f", cron="0 9 * * *", task="u", queue="q")]
    created, changed = replayed(*changes)
    assert created.fields == (FieldChange("cron", None, "0 9 * * *"), FieldChange("task", None, "t"))
    assert changed.fields == (FieldChange("queue", None, "q"), FieldChange("task", "t", "u"))
    assert newest(changes, 9) == [created, changed]
    assert newest(changes, 1) == [changed]


def test_what_a_put_changed_is_not_known_where_the_row_before_is_gone() -> None:
    changes = [put(rev="n2.f", was="n1.f", task="t"), put(rev="n3.f", was="n2.f", task="u")]
    assert [told.fields for told in replayed(*changes)] == [None, (FieldChange("task", "t", "u"),)]
    assert newest(changes, 9) == replayed(*changes)


def test_pauses_between_two_puts_hide_nothing() -> None:
    changes = [
        put(task="t"), Change("pause", 2, "a", "p1.f", "n1.f", pause={"who": "me"}),
        Change("resume", 3, "a", "r1.f", "p1.f"), put(rev="n2.f", was="r1.f", task="u"),
    ]  # fmt: skip
    assert replayed(*changes)[-1].fields == (FieldChange("task", "t", "u"),)
    assert newest(changes, 1) == replayed(*changes)[-1:]


def test_an_entry_that_came_anew_differs_from_nothing() -> None:
    changes = [put(task="t"), remove(), put(rev="n2.f", task="t")]
    assert [told.fields for told in replayed(*changes)][1:] == [(), (FieldChange("task", None, "t"),)]
    assert newest(changes, 9) == replayed(*changes)


@pytest.mark.parametrize("spoilt", [b"", b"x", b"[]", b"\xff"])
def test_a_definition_that_can_not_be_read_has_no_fields(spoilt: bytes) -> None:
    changes = [Change("put", 1, "a", "n1.f", "", spoilt), put(rev="n2.f", was="n1.f", task="t")]
    assert [told.fields for told in replayed(*changes)] == [None, None]


def test_only_as_many_rows_are_read_as_are_needed() -> None:
    found = Newest(lambda change: True, 1)
    found.add(put(rev="n3.f", was="n2.f", task="u"))
    assert not found.full  # what was before it is not known yet
    found.add(put("b"))
    assert not found.full
    found.add(put(rev="n2.f", was="n1.f", task="t"))
    assert found.full


# Replayed


def test_the_rows_of_an_entry_make_its_state() -> None:
    replay, pause = Replay(), {"at": "2", "who": "me", "note": ""}
    replay.add(Change("put", 1, "a", "n1.f", "", b"{}", "h", enabled=False))
    assert replay.entries == {"a": Kept("n1.f", b"{}", "h", enabled=False)}
    replay.add(Change("pause", 2, "a", "p1.f", "n1.f", pause=pause))
    replay.add(Change("reset", 3, "a", "s1.f", "p1.f", left=5))
    assert replay.entries == {"a": Kept("s1.f", b"{}", "h", enabled=False, pause=pause)}
    replay.add(Change("resume", 4, "a", "r1.f", "s1.f"))
    assert replay.entries == {"a": Kept("r1.f", b"{}", "h", enabled=False)}
    replay.add(Change("request", 5, "a"))
    assert replay.entries == {"a": Kept("r1.f", b"{}", "h", enabled=False)}
    replay.add(remove(was="r1.f"))
    replay.add(Change("request", 5, "a"))
    assert replay.entries == {}


def test_of_an_entry_whose_put_is_gone_the_rest_is_known() -> None:
    replay = Replay()
    replay.add(Change("pause", 2, "a", "p1.f", "n1.f", pause={"who": "me"}))
    assert replay.entries == {"a": Kept("p1.f", None, pause={"who": "me"})}


@pytest.mark.parametrize("seed", range(200))
def test_forwards_and_backwards_tell_the_same(seed: int) -> None:
    r, changes, revs = random.Random(seed), [], dict.fromkeys("abc", "")
    for number in range(40):
        name, rev = r.choice("abc"), f"n{number}.f"
        op = r.choice(["put", "put", "pause", "resume", "remove"]) if revs[name] else "put"
        rev = "" if op == "remove" else rev
        fields = definition(task=r.choice("tu"), args=[r.randint(0, 1)]) if op in ("put", "remove") else None
        changes.append(Change(op, number, name, rev, revs[name], fields))
        revs[name] = rev
    changes = changes[r.randint(0, 10) :]  # the log was trimmed
    forwards, name = replayed(*changes), r.choice("abc")
    count = r.randint(1, 40)
    assert newest(changes, count) == forwards[-count:]
    assert newest(changes, count, name) == [told for told in forwards if told.change.name == name][-count:]
