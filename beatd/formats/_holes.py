"""What is filled in for each fire: ``{{ beatd.slot }}`` and the like in texts, and ids inside of a canvas.

A value with holes is compiled once into one whose holes are objects, and filled by a walk. Nothing is evaluated: there
are five names, and no expressions.
"""

import difflib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from beatd.core.fire import TASK_ID_NAMESPACE, UNIT_SEPARATOR
from beatd.errors import EntryInvalid
from beatd.formats._instants import rfc3339

START: Final = "{{"
_HOLE: Final = re.compile(r"\{\{\s*beatd\.([^{}]*?)\s*\}\}")


@dataclass(frozen=True, slots=True)
class Fire:
    """Which entry fires, for which slot (UTC ms), under which task id."""

    entry: str
    slot_ms: int
    task_id: str

    def id_of(self, place: str) -> str:
        """An id for something inside the message: the same whenever this fire is rendered again."""
        return str(uuid.uuid5(TASK_ID_NAMESPACE, f"{self.task_id}{UNIT_SEPARATOR}{place}"))

    def value(self, name: str) -> str | int:
        """What one of NAMES stands for."""
        if name == "slot_ms":
            return self.slot_ms
        if name == "slot":
            return rfc3339(self.slot_ms)
        if name == "entry":
            return self.entry
        return self.task_id if name == "task_id" else self.id_of("uuid")


NAMES: Final = ("slot", "slot_ms", "entry", "task_id", "uuid")


@dataclass(frozen=True, slots=True)
class Id:
    """An id that derives from the fire's task id and a place inside the message."""

    place: str


@dataclass(frozen=True, slots=True)
class _Text:
    """A text with holes: texts, and between them names."""

    pieces: tuple[str, ...]

    def filled(self, fire: Fire) -> str | int:
        if len(self.pieces) == 3 and self.pieces[0] == self.pieces[2] == "":
            return fire.value(self.pieces[1])
        return "".join([str(fire.value(piece)) if index % 2 else piece for index, piece in enumerate(self.pieces)])


def with_holes(where: str, value: Any) -> Any:
    """The value with an object in the place of each text that has holes; the very value where there are none.

    Raises EntryInvalid for a name that is none of NAMES, and for a hole in a key.
    """
    if isinstance(value, str):
        return _text(where, value)
    if isinstance(value, Mapping):
        for key in value:
            if isinstance(key, str) and _HOLE.search(key):
                raise EntryInvalid(f"{where}: {key!r} is a key; values are filled in, keys are not")
        made = {key: with_holes(f"{where}.{key}", inner) for key, inner in value.items()}
        return made if any(made[key] is not value[key] for key in made) else value
    if isinstance(value, list | tuple):
        items = [with_holes(f"{where}[{index}]", inner) for index, inner in enumerate(value)]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def filled(value: Any, fire: Fire) -> Any:
    """The value with all holes filled for one fire."""
    if isinstance(value, _Text):
        return value.filled(fire)
    if isinstance(value, Id):
        return fire.id_of(value.place)
    if isinstance(value, Mapping):
        return {key: filled(inner, fire) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [filled(inner, fire) for inner in value]
    return value


def _text(where: str, text: str) -> "str | _Text":
    if START not in text:
        return text
    pieces = _HOLE.split(text)
    for name in pieces[1::2]:
        if name not in NAMES:
            near = difflib.get_close_matches(name[:64], NAMES, n=1)
            hint = f"did you mean beatd.{near[0]}?" if near else None
            raise EntryInvalid(f"{where}: beatd.{name} is not known; accepted are {', '.join(NAMES)}", hint=hint)
    return _Text(tuple(pieces)) if len(pieces) > 1 else text
