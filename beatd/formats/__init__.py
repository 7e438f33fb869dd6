"""Formats: how a fire becomes a worker queue's message. One file a queue format, found by walking this folder.

A format is a module with a ``KIND`` (its name in definitions) and a pure ``compile_template``. Files whose name starts
with an underscore are parts of a format and not formats themselves.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any, Protocol, cast

from beatd.core.fire import Template


class Format(Protocol):
    """What the module of a format offers."""

    KIND: str

    def compile_template(self, task: str, queue: str, options: Mapping[str, Any], *, origin: str) -> Template:
        """The template of all entries with this task, queue and ``Entry.sent_options``; ``origin`` names the sender.

        Raises EntryInvalid naming the option that this format can't say.
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
