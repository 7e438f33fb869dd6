"""Stories of a broker that is not our Redis, in virtual time: outages of hours, missing queues, and the rules."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

import beatd.core.outbox_room
from beatd.core.edit import put_item
from beatd.core.entry import entry_from_spec
from beatd.core.intent import MOST_INTENTS, MOST_OF_ONE_BAD_QUEUE, Intent
from beatd.daemon.outbox import OutboxService
from beatd.store.entries import Pause, pause_call, put_call
from beatd.store.outbox import RedisOutbox
from tests.sim.broker import FINGERPRINT, Broker
from tests.sim.cluster import KEYS, Scenario, World, scenario
from tests.sim.link import NOWHERE

PEACE = replace(
    scenario(10), entries=1, instances=1, edit_every=1e6, fault_every=1e9, foreign=False, file_entries=0, broker=True,
    sizes={}, slowest=0.01, message_size=400, writers=0, fault_rate=0.0, faulty=False,
)  # fmt: skip
HOUR = 3600.0


def world_of(settings: Scenario, **specs: dict[str, Any]) -> tuple[World, Broker]:
    """A world in which these entries are put at second 1, all in one call."""
    world = World(settings)
    assert world.broker is not None
    world.ledger.load_scripts()
    entries = [entry_from_spec(name, {"task": "t", "args": [0], **spec}) for name, spec in specs.items()]
    run(world, 1.0, put_call(KEYS, [put_item(entry, f"s-{entry.name}") for entry in entries], "{}"))
    return world, world.broker


def run(world: World, at: float, call: Any) -> None:
    words = [word if isinstance(word, bytes) else str(word).encode() for word in call.command(sha=False, shebang=False)]
    world.loop.call_later(at, world.server.execute, words)


def at(world: World, seconds: float, what: Callable[[], object]) -> None:
    world.loop.call_later(seconds, what, context=NOWHERE)
    world.loop.call_later(seconds, world.disturbed, context=NOWHERE)


def stored(world: World) -> list[bytes]:
    return sorted(world.ledger.state()["ob"])


def told(world: World, event: str) -> list[dict[str, Any]]:
    """Fields of all such events from now on."""
    found: list[dict[str, Any]] = []
    note = world.note

    def noted(who: str, what: str, more: object = "") -> None:
        if what == event and isinstance(more, dict):
            found.append(more)
        note(who, what, more)

    world.note = noted  # type: ignore[method-assign]
    return found


def skipped(world: World, reason: str) -> list[str]:
    """Names with a row of that reason."""
    key = KEYS.key("skip").encode()
    stream: Any = world.server.data.get(key)
    packed = [dict(zip(f[::2], f[1::2], strict=True))[b"skips"] for _, f in stream.rows] if stream else []
    return [part.split(b"\x1f")[0].decode() for row in packed for part in row.split(b"\x1e") if reason.encode() in part]


def test_six_hours_without_a_broker_leave_memory_and_outbox_as_small_as_they_were() -> None:
    end = 6 * HOUR + 60
    specs = {f"busy-{n}": {"every": "30s", "catchup": "latest"} for n in range(8)}
    specs |= {f"all-{n}": {"every": "10m", "catchup": "all"} for n in range(5)}
    world, broker = world_of(replace(PEACE, seconds=end, ttl=10.0), **specs)
    at(world, 30.0, broker.stop)
    at(world, 30.0 + 6 * HOUR, broker.start)
    most = {"stored": 0, "staged": 0}
    lines = told(world, "broker_down"), told(world, "broker_up")

    def look() -> None:
        session = world.instances[0].sessions
        most["stored"] = max(most["stored"], len(stored(world)))
        most["staged"] = max([most["staged"], *(len(found.window) for found in session)])
        world.loop.call_later(60.0, look, context=NOWHERE)

    world.loop.call_later(60.0, look, context=NOWHERE)
    outcome = world.run()
    assert outcome.failure is None, outcome.failure
    assert most["stored"] <= 5  # what was on its way when the broker went: nothing is decided while it is away
    assert most["staged"] <= 14
    assert [len(found) for found in lines] == [1, 1]
    late = [arrival for arrival in broker.arrivals if arrival.at > 30.0 + 6 * HOUR]
    assert {f"all-{n}" for n in range(5)} <= {arrival.name for arrival in late}
    kept = [arrival for arrival in late if arrival.name == "all-0"]
    assert len(kept) == pytest.approx(6 * 6, abs=2)  # every slot of the outage that its policy keeps
    assert len(broker.arrivals) == len({(a.name, a.slot) for a in broker.arrivals})


@pytest.mark.nightly
def test_a_missing_queue_holds_its_share_and_blocks_its_entries_while_others_go_on() -> None:
    specs: dict[str, dict[str, Any]] = {f"lost-{n}": {"every": "1s", "queue": "gone"} for n in range(150)}
    specs["good"] = {"every": "1s"}
    world, broker = world_of(replace(PEACE, seconds=50.0), **specs)
    broker.missing.add("gone")
    returned = told(world, "message_returned")
    seen: dict[str, int] = {}

    def look() -> None:
        seen["stored"], seen["blocked"] = len(stored(world)), len(world.ledger.state()["blocked"])
        seen["good"] = sum(1 for arrival in broker.arrivals if arrival.name == "good")

    world.loop.call_later(20.0, look, context=NOWHERE)
    at(world, 21.0, broker.missing.clear)
    outcome = world.run()
    assert outcome.failure is None, outcome.failure
    assert MOST_OF_ONE_BAD_QUEUE - 10 <= seen["stored"] <= MOST_OF_ONE_BAD_QUEUE + 5
    assert seen["blocked"] >= 100
    assert seen["good"] >= 17
    back = {arrival.name for arrival in broker.arrivals if arrival.queue == "gone"}
    assert len(back) == 150
    assert [fields["queue"] for fields in returned] == ["gone"]  # told once a minute


def after_a_pause() -> tuple[World, Broker, str | None]:
    """What waits for a missing queue is taken back by a pause; then the queue is there."""
    world, broker = world_of(replace(PEACE, seconds=40.0), lost={"every": "1s", "queue": "gone"})
    broker.missing.add("gone")
    run(world, 10.0, pause_call(KEYS, ["lost"], "p1", "{}", Pause("me", "why", None)))
    at(world, 15.0, broker.missing.clear)
    return world, broker, world.run().failure


def test_what_a_pause_takes_back_is_not_sent_and_has_a_row() -> None:
    world, broker, failure = after_a_pause()
    assert failure is None, failure
    assert {arrival.name for arrival in broker.arrivals} <= {"e0"}
    assert "lost" in skipped(world, "paused")
    assert stored(world) == []


def test_what_is_decided_for_another_broker_is_told_and_sent_nowhere() -> None:
    world, broker = world_of(replace(PEACE, seconds=30.0), lost={"every": "1s", "queue": "gone"})
    broker.missing.add("gone")

    backlog = told(world, "backlog")

    def move() -> None:
        world.instances[0].stop()
        broker.fingerprint = "another"
        broker.missing.clear()
        world.start_instance()

    at(world, 6.0, move)
    outcome = world.run()
    assert outcome.failure is None, outcome.failure
    left = stored(world)
    assert left
    assert not {arrival.intent.encode() for arrival in broker.arrivals} & set(left)
    assert any(f"another broker ({FINGERPRINT})" in str(fields.get("error")) for fields in backlog)
    assert any(arrival.name == "lost" for arrival in broker.arrivals)  # what is decided from now on goes


def test_what_died_in_the_outbox_has_a_row() -> None:
    world, broker = world_of(
        replace(PEACE, seconds=40.0), lost={"every": "2s", "queue": "gone", "deadline": "3s"}, good={"every": "2s"}
    )
    broker.missing.add("gone")
    outcome = world.run()
    assert outcome.failure is None, outcome.failure
    assert "lost" in skipped(world, "undeliverable")
    assert len(stored(world)) <= 3


def after_a_step_back() -> tuple[World, str | None]:
    """What was just confirmed comes back into the outbox, with a dataset that is a moment older: no batch is lost."""
    world, _ = world_of(replace(PEACE, seconds=30.0), steady={"every": "2s"})
    snapshots: list[Any] = []
    before = world.ledger.noted

    def noted(script: str, args: Any, reply: Any) -> None:
        before(script, args, reply)
        if script == "settle" and world.loop.time() > 10.0 and not snapshots:
            world.loop.call_soon(lambda: snapshots.append(world.snapshot()), context=NOWHERE)
        elif script == "done" and len(snapshots) == 1:
            at(world, 0.0, lambda: world.restore(snapshots[0]))
            snapshots.append(None)

    world.ledger.noted = noted
    failure = world.run().failure
    assert len(snapshots) == 2
    return world, failure


def test_what_comes_back_into_the_outbox_with_an_older_dataset_leaves_it_again() -> None:
    world, failure = after_a_step_back()
    assert failure is None, failure
    assert stored(world) == []


def test_it_would_stay_if_the_leader_did_not_count_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OutboxService, "counted", lambda service, number: None)
    world, failure = after_a_step_back()
    assert failure is not None
    assert len(stored(world)) == 1


async def _all_stand(self: RedisOutbox, intents: Sequence[Intent]) -> list[bool]:
    return [True] * len(intents)


def test_without_a_look_at_what_stands_what_was_taken_back_would_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RedisOutbox, "standing", _all_stand)
    assert "P4" in str(after_a_pause()[2])


def test_however_many_queues_are_missing_the_outbox_is_bounded() -> None:
    specs: dict[str, dict[str, Any]] = {
        f"lost-{n}": {"every": "1s", "queue": f"gone-{n % 12}", "catchup": "all"} for n in range(240)
    }
    specs["good"] = {"every": "1s"}
    world, broker = world_of(replace(PEACE, seconds=60.0), **specs)
    broker.missing.update(f"gone-{n}" for n in range(12))
    most = 0

    def look() -> None:
        nonlocal most
        most = max(most, len(stored(world)))
        world.loop.call_later(0.5, look, context=NOWHERE)

    world.loop.call_later(2.0, look, context=NOWHERE)
    outcome = world.run()
    assert outcome.failure is None, outcome.failure
    assert most <= beatd.core.outbox_room.MOST_OF_BAD_QUEUES + MOST_OF_ONE_BAD_QUEUE < MOST_INTENTS
    good = [arrival for arrival in broker.arrivals if arrival.name == "good"]
    assert len(good) >= 55
