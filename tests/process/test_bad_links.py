"""Between daemon and Redis: replies that come late, never, or cut off; one way only; and servers that forget."""

import time
from collections.abc import Iterator

import pytest
import redis

from tests.support.proxy import Behaviour, Proxy
from tests.support.scenes import OpenLedger, StartDaemon, beatd, fast_entries, now_ms
from tests.support.servers import RedisServer

ENTRIES = fast_entries(20)
CONFIG = {"schedules": ENTRIES}


@pytest.fixture
def link(server: RedisServer) -> Iterator[Proxy]:
    with Proxy(server.port, behaviour=Behaviour(slowest=0.02)) as proxy:
        yield proxy


def test_a_link_that_is_cut_after_each_few_kilobytes_loses_and_doubles_nothing(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    with Proxy(server.port, behaviour=Behaviour(cut_after=9_001)) as link:
        ledger, daemon = open_ledger(server), start_daemon(link.url, config=CONFIG)
        ledger.settle(ENTRIES, 0, timeout=40)
        ledger.check(ENTRIES, now_ms(client) + 2_000)
        assert link.accepted > 8
        assert daemon.running


@pytest.mark.parametrize("direction", ["replies", "requests"])
def test_what_is_held_beyond_the_ttl_and_comes_then_fires_nothing_twice(
    direction: str, link: Proxy, server: RedisServer, client: redis.Redis, start_daemon: StartDaemon,
    open_ledger: OpenLedger,
) -> None:  # fmt: skip
    ledger = open_ledger(server)
    cut_off = start_daemon(link.url, config=CONFIG, lease_ttl="1s")
    cut_off.wait_for("leader_acquired")
    standby = start_daemon(server.url, config=CONFIG, lease_ttl="1s")
    ledger.settle(ENTRIES, 0)
    link.hold(direction)
    standby.wait_for("leader_acquired")
    cut_off.wait_for("lease_lost")
    link.let_pass(direction)
    ledger.check(ENTRIES, now_ms(client) + 500)
    assert cut_off.running


@pytest.mark.parametrize("direction", ["replies", "requests"])
def test_what_is_lost_is_asked_for_again_over_another_connection(
    direction: str, link: Proxy, server: RedisServer, client: redis.Redis, start_daemon: StartDaemon,
    open_ledger: OpenLedger,
) -> None:  # fmt: skip
    ledger, daemon = open_ledger(server), start_daemon(link.url, config=CONFIG)
    ledger.settle(ENTRIES, 0)
    for _ in range(2):
        link.lose(direction)
        time.sleep(0.7)  # longer than a request may take
    ledger.check(ENTRIES, now_ms(client) + 300)
    assert daemon.running


def test_a_leader_whose_sessions_all_fail_stands_down_and_says_why(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    with Proxy(server.port) as link:
        link.behaviour.accepts = 2  # the elector's; the leader finds the door shut
        half = start_daemon(link.url, config=CONFIG, lease_ttl="1s")
        half.wait_for("leader_acquired")
        other = start_daemon(server.url, config=CONFIG, lease_ttl="1s")
        released = half.wait_for("leader_released")
        assert "it can't fire: Redis at redis://127.0.0.1:" in released.line
        other.wait_for("leader_acquired", timeout=2)
        ledger.settle(ENTRIES, 0)
        ledger.check(ENTRIES, now_ms(client) + 500)
        assert half.running
        assert not half.events("lease_lost")


@pytest.mark.nightly
def test_an_instance_that_never_can_fire_sits_out_for_longer_each_time(
    server: RedisServer, start_daemon: StartDaemon
) -> None:
    with Proxy(server.port) as link:
        link.behaviour.accepts = 2
        alone = start_daemon(link.url, config=CONFIG, lease_ttl="1s")
        at = [alone.wait_for("leader_released", count=n, timeout=30).at for n in (1, 2, 3)]
        back = [alone.wait_for("leader_acquired", count=n).at for n in (2, 3)]
    assert 0.8 < back[0] - at[0] < 1.8
    assert 1.8 < back[1] - at[1] < 3.5


def test_flushall_over_slow_links_brings_every_entry_of_the_file_back_and_doubles_nothing(
    link: Proxy, server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemons = [start_daemon(link.url, config=CONFIG, lease_ttl="1s") for _ in range(3)]
    ledger.settle(ENTRIES, 0)
    flushed = []
    for _ in range(3):
        client.flushall()
        flushed.append(time.monotonic())
        ledger.settle(ENTRIES, now_ms(client) + 300)
    ledger.check_once(forgot=flushed)
    assert all(daemon.running for daemon in daemons)


def test_a_server_that_comes_back_empty_is_told_and_file_entries_fire_again(
    server: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config=CONFIG, lease_ttl="1s")
    ledger.settle(ENTRIES, 0)
    assert beatd("set", "by-hand", "--task", "t", "--every", "1s", "--redis", server.url).returncode == 0
    ledger.settle(ENTRIES, ledger.all()[-1].slot + 1_500)  # entries are counted once a second
    server.kill()
    killed = time.monotonic()
    server.start()
    assert "1 were in no file and are gone" in daemon.wait_for("backlog", reason="wipe").line
    with server.client() as client:
        ledger.settle(ENTRIES, now_ms(client) + 300)
        found = {row.split()[0] for row in beatd("ls", "--redis", server.url).stdout.splitlines()[1:]}
        assert found == set(ENTRIES)
    ledger.check_once(forgot=[killed])  # the answer to the last fires may never have left the server
