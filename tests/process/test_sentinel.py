"""Failovers by real Sentinels: firing goes on at the new primary within seconds, no slot lost and none doubled."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
import redis

from tests.support.ledger import verdict_on
from tests.support.scenes import StartDaemon, beatd, fast_entries, now_ms, wait_until
from tests.support.sentinel import NAME, Watched, enqueued
from tests.support.servers import RedisServer, free_port, redis_binary, require

ENTRIES = fast_entries(20)
CONFIG = {"schedules": ENTRIES}
AGAIN_S = 5.0  # with Sentinels that hold a server for down after a second


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    scene = Watched(require(redis_binary(), "redis-server or valkey-server"), tmp_path / "watched")
    yield scene
    scene.close()


def fires_at(server: RedisServer, more_than: int = 0) -> bool:
    return length(server) > more_than


def length(server: RedisServer) -> int:
    """Of the queue; -1 while Sentinel cuts connections."""
    with suppress(redis.ConnectionError), server.client() as client:
        return cast("int", client.llen("celery"))
    return -1


def wait_for_fires_after_promotion(watched: Watched, began: float) -> float:
    """Seconds from an instant until the replica, promoted by then, has got a message."""
    wait_until(lambda: watched.is_promoted(watched.replica))
    had = length(watched.replica)
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
    if end is RedisServer.freeze:
        watched.primary.thaw()  # it takes itself for the primary, until the Sentinels tell it otherwise
        check_survivors(watched, watched.replica)


def test_what_a_replica_had_not_got_yet_fires_again_under_the_same_ids(
    watched: Watched, start_daemon: StartDaemon
) -> None:
    with watched.primary.client() as primary, watched.replica.client() as replica:
        primary.execute_command("ACL", "SETUSER", "copier", "on", ">secret", "+psync", "+replconf", "+ping")
        replica.config_set("masteruser", "copier")
        replica.config_set("masterauth", "secret")
        daemon = start_daemon(watched.url, config=CONFIG, lease_ttl=None)
        wait_until(lambda: fires_at(watched.replica, 100))
        primary.execute_command("ACL", "SETUSER", "copier", "off")
        primary.execute_command("CLIENT", "KILL", "TYPE", "replica")
        behind: Any = primary.llen("celery")
        wait_until(lambda: fires_at(watched.primary, behind + 100))
        before = enqueued(primary)
        assert len(enqueued(replica)) < len(before)
        watched.primary.kill()
        wait_until(lambda: watched.is_promoted(watched.replica))
    check_survivors(watched, watched.replica)
    daemon.wait_for("backlog", reason="rollback")
    with watched.replica.client() as client:
        after = {(m.entry, m.slot): m.id for m in enqueued(client)}
    assert all(after[m.entry, m.slot] == m.id for m in before)


def test_one_sentinel_of_four_is_enough_where_others_are_dead_or_frozen(
    watched: Watched, start_daemon: StartDaemon
) -> None:
    """With a majority silent nobody fails over; who the primary is, one is enough to tell."""
    frozen, dead, left = watched.sentinels
    frozen.freeze()
    dead.kill()
    url = watched.url_of(frozen.port, dead.port, free_port(), left.port)
    daemon = start_daemon(url, config=CONFIG, lease_ttl=None)
    wait_until(lambda: fires_at(watched.primary, 50))
    began = time.monotonic()
    done = beatd("status", "--redis", url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.monotonic() - began < 3
    assert not daemon.events("redis_down")


def test_sentinels_that_are_away_at_the_start_are_waited_for_and_a_wrong_name_ends_it(
    watched: Watched, start_daemon: StartDaemon
) -> None:
    only = watched.sentinels[0]
    only.stop()
    daemon = start_daemon(watched.url_of(only.port), config=CONFIG)
    daemon.wait_for_line("no Sentinel answers")
    only.start()
    wait_until(lambda: fires_at(watched.primary))
    wrong = start_daemon(watched.url_of(only.port).replace(NAME, "other"), config=CONFIG)
    assert wrong.wait() == 6
    assert "knows no primary named 'other'" in wrong.log


def test_a_primary_that_was_told_to_hand_over_is_left_at_once(watched: Watched, start_daemon: StartDaemon) -> None:
    start_daemon(watched.url, config=CONFIG, lease_ttl=None)
    wait_until(lambda: fires_at(watched.replica, 50))
    began = time.monotonic()
    with watched.sentinels[0].client(protocol=2) as client:
        client.execute_command("SENTINEL", "FAILOVER", NAME)
    took = wait_for_fires_after_promotion(watched, began)
    check_survivors(watched, watched.replica)
    assert took < AGAIN_S


def test_too_few_replicas_are_waited_for_and_nothing_is_lost(watched: Watched, start_daemon: StartDaemon) -> None:
    """`min-replicas-to-write`: a primary that has lost its replica takes no fire that a failover would undo."""
    with watched.primary.client() as client, watched.replica.client() as other:
        for each in (client, other):
            each.config_set("min-replicas-to-write", "1")
            each.config_set("min-replicas-max-lag", "1")
        daemon = start_daemon(watched.url, config=CONFIG, lease_ttl=None)
        wait_until(lambda: fires_at(watched.replica, 50))
        watched.replica.freeze()
        daemon.wait_for_line("fewer replicas than min-replicas-to-write")
        watched.replica.thaw()
        check_survivors(watched, watched.primary)


def test_a_daemon_on_a_replica_says_so_and_fires_when_that_is_promoted(
    watched: Watched, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(watched.replica.url, config=CONFIG)
    said = daemon.wait_for_line("is a replica and refuses to write")
    assert "point beatd at the primary" in said
    done = beatd("doctor", "--redis", watched.replica.url)
    assert done.returncode == 1
    assert "this is a replica, and refuses to write" in done.stdout
    with watched.replica.client() as client:
        client.execute_command("REPLICAOF", "NO", "ONE")
    wait_until(lambda: fires_at(watched.replica))
