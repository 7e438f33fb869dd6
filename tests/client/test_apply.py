"""Whole sets of entries on a real server: races, crashes between steps, renames, runs left."""

import json
from collections.abc import Callable
from typing import Any

import pytest

import beatd
from beatd.client import apply, entries
from beatd.client.blocking import Client
from beatd.client.definitions import definitions_of
from beatd.client.steps import Ask, Steps
from beatd.core.change_set import ChangeSet
from beatd.core.edit import put_item
from beatd.core.entry import entry_from_definition
from beatd.errors import BeatdError, Conflict, EntryInvalid, OtherOwner, Unreachable
from beatd.store.entries import fresh_nonce
from beatd.store.refusals import ConnectionClosed
from beatd.store.scripts import Call
from tests.support.servers import RedisServer
from tests.support.store import Store

OWNER = "apply:default"
FIELDS: dict[str, Any] = {"task": "t", "cron": "0 9 * * *"}


def many(count: int, **fields: Any) -> dict[str, dict[str, Any]]:
    return {f"e-{i:05d}": {**FIELDS, "args": [i], **fields} for i in range(count)}


def named(client: Client) -> set[str]:
    return {state.name for state in client.iterate()}


def is_write(question: Ask) -> bool:
    return any(isinstance(each, Call) for each in question.commands)


def run(client: Client, steps: Steps[Any], before: Callable[[int], None], after: Callable[[int], None]) -> None:
    """Runs a verb with something before and after its n-th write. An error of `after` is the answer that was lost."""
    writes = 0
    question = next(steps)
    while True:
        writes += (found := is_write(question))
        try:
            if found:
                before(writes)
            replies = client.link.exchange(question.commands, tolerant=question.tolerant)
            if found:
                after(writes)
        except BeatdError as error:
            send: Any = lambda error=error: steps.throw(error)  # noqa: E731
        else:
            send = lambda replies=replies: steps.send(replies)  # noqa: E731
        try:
            question = send()
        except StopIteration:
            return


def planned(client: Client, wanted: dict[str, Any], **options: Any) -> ChangeSet:
    return client.run(apply.plan(client.keys, definitions_of(wanted, OWNER), OWNER, **options))


def write(client: Client, changes: ChangeSet) -> Steps[None]:
    return apply.apply(client.keys, changes, fresh_nonce, '{"client":"test"}')


def nothing(_: int) -> None:
    """No disturbance."""


def test_a_set_is_applied_in_steps_and_applied_again_does_nothing(client: Client, clean_redis: RedisServer) -> None:
    wanted = many(1_200)
    assert len(client.apply(wanted, note="first").of("add")) == 1_200
    assert named(client) == set(wanted)
    rows = len(Store(clean_redis).rows("log"))
    again = client.apply(wanted)
    assert (again.differs, again.same) == (False, 1_200)
    assert len(Store(clean_redis).rows("log")) == rows
    changed = client.apply({**many(1_000), "e-00007": {**FIELDS, "args": ["x"]}}, prune=True)
    assert [change.name for change in changed.of("change")] == ["e-00007"]
    assert len(changed.of("remove")) == 200
    assert named(client) == set(many(1_000))


@pytest.mark.parametrize("killed_at", [1, 2, 3])
@pytest.mark.parametrize("when", ["before", "after"])
def test_what_was_killed_between_steps_goes_on_when_repeated(client: Client, killed_at: int, when: str) -> None:
    client.apply(many(1, task="gone"))
    client.set("foreign", **FIELDS)
    wanted = {f"n-{i:05d}": {**FIELDS, "args": [i]} for i in range(900)}

    def kill(write_: int) -> None:
        if write_ == killed_at:
            raise Unreachable("killed")

    changes = planned(client, wanted, prune=True)
    with pytest.raises(Unreachable):
        run(client, write(client, changes), *((kill, nothing) if when == "before" else (nothing, kill)))
    done = killed_at - (when == "before")
    assert len(named(client) & set(wanted)) == min(900, 500 * done)
    assert len(client.apply(wanted, prune=True).of("add")) == max(0, 900 - 500 * done)
    assert named(client) == {*wanted, "foreign"}


def test_an_answer_that_was_lost_is_found_out(client: Client) -> None:
    def lose(number: int) -> None:
        if number == 1:
            raise ConnectionClosed("closed")

    changes = planned(client, many(20))
    run(client, write(client, changes), nothing, lose)
    assert named(client) == set(many(20))
    revisions = {state.name: state.revision for state in client.iterate()}
    assert not client.apply(many(20)).differs
    assert revisions == {state.name: state.revision for state in client.iterate()}


def test_who_loses_a_race_is_told_which_names_and_what_changed(client: Client) -> None:
    client.apply(many(3))
    changes = planned(client, many(3, task="mine"))

    def race(number: int) -> None:
        if number == 1:
            client.apply({"e-00001": {**FIELDS, "args": [1], "queue": "theirs"}})

    with pytest.raises(Conflict) as lost:
        run(client, write(client, changes), race, nothing)
    assert "'e-00001'" in lost.value.message
    assert lost.value.changes == (("queue", "celery", "theirs"),)
    assert lost.value.revision == client.get("e-00001").revision
    assert client.get("e-00000").definition["task"] == "t", "all or nothing"
    client.apply(many(3, task="mine"))
    assert {state.definition["task"] for state in client.iterate()} == {"mine"}


