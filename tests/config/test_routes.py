"""`routes:` of a file: an entry's own words win over its route, and that over the defaults."""

import json
from pathlib import Path
from typing import Any

import pytest

from beatd.config.entry_files import read_entry_files
from beatd.config.load import load_files

FILE = """
defaults: {queue: base, options: {priority: 5, exchange: base, routing_key: base}}
routes:
  app.video.*: video
  "app.video.[ct]*": never, for the one above comes first
  app.video.thumb: {queue: fast, priority: 1}
  app.low: {priority: 9}
  app.topic: {queue: topics, exchange: topics, routing_key: topics}
  're:app\\.(mail|sms)\\.': out
schedules:
"""


def sent(tmp_path: Path, entry: str, head: str = FILE) -> tuple[str, dict[str, Any]]:
    path = tmp_path / "schedules.yaml"
    path.write_text(f"{head}  e: {{every: 1m, {entry}}}\n")
    loaded = load_files([path], {})
    assert not loaded.problems
    [found] = loaded.files[0].entries
    return found.queue, {name: value for name, value in found.options.items() if value is not None}


BASE = {"priority": 5, "exchange": "base", "routing_key": "base"}
TOPICS = {"exchange": "topics", "routing_key": "topics"}


@pytest.mark.parametrize(
    "entry, queue, options",
    [
        ("task: app.other", "base", BASE),
        ("task: app.video.cut", "video", {"priority": 5}),
        ("task: app.video.thumb", "fast", {"priority": 1}),
        ("task: app.mail.send", "out", {"priority": 5}),
        ("task: app.low", "base", {**BASE, "priority": 9}),
        ("task: app.topic", "topics", {**TOPICS, "priority": 5}),
        ("task: app.topic, options: {priority: 2}", "topics", {**TOPICS, "priority": 2}),
        ("task: app.video.thumb, options: {priority: 3}", "fast", {"priority": 3}),
        ("task: app.video.thumb, options: {queue: own, exchange: ''}", "own", {"priority": 1, "exchange": ""}),
        ("signature: {task: app.video.cut}", "video", {"priority": 5}),
    ],
)  # fmt: skip
def test_the_entry_wins_over_the_route_and_that_over_the_defaults(
    tmp_path: Path, entry: str, queue: str, options: dict[str, Any]
) -> None:
    assert sent(tmp_path, entry) == (queue, options)


SHORT = "routes: {app.*: {queue: routed, exchange: routed, priority: 3}}\nschedules:\n"


def test_an_entry_with_a_queue_takes_nothing_of_another_address(tmp_path: Path) -> None:
    assert sent(tmp_path, "task: app.a", SHORT) == ("routed", {"exchange": "routed", "priority": 3})
    assert sent(tmp_path, "task: app.a, queue: own", SHORT) == ("own", {"priority": 3})
    assert sent(tmp_path, "signature: {task: app.a, options: {queue: own}}", SHORT) == ("own", {"priority": 3})
    chain = "{subtask_type: chain, kwargs: {tasks: [{task: app.a, options: {queue: own}}, {task: app.b}]}}"
    assert sent(tmp_path, f"signature: {chain}", SHORT) == ("own", {"priority": 3})


DEFAULTS = """
defaults: {queue: base, options: {priority: 5, exchange: base, exchange_type: topic, routing_key: base}}
schedules:
"""


@pytest.mark.parametrize(
    "entry, queue, options",
    [
        ("task: t", "base", {**BASE, "exchange_type": "topic"}),
        ("task: t, queue: own", "own", {"priority": 5}),
        ("task: t, options: {queue: own}", "own", {"priority": 5}),
        ("task: t, queue: own, options: {priority: 2, routing_key: a}", "own", {"priority": 2, "routing_key": "a"}),
        ("signature: {task: t, options: {queue: own}}", "own", {"priority": 5}),
        ("task: t, options: {routing_key: a}", "base", {**BASE, "exchange_type": "topic", "routing_key": "a"}),
    ],
)
def test_a_queue_of_its_own_replaces_the_whole_address_of_the_defaults(
    tmp_path: Path, entry: str, queue: str, options: dict[str, Any]
) -> None:
    assert sent(tmp_path, entry, DEFAULTS) == (queue, options)


def test_the_task_may_come_from_the_defaults(tmp_path: Path) -> None:
    head = "defaults: {task: app.a}\nroutes: {app.*: routed}\nschedules:\n"
    assert sent(tmp_path, "tags: []", head)[0] == "routed"


def test_an_included_file_has_the_routes_of_the_one_that_includes_it_behind_its_own(tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text(
        "routes: {app.a*: mine}\nschedules: {ab: {task: app.ab, every: 1m}, b: {task: app.b, every: 1m}}"
    )
    path = tmp_path / "schedules.yaml"
    path.write_text("include: [more.yaml]\nroutes: {app.*: outer}\nschedules: {a: {task: app.a, every: 1m}}")
    loaded = load_files([path], {})
    assert {entry.name: entry.queue for file in loaded.files for entry in file.entries} == {
        "a": "outer", "ab": "mine", "b": "outer",
    }  # fmt: skip


def test_an_applied_file_has_them_and_a_list_of_definitions_stays_as_it_is(tmp_path: Path) -> None:
    whole = {"routes": {"app.*": "${Q}"}, "schedules": {"a": {"task": "app.a", "every": "1m"}}}
    (tmp_path / "whole.json").write_text(json.dumps(whole))
    (tmp_path / "rows.ndjson").write_text('{"name": "b", "task": "app.b", "every": "1m"}\n')
    found = read_entry_files(
        [tmp_path / "whole.json", tmp_path / "rows.ndjson"], {"Q": "routed"}, owner="apply:x", now_ms=0
    )
    assert not found.errors
    assert {name: json.loads(text).get("queue") for name, text in found.definitions.items()} == {
        "a": "routed", "b": "celery",
    }  # fmt: skip
