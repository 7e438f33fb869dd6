"""No secret is ever said: daemons and commands with canaries for passwords, in good days and in all kinds of bad ones.

All that they say is searched, on stdout, on stderr, in the list of processes, and in Redis.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final
from urllib.parse import quote, quote_plus

import pytest
import redis

from beatd.cli.main import Common
from beatd.config.load import load_files
from beatd.config.on_disk import ConfigOnDisk
from beatd.config.settings import load_settings
from beatd.daemon import daemon as root
from beatd.store.connect import RedisAddress
from tests.support.daemon import ROOT
from tests.support.scenes import StartRedis, cut_all, fast_entries, wait_until
from tests.support.servers import free_port

PASSWORD: Final = "CANARY+s3cr@t/ :%"
ENCODED: Final = quote(PASSWORD, safe="")
DEBUG: Final = ("--http", "off", "--log-level", "debug", "--lease-ttl", "1s")
COMMANDS: Final = (
    ("ls", "-o", "json"),
    ("status",),
    ("config", "show"),
    ("config", "show", "-o", "json"),
    ("pause", "e0", "--note", "why"),
    ("set", "x", "--task", "t", "--every", "1h", "--yes"),
    ("next", "x"),
    ("history", "-o", "json"),
    ("doctor",),
    ("doctor", "-o", "json"),
)


class Run:
    """A `beatd` whose every word is kept."""

    def __init__(self, folder: Path, *words: str, **variables: str) -> None:
        folder.mkdir(exist_ok=True)
        self.out, self.err = folder / "out", folder / "err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-X", "dev", "-m", "beatd", *words],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )

    @property
    def said(self) -> str:
        return self.out.read_text(errors="replace") + self.err.read_text(errors="replace")

    @property
    def seen_by_others(self) -> str:
        return Path(f"/proc/{self.process.pid}/cmdline").read_text(errors="replace")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


Start = Callable[..., Run]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Start]:
    runs: list[Run] = []

    def start(*words: str, **variables: str) -> Run:
        runs.append(Run(tmp_path / f"run-{len(runs)}", *words, **variables))
        return runs[-1]

    yield start
    for one in runs:
        one.process.kill()
        one.process.wait()


def silent(text: str) -> None:
    """Nothing of a canary, in no way of writing it."""
    for form in ("CANARY", "s3cr", ENCODED, quote_plus(PASSWORD), PASSWORD):
        assert form.lower() not in text.lower()


def everything_in(client: redis.Redis) -> str:
    """All keys but the queues, as text."""
    read: dict[bytes | str, Callable[[bytes], object]] = {
        b"hash": client.hgetall,
        b"zset": partial(client.zrange, start=0, end=-1, withscores=True),
        b"stream": client.xrange,
        b"string": client.get,
        b"list": partial(client.lrange, start=0, end=-1),
    }
    found = [(key, read[client.type(key)](key)) for key in client.scan_iter("{beatd:*")]
    assert len(found) > 5
    return repr(found)


def given(how: str, url: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """Words and variables that give a URL in one of the ways there are."""
    if how == "file of a variable":
        (folder / "secret").write_text(f"{url}\n")
        return [], {"BEATD_REDIS_URL_FILE": str(folder / "secret")}
    if how == "variable":
        return [], {"BEATD_REDIS_URL": url, "BEATD_BROKER_URL": url}
    if how == "flag":
        return ["--redis", url], {}
    return [], {"URL_OF_REDIS": url}


def served_at(port: int) -> str:
    """Health and metrics."""
    said = ""
    for path in ("/healthz", "/readyz", "/metrics"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        said += connection.getresponse().read().decode()
        connection.close()
    assert "beatd_leader" in said
    return said


@pytest.mark.parametrize("how", ["flag", "variable", "file of a variable", "file"])
def test_good_and_bad_days_with_a_password(how: str, start_redis: StartRedis, run: Start, tmp_path: Path) -> None:
    """It leads and fires; its connections are cut, it may not log in any more, its server ends and comes back."""
    server = start_redis()
    url = server.url.replace("redis://", f"redis://default:{ENCODED}@")
    if how == "variable":
        url = f"{server.url}?password={ENCODED}&username=default"
    schedules = tmp_path / "schedules.yaml"
    content = {"schedules": fast_entries(3), **({"redis": "${URL_OF_REDIS}"} if how == "file" else {})}
    schedules.write_text(json.dumps(content))
    words, variables = given(how, url, tmp_path)
    common = ["-c", str(schedules), *words]
    with server.client() as client:
        client.config_set("requirepass", PASSWORD)
        port = free_port()
        daemon = run("run", *common, *DEBUG, "--http", str(port), **variables)
        wait_until(lambda: "entry_fired" in daemon.said)
        silent(daemon.seen_by_others)
        for command in COMMANDS:
            asked = run(*command, *common, **variables)
            assert asked.process.wait(20) in (0, 1), asked.said
            silent(asked.said)
        schedules.write_text('redis: "redis://CANARY two"\nbroker: amqp://a:CANARY@h\nschedules: {}\n')
        wait_until(lambda: daemon.said.count("config_reloaded") == 2)
        client.config_set("requirepass", "other")
        cut_all(client)
        wait_until(lambda: "refuses the user or the password" in daemon.said)
        silent(everything_in(client))
        silent(served_at(port))
    server.kill()
    wait_until(lambda: "Connection refused" in daemon.said)
    server.start()
    wait_until(lambda: any(words in daemon.said for words in ("redis_up", "without any password configured")))
    silent(daemon.seen_by_others)
    assert daemon.stop() == 0
    silent(daemon.said)


# As far as anybody can tell, these are addresses; a process has to try them.
USABLE: Final = ["redis://CANARY@127.0.0.1:1/0", "rediss://:CANARY@127.0.0.1:1/0?ssl_ca_certs=/none"]


def test_an_address_where_nobody_answers_is_waited_for_without_its_secrets(run: Start) -> None:
    runs = [run("run", *DEBUG, "--redis", url, "--log-format", form) for url in USABLE for form in ("text", "json")]
    for one in runs:
        wait_until(lambda one=one: "redis_down" in one.said or one.process.poll() is not None)  # type: ignore[misc]
        if one.process.poll() is None:
            silent(one.seen_by_others)
            assert one.stop() == 0
        silent(one.said)


def test_a_server_that_speaks_another_language_is_told_of_without_the_password(
    start_redis: StartRedis, run: Start
) -> None:
    """TLS where there is none, a password where none is wanted, a wrong one, a token, a parameter."""
    port = start_redis().port
    locked = start_redis(requirepass="other").port
    urls = [
        f"rediss://:{ENCODED}@127.0.0.1:{port}/0",
        f"redis://:{ENCODED}@127.0.0.1:{port}/0",
        f"redis://:{ENCODED}@127.0.0.1:{locked}/0",
        f"redis://{ENCODED}@127.0.0.1:{locked}/0",
        f"redis://127.0.0.1:{locked}/0?password={ENCODED}",
    ]
    for words in (("run", *DEBUG), ("ls",), ("status", "-o", "json")):
        runs = [run(*words, "--redis", url) for url in urls]
        for one in runs:
            assert one.process.wait(20) == 6, one.said
            silent(one.said)
            assert "Redis at redis" in one.said


def test_what_is_held_in_memory_does_not_show_its_secrets_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "schedules.yaml"
    path.write_text("redis: redis://:CANARY@host\nschedules: {}\n")
    settings = load_settings([path], {"broker": "amqp://CANARY@host"}, {})
    disk = ConfigOnDisk([path], {"redis": "redis://:CANARY@host"}, {})
    start = root.Start(settings, None, disk, "redis://:CANARY@host")
    common = Common((), "redis://:CANARY@host", None)
    held = [settings, settings.files, start, RedisAddress("redis://:CANARY@host"), common, load_files([path], {})]
    assert "CANARY" in str(settings.redis)
    silent(repr(held) + str(held))


def test_the_reader_of_files_has_no_secret_among_its_variables() -> None:
    program = (
        "import asyncio, os, sys\n"
        "from beatd.config.sandbox import _start\n"
        "async def main():\n"
        "    process = await _start(os.environ)\n"
        "    while not (said := open(f'/proc/{process.pid}/environ').read()):  # it has not begun yet\n"
        "        await asyncio.sleep(0.001)\n"
        "    print(said)\n"
        "    process.kill()\n"
        "    await process.wait()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT), "BEATD_REDIS_URL": "redis://:CANARY@host", "OTHER": "CANARY"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "PYTHONPATH" in done.stdout
    silent(done.stdout)
