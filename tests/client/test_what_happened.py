"""Lists, requests, history, changes and status, as programs see them."""

import asyncio
import math
import socket
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from beatd.client.aio import AsyncClient
from beatd.client.blocking import Client
from beatd.core.fire import TaskIds
from beatd.errors import EntryInvalid, NotFound, Refused
from tests.support.servers import RedisServer
from tests.support.store import Store

NIGHT = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def fleet(client: Client) -> None:
    for number in range(12):
        more: Any = {"tags": ("even",), "task": "app.mail.send"} if number % 2 == 0 else {"task": "app.count"}
        client.set(f"e{number:02}", cron=f"{number} 9 * * *", enabled=number != 3, max_runs=number or None, **more)
    client.pause("e04")


def names(found: Any) -> list[str]:
    return [state.name for state in found]


@pytest.mark.usefixtures("fleet")
def test_a_list_is_filtered_ordered_and_paged(client: Client) -> None:
    everything = [f"e{number:02}" for number in range(12)]
    assert names(client.iterate(sort="name")) == everything
    assert sorted(names(client.iterate())) == everything
    assert names(client.list(sort="name", limit=3, skip=4)) == everything[4:7]
    assert names(client.list("e0[0-3]", "e11", sort="name")) == [*everything[:4], "e11"]
    assert names(client.list(states=["paused", "disabled"], sort="name")) == ["e03", "e04"]
    assert names(client.list(tags=["even"], tasks=["app.*"], sort="name")) == everything[::2]
    assert names(client.list(owners=["file"])) == []
    assert client.list("e05")[0] == client.get("e05")
    assert client.list("e05")[0].runs_left == 5


@pytest.mark.usefixtures("fleet")
def test_a_text_where_several_may_stand_is_one_of_them_and_not_its_letters(client: Client) -> None:
    assert names(client.list(tags="even", sort="name")) == names(client.list(tags=["even"], sort="name")) != []
    assert names(client.list(states="paused")) == ["e04"]
    assert len(client.list(tasks="app.*")) == len(client.list(owners="api")) == 12
    assert len(list(client.export(owners="api"))) == 12
    assert list(client.export(owners="file")) == []


@pytest.mark.parametrize("filters", [{"tags": 5}, {"tags": [5]}, {"tasks": b"app"}, {"owners": {"api": 1}}])
def test_what_is_no_text_and_no_list_of_texts_is_refused(client: Client, filters: Any) -> None:
    with pytest.raises(EntryInvalid, match="a text or a list of texts is accepted"):
        client.list(**filters)


@pytest.mark.parametrize("filters", [{"states": ["asleep"]}, {"sort": "age"}])
def test_a_filter_that_is_none_is_refused(client: Client, filters: Any) -> None:
    with pytest.raises(EntryInvalid, match="accepted are"):
        client.list(**filters)


def test_a_run_is_asked_for_and_what_becomes_of_it_is_told(client: Client) -> None:
    client.set("a", task="t", cron="0 9 * * *")
    before = client.get("a")
    task_id = client.trigger("a", args=(1,), kwargs={"x": 2}, note="by hand")
    found = client.request(task_id)
    assert found is not None
    assert (found.state, found.name, found.kind, found.pushed) == ("open", "a", "trigger", 0)
    assert client.get("a") == before
    client.pause("a")
    found = client.request(task_id)
    assert found is not None
    assert (found.state, found.why) == ("withdrawn", "paused")
    assert client.request("nobody") is None
    with pytest.raises(NotFound):
        client.trigger("b")
    with pytest.raises(EntryInvalid):
        client.trigger("a", args=("x", {1, 2}))


