"""What the page for other languages writes with redis-cli alone is fired by a real leader."""

import os
import shutil
import subprocess
from pathlib import Path

from beatd.store.scripts import load_script
from tests.support.pages import ROOT, blocks_of
from tests.support.scenes import StartDaemon, StartRedis
from tests.support.servers import require

PAGE = ROOT / "docs" / "other-languages.md"


def test_an_entry_that_a_shell_has_written_is_fired(
    start_redis: StartRedis, start_daemon: StartDaemon, tmp_path: Path
) -> None:
    require(shutil.which("redis-cli"), "redis-cli")
    server = start_redis()
    daemon = start_daemon(server.url)
    daemon.wait_for("leader_acquired")
    (block,) = [block for block in blocks_of(PAGE) if block.mark == "file: put-entry.sh"]
    (tmp_path / "put-entry.sh").write_text(block.text)
    (tmp_path / "put.lua").write_text(load_script("put").plain)
    definition = '{"task": "app.tidy_up", "every": "1s", "queue": "slow"}'
    done = subprocess.run(
        ["sh", "put-entry.sh", "tidy-up", definition],
        cwd=tmp_path,
        env={**os.environ, "BEATD_REDIS_URL": server.url},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[0] == "0"
    fired = daemon.wait_for("entry_fired")
    assert fired.fields["entry"] == "tidy-up"
    with server.client() as client:
        assert client.llen("slow") >= 1
