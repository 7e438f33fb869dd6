"""The client as a program uses it, on a real server."""

import json
import math
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

import beatd
from beatd.client.blocking import Client
from beatd.errors import ClientClosed, ConfigInvalid, Conflict, EntryInvalid, NotFound, OtherOwner, Refused, Unreachable
from beatd.store.entries import Pause, pause_call
from tests.support.servers import RedisServer
from tests.support.store import Store

HOUR = timedelta(hours=1)


def make(client: Client, name: str = "a", **fields: Any) -> beatd.EntryState:
    return client.set(name, **{"task": "app.work", "cron": "0 9 * * *", **fields})


def last_change(server: RedisServer) -> dict[str, Any]:
    rows = Store(server).rows("log")
    return {**rows[-1], "who": json.loads(rows[-1]["who"])}


def test_an_entry_is_created_read_changed_and_removed(client: Client) -> None:
    made = client.set("a", task="app.work", every=timedelta(minutes=90), args=(1, [2]), kwargs={"x": {}}, tags=("t",))
    assert (made.state, made.owner, made.entry and made.entry.task) == ("scheduled", "api", "app.work")
    assert made.definition["every"] == "1h30m"
    assert made.next is not None
    assert made.next.tzinfo is UTC
    assert (made.last, made.paused, made.runs_left, made.why) == (None, None, None, None)
    assert client.get("a") == made
    changed = client.set("a", queue="other", grace=None)
    assert changed.revision != made.revision
    assert {**changed.definition, "queue": "celery"} == made.definition
    client.remove("a")
    assert client.find("a") is None
    with pytest.raises(NotFound, match="there is no entry 'a'"):
        client.remove("a")


def test_the_next_run_is_known_before_a_leader_has_planned_it(client: Client) -> None:
    at = datetime(2030, 1, 1, 9, tzinfo=timezone(HOUR))
    assert make(client, cron=None, at=at).next == at
    assert make(client, "b", enabled=False).next is None
    make(client, "c", cron="0 9 * * *")
    assert client.pause("c", until=at).next == datetime(2030, 1, 1, 9, tzinfo=UTC)


def test_none_gives_a_field_its_default_back_and_options_are_merged(client: Client) -> None:
    make(client, deadline="5m", options={"priority": 3, "headers": {"a": 1}}, description="x")
    found = client.set("a", deadline=None, options={"priority": None, "expires": 60}, description=None).definition
    assert found["options"] == {"headers": {"a": 1}, "expires": 60}
    assert {"deadline", "description"}.isdisjoint(found)
    assert "options" not in client.set("a", options=None).definition
    assert client.set("a", options={"queue": "q"}).definition["queue"] == "q"


def test_another_kind_of_schedule_takes_the_place_of_the_old_one(client: Client) -> None:
    make(client, cron=None, every="1h", anchor="2026-01-01T00:20:00Z", timezone="Asia/Tokyo")
    found = client.set("a", cron="5 * * * *").definition
    assert {"every", "anchor"}.isdisjoint(found)
    assert found["timezone"] == "Asia/Tokyo"


def test_an_edit_that_changes_nothing_writes_nothing(client: Client, clean_redis: RedisServer) -> None:
    made = make(client)
    assert make(client).revision == made.revision
    assert client.set("a", timezone="UTC", grace="60s").revision == made.revision
    assert len(Store(clean_redis).rows("log")) == 1


