"""The house keeps its directions, its pure rooms and its words; and the checker of all that finds what breaks them."""

from pathlib import Path

import pytest

from tests.support.architecture import (
    HOUSE_WORDS,
    ROOT,
    Rule,
    broken_directions,
    impure_calls,
    offences,
    refused_words,
)
from tests.support.house import house


def check(rule: Rule, *folders: str) -> None:
    found = offences(rule, ROOT, *folders)
    assert not found, "\n" + "\n".join(found)


def test_every_import_goes_in_an_allowed_direction() -> None:
    check(broken_directions, "beatd")


def test_the_pure_rooms_never_ask_for_time_chance_or_files() -> None:
    check(impure_calls, "beatd")


def test_one_idea_has_one_word() -> None:
    check(refused_words, *HOUSE_WORDS)


def test_the_walk_sees_the_whole_product() -> None:
    seen = offences(lambda *_: [(1, "seen")], ROOT, "beatd")
    assert {"beatd/__init__.py:1: seen", "beatd/core/schedules/schedule.py:1: seen"} <= set(seen)


def offences_of(rule: Rule, tmp_path: Path, file: str, source: str) -> list[str]:
    """What a rule finds in a throw-away tree with this one file."""
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(source)
    return offences(rule, tmp_path, path.relative_to(tmp_path).parts[0])


@pytest.mark.parametrize(
    "file, source, refused",
    [
        ("core/a.py", "import asyncio", "asyncio"),
        ("core/a.py", "import time", "time"),
        ("core/a.py", "from os import path", "os.path"),
        ("core/a.py", "import redis", "redis"),
        ("core/a.py", "import yaml", "yaml"),
        ("core/a.py", "from dateutil import tz", "dateutil.tz"),
        ("core/a.py", "import beatd.store.keys", "beatd.store.keys"),
        ("core/a.py", "from beatd import store", "beatd.store"),
        ("core/a.py", "from .. import store", "beatd.store"),
        ("core/a.py", "from ..store import keys", "beatd.store.keys"),
        ("core/schedules/a.py", "from ... import store", "beatd.store"),
        ("core/schedules/__init__.py", "from ...store import keys", "beatd.store.keys"),
        ("core/a.py", "def f():\n    import random", "random"),
        ("core/a.py", "if TYPE_CHECKING:\n    from beatd.store import keys", "beatd.store.keys"),
        ("core/a.py", "importlib.import_module('beatd.store')", "beatd.store"),
        ("core/a.py", "__import__('socket')", "socket"),
        ("errors.py", "from beatd.core import entry", "beatd.core.entry"),
        ("formats/celery.py", "import kombu", "kombu"),
        ("formats/celery.py", "from beatd.store import keys", "beatd.store.keys"),
        ("store/a.py", "from beatd.daemon.ports import Clock", "beatd.daemon.ports.Clock"),
        ("store/a.py", "from beatd.config import load", "beatd.config.load"),
        ("transports/kombu.py", "from beatd.store import keys", "beatd.store.keys"),
        ("transports/kombu.py", "import redis", "redis"),
        ("config/a.py", "import redis", "redis"),
        ("daemon/ticker.py", "import redis.asyncio", "redis.asyncio"),
        ("daemon/ticker.py", "import kombu", "kombu"),
        ("daemon/ticker.py", "from beatd.store import timetable", "beatd.store.timetable"),
        ("daemon/ticker.py", "from beatd.daemon import daemon", "beatd.daemon.daemon"),
        ("daemon/daemon.py", "from beatd.cli import main", "beatd.cli.main"),
        ("client.py", "from beatd.cli import main", "beatd.cli.main"),
        ("__init__.py", "from beatd.daemon import daemon", "beatd.daemon.daemon"),
    ],
)
def test_a_broken_direction_is_found(tmp_path: Path, file: str, source: str, refused: str) -> None:
    found = offences_of(broken_directions, tmp_path, f"beatd/{file}", source)
    line = source.count("\n") + 1
    assert len(found) == 1
    assert found[0].startswith(f"beatd/{file}:{line}: ")
    assert f"may not import {refused}" in found[0]


