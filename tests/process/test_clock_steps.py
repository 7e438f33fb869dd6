"""The clock of Redis is set, or is another than that of the host: slots go by it, nothing fires twice, it is told."""

import time
from pathlib import Path

import pytest
import redis

from tests.support.clock import ShiftedClock
from tests.support.scenes import OpenLedger, StartDaemon, StartRedis, T, fast_entries, now_ms, wait_until
from tests.support.servers import RedisServer

HOUR_S = 3_600
ENTRIES = fast_entries(10, catchup="latest", grace="1s")


@pytest.fixture
def clock(tmp_path: Path) -> ShiftedClock:
    return ShiftedClock(tmp_path)


@pytest.fixture
def server(clock: ShiftedClock, start_redis: StartRedis, monkeypatch: pytest.MonkeyPatch) -> RedisServer:
    """With a clock of its own; whatever is started later has the host's."""
    with monkeypatch.context() as patch:
        for name, value in clock.variables.items():
            patch.setenv(name, value)
        return start_redis()


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_a_daemon_on_a_host_with_another_clock_says_so_and_goes_by_that_of_redis(
    seconds: int, clock: ShiftedClock, server: RedisServer, client: redis.Redis, start_daemon: StartDaemon,
    open_ledger: OpenLedger,
) -> None:  # fmt: skip
    clock.shift(seconds)
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": ENTRIES})
    ledger.settle(ENTRIES, 0)
    ledger.check(ENTRIES, now_ms(client))
    way = "ahead of" if seconds > 0 else "behind"
    daemon.wait_for_line(f'risk_found risk="the clock of Redis is 3,600 s {way} the clock of this host')
    slots = [message.slot for message in ledger.all()]
    assert max(slots) / 1000 == pytest.approx(time.time() + seconds, abs=30)


def test_a_clock_set_forward_by_an_hour_is_told_and_missed_slots_follow_the_catch_up(
    clock: ShiftedClock, server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemons = [start_daemon(server.url, config={"schedules": ENTRIES}, lease_ttl="1s") for _ in range(2)]
    ledger.settle(ENTRIES, 0)
    clock.shift(HOUR_S)
    ledger.settle(ENTRIES, now_ms(client) + 500)
    ledger.check_once()
    fired = {message.slot for message in ledger.all()}
    wait_until(lambda: any(daemon.events("clock_stepped") for daemon in daemons))
    assert len(fired) < 10 * 100  # of the 180,000 slots of that hour next to none
    told = next(event for daemon in daemons for event in daemon.events("clock_stepped"))
    assert int(told.fields["by_ms"]) == pytest.approx(HOUR_S * 1000, abs=2_000)
    assert all(daemon.running for daemon in daemons)


def test_a_clock_set_back_by_an_hour_is_told_fires_nothing_twice_and_keeps_no_dead_leader_alive(
    clock: ShiftedClock, server: RedisServer, client: redis.Redis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    ledger = open_ledger(server)
    daemon = start_daemon(server.url, config={"schedules": ENTRIES}, lease_ttl="1s")
    ledger.settle(ENTRIES, 0)
    clock.shift(-HOUR_S)
    told = daemon.wait_for("clock_stepped")
    assert int(told.fields["by_ms"]) == pytest.approx(-HOUR_S * 1000, abs=2_000)
    assert "slots that were fired wait until the clock has passed them" in told.line
    fired = len(ledger.all())
    standby = start_daemon(server.url, config={"schedules": ENTRIES}, lease_ttl="1s")
    wait_until(lambda: client.hlen(f"{T}:inst") == 2)
    daemon.kill()
    standby.wait_for("leader_acquired", timeout=5)  # its lease has an hour left by the clock of Redis
    assert len(ledger.all()) <= fired + len(ENTRIES)
    clock.shift(0)
    ledger.settle(ENTRIES, now_ms(client) + 500)
    ledger.check_once()