@pytest.mark.parametrize(
    "fields, said",
    [
        ({"at": datetime(2030, 1, 1), "cron": None}, "at: found a naive datetime"),  # it is refused
        ({"start": datetime(2030, 1, 1)}, "start: found a naive datetime"),  # it is refused
        ({"every": timedelta(microseconds=1500), "cron": None}, "every: found datetime.timedelta"),
        ({"cron": None, "at": "2020-01-01T00:00:00Z"}, "at: 2020-01-01T00:00:00Z is past"),
        ({"args": "abc"}, "args: found a text; a list"),
        ({"kwargs": {"a": (1,)}}, "kwargs.a: found tuple"),
        ({"crom": "* * * * *"}, "unknown key 'crom'"),
        ({"options": {"prio": 1}}, "prio"),
        ({"options": "x"}, "options: found a text"),
        ({"description": "x" * 140_000}, "the definition has 140"),
        ({"task": None}, "a new one needs a task"),
    ],
)
def test_what_can_not_be_stored_is_refused_with_its_place(client: Client, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(EntryInvalid) as caught:
        make(client, **fields)
    assert said in caught.value.message
    assert client.find("a") is None


@pytest.mark.parametrize("name", ["", " a", "x" * 300, "a\n", "e\u0301", None, 5])
def test_a_name_that_is_none_is_refused(client: Client, name: Any) -> None:
    with pytest.raises(EntryInvalid, match=r"name|NFC"):
        make(client, name)


@pytest.mark.parametrize("name", ["with blank", "a/b", "Größe 日報 🌍", "x" * 200])
def test_any_printable_name_is_taken(client: Client, name: str) -> None:
    make(client, name)
    assert [state.name for state in client.iterate()] == [name]
    client.pause(name)
    client.resume(name)
    client.remove(name)


def test_fields_of_another_version_outlive_an_edit(client: Client, clean_redis: RedisServer) -> None:
    make(client)
    store = Store(clean_redis)
    definition = {**client.get("a").definition, "later": {"deep": [1.5, None]}}
    store.do("HSET", store.key("def"), "a", json.dumps(definition))
    found = client.set("a", queue="other")
    assert found.definition["later"] == {"deep": [1.5, None]}
    assert found.entry is not None
    assert found.entry.extra == {"later": {"deep": [1.5, None]}}


def test_a_definition_that_can_not_be_read_is_shown_and_may_be_replaced_as_a_whole(
    client: Client, clean_redis: RedisServer
) -> None:
    make(client)
    store = Store(clean_redis)
    store.do("HSET", store.key("def"), "a", "{")
    found = client.get("a")
    assert (found.entry, found.definition) == (None, {})
    assert "is not JSON" in str(found.why)
    with pytest.raises(EntryInvalid, match="is not JSON"):
        client.set("a", queue="other")
    assert make(client).entry is not None


def test_a_closed_client_says_so(clean_redis: RedisServer) -> None:
    with Client(clean_redis.url) as closed:
        make(closed)
    closed.close()
    uses: list[Callable[[], Any]] = [
        *(lambda: closed.get("a"), lambda: closed.pause("a"), lambda: next(closed.iterate()), closed.list),
        *(closed.history, closed.status, closed.changes, closed.__enter__),
    ]
    for use in uses:
        with pytest.raises(ClientClosed, match="this client was closed"):
            use()


# Races


def test_an_edit_based_on_an_older_definition_is_refused_and_told_what_changed_and_by_whom(
    client: Client, clean_redis: RedisServer
) -> None:
    made = make(client)
    with Client(clean_redis.url, who="ann@example.org", program="admin page") as other:
        other.set("a", queue="other", note="a queue of its own")
        other.set("a", kwargs={"x": 1})
        other.pause("a")
    with pytest.raises(Conflict, match=r"ann@example.org@.* changed kwargs, queue meanwhile") as caught:
        client.set("a", queue="mine", if_revision=made.revision)
    assert caught.value.changes == (("kwargs", None, {"x": 1}), ("queue", "celery", "other"))
    assert (caught.value.name, caught.value.revision) == ("a", client.get("a").revision)
    assert caught.value.exit_code == 5
    with pytest.raises(Conflict):
        client.remove("a", if_revision=made.revision)
    client.remove("a", if_revision=client.get("a").revision)


def test_an_edit_is_made_again_where_only_run_state_has_changed(client: Client) -> None:
    made = make(client, max_runs=3)
    client.pause("a", note="a deploy")
    client.resume("a")
    client.reset("a")
    state = client.set("a", queue="other", if_revision=made.revision)
    assert state.definition["queue"] == "other"
    client.pause("a")
    client.remove("a", if_revision=state.revision)


@pytest.mark.parametrize("revision", ["bad", "0" * 32])
def test_a_revision_that_never_was_is_nobodys_edit(client: Client, revision: str) -> None:
    made = make(client)
    for edit in (
        lambda: client.set("a", queue="mine", if_revision=revision),
        lambda: client.remove("a", if_revision=revision),
    ):
        with pytest.raises(Conflict, match=f"the given revision '{revision}' is not the stored one") as caught:
            edit()
        assert "meanwhile" not in caught.value.message
        assert (caught.value.revision, caught.value.changes) == (made.revision, ())
    with pytest.raises(Conflict, match="there is no entry 'b': the given revision"):
        client.set("b", task="t", every=60, if_revision=revision)


def test_a_name_may_be_asked_to_be_free(client: Client) -> None:
    made = make(client, if_revision="")
    with pytest.raises(Conflict, match="there is an entry 'a' already"):
        make(client, if_revision="")
    client.remove("a")
    with pytest.raises(Conflict, match="removed it"):
        make(client, if_revision=made.revision)


def test_two_writers_of_different_fields_lose_nothing(clean_redis: RedisServer) -> None:
    """Each repeats what it lost, as a program would."""

    def count(field: str) -> None:
        with Client(clean_redis.url) as mine:
            for number in range(40):
                while True:
                    base = mine.get("a")
                    kwargs = {**base.definition.get("kwargs", {}), field: number}
                    try:
                        mine.set("a", kwargs=kwargs, if_revision=base.revision)
                        break
                    except Conflict:
                        continue

    with Client(clean_redis.url) as client:
        make(client)
        threads = [threading.Thread(target=count, args=(field,)) for field in "xyz"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert client.get("a").definition["kwargs"] == {"x": 39, "y": 39, "z": 39}


# Owners


def test_the_definition_of_another_owner_is_left_alone_and_its_run_state_is_not(
    client: Client, clean_redis: RedisServer
) -> None:
    make(client)
    make(client, "b")
    store = Store(clean_redis)
    store.do("HSET", store.key("file"), "a", "hash")
    record = {"file": "f1", "files": ["/etc/beatd/schedules.yaml"], "host": "web-1"}
    store.do("HSET", store.key("meta"), "file", "f1")
    store.do("HSET", store.key("inst"), "i1", json.dumps(record), "i2", json.dumps({"file": "other", "files": ["x"]}))
    store.do("HSET", store.key("def"), "b", json.dumps({**client.get("b").definition, "owner": "apply:team"}))
    for edit in (lambda: client.set("a", queue="x"), lambda: client.remove("a")):
        with pytest.raises(OtherOwner, match=r"belongs to a file: /etc/beatd/schedules.yaml on web-1;") as caught:
            edit()
        assert (caught.value.owner, caught.value.exit_code) == ("file", 5)
    with pytest.raises(OtherOwner, match="'b' belongs to apply:team"):
        client.set("b", queue="x")
    assert client.pause("a").state == client.pause("b").state == "paused"


# Run state


def test_a_pause_says_who_why_and_until_when(client: Client, clean_redis: RedisServer) -> None:
    make(client)
    forever = client.pause("a", note="a deploy").paused
    assert forever is not None
    assert (forever.note, forever.until) == ("a deploy", None)
    assert forever.since is not None
    with Client(clean_redis.url, who="ann") as other:
        held = other.pause("a", until=HOUR)
    assert held.state == "paused"
    assert held.paused is not None
    assert held.paused.who == "ann"
    assert abs(held.paused.until - datetime.now(UTC) - HOUR) < timedelta(minutes=1)  # type: ignore[operator]
    assert client.pause("a", until="2h").state == "paused"
    assert client.pause("a", until="2030-01-01T00:00:00+01:00").paused.until == datetime(2029, 12, 31, 23, tzinfo=UTC)  # type: ignore[union-attr]
    assert client.resume("a").state == "scheduled"
    assert client.resume("a", catchup=True).paused is None


@pytest.mark.parametrize("note", ["half of a pair: \udcff", "x" * 5_000, 5, b"x"])
def test_a_note_that_can_not_be_kept_is_refused_before_anything_is_done(client: Client, note: Any) -> None:
    make(client)
    for edit in (client.pause, client.resume, client.trigger, client.remove):
        with pytest.raises(EntryInvalid, match=r"note: found|the note, come to 50"):
            edit("a", note=note)
    assert client.get("a").state == "scheduled"


def test_a_pause_with_a_note_that_is_no_utf8_is_a_pause(client: Client, clean_redis: RedisServer) -> None:
    make(client)
    made = pause_call(client.keys, ["a"], "f" * 32, "{}", Pause("somebody", "?"))
    made = replace(made, args=[b"caf\xe9" if arg == "?" else arg for arg in made.args])
    client.link.request(made)
    paused = client.get("a").paused
    assert paused is not None
    assert (client.get("a").state, paused.who, paused.note) == ("paused", "somebody", "caf\ufffd")
    assert client.changes("a")[-1].note == "caf\ufffd"


@pytest.mark.parametrize(
    "until", ["2030-01-01T00:00:00", datetime(2030, 1, 1), "soon", 5, datetime(2020, 1, 1, tzinfo=UTC)]
)
def test_a_pause_ends_at_an_instant_ahead(client: Client, until: Any) -> None:
    make(client)
    with pytest.raises(EntryInvalid, match="until: "):
        client.pause("a", until=until)
    assert client.get("a").state == "scheduled"


def test_runs_are_given_anew(client: Client, clean_redis: RedisServer) -> None:
    make(client, max_runs=3)
    store = Store(clean_redis)
    store.do("HSET", store.key("left"), "a", 1)
    assert client.get("a").runs_left == 1
    assert client.reset("a").runs_left == 3
    assert client.set("a", max_runs=5).runs_left == 5
    make(client, "b")
    with pytest.raises(Refused, match="its runs are not counted"):
        client.reset("b")
    for verb in (client.pause, client.resume, client.reset, client.get):
        with pytest.raises(NotFound):
            verb("nobody")


def test_the_audit_names_whoever_the_caller_says(client: Client, clean_redis: RedisServer) -> None:
    make(client, note="first")
    who = last_change(clean_redis)["who"]
    assert (who["client"], who["note"]) == ("beatd.Client", "first")
    assert who["user"]
    with Client(clean_redis.url, who="ann@example.org", program="admin") as other:
        other.remove("a", note="not needed")
    who = last_change(clean_redis)["who"]
    assert (who["client"], who["user"], who["note"]) == ("admin", "ann@example.org", "not needed")


# Connections


def test_a_connection_that_was_closed_meanwhile_is_opened_again(client: Client, clean_redis: RedisServer) -> None:
    make(client)
    with clean_redis.client() as admin:
        for number in range(20):
            admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert client.set("a", args=[number]).definition["args"] == [number]


@pytest.mark.parametrize(
    "words, said",
    [
        ({"url": None}, "redis: found nothing; the URL of a Redis is accepted"),
        ({"url": b"redis://h"}, "redis: found bytes; the URL of a Redis is accepted"),
        ({"namespace": None}, "namespace: found None; accepted are 1 to 64 of A-Z a-z 0-9 . _ -"),
        ({"timeout": 0}, "timeout: found 0; seconds above 0 are accepted"),
        ({"timeout": math.nan}, "timeout: found nan; seconds above 0 are accepted"),
        ({"timeout": None}, "timeout: found None; seconds above 0 are accepted"),
    ],
)
def test_a_variable_that_is_not_set_is_said_when_the_client_is_made(words: Any, said: str) -> None:
    for kind in (Client, beatd.AsyncClient):
        with pytest.raises(ConfigInvalid) as caught:
            kind(**{"url": "redis://localhost", **words})
        assert caught.value.message == said


def test_nobody_there_is_said_at_once(clean_redis: RedisServer) -> None:
    with Client("redis://127.0.0.1:1/0") as client, pytest.raises(Unreachable, match="Connection refused"):
        client.get("a")


def test_a_namespace_is_its_own_set_of_entries(client: Client, clean_redis: RedisServer) -> None:
    make(client)
    with Client(clean_redis.url, "other") as other:
        assert list(other.iterate()) == []


def test_all_entries_come_page_by_page(client: Client) -> None:
    for number in range(30):
        make(client, f"e{number}")
    assert {state.name for state in client.iterate()} == {f"e{number}" for number in range(30)}
