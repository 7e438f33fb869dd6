"""Celery's own objects as fields of an entry. Nothing of Celery is imported: what an object has is looked at."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from beatd.client.fields import Fields, plain_fields
from beatd.core.celery_spellings import CRONTAB_FIELDS, from_crontab
from beatd.core.schedules import SCHEDULE_KEYS, Schedule
from beatd.core.schedules.schedule import KINDS
from beatd.core.shown import shown
from beatd.errors import EntryInvalid

# What Celery takes from the task itself where a call does not say it.
_OF_TASK: Final = ("queue", "routing_key", "exchange", "priority", "expires", "serializer", "delivery_mode",
    "compression", "time_limit", "soft_time_limit")  # fmt: skip
_AFTERWARDS: Final = ("link", "link_error")
_ELSEWHERE: Final = "write a task that starts it, and schedule that one"
_ACCEPTED: Final = (
    "a crontab() or schedule() of Celery, seconds, a timedelta, the text of a cron expression, "
    "a beatd.Schedule, or its fields: {'rrule': '...'}"
)


def entry_for(signature: Any, schedule: Any) -> Fields:
    """The fields of an entry that sends a Celery signature (or task) by a schedule.

    ``client.set("digest", **entry_for(send_digest.s("daily").set(queue="mail"), crontab(hour=9)))``. Queue, priority
    and the like are those that `apply_async` would use: of the signature, of its task, of the app's task_routes. A
    crontab() counts in the app's timezone. Raises EntryInvalid for a chain, group or chord, for a signature with a
    `link` or `link_error`, and for solar().
    """
    name, options = _name(signature), _options(signature)
    task = _task(signature)
    routed = _route(name, task)
    for key in _OF_TASK:
        if options.get(key) is None:
            options[key] = routed.get(key) if getattr(task, key, None) is None else getattr(task, key)
    if getattr(task, "ignore_result", False):
        options.setdefault("ignore_result", True)
    if options.get("serializer") == "json":
        del options["serializer"]
    found: dict[str, Any] = {"task": name, **_timing(schedule, getattr(task, "app", None))}
    args, kwargs = getattr(signature, "args", None), getattr(signature, "kwargs", None)
    if args:
        found["args"] = list(args)
    if kwargs:
        found["kwargs"] = dict(kwargs)
    queue = options.pop("queue", None)
    if queue is not None:
        found["queue"] = str(getattr(queue, "name", queue))
    if options := {key: _instant(value) for key, value in options.items() if value is not None}:
        found["options"] = options
    fields: Any = plain_fields(found)
    return fields  # type: ignore[no-any-return]


def _options(signature: Any) -> dict[str, Any]:
    """What the signature says of its message. Others that follow it are signatures, which no entry can hold."""
    options = dict(getattr(signature, "options", {}) or {})
    for key in _AFTERWARDS:
        if options.pop(key, None):
            raise EntryInvalid(f"signature: a {key} can't be scheduled yet; found one on this task", hint=_ELSEWHERE)
    return options


def _instant(value: Any) -> Any:
    """An `eta` or `expires` as a text; a naive one is left as it is, to be refused."""
    return value.isoformat() if isinstance(value, datetime) and value.tzinfo is not None else value


def _name(signature: Any) -> str:
    """The task's name. Chains, groups and chords are signatures too, of tasks that are not one message."""
    kind = getattr(signature, "subtask_type", None)
    if kind:
        raise EntryInvalid(
            f"signature: found a {kind}; the signature of one task is accepted",
            hint=_ELSEWHERE,
        )
    name = getattr(signature, "task", None) or getattr(signature, "name", None)
    if not isinstance(name, str):
        raise EntryInvalid(f"signature: found {shown(signature)}; a task or its signature is accepted: task.s(1, 2)")
    return name


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
