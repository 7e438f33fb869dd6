"""The private server's folder and port: whose they are, what they remember, what is refused."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from beatd.errors import ConfigInvalid
from beatd.store.embedded import Keeper, find_running
from tests.support.private_server import (
    ROOT,
    Machine,
    add_one,
    is_free_for_all,
    keeper_of,
    make,
    rewrite_record,
    start_and_stop,
    started,
)

NOBODY = 65534


# -- the port


def test_a_remembered_port_in_strange_hands_is_an_error_whose_command_helps(machine: Machine, base: Path) -> None:
    server = start_and_stop(base)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", server.port))
        stranger.listen()
        with pytest.raises(ConfigInvalid, match=f"port {server.port}, .* is taken by another program") as caught:
            keeper_of(base).start()
        assert is_free_for_all(base)
        sed = str(caught.value.hint).split("`")[3]
        subprocess.run(["/bin/sh", "-c", sed], env={"PATH": "/usr/bin:/bin"}, check=True)
        with started(base) as moved:
            assert moved.port != server.port
            assert add_one(moved.url) == 2


def test_another_redis_on_the_remembered_port_is_named_by_its_pid(machine: Machine, base: Path) -> None:
    start_and_stop(base)
    with started(make(base / "other")) as other:
        rewrite_record(base, url=other.url)
        with pytest.raises(ConfigInvalid, match=rf"another Redis \(pid {other.pid}\)"):
            keeper_of(base).start()


def test_a_record_without_data_binds_neither_port_nor_program(machine: Machine, base: Path) -> None:
    start_and_stop(base)
    shutil.rmtree(base / ".beatd/appendonlydir")
    rewrite_record(base, version="valkey 9.0.0", url="redis://127.0.0.1:1/0")
    with started(base) as server:
        assert server.version.startswith("redis")
        assert add_one(server.url) == 1


# -- the folder


def test_loose_permissions_are_tightened_with_a_warning(
    machine: Machine, base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(base / ".beatd").chmod(0o755)
    start_and_stop(base)
    assert (base / ".beatd").stat().st_mode & 0o777 == 0o700
    assert "0755" in caplog.text


def test_a_symlinked_folder_is_refused(machine: Machine, base: Path) -> None:
    (base / ".beatd").symlink_to(make(base / "elsewhere"))
    with pytest.raises(ConfigInvalid, match="symbolic link"):
        keeper_of(base).start()
    assert list((base / "elsewhere").iterdir()) == []


def test_a_file_in_the_folders_place_is_refused(machine: Machine, base: Path) -> None:
    (base / ".beatd").write_text("")
    with pytest.raises(ConfigInvalid, match="not a folder"):
        keeper_of(base).start()


def test_a_missing_base_is_refused(machine: Machine, base: Path) -> None:
    with pytest.raises(ConfigInvalid, match="No such file") as caught:
        Keeper(base / "nowhere").start()
    assert "BEATD_REDIS_URL" in str(caught.value.hint)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_root_does_not_use_a_users_folder(machine: Machine, base: Path) -> None:
    os.chown(make(base / ".beatd"), NOBODY, NOBODY)
    with pytest.raises(ConfigInvalid, match=f"belongs to user {NOBODY}, beatd runs as user 0"):
        keeper_of(base).start()


AS_NOBODY = """
import os, sys
from functools import partial
from pathlib import Path
from beatd.errors import BeatdError
from beatd.store.embedded import Keeper, private_server,  Keeper, find_running
actions = {"start": lambda: Keeper(Path(".")).start(), "find": lambda: find_running(Path("."))}
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    actions[sys.argv[2]]()
except BeatdError as error:
    print(type(error).__name__, error.message, "|", error.hint)
"""


def as_nobody(base: Path, action: str) -> str:
    """What the action answers to a user without rights, in the folder where he is put."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(base), action],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return done.stdout


@pytest.fixture
def open_base() -> Iterator[Path]:
    """A base that every user can reach: pytest's own folders are closed to others."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_a_read_only_place_is_refused(machine: Machine, open_base: Path) -> None:
    open_base.chmod(0o555)
    said = as_nobody(open_base, "start")
    open_base.chmod(0o755)
    assert said.startswith("ConfigInvalid")
    assert "Permission denied" in said
    assert "BEATD_REDIS_URL" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user")
def test_a_folder_of_somebody_else_is_refused_and_its_record_not_read(machine: Machine, open_base: Path) -> None:
    start_and_stop(open_base)
    assert "belongs to user 0, beatd runs as user 65534" in as_nobody(open_base, "start")
    assert "run this as the daemon's user" in as_nobody(open_base, "find")


@pytest.mark.parametrize(
    "text, reason",
    [
        ("", "Expecting value"),
        ("[" * 100_000, "server.json can't be read"),
        ("[]", "an object with url"),
        ('{"url": "redis://evil.example:6379/0", "pid": 1}', "redis://127.0.0.1:PORT/0 is accepted"),
        ('{"url": "redis://127.0.0.1:70000/0", "pid": 1}', "redis://127.0.0.1:PORT/0 is accepted"),
        ('{"url": "redis://127.0.0.1:7379/0", "pid": true}', "a process id is accepted"),
        ('{"url": "redis://127.0.0.1:7379/0", "pid": 1, "binary": "./evil"}', "an absolute path is accepted"),
        ('{"url": "redis://127.0.0.1:7379/0", "pid": 1, "binary": "/b", "version": "7"}', "not a family and a version"),
    ],
)
def test_a_corrupt_record_stops_everything_and_is_kept(machine: Machine, base: Path, text: str, reason: str) -> None:
    record = make(base / ".beatd") / "server.json"
    record.write_text(text)
    for attempt in (keeper_of(base).start, partial(find_running, base)):
        with pytest.raises(ConfigInvalid) as caught:
            attempt()
        assert reason in caught.value.message
        assert str(record) in caught.value.message
    assert record.read_text() == text
    assert is_free_for_all(base)


def test_data_without_a_record_are_used_with_a_warning(
    machine: Machine, base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    start_and_stop(base)
    (base / ".beatd/server.json").unlink()
    with started(base) as server:
        assert add_one(server.url) == 2
    assert "no server.json" in caplog.text
