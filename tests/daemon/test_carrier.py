"""The carrier: connects again and again, tells once, and sees a window to its end."""

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest

from beatd.core.fire import FireItem
from beatd.core.intent import CONFIRMED, Draft, Intent, Outcome
from beatd.daemon.carrier import Carrier
from beatd.daemon.clock import ServerClock
from beatd.daemon.vitals import Vitals
from beatd.errors import Unreachable

INTENT = Intent("1-1", Draft("e", 1000, "task", "q", None, None, False, "b"), b"{}")


class Memory:
    """A transport to nowhere: ``away`` and ``blocked`` are set by the test, ``gate`` holds answers back."""

    label = "memory://"
    fingerprint = "b"

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.away = False
        self.connected = False
        self.blocked = ""
        self.gate = asyncio.Event()
        self.gate.set()
        self.until: list[float] = []
        self.closed = False

    async def connect(self) -> None:
        if self.away:
            raise Unreachable("nobody is there")
        self.connected = True

    async def publish(self, messages: Sequence[tuple[str, bytes]], until: float) -> Sequence[Outcome]:
        self.until.append(until)
        await self.gate.wait()
        return [CONFIRMED] * len(messages)

    async def close(self) -> None:
        self.closed = True

    def change(self, *, connected: bool = True, blocked: str = "") -> None:
        self.connected, self.blocked = connected, blocked
        self.on_change()


class House:
    """A carrier on a clock of its own; events are remembered."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.seconds = 100.0
        self.transport = Memory()
        clock = ServerClock(lambda: self.seconds)
        self.vitals = Vitals(clock)
        self.carrier = Carrier(self.transport, clock, self, self.vitals, random.Random(1))

    def emit(self, event: str, **fields: object) -> None:
        self.events.append(event)

    def fired(self, items: Sequence[FireItem], at: int) -> None:
        raise AssertionError("a carrier tells of no fires")

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110  # what is waited for has no event
                await asyncio.sleep(0)


@pytest.fixture
async def house() -> House:
    return House()


async def test_it_connects_and_tells_of_an_outage_once_and_of_its_end(house: House) -> None:
    house.transport.away = True
    running = asyncio.create_task(house.carrier.run())
    await house.until(lambda: house.events == ["broker_down"])
    assert house.vitals.broker_down_since == 100.0
    assert not house.carrier.is_open
    house.seconds += 75
    assert house.vitals.broker_down_s() == house.carrier.stuck_s() == 75
    house.transport.away = False
    house.transport.on_change()
    await house.until(lambda: house.events == ["broker_down", "broker_up"])
    assert house.carrier.is_open
    assert (house.vitals.broker_down_s(), house.carrier.connections) == (0, 1)
    running.cancel()


async def test_a_broker_that_blocks_its_connections_is_down_though_connected(house: House) -> None:
    running = asyncio.create_task(house.carrier.run())
    await house.until(lambda: house.carrier.is_open)
    house.transport.change(blocked="low on memory")
    await house.until(lambda: house.events == ["broker_down"])
    assert not house.carrier.is_open
    assert "low on memory" in house.vitals.broker_trouble
    house.transport.change()
    await house.until(lambda: house.events == ["broker_down", "broker_up"])
    running.cancel()


async def test_who_leads_no_more_has_no_broker_that_is_down(house: House) -> None:
    house.transport.away = True
    running = asyncio.create_task(house.carrier.run())
    await house.until(lambda: house.events == ["broker_down"])
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert house.vitals.broker_down_since is None


async def test_a_window_is_seen_to_its_end_though_nobody_waits_for_it(house: House) -> None:
    house.transport.gate.clear()
    asking = asyncio.create_task(house.carrier.publish([INTENT], 105.0))
    await house.until(lambda: bool(house.transport.until))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    house.transport.gate.set()
    await house.carrier.quiet()
    assert house.carrier.confirmed == {("1-1", "task")}
    assert house.vitals.publishes["confirmed"] == 1


async def test_trust_is_told_as_it_is(house: House) -> None:
    await house.carrier.publish([INTENT], 105.0)
    assert house.transport.until == [105.0]


async def test_it_is_stuck_when_something_is_held_and_nothing_gets_through(house: House) -> None:
    house.carrier.holds(3, 100)
    house.seconds += 9
    assert house.carrier.stuck_s() == 9
    await house.carrier.publish([INTENT], 1000.0)
    assert house.carrier.stuck_s() == 0
