"""Failovers by real Sentinels: firing goes on at the new primary within seconds, no slot lost and none doubled."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.ledger import verdict_on
from tests.support.scenes import StartDaemon, fast_entries, now_ms, wait_until
from tests.support.sentinel import Watched, enqueued
from tests.support.servers import RedisServer, redis_binary, require

ENTRIES = fast_entries(20)
CONFIG = {"schedules": ENTRIES}
AGAIN_S = 5.0  # with Sentinels that hold a server for down after a second


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    scene = Watched(require(redis_binary(), "redis-server or valkey-server"), tmp_path / "watched")
    yield scene
    scene.close()


def fires_at(server: RedisServer, more_than: int = 0) -> bool:
    with server.client() as client:
        return bool(client.llen("celery") > more_than)


def wait_for_fires_after_promotion(watched: Watched, began: float) -> float:
    """Seconds from an instant until the replica, promoted by then, has got a message."""
    wait_until(lambda: watched.is_promoted(watched.replica))
    with watched.replica.client() as client:
        had = client.llen("celery")
    wait_until(lambda: fires_at(watched.replica, had))
    return time.monotonic() - began


def check_survivors(watched: Watched, server: RedisServer) -> None:
    """Some more slots, and then: all of them lie in the dataset that has survived, and each once."""
    with server.client() as client:
        until = now_ms(client) + 500
        wait_until(lambda: {m.entry for m in enqueued(client) if m.slot >= until} >= set(ENTRIES))
        verdict = verdict_on(enqueued(client), ENTRIES, until)
    assert not verdict.problems, "\n".join(verdict.problems[:20])


@pytest.mark.parametrize("end", [RedisServer.kill, RedisServer.freeze], ids=["killed", "frozen"])
def test_a_primary_that_dies_costs_five_seconds_and_no_slot(
    end: Callable[[RedisServer], None], watched: Watched, start_daemon: StartDaemon
) -> None:
    daemons = [start_daemon(watched.url, config=CONFIG, lease_ttl=None) for _ in range(2)]
    wait_until(lambda: fires_at(watched.replica, 100))
    began = time.monotonic()
    end(watched.primary)
    took = wait_for_fires_after_promotion(watched, began)
    print(f"firing again after {took:.2f} s")
    check_survivors(watched, watched.replica)
    assert took < AGAIN_S
    assert all(daemon.running for daemon in daemons)
    assert sum(len(daemon.events("redis_down")) for daemon in daemons) <= 12, daemons[0].log
