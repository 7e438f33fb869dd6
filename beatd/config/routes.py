"""``routes:`` of a file: queue and exchange by the task's name, like Celery's ``task_routes``.

An entry's own keys win over its route, and that wins over ``defaults``. A route that names the task exactly comes
first, then the patterns in the order in which they are written.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from beatd.config.entry_keys import Keys, options_of, without_address
from beatd.config.keys import ROUTE, by_name, hint_for
from beatd.config.nodes import Mapping as MappingNode
from beatd.config.nodes import Node, Scalar, Unusable
from beatd.config.plain import NOT_GIVEN, Broken, Plain
from beatd.config.problems import Problems
from beatd.core.signature import first_of, task_of
from beatd.core.task_pattern import Matches, is_exact, task_pattern
from beatd.errors import EntryInvalid

_KEYS: Final = by_name(ROUTE)
_WHERE: Final = ("queue", "exchange", "routing_key")
_ACCEPTED: Final = "the name of a queue, or {queue: ..., exchange: ..., routing_key: ..., priority: ...}"
MOST_KNOWN: Final = 10_000  # tasks


class Route(NamedTuple):
    """What a pattern gives to the entries whose task it matches."""

    pattern: str
    matches: Matches
    keys: Keys


@dataclass(slots=True, eq=False)
class Routes:
    """All routes that count for a file, its own before those of the one that includes it."""

    routes: tuple[Route, ...] = ()
    _known: dict[str, Route | None] = field(default_factory=dict)

    def of(self, task: str) -> Route | None:
        """The one route of a task; None where no pattern matches."""
        if task not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            fitting = [route for route in self.routes if route.matches(task)]
            exact = [route for route in fitting if is_exact(route.pattern)]
            self._known[task] = next(iter((*exact, *fitting)), None)
        return self._known[task]

    def over(self, defaults: Keys, own: Keys) -> Keys:
        """The defaults of an entry with these keys, its route's in place of what they say otherwise."""
        if not self.routes:
            return defaults
        task = _task(own) or _task(defaults)
        route = None if task is None else self.of(task)
        if route is None:
            return defaults
        routed = _without_address(route.keys) if _has_address(own) else route.keys
        below = _without_address(defaults) if _has_address(routed) else defaults
        return routed.over(below)


NO_ROUTES: Final = Routes()


def _task(keys: Keys) -> str | None:
    if "signature" in keys.values:
        try:
            return task_of(keys.values["signature"])
        except EntryInvalid:  # told when the entry is read
            return None
    task = keys.values.get("task")
    return task if isinstance(task, str) else None


def _has_address(keys: Keys) -> bool:
    named = [options_of(keys.values), _first_options(keys.values.get("signature"))]
    return "queue" in keys.values or any(name in each for name in _WHERE for each in named)


def _first_options(signature: Any) -> Mapping[str, Any]:
    """The options of the task that the message of a signature names; none of a group or a chord."""
    try:
        first = first_of(signature) if signature is not None else None
    except EntryInvalid:  # told when the entry is read
        return {}
    return {} if first is None or first.kind else first.options


def _without_address(keys: Keys) -> Keys:
    return Keys(without_address(keys.values), keys.nodes, keys.broken, keys.unknown)


def read_routes(
    node: Node, plain: Plain, problems: Problems, check: Callable[[str, Keys], None], inherited: Routes
) -> Routes:
    """The routes of a file. ``check`` takes out of their keys what is wrong with them, and tells it."""
    if not isinstance(node, MappingNode):
        if not isinstance(node, Unusable):
            problems.add(node.problem("E044", "routes: a mapping is accepted", "write app.video.*: video"))
        return inherited
    found = []
    for name, (key, value) in node.items.items():
        try:
            matches = task_pattern(name)
        except EntryInvalid as error:
            problems.add(key.problem("E057", f"routes: {error.message}", error.hint))
            continue
        keys = _keys(name, value, plain, problems)
        if keys is not None:
            check(f"routes.{name}", keys)
            found.append(Route(name, matches, keys))
    return Routes((*found, *inherited.routes))


def _keys(name: str, node: Node, plain: Plain, problems: Problems) -> Keys | None:
    """A route as keys of an entry; None with the reason told."""
    if isinstance(node, Scalar):
        queue = _value(node, plain)
        if queue in (None, NOT_GIVEN):
            problems.add(node.problem("E028", f"{name} has no queue", f"write {_ACCEPTED}"))
        return None if queue in (None, NOT_GIVEN) else Keys({"queue": queue}, {"queue": node})
    if not isinstance(node, MappingNode):
        if not isinstance(node, Unusable):
            problems.add(node.problem("E044", f"routes.{name}: {_ACCEPTED} is accepted"))
        return None
    keys = Keys()
    for inner, (key, value) in node.items.items():
        if inner not in _KEYS:
            message = f"unknown key {f'routes.{name}.{inner}'!r}"[:120]
            problems.add(key.problem("E043", message, hint_for(inner, ROUTE)))
            continue
        said = _value(value, plain)
        if said in (None, NOT_GIVEN):
            problems.add(value.problem("E028", f"{inner} has no value", "write one, or take the key out"))
        elif inner == "queue":
            keys.values[inner], keys.nodes[inner] = said, value
        else:
            keys.values.setdefault("options", {})[inner] = said
            keys.nodes["options"] = node
    return keys


def _value(node: Node, plain: Plain) -> Any:
    try:
        return plain.value(node)
    except Broken:
        return NOT_GIVEN
