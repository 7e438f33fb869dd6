"""Files of entries to be stored by `beatd apply`: YAML and JSON as schedules.yaml, and entries as data.

The forms, told apart by the ending of the name, else by what is in it:

- YAML, and JSON with a key ``schedules`` or ``include``: as ``schedules.yaml``, with defaults, zone and variables.
- JSON, a list of entries with ``name``, or an object with an entry under each name; NDJSON, an entry a line: data.
  Nothing is filled in, and ``${`` is a text like others.

A key that no entry has is an error, as in schedules.yaml. Only where the stored entry has it too, with the very same
value, it is what another version wrote and ``export`` showed: ``errors_beside`` the stored entries leaves it out, and
the definition has it.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

from beatd.config.entry_keys import Keys, Unknown
from beatd.config.json_tree import json_tree, read_json
from beatd.config.load import Loader, no_collector, stands_twice
from beatd.config.nodes import Mapping as MappingNode
from beatd.config.nodes import Node, Scalar
from beatd.config.nodes import Sequence as SequenceNode
from beatd.config.option_dates import date_options
from beatd.config.parse import parse
from beatd.config.problems import MOST_KEPT, Problem, Problems, errors_of
from beatd.config.source import NEWLINE, Source
from beatd.config.yaml_tree import Refused
from beatd.core.entry import ENTRY_KEYS, Entry, checked_definition, entry_from_stored, spec_from_definition
from beatd.errors import BeatdError, EntryInvalid

Form = Literal["yaml", "json", "ndjson"]

# Ten times those of a file that a daemon reads: whoever types `apply` is there to see how long it takes.
LARGEST_FILE: Final = 160 * 1024 * 1024
MOST_NODES: Final = 5_000_000
_FORMS: Final[Mapping[str, Form]] = {".yaml": "yaml", ".yml": "yaml", ".ndjson": "ndjson", ".jsonl": "ndjson"}
_FILE_KEYS: Final = ("schedules", "include")
_A_NAME: Final = 'write {"name": "nightly", ...}'


class Said(NamedTuple):
    """A setting that a file has, which does not count for `apply`, and where."""

    name: str
    value: Any
    place: str


@dataclass(frozen=True)
class EntryFiles:
    """What files say: definitions by name, ready to be stored; where each entry stands; every problem.

    unknown: of entries that are sound but for them, keys that no entry has; each is an error among the problems.
    """

    definitions: Mapping[str, str]
    settings: Sequence[Said]
    unknown: Mapping[str, Mapping[str, Unknown]]
    _found: Sequence[Problem]
    _names: Mapping[str, Scalar]

    @cached_property
    def problems(self) -> Sequence[Problem]:
        """All of them, in the order of files and lines."""
        return _together(self._found, [key for keys in self.unknown.values() for key in keys.values()])

    @property
    def errors(self) -> list[Problem]:
        """The problems because of which nothing of it may be stored."""
        return errors_of(self.problems)

    def errors_beside(self, stored: Mapping[str, str | bytes]) -> list[Problem]:
        """The errors, but for unknown keys that the stored definition of their entry has with the very same value.

        stored: definitions by name; only those of the names in ``unknown`` are looked at.
        """
        strange = [key for name in self.unknown for key in self._not_stored(name, stored.get(name))]
        return errors_of(_together(self._found, strange))

    def _not_stored(self, name: str, definition: str | bytes | None) -> list[Unknown]:
        try:
            spec = {} if definition is None else spec_from_definition(definition)
        except EntryInvalid:
            spec = {}
        unknown = self.unknown[name].items()
        return [found for key, found in unknown if key not in spec or _text(spec[key]) != _text(found.value)]

    def place(self, name: str) -> str:
        """``file:line`` of an entry."""
        node = self._names[name]
        return f"{node.source.name}:{node.line + 1}"


def read_entry_files(
    paths: Sequence[Path], env: Mapping[str, str], *, owner: str, now_ms: int | None = None
) -> EntryFiles:
    """Reads files for an owner. Never raises for what is in them: ``problems`` tells.

    ``-`` is standard input. ``now_ms`` is what a one-time run is past against.
    """
    with no_collector():
        now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        loader = Loader(env, entries=True, now_ms=now, owner=owner, largest=LARGEST_FILE, parse_file=_parse, keep=True)
        lines = _Lines(loader, owner)
        for path in paths:
            source = loader.source(path)
            if source is not None and form_of(source) == "ndjson":
                lines.read(replace(source, line_end=NEWLINE))
            elif source is not None:
                loader.take(source)
        return EntryFiles(loader.definitions, _said(loader), loader.unknown, list(loader.problems), loader.names)


def _text(value: Any) -> str:
    """Equal for the very same value: 1, 1.0 and true are three."""
    return json.dumps(value, sort_keys=True)


def _together(found: Sequence[Problem], unknown: Sequence[Unknown]) -> list[Problem]:
    """Problems with those about unknown keys among them."""
    if not unknown:
        return list(found)
    together = Problems()
    for problem in (*found, *(key.problem() for key in unknown[:MOST_KEPT])):
        together.add(problem)
    return list(together)


def form_of(source: Source) -> Form:
    """The form of a file."""
    form = _FORMS.get(source.path.suffix.lower())
    if form is not None:
        return form
    head = source.text.lstrip()[:1]
    if head == "{":
        return "ndjson" if _is_entry(source.text.lstrip().partition("\n")[0]) else "json"
    return "json" if head == "[" or source.path.suffix.lower() == ".json" else "yaml"


def _is_entry(line: str) -> bool:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and isinstance(found.get("name"), str)


def _said(loader: Loader) -> list[Said]:
    return [
        Said(name, said.value, said.node.problem("E044", "").place)
        for file in loader.files
        for name, said in file.settings.items()
    ]


def _parse(source: Source, problems: Problems) -> Node | None:
    """A file of any form as the tree of a schedules.yaml, or None with every reason told."""
    form = form_of(source)
    if form == "yaml":
        return parse(source, problems, MOST_NODES)
    source = replace(source, line_end=NEWLINE)
    if form == "ndjson":
        lines = (_line_node(source, number, problems) for number in _filled_lines(source))
        return _file(_entries([node for node in lines if node is not None], MappingNode(source, 0, 0), problems))
    try:
        return _json_file(source, problems)
    except Refused as refused:
        problems.add(refused.problem)
        return None


def _json_file(source: Source, problems: Problems) -> Node | None:
    if not source.text.strip():
        problems.add(_empty(source))
        return None
    found = read_json(source, source.text)
    is_file = isinstance(found, dict) and any(key in found for key in _FILE_KEYS)
    del found  # as large as the tree
    root = json_tree(source, source.text, problems, most_nodes=MOST_NODES, data=not is_file)
    if is_file:
        return root
    if isinstance(root, SequenceNode):
        return _file(_entries(root.items, MappingNode(source, root.line, root.column), problems))
    if isinstance(root, MappingNode) and any(_is_scalar(root, key) for key in ("name", "task")):
        return _file(_entries([root], MappingNode(source, root.line, root.column), problems))
    return _file(root) if isinstance(root, MappingNode) and root.items else root


def _is_scalar(node: MappingNode, key: str) -> bool:
    return key in node.items and isinstance(node.items[key][1], Scalar)


def _file(entries: MappingNode) -> MappingNode:
    """The tree of a file that has these entries."""
    key = Scalar(entries.source, entries.line, entries.column, "schedules", plain=False)
    return MappingNode(entries.source, entries.line, entries.column, items={"schedules": (key, entries)})


def _entries(nodes: Sequence[Node], found: MappingNode, problems: Problems) -> MappingNode:
    """Entries that carry their names, under these."""
    for node in nodes:
        named = _named(node, problems)
        if named is None:
            continue
        key, entry = named
        if key.text in found.items:
            problems.add(stands_twice(found.items[key.text][0], key))
        else:
            found.items[key.text] = (key, entry)
    return found


def _named(node: Node, problems: Problems) -> tuple[Scalar, MappingNode] | None:
    """The name of an entry, and the entry without it."""
    if not isinstance(node, MappingNode):
        problems.add(node.problem("E052", "an object with `name`, `task` and a schedule is accepted"))
        return None
    name = node.items.get("name", (None, None))[1]
    if not isinstance(name, Scalar) or name.plain:
        place = node if name is None else name
        problems.add(place.problem("E050", "name is missing" if name is None else "name: a text is accepted", _A_NAME))
        return None
    items = {key: pair for key, pair in node.items.items() if key != "name"}
    # A name is no value in which variables are looked for.
    key = Scalar(name.source, name.line, name.column, name.text.replace("$${", "${"), plain=False)
    return key, MappingNode(node.source, node.line, node.column, items=items)


def _filled_lines(source: Source) -> list[int]:
    return [number for number, line in enumerate(source.lines) if line and not line.isspace()]


def _line_node(source: Source, number: int, problems: Problems) -> Node | None:
    line = source.lines[number]
    try:
        read_json(source, line, number)
        return json_tree(source, line, problems, most_nodes=MOST_NODES, data=True, first_line=number)
    except Refused as refused:
        problems.add(refused.problem)
        return None


def _empty(source: Source) -> Problem:
    """An empty set can't be told from a file that was cut off; the other forms have words for it."""
    hint = "if no entries are meant, apply a file with [] (JSON) or schedules: {} (YAML); or was its writing cut short?"
    return source.problem(0, 0, "E006", "the file is empty", hint)


