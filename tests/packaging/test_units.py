"""The units in systemd/ are what systemd accepts and what beatd understands."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import click
import pytest

from beatd.config.settings import SETTINGS
from beatd.core.pulse import MOST_MISSED
from beatd.daemon.systemd import SHORTEST_WATCHDOG_S
from beatd.daemon.watchdog import LAST_WORDS_S
from tests.support.pages import blocks_of
from tests.support.servers import require
from tests.support.units import PROGRAM, ROOT, UNITS, own_commands, parse_command, read_unit, seconds

FILES = sorted(UNITS.glob("*.service"))
UNIT = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
MOST_EXPOSED = 1.5  # of 10; what is left is that it talks to the network


def analyze(*words: str) -> "subprocess.CompletedProcess[str]":
    program = require(shutil.which("systemd-analyze"), "systemd-analyze (package systemd)")
    return subprocess.run(
        [program, *words], env={**os.environ, "LC_ALL": "C"}, capture_output=True, text=True, timeout=60, check=False
    )


def installed(path: Path, folder: Path) -> Path:
    """The unit as it looks where beatd is installed: its program exists."""
    program, unit = folder / "beatd", folder / path.name.replace("@.", "@shop.")
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit.write_text(path.read_text().replace(PROGRAM, str(program)))
    return unit


def test_there_is_one_for_a_host_and_one_for_each_of_several() -> None:
    assert [path.name for path in FILES] == ["beatd.service", "beatd@.service"]


@UNIT
def test_systemd_has_nothing_to_say_against_it(path: Path, tmp_path: Path) -> None:
    done = analyze("verify", "--man=no", str(installed(path, tmp_path)))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_systemd_would_say_it(tmp_path: Path) -> None:
    unit = installed(FILES[0], tmp_path)
    unit.write_text(unit.read_text().replace("Restart=always", "Restart=perhaps"))
    assert "perhaps" in analyze("verify", "--man=no", str(unit)).stderr


PAGE = ROOT / "docs" / "operations.md"
ADDED = [block.text for block in blocks_of(PAGE) if block.text.startswith("[Service]")]


@pytest.mark.parametrize(
    "added, keys",
    list(zip(ADDED, [{"LoadCredential", "Environment"}, {"LoadCredential", "UnsetEnvironment"}], strict=True)),
    ids=["another broker", "no Redis"],
)
def test_what_the_page_adds_to_it_is_accepted_too(tmp_path: Path, added: str, keys: set[str]) -> None:
    unit = installed(UNITS / "beatd.service", tmp_path)
    drop_in = tmp_path / "beatd.service.d" / "override.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(added)
    assert analyze("verify", "--man=no", str(unit)).stderr == ""
    assert {line.partition("=")[0] for line in added.splitlines()[1:]} == keys
    drop_in.write_text("[Service]\nLoadCredentials=\n")
    assert "LoadCredentials" in analyze("verify", "--man=no", str(unit)).stderr


@UNIT
def test_it_may_do_little_beside_its_work(path: Path, tmp_path: Path) -> None:
    done = analyze("security", "--offline=true", "--no-pager", str(installed(path, tmp_path)))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
    assert found is not None, done.stdout + done.stderr
    assert float(found[1]) <= MOST_EXPOSED


@UNIT
def test_beatd_understands_its_command_lines(path: Path) -> None:
    unit = read_unit(path)
    starts, reloads = own_commands(unit["ExecStart"]), own_commands(unit["ExecReload"])
    assert [words[0] for words in (*starts, *reloads)] == ["run", "check"]
    for words in (*starts, *reloads):
        parse_command(words)
    with pytest.raises(click.UsageError):
        parse_command([*starts[0], "--no-such-flag"])


@UNIT
def test_its_variables_are_beatds(path: Path) -> None:
    known = {s.variable for s in SETTINGS} | {f"{s.variable}_FILE" for s in SETTINGS if s.secret}
    assert {line.partition("=")[0] for line in read_unit(path)["Environment"]} <= known


@UNIT
def test_the_secret_is_read_from_where_systemd_puts_it(path: Path) -> None:
    unit = read_unit(path)
    (name, _, _), (variable, _, place) = (unit[key][0].partition(mark) for key, mark in
                                         (("LoadCredential", ":"), ("Environment", "=")))  # fmt: skip
    assert (variable, place) == ("BEATD_REDIS_URL_FILE", f"%d/{name}")


@UNIT
def test_its_times_leave_beatd_the_time_it_needs(path: Path) -> None:
    unit = read_unit(path)
    assert seconds(unit["WatchdogSec"][0]) > MOST_MISSED + 1 + LAST_WORDS_S  # ours tells where it hangs
    assert seconds(unit["WatchdogSec"][0]) > SHORTEST_WATCHDOG_S
    assert seconds(unit["TimeoutStopSec"][0]) > 10  # the lease's release, and five seconds for a private server
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert unit["Restart"] == ["always"]
    assert unit["RestartPreventExitStatus"] == ["2"]


@UNIT
def test_only_beatd_itself_is_told_to_end(path: Path) -> None:
    """A private server that got SIGTERM beside it would be gone before the lease is handed over."""
    assert read_unit(path)["KillMode"] == ["mixed"]
    assert read_unit(path)["Type"] == ["notify"]


def test_an_instance_is_a_namespace_with_a_file_a_folder_and_a_secret_of_its_own() -> None:
    unit = read_unit(UNITS / "beatd@.service")
    assert "-c /etc/beatd/%i.yaml --namespace %i" in unit["ExecStart"][0]
    for name in ("StateDirectory", "WorkingDirectory", "LoadCredential", "EnvironmentFile"):
        assert "%i" in unit[name][0], name
