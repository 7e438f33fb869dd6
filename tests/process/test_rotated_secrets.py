"""A password that changes while the daemon runs: it is read anew from its file at each connect."""

import os
from pathlib import Path

import pytest

from tests.support.scenes import OpenLedger, StartDaemon, StartRedis, beatd, cut_all, fast_entries, now_ms
from tests.support.servers import RedisServer

ENTRIES = fast_entries(10)
CONFIG = {"schedules": ENTRIES}


def write(path: Path, text: str) -> None:
    """As those do who keep secrets on disk: whoever reads it meets the old one or the new one."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


@pytest.fixture
def server(start_redis: StartRedis) -> RedisServer:
    return start_redis(requirepass="first-CANARY")


def change_password(server: RedisServer, password: str) -> None:
    with server.client() as client:
        client.config_set("requirepass", password)
        server.options["requirepass"] = password
        cut_all(client)


@pytest.mark.parametrize("whole", [False, True], ids=["password_file", "BEATD_REDIS_URL_FILE"])
@pytest.mark.parametrize("file_first", [True, False], ids=["file first", "server first"])
def test_a_password_is_changed_under_way_and_nothing_is_lost(
    whole: bool, file_first: bool, server: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger,
    tmp_path: Path,
) -> None:  # fmt: skip
    secret, place = tmp_path / "secret", f"127.0.0.1:{server.port}/0"

    def say(password: str) -> None:
        write(secret, f"redis://:{password}@{place}\n" if whole else f"{password}\n")

    say("first-CANARY")
    env = {"BEATD_REDIS_URL_FILE": str(secret)} if whole else {}
    url = None if whole else f"redis://{place}?password_file={secret}"
    ledger = open_ledger(server)
    daemon = start_daemon(url, config=CONFIG, env=env)
    ledger.settle(ENTRIES, 0)
    if file_first:
        say("second-CANARY")
        change_password(server, "second-CANARY")
    else:
        change_password(server, "second-CANARY")
        daemon.wait_for_line("refuses the user or the password")
        say("second-CANARY")
    with server.client() as client:
        ledger.check(ENTRIES, now_ms(client) + 500)
    assert "CANARY" not in daemon.log
    assert daemon.running


def test_commands_read_it_too_and_name_the_file_they_can_not_read(server: RedisServer, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    url = f"redis://127.0.0.1:{server.port}/0?password_file={secret}"
    missing = beatd("ls", "--redis", url)
    assert missing.returncode == 6
    assert f"password_file={secret}: No such file or directory" in missing.stderr
    assert "it is read at each connect" in missing.stderr
    write(secret, "first-CANARY")
    assert beatd("ls", "--redis", url).returncode == 0
    write(secret, "wrong-CANARY")
    wrong = beatd("doctor", "--redis", url)
    assert wrong.returncode == 6
    assert "refuses the user or the password" in wrong.stdout
    assert "CANARY" not in wrong.stdout + wrong.stderr
    for text, found in (("", "found 0"), ("a\nb\n", "found 2")):
        write(secret, text)
        assert found in beatd("ls", "--redis", url).stderr
    os.mkfifo(tmp_path / "pipe")
    piped = beatd("ls", "--redis", url.replace(str(secret), str(tmp_path / "pipe")))
    assert (piped.returncode, "it is no regular file" in piped.stderr) == (6, True)


def test_a_daemon_without_its_password_file_ends_at_the_start(
    server: RedisServer, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    url = f"redis://127.0.0.1:{server.port}/0?password_file={tmp_path / 'nothing'}"
    daemon = start_daemon(url, config=CONFIG)
    assert daemon.wait() == 6
    assert "nothing: No such file or directory" in daemon.log


def test_a_user_of_an_acl_with_a_password_from_a_file(server: RedisServer, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    write(secret, "bobs-CANARY")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "bob", "on", ">bobs-CANARY", "~*", "&*", "+@all", "-ping")
    done = beatd("doctor", "--redis", f"redis://bob@127.0.0.1:{server.port}/0?password_file={secret}")
    assert done.returncode == 6
    assert "the user 'bob' may not use ping" in done.stdout
    assert "ACL SETUSER bob " in done.stdout


def test_a_unix_socket_with_a_password_from_a_file(
    start_redis: StartRedis, start_daemon: StartDaemon, open_ledger: OpenLedger, tmp_path: Path
) -> None:
    socket, secret = tmp_path / "redis.sock", tmp_path / "secret"
    server = start_redis(requirepass="first-CANARY", unixsocket=str(socket))
    write(secret, "first-CANARY")
    url = f"unix://{socket}?password_file={secret}"
    ledger = open_ledger(server)
    daemon = start_daemon(url, config=CONFIG)
    ledger.settle(ENTRIES, 0)
    assert beatd("status", "--redis", url).returncode == 0
    write(secret, "second-CANARY")
    change_password(server, "second-CANARY")
    with server.client() as client:
        ledger.check(ENTRIES, now_ms(client) + 500)
    assert daemon.running
    socket.unlink()
    gone = beatd("status", "--redis", url)
    assert gone.returncode == 6
    assert "No such file or directory" in gone.stderr
