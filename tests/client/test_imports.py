"""What a program loads that uses beatd, and what it does not."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOREIGN = (
    *("beatd.daemon", "beatd.cli.", "beatd.config"),
    *("celery", "kombu", "click", "yaml", "croniter", "prometheus_client"),
)


def printed(code: str, *words: str, warnings: str = "error") -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-W", warnings, "-c", code, *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_beatd_loads_nothing() -> None:
    code = "import sys, typing; before = set(sys.modules); import beatd; print(sorted(set(sys.modules) - before))"
    assert printed(code).strip() == "['beatd']"


@pytest.mark.parametrize("name", ["Client", "AsyncClient", "entry_for"])
def test_the_client_brings_no_daemon_no_command_line_and_no_celery(name: str) -> None:
    code = f"import sys, beatd; beatd.{name}; print(*sorted(sys.modules))"
    loaded = printed(code).split()
    assert [module for module in loaded if module.startswith(FOREIGN)] == []


def test_what_is_public_is_found_and_what_is_not_is_said() -> None:
    names = printed("import beatd; print([getattr(beatd, name).__name__ for name in beatd._PUBLIC])")
    assert "AsyncClient" in names
    assert "no attribute 'Clint'" in printed(
        "import beatd\ntry: beatd.Clint\nexcept AttributeError as error: print(error)"
    )
