"""What other clients left behind is read without failing: by the leader, and for people."""

import pytest

from beatd.core.term import Term
from beatd.core.timetable import UNREADABLE, Stored
from beatd.errors import LeaseLost
from beatd.store.connect import RedisAddress
from beatd.store.entries import row_commands, rows_of
from beatd.store.link import Link
from beatd.store.timetable import RedisTimetable
from tests.support.servers import RedisServer
from tests.support.store import REV, Store

JUNK = ("", "x", "nan", "-5", "1.5", "1e3", "9" * 5_000, "\u0663")


@pytest.mark.parametrize("junk", JUNK)
async def test_the_leader_reads_spoilt_numbers_as_none(store: Store, clean_redis: RedisServer, junk: str) -> None:
    store.plant("a", 1_000, jit=junk, left=junk, last=f"{junk}|1|id|")
    link = await Link.open(RedisAddress(clean_redis.url))
    try:
        seen = await RedisTimetable(link, store.keys).look(["a"])
    finally:
        await link.close()
    assert seen == [Stored("a", "1000", REV, b"{}", 0, 0, UNREADABLE)]


@pytest.mark.parametrize("out", [*JUNK, "[]", "null", "[" * 100_000, '{"a":' * 100_000])
@pytest.mark.parametrize("score", ["1000", "inf", "-inf", "1.5"])
def test_people_see_a_spoilt_entry(store: Store, clean_redis: RedisServer, out: str, score: str) -> None:
    store.plant("a", score, jit=out, out=out)
    with clean_redis.client(protocol=2) as client:
        client.response_callbacks.clear()
        replies = [client.execute_command(*words) for words in row_commands(store.keys, ["a"])]
    (row,) = rows_of(["a"], replies)
    assert (row.name, row.rev, row.jitter, row.out) == ("a", REV, 0, {})
    assert row.moment == {"1000": 1_000, "1.5": 1}.get(score)


async def test_a_page_that_is_read_after_all_data_were_lost_is_none(store: Store, clean_redis: RedisServer) -> None:
    """A leader that took it for the timetable would remember that all was settled, and go on behind what was owed."""
    store.do("HSET", store.key("lease"), "epoch", 7, "owner", "me")
    store.plant("a", 1_000)
    link = await Link.open(RedisAddress(clean_redis.url))
    try:
        timetable = RedisTimetable(link, store.keys)
        term = Term(7, "me", 0, 0, 0, "")
        assert await timetable.page(term, 0, 2_000, 0, 10) == [("a", 1_000)]
        store.do("FLUSHALL")
        with pytest.raises(LeaseLost):
            await timetable.page(term, 0, 2_000, 0, 10)
    finally:
        await link.close()
