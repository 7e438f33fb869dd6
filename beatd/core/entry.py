"""An entry: a named periodic task with its schedule and policies, and its definition as stored in Redis.

A definition is self-contained JSON: whoever wrote it has applied defaults, zone, merges and substitution. Its keys
and spellings are those of an entry in ``schedules.yaml``, plus ``owner``. What people write is read strictly; what is
stored may come from another version, and what this one does not know of it is kept.
"""

import difflib
import hashlib
import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, cast, get_args

from beatd.core.duration import format_duration, parse_duration
from beatd.core.json_value import KIND_NAMES, check_json, kind_of
from beatd.core.schedules import SCHEDULE_KEYS, Schedule, parse_schedule
from beatd.core.shown import shown
from beatd.core.signature import check_signature, queue_of, task_of
from beatd.errors import EntryInvalid, ScheduleInvalid

Catchup = Literal["none", "latest", "all"]
Guarantee = Literal["at_least_once", "at_most_once"]

LONGEST_NAME: Final = 200
LARGEST_DEFINITION: Final = 128 * 1024
OUR_KEYS: Final = "{beatd:"  # where a list in the place of a key of ours would stop a whole namespace
DEFAULT_QUEUE: Final = "celery"
SIGNATURE: Final = "signature"
DEFAULT_GRACE_MS: Final = 60_000
_json: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode
_CATCHUPS: Final = get_args(Catchup)
_GUARANTEES: Final = get_args(Guarantee)
MAX_CATCHUP_LIMIT: Final = 1_000  # one call of the fire script carries at most 1,000 messages


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides whether a slot is fired or skipped. Durations in milliseconds."""

    catchup: Catchup = "latest"
    catchup_limit: int = 100
    grace_ms: int = DEFAULT_GRACE_MS
    deadline_ms: int | None = None
    jitter_ms: int = 0
    max_runs: int | None = None
    guarantee: Guarantee = "at_least_once"


_DEFAULT_POLICY: Final = Policy()


@dataclass(frozen=True, slots=True)
class Entry:
    """A named periodic task. ``args``, ``kwargs``, ``options``, ``signature`` and ``extra`` hold plain JSON values.

    signature: one of Celery's, in place of task, args and kwargs; ``task`` is then what its message names.
    extra: stored fields that this version does not know. They decide nothing, and go back as they came.
    """

    name: str
    task: str
    schedule: Schedule
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    queue: str = DEFAULT_QUEUE
    options: Mapping[str, Any] = field(default_factory=dict)
    policy: Policy = _DEFAULT_POLICY
    enabled: bool = True
    owner: str = "api"
    description: str = ""
    tags: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    signature: Mapping[str, Any] | None = None

    @property
    def sent_options(self) -> Mapping[str, Any]:
        """What a format's template is made of beside task and queue: the options, and with them a signature."""
        return self.options if self.signature is None else {**self.options, SIGNATURE: self.signature}

    @property
    def fingerprint(self) -> str:
        """A hash of all that decides slots: schedule with zone, bounds and anchor, and the jitter."""
        decides = {"schedule": self.schedule.to_spec(), "jitter": self.policy.jitter_ms}
        return hashlib.sha256(_json(decides).encode()).hexdigest()[:16]

    def to_definition(self) -> str:
        """Canonical JSON (sorted keys, no blanks); ``entry_from_definition`` reads it back as an equal entry."""
        own = {"task": self.task, **self.schedule.to_spec(), **_filled(self), **_policy_spec(self.policy)}
        return _json({**self.extra, **own})


def entry_from_definition(name: str, definition: str | bytes) -> Entry:
    """Reads a stored definition. Raises EntryInvalid with the reason; never anything else."""
    return entry_from_stored(name, spec_from_definition(definition))


def spec_from_definition(definition: str | bytes) -> dict[str, Any]:
    """The decoded keys of a stored definition, not checked yet. Raises EntryInvalid with the reason."""
    raw = definition if isinstance(definition, bytes) else definition.encode(errors="surrogatepass")
    if len(raw) > LARGEST_DEFINITION:
        raise EntryInvalid(f"the definition has {len(raw)} bytes; at most {LARGEST_DEFINITION} are accepted")
    try:
        spec = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise EntryInvalid(f"the definition is not JSON: {error}") from error
    if not isinstance(spec, dict):
        raise EntryInvalid(f"the definition is {kind_of(spec)}; an object is accepted")
    return spec


def entry_from_spec(name: str, spec: Mapping[str, Any]) -> Entry:
    """Builds an entry from decoded keys. Raises EntryInvalid naming the key, what was found and what is accepted."""
    check_name(name)
    check_keys(spec)
    return entry_from_stored(name, spec)