def test_past_slots_are_looked_at_asked_for_and_not_asked_for_twice(client: Client) -> None:
    client.set("a", task="t", cron="0 9 * * *", timezone="Europe/Paris")
    last = NIGHT + timedelta(days=3)
    looked = client.backfill("a", NIGHT, last, dry_run=True)
    assert looked.slots == tuple(datetime(2026, 1, day, 8, tzinfo=UTC) for day in (1, 2, 3))
    assert not looked.asked
    assert client.request(looked.id) is None
    asked = client.backfill("a", NIGHT, "2026-01-04T01:00:00+01:00", rate=5.0)
    assert (asked.id, asked.slots, asked.asked, asked.left) == (looked.id, looked.slots, True, None)
    assert not client.backfill("a", NIGHT, last).asked
    for dry_run in (True, False):
        with pytest.raises(Refused, match="2 of the 2 slots here belong to the backfill from 2026-01-01"):
            client.backfill("a", NIGHT, NIGHT + timedelta(days=2), dry_run=dry_run)
    assert client.backfill("a", NIGHT, NIGHT + timedelta(days=2), again=True).asked
    assert client.backfill("a", NIGHT, last, again=True).asked
    with pytest.raises(EntryInvalid, match="first: found a naive datetime"):
        client.backfill("a", datetime(2026, 1, 1), last)
    with pytest.raises(EntryInvalid, match="last: 'soon' is no instant"):
        client.backfill("a", NIGHT, "soon")


@pytest.mark.parametrize(
    "words, said",
    [
        ({"args": "abc"}, "args: found a text; a list is accepted"),
        ({"args": {1, 2}}, "args: found set; a list is accepted"),
        ({"args": 5}, "args: found a whole number; a list is accepted"),
        ({"kwargs": [("a", 1)]}, "kwargs: found a list; an object is accepted"),
        ({"kwargs": "abc"}, "kwargs: found a text; an object is accepted"),
    ],
)
def test_arguments_that_are_none_ask_for_nothing(client: Client, words: Any, said: str) -> None:
    client.set("a", task="t", every=HOUR)
    with pytest.raises(EntryInvalid) as caught:
        client.trigger("a", **words)
    assert caught.value.message == said
    assert len(client.changes("a")) == 1


@pytest.mark.parametrize("dry_run", [True, False])
@pytest.mark.parametrize(
    "bounds, said",
    [
        ({"rate": math.nan}, "rate: found nan"),
        ({"rate": math.inf}, "rate: found inf"),
        ({"rate": 0}, "rate: found 0"),
        ({"rate": -1}, "rate: found -1"),
        ({"rate": True}, "rate: found True"),
        ({"rate": "10"}, "rate: found '10'"),
        ({"most": 0}, "max: found 0"),
        ({"most": None}, "max: found None"),
        ({"most": 10**12}, "max: found 1000000000000"),
    ],
)
def test_bounds_of_a_backfill_that_are_none_ask_for_nothing(
    client: Client, bounds: Any, said: str, dry_run: bool
) -> None:
    client.set("a", task="t", every=HOUR)
    now = datetime.now(UTC)
    with pytest.raises(EntryInvalid, match=said):
        client.backfill("a", now - 3 * HOUR, now, **bounds, dry_run=dry_run)
    assert len(client.changes("a")) == 1


def test_a_range_may_be_said_by_how_long_ago_it_was(client: Client) -> None:
    client.set("a", task="t", every=HOUR)
    now = datetime.now(UTC)
    slots = client.backfill("a", timedelta(hours=3), timedelta(0), dry_run=True).slots
    assert len(slots) == 3
    assert now - 3 * HOUR - timedelta(minutes=1) < slots[0] < now - HOUR
    assert client.backfill("a", "3h", now, dry_run=True).slots == slots


