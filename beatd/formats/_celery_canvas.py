"""Chains, groups and chords as one message, and everything that follows a task with ids of its own.

What Celery does where ``apply_async`` is called: steps of chains are laid out flat, a group that others wait for
becomes a chord, and each signature gets its task id. A group and a chord are sent as Celery's built-in tasks of these
names, which a worker expands: only there is a result backend known. All ids derive from the fire's, so that a message
that is sent twice starts the same tasks twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final, NamedTuple

from beatd.core.signature import CANVAS, Signature, header_of, read_signature, unrolled
from beatd.errors import EntryInvalid
from beatd.formats._celery_values import TIMES
from beatd.formats._holes import Id

# Written by whoever starts a signature: in a stored one they are left over from another start.
_IDENTITY: Final = frozenset({"task_id", "root_id", "parent_id", "group_id", "group_index", "chord"})
_LINKS: Final = ("link", "link_error")
_DELAYS: Final = ("countdown", "eta")
_KEPT_BY_MEMBERS: Final = frozenset({"stamped_headers"})
_WHERE: Final = "signature"

Ids = Iterator[Id]


def fresh_ids() -> Ids:
    """The places of a message, in the order in which they are given out."""
    return (Id(str(number)) for number in count(1))


class Call(NamedTuple):
    """What the message of a signature calls. options: those of its task; chain: the steps behind it, the next last."""

    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]
    chain: Sequence[Any] | None


def call_of(signature: Mapping[str, Any], ids: Ids) -> Call:
    """The call of a checked signature. Raises EntryInvalid for what Celery can't start."""
    first, *rest = _steps(signature)
    found = read_signature(_WHERE, first)
    if found.kind == "chord":
        return Call([], _chord_call(found, rest, ids), {}, None)
    if found.kind == "group":
        return Call([], _group_call(found, ids), {}, None)
    options = {key: value for key, value in found.options.items() if key not in _IDENTITY}
    return Call(found.args, found.kwargs, options, [frozen(step, ids) for step in reversed(rest)] or None)


def frozen(value: object, ids: Ids, **more: object) -> dict[str, Any]:
    """A checked signature with all that Celery fills in, and an id for each task; ``more`` are options of its task."""
    found = read_signature(_WHERE, value)
    if found.kind == "chain":
        return _frozen_chain(found, value, ids, more)
    options = _options(found, ids)
    kwargs = found.kwargs
    if found.kind == "group":
        _check_group(found)
        kwargs = {"tasks": _frozen_members(_members(found.kwargs["tasks"], {}), ids)}
    elif found.kind == "chord":
        kwargs = _frozen_chord(found, ids)
    task_id = kwargs["header"]["options"]["task_id"] if found.kind == "chord" else next(ids)
    return _signature(found, found.args, kwargs, {**options, "task_id": task_id, **more})


def _steps(value: object) -> list[Any]:
    """What runs one after the other, no chain and no group before another among them."""
    found = read_signature(_WHERE, value)
    steps: list[Any] = []
    for step in reversed(_flat(value)):
        waited_for = steps and read_signature(_WHERE, step).kind == "group"
        steps.insert(0, _chord(step, steps.pop(0)) if waited_for else step)
    return _followed(steps, found.options) if found.kind == "chain" else steps


def _flat(value: object) -> list[Any]:
    """The steps of a chain in their order, those of chains among them with what these say; another signature itself."""
    found = read_signature(_WHERE, value := unrolled(value))
    if found.kind == "chord":
        return _without_tail(value, found)
    if found.kind != "chain":
        return [value]
    steps: list[Any] = []
    for task in found.kwargs["tasks"]:
        inner = read_signature(_WHERE, task)
        steps += _followed(_flat(task), inner.options) if inner.kind == "chain" else _flat(task)
    said = {key: option for key, option in found.options.items() if key not in _IDENTITY and key not in _LINKS}
    if said:
        steps[0] = _with_options(steps[0], said)
    return steps


def _without_tail(chord: Any, found: Signature) -> list[Any]:
    """A chord, and behind it the tail of its body: each task of a header carries a copy of the body."""
    body = read_signature(_WHERE, found.kwargs["body"])
    steps = _steps(found.kwargs["body"]) if body.kind == "chain" else []
    if not steps or read_signature(_WHERE, steps[0]).kind:
        return [chord]
    return [{**chord, "kwargs": {**found.kwargs, "body": steps[0]}}, *steps[1:]]


def _followed(steps: list[Any], options: Mapping[str, Any]) -> list[Any]:
    """Steps of a chain with what follows it: its links follow the last one, any step that fails has its errbacks."""
    if link := _listed(options.get("link")):
        steps = [*steps[:-1], _linked(steps[-1], "link", link)]
    if errors := _listed(options.get("link_error")):
        steps = [_linked(step, "link_error", errors) for step in steps]
    return steps


def _linked(value: Any, key: str, links: Sequence[Any]) -> Any:
    """Errbacks of a group are those of its tasks; errbacks of a chord are those of its body."""
    found = read_signature(_WHERE, value)
    if key == "link_error" and found.kind == "group":
        tasks = [_linked(task, key, links) for task in found.kwargs["tasks"]]
        return {**value, "kwargs": {**found.kwargs, "tasks": tasks}}
    if key == "link_error" and found.kind == "chord":
        return {**value, "kwargs": {**found.kwargs, "body": _linked(found.kwargs["body"], key, links)}}
    known = _listed(found.options.get(key))
    return {**value, "options": {**found.options, key: [*known, *(link for link in links if link not in known)]}}


