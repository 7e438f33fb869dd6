"""Which entries a list is asked for, and where in Redis they can be at all."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cached_property
from typing import Any, Final, Literal

from beatd.core.census import STATES

Sort = Literal["next", "name", "last"]
Place = Literal["due", "unplanned", "held", "blocked", "out"]

# In the order of a list by next moment. Pauses with an end ("held") lie in the others too.
PLACES: Final[tuple[Place, ...]] = ("due", "unplanned", "held", "blocked", "out")
NEVER: Final = "never"
LATE: Final = "late"
ASKED_STATES: Final = (*STATES, NEVER, LATE)
LATE_MS: Final = 1_000  # a moment that came this long ago, and nothing was sent: more than a leader's usual millisecond
_GLOB: Final = re.compile(r"[*?\[]")
_ALL: Final[frozenset[Place]] = frozenset(PLACES) - {"held"}
_OUT: Final[frozenset[Place]] = frozenset({"out"})
_PLACES_OF: Final[Mapping[str, Collection[Place]]] = {
    "scheduled": frozenset({"due", "unplanned"}),
    "late": frozenset({"due"}),
    "paused": frozenset({"held", "out"}),
    "blocked": frozenset({"blocked"}),
    "disabled": _OUT,
    "finished": _OUT,
    "invalid": _OUT,
    "never": _ALL,
}


@dataclass(frozen=True)
class Wanted:
    """Filters; an empty one admits all. patterns: names, or globs with * ? [...]; tasks, owners: globs too; with case.

    states: any of ASKED_STATES; `never`: it has not run yet. tags: an entry has all of them.
    """

    patterns: Sequence[str] = ()
    states: Collection[str] = ()
    tags: Collection[str] = ()
    tasks: Sequence[str] = ()
    owners: Sequence[str] = ()

    @property
    def names(self) -> list[str] | None:
        """The names, each once, where nothing but whole names is asked for; None where anything may match."""
        exact = self.patterns and not any(map(_GLOB.search, self.patterns))
        return list(dict.fromkeys(self.patterns)) if exact else None

    @property
    def by_definition(self) -> bool:
        """Whether definitions must be read to decide."""
        return bool(self.tags or self.tasks or self.owners)

    @property
    def admits_all(self) -> bool:
        """Whether there is no filter at all."""
        return not (self.patterns or self.states or self.by_definition)

    @property
    def places(self) -> list[Place]:
        """Where in Redis such entries are."""
        found = {place for state in self.states for place in _PLACES_OF[state]} if self.states else _ALL
        return [place for place in PLACES if place in found]

    def admits_name(self, name: str) -> bool:
        """Whether a name is asked for."""
        return not self.patterns or name in self.patterns or _matches(self._names, name)

    def admits_definition(self, spec: Mapping[str, Any], owner: str) -> bool:
        """Whether a decoded definition is asked for. What has another type than it should counts as missing."""
        tags, task = spec.get("tags"), spec.get("task")
        if self.tags and not (isinstance(tags, list) and all(tag in tags for tag in self.tags)):
            return False
        if self.tasks and not (isinstance(task, str) and _matches(self._tasks, task)):
            return False
        return not self.owners or _matches(self._owners, owner)

    def admits_state(self, state: str, *, ran: bool, late_ms: int | None) -> bool:
        """Whether a state is asked for. late_ms: for how long its moment is past, None where it has none."""
        if not self.states or state in self.states:
            return True
        is_late = state == "scheduled" and late_ms is not None and late_ms > LATE_MS
        return (NEVER in self.states and not ran) or (LATE in self.states and is_late)

    @cached_property
    def _names(self) -> re.Pattern[str]:
        return _globs(self.patterns)

    @cached_property
    def _tasks(self) -> re.Pattern[str]:
        return _globs(self.tasks)

    @cached_property
    def _owners(self) -> re.Pattern[str]:
        return _globs(self.owners)


def _globs(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))


def _matches(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.match(text) is not None