class _Lines:
    """Reads NDJSON. A sound line takes a short way; what is wrong with another one is told by way of its tree."""

    def __init__(self, loader: Loader, owner: str) -> None:
        self._loader = loader
        self._owner = owner

    def read(self, source: Source) -> None:
        """Takes the entries of a file."""
        problems, numbers = self._loader.problems, _filled_lines(source)
        if not numbers:
            problems.add(_empty(source))
        for number in numbers:
            sound = self._sound(source.lines[number])
            if sound is not None:
                entry, definition = sound
                if self._loader.known(Scalar(source, number, 0, entry.name, plain=False), entry, {}):
                    self._loader.definitions[entry.name] = definition
                continue
            node = _line_node(source, number, problems)
            named = node and _named(node, problems)
            if named:
                self._loader.entry(*named, Keys(), "UTC")

    def _sound(self, line: str) -> tuple[Entry, str] | None:
        """The entry of a line and its definition; None where anything is out of the ordinary."""
        try:
            spec = _DECODE(line)
            name = spec.pop("name")
            if None in spec.values() or not spec.keys() <= _KEYS:
                return None
            date_options(spec)
            spec["owner"] = self._owner
            entry = entry_from_stored(name, spec)
            self._loader.check(entry)
            return entry, checked_definition(entry)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, BeatdError):
            return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises KeyError for a key that stands twice, of which JSON's reader would take the last."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise KeyError
    return found


_KEYS: Final = ENTRY_KEYS - {"owner"}
_DECODE: Final = json.JSONDecoder(object_pairs_hook=_once).decode
