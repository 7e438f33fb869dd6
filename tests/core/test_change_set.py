"""What a set of definitions would do to what is stored."""

import json

import pytest

from beatd.core.change_set import Change, ChangeSet, Held, as_wanted, change_set, owner_named
from beatd.core.edit import ABSENT
from beatd.core.entry import entry_from_definition
from beatd.core.field_changes import FieldChange
from beatd.errors import EntryInvalid

OWNER = "apply:x"


def text(**fields: object) -> str:
    spec = {"task": "t", "cron": "0 9 * * *", "owner": OWNER, **fields}
    return entry_from_definition("a", json.dumps(spec)).to_definition()


def held(rev: str = "r1", *, of_file: bool = False, **fields: object) -> Held:
    return Held(rev, text(**fields).encode(), of_file)


def ops(changes: ChangeSet) -> list[tuple[str, str]]:
    return [(change.op, change.name) for change in changes.changes]


def test_what_is_new_changed_and_the_same_in_the_order_given() -> None:
    wanted = {"n": text(), "c": text(task="new"), "s": text()}
    found = change_set(wanted, {"c": held("r7"), "s": held(), "mine": held()}, OWNER)
    assert ops(found) == [("add", "n"), ("change", "c")]
    assert [change.expected for change in found.changes] == [ABSENT, "r7"]
    assert found.changes[1].fields == [FieldChange("task", "t", "new")]
    assert (found.same, found.differs) == (1, True)


def test_prune_removes_what_the_owner_has_besides_and_nobody_elses() -> None:
    stored = {"mine": held("r3"), "api": held(owner="api"), "y": held(owner="apply:y"), "f": held(of_file=True)}
    found = change_set({}, stored, OWNER, prune=True)
    assert ops(found) == [("remove", "mine")]
    assert found.changes[0].expected == "r3"
    assert not change_set({}, stored, OWNER).differs


def test_the_same_definition_under_another_name_is_a_rename() -> None:
    stored = {"old": held("r1"), "older": held("r2"), "third": held("r3", task="other")}
    found = change_set({"new": text(), "changed": text(task="z")}, stored, OWNER, prune=True)
    assert ops(found) == [("rename", "new"), ("add", "changed"), ("remove", "older"), ("remove", "third")]
    rename = found.changes[0]
    assert (rename.replaces, rename.expected, rename.fields) == ("old", ABSENT, [])
    assert ops(change_set({"new": text()}, stored, OWNER)) == [("add", "new")]


@pytest.mark.parametrize("owner", ["api", "apply:y"])
def test_names_of_others_are_conflicts_unless_taken_over(owner: str) -> None:
    stored = {"a": held(owner=owner, task="other")}
    assert change_set({"a": text()}, stored, OWNER).conflicts == [("a", owner)]
    taken = change_set({"a": text()}, stored, OWNER, take_over=True)
    assert not taken.conflicts
    assert [field.field for field in taken.changes[0].fields] == ["owner", "task"]


def test_a_file_keeps_its_names() -> None:
    found = change_set({"a": text(task="new")}, {"a": held(of_file=True)}, OWNER, take_over=True)
    assert (found.conflicts, found.changes) == ([("a", "file")], [])


def test_what_others_hold_as_it_is_wanted_stays_with_them() -> None:
    found = change_set({"a": text(), "f": text()}, {"a": held(owner="api"), "f": held(of_file=True)}, OWNER)
    assert (found.elsewhere, found.same, found.differs) == ([("a", "api"), ("f", "file")], 2, False)
    assert ops(change_set({"a": text()}, {"a": held(owner="api")}, OWNER, take_over=True)) == [("change", "a")]


def test_another_spelling_is_no_difference_and_another_type_is_one() -> None:
    spelt = json.dumps({"owner": OWNER, "task": "t", "cron": "0 9 * * *", "args": [1]}, indent=1).encode()
    assert not change_set({"a": text(args=[1])}, {"a": Held("r", spelt)}, OWNER).differs
    assert change_set({"a": text(args=[True])}, {"a": Held("r", spelt)}, OWNER).differs
    assert not as_wanted("a", text(args=[1.0]), Held("r", spelt))


def test_unknown_fields_are_kept() -> None:
    stored = {"a": Held("r", json.dumps({**json.loads(text()), "newer": 1}).encode())}
    assert not change_set({"a": text()}, stored, OWNER).differs
    [change] = change_set({"a": text(task="new")}, stored, OWNER).changes
    assert json.loads(change.definition)["newer"] == 1
    assert [field.field for field in change.fields] == ["task"]


@pytest.mark.parametrize("definition", [b"", b"[1]", b'{"owner":"apply:x","task":3,"newer":1}'])
def test_what_cannot_be_read_is_written_anew(definition: bytes) -> None:
    stored = {"a": Held("r", definition)}
    [change] = change_set({"a": text()}, stored, OWNER, take_over=True).changes
    assert (change.op, change.definition) == ("change", text())
    assert change.fields


@pytest.mark.parametrize("label", ["x", "apply:x", "team/a.b-c@d_1", "X" * 64])
def test_labels(label: str) -> None:
    assert owner_named(label) == f"apply:{label.removeprefix('apply:')}"


@pytest.mark.parametrize("label", ["", "a b", "-x", "é", "X" * 65, "apply:", "a:b"])
def test_no_labels(label: str) -> None:
    with pytest.raises(EntryInvalid, match="owner"):
        owner_named(label)


def test_a_change_of_an_absent_name_must_find_it_free() -> None:
    assert Change("add", "a", text()).expected == ABSENT
