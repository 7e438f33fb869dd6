"""Formats: how a fire becomes a worker queue's message. One file a queue format, found by walking this folder.

A format is a module with a ``KIND`` (its name in definitions) and a pure ``compile_template``. Files whose name starts
with an underscore are parts of a format and not formats themselves.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Protocol, cast

from beatd.core.entry import Entry


class Template(Protocol):
    """The message of one entry, ready but for what differs from fire to fire. Immutable, and cheap to keep."""

    @property
    def queue_key(self) -> str:
        """The Redis list to LPUSH to."""

    @property
    def expires_ms(self) -> int | None:
        """``slot + expires_ms`` is the instant after which the slot is a skip (``expired``). None: no such distance."""

    @property
    def size(self) -> int:
        """An upper bound of the rendered bytes."""

    def expires_at(self, slot_ms: int) -> int | None:
        """The instant (UTC ms) after which this slot is a skip, be it given as a distance or as a date; None: never."""

    def render(self, task_id: str, slot_ms: int, delivery_tag: str) -> bytes:
        """The message of one slot. Both ids are plain ASCII of at most 36 characters, as UUIDs are."""


class Format(Protocol):
    """What the module of a format offers."""

    KIND: str

    def compile_template(self, entry: Entry, *, origin: str) -> Template:
        """The template of an entry's messages; ``origin`` names the sending process.

        Raises EntryInvalid naming the option (or args, kwargs) that this format can't say.
        """


def find_formats() -> Mapping[str, Format]:
    """All formats by kind. Raises TypeError when a file here is not a format, or two have the same kind."""
    found: dict[str, Format] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        if module.name.rpartition(".")[2].startswith("_"):
            continue
        candidate = importlib.import_module(module.name)
        kind = getattr(candidate, "KIND", None)
        if not isinstance(kind, str) or not callable(getattr(candidate, "compile_template", None)):
            raise TypeError(f"{module.name} is not a format: it needs a KIND and a compile_template")
        if kind in found:
            raise TypeError(f"{module.name} and another format are both of kind {kind!r}")
        found[kind] = cast(Format, candidate)
    return found
