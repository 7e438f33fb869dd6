"""What a program loads that uses beatd, and what it does not."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from beatd import Backfill, ChangeSet, EntryChange, EntryState, HistoryLine, RequestState, errors
from beatd.client.state import Paused
from beatd.core.change_set import Change

ROOT = Path(__file__).parents[2]
OF_LEADERS = {"LeaseLost", "OutboxFull"}  # raised inside daemons only
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
    assert [name for name in errors.__all__ if f"`{name}`" not in page and name not in OF_LEADERS] == []


def test_the_docs_have_every_field_of_what_the_client_gives() -> None:
    page = (ROOT / "docs/python-client.md").read_text()
    for kind in (EntryState, Paused, HistoryLine, EntryChange, RequestState, Backfill, ChangeSet, Change):
        _, _, told = page.partition(f"\n### {kind.__name__}\n")
        rows = re.findall(r"^\| (`.*?) \|", told.partition("\n#")[0], re.MULTILINE)
        named = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
        assert sorted(named) == sorted(field.name for field in fields(kind)), kind


def test_what_is_public_is_found_and_what_is_not_is_said() -> None:
    names = printed("import beatd; print([getattr(beatd, name).__name__ for name in beatd._PUBLIC])")
    assert "AsyncClient" in names
    assert "no attribute 'Clint'" in printed(
        "import beatd\ntry: beatd.Clint\nexcept AttributeError as error: print(error)"
    )
