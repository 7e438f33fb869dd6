"""What `beatd run` says and ends with when its configuration can't be used: 3, the place, and no traceback."""

import os
import signal
from pathlib import Path

import pytest

from beatd.config.settings import load_settings
from beatd.errors import ConfigInvalid
from beatd.store.connect import RedisAddress
from beatd.store.keys import Keys
from tests.support.scenes import StartDaemon
from tests.support.servers import RedisServer

REFUSED: dict[str, tuple[str | bytes, str]] = {
    "not yaml": ("schedules: [", "schedules.yaml:1:12: E020 the bracket"),
    "not utf-8": (b"schedules: {a: \xff\xfe}", "schedules.yaml:1:16: E003"),
    "a list": ("- a", "a mapping"),
    "an unknown key": ("schedule: {}", "did you mean schedules?"),
    "an unknown key of an entry": ("schedules: {a: {task: t, evry: 5s}}", "evry"),
    "an entry that is a text": ("schedules: {a: text}", "schedules.yaml:1:16: E052 a"),
    "defaults that are a list": ("defaults: [1]\nschedules: {a: {task: t, every: 5s}}", "defaults"),
    "options of defaults that are a number": (
        "defaults: {options: 5}\nschedules: {a: {task: t, every: 5s}}",
        "options",
    ),
    "options that are a list": ("schedules: {a: {task: t, every: 5s, options: [1]}}", "options"),
    "a key that is a list": ("schedules: {? [a] : {task: t, every: 5s}}", "schedules"),
    "a key that is a mapping": ("? {a: 1} : 1", "a key is a text"),
    "a key twice": ("schedules: {a: {task: t, every: 5s}, a: {task: t, every: 6s}}", "stands on line"),
    "a name that is nothing": ("schedules: {'': {task: t, every: 5s}}", "1 to 200 characters"),
    "a variable that is not set": ("redis: ${NO_SUCH_VARIABLE}", "NO_SUCH_VARIABLE"),
    "a variable that is no YAML": ("namespace: ${BROKEN_YAML}", "BROKEN_YAML"),
    "an alias to itself": ("schedules: &a {x: *a}", "schedules"),
    "a lease that is a number": ("lease: 5", "lease"),
    "an unknown key of the lease": ("lease: {tll: 5s}", "ttl"),
    "a lease too short": ("lease: {ttl: 500ms}", "at least 1s"),
    "a namespace that can't be one": ("namespace: a b", "namespace"),
    "a Redis address that is none": ("redis: http://x", "schedules.yaml:1:8: E044 redis"),
    "a Redis address that is a list": ("redis: [a]", "redis"),
    "two entries broken": ("schedules: {a: {task: t}, b: {every: 5s}}", "E052 b: task is missing"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_configuration_that_can_not_be_used_says_where(case: str, tmp_path: Path) -> None:
    content, said = REFUSED[case]
    path = tmp_path / "schedules.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def use() -> None:
        settings = load_settings([path], {}, {"BROKEN_YAML": "["})
        Keys(settings.namespace)
        RedisAddress(settings.redis or "redis://")

    with pytest.raises(ConfigInvalid) as refused:
        use()
    assert said in f"{refused.value.message} {refused.value.hint}"


def test_a_configuration_that_can_not_be_used_ends_with_3(start_daemon: StartDaemon) -> None:
    daemon = start_daemon("redis://127.0.0.1:1/0", config={"schedules": {"a": {"task": "t"}, "b": {"every": "5s"}}})
    assert daemon.wait() == 3
    assert "Traceback" not in daemon.log
    assert "E052 a: a schedule is missing" in daemon.log
    assert "E052 b: task is missing" in daemon.log


def test_a_file_that_is_missing_or_may_not_be_read_ends_with_3(start_daemon: StartDaemon, tmp_path: Path) -> None:
    missing = start_daemon("redis://127.0.0.1:1/0", folder=tmp_path, arguments=("-c", "none.yaml"))
    assert missing.wait() == 3
    assert "none.yaml: E001 can't be read" in missing.log
    folder = start_daemon("redis://127.0.0.1:1/0", folder=tmp_path, arguments=("-c", str(tmp_path)))
    assert folder.wait() == 3
    if os.geteuid():
        tmp_path.joinpath("secret.yaml").touch(mode=0)
        secret = start_daemon("redis://127.0.0.1:1/0", folder=tmp_path, arguments=("-c", "secret.yaml"))
        assert secret.wait() == 3


def test_a_signal_while_it_starts_ends_it_without_a_traceback(server: RedisServer, start_daemon: StartDaemon) -> None:
    for how in (signal.SIGINT, signal.SIGTERM):
        daemon = start_daemon(server.url)
        daemon.wait_for_line("beatd: Redis:")
        assert daemon.stop(how) in (0, 130, 143, -15)
        assert "Traceback" not in daemon.log