@pytest.mark.parametrize(
    "file, source",
    [
        ("core/a.py", "from collections.abc import Mapping\nimport heapq\nfrom dateutil.rrule import rrulestr"),
        ("core/a.py", "from beatd.core.duration import parse_duration\nfrom . import entry"),
        ("core/schedules/__init__.py", "from .schedule import Schedule"),
        ("formats/celery.py", "from beatd.core.fire import TaskIds\nimport base64"),
        (
            "store/a.py",
            "import asyncio\nimport redis.asyncio\nfrom beatd import __version__\nfrom beatd.store import b",
        ),
        ("daemon/ticker.py", "import asyncio\nfrom beatd.core import span\nfrom beatd.daemon.ports import Clock"),
        ("daemon/daemon.py", "import kombu\nfrom beatd import config, formats, store, transports"),
        ("cli/run.py", "import click\nfrom beatd.cli import options\nfrom beatd.daemon.daemon import run"),
        ("__main__.py", "from beatd.cli import main"),
        ("__init__.py", "from beatd.client import Client"),
    ],
)
def test_an_allowed_direction_is_left_alone(tmp_path: Path, file: str, source: str) -> None:
    assert offences_of(broken_directions, tmp_path, f"beatd/{file}", source) == []


def test_a_module_without_a_room_is_found(tmp_path: Path) -> None:
    assert offences_of(broken_directions, tmp_path, "beatd/helpers.py", "x = 1") == [
        "beatd/helpers.py:1: beatd.helpers lies in no room: give it one in ROOMS"
    ]


@pytest.mark.parametrize(
    "call",
    [
        "datetime.now(UTC)",
        "date.today()",
        "datetime.utcnow()",
        "clock.now()",
        "uuid4()",
        "open('x')",
        "at.astimezone()",
    ],
)
def test_a_question_for_time_chance_or_files_is_found_in_a_pure_room(tmp_path: Path, call: str) -> None:
    (found,) = offences_of(impure_calls, tmp_path, "beatd/core/a.py", f"\nx = {call}")
    assert found == f"beatd/core/a.py:2: beatd.core is pure and may not call {call.partition('(')[0]}()"


@pytest.mark.parametrize("file", ["beatd/core/a.py", "beatd/daemon/clock.py"])
def test_time_that_is_handed_in_is_no_offence(tmp_path: Path, file: str) -> None:
    source = "def f(now, at):\n    return now + at.astimezone(UTC)"
    assert offences_of(impure_calls, tmp_path, file, source) == []


def test_the_shell_may_ask_for_the_time(tmp_path: Path) -> None:
    assert offences_of(impure_calls, tmp_path, "beatd/daemon/clock.py", "x = datetime.now(UTC)") == []


@pytest.mark.parametrize(
    "source",
    [
        "job = 1",
        "def run_jobs(): pass",
        "class JobQueue: pass",
        "f(job_id=1)",
        "def f(aJob): pass",
        "x.JOBS",
        "import job",
    ],
)
def test_the_refused_word_is_found_in_any_identifier(tmp_path: Path, source: str) -> None:
    assert offences_of(refused_words, tmp_path, "tests/test_a.py", source) != []


def test_the_refused_word_is_found_in_a_file_name(tmp_path: Path) -> None:
    assert offences_of(refused_words, tmp_path, "beatd/job.py", "") == [
        "beatd/job.py:1: job: say entry, slot, fire or task"
    ]


def test_the_refused_word_may_be_quoted_and_be_part_of_another(tmp_path: Path) -> None:
    assert offences_of(refused_words, tmp_path, "beatd/a.py", 'jobber = "rq calls it a job"  # a job') == []


def test_the_picture_in_the_documentation_is_drawn_from_the_code() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")

    assert f"```mermaid\n{house()}\n```" in page, "python -m tests.support.house prints the picture as it is now"
