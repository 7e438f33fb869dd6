"""Entries as both beatd and celery beat understand them, and what may differ between their messages."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from celery import signature

TASK_ID = "5d3e7c62-6f0b-5a41-8b8e-0f5d6d1c9a77"
DELIVERY_TAG = "2c9d3c1e-77a1-4f0e-9b59-3f3f0a2b7c11"
ORIGIN = "gen4711@beat-1"
SLOT_MS = 1_795_165_200_000  # 2026-11-20T09:00:00Z
SLOT_WITH_MS = SLOT_MS + 396
OURS = frozenset({"origin", "beatd_slot", "periodic_task_name"})
IDS = frozenset({"task_id", "group_index", "reply_to"})
LINKED = frozenset({"link", "link_error", "chain", "chord"})
COMPRESSIONS = (
    "zlib",
    "gzip",
    "application/x-gzip",
    "bzip2",
    "bzip",
    "application/x-bz2",
    "lzma",
    "xz",
    "application/x-lzma",
)


def sig(task: str, *args: Any, immutable: bool = False, **options: Any) -> dict[str, Any]:
    """A signature as Celery writes it."""
    return dict(signature(task, args=args, options=options, immutable=immutable)) | {"args": list(args)}


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass(frozen=True)
class Case:
    """An entry's args, kwargs, options and queue, as both beatd and celery beat understand them."""

    args: list[Any] = field(default_factory=list)
    kwargs: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    queue: str = "celery"
    slot_ms: int = SLOT_MS