def entry_from_stored(name: str, spec: Mapping[str, Any]) -> Entry:
    """As entry_from_spec, with keys that this version does not know kept as ``extra``."""
    check_name(name)
    _check_values(spec)
    extra = {key: value for key, value in spec.items() if key not in ENTRY_KEYS}
    if extra:
        check_json("definition", extra)
    try:
        schedule = parse_schedule({k: v for k, v in spec.items() if k in SCHEDULE_KEYS}, name=name)
        return Entry(name=name, schedule=schedule, policy=_policy(spec), extra=extra, **_content(spec))
    except ScheduleInvalid as error:
        raise EntryInvalid(error.message, hint=error.hint) from error


class Own(NamedTuple):
    """What entries differ in that are otherwise alike, beside their names."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    description: str
    tags: tuple[str, ...]


def own_from_spec(spec: Mapping[str, Any]) -> Own:
    """The keys of OWN_KEYS, checked as ``entry_from_spec`` checks them. Raises EntryInvalid."""
    _check_values(spec)
    return _own(spec)


def _check_values(spec: Mapping[str, Any]) -> None:
    for key in ("args", "kwargs", "options", "description", SIGNATURE):
        if key in spec:
            check_json(key, spec[key])


def checked_definition(entry: Entry) -> str:
    """What is stored of an entry. Raises EntryInvalid where it is larger than may be."""
    definition = entry.to_definition()
    size = len(definition) if definition.isascii() else len(definition.encode())
    if size > LARGEST_DEFINITION:
        hint = "store the data elsewhere and pass a reference to it"
        raise EntryInvalid(f"the definition has {size} bytes; at most {LARGEST_DEFINITION} are accepted", hint=hint)
    return definition


def check_name(name: object) -> None:
    """Raises EntryInvalid unless the name is 1 to 200 printable NFC characters without a blank at either end."""
    if not isinstance(name, str):
        raise EntryInvalid(f"an entry's name is {kind_of(name)}; a text is accepted")
    if not 1 <= len(name) <= LONGEST_NAME:
        raise EntryInvalid(f"an entry's name has 1 to {LONGEST_NAME} characters; found {len(name)}")
    if name != name.strip() or not name.isprintable():
        raise EntryInvalid(f"{name!r}: a name is printable and has no blank at either end")
    if not name.isascii() and unicodedata.normalize("NFC", name) != name:
        raise EntryInvalid(f"{name!r} is not in Unicode's composed form (NFC)", hint="normalise it before use")


def check_keys(spec: Mapping[Any, Any]) -> None:
    """Raises EntryInvalid, with the nearest known one, at a key that no entry has."""
    unknown = sorted(key if isinstance(key, str) else shown(key) for key in spec if key not in ENTRY_KEYS)
    if unknown:
        near = difflib.get_close_matches(unknown[0][:64], ENTRY_KEYS, n=1)
        hint = f"did you mean {near[0]}?" if near else None
        raise EntryInvalid(f"unknown key {shown(unknown[0])}; accepted are {', '.join(sorted(ENTRY_KEYS))}", hint=hint)


def _content(spec: Mapping[str, Any]) -> dict[str, Any]:
    options = dict(_typed(spec, "options", dict, {}))
    own = _own(spec)
    signature = _signature(spec)
    return {
        "task": _text(spec, "task", None) if signature is None else task_of(signature),
        SIGNATURE: signature,
        "args": own.args,
        "kwargs": own.kwargs,
        "queue": _queue(_with_queue(spec, signature), options.pop("queue", None)),
        "options": options,
        "enabled": _typed(spec, "enabled", bool, True),
        "owner": _text(spec, "owner", "api"),
        "description": own.description,
        "tags": own.tags,
    }


def _signature(spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The signature, which says all that task, args and kwargs say else. A stored definition names its task, too."""
    if SIGNATURE not in spec:
        return None
    signature: Mapping[str, Any] = _typed(spec, SIGNATURE, dict, {})
    check_signature(SIGNATURE, signature)
    for key in ("args", "kwargs"):
        if spec.get(key):
            raise EntryInvalid(
                f"{key}: they stand in the signature of this entry", hint=f"take {key} out, or {SIGNATURE}"
            )
    if spec.get("task", found := task_of(signature)) != found:
        hint = f"take task out, or {SIGNATURE}"
        raise EntryInvalid(f"task: found {shown(spec['task'])}, and the signature sends {shown(found)}", hint=hint)
    return signature


