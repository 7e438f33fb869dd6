"""Health, readiness and metrics of the real daemon, while things go wrong around it and inside it."""

import signal
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import redis

from beatd.client import entries
from beatd.client.blocking import Client
from beatd.store.entries import Pause
from tests.support import hangs
from tests.support.health import Pages
from tests.support.scenes import FAST, StartDaemon, StartRedis, T, wait_until
from tests.support.servers import RedisServer

SOMEWHERE = "127.0.0.1:0"
CONFIG = {"schedules": {"fast": FAST, "off": {**FAST, "enabled": False}}}


def taken_port() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_a_leader_and_its_standby_are_ready_and_say_which_they_are(
    server: RedisServer, start_daemon: StartDaemon
) -> None:
    leader = start_daemon(server.url, config=CONFIG, http=SOMEWHERE)
    leader.wait_for("leader_acquired")
    standby = start_daemon(server.url, config=CONFIG, http=SOMEWHERE, lease_ttl="60s")  # it bids every 20 s
    for daemon, role in ((leader, "leader"), (standby, "standby")):
        pages = Pages(daemon)
        wait_until(pages.ready)
        found = pages.verdict("/readyz")[1]
        assert (found["role"], pages.verdict("/healthz")[1]["role"]) == (role, role)
        assert found["epoch"] == int(leader.events("leader_acquired")[0].fields["epoch"])
    pages = Pages(standby)
    for _ in range(30):  # Redis is asked every second, however seldom this one bids
        assert pages.amiss() == {}
        time.sleep(0.1)
    assert pages.metrics()["beatd_leader"] == 0


def test_readiness_follows_redis_and_health_does_not(start_redis: StartRedis, start_daemon: StartDaemon) -> None:
    server = start_redis()
    daemons = [start_daemon(server.url, config=CONFIG, http=SOMEWHERE) for _ in range(2)]
    both = [Pages(daemon) for daemon in daemons]
    wait_until(lambda: all(pages.ready() for pages in both))
    server.kill()
    wait_until(lambda: not any(pages.ready() for pages in both), timeout=3.5)
    for pages in both:
        assert "Connection refused" in pages.amiss()["redis"]
        assert pages.alive()
    server.start()
    wait_until(lambda: all(pages.ready() for pages in both), timeout=10)
    assert all(pages.alive() for pages in both)


def test_nobody_is_ready_before_redis_has_answered(start_daemon: StartDaemon) -> None:
    with closing(taken_port()) as silent:  # it accepts connections and says nothing
        daemon = start_daemon(f"redis://127.0.0.1:{silent.getsockname()[1]}", http=SOMEWHERE)
        pages = Pages(daemon)
        daemon.wait_for("redis_down")
        assert pages.amiss().keys() == {"redis", "lease"}
        assert "has not answered yet" in pages.amiss()["redis"]
        assert [pages.verdict(page)[1]["role"] for page in ("/healthz", "/readyz")] == [None, None]
        assert pages.alive()


def test_an_unusable_file_makes_it_unready_and_tells_where(server: RedisServer, start_daemon: StartDaemon) -> None:
    daemon = start_daemon(server.url, config=CONFIG, http=SOMEWHERE)
    pages = Pages(daemon)
    wait_until(pages.ready)
    path = daemon.folder / "schedules.yaml"
    path.write_text("schedules: {a: {task: t, evry: 5s}}")
    wait_until(lambda: not pages.ready())
    amiss = pages.amiss()
    assert amiss.keys() == {"config"}
    assert "schedules.yaml:1:" in amiss["config"]
    assert "evry" in amiss["config"]
    assert pages.metrics()['beatd_reloads_total{result="refused"}'] == 1
    daemon.write(CONFIG)
    wait_until(pages.ready)


