"""What a program loads that uses beatd, and what it does not."""

import subprocess
import sys
from pathlib import Path

import pytest

from beatd import errors

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


def test_the_errors_are_all_that_their_module_exports() -> None:
    kinds = {name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)}
    assert set(errors.__all__) == kinds


def test_every_error_that_a_program_meets_is_in_the_docs() -> None:
    page = (ROOT / "docs/python-client.md").read_text()
    assert [name for name in errors.__all__ if f"`{name}`" not in page and name != "LeaseLost"] == []


def test_what_is_public_is_found_and_what_is_not_is_said() -> None:
    names = printed("import beatd; print([getattr(beatd, name).__name__ for name in beatd._PUBLIC])")
    assert "AsyncClient" in names
    assert "no attribute 'Clint'" in printed(
        "import beatd\ntry: beatd.Clint\nexcept AttributeError as error: print(error)"
    )
