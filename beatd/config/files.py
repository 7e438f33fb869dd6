"""schedules.yaml: settings and entries, with every problem named by file and key."""

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from beatd.config.substitute import substitute
from beatd.core.entry import ENTRY_KEYS, Entry, entry_from_spec
from beatd.errors import BeatdError, ConfigInvalid

TOP_KEYS: Final = frozenset({"version", "timezone", "redis", "broker", "namespace", "lease", "defaults", "schedules"})
SECTIONS: Final = {"lease": frozenset({"ttl"})}
DEFAULT_PLACES: Final = ("schedules.yaml", "/etc/beatd/schedules.yaml")


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """What one file says: settings as written, and entries with defaults and zone applied."""

    path: Path
    settings: Mapping[str, Any]
    entries: Sequence[Entry]
    digest: str


def find_files(given: Sequence[str], env: Mapping[str, str]) -> list[Path]:
    """The files to read: those given, else BEATD_CONFIG, else the first default place that exists, else none."""
    named = list(given) or ([env["BEATD_CONFIG"]] if env.get("BEATD_CONFIG") else [])
    if named:
        return [Path(name) for name in named]
    return [Path(place) for place in DEFAULT_PLACES if Path(place).is_file()][:1]


def read_file(path: Path, env: Mapping[str, str]) -> ConfigFile:
    """Reads one file. Raises ConfigInvalid with all its problems."""
    try:
        raw = path.read_bytes()
        content = yaml.load(raw, Loader=_Loader)  # noqa: S506  # a subclass of the safe loader
    except OSError as error:
        raise ConfigInvalid(f"{path}: can't be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigInvalid(f"{path}: not readable as YAML: {error}") from error
    if content is None:
        content = {}
    if not isinstance(content, dict):
        raise ConfigInvalid(f"{path}: a mapping with the key `schedules` is expected, found {type(content).__name__}")
    filled = substitute(content, env, str(path))
    _refuse_unknown(path, filled)
    settings = {key: value for key, value in filled.items() if key not in ("schedules", "defaults")}
    return ConfigFile(path, settings, _entries(path, filled), hashlib.sha256(repr(filled).encode()).hexdigest())


def _entries(path: Path, content: Mapping[str, Any]) -> list[Entry]:
    schedules, defaults = content.get("schedules") or {}, content.get("defaults") or {}
    for key, value in (("schedules", schedules), ("defaults", defaults)):
        if not isinstance(value, dict):
            raise ConfigInvalid(f"{path}: {key}: a mapping is expected, found {type(value).__name__}")
    entries, problems = [], []
    for name, spec in schedules.items():
        try:
            entries.append(_entry(_name(name), spec, defaults, content.get("timezone")))
        except BeatdError as error:
            problems.append(f"{path}: schedules.{name}: {error.message}" + (f" ({error.hint})" if error.hint else ""))
    if problems:
        raise ConfigInvalid("\n".join(problems))
    return entries


def _name(key: object) -> str:
    """The name of an entry: a text, or a number taken as one; not what YAML makes of an unquoted on, no, ~ or date."""
    if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
        return str(key)
    raise ConfigInvalid(f"YAML reads this name as {key!r}, which is no text", hint="put the name in quotes")


def _entry(name: str, spec: Any, defaults: Mapping[str, Any], timezone: str | None) -> Entry:
    if not isinstance(spec, dict):
        raise ConfigInvalid(f"a mapping with `task` and a schedule is expected, found {type(spec).__name__}")
    for where, value in (("defaults.options", defaults.get("options")), ("options", spec.get("options"))):
        if not isinstance(value, dict | None):
            raise ConfigInvalid(f"{where}: a mapping is expected, found {type(value).__name__}")
    options = {**(defaults.get("options") or {}), **(spec.get("options") or {})}
    merged = {**defaults, **spec, "owner": "file"}
    if timezone is not None:
        merged.setdefault("timezone", timezone)
    if options:
        merged["options"] = options
    for key in set(merged) - ENTRY_KEYS:
        raise ConfigInvalid(f"unknown key {key!r}{_nearest(str(key), ENTRY_KEYS)}")
    return entry_from_spec(name, merged)


def _refuse_unknown(path: Path, content: Mapping[Any, Any]) -> None:
    for key in content:
        if not isinstance(key, str) or (key not in TOP_KEYS and not key.startswith("x-")):
            raise ConfigInvalid(f"{path}: unknown key {key!r}{_nearest(str(key), TOP_KEYS)}")
    for section, known in SECTIONS.items():
        inside = content.get(section) or {}
        if not isinstance(inside, dict):
            raise ConfigInvalid(f"{path}: {section}: a mapping is expected, found {type(inside).__name__}")
        for key in set(inside) - known:
            raise ConfigInvalid(f"{path}: {section}: unknown key {key!r}{_nearest(str(key), known)}")


def _nearest(key: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), 1)
    return f"; did you mean {near[0]!r}?" if near else f"; accepted are {', '.join(sorted(known))}"


class _Loader(yaml.CSafeLoader):
    """The safe loader that refuses a key that stands twice: YAML would silently keep the last."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise yaml.constructor.ConstructorError(None, None, f"line {line}: a key is a text, no list and no mapping")
        if key.value != "<<" and key.value in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"the key {key.value!r} stands on line {seen[key.value]} and again on line {line}"
            )
        seen[str(key.value)] = line
    loader.flatten_mapping(node)
    return {loader.construct_object(k, deep=True): loader.construct_object(v, deep=True) for k, v in node.value}


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
