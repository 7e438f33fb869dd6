"""The two files of the README's "From nothing", as they stand there, with the commands below them."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.pages import ROOT, blocks_of
from tests.support.servers import RedisServer


def test_who_copies_two_files_sees_a_task_run(
    clean_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", clean_redis.url)
    for block in blocks_of(ROOT / "README.md"):
        if block.mark.startswith("file: "):
            (tmp_path / block.mark.removeprefix("file: ")).write_text(block.text)
    daemon = Daemon(tmp_path, None, lease_ttl=None).start()
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--loglevel", "INFO", "--pool", "solo"]
    worker = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    alarm = signal.signal(signal.SIGALRM, lambda *_: worker.kill())
    signal.alarm(60)
    try:
        assert worker.stdout is not None
        said = []
        for line in worker.stdout:
            said.append(line)
            if "hello, world" in line:
                break
        assert "hello, world" in said[-1], "".join(said) + daemon.log
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, alarm)
        worker.kill()
        worker.communicate()
        daemon.close()
