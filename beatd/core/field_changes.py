"""What differs between two definitions, field by field."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

NOT_THERE: Final = "-"


class FieldChange(NamedTuple):
    """One field. old, new: JSON values, None where the field is not there (no definition holds a null)."""

    field: str
    old: Any
    new: Any


def field_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[FieldChange]:
    """The fields in which two decoded definitions differ, by name."""
    fields = sorted({*old, *new})
    return [FieldChange(key, old.get(key), new.get(key)) for key in fields if _differ(old.get(key), new.get(key))]


def _differ(old: Any, new: Any) -> bool:
    """As JSON texts do: True is not 1, and 1 is not 1.0."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return old.keys() != new.keys() or any(_differ(old[key], new[key]) for key in old)
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        return len(old) != len(new) or any(_differ(a, b) for a, b in zip(old, new, strict=True))
    return type(old) is not type(new) or bool(old != new)