def test_no_page_shows_a_secret(start_redis: Callable[..., RedisServer], start_daemon: StartDaemon) -> None:
    server = start_redis(requirepass="CANARY-word")
    daemon = start_daemon(server.url, config=CONFIG, http=SOMEWHERE)
    pages = Pages(daemon)
    daemon.wait_for("entry_fired")
    (daemon.folder / "schedules.yaml").write_text("schedules: {a: {task: CANARY-word, every: CANARY-word}}")
    wait_until(lambda: not pages.ready())
    assert "***" in pages.amiss()["config"]
    assert not any("CANARY" in pages.ask(path)[1] for path in ("/healthz", "/readyz", "/metrics"))
    with server.client() as client:
        client.config_set("requirepass", "another")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        wait_until(lambda: "redis" in pages.amiss())
        assert "refuses the user or the password" in pages.amiss()["redis"]
        assert "CANARY" not in pages.ask("/readyz")[1]


def test_zone_data_and_a_format_newer_than_its_own_make_it_unready(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    client.hset(f"{T}:meta", "tzdata", "2999z")
    daemon = start_daemon(server.url, config=CONFIG, http=SOMEWHERE)
    pages = Pages(daemon)
    wait_until(lambda: pages.amiss().keys() == {"zone_data"})
    assert "2999z" in pages.amiss()["zone_data"]
    client.hset(f"{T}:lease", mapping={"format": 2, "owner": "", "epoch": 2**40})
    wait_until(lambda: "format" in pages.amiss())
    assert "the stored format is 2" in pages.amiss()["format"]


def test_a_leader_that_can_not_read_its_timetable_is_not_ready(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url, config=CONFIG, http=SOMEWHERE)
    pages = Pages(daemon)
    daemon.wait_for("entry_fired")  # ready it is before anything is planned
    wait_until(pages.ready)
    client.rename(f"{T}:due", "kept")
    client.set(f"{T}:due", "not ours")
    wait_until(lambda: not pages.ready())
    assert pages.amiss().keys() == {"timetable"}
    client.rename("kept", f"{T}:due")
    wait_until(pages.ready)


def test_lag_grows_and_readiness_ends_when_what_is_due_can_not_be_fired(
    start_redis: StartRedis, start_daemon: StartDaemon
) -> None:
    server = start_redis()
    daemon = start_daemon(server.url, config=CONFIG, http=SOMEWHERE)
    pages = Pages(daemon)
    daemon.wait_for("entry_fired")
    with server.client() as client:
        client.config_set("maxmemory", "1")  # nothing can be pushed; the lease lives on
        wait_until(lambda: pages.metrics()["beatd_lag_seconds"] > 1.5)
        found = pages.metrics()
        assert found["beatd_due_backlog"] >= 1
        assert found['beatd_script_errors_total{code="writes_refused"}'] >= 1
        assert found["beatd_leader"] == 1
        wait_until(lambda: not pages.ready())
        for _ in range(60):  # sessions come and go meanwhile
            assert "nothing could be fired" in pages.amiss()["timetable"]
        client.config_set("maxmemory", "0")
        wait_until(lambda: pages.metrics()["beatd_lag_seconds"] == 0.0)
        wait_until(pages.ready)


def test_a_loop_that_hangs_is_told_within_three_seconds(server: RedisServer, start_daemon: StartDaemon) -> None:
    """Each leads a namespace of its own: one waits, one computes."""
    programs = [(hangs.__file__, hang) for hang in ("read_a_silent_socket", "compute_for_ever")]
    settings: dict[str, Any] = {"http": SOMEWHERE, "lease_ttl": "2s"}
    daemons = [
        start_daemon(server.url, config={**CONFIG, "namespace": f"hangs-{n}"}, program=program, **settings)
        for n, program in enumerate(programs)
    ]
    both = [Pages(daemon) for daemon in daemons]
    wait_until(lambda: all(pages.ready() for pages in both))
    began = time.monotonic()
    for daemon in daemons:
        daemon.send(signal.SIGUSR1)
    wait_until(lambda: not any(pages.alive() for pages in both), timeout=5)
    assert time.monotonic() - began < 3.3
    for pages in both:
        assert pages.amiss()["loop"].startswith("no beat for ")
        assert pages.metrics()["beatd_leader"] == 1  # it does not know better; its lease runs out


def test_whoever_stops_says_so(start_redis: StartRedis, start_daemon: StartDaemon) -> None:
    server = start_redis()
    daemon = start_daemon(server.url, config=CONFIG, http=SOMEWHERE)
    pages = Pages(daemon)
    wait_until(pages.ready)
    server.freeze()  # it can't hand the lease over at once
    try:
        daemon.send(signal.SIGTERM)
        wait_until(lambda: "running" in pages.amiss())
    finally:
        server.thaw()
    assert daemon.wait() == 0


def test_metrics_tell_fires_skips_and_entries_by_state(
    server: RedisServer, client: redis.Redis, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(server.url, config=CONFIG, http=SOMEWHERE)
    pages = Pages(daemon)
    wait_until(lambda: pages.metrics().get("beatd_fires_total", 0) > 10)
    with Client(server.url, "default") as store:
        store.run(entries.pause(store.keys, ["fast"], "n1", "{}", Pause("me", "a deploy")))
        time.sleep(0.5)
        store.run(entries.resume(store.keys, ["fast"], "n2", "{}", catchup=False))
        store.run(entries.pause(store.keys, ["fast"], "n3", "{}", Pause("me", until=store.now_ms() + 60_000)))
    wait_until(lambda: pages.metrics().get('beatd_entries{state="paused"}') == 1)
    wait_until(lambda: pages.metrics()['beatd_skips_total{reason="paused"}'] >= 1)
    found = pages.metrics()
    states = {key.split('"')[1]: value for key, value in found.items() if key.startswith("beatd_entries")}
    assert states == {"scheduled": 0, "paused": 1, "disabled": 1, "finished": 0, "blocked": 0, "invalid": 0}
    assert found["beatd_fires_total"] == client.llen("celery") == found["beatd_lateness_seconds_count"]
    assert found["beatd_epoch"] == int(daemon.events("leader_acquired")[0].fields["epoch"])
    assert found["beatd_redis_round_trip_seconds_count"] > 10
    assert found["process_resident_memory_bytes"] > 0


def test_the_default_port_may_be_taken_and_one_that_was_asked_for_may_not(
    server: RedisServer, start_daemon: StartDaemon
) -> None:
    with closing(taken_port()) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        asked = start_daemon(server.url, http=address)
        by_variable = start_daemon(server.url, http=None, env={"BEATD_HTTP": address})
        by_file = start_daemon(server.url, http=None, config={**CONFIG, "http": address})
        assert [daemon.wait() for daemon in (asked, by_variable, by_file)] == [3, 3, 3]
        assert f"{address} can't be served: Address already in use (--http)" in asked.log
    first, second = (start_daemon(server.url, http=None) for _ in range(2))
    for daemon in (first, second):
        daemon.wait_for("started")
    assert "127.0.0.1:9464 can't be served: Address already in use; going on without" in first.log + second.log
    assert (first.stop(), second.stop()) == (0, 0)


def test_an_address_that_is_none_of_this_host_ends_with_3(server: RedisServer, start_daemon: StartDaemon) -> None:
    addresses = ("no-such-host.invalid:9464", "192.0.2.1:9464")
    daemons = [start_daemon(server.url, http=address, arguments=("--http-allow-remote",)) for address in addresses]
    for address, daemon in zip(addresses, daemons, strict=True):
        assert daemon.wait() == 3
        assert f"http: {address} can't be served: " in daemon.log
        assert "None" not in daemon.log


def test_an_address_for_others_wants_to_be_meant(server: RedisServer, start_daemon: StartDaemon) -> None:
    refused = start_daemon(server.url, http="0.0.0.0:0")
    meant = start_daemon(server.url, http="0.0.0.0:0", arguments=("--http-allow-remote",))
    assert refused.wait() == 3
    assert "--http-allow-remote" in refused.log
    assert meant.wait_for("started").fields["http"].startswith("http://0.0.0.0:")


def test_nothing_is_served_when_it_is_off_or_runs_once(
    server: RedisServer, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    off = start_daemon(server.url, http="off")
    once = start_daemon(server.url, http=None, arguments=("--once",), folder=tmp_path / "once")
    for daemon in (off, once):
        assert daemon.wait_for("started").fields.get("http") is None