@pytest.mark.parametrize("race", ["created", "removed"])
def test_a_name_that_came_or_went_is_a_lost_race(client: Client, race: str) -> None:
    if race == "removed":
        client.apply({"a": FIELDS})
    changes = planned(client, {"a": {**FIELDS, "task": "new"}})

    def disturb(number: int) -> None:
        if number == 1 and race == "created":
            client.set("a", **FIELDS)
        elif number == 1:
            client.run(entries.remove(client.keys, ["a"], "{}"))

    with pytest.raises(Conflict, match="'a'"):
        run(client, write(client, changes), disturb, nothing)


def test_a_pause_that_came_between_is_no_lost_race(client: Client) -> None:
    client.apply(many(3))
    changes = planned(client, {"e-00000": {**FIELDS, "task": "new"}}, prune=True)

    def pause(number: int) -> None:
        if number < 3:
            client.pause(f"e-0000{number - 1}")

    run(client, write(client, changes), pause, nothing)
    [state] = client.iterate()
    assert (state.name, state.state, state.definition["task"]) == ("e-00000", "paused", "new")


def test_a_rename_is_one_step_with_its_pause_and_its_runs(client: Client, clean_redis: RedisServer) -> None:
    client.apply({"old": {**FIELDS, "max_runs": 5}})
    client.pause("old", note="a deploy")
    Store(clean_redis).do("HSET", client.keys.key("left"), "old", 3)
    changes = client.apply({"new": {**FIELDS, "max_runs": 5}}, prune=True)
    assert [(each.op, each.name, each.replaces) for each in changes.changes] == [("rename", "new", "old")]
    [state] = client.iterate()
    assert (state.name, state.state, state.runs_left) == ("new", "paused", 3)


def test_a_rename_of_what_somebody_changed_meanwhile_is_a_lost_race(client: Client) -> None:
    client.apply({"old": FIELDS})
    changes = planned(client, {"new": FIELDS}, prune=True)

    def race(number: int) -> None:
        if number == 1:
            client.apply({"old": {**FIELDS, "task": "theirs"}})

    with pytest.raises(Conflict, match="'new'"):
        run(client, write(client, changes), race, nothing)
    assert named(client) == {"old"}


def test_runs_left_change_by_the_difference(client: Client, clean_redis: RedisServer) -> None:
    client.apply({"a": {**FIELDS, "max_runs": 5}})
    Store(clean_redis).do("HSET", client.keys.key("left"), "a", 2)
    client.apply({"a": {**FIELDS, "max_runs": 8}})
    assert client.get("a").runs_left == 5
    client.apply({"a": {**FIELDS, "max_runs": 8, "task": "new"}})
    assert client.get("a").runs_left == 5
    client.apply({"a": FIELDS})
    assert client.get("a").runs_left is None


def test_a_files_entry_is_refused_and_nothing_is_written(client: Client) -> None:
    item = put_item(entry_from_definition("f", json.dumps({**FIELDS, "owner": "file"})), "n", file_hash="h")
    client.run(entries.put(client.keys, [item], "{}"))
    with pytest.raises(OtherOwner) as refused:
        client.apply({"a": FIELDS, "f": {**FIELDS, "task": "mine"}}, take_over=True, prune=True)
    assert (refused.value.name, refused.value.owner) == ("f", "file")
    assert named(client) == {"f"}


def test_what_was_exported_applies_to_another_namespace(client: Client, clean_redis: RedisServer) -> None:
    client.set("a b/ü", **FIELDS, kwargs={"x": "${y}"}, tags=["q"])
    client.apply(many(3), owner="team")
    with Client(clean_redis.url, "other") as other:
        other.apply(client.export())
        assert list(other.export()) == list(client.export())
        assert not other.diff(client.export(), prune=True).differs
        assert [each["name"] for each in client.export("e-*", owners=["apply:*"])] == list(many(3))


@pytest.mark.parametrize(
    "wanted, what",
    [
        ({"a": {**FIELDS, "colour": 1}}, "'a': unknown key 'colour'"),
        ({"a": {**FIELDS, "owner": "api"}}, "'a': owner"),
        ({"x" * 300: FIELDS}, "1 to 200 characters"),
        ({"a": 3}, "'a': found int"),
        ([{"task": "t"}], "each entry is a mapping with `name`"),
        ([{"name": "a", **FIELDS}] * 2, "'a' is there twice"),
        ({"a": {**FIELDS, "kwargs": {"x": "y" * 300_000}}}, "'a':"),
    ],
)
def test_bad_entries_are_refused_before_anything_is_written(client: Client, wanted: Any, what: str) -> None:
    with pytest.raises(EntryInvalid, match=what):
        client.apply(wanted if isinstance(wanted, list) else {"fine": FIELDS, **wanted})
    assert named(client) == set()


def test_all_bad_entries_of_a_set_are_told_at_once(client: Client) -> None:
    wanted: Any = {"a": {**FIELDS, "colour": 1}, "fine": FIELDS, "b": 3}
    with pytest.raises(EntryInvalid) as caught:
        client.apply(wanted)
    assert caught.value.message.startswith("2 can't be used: 'a': unknown key 'colour'")
    assert "; 'b': found int; a mapping" in caught.value.message
    with pytest.raises(EntryInvalid, match=r"^12 can't be used: .* and 2 more$"):
        client.diff(dict.fromkeys("abcdefghijkl", 3))  # type: ignore[arg-type]
    assert named(client) == set()


async def test_the_client_for_asyncio_does_the_same(clean_redis: RedisServer) -> None:
    async with beatd.AsyncClient(clean_redis.url) as client:
        assert (await client.diff(many(3))).differs
        assert len((await client.apply(many(3))).changes) == 3
        assert not (await client.diff(many(3), prune=True)).differs
        assert [each["name"] async for each in client.export()] == list(many(3))
