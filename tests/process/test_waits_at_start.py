"""A Redis that is not ready yet: `beatd run` waits, says why once, and begins by itself."""

import subprocess
import threading
import time
from contextlib import suppress

import redis

from tests.support.daemon import Daemon
from tests.support.ledger import Ledger
from tests.support.proxy import Behaviour, Proxy
from tests.support.scenes import OpenLedger, StartDaemon, StartRedis, beatd, fast_entries
from tests.support.servers import RedisServer

ENTRIES = {"schedules": fast_entries(3)}


def said(daemon: Daemon) -> str:
    return daemon.wait_for("redis_down").line


def begins(daemon: Daemon, ledger: Ledger) -> None:
    daemon.wait_for("leader_acquired")
    ledger.settle(fast_entries(3), 0)
    assert len(daemon.events("redis_down")) <= 2, daemon.log


def test_a_name_that_does_not_resolve(start_daemon: StartDaemon) -> None:
    daemon = start_daemon("redis://no-such-host.invalid:6379/0")
    assert "the host name does not resolve" in said(daemon)
    assert daemon.stop() == 0
    done = beatd("ls", "--redis", "redis://no-such-host.invalid:6379/0")
    assert (done.returncode, "does not resolve" in done.stderr) == (6, True)


def test_a_server_that_accepts_and_never_answers(
    server: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    server.freeze()
    daemon = start_daemon(server.url, config=ENTRIES)
    assert "gave no answer in time" in said(daemon)
    server.thaw()
    begins(daemon, open_ledger(server))


def test_a_server_that_takes_no_more_clients(
    start_redis: StartRedis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    server = start_redis(maxclients="1")
    with server.client() as client:
        client.ping()
        daemon = start_daemon(server.url, config=ENTRIES)
        assert "takes no more clients: max number of clients reached" in said(daemon)
        assert "takes no more clients" in beatd("ls", "--redis", server.url).stderr
        client.config_set("maxclients", "100")
        begins(daemon, open_ledger(server))


def test_a_replica_until_it_is_promoted(
    server: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        daemon = start_daemon(server.url, config=ENTRIES)
        assert "is a replica and refuses to write" in said(daemon)
        client.execute_command("REPLICAOF", "NO", "ONE")
    begins(daemon, open_ledger(server))


def test_a_replica_that_has_lost_its_primary(start_redis: StartRedis, start_daemon: StartDaemon) -> None:
    server = start_redis(replica_serve_stale_data="no")
    with server.client() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
    assert "is a replica that has lost its primary" in said(start_daemon(server.url))


def test_too_few_replicas_until_there_are_enough(
    start_redis: StartRedis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    server = start_redis(min_replicas_to_write="1")
    daemon = start_daemon(server.url, config=ENTRIES)
    assert "fewer replicas than min-replicas-to-write" in said(daemon)
    with server.client() as client:
        client.config_set("min-replicas-to-write", "0")
    begins(daemon, open_ledger(server))


def test_a_server_that_is_still_loading(
    server: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    with server.client() as client:
        client.mset({f"k{i}": "x" for i in range(20_000)})
        client.save()
    server.kill()
    slow = {**server.options, "port": str(server.port), "dir": str(server.folder), "key-load-delay": "100"}
    words = [word for key, value in slow.items() for word in (f"--{key}", value)]
    loading = subprocess.Popen(
        [str(server.binary), *words, "--loading-process-events-interval-bytes", "1024"], stdout=subprocess.DEVNULL
    )
    try:
        daemon = start_daemon(server.url, config=ENTRIES)
        daemon.wait_for_line("is still loading its data")
        begins(daemon, open_ledger(server))
    finally:
        loading.kill()
        loading.wait()


def test_a_server_that_is_busy_with_a_long_script(
    start_redis: StartRedis, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    server = start_redis(lua_time_limit="50")

    def hog() -> None:
        with suppress(redis.RedisError), server.client(socket_timeout=30) as client:
            client.eval("while true do end", 0)

    thread = threading.Thread(target=hog)
    thread.start()
    time.sleep(0.2)  # beyond the limit of 50 ms, so that others are told
    daemon = start_daemon(server.url, config=ENTRIES)
    try:
        assert "is busy with somebody's long script" in said(daemon)
    finally:
        with server.client() as client:
            client.execute_command("SCRIPT", "KILL")
        thread.join()
    begins(daemon, open_ledger(server))


def test_a_proxy_without_a_server_behind_it(
    server: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    with Proxy(server.port, behaviour=Behaviour(refusing=True)) as proxy:
        daemon = start_daemon(proxy.url, config=ENTRIES)
        assert "closed the connection" in said(daemon)
        proxy.behaviour.refusing = False
        begins(daemon, open_ledger(server))
