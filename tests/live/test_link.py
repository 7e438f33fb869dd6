"""One connection, shared by tasks, under cancellation and lost answers."""

import asyncio

import pytest

from beatd.errors import Unreachable
from beatd.store.connect import RedisAddress
from beatd.store.link import Link
from tests.support.servers import RedisServer


async def test_whoever_is_cancelled_while_closing_a_link_stays_cancelled(redis_server: RedisServer) -> None:
    link = await Link.open(RedisAddress(redis_server.url))

    async def close_and_go_on() -> None:
        await link.close()
        await asyncio.Event().wait()

    task = asyncio.create_task(close_and_go_on())
    await asyncio.sleep(0)  # it has begun to close
    task.cancel()
    _, hanging = await asyncio.wait([task], timeout=2)
    task.cancel()
    assert not hanging
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_requests_of_many_tasks_are_answered_in_order(redis_server: RedisServer) -> None:
    link = await Link.open(RedisAddress(redis_server.url))
    answers = await asyncio.gather(*[link.request(("ECHO", str(i)), ("ECHO", f"{i}b")) for i in range(200)])
    assert answers == [[str(i).encode(), f"{i}b".encode()] for i in range(200)]
    await link.close()


async def test_an_answer_that_does_not_come_ends_the_link_for_all(redis_server: RedisServer) -> None:
    link = await Link.open(RedisAddress(redis_server.url, timeout=0.1))
    slow = asyncio.create_task(link.request(("BLPOP", "nothing", "0.3")))
    other = asyncio.create_task(link.request(("PING",), within=5))
    for waiting in (slow, other):
        with pytest.raises(Unreachable):
            await waiting
    with pytest.raises(Unreachable):
        await link.request(("PING",))
    await link.close()
