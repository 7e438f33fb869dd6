"""Celery's own objects as fields of an entry. Nothing of Celery is imported: what an object has is looked at."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from beatd.client.fields import Fields, plain_fields
from beatd.core.celery_spellings import CRONTAB_FIELDS, from_crontab
from beatd.core.schedules import SCHEDULE_KEYS, Schedule
from beatd.core.schedules.schedule import KINDS
from beatd.core.shown import shown
from beatd.core.signature import CANVAS, check_signature
from beatd.errors import EntryInvalid

# What Celery takes from the task itself where a call does not say it.
_OF_TASK: Final = ("queue", "routing_key", "exchange", "priority", "expires", "serializer", "delivery_mode",
    "compression", "time_limit", "soft_time_limit")  # fmt: skip
_ACCEPTED: Final = (
    "a crontab() or schedule() of Celery, seconds, a timedelta, the text of a cron expression, "
    "a beatd.Schedule, or its fields: {'rrule': '...'}"
)


def entry_for(signature: Any, schedule: Any) -> Fields:
    """The fields of an entry that sends a Celery signature (or task) by a schedule.

    ``client.set("digest", **entry_for(send_digest.s("daily").set(queue="mail"), crontab(hour=9)))``. Queue, priority
    and the like are those that `apply_async` would use: of the signature, of its task, of the app's task_routes. A
    chain, group or chord becomes the field ``signature``. A crontab() counts in the app's timezone. Raises EntryInvalid
    for what is no signature, for one that holds what JSON can't, and for solar().
    """
    first = _first(signature)
    name, task = _name(first), _task(first)
    canvas = first is not signature or _kind(signature) in CANVAS
    options = {} if canvas else _plain_value(dict(getattr(signature, "options", {}) or {}))
    said = (getattr(first, "options", {}) or {}) if canvas and _kind(first) not in CANVAS else options
    options |= _of_task(name, task, said)
    found: dict[str, Any] = {**_call(signature, name, canvas=canvas), **_timing(schedule, _app(signature, task))}
    queue = options.pop("queue", None)
    if queue is not None:
        found["queue"] = str(getattr(queue, "name", queue))
    if options := {key: value for key, value in options.items() if value is not None and value != []}:
        found["options"] = options
    fields: Any = plain_fields(found)
    return fields  # type: ignore[no-any-return]


def _call(signature: Any, name: str, *, canvas: bool) -> dict[str, Any]:
    """What is called with what: a task with arguments, or a signature."""
    if canvas:
        found = _plain_value(signature)
        check_signature("signature", found)
        return {"signature": found}
    args, kwargs = getattr(signature, "args", None), getattr(signature, "kwargs", None)
    found = {"task": name}
    if args:
        found["args"] = _plain_value(args)
    if kwargs:
        found["kwargs"] = _plain_value(kwargs)
    return found


def _of_task(name: str, task: Any, said: Mapping[str, Any]) -> dict[str, Any]:
    """What a signature does not say, as its task or the routes say it."""
    found: dict[str, Any] = {}
    routed = _route(name, task)
    for key in _OF_TASK:
        if said.get(key) is None:
            found[key] = routed.get(key) if getattr(task, key, None) is None else getattr(task, key)
    if getattr(task, "ignore_result", False) and said.get("ignore_result") is None:
        found["ignore_result"] = True
    if found.get("serializer") == "json":
        del found["serializer"]
    return found


def _kind(signature: Any) -> Any:
    return getattr(signature, "subtask_type", None)


def _first(signature: Any) -> Any:
    """The signature of which a message is made: of a chain its first step."""
    while _kind(signature) == "chain" and getattr(signature, "tasks", None):
        signature = signature.tasks[0]
    return signature


def _plain_value(value: Any) -> Any:
    """A value as JSON can say it: signatures as objects, what is walked through as lists, aware instants as texts.

    What JSON can't say is left as it is, to be refused with its place.
    """
    if isinstance(value, datetime):
        return value.isoformat() if value.tzinfo is not None else value
    if isinstance(value, Mapping):
        return {key: _plain_value(inner) for key, inner in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes | set | frozenset):
        return [_plain_value(inner) for inner in value]
    return value


def _name(signature: Any) -> str:
    """The name of the task that the message is for."""
    name = getattr(signature, "task", None) or getattr(signature, "name", None)
    if not isinstance(name, str):
        raise EntryInvalid(f"signature: found {shown(signature)}; a task or its signature is accepted: task.s(1, 2)")
    return name


def _app(signature: Any, task: Any) -> Any:
    found = getattr(task, "app", None)
    return getattr(signature, "app", None) if found is None and _kind(signature) in CANVAS else found


def _task(signature: Any) -> Any:
    """The task behind a signature, as far as this process knows it."""
    if hasattr(signature, "apply_async") and not hasattr(signature, "subtask_type"):
        return signature
    try:
        return signature.type
    except (AttributeError, KeyError, RuntimeError):  # a signature by name, of an app that is not here
        return None


def _route(name: str, task: Any) -> Mapping[str, Any]:
    """What task_routes say; nothing where there are none."""
    router = getattr(getattr(getattr(task, "app", None), "amqp", None), "router", None)
    routes = getattr(router, "routes", None)
    if router is None or not routes:
        return {}
    found: Mapping[str, Any] = router.route({}, name)
    return found


def _timing(schedule: Any, app: Any) -> dict[str, Any]:
    if isinstance(schedule, Schedule):
        return schedule.to_spec()
    if isinstance(schedule, Mapping):
        if not schedule.keys() <= SCHEDULE_KEYS or not schedule.keys() & KINDS.keys():
            raise EntryInvalid(f"schedule: found {shown(schedule)}; accepted is {_ACCEPTED}")
        return dict(schedule)
    if isinstance(schedule, str):
        return {"cron": schedule}
    if isinstance(schedule, int | float | timedelta) and not isinstance(schedule, bool):
        return {"every": schedule}
    if all(hasattr(schedule, f"_orig_{field}") for field in CRONTAB_FIELDS):
        return _crontab(schedule, app)
    every = getattr(schedule, "run_every", None)
    if isinstance(every, timedelta):
        if getattr(schedule, "relative", False):
            hint = "say it as a crontab(), or give the interval an anchor"
            raise EntryInvalid("schedule: relative=True counts by the clock, which is cron's business", hint=hint)
        return {"every": every}
    raise EntryInvalid(f"schedule: found {type(schedule).__name__}; accepted is {_ACCEPTED}")


def _crontab(schedule: Any, app: Any) -> dict[str, Any]:
    fields = {name: _plain(getattr(schedule, f"_orig_{name}")) for name in CRONTAB_FIELDS}
    zone = getattr(getattr(app or getattr(schedule, "_app", None), "conf", None), "timezone", None)
    return {**from_crontab(fields, "crontab"), **({"timezone": str(zone)} if zone else {})}


def _plain(value: Any) -> Any:
    """One field as it was given: a number, a text, or any collection of numbers."""
    return sorted(value) if isinstance(value, Iterable) and not isinstance(value, str) else value
