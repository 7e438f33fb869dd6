"""The scripts that `make` calls say what they do: a silent minute looks like a hang."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_making_the_venv_is_told_before_it_is_done(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    env = {**os.environ, "BEATD_VENV": str(tmp_path / "file" / "venv"), "PYTHON": sys.executable}
    command = ["sh", str(ROOT / "scripts" / "venv.sh"), "create"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    assert done.stdout.splitlines()[0] == f"Making {env['BEATD_VENV']} with {sys.executable} ..."
    assert done.returncode == 1  # there is no folder to make it in
    assert "beatd:" in done.stderr
