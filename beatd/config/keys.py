"""The keys of schedules.yaml: one table, from which the loader's closed lists and the JSON Schema both come.

A key's kind says what an editor may know of its value: ``schema`` is JSON Schema. The judge of values is the core (for
entries) or the setting's reader (settings.py); tests hold both to the same answers.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from beatd.core.celery_spellings import CRONTAB_FIELDS
from beatd.core.entry import LONGEST_NAME, MAX_CATCHUP_LIMIT
from beatd.core.signature import CANVAS, PLAIN_TYPES
from beatd.formats.celery import COMPRESSIONS, PROPERTIES

HOLE: Final = {"type": "string", "pattern": r"\$\{"}
_N: Final = r"\d+(\.\d+)?"
_ISO: Final = rf"P(?=[\dT])({_N}W)?({_N}D)?(T(?=\d)({_N}H)?({_N}M)?({_N}S)?)?"
_DURATION: Final = rf"^\s*(({_N}(ms|s|m|h|d|w))+|{_ISO})\s*$"
_MOMENT: Final = r"^\s*\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d)?(\.\d{1,3})?([Zz]|[+-]\d\d:\d\d)?\s*$"
_SIZE: Final = r"^\s*\d+\s*([kKMG]i?B|B)\s*$"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a key's value is. ``text``: only texts are accepted, so a variable's content is never read as a number."""

    schema: Mapping[str, Any]
    text: bool = False
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A key, its kind, and one line about it for people in an editor."""

    name: str
    kind: Kind
    about: str


def _text(**schema: Any) -> Kind:
    return Kind({"anyOf": [{"type": "string", **schema}, HOLE]} if schema else {"type": "string"}, text=True)


def _either(*schemas: Mapping[str, Any], nullable: bool = False) -> Kind:
    return Kind({"anyOf": [*schemas, HOLE, *([{"type": "null"}] if nullable else [])]}, nullable=nullable)


def _one_of(*words: str) -> Kind:
    return Kind({"anyOf": [{"enum": list(words)}, HOLE]}, text=True)


def _whole(low: int, high: int, *, nullable: bool = False) -> Kind:
    return _either({"type": "integer", "minimum": low, "maximum": high}, nullable=nullable)


def _object(keys: Iterable[Key]) -> Kind:
    properties = {key.name: {**key.kind.schema, "description": key.about} for key in keys}
    return Kind({"type": "object", "properties": properties, "additionalProperties": False})


def ref(name: str) -> Kind:
    """A kind that the JSON Schema defines once (json_schema.py)."""
    return Kind({"$ref": f"#/$defs/{name}"})


_NUMBER: Final = {"type": "number", "minimum": 0}
LINE: Final = _text(pattern=r"^\S(.*\S)?$")
NOTE: Final = Kind({"type": "string"}, text=True)
ZONE: Final = _text(pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$")
_DURATION_TEXT: Final = {"type": "string", "pattern": _DURATION}
DURATION: Final = _either(_NUMBER, _DURATION_TEXT)
OPTIONAL_DURATION: Final = _either(_NUMBER, {"type": "string", "pattern": _DURATION}, nullable=True)
MOMENT: Final = _text(pattern=_MOMENT)
MOMENT_OR_DURATION: Final = _either(
    _NUMBER, {"type": "string", "pattern": _DURATION}, {"type": "string", "pattern": _MOMENT}, nullable=True
)
LIMIT: Final = _either(
    {"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": _DURATION}, nullable=True
)
BOOLEAN: Final = _either({"type": "boolean"})
LIST: Final = Kind({"type": "array"})
OBJECT: Final = Kind({"type": "object"})
OPTIONAL_OBJECT: Final = Kind({"type": ["object", "null"]}, nullable=True)
SIGNATURE: Final = {
    "type": "object",
    "description": "A signature of Celery: what dict(signature) gives.",
    "properties": {
        "task": LINE.schema,
        "args": {"type": ["array", "null"]},
        "kwargs": {"type": ["object", "null"]},
        "options": {"type": ["object", "null"]},
        "subtask_type": {"enum": [*CANVAS, *PLAIN_TYPES, None]},
        "immutable": {"type": ["boolean", "null"]},
        "chord_size": {},
    },
    "anyOf": [
        {"required": ["task"]},
        {"properties": {"subtask_type": {"enum": list(CANVAS)}}, "required": ["subtask_type"]},
    ],
    "additionalProperties": False,
}
_SIGNATURE: Final = {"$ref": "#/$defs/signature"}
_SIGNATURES: Final = {"type": "array", "items": _SIGNATURE}
ONE_SIGNATURE: Final = Kind({"anyOf": [_SIGNATURE, {"type": "null"}]}, nullable=True)
SOME_SIGNATURES: Final = Kind({"anyOf": [_SIGNATURE, _SIGNATURES, {"type": "null"}]}, nullable=True)
ORDERED_SIGNATURES: Final = Kind({"anyOf": [_SIGNATURES, {"type": "null"}]}, nullable=True)
ANY_TEXT: Final = _either({"type": "string"}, nullable=True)
ANY_COUNT: Final = _either({"type": "integer", "minimum": 0}, nullable=True)
_PAUSE: Final = _either({"type": "number"}, nullable=True).schema
RETRY_POLICY: Final = Kind(
    {
        "type": ["object", "null"],
        "properties": {
            "max_retries": _either({"type": "integer", "minimum": 0}, nullable=True).schema,
            **dict.fromkeys(("interval_start", "interval_step", "interval_max"), _PAUSE),
        },
        "additionalProperties": False,
    },
    nullable=True,
)
LINES: Final = Kind({"type": "array", "items": LINE.schema})
SIZE: Final = _either({"type": "integer", "minimum": 0}, {"type": "string", "pattern": _SIZE})
CRON_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 1024}
_FIELD: Final = {
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "minLength": 1}, {"type": "array", "minItems": 1}]
}
CRONTAB: Final = {
    "type": "object",
    "description": "The arguments of Celery's crontab(), which takes both day fields together.",
    "properties": dict.fromkeys(CRONTAB_FIELDS, _FIELD),
    "additionalProperties": False,
}
CELERY: Final = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0},
        CRON_TEXT,
        {"type": "object", "properties": {"crontab": CRONTAB}, "required": ["crontab"], "additionalProperties": False},
    ]
}

KIND_KEYS: Final = (
    Key(
        "cron", Kind({"anyOf": [CRON_TEXT, CRONTAB]}), "Five fields (or six, seconds first), or crontab()'s arguments."
    ),
    Key("every", DURATION, "An interval such as 30s or 1h30m; a number is seconds. At least 1s, with fast 10ms."),
    Key("at", MOMENT, "One date and time, such as 2026-12-01T09:00: wall time in the entry's zone."),
    Key("rrule", LINE, "A recurrence rule of RFC 5545, such as FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=18."),
    Key("schedule", Kind(CELERY), "Celery's spelling: seconds, a cron expression, or {crontab: {...}}."),
)
SCHEDULE_WORDS: Final = tuple(key.name for key in KIND_KEYS)

OPTIONS: Final = (
    Key("priority", _whole(0, 9, nullable=True), "0 to 9; on Redis 0 is the most urgent."),
    Key("expires", MOMENT_OR_DURATION, "The worker discards the task later than this after its slot, or after a date."),
    Key("countdown", OPTIONAL_DURATION, "The worker waits this long after the slot."),
    Key("eta", MOMENT_OR_DURATION, "The worker waits for this date, or this long after the slot."),
    Key("headers", OPTIONAL_OBJECT, "Headers of the message."),
    Key(
        "serializer",
        Kind({"anyOf": [{"enum": ["json", "yaml", "msgpack", None]}, HOLE]}, nullable=True),
        "How arguments are written [json].",
    ),
    Key(
        "compression",
        Kind({"anyOf": [{"enum": [*COMPRESSIONS, None]}, HOLE]}, nullable=True),
        "How the body is made smaller.",
    ),
    Key("ignore_result", _either({"type": "boolean"}, nullable=True), "Whether the worker stores no result."),
    Key("time_limit", LIMIT, "The worker ends the task after this long."),
    Key("soft_time_limit", LIMIT, "The worker asks the task to end after this long."),
    Key("link", SOME_SIGNATURES, "What runs after the task, with its result."),
    Key("link_error", SOME_SIGNATURES, "What runs when the task fails."),
    Key("chain", ORDERED_SIGNATURES, "What runs after the task, one after the other; the next is the last."),
    Key("chord", ONE_SIGNATURE, "What runs when all tasks of the group have run."),
    Key("group_id", ANY_TEXT, "The group that all runs belong to."),
    Key("group_index", ANY_COUNT, "The task's place in that group."),
    Key("shadow", ANY_TEXT, "The name of the task in logs."),
    Key("reply_to", ANY_TEXT, "The queue for results of the rpc backend."),
    Key("delivery_mode", Kind({"enum": [1, 2, "transient", "persistent", None]}, nullable=True), "Kept by the broker."),
    Key("expiration", OPTIONAL_DURATION, "How long a broker keeps the message; expires counts from the slot."),
    Key("retry", _either({"type": "boolean"}, nullable=True), "false: a message that the broker refuses is given up."),
    Key("retry_policy", RETRY_POLICY, "max_retries: after so many more refusals a message is given up."),
    Key("retries", ANY_COUNT, "How often the task counts as retried already."),
    Key("replaced_task_nesting", ANY_COUNT, "How deep the task replaces another one."),
    Key("argsrepr", ANY_TEXT, "What logs show in place of args."),
    Key("kwargsrepr", ANY_TEXT, "What logs show in place of kwargs."),
    Key(
        "stamped_headers",
        Kind({"type": ["array", "null"], "items": {"type": "string"}}, nullable=True),
        "Names of stamps; the value of each is an option of its name.",
    ),
    Key(
        "queue", _either({"type": "string", "pattern": LINE.schema["anyOf"][0]["pattern"]}, nullable=True), "The queue."
    ),
    Key("exchange", ANY_TEXT, "Where to publish, with a routing_key; else straight to the queue."),
    Key(
        "exchange_type",
        Kind({"anyOf": [{"enum": ["direct", "topic", "fanout", "headers", None]}, HOLE]}, nullable=True),
        "Of the exchange [direct].",
    ),
    Key("routing_key", ANY_TEXT, "Counts with an exchange."),
    *(Key(name, ANY_TEXT, "A property of the message, for brokers.") for name in PROPERTIES),
)

ENTRY: Final = (
    Key("task", LINE, "The name of the task, as the worker knows it."),
    *KIND_KEYS,
    Key("timezone", ZONE, "The IANA zone of all wall times; the file's where not given, else UTC."),
    Key("signature", ref("signature"), "A signature of Celery, in place of task, args and kwargs."),
    Key("args", LIST, "Positional arguments."),
    Key("kwargs", OBJECT, "Keyword arguments."),
    Key("queue", LINE, "The queue of the messages [celery]."),
    Key("options", ref("options"), "Options of apply_async that have a meaning in a message."),
    Key("description", NOTE, "For people."),
    Key("tags", LINES, "For people, and to choose entries by."),
    Key("enabled", BOOLEAN, "false: the entry is kept and does not run [true]."),
    Key("start", MOMENT, "No slot before; intervals count from here."),
    Key("end", MOMENT, "No slot after."),
    Key("max_runs", _whole(1, 2**53, nullable=True), "The entry is finished after so many runs."),
    Key("jitter", DURATION, "Spreads entries: a stable offset of this one, up to so long [0]."),
    Key("catchup", _one_of("none", "latest", "all"), "Of runs missed by more than grace [latest]."),
    Key("catchup_limit", _whole(1, MAX_CATCHUP_LIMIT), "At most so many runs at once, the newest [100]."),
    Key("grace", DURATION, "A run this late is still on time [60s]."),
    Key("deadline", OPTIONAL_DURATION, "A run later than this is skipped [none]."),
    Key("day", _one_of("or", "and"), "Whether one of cron's day fields is enough, or both must match [or]."),
    Key("guarantee", _one_of("at_least_once", "at_most_once"), "On a broker that is not the same Redis."),
    Key("fast", BOOLEAN, "Allows intervals from 10ms."),
    Key("anchor", MOMENT, "An instant on the grid of an interval."),
    Key("hash_id", _text(minLength=1, maxLength=200), "What H in a cron expression is drawn from [the name]."),
)

LEASE: Final = (Key("ttl", DURATION, "After this long without renewal a standby takes over [6s]; at least 1s."),)
LOG: Final = (
    Key("level", _one_of("debug", "info", "warning", "error"), "The least that is logged [info]."),
    Key("format", _one_of("text", "json"), "text for people, json for machines [text]."),
)
HISTORY: Final = (
    Key("fires", SIZE, "Bytes kept of the history of fires [64MB]."),
    Key("skips", SIZE, "Bytes kept of the history of skips [16MB]."),
)
HTTP: Final = _either(
    {"type": "string", "pattern": r"^((\[[0-9A-Fa-f:.]+\]|[^:\s]*):)?\d{1,5}$|^off$"},
    {"type": "integer", "minimum": 0, "maximum": 65535},
    {"const": False},
)
REDIS: Final = _either({"type": "string", "pattern": r"^(rediss?(\+sentinel)?|unix)://."}, nullable=True)
_URL: Final = ref("broker_url").schema
URLS: Final = _either(_URL, {"type": "array", "items": _URL, "minItems": 1})
BROKER_KEYS: Final = (
    Key("url", URLS, "amqp://user:password@host/vhost; several nodes of one broker as a list, or with ; between."),
    Key("declare", _one_of("none", "passive", "celery"), "What is done about a queue before the first message [none]."),
    Key("transport_options", OBJECT, "As Celery's broker_transport_options."),
    Key(
        "confirm_timeout",
        _either({"type": "number", "minimum": 0.1}, _DURATION_TEXT),
        "How long an answer may take [5s].",
    ),
    Key("heartbeat", DURATION, "How often an idle connection is heard of [10s]; 0 for never."),
)
BROKER: Final = _either(
    {"const": "redis"},
    *URLS.schema["anyOf"][:2],
    {**_object(BROKER_KEYS).schema, "required": ["url"]},
    nullable=True,
)
NAMESPACE: Final = _text(pattern=r"^[A-Za-z0-9._-]{1,64}$")
ROUTE: Final = tuple(key for key in OPTIONS if key.name in {"queue", "exchange", "routing_key", "priority"})
ROUTES: Final = Kind(
    {
        "type": "object",
        "propertyNames": {"minLength": 1, "maxLength": 255},
        "additionalProperties": {"anyOf": [*LINE.schema["anyOf"], _object(ROUTE).schema]},
    }
)
FILES: Final = Kind({"type": "array", "items": {"type": "string", "minLength": 1}})
TOP: Final = (
    Key("version", Kind({"const": 1}), "The version of this file's form: 1."),
    Key("timezone", ZONE, "The zone of entries that name none [UTC]; never the host's."),
    Key("redis", REDIS, "Where entries and lease are; left out, beatd starts a private server."),
    Key("broker", BROKER, "Where the queues are: redis (the same), a URL, a list of URLs, or {url: ...}."),
    Key("namespace", NAMESPACE, "One independent set of entries and its lease [default]."),
    Key("lease", _object(LEASE), "The right to fire."),
    Key("http", HTTP, "Address of /healthz, /readyz and /metrics [127.0.0.1:9464]; off for none."),
    Key("log", _object(LOG), "The log."),
    Key("history", _object(HISTORY), "What is kept of fires and skips."),
    Key("defaults", ref("defaults"), "For entries that don't say otherwise."),
    Key("routes", ROUTES, "Task name, glob or re:REGEX -> queue, for entries that name none themselves."),
    Key("include", FILES, "More files, relative to this one; schedules.d/*.yaml takes all of a folder, sorted."),
    Key("schedules", ref("schedules"), "The entries, by name."),
)
FREE_PREFIX: Final = "x-"
NAME: Final = {"minLength": 1, "maxLength": LONGEST_NAME, "pattern": r"^\S(.*\S)?$"}

# What other schedulers call it, and Celery's option names one level too high.
ELSEWHERE: Final[Mapping[str, str]] = {
    "crontab": "cron",
    "interval": "every",
    "seconds": "every",
    "timeZone": "timezone",
    "tz": "timezone",
    "suspend": "enabled: false",
    "startingDeadlineSeconds": "deadline",
    "misfire_grace_time": "grace",
    "entries": "schedules",
    "beat_schedule": "schedules",
    "redis_url": "redis",
    "broker_url": "broker",
    "lease.ttl": "lease: {ttl: 6s}",
    "lease_ttl": "lease: {ttl: 6s}",
    "log.level": "log: {level: info}",
    "log_level": "log: {level: info}",
    "log.format": "log: {format: json}",
    "log_format": "log: {format: json}",
}


def by_name(keys: Iterable[Key]) -> dict[str, Key]:
    """The table as a lookup."""
    return {key.name: key for key in keys}


def nearest(unknown: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant."""
    return next(iter(difflib.get_close_matches(unknown[:64], list(names), 1)), None)


def hint_for(unknown: str, keys: Iterable[Key]) -> str:
    """What an unknown key probably means: the nearest name, another scheduler's name, or the closed list."""
    names = [key.name for key in keys]
    if unknown in ELSEWHERE and ELSEWHERE[unknown].partition(":")[0] in names:
        return f"write {ELSEWHERE[unknown]}"
    near = nearest(unknown, names)
    if near:
        return f"did you mean {near}?"
    if unknown in _OPTION_NAMES and "task" in names:
        return f"write it under options: {{{unknown}: ...}}"
    return f"accepted are {', '.join(names)}"


_OPTION_NAMES: Final = frozenset(key.name for key in OPTIONS)
