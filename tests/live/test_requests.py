"""Requests as the leader reads them from a real server, and how those whose time is over are forgotten."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from beatd.core.requests import KEEP_TRIGGERS_MS, Found, Serving, Wanted, read_request
from beatd.core.term import Term
from beatd.daemon.requests import tidy_page
from beatd.store.connect import RedisAddress
from beatd.store.link import Link
from beatd.store.refusals import StoreSpoilt
from beatd.store.requests import RedisRequests
from beatd.store.timetable import HistoryBounds
from beatd.store.upkeep import RedisUpkeep
from tests.support.servers import RedisServer
from tests.support.store import REV, Store, asking, serving


@pytest.fixture
def store(clean_redis: RedisServer) -> Store:
    return Store(clean_redis)


@pytest.fixture
async def requests(store: Store, clean_redis: RedisServer) -> AsyncIterator[RedisRequests]:
    port = RedisRequests(await Link.open(RedisAddress(clean_redis.url)), store.keys, HistoryBounds())
    yield port
    await port.close()


@pytest.fixture
async def upkeep(store: Store, clean_redis: RedisServer) -> AsyncIterator[RedisUpkeep]:
    port = RedisUpkeep(await Link.open(RedisAddress(clean_redis.url)), store.keys, "{}", HistoryBounds())
    yield port
    await port.close()


async def page(port: RedisRequests) -> list[Found]:
    found, cursor = [], "0"
    while True:
        cursor, rows = await port.page(cursor)
        found += rows
        if cursor == "0":
            return found


async def test_all_open_requests_are_read_with_what_is_stored_of_each(store: Store, requests: RedisRequests) -> None:
    names = [f"e{i}" for i in range(250)]
    for name in names:
        store.plant(name, 5_000)
    store.ask(*[asking(f"{name}-{n}", name) for name in names for n in (1, 2)])
    store.do("HSET", store.key("asked"), "e0", "e0-1\x1flost")
    found = await page(requests)
    assert len(found) == len({row.id for row in found}) == 500
    assert Found("e0", "lost", b"") in found
    request = read_request("e7-2", next(row.value for row in found if row.id == "e7-2"))
    assert request is not None
    assert request.wanted == Wanted("trigger", "e7")


async def test_how_entries_stand_is_one_look(store: Store, requests: RedisRequests) -> None:
    store.plant("a", 5_000, jit=300)
    store.plant("b", 5_000, out='{"paused":{},"owed":"2000"}')
    store.do("ZREM", store.key("due"), "b")
    store.plant("nowhere", 5_000)
    store.do("ZREM", store.key("due"), "nowhere")
    found = await requests.look(["a", "b", "a", "nobody", "nowhere"])
    assert {name: standing and standing.settled_to for name, standing in found.items()} == {
        "a": 4_699, "b": 1_999, "nobody": None, "nowhere": None,
    }  # fmt: skip
    assert found["a"] is not None
    assert (found["a"].rev, found["a"].definition, found["a"].jitter) == (REV, b"{}", 300)
    assert found["nowhere"] is not None
    assert await requests.look([]) == {}


async def test_no_definition_is_read_under_another_revision(store: Store, requests: RedisRequests) -> None:
    """Somebody edits all the while: what is given belongs together, or is left out."""
    store.plant("a", 5_000)
    seen = 0
    for number in range(200):
        _, found = await asyncio.gather(
            asyncio.to_thread(
                store.do, "EVAL",
                "redis.call('HSET',KEYS[1],'a',ARGV[1]..'.f') redis.call('HSET',KEYS[2],'a',ARGV[1])",
                2, store.key("rev"), store.key("def"), number,
            ),
            requests.look(["a"]),
        )  # fmt: skip
        if (standing := found.get("a")) is not None and standing.rev != REV:
            seen += 1
            assert standing.definition == standing.rev.split(".")[0].encode()
    assert seen


async def test_a_part_is_served_for_the_leader(store: Store, requests: RedisRequests) -> None:
    store.plant("a", 5_000)
    store.ask(asking())
    term = store.lead()
    item: Serving = serving(cause="trigger")
    assert [await requests.serve(term, item) for _ in range(2)] == [0, 1]
    assert store.queue() == ["a@1000"]


@pytest.mark.parametrize("kind", ["asked", "req"])
async def test_a_key_that_somebody_spoilt_is_named(store: Store, requests: RedisRequests, kind: str) -> None:
    store.plant("a", 5_000)
    store.ask(asking())
    store.do("SET", store.key(kind), "x")
    with pytest.raises(StoreSpoilt, match=f":{kind} holds a string"):
        await requests.page("0")


async def tidy(upkeep: RedisUpkeep, term: Term, now: int) -> None:
    cursor = "0"
    while True:
        cursor, rows = await upkeep.requests(cursor)
        await tidy_page(upkeep, term, rows, now)
        if cursor == "0":
            return


async def test_what_ended_long_ago_and_what_is_spoilt_is_forgotten(store: Store, upkeep: RedisUpkeep) -> None:
    store.plant("a", 5_000)
    term = store.lead()
    store.ask(asking("open"), asking("over"), asking("past", first=1, last=9))
    for key in ("over", "past"):
        store.serve(term, serving(key, slots=(), outcome="refused"))
    store.do("HSET", store.key("req"), "junk", "x")
    await tidy(upkeep, term, store.now() + KEEP_TRIGGERS_MS + 5_000)
    assert set(store.hash("req")) == {"open", "past"}
    assert store.hash("asked") == {"a": "open"}


async def test_an_open_request_that_nobody_names_is_named_again(store: Store, upkeep: RedisUpkeep) -> None:
    store.plant("a", 5_000)
    term = store.lead()
    store.ask(asking())
    store.do("DEL", store.key("asked"))
    await tidy(upkeep, term, store.now())
    assert store.hash("asked") == {"a": "q1"}
