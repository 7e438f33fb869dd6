"""Links that follow the primary: who writes to a server that was replaced writes into what will be thrown away.

A server that was only cut off from its Sentinels, or frozen for a moment, does not know that it was replaced, and tells
nobody: it is the Sentinels who are asked, once a second.
"""

import asyncio
import weakref
from collections.abc import Awaitable, Callable
from typing import Final

from beatd.errors import BeatdError
from beatd.store.connect import RedisAddress
from beatd.store.link import Link
from beatd.store.sentinel import Answer

ASK_S: Final = 1.0


class Links:
    """Opens links, and leaves those to a primary of the past. ``address``: where Redis is said to be."""

    def __init__(self, address: RedisAddress, open_link: Callable[[], Awaitable[Link]]) -> None:
        self._sentinels, self._place = address.sentinels, address.place
        self._open_link = open_link
        self._open: weakref.WeakSet[Link] = weakref.WeakSet()

    async def open(self) -> Link:
        """Another one. Raises Unreachable or AccessDenied."""
        link = await self._open_link()
        self._open.add(link)
        return link

    async def follow(self) -> None:
        """Runs for ever; without Sentinels it has nothing to do."""
        while True:
            await asyncio.sleep(ASK_S)
            if self._sentinels is None or not any(link.primary for link in self._open):
                continue
            try:
                newest = await asyncio.to_thread(self._sentinels.primary, self._place)
            except BeatdError:  # who has a primary keeps it: the next to connect tells what is wrong
                continue
            for link in list(self._open):
                if link.primary is not None and is_replaced(link.primary, newest):
                    link.leave(newest)


def is_replaced(primary: Answer, newest: Answer) -> bool:
    """Whether another server has become the primary since. An older answer, of a Sentinel cut off, tells nothing."""
    return newest.epoch > primary.epoch and newest[1:] != primary[1:]
