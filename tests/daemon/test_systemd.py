"""What systemd is told, over a real socket; nobody there, or nobody who reads, changes nothing."""

import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from beatd.daemon.systemd import Systemd, status_line
from tests.support.notify import NotifySocket


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NotifySocket]:
    name = str(tmp_path / "notify") if request.param == "path" else f"@beatd-test-{time.monotonic_ns()}"
    with NotifySocket(name) as listening:
        yield listening


def test_it_hears_ready_reloading_stopping_and_status_in_order(systemd: NotifySocket) -> None:
    teller = Systemd(systemd.address)
    teller.ready()
    teller.status("standby")
    before = time.monotonic_ns() // 1000
    with teller.reloading():
        assert [systemd.next() for _ in range(2)] == ["READY=1", "STATUS=standby"]
        found = re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=(\d+)", systemd.next())
        assert found is not None
        assert before <= int(found[1]) <= time.monotonic_ns() // 1000
    teller.stopping()
    assert [systemd.next() for _ in range(2)] == ["READY=1", "STOPPING=1"]


def test_a_reload_that_fails_is_over_all_the_same(systemd: NotifySocket) -> None:
    teller = Systemd(systemd.address)
    with pytest.raises(OSError, match="gone"), teller.reloading():
        raise OSError("gone")
    systemd.wait_for("READY=1")


def test_the_same_status_is_told_once_and_a_line_stays_a_line(systemd: NotifySocket) -> None:
    teller = Systemd(systemd.address)
    for text in ("standby", "standby", "leader\nREADY=1", "x" * 5000):
        teller.status(text)
    assert [systemd.next() for _ in range(3)] == ["STATUS=standby", "STATUS=leader READY=1", f"STATUS={'x' * 200}"]


def variables(address: str, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": address, "PATH": "/bin", **more}


@pytest.mark.parametrize("more", [{}, {"WATCHDOG_PID": "7"}, {"WATCHDOG_PID": ""}])
def test_a_sign_of_life_goes_where_one_is_expected(systemd: NotifySocket, more: dict[str, str]) -> None:
    teller = Systemd.taken_from(variables(systemd.address, WATCHDOG_USEC="30000000", **more), pid=7)
    assert teller.watchdog_s == 30
    teller.alive()
    assert systemd.next() == "WATCHDOG=1"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "-1"},
        {"WATCHDOG_USEC": "9" * 400},
        {"WATCHDOG_USEC": "9" * 5000},
    ],
)
def test_no_sign_of_life_goes_where_none_is_expected_from_us(systemd: NotifySocket, more: dict[str, str]) -> None:
    teller = Systemd.taken_from(variables(systemd.address, **more), pid=7)
    teller.alive()
    teller.ready()
    assert teller.watchdog_s is None
    assert systemd.next() == "READY=1"


def test_the_variables_are_taken_out_of_what_children_inherit() -> None:
    env = variables("/run/x", WATCHDOG_USEC="1", WATCHDOG_PID="7")
    assert Systemd.taken_from(env, pid=7).listens
    assert env == {"PATH": "/bin"}


@pytest.mark.parametrize("address", [None, "", "vsock:2:1234", "relative/path"])
def test_without_a_socket_that_it_knows_nobody_is_told_anything(address: str | None) -> None:
    teller = Systemd(address)
    teller.ready()
    teller.alive()
    teller.status("standby")
    assert not teller.listens


@pytest.mark.parametrize("name", ["gone", "x" * 300])
def test_a_socket_that_is_not_there_changes_nothing(tmp_path: Path, name: str) -> None:
    teller = Systemd(str(tmp_path / name))
    for _ in range(100):
        teller.ready()
        teller.status("standby")
        teller.stopping()


def test_what_a_busy_systemd_could_not_take_comes_as_soon_as_it_can(systemd: NotifySocket) -> None:
    name = systemd.address
    address = f"\0{name[1:]}" if name.startswith("@") else name
    teller = Systemd(name, watchdog_s=30)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
        others.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                others.sendto(b"STATUS=other units", address)
    began = time.monotonic()
    teller.ready()
    teller.alive()
    teller.status("standby")
    assert time.monotonic() - began < 1
    systemd.hear_all(0.3)
    teller.alive()
    teller.status("standby")
    assert systemd.hear_all(0.05) == ["READY=1", "WATCHDOG=1", "STATUS=standby"]


@pytest.mark.parametrize(
    "epoch, waiting, failing, line",
    [
        (None, False, False, "standby"),
        (None, True, False, "waiting for Redis"),
        (7, False, False, "leader, epoch 7, 1,200 entries"),
        (7, True, False, "leader, epoch 7, 1,200 entries; waiting for Redis"),
        (7, False, True, "leader, epoch 7, 1,200 entries; it can't fire, see the log"),
    ],
)
def test_the_status_tells_how_it_is(epoch: int | None, waiting: bool, failing: bool, line: str) -> None:
    assert status_line(epoch, 1200, waiting=waiting, failing=failing) == line