def _with_queue(spec: Mapping[str, Any], signature: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The keys with the queue that the signature names, where they and their options name none."""
    if signature is None or "queue" in spec or "queue" in spec.get("options", {}):
        return spec
    queue = queue_of(signature)
    return spec if queue is None else {**spec, "queue": queue}


def _own(spec: Mapping[str, Any]) -> Own:
    return Own(
        args=tuple(_typed(spec, "args", list, [])),
        kwargs=_typed(spec, "kwargs", dict, {}),
        description=_typed(spec, "description", str, ""),
        tags=_tags(spec["tags"]) if "tags" in spec else (),
    )


def _tags(tags: object) -> tuple[str, ...]:
    return tuple(_text({"tags": tag}, "tags", None) for tag in _typed({"tags": tags}, "tags", list, []))


def _queue(spec: Mapping[str, Any], in_options: object) -> str:
    """The queue, named once: as ``queue``, or as Celery does in the options."""
    if in_options is not None and spec.get("queue", in_options) != in_options:
        raise EntryInvalid(f"queue: found {spec['queue']!r}, and {in_options!r} in options.queue; one is accepted")
    queue = _text(spec, "queue", DEFAULT_QUEUE) if in_options is None else _text({"queue": in_options}, "queue", None)
    if queue.startswith(OUR_KEYS):
        raise EntryInvalid(f"queue: found {queue!r}; keys that begin with {OUR_KEYS} are beatd's own")
    return queue


def _policy(spec: Mapping[str, Any]) -> Policy:
    default = _DEFAULT_POLICY
    max_runs = spec.get("max_runs")
    deadline = spec.get("deadline")
    return Policy(
        catchup=cast(Catchup, _one_of(spec, "catchup", _CATCHUPS, default.catchup)),
        catchup_limit=_count(spec, "catchup_limit", default.catchup_limit, MAX_CATCHUP_LIMIT),
        grace_ms=_duration(spec, "grace", default.grace_ms),
        deadline_ms=None if deadline is None else _duration(spec, "deadline", 0),
        jitter_ms=_duration(spec, "jitter", 0),
        max_runs=None if max_runs is None else _count(spec, "max_runs", 1, 2**53),
        guarantee=cast(Guarantee, _one_of(spec, "guarantee", _GUARANTEES, default.guarantee)),
    )


def _policy_spec(policy: Policy) -> dict[str, Any]:
    spec: dict[str, Any] = {"catchup": policy.catchup, "grace": format_duration(policy.grace_ms)}
    spec["catchup_limit"] = policy.catchup_limit
    spec["guarantee"] = policy.guarantee
    if policy.deadline_ms is not None:
        spec["deadline"] = format_duration(policy.deadline_ms)
    if policy.jitter_ms:
        spec["jitter"] = format_duration(policy.jitter_ms)
    if policy.max_runs is not None:
        spec["max_runs"] = policy.max_runs
    return spec


def _filled(entry: Entry) -> dict[str, Any]:
    content: dict[str, Any] = {
        "args": list(entry.args),
        "kwargs": dict(entry.kwargs),
        "options": dict(entry.options),
        "description": entry.description,
        "tags": list(entry.tags),
    }
    kept = {key: value for key, value in content.items() if value}
    if entry.signature is not None:
        kept[SIGNATURE] = entry.signature
    return {"queue": entry.queue, "enabled": entry.enabled, "owner": entry.owner, **kept}


def _typed(spec: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = spec.get(key, default)
    if not isinstance(value, kind):
        raise EntryInvalid(f"{key}: found {kind_of(value)}; {KIND_NAMES[kind]} is accepted")
    return value


def _text(spec: Mapping[str, Any], key: str, default: str | None) -> str:
    if key not in spec and default is None:
        raise EntryInvalid(f"{key} is missing")
    value = str(_typed(spec, key, str, default))
    if not value or not value.isprintable() or value != value.strip():
        raise EntryInvalid(f"{key}: found {shown(value)}; a non-empty printable text is accepted")
    return value


def _one_of(spec: Mapping[str, Any], key: str, accepted: tuple[str, ...], default: str) -> str:
    value = spec.get(key, default)
    if value not in accepted:
        raise EntryInvalid(f"{key}: found {shown(value)}; accepted are {', '.join(accepted)}")
    return str(value)


def _count(spec: Mapping[str, Any], key: str, default: int, most: int) -> int:
    value = spec.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise EntryInvalid(f"{key}: found {shown(value)}; a whole number from 1 to {most} is accepted")
    return value


def _duration(spec: Mapping[str, Any], key: str, default: int) -> int:
    if key not in spec:
        return default
    try:
        return parse_duration(spec[key])
    except ScheduleInvalid as error:
        raise EntryInvalid(f"{key}: {error.message}", hint=error.hint) from error


OWN_KEYS: Final = ("args", "kwargs", "description", "tags")
ENTRY_KEYS: Final = SCHEDULE_KEYS | {
    *OWN_KEYS,
    *("task", SIGNATURE, "queue", "options", "enabled", "owner"),
    *("max_runs", "jitter", "catchup", "catchup_limit", "grace", "deadline", "guarantee"),
}
