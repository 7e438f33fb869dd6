"""What goes wrong at a broker, and on the way to it."""

import asyncio
import random

from beatd.store.outbox import drop_call
from tests.sim.broker import Broker
from tests.sim.cluster import KEYS, World

QUEUES = ("celery", "batch")


class BrokerTrouble:
    """One fault after another, until the world is left in peace to settle."""

    def __init__(self, world: World, broker: Broker) -> None:
        self._world = world
        self._broker = broker
        self._random = random.Random(world.random.random())

    async def run(self) -> None:
        """The last fault is over when this is."""
        world, r = self._world, self._random
        end = world.scenario.seconds - world.scenario.calm_after - 2.0
        while world.loop.time() < end:
            await asyncio.sleep(min(r.expovariate(1 / world.scenario.broker_fault_every), end - world.loop.time()))
            if world.loop.time() < end:
                world.disturbed()
                await getattr(self, r.choice(world.scenario.broker_faults))(end - world.loop.time())
                world.disturbed()
        self._broker.fault_rate = 0.0
        world.disturbed()  # a connection may have fallen silent a moment ago

    async def stop(self, most: float) -> None:
        """It ends, and is back a while later."""
        self._note("down")
        self._broker.stop()
        await self._wait(most, 0.05, 0.5, 3.0, 8.0)
        self._note("up")
        self._broker.start()

    async def lose_queue(self, most: float) -> None:
        """A queue is missing: what is sent there comes back."""
        queue = self._random.choice(QUEUES)
        self._note("queue missing", queue)
        self._broker.missing.add(queue)
        await self._wait(most, 0.3, 1.0, 4.0, 8.0)
        self._note("queue declared", queue)
        self._broker.missing.discard(queue)

    async def refuse(self, most: float) -> None:
        """A queue is full: what is sent there is refused."""
        queue = self._random.choice(QUEUES)
        self._note("queue refuses", queue)
        self._broker.refusing.add(queue)
        await self._wait(most, 0.3, 1.0, 3.0)
        self._note("queue takes messages", queue)
        self._broker.refusing.discard(queue)

    async def cut(self, most: float) -> None:
        """All connections end, or those of one process."""
        r, instances = self._random, [i for i in self._world.instances if i.alive]
        process = r.choice(instances).process if instances and r.random() < 0.5 else None
        self._note("connections end", process.name if process else "all")
        self._broker.cut_all(process)

    async def block(self, most: float) -> None:
        """No memory is left there, say."""
        self._note("blocks")
        self._broker.block("low on memory")
        await self._wait(most, 0.3, 2.0, 5.0)
        self._note("unblocks")
        self._broker.block("")

    async def stall(self, most: float) -> None:
        """It reads nothing for a while, nor lets anybody in."""
        self._note("stalls")
        self._broker.stalled = True
        await self._wait(most, 0.3, 2.0, 1.5 * self._world.scenario.ttl)
        self._note("goes on")
        self._broker.stalled = False

    async def cut_off(self, most: float) -> None:
        """One process, the leader say, can't reach it, and reaches all else."""
        instances = [i for i in self._world.instances if i.alive]
        if not instances:
            return
        leaders = [i for i in instances if i.elector.term is not None]
        process = self._random.choice(leaders or instances).process
        self._note("cut off", process.name)
        self._broker.cut_off.add(process)
        self._broker.cut_all(process)
        await self._wait(most, 0.5, 3.0, 6.0)
        self._note("within reach", process.name)
        self._broker.cut_off.discard(process)

    async def drop(self, most: float) -> None:
        """Somebody drops some of what waits."""
        intents = self._world.ledger.intents
        assert intents is not None
        waiting = sorted(intents.waiting())
        chosen = self._random.sample(waiting, min(len(waiting), self._random.choice([1, 3])))
        if chosen:
            self._note("dropped by hand", chosen)
            self._world.execute(drop_call(KEYS, chosen, "no longer wanted", '{"client":"me"}'))

    async def _wait(self, most: float, *choices: float) -> None:
        await asyncio.sleep(max(0.0, min(most, self._random.choice(choices))))

    def _note(self, what: str, more: object = "") -> None:
        self._world.note("broker", what, more)
