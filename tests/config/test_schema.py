"""The JSON Schema and the loader come from one table: what one accepts, the other does."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from beatd.config.json_schema import json_schema
from beatd.config.keys import ENTRY, HISTORY, LEASE, LOG, OPTIONS, TOP, by_name
from beatd.config.problems import errors_of
from beatd.config.settings import SETTINGS, check_settings
from beatd.core.entry import ENTRY_KEYS
from beatd.formats import _celery_options

VALIDATOR = jsonschema.Draft202012Validator(json_schema())

TEXT: tuple[list[Any], list[Any]] = (["t", "a b", "ä"], ["", " t", "t ", 1, True, [], {}])
DURATION: tuple[list[Any], list[Any]] = (
    [30, 1.5, "90s", "1h30m", "1.5h", " 5s ", "PT15M", "P1DT1H", "P1W"],
    ["", "5", "five", "-5s", "5 s", -1, True, [], "P", "PT", "P1Y", "1:30"],
)
MOMENT: tuple[list[Any], list[Any]] = (
    ["2099-01-01T00:00", "2099-01-01 00:00:00", "2099-01-01T00:00:00.5Z", "2099-01-01t00:00+01:00"],
    ["2099-01-01", "12:30", "2099-01-01T00:00:00.1234", "tomorrow", 5, True, []],
)
BOOLEAN: tuple[list[Any], list[Any]] = ([True, False], ["yes", "true", 1, 0, []])

CHAIN: dict[str, Any] = {"subtask_type": "chain", "kwargs": {"tasks": [{"task": "t"}, {"task": "u", "args": [1]}]}}

# Every key: values that are accepted, and values that are not.
ENTRIES: dict[str, tuple[list[Any], list[Any]]] = {
    "task": TEXT,
    "cron": (
        [
            "0 9 * * mon-fri",
            "*/10 * * * * *",
            "@daily",
            "H 2 * * *",
            {},
            {"minute": 0, "hour": "*/2"},
            {"minute": [1, 2]},
        ],
        ["", 5, True, [], {"second": 1}, {"minute": True}, {"minute": -1}, {"minute": ""}, {"minute": []}],
    ),
    "every": (DURATION[0], [*DURATION[1]]),
    "at": MOMENT,
    "rrule": (["FREQ=DAILY", "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=18"], ["", 1, True, []]),
    "schedule": (
        [30, 1.5, "0 9 * * *", "@hourly", "@every 5m", {"crontab": {}}, {"crontab": {"minute": 0}}],
        [0, -1, True, "", [], {}, {"solar": "x"}, {"crontab": 1}, {"crontab": {"x": 1}}],
    ),
    "timezone": (["UTC", "Europe/Paris", "America/Argentina/Ushuaia"], ["", 1, "not a zone", []]),
    "signature": (
        [{"task": "t"}, {"task": "t", "args": None, "options": {"queue": "q"}, "immutable": True}, CHAIN],
        [{}, [], "t", 5, {"task": 1}, {"task": "t", "x": 1}, {"subtask_type": "loop"}, {"task": "t", "immutable": 1}],
    ),
    "args": ([[], [1, "a", None, {"x": []}]], [{}, "x", 1]),
    "kwargs": ([{}, {"a": [1]}], [[], "x", 1]),
    "queue": TEXT,
    "options": ([{}], [[], "x", 1]),
    "description": (["", " anything "], [1, True, []]),
    "tags": ([[], ["a", "b c"]], ["a", [1], [""], [" a"], {}]),
    "enabled": BOOLEAN,
    "start": MOMENT,
    "end": MOMENT,
    "max_runs": ([1, 5, None], [0, -1, "5", True, 1.5]),
    "jitter": DURATION,
    "catchup": (["none", "latest", "all"], ["newest", True, "None"]),
    "catchup_limit": ([1, 1000], [0, 1001, "5", True]),
    "grace": DURATION,
    "deadline": ([*DURATION[0], None], DURATION[1]),
    "day": (["or", "and"], ["xor", True]),
    "guarantee": (["at_least_once", "at_most_once"], ["exactly_once", 1]),
    "fast": BOOLEAN,
    "anchor": MOMENT,
    "hash_id": (["x", "a b"], ["", 5, []]),
}
OPTION_VALUES: dict[str, tuple[list[Any], list[Any]]] = {
    "priority": ([0, 9, None], [-1, 10, "1", True, 1.5]),
    "expires": (["2h", 30, "2099-01-01T00:00", "2099-01-01T00:00:00+01:00", None], ["soon", "2099-01-01", [], True]),
    "countdown": (["5m", 30, 0, None], ["soon", -1, []]),
    "eta": (["2h", 30, 0, "2099-01-01T00:00Z", None], ["soon", [], True]),
    "headers": ([{}, {"a": [1]}, None], [[], "a", 1]),
    "serializer": (["json", "yaml", "msgpack", None], ["pickle", 1]),
    "compression": (["zlib", "gzip", "bzip2", "lzma", "application/x-gzip", None], ["zstd", 1, ""]),
    "link": ([{"task": "t"}, [{"task": "t", "args": [1]}, CHAIN], [], None], [5, "t", {}, [{}], {"task": "t", "x": 1}]),
    "link_error": ([{"task": "t"}, [{"task": "t"}], None], [5, {}, {"task": ""}]),
    "chain": ([[{"task": "t"}], None], [{"task": "t"}, "t", [5]]),
    "chord": ([{"task": "t"}, None], [[{"task": "t"}], 5, {}]),
    "group_id": (["x", None], [1, []]),
    "group_index": ([0, 3, None], [-1, "1", True]),
    "expiration": (["5m", 30, 0, None], ["soon", -1, []]),
    "retries": ([0, 3, None], [-1, "1", True]),
    "replaced_task_nesting": ([0, 3, None], [-1, "1", True]),
    "argsrepr": (["x", "", None], [1, []]),
    "kwargsrepr": (["x", "", None], [1, []]),
    "stamped_headers": ([[], None], ["x", {}, [1], 5]),
    **dict.fromkeys(("app_id", "user_id", "type", "cluster_id"), (["x", None], [1, []])),
    "ignore_result": ([True, False, None], ["yes", 1]),
    "time_limit": ([5, 1.5, "5m", None], [0, -1, "soon", True]),
    "soft_time_limit": ([5, "5m", None], [0, -1, "soon"]),
    "shadow": (["x", "", None], [1, []]),
    "reply_to": (["x", "", None], [1, []]),
    "delivery_mode": ([1, 2, "transient", "persistent", None], [0, 3, "x"]),
    "retry": ([True, False, None], ["yes", 1]),
    "retry_policy": (
        [{}, {"max_retries": 3, "interval_start": 0, "interval_step": 0.2, "interval_max": 1}, {"max_retries": None}],
        [3, [], {"max_retries": -1}, {"max_retries": "3"}, {"interval_max": "1s"}, {"errback": "x"}],
    ),
    "queue": (["x", None], ["", 1, []]),
    "exchange": (["", "topics", None], [1, []]),
    "exchange_type": (["direct", "topic", "fanout", "headers", None], ["x", 1]),
    "routing_key": (["", "a.b", None], [1, []]),
}
TOPS: dict[str, tuple[list[Any], list[Any]]] = {
    "version": ([1], [2, "1", True, None]),
    "timezone": (["UTC", "Europe/Paris"], ["", 1, "not a zone", None]),
    "redis": (["redis://h", "rediss://u:p@h:1/0", "unix:///x", None], ["h:1", "http://h", 1, [], {}]),
    "broker": (
        ["redis", "amqp://h", "sqs://", None, "amqp://a;amqp://b", ["amqps://a", "amqps://b"], {"url": "amqp://h"}]  # noqa: RUF005  # a row each
        + [
            {"url": ["amqp://h"], "declare": "celery", "confirm_timeout": "2s", "heartbeat": 0, "transport_options": {}}
        ],
        ["rabbit", "amqq://h", 1, [], {}, {"declare": "none"}, {"url": "h"}, {"url": "amqp://h", "declare": "all"}]
        + [
            {"url": "amqp://h", key: value}
            for key, value in (("uri", 1), ("heartbeat", "soon"), ("confirm_timeout", 0))
        ],
    ),
    "namespace": (["a.b-c_1"], ["a b", "", 1, None, "x" * 65]),
    "lease": ([{}, {"ttl": "2s"}, {"ttl": 5}], [[], 5, {"ttl": "soon"}, {"tll": 1}, {"ttl": []}, None]),
    "http": (["off", False, 9464, 0, "h:1", ":1", "[::1]:80", "80"], ["h", True, -1, 70_000, [], None]),
    "log": ([{}, {"level": "debug", "format": "json"}], [[], {"level": "loud"}, {"format": 1}, {"x": 1}]),
    "history": ([{}, {"fires": "64MB", "skips": 1000}], [5, {"fires": "lots"}, {"skips": -1}, {"x": 1}]),
    "defaults": (
        [{}, {"queue": "q", "options": {"priority": 3}}],
        [[], {"queu": "q"}, {"grace": "soon"}, {"options": 1}],
    ),
    "routes": (
        [{}, {"app.*": "q"}, {"app.a": {"queue": "q", "priority": 3}}, {"re:app[.](a|b)": {"priority": 0}}],
        [[], 5, {"a": ""}, {"a": 5}, {"a": []}, {"a": {"queu": "q"}}, {"a": {"priority": 10}}, {"a": None}],
    ),
    "include": ([[], ["none*.yaml"]], ["x", [1], [""], {}]),
    "schedules": ([{}], [[], 5, {"a": 5}, {"a": {}}, {"a": {"task": "t"}}, {" a": {"task": "t", "every": 5}}]),
    "x-mine": ([1, None, {"a": []}], []),
}
LEAST_OPTIONS = {"exchange": {"queue": "celery"}, "routing_key": {"queue": "celery"}}


def document_of_entry(key: str, value: Any) -> dict[str, Any]:
    companion: dict[str, Any] = {"every": "1h"}
    if key in {"cron", "every", "at", "rrule", "schedule"}:
        companion = {}
    elif key in {"day", "hash_id"}:
        companion = {"cron": "0 9 * * *"}
    task = {} if key == "signature" else {"task": "t"}
    return {"schedules": {"a": {**task, **companion, key: value}}}


def cases() -> list[Any]:
    found = []
    for table, make in (
        (ENTRIES, document_of_entry),
        (OPTION_VALUES, lambda key, value: document_of_entry("options", {key: value})),
        (TOPS, lambda key, value: {"schedules": {}, key: value}),
    ):
        for key, (good, bad) in table.items():
            found += [pytest.param(make(key, value), True, id=f"{key}={json.dumps(value)[:40]}") for value in good]
            found += [pytest.param(make(key, value), False, id=f"{key}!{json.dumps(value)[:40]}") for value in bad]
    return found


WHOLE: list[tuple[str, Any, bool]] = [
    ("nothing", {}, False),
    ("a list", [], False),
    ("settings alone", {"namespace": "n"}, True),
    ("an unknown key", {"schedules": {}, "schedule": {}}, False),
    ("no task", {"schedules": {"a": {"every": 5}}}, False),
    ("a signature", {"schedules": {"a": {"signature": CHAIN, "every": 5}}}, True),
    ("a signature and its task", {"schedules": {"a": {"signature": CHAIN, "every": 5, "task": "t"}}}, True),
    (
        "a signature beside a default task",
        {"defaults": {"task": "u"}, "schedules": {"a": {"signature": CHAIN, "every": 5}}},
        True,
    ),
    ("a default signature", {"defaults": {"signature": CHAIN}, "schedules": {"a": {"every": 5}}}, True),
    ("stamps", {"schedules": {"a": {"task": "t", "every": 5, "options": {"stamped_headers": ["x"], "x": 1}}}}, True),
    ("no schedule", {"schedules": {"a": {"task": "t"}}}, False),
    ("two schedules", {"schedules": {"a": {"task": "t", "every": 5, "cron": "@daily"}}}, False),
    ("two spellings", {"schedules": {"a": {"task": "t", "schedule": 5, "every": 5}}}, False),
    ("a default task", {"defaults": {"task": "t"}, "schedules": {"a": {"every": 5}}}, True),
    ("a default schedule", {"defaults": {"every": 5}, "schedules": {"a": {"task": "t"}}}, True),
    ("another schedule", {"defaults": {"every": 5}, "schedules": {"a": {"task": "t", "cron": "@daily"}}}, True),
    ("owner", {"schedules": {"a": {"task": "t", "every": 5, "owner": "api"}}}, False),
    ("relative", {"schedules": {"a": {"task": "t", "every": 5, "relative": True}}}, False),
    ("an unknown option", {"schedules": {"a": {"task": "t", "every": 5, "options": {"prio": 1}}}}, False),
    ("a task id", {"schedules": {"a": {"task": "t", "every": 5, "options": {"task_id": "x"}}}}, False),
    ("a long name", {"schedules": {"x" * 201: {"task": "t", "every": 5}}}, False),
    ("a variable", {"redis": "${U:-}", "schedules": {"a": {"task": "${T:-t}", "every": "${E:-5}"}}}, True),
]


def loader_accepts(tmp_path: Path, document: Any) -> bool:
    path = tmp_path / "schedules.yaml"
    path.write_text(json.dumps(document))  # JSON is YAML
    return not errors_of(check_settings([path], {}, {})[1])


@pytest.mark.parametrize("document, accepted", cases())
def test_schema_and_loader_agree_on_a_key(tmp_path: Path, document: Any, accepted: bool) -> None:
    assert (VALIDATOR.is_valid(document), loader_accepts(tmp_path, document)) == (accepted, accepted)


@pytest.mark.parametrize("document, accepted", [case[1:] for case in WHOLE], ids=[case[0] for case in WHOLE])
def test_schema_and_loader_agree_on_a_document(tmp_path: Path, document: Any, accepted: bool) -> None:
    assert (VALIDATOR.is_valid(document), loader_accepts(tmp_path, document)) == (accepted, accepted)


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_the_table_has_the_keys_of_the_core_of_the_format_and_of_the_settings() -> None:
    assert by_name(ENTRY).keys() == ENTRY_KEYS - {"owner"} | {"schedule"}
    assert by_name(OPTIONS).keys() == _celery_options._READERS.keys()
    nested = {
        f"{name}.{key.name}" for name, keys in (("lease", LEASE), ("log", LOG), ("history", HISTORY)) for key in keys
    }
    top = by_name(TOP).keys() - {
        "version",
        "timezone",
        "defaults",
        "routes",
        "include",
        "schedules",
        "lease",
        "log",
        "history",
    }
    assert {setting.key for setting in SETTINGS if setting.key} == nested | top


def test_every_key_is_judged_by_some_value() -> None:
    assert ENTRIES.keys() == by_name(ENTRY).keys()
    assert OPTION_VALUES.keys() == by_name(OPTIONS).keys()
    assert TOPS.keys() == by_name(TOP).keys() | {"x-mine"}
