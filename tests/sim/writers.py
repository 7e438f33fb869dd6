"""People who edit the same entries at once, with the very verbs of the client; each step of them takes its time.

Every writer counts in a field of its own, from what it has read. A put that takes a count back has lost an update.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Mapping
from typing import Any, Final

from beatd.client import editing, entries
from beatd.client.state import EntryState
from beatd.client.steps import Ask, Steps, T, drive_async
from beatd.errors import BeatdError, Conflict, NotFound, Refused, Unreachable
from beatd.store.blocking import in_form
from beatd.store.entries import Pause
from beatd.store.link import Link
from beatd.store.refusals import ConnectionClosed, understand
from tests.sim.cluster import KEYS, World
from tests.sim.history import SHARED

USUAL: Final = ("its runs are not counted", "the instant is past")  # the second after a step of the clock
WHO: Final = '{"client":"%s"}'


class Writer:
    """Reads, edits what it read, and begins anew where it lost a race or got no answer."""

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._name = name
        self._random = random.Random(world.random.random())
        self._link: Link | None = None
        self._numbers = itertools.count(1)
        self._who = WHO % name
        self._nonce = ""  # the last one

    async def edit(self) -> None:
        """Until the world comes to rest."""
        world, r = self._world, self._random
        end = world.scenario.seconds - 3.0
        while world.loop.time() < end:
            await asyncio.sleep(r.expovariate(4 / world.scenario.edit_every))
            act = r.choice([*[self._count] * 3, self._pause, self._resume, self._reset, self._remove])
            try:
                await act(r.choice(SHARED))
            except (NotFound, Conflict, Unreachable):
                continue
            except Refused as error:
                if not any(text in error.message for text in USUAL):
                    raise

    async def _count(self, name: str) -> None:
        """One more, in a field of this writer's own; at times with other runs, or another schedule."""
        base = await self._run(editing.look_at(KEYS, name))
        state = None if base.row is None else base.state()
        before: Mapping[str, int] = {} if state is None else state.definition.get("kwargs", {})
        given: dict[str, Any] = {"kwargs": {**before, self._name: before.get(self._name, 0) + 1}}
        if state is None or self._random.random() < 0.2:
            given |= {"task": "t", "every": self._random.choice(["1s", "1500ms"]), "fast": True}
            given["max_runs"] = self._random.choice([None, 3, 5, 50])
        revision = "" if state is None else state.revision
        after = await self._run(editing.set_entry(KEYS, name, given, revision, self._fresh, self._who))
        mine = after.revision.startswith(f"{self._nonce}.")
        if mine and after.definition["kwargs"] != given["kwargs"]:
            self._world.fail(f"{self._name} was told that {given} is stored; what stood there then: {after}")

    async def _pause(self, name: str) -> None:
        until = self._world.now_ms() + 2_000 if self._random.random() < 0.5 else None
        await self._repeat(lambda: entries.pause(KEYS, [name], self._fresh(), self._who, Pause("me", "why", until)))

    async def _resume(self, name: str) -> None:
        catchup = self._random.random() < 0.5
        await self._repeat(lambda: entries.resume(KEYS, [name], self._fresh(), self._who, catchup=catchup))

    async def _reset(self, name: str) -> None:
        await self._repeat(lambda: entries.reset(KEYS, {name: 5}, self._fresh(), self._who))

    async def _remove(self, name: str) -> None:
        """Only what it has read."""
        state: EntryState = (await self._run(editing.look_at(KEYS, name))).state()
        if self._random.random() < 0.3:
            await self._run(editing.remove_entries(KEYS, [name], state.revision, self._who))

    async def _repeat(self, edit: Callable[[], Steps[Any]]) -> None:
        """As the client does, under another nonce where the connection was closed."""
        try:
            await self._run(edit())
        except ConnectionClosed:
            await self._run(edit())

    def _fresh(self) -> str:
        self._nonce = f"{self._name}-{next(self._numbers)}"
        return self._nonce

    async def _run(self, steps: Steps[T]) -> T:
        return await drive_async(steps, self._answer)

    async def _answer(self, question: Ask) -> list[Any]:
        try:
            return await self._send(question)
        except ConnectionClosed:
            if not question.again:
                raise
            return await self._send(question)

    async def _send(self, question: Ask) -> list[Any]:
        if self._link is None:
            self._link = await self._world.network.open_link(0.5)()
        words = in_form(question.commands, sha=False)
        try:
            replies = await self._link.ask(*words)
        except Unreachable:
            await self._link.close()
            self._link = None
            raise
        found = [understand(reply) if isinstance(reply, Exception) else reply for reply in replies]
        errors = [reply for reply in found if isinstance(reply, BeatdError)]
        if errors and not question.tolerant:
            raise errors[0]
        return found
