"""The JSON Schema of schedules.yaml, for editors: the table of keys as a document.

It knows a value's form and not its meaning: that a cron expression can fire, that a zone exists, that two files agree
is the loader's to say.
"""

import re
from collections.abc import Iterable
from typing import Any

from beatd.config.keys import ENTRY, FREE_PREFIX, NAME, OPTIONS, SCHEDULE_WORDS, SIGNATURE, TOP, Key
from beatd.config.schemes import known_schemes

DRAFT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema as a JSON value."""
    return {
        "$schema": DRAFT,
        "title": "schedules.yaml of beatd",
        **_closed(TOP),
        "patternProperties": {f"^{FREE_PREFIX}": {}},
        "minProperties": 1,
        **_required_unless_defaulted(),
        "$defs": {
            "options": _options(),
            "signature": SIGNATURE,
            "broker_url": _broker_url(known_schemes()),
            "defaults": _closed(ENTRY),
            "entry": _closed(ENTRY),
            "schedules": {
                "type": "object",
                "propertyNames": NAME,
                "additionalProperties": {"$ref": "#/$defs/entry"},
            },
        },
    }


def _broker_url(schemes: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "pattern": rf"^\s*({'|'.join(map(re.escape, schemes))})://"}


def _closed(keys: Iterable[Key]) -> dict[str, Any]:
    properties = {key.name: {**key.kind.schema, "description": key.about} for key in keys}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _options() -> dict[str, Any]:
    """Closed, but where stamps have names of their own."""
    names = {"propertyNames": {"enum": [key.name for key in OPTIONS]}}
    stamped = {"properties": {"stamped_headers": {"type": "array"}}, "required": ["stamped_headers"]}
    return {**_closed(OPTIONS), "additionalProperties": True, "anyOf": [names, stamped]}


def _required_unless_defaulted() -> dict[str, Any]:
    """Every entry has a task and a schedule, unless ``defaults`` has; two schedules are one too many in any case."""
    called = {"anyOf": [{"required": ["task"]}, {"required": ["signature"]}]}
    one_kind = [{"required": [word]} for word in SCHEDULE_WORDS]
    two_kinds = {"anyOf": [{"required": [a, b]} for a in SCHEDULE_WORDS for b in SCHEDULE_WORDS if a < b]}
    return {
        "allOf": [
            {"if": _defaulted(called), "else": _each_entry(called)},
            {"if": _defaulted({"anyOf": one_kind}), "else": _each_entry({"anyOf": one_kind})},
            _each_entry({"not": two_kinds}),
        ]
    }


def _defaulted(demand: dict[str, Any]) -> dict[str, Any]:
    return {"properties": {"defaults": demand}, "required": ["defaults"]}


def _each_entry(demand: dict[str, Any]) -> dict[str, Any]:
    return {"properties": {"schedules": {"additionalProperties": demand}}}