CASES: Mapping[str, Case] = {
    "nothing at all": Case(),
    "args": Case(args=[1, "two", None, True, 2.5]),
    "one arg": Case(args=[1]),
    "empty containers in args": Case(args=[[], {}, ""]),
    "kwargs": Case(kwargs={"dry_run": False, "limit": 10, "nested": {"a": [1, {"b": None}]}}),
    "both": Case(args=["daily"], kwargs={"region": "eu"}),
    "unicode": Case(args=["Grüße, 世界 🌍", "\u2028\x00\x7f"], kwargs={"ключ": "значение", "q": 'it\'s "quoted" \\'}),
    "long args": Case(args=["word " * 400, list(range(500))], kwargs={"k": "x" * 3_000}),
    "deep args": Case(args=[[[[[["deep"]]]]]], kwargs={"a": {"b": {"c": {"d": 1}}}}),
    "big and odd numbers": Case(args=[2**80, -0.0, 1e300, 1e-7, 0.1, 10**25]),
    "what kombu reads back as a date": Case(args=[{"__type__": "datetime", "__value__": "2026-01-01T00:00:00"}]),
    **{f"priority {priority}": Case(options={"priority": priority}) for priority in range(10)},
    "own queue": Case(queue="reports"),
    "own queue with priority": Case(queue="reports", options={"priority": 7}),
    "queue of odd letters": Case(queue="Ärger/ü:1"),
    "default exchange by name": Case(queue="reports", options={"exchange": "", "routing_key": "reports"}),
    "exchange without routing key": Case(queue="reports", options={"exchange": "reports"}),
    "routing key without exchange": Case(queue="reports", options={"routing_key": "reports"}),
    "expires in seconds": Case(options={"expires": 3_600}),
    "expires in fractions": Case(options={"expires": 1.5}),
    "expires at a slot with milliseconds": Case(options={"expires": 90}, slot_ms=SLOT_WITH_MS),
    "expires at a date": Case(options={"expires": "2026-12-01T09:00:00+01:00"}),
    "expires at a date with a Z": Case(options={"expires": "2026-12-01T09:00:00.250Z"}, slot_ms=SLOT_WITH_MS),
    "expired by date": Case(options={"expires": "2020-01-01T00:00:00Z"}),
    "countdown": Case(options={"countdown": 30}),
    "countdown in fractions at a slot with milliseconds": Case(options={"countdown": 0.25}, slot_ms=SLOT_WITH_MS),
    "countdown of nothing": Case(options={"countdown": 0}),
    "eta at a date": Case(options={"eta": "2026-11-20 10:30:00+01:00"}),
    "eta and expires": Case(options={"eta": "2026-11-20T09:30:00Z", "expires": 7_200, "priority": 3}),
    "headers": Case(options={"headers": {"team": "growth", "n": 1, "deep": {"a": [None]}, "ü": "ß"}}),
    "headers of celery beat itself": Case(options={"headers": {"celery_beat_task": True, "x": 1}}),
    "no headers": Case(options={"headers": {}}),
    "time limit": Case(options={"time_limit": 300}),
    "both time limits": Case(options={"time_limit": 300.5, "soft_time_limit": 240}),
    "ignore_result": Case(options={"ignore_result": True}),
    "ignore_result off": Case(options={"ignore_result": False}),
    "shadow": Case(options={"shadow": "nightly ✓"}),
    "reply_to": Case(options={"reply_to": "replies"}),
    "delivery_mode": Case(options={"delivery_mode": 1}),
    "delivery_mode by name": Case(options={"delivery_mode": "transient"}),
    "serializer": Case(options={"serializer": "json"}),
    "options of a task class, not set": Case(
        options=dict.fromkeys(("priority", "expires", "serializer", "delivery_mode", "time_limit", "soft_time_limit"))
    ),
    "yaml": Case(args=[1, "two", None, {"a": [1.5, True]}], kwargs={"Ü": "ß" * 100}, options={"serializer": "yaml"}),
    "msgpack": Case(args=[1, "two", None, b64("x")], kwargs={"a": 2**63}, options={"serializer": "msgpack"}),
    **{f"compression {name}": Case(args=["x" * 500], options={"compression": name}) for name in COMPRESSIONS},
    "yaml in zip": Case(args=["x" * 500], options={"serializer": "yaml", "compression": "gzip"}),
    "msgpack in bz2": Case(args=["x" * 500], options={"serializer": "msgpack", "compression": "bzip2"}),
    "link": Case(args=[1], options={"link": sig("after", 1)}),
    "links": Case(args=[1], options={"link": [sig("a"), sig("b", queue="q")], "link_error": [sig("failed")]}),
    "link_error": Case(options={"link_error": sig("failed", immutable=True)}),
    "chain as an option": Case(options={"chain": [sig("c"), sig("b")]}),
    "chord as an option": Case(options={"chord": sig("body"), "group_id": "g", "group_index": 3}),
    "links in yaml": Case(options={"link": sig("after", 1), "serializer": "yaml"}),
    "stamps": Case(options={"stamped_headers": ["team", "n"], "team": "growth", "n": [1, {"a": None}]}),
    "no stamps": Case(options={"stamped_headers": []}),
    "retries": Case(options={"retries": 2, "replaced_task_nesting": 1}),
    "retry policy": Case(options={"retry": True, "retry_policy": {"max_retries": 5, "interval_start": 0}}),
    "no retry": Case(options={"retry": False}),
    "texts for logs": Case(args=["secret"], kwargs={"k": 1}, options={"argsrepr": "(***)", "kwargsrepr": "{...}"}),
    "expiration": Case(options={"expiration": 90}),
    "expiration and eta": Case(options={"expiration": 90.5, "countdown": 30}),
    "expiration and expires": Case(options={"expiration": 90, "expires": 30}),
    "properties": Case(options={"app_id": "shop", "user_id": "me", "type": "report", "cluster_id": "c"}),
    "exchange and routing key": Case(queue="reports", options={"exchange": "x", "routing_key": "a.b"}),
    "topic exchange and routing key": Case(
        queue="reports", options={"exchange": "x", "routing_key": "a.b", "exchange_type": "topic"}
    ),
    "another routing key": Case(queue="reports", options={"routing_key": "a.b"}),
    "another exchange": Case(queue="reports", options={"exchange": "x"}),
    "everything": Case(
        args=[1],
        kwargs={"a": "b"},
        queue="all",
        options={
            "priority": 5,
            "expires": 60,
            "countdown": 5,
            "headers": {"a": 1},
            "ignore_result": True,
            "time_limit": 10,
            "soft_time_limit": 5,
            "shadow": "s",
            "reply_to": "r",
            "delivery_mode": 2,
        },
    ),
}


def has_links(case: Case) -> bool:
    """Whether something follows the task, under ids that celery makes up."""
    return not LINKED.isdisjoint(case.options)


def without_ids(value: Any) -> Any:
    """A body without the ids of what follows the task."""
    if isinstance(value, dict):
        kept = {key: without_ids(inner) for key, inner in value.items()}
        if "options" in kept and "subtask_type" in kept:
            kept["options"] = {name: option for name, option in kept["options"].items() if name not in IDS}
        return kept
    return [without_ids(inner) for inner in value] if isinstance(value, list) else value
