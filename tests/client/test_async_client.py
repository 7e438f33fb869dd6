"""The client for asyncio: the same verbs, from any task, loop and process."""

import asyncio
import inspect
import textwrap
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from beatd.client.aio import AsyncClient
from beatd.client.blocking import Client
from beatd.errors import ClientClosed, Conflict, NotFound, Unreachable
from tests.client.test_imports import printed
from tests.support.servers import RedisServer

BLOCKING_ONLY = {"row", "rows", "now_ms", "runs_left"}  # for commands and tests, on what is stored


def run(server: RedisServer, use: Callable[[AsyncClient], Awaitable[None]]) -> None:
    async def live() -> None:
        async with AsyncClient(server.url, who="ann") as client:
            await use(client)

    asyncio.run(live())


def public(kind: type) -> dict[str, Any]:
    return {name: value for name, value in vars(kind).items() if not name.startswith("_")}


def test_both_clients_have_the_same_verbs_with_the_same_words() -> None:
    blocking = {name: value for name, value in public(Client).items() if name not in BLOCKING_ONLY}
    waiting = public(AsyncClient)
    assert blocking.keys() == waiting.keys()
    for name, method in blocking.items():
        if callable(method):
            theirs = waiting[name]
            assert inspect.getdoc(method) == inspect.getdoc(theirs)
            assert inspect.signature(method).parameters == inspect.signature(theirs).parameters
            assert inspect.iscoroutinefunction(theirs) or inspect.isasyncgenfunction(theirs)


def test_every_verb_of_an_entrys_life(clean_redis: RedisServer) -> None:
    async def use(client: AsyncClient) -> None:
        made = await client.set("a", task="t", cron="0 9 * * *", max_runs=2)
        assert [state async for state in client.iterate()] == [made]
        paused = await client.pause("a", note="why", until="2h")
        assert paused.paused is not None
        assert (paused.state, paused.paused.who) == ("paused", "ann")
        assert (await client.resume("a")).state == "scheduled"
        assert (await client.reset("a")).runs_left == 2
        changed = await client.set("a", queue="other", if_revision=made.revision)
        with pytest.raises(Conflict):
            await client.set("a", queue="mine", if_revision=made.revision)
        assert await client.get("a") == changed
        await client.remove("a")
        assert await client.find("a") is None
        with pytest.raises(NotFound):
            await client.get("a")

    run(clean_redis, use)


def test_a_hundred_tasks_share_one_client(clean_redis: RedisServer) -> None:
    with clean_redis.client() as admin:
        before = admin.info("stats")["total_connections_received"]

    async def use(client: AsyncClient) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(client.set(f"e{number}", task="t", every=60, args=[number]))
        found = {state.name: state.definition["args"] async for state in client.iterate()}
        assert found == {f"e{number}": [number] for number in range(100)}

    run(clean_redis, use)
    with clean_redis.client() as admin:
        assert admin.info("stats")["total_connections_received"] - before <= 101


def test_a_call_that_is_cancelled_leaves_the_client_whole(clean_redis: RedisServer) -> None:
    async def use(client: AsyncClient) -> None:
        await client.set("a", task="t", every=60)
        for turns in range(8):
            task = asyncio.create_task(client.set("a", args=[turns]))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert (await client.set("a", args=["after", turns])).definition["args"] == ["after", turns]

    run(clean_redis, use)


LOOPS = textwrap.dedent("""
    import asyncio, sys
    from beatd import AsyncClient
    client = AsyncClient(sys.argv[1])
    async def use(number):
        print((await client.set("a", task="t", every=60, args=[number])).definition["args"])
    for number in range(3):
        asyncio.run(use(number))
    asyncio.run(client.close())
""")


def test_a_client_goes_on_in_another_event_loop(clean_redis: RedisServer) -> None:
    """In a process of its own: Python tells of connections that a loop leaves behind."""
    assert printed(LOOPS, clean_redis.url, warnings="ignore").split() == ["[0]", "[1]", "[2]"]


def test_a_connection_that_was_closed_meanwhile_is_opened_again(clean_redis: RedisServer) -> None:
    async def use(client: AsyncClient) -> None:
        await client.set("a", task="t", every=60)
        with clean_redis.client() as admin:
            for number in range(20):
                admin.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await client.set("a", args=[number])

    run(clean_redis, use)


def test_a_closed_client_says_so(clean_redis: RedisServer) -> None:
    async def use() -> None:
        async with AsyncClient(clean_redis.url) as closed:
            await closed.set("a", task="t", every=60)
        await closed.close()
        for verb in (lambda: closed.get("a"), closed.history, closed.status, closed.changes, closed.__aenter__):
            with pytest.raises(ClientClosed, match="this client was closed"):
                await verb()

    asyncio.run(use())


def test_nobody_there_is_said_at_once() -> None:
    async def use() -> None:
        async with AsyncClient("redis://127.0.0.1:1/0") as client:
            await client.get("a")

    with pytest.raises(Unreachable, match="Connection refused"):
        asyncio.run(use())
