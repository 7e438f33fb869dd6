"""The tables that people look things up in say what the code does: no key, setting, flag, code or script is missing or
foreign.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from beatd import errors
from beatd.cli.main import COMMANDS, cli
from beatd.config.keys import ENTRY, FREE_PREFIX, OPTIONS, TOP
from beatd.config.load import load_files
from beatd.config.settings import SETTINGS
from beatd.core.celery_spellings import from_crontab
from beatd.core.duration import parse_duration
from beatd.core.entry import Entry, entry_from_spec
from beatd.core.schedules import parse_schedule
from beatd.core.span import decide
from tests.support.pages import ROOT, bare, blocks_of, table_of

DOCS = ROOT / "docs"
ENTRIES, SETTINGS_PAGE, COMMANDS_PAGE = DOCS / "entries.md", DOCS / "settings.md", DOCS / "commands.md"
PROTOCOL, FROM_CELERY, PERFORMANCE = DOCS / "protocol.md", DOCS / "from-celery-beat.md", DOCS / "performance.md"
SCRIPTS = ROOT / "beatd" / "store" / "scripts"
HOUR = 3_600_000
# Defaults that a definition leaves out.
LEFT_OUT = {
    **dict.fromkeys(("args", "tags"), "[]"),
    **dict.fromkeys(("kwargs", "options"), "{}"),
    "timezone": "the file's, else UTC",
    "max_runs": "no bound",
    "jitter": "0s",
    "deadline": "none",
    "day": "or",
    "fast": "false",
    "hash_id": "the name",
}


def test_every_key_of_an_entry_has_a_row() -> None:
    assert [bare(row[0]) for row in table_of(ENTRIES, "key")] == [key.name for key in ENTRY]


@pytest.mark.parametrize("row", table_of(ENTRIES, "key"), ids=lambda row: row[0])
def test_the_example_of_a_key_is_one(row: list[str], tmp_path: Path) -> None:
    name, example = bare(row[0]), bare(row[4])
    given = yaml.safe_load(example)
    assert list(given) == [name]
    needed = [] if name == "task" else ["task: t"]
    if not {"cron", "every", "at", "rrule", "schedule"} & {name}:
        needed.append({"day": 'cron: "0 3 1 * mon"', "hash_id": 'cron: "H 3 * * *"'}.get(name, "every: 60s"))
    path = tmp_path / "schedules.yaml"
    path.write_text(f"schedules:\n  x:\n{''.join(f'    {line}' + chr(10) for line in [example, *needed])}")

    loaded = load_files([path], {})

    assert not loaded.problems, loaded.problems[0].text()
    assert len(loaded.files[0].entries) == 1


@pytest.mark.parametrize("row", table_of(ENTRIES, "key"), ids=lambda row: row[0])
def test_the_default_of_a_key_is_the_codes(row: list[str]) -> None:
    name, default = bare(row[0]), bare(row[2])
    definition = json.loads(entry_from_spec("x", {"task": "t", "every": "1m"}).to_definition())
    if name in {"task", "every"}:
        assert not default
    elif name == "grace":
        assert parse_duration(default) == parse_duration(definition[name])
    elif name in definition:
        assert yaml.safe_load(default) == definition[name]
    else:
        assert default == LEFT_OUT.get(name, "")


def test_every_option_of_a_message_has_a_row() -> None:
    assert [bare(row[0]) for row in table_of(ENTRIES, "option")] == [key.name for key in OPTIONS]


def test_the_top_level_of_a_file_is_listed() -> None:
    (listed,) = re.findall(r"The top level of a file takes (.*?);", ENTRIES.read_text(), re.DOTALL)
    assert re.findall(r"`([^`]+)`", listed) == [*(key.name for key in TOP), f"{FREE_PREFIX}*"]


@pytest.mark.parametrize("policy, runs", table_of(ENTRIES, "policy"))
def test_the_worked_example_of_catching_up(policy: str, runs: str) -> None:
    words = dict(part.split(": ") for part in bare(policy).split(", "))
    entry = entry_from_spec("x", {"task": "t", "every": "1h", "anchor": "1970-01-01T00:00Z", **limits(words)})
    decision = decide(entry.schedule, entry.policy, owed=101 * HOUR, now=100 * HOUR + HOUR * 7 // 2)
    assert len(decision.fires) == int(runs.partition(":")[0])


def limits(words: dict[str, str]) -> dict[str, Any]:
    return {key: int(value) if value.isdigit() else value for key, value in words.items()}


def test_every_setting_has_a_row() -> None:
    rows = {bare(row[0]): [bare(cell) for cell in row[1:]] for row in table_of(SETTINGS_PAGE, "setting")}
    assert list(rows) == [setting.name for setting in SETTINGS]
    for setting in SETTINGS:
        *found, default = rows[setting.name]
        assert found == [setting.key or "", setting.variable or "", setting.flag or ""]
        if setting.default is None:
            assert default.startswith("none") or setting.read(default) is None
        else:
            assert setting.read(default) == setting.default


def test_every_variable_is_told_of() -> None:
    text = SETTINGS_PAGE.read_text()
    files = [f"{setting.variable}_FILE" for setting in SETTINGS if setting.secret]
    assert all(f"`{name}`" in text for name in [*files, "BEATD_CONFIG"])


def test_every_command_has_a_row() -> None:
    assert {bare(row[0]) for row in table_of(COMMANDS_PAGE, "command")} == set(COMMANDS)


def test_every_exit_code_has_a_row() -> None:
    rows = {int(row[0]) for row in table_of(COMMANDS_PAGE, "code")}
    found = [error for error in vars(errors).values() if isinstance(error, type)]
    ours = {error.exit_code for error in found if issubclass(error, errors.BeatdError)}
    assert rows == ours | {0, 2, 70, 130}


def test_every_flag_of_run_has_a_row_here_or_among_the_settings() -> None:
    told = {flag for row in table_of(COMMANDS_PAGE, "flag") for flag in re.findall(r"--[a-z-]+", row[0])}
    run = cli.get_command(click.Context(cli), "run")
    assert run is not None
    flags = {flag for param in run.params for flag in param.opts if flag.startswith("--")}
    assert told == flags - {setting.flag for setting in SETTINGS}


def test_every_key_in_redis_has_a_row() -> None:
    told = {bare(row[0]).removeprefix("T:") for row in table_of(PROTOCOL, "key")}
    heads = [path.read_text().partition("\n")[0] for path in SCRIPTS.glob("*.lua")]
    used = {name for head in heads if head.startswith("-- keys: ") for name in head.split()[2:]}
    assert told == used | {"ctl", "inst"}


def test_every_script_has_a_row() -> None:
    told = {name.strip() for row in table_of(PROTOCOL, "script") for name in bare(row[0]).split(",")}
    scripts = {path.stem for path in SCRIPTS.glob("*.lua") if path.read_text().startswith("-- keys: ")}
    assert told == scripts


def test_the_schedule_of_celery_beat_and_its_translation_say_the_same() -> None:
    python, translated = (
        next(block for block in blocks_of(FROM_CELERY) if block.language == language) for language in ("python", "yaml")
    )
    namespace: dict[str, Any] = {}
    exec(python.text, namespace)
    entries = yaml.safe_load(translated.text)["schedules"]
    assert list(entries) == list(namespace["beat_schedule"])
    for name, theirs in namespace["beat_schedule"].items():
        ours = entry_from_spec(name, entries[name])
        assert (ours.task, ours.args, ours.kwargs) == (theirs["task"], theirs.get("args", ()), theirs.get("kwargs", {}))
        assert interval_of(ours) == interval_of_theirs(theirs["schedule"])
        options = dict(theirs.get("options", {}))
        assert options.pop("queue", "celery") == ours.queue
        assert {k: parse_duration(v) for k, v in options.items()} == {
            k: parse_duration(v) for k, v in ours.options.items()
        }


def interval_of(entry: Entry) -> Any:
    spec = entry.schedule.to_spec()
    return parse_duration(spec["every"]) if "every" in spec else parse_schedule({"cron": spec["cron"]})


def interval_of_theirs(schedule: Any) -> Any:
    if isinstance(schedule, int | float):
        return int(schedule * 1000)
    if hasattr(schedule, "total_seconds"):
        return int(schedule.total_seconds() * 1000)
    fields = ("minute", "hour", "day_of_week", "day_of_month", "month_of_year")
    spelled = from_crontab({name: getattr(schedule, f"_orig_{name}") for name in fields})
    return parse_schedule({"cron": spelled["cron"]})


def figures(text: str) -> Iterator[str]:
    """What is measured: numbers with a unit of time or memory."""
    yield from re.findall(r"[\d,]+(?:\.\d+)? (?:ms|s|MB)\b", text)


@pytest.mark.parametrize("page", [ROOT / "README.md", DOCS / "high-availability.md"], ids=lambda page: page.name)
def test_measured_figures_are_those_of_the_performance_page(page: Path) -> None:
    chosen = {"6 s", "1 s", "5 s"}  # settings, no measurements
    known = {*figures(PERFORMANCE.read_text()), *chosen}
    unknown = [figure for figure in figures(page.read_text()) if figure not in known]
    assert not unknown