def _with_options(value: Any, options: Mapping[str, Any]) -> Any:
    found = read_signature(_WHERE, value)
    said = {key: option for key, option in options.items() if key not in _KEPT_BY_MEMBERS or key not in found.options}
    return {**value, "options": {**found.options, **said}}


def _chord(group: Any, body: Any) -> dict[str, Any]:
    return {"subtask_type": "chord", "kwargs": {"kwargs": {}, "header": group, "body": body}}


def _members(tasks: Sequence[Any], options: Mapping[str, Any]) -> list[Any]:
    """The tasks of a group with the options that it has for all of them; groups among them are laid out flat."""
    members: list[Any] = []
    for task in map(unrolled, tasks):
        found = read_signature(_WHERE, task)
        if found.kind == "group":
            _check_group(found)
            members += _members(found.kwargs["tasks"], {**found.options, **options})
        else:
            kept = {key: value for key, value in options.items() if key not in _IDENTITY}
            members.append(_with_options(task, kept) if kept else task)
    return members


def _frozen_members(members: Sequence[Any], ids: Ids) -> list[dict[str, Any]]:
    return [frozen(member, ids, group_index=index) for index, member in enumerate(members)]


def _frozen_chain(found: Signature, value: object, ids: Ids, more: Mapping[str, Any]) -> dict[str, Any]:
    steps = _steps(value)
    if len(steps) == 1:
        return frozen(steps[0], ids, **more)
    tasks = [*(frozen(step, ids) for step in steps[:-1]), frozen(steps[-1], ids, **more)]
    return _signature(found, [], {"tasks": tasks}, {})


def _frozen_chord(found: Signature, ids: Ids) -> dict[str, Any]:
    header = found.kwargs["header"]
    group = read_signature(_WHERE, header) if isinstance(header, Mapping) else None
    members = _frozen_members(_members(header_of(found), {}), ids)
    options = _options(group, ids) if group is not None and group.kind == "group" else {}
    whole = Signature("group", CANVAS["group"], [], {}, {}, "group", immutable=False)
    made = _signature(whole, [], {"tasks": members}, {**options, "task_id": next(ids)})
    return {**found.kwargs, "kwargs": _partial(found), "header": made, "body": frozen(found.kwargs["body"], ids)}


def _group_call(found: Signature, ids: Ids) -> dict[str, Any]:
    """The arguments of the task celery.group."""
    _check_group(found)
    members = _frozen_members(_members(found.kwargs["tasks"], found.options), ids)
    group_id = next(ids)
    results = [[[_result_id(member), None], None] for member in members]
    return {"tasks": members, "result": [[group_id, None], results], "group_id": group_id, "partial_args": []}


def _chord_call(found: Signature, rest: Sequence[Any], ids: Ids) -> dict[str, Any]:
    """The arguments of the task celery.chord. What comes behind a chord waits for its body."""
    header = found.kwargs["header"]
    group = read_signature(_WHERE, header) if isinstance(header, Mapping) else None
    shared = group.options if group is not None and group.kind == "group" else {}
    body = found.kwargs["body"]
    if rest:
        body = {"subtask_type": "chain", "kwargs": {"tasks": [body, *rest]}}
    options = _options(found, ids)
    delay = {key: options.pop(key) for key in _DELAYS if key in options}  # its own countdown is that between polls
    call = {"header": _frozen_members(_members(header_of(found), shared), ids), "body": frozen(body, ids), **options}
    more = {"partial_args": found.args, "kwargs": _partial(found), "header_delay": delay}
    return {**call, **{key: value for key, value in more.items() if value}}


def _partial(chord: Signature) -> Mapping[str, Any]:
    """Keyword arguments for all tasks of a chord's header."""
    found: Mapping[str, Any] = chord.kwargs.get("kwargs") or {}
    return found


def _check_group(found: Signature) -> None:
    for key in _LINKS:
        if found.options.get(key):
            raise EntryInvalid(
                f"signature: a group has no {key}",
                hint="write a chord, whose body runs after the group" if key == "link" else "write it to each task",
            )


def _options(found: Signature, ids: Ids) -> dict[str, Any]:
    """The options of a task that a worker sends: durations as the seconds that Celery knows."""
    kept = {key: value for key, value in found.options.items() if key not in _IDENTITY and value is not None}
    for key in _LINKS:
        if key in kept:
            kept[key] = [frozen(link, ids) for link in _listed(kept[key])]
    for key in kept.keys() & TIMES.keys():
        kept[key] = TIMES[key](f"{found.task}: options.{key}", kept[key])
    return kept


def _signature(
    found: Signature, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "task": found.task,
        "args": args,
        "kwargs": kwargs,
        "options": options,
        "subtask_type": found.subtask_type,
        "immutable": found.immutable,
    }


def _result_id(value: Mapping[str, Any]) -> Id:
    """The id of the task whose result a frozen signature has: of a chain its last, of a chord its body."""
    if value["subtask_type"] == "chain":
        return _result_id(value["kwargs"]["tasks"][-1])
    if value["subtask_type"] == "chord":
        return _result_id(value["kwargs"]["body"])
    found: Id = value["options"]["task_id"]
    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
