"""Counting entries by state, and what edits have skipped: pages read from what the scripts of today leave."""

from collections.abc import AsyncIterator

import pytest

from beatd.core.census import Sizes, Tally
from beatd.core.edit import put_item
from beatd.core.entry import entry_from_spec
from beatd.core.term import Term
from beatd.errors import Refused
from beatd.store.connect import RedisAddress
from beatd.store.link import Link
from beatd.store.timetable import HistoryBounds
from beatd.store.upkeep import SKIP_PAGE, RedisUpkeep
from tests.support.servers import RedisServer
from tests.support.store import Store

HOUR = 3_600_000


@pytest.fixture
async def upkeep(clean_redis: RedisServer, store: Store) -> AsyncIterator[RedisUpkeep]:
    link = await Link.open(RedisAddress(clean_redis.url))
    yield RedisUpkeep(link, store.keys, "{}", HistoryBounds())
    await link.close()


async def tally_of(upkeep: RedisUpkeep, now: int) -> Tally:
    tally = Tally()
    tally.add_left_out((await upkeep.left_out("0"))[1])
    tally.add_pausing((await upkeep.pausing("0"))[1], now)
    return tally


def put(store: Store, *names: str, enabled: bool = True, nonce: str = "n") -> None:
    spec = {"task": "t.t", "every": "1h", "enabled": enabled}
    store.put(*[put_item(entry_from_spec(name, spec), f"{nonce}-{name}") for name in names])


async def test_states_are_counted_as_the_scripts_leave_them(store: Store, upkeep: RedisUpkeep) -> None:
    put(store, "scheduled", "paused", "paused for an hour", "over", "both")
    put(store, "disabled", enabled=False)
    store.plant("finished", 1000, out='{"finished":{"at":"5"}}')
    store.plant("finished inside a pause", 1000, out='{"finished":{"at":"5"}}')
    store.plant("spoilt", 1000, out="[]")
    store.pause("paused")
    store.pause("paused for an hour", until=(now := store.now()) + HOUR)
    store.pause("both", nonce="p2")
    put(store, "both", enabled=False, nonce="m")
    for name, until in (("over", now - 1), ("finished inside a pause", now + 2 * HOUR)):
        store.do("HSET", store.key("hold"), name, f'{{"until":"{until}"}}')
    tally = await tally_of(upkeep, now)
    assert tally.by_state(Sizes(due=3)) == {
        "scheduled": 3, "paused": 3, "disabled": 2, "finished": 1, "blocked": 0, "invalid": 0,
    }  # fmt: skip
    assert tally.ends == now + HOUR


async def test_a_pause_with_an_end_of_a_blocked_entry_is_told_apart(store: Store, upkeep: RedisUpkeep) -> None:
    store.plant("a", 1000, kind="blocked")
    store.do("HSET", store.key("hold"), "a", f'{{"until":"{store.now() + HOUR}"}}')
    found = (await tally_of(upkeep, store.now())).by_state(Sizes(blocked=2))
    assert (found["paused"], found["blocked"]) == (1, 1)


async def test_ranges_that_edits_skip_are_counted_and_those_of_a_leader_are_not(
    store: Store, term: Term, upkeep: RedisUpkeep
) -> None:
    put(store, "before")
    store.remove("before")
    last, found = await upkeep.edit_skips(None)
    assert found == {}
    put(store, "a", "b", "c")
    for name in ("a", "b", "c"):  # each is an hour behind
        store.do("ZADD", store.key("due"), store.now() - HOUR, name)
    store.remove("a")
    store.pause("b", "c", nonce="p3")
    store.resume("b", "c", nonce="r1")
    for _ in range(SKIP_PAGE):  # a page of nothing else
        store.do("XADD", store.key("skip"), "*", "epoch", term.epoch, "at", 1, "skips", "x\x1fmissed:5:1:2")
    put(store, "d")
    store.do("ZADD", store.key("due"), store.now() - HOUR, "d")
    store.remove("d")
    after, found = await upkeep.edit_skips(last)
    assert found == {"removed": 2, "paused": 2}
    assert await upkeep.edit_skips(after) == (after, {})


async def test_a_history_of_another_type_is_told(store: Store, upkeep: RedisUpkeep) -> None:
    store.do("SET", store.key("skip"), "x")
    for after in (None, "0-0"):
        with pytest.raises(Refused):
            await upkeep.edit_skips(after)
