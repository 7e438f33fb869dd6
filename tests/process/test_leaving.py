"""Ctrl-C ends it within two seconds with 130, whatever state Redis and the network are in."""

import signal
import time

import pytest

from tests.support import hangs
from tests.support.daemon import Daemon
from tests.support.proxy import Proxy
from tests.support.scenes import StartDaemon, StartRedis, fast_entries

CONFIG = {"schedules": fast_entries(3)}
LONGEST_S = 2.0


def leaves_in_time(daemon: Daemon, how: signal.Signals = signal.SIGINT, code: int = 130) -> None:
    asked = time.monotonic()
    assert daemon.stop(how) == code
    assert time.monotonic() - asked < LONGEST_S, daemon.log


def test_while_nobody_listens(start_daemon: StartDaemon) -> None:
    daemon = start_daemon("redis://127.0.0.1:1/0", config=CONFIG, lease_ttl=None)
    daemon.wait_for("redis_down")
    leaves_in_time(daemon)


def test_while_the_server_accepts_and_is_silent(start_redis: StartRedis, start_daemon: StartDaemon) -> None:
    server = start_redis()
    server.freeze()
    daemon = start_daemon(server.url, config=CONFIG, lease_ttl=None)
    daemon.wait_for("redis_down")
    leaves_in_time(daemon)


@pytest.mark.parametrize("direction", ["requests", "replies"])
def test_while_the_connections_are_half_open(
    direction: str, start_redis: StartRedis, start_daemon: StartDaemon
) -> None:
    """A leader, with a lease to hand over and nobody who answers."""
    with Proxy(start_redis().port) as proxy:
        daemon = start_daemon(proxy.url, config=CONFIG, lease_ttl=None)
        daemon.wait_for("entry_fired")
        proxy.hold(direction)
        leaves_in_time(daemon)
        proxy.let_pass(direction)


def test_while_a_standby_is_cut_off(start_redis: StartRedis, start_daemon: StartDaemon) -> None:
    with Proxy(start_redis().port) as proxy:
        start_daemon(proxy.url, config=CONFIG, lease_ttl=None).wait_for("entry_fired")
        standby = start_daemon(proxy.url, config=CONFIG, lease_ttl=None)
        standby.wait_for("redis_met")
        proxy.hold("replies")
        leaves_in_time(standby)
        proxy.let_pass("replies")


def test_while_the_name_server_is_silent(start_daemon: StartDaemon) -> None:
    """A name is looked up in a thread, by a call that nobody can interrupt."""
    daemon = start_daemon(
        "redis://redis.example:6379/0", config=CONFIG, lease_ttl=None, program=(hangs.__file__, "names_are_never_found")
    )
    daemon.wait_for("redis_down")
    leaves_in_time(daemon)