@pytest.mark.parametrize("length", [timedelta(seconds=-1), timedelta(microseconds=1), timedelta(days=9**9)])
def test_a_length_that_is_none_is_refused_by_name(client: Client, length: timedelta) -> None:
    client.set("a", task="t", every=HOUR)
    with pytest.raises(EntryInvalid, match=r"^first: "):
        client.backfill("a", length, NIGHT)
    with pytest.raises(EntryInvalid, match=r"^until: "):
        client.pause("a", until=length)


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("limit", [-1, 1.5, True, "3"])
def test_a_limit_is_a_number_and_none_of_them_may_be_asked_for(client: Client, limit: Any) -> None:
    assert [len(verb(limit=0)) for verb in (client.list, client.history, client.changes)] == [0, 0, 0]
    assert len(client.list(limit=None)) == 12
    for verb in (client.list, client.history, client.changes):
        with pytest.raises(EntryInvalid, match=r"limit: found .*; a whole number of 0 or more is accepted"):
            verb(limit=limit)
    with pytest.raises(EntryInvalid, match="skip: found"):
        client.list(skip=limit)


@pytest.mark.parametrize("year, hours", [(1, 14), (9999, -14)])
def test_a_range_that_leaves_the_calendar_of_utc_is_refused(client: Client, year: int, hours: int) -> None:
    client.set("a", task="t", every=HOUR)
    day = (1, 1, 1) if year == 1 else (12, 31, 23)
    instant = datetime(year, *day, tzinfo=timezone(timedelta(hours=hours)))
    with pytest.raises(EntryInvalid, match=r"first: .* lies outside the years 1 to 9999 in UTC"):
        client.backfill("a", instant, instant)


@pytest.mark.parametrize("name", [5, b"a", ["a"]])
def test_what_is_no_text_is_refused_wherever_a_name_is_asked_for(client: Client, name: Any) -> None:
    for verb in (client.list, client.history, client.changes, client.request):
        with pytest.raises(EntryInvalid, match=r"text"):
            verb(name)


def test_changes_tell_who_changed_what(client: Client, clean_redis: RedisServer) -> None:
    client.set("a", task="t", cron="0 9 * * *")
    with Client(clean_redis.url, who="ann") as ann:
        ann.set("a", queue="mail", note="a queue of its own")
    client.set("b", task="t", cron="0 9 * * *")
    told = client.changes("a")
    assert [change.what for change in told] == ["created", "changed"]
    assert (told[-1].who, told[-1].host, told[-1].program) == ("ann", socket.gethostname(), "beatd.Client")
    assert told[-1].note == "a queue of its own"
    assert told[-1].fields == (("queue", "celery", "mail"),)
    assert told[-1].definition == client.get("a").definition
    assert (told[-1].revision, told[-1].was) == (client.get("a").revision, told[0].revision)
    assert abs(told[-1].at - datetime.now(UTC)) < HOUR
    assert [each.name for each in client.changes(limit=1)] == ["b"]
    assert client.changes(since=datetime.now(UTC) + timedelta(hours=1)) == []


def test_changes_of_run_state_and_requests_are_told_with_aware_instants(client: Client) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + HOUR
    client.set("a", task="t", every=HOUR, max_runs=3)
    client.pause("a", note="a deploy", until=end)
    client.resume("a", catchup=True)
    client.pause("a")
    client.reset("a")
    client.trigger("a", args=(1,), note="by hand")
    client.backfill("a", end - 4 * HOUR, end - 2 * HOUR)
    client.remove("a")
    told = client.changes("a")
    runs = ["paused", "resumed", "paused", "reset", "asked", "asked"]
    assert [each.what for each in told] == ["created", *runs, "removed"]
    _, first, resumed, second, reset, trigger, backfill, removed = told
    assert first.paused is not None
    assert (first.paused.note, first.paused.until, first.paused.since) == ("a deploy", end, None)
    assert (resumed.paused, resumed.catchup, resumed.definition) == (None, True, None)
    assert second.paused is not None
    assert second.paused.since == second.at
    assert reset.runs_left == 3
    assert trigger.asks is not None
    assert (trigger.asks["kind"], trigger.asks["args"], trigger.note) == ("trigger", [1], "by hand")
    assert backfill.asks is not None
    assert (backfill.asks["from"], backfill.asks["to"]) == (end - 4 * HOUR, end - 2 * HOUR)
    assert removed.revision is None
    assert removed.definition is not None
    with pytest.raises(FrozenInstanceError):
        removed.name = "b"  # type: ignore[misc]


