"""Definitions as files that `apply` reads: each value is JSON, which is YAML too: all come back as they were."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

Page = Sequence[tuple[str, Mapping[str, Any]]]

# What no file may hold as it is, and what ends a line in YAML.
_ODD: Final = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
LONGEST_KEY: Final = 1_000  # YAML looks no further than 1,024 characters for the colon of a key without a mark


class Writer(NamedTuple):
    """How a form begins, a page of it (`first`: nothing came before it), how it ends, and what none is."""

    begin: str
    write: Callable[..., str]
    end: str
    none: str


def _json(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return _ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _yaml(page: Page, *, first: bool) -> str:
    return "".join(f"  {_json(name)}:\n{_yaml_fields(fields)}" for name, fields in page)


def _yaml_fields(fields: Mapping[str, Any]) -> str:
    return "".join(f"    {key}: {_literal(value)}\n" for key, value in fields.items())


def _literal(value: Any) -> str:
    """Variables are looked for in the texts of this form, but not in the keys."""
    text = _json(value)
    return _flow(value) if "${" in text or len(text) > LONGEST_KEY else text


def _flow(value: Any) -> str:
    if isinstance(value, str):
        return _json(value.replace("${", "$${"))
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_key(key)}: {_flow(each)}' for key, each in value.items())}}}"
    return _json(value)


def _key(key: str) -> str:
    text = _json(key)
    return text if len(text) <= LONGEST_KEY else f"? {text} "


def _json_list(page: Page, *, first: bool) -> str:
    text = ",\n".join(f"  {_json({'name': name, **fields})}" for name, fields in page)
    return text if first else f",\n{text}"


def _ndjson(page: Page, *, first: bool) -> str:
    return "".join(f"{_json({'name': name, **fields})}\n" for name, fields in page)


WRITERS: Final[Mapping[str, Writer]] = {
    "yaml": Writer("schedules:\n", _yaml, "", "schedules: {}\n"),
    "json": Writer("[\n", _json_list, "\n]\n", "[]\n"),
    "ndjson": Writer("", _ndjson, "", ""),
}
