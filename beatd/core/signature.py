"""Signatures of Celery's canvas as an entry may hold them: what ``dict(signature)`` gives, as plain JSON.

Here is only their form, and what an entry must know of one: which task its message names, and to which queue it goes.
What is sent of them is the business of the format.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from beatd.core.json_value import kind_of
from beatd.core.shown import shown
from beatd.errors import EntryInvalid

KEYS: Final = ("task", "args", "kwargs", "options", "subtask_type", "immutable")
CANVAS: Final[Mapping[str, str]] = {"chain": "celery.chain", "group": "celery.group", "chord": "celery.chord"}
# Tasks like any other: their arguments are a signature and a list.
PLAIN_TYPES: Final = ("xmap", "xstarmap", "chunks")
DEEPEST: Final = 20
_OLD_KEYS: Final = frozenset({"chord_size"})  # of signatures that older versions of Celery stored
_EXAMPLE: Final = "such as {task: app.tasks.add, args: [1, 2]}"


class Signature(NamedTuple):
    """One signature with its parts, the defaults filled in. ``kind``: '' for a task, else chain, group or chord."""

    kind: str
    task: str
    args: list[Any]
    kwargs: Mapping[str, Any]
    options: Mapping[str, Any]
    subtask_type: str | None
    immutable: bool


def read_signature(where: str, value: object, depth: int = 0) -> Signature:
    """One signature, those inside it not looked at. ``where``: its place, for messages. Raises EntryInvalid."""
    if not isinstance(value, Mapping):
        raise EntryInvalid(f"{where}: found {kind_of(value)}; a signature is accepted, {_EXAMPLE}")
    if depth > DEEPEST:
        raise EntryInvalid(f"{where}: more than {DEEPEST} signatures inside each other")
    for key in value:
        if key not in KEYS and key not in _OLD_KEYS:
            raise _unknown(where, key)
    kind = value.get("subtask_type")
    if kind is not None and not (isinstance(kind, str) and (kind in CANVAS or kind in PLAIN_TYPES)):
        accepted = ", ".join((*CANVAS, *PLAIN_TYPES))
        raise EntryInvalid(f"{where}.subtask_type: found {shown(kind)}; accepted are {accepted}, or null for a task")
    canvas = str(kind) if kind in CANVAS else ""
    found = Signature(
        canvas,
        _task(where, value, canvas),
        list(_typed(where, value, "args", list, [])),
        _typed(where, value, "kwargs", dict, {}),
        _typed(where, value, "options", dict, {}),
        kind,
        _typed(where, value, "immutable", bool, False),
    )
    _check_parts(where, found)
    return found


def check_signature(where: str, value: object, depth: int = 0) -> None:
    """Raises EntryInvalid naming the place of the first thing, at any depth, that no signature has."""
    for place, inner in _inner(where, read_signature(where, value, depth)):
        check_signature(place, inner, depth + 1)


def task_of(value: object) -> str:
    """The task that the message of a signature names: a group and a chord are one, which a worker expands.

    Raises EntryInvalid as far as it has to look.
    """
    first = first_of(value)
    return CANVAS.get(first.kind, first.task)


def queue_of(value: object) -> Any:
    """The queue that a signature names for its message; None where it names none. Raises EntryInvalid as task_of."""
    first = first_of(value)
    return None if first.kind else first.options.get("queue")


def first_of(value: object) -> Signature:
    """What runs first of a signature: itself, or of a chain its first step. Raises EntryInvalid as far as it looks.

    A group that further steps of a chain wait for is a chord; a group of one is that one.
    """
    found = read_signature("signature", value)
    steps = list(flat_steps(value)) if found.kind == "chain" else [unrolled(value)]
    first = read_signature("signature", steps[0])
    return first._replace(kind="chord") if first.kind == "group" and len(steps) > 1 else first


def flat_steps(value: object) -> Iterator[Any]:
    """The steps of a checked chain, with those of the chains among them."""
    value = unrolled(value)
    found = read_signature("signature", value)
    if found.kind != "chain":
        yield value
        return
    for step in found.kwargs["tasks"]:
        yield from flat_steps(step)


def unrolled(value: Any) -> Any:
    """A group of one is that one."""
    found = read_signature("signature", value)
    while found.kind == "group" and len(found.kwargs["tasks"]) == 1 and not found.options:
        value = found.kwargs["tasks"][0]
        found = read_signature("signature", value)
    return value


def header_of(chord: Signature) -> list[Any]:
    """The tasks of a chord's header: a list, or a group around it."""
    header = chord.kwargs["header"]
    if isinstance(header, list):
        return header
    found = read_signature("signature", header)
    return list(found.kwargs["tasks"]) if found.kind == "group" else [header]