def test_a_fire_is_told_with_its_cause_and_task_id(client: Client, clean_redis: RedisServer) -> None:
    slot = NIGHT.replace(microsecond=250_000)
    ms = int(slot.timestamp() * 1_000)
    triggered = ("cause", "trigger", "id", "by-hand")
    for number, more in enumerate([(), triggered]):
        row = (f"{ms + 20}-{number}", "at", ms + 20, "fires", f"a\x1f{ms}")
        Store(clean_redis).do("XADD", client.keys.key("hist"), *row, *more)
    slots = f"a\x1fpaused:3:{ms}:{ms + 7_200_000}"
    Store(clean_redis).do("XADD", client.keys.key("skip"), f"{ms + 30}-0", "at", ms + 30, "skips", slots)
    due, by_hand, skip = client.history("a")
    decided = slot + timedelta(milliseconds=20)
    assert (due.what, due.at, due.slot, due.last, due.cause) == ("fired", decided, slot, slot, "schedule")
    assert due.task_id == TaskIds("default").of("a", ms)
    assert (by_hand.cause, by_hand.task_id) == ("trigger", "by-hand")
    assert (skip.what, skip.reason, skip.count, skip.cause, skip.task_id) == ("skipped", "paused", 3, None, None)
    assert (skip.slot, skip.last, skip.foretold) == (slot, slot + 2 * HOUR, False)


def test_a_pause_with_an_end_is_told_as_what_became_of_it(client: Client) -> None:
    end = datetime.now(UTC) + 3 * HOUR
    client.set("a", task="t", every=60)
    client.pause("a", until=end)
    [line] = client.history("a")
    assert (line.what, line.reason, line.foretold) == ("skipped", "paused", True)
    while client.now_ms() <= line.at.timestamp() * 1_000 + 1:  # within one millisecond nobody can tell which came first
        pass
    client.resume("a")
    line = client.history("a")[0]
    assert (line.what, line.foretold) == ("lifted", False)


def test_rows_beyond_the_calendar_are_told_all_the_same(client: Client, clean_redis: RedisServer) -> None:
    far = 10**15 - 1
    Store(clean_redis).do("XADD", client.keys.key("hist"), "1-0", "at", far, "fires", f"a\x1f{far}")
    Store(clean_redis).do(
        "XADD", client.keys.key("log"), "1-0", "at", far, "op", "put", "name", "a", "asks", '{"to":"x"}'
    )
    [line], [change] = client.history("a"), client.changes("a")
    assert (line.at.year, line.slot) == (9999, None)
    assert (change.at.year, change.asks) == (9999, {"to": "x"})


def test_history_and_status_are_those_of_the_commands(client: Client, clean_redis: RedisServer) -> None:
    client.set("a", task="t", every=3600)
    Store(clean_redis).do("HSET", client.keys.key("last"), "a", "1|1|id|")
    client.remove("a")
    assert [(line.what, line.reason) for line in client.history("a")] == [("skipped", "removed")]
    assert client.history("b") == []
    assert client.history(limit=0) == []
    assert client.status()["state"] == "no leader"


def test_the_same_for_asyncio(client: Client, clean_redis: RedisServer) -> None:
    async def use() -> None:
        async with AsyncClient(clean_redis.url) as other:
            await other.set("a", task="t", cron="0 9 * * *")
            assert names([state async for state in other.iterate("a*")]) == ["a"]
            assert names(await other.list(limit=1)) == ["a"]
            assert (await other.request(await other.trigger("a"))).state == "open"  # type: ignore[union-attr]
            assert len((await other.backfill("a", NIGHT, NIGHT + timedelta(days=1))).slots) == 1
            assert (await other.changes("a"))[0].what == "created"
            assert await other.history("a") == []
            assert (await other.status())["code"] == 2

    asyncio.run(use())
