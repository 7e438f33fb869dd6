"""The kinds of schedule: every module of this folder that has a ``KIND``. A new kind is one new file."""

import importlib
import pkgutil
from types import ModuleType

from beatd.core.schedules.rule import Kind


def find_kinds(package: ModuleType) -> dict[str, Kind]:
    """Imports the modules of a package and returns its kinds by key, in the order of their keys."""
    kinds: dict[str, Kind] = {}
    for module in pkgutil.iter_modules(package.__path__):
        kind = getattr(importlib.import_module(f"{package.__name__}.{module.name}"), "KIND", None)
        if isinstance(kind, Kind):
            kinds[kind.key] = kind
    return dict(sorted(kinds.items()))