def _inner(where: str, found: Signature) -> Iterator[tuple[str, Any]]:
    """The signatures right inside one, with their places."""
    for name in ("link", "link_error"):
        links = found.options.get(name)
        for index, link in enumerate(links if isinstance(links, list) else [] if links is None else [links]):
            yield f"{where}.options.{name}[{index}]", link
    if found.kind in ("chain", "group"):
        yield from _listed(f"{where}.kwargs.tasks", found.kwargs["tasks"])
    elif found.kind == "chord":
        header = found.kwargs["header"]
        if isinstance(header, Mapping):
            yield f"{where}.kwargs.header", header
        else:
            yield from _listed(f"{where}.kwargs.header", header)
        yield f"{where}.kwargs.body", found.kwargs["body"]


def _check_parts(where: str, found: Signature) -> None:
    if found.kind in ("chain", "group"):
        _check_list(f"{where}.kwargs.tasks", found.kwargs.get("tasks"))
    elif found.kind == "chord":
        header, body = found.kwargs.get("header"), found.kwargs.get("body")
        if not isinstance(header, Mapping):
            _check_list(f"{where}.kwargs.header", header)
        _typed(f"{where}.kwargs", found.kwargs, "kwargs", dict, {})
        if not isinstance(body, Mapping):
            raise EntryInvalid(f"{where}.kwargs.body: found {kind_of(body)}; a signature is accepted, {_EXAMPLE}")


def _check_list(where: str, value: object) -> None:
    if not isinstance(value, list):
        raise EntryInvalid(f"{where}: found {kind_of(value)}; a list of signatures is accepted")
    if not value:
        raise EntryInvalid(f"{where}: an empty list; one signature or more is accepted")


def _listed(where: str, value: list[Any]) -> Iterator[tuple[str, Any]]:
    for index, each in enumerate(value):
        yield f"{where}[{index}]", each


def _task(where: str, value: Mapping[str, Any], canvas: str) -> str:
    task = value.get("task", CANVAS.get(canvas))
    if task is None:
        raise EntryInvalid(f"{where}.task is missing; a signature names its task, {_EXAMPLE}")
    if not isinstance(task, str) or not task or not task.isprintable() or task != task.strip():
        raise EntryInvalid(f"{where}.task: found {shown(task)}; a non-empty printable text is accepted")
    if task in CANVAS.values() and task != CANVAS.get(canvas):
        kind = task.removeprefix("celery.")
        raise EntryInvalid(f"{where}.task: found {task} without its type", hint=f"write subtask_type: {kind} beside it")
    return task


def _typed(where: str, value: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    found = value.get(key)
    if found is None:
        return default
    if not isinstance(found, kind):
        raise EntryInvalid(f"{where}.{key}: found {kind_of(found)}; {kind_of(kind())} is accepted")
    return found


def _unknown(where: str, key: object) -> EntryInvalid:
    near = difflib.get_close_matches(str(key)[:64], KEYS, n=1)
    hint = f"did you mean {near[0]}?" if near else "keyword arguments of the task stand in kwargs"
    return EntryInvalid(f"{where}: unknown key {shown(key)}; accepted are {', '.join(KEYS)}", hint=hint)
