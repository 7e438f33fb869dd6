"""The three kinds of connection to Redis: the daemon's, the commands', and the asynchronous client's."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from beatd.errors import BeatdError
from beatd.store.aio import AsyncLink
from beatd.store.blocking import BlockingLink
from beatd.store.connect import RedisAddress, user_of
from beatd.store.keys import Keys
from beatd.store.link import Link
from beatd.store.rights import Rights


def refusals(url: str, seconds: float) -> list[BeatdError | None]:
    """What each of them says; None where it is let in."""
    found: list[BeatdError | None] = []
    connects: Sequence[Callable[[], None]] = (
        lambda: asyncio.run(_settled(_by_daemon(url, seconds))),
        lambda: _by_command(url, seconds),
        lambda: asyncio.run(_settled(_by_client(url, seconds))),
    )
    for connect in connects:
        try:
            connect()
            found.append(None)
        except BeatdError as error:
            found.append(error)
    return found


async def _settled(call: Awaitable[None]) -> None:
    """Its end, once the loop has closed what was open: a loop that is closed before that leaves warnings."""
    try:
        await call
    finally:
        for _ in range(10):
            await asyncio.sleep(0)


async def _by_daemon(url: str, seconds: float) -> None:
    link = await Link.open(RedisAddress(url, seconds), Rights(Keys("default"), user=user_of(url)))
    try:
        await link.request(("PING",))
    finally:
        await link.close()


def _by_command(url: str, seconds: float) -> None:
    with BlockingLink(url, "default", seconds) as link:
        link.request(("PING",))


async def _by_client(url: str, seconds: float) -> None:
    link = AsyncLink(url, "default", seconds)
    try:
        await link.exchange([("PING",)], tolerant=False, again=False)
    finally:
        await link.close()
