"""Files into entries and what they say of settings, with every problem of all of them at once."""

import gc
import glob
import marshal
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from beatd.config.diagnosis import CheckEntry
from beatd.config.entries import EntryReader
from beatd.config.entry_keys import Keys, Unknown
from beatd.config.keys import BROKER_KEYS, FREE_PREFIX, HISTORY, LEASE, LOG, TOP, Key, by_name, hint_for
from beatd.config.nodes import Mapping as MappingNode
from beatd.config.nodes import Node, Scalar, Unusable
from beatd.config.nodes import Sequence as SequenceNode
from beatd.config.parse import NOTHING_MEANT, parse, parse_settings
from beatd.config.plain import NOT_GIVEN, Broken, Plain
from beatd.config.problems import Problem, Problems
from beatd.config.remarks import Remarks
from beatd.config.routes import NO_ROUTES, Routes, read_routes
from beatd.config.source import (
    LARGEST_FILE,
    STDIN,
    Source,
    Unreadable,
    digest_of,
    is_file,
    matching_files,
    read_source,
)
from beatd.core.entry import Entry
from beatd.core.watching import NOT_READ, Watched
from beatd.core.zone import zone_named
from beatd.errors import ScheduleInvalid
from beatd.formats import find_formats

MOST_FILES: Final = 1_000
MOST_TEMPLATES: Final = 1_000  # entries share a few; each compiled is 2 kB
SECTIONS: Final[Mapping[str, tuple[Key, ...]]] = {"lease": LEASE, "log": LOG, "history": HISTORY}
PLAIN_SETTINGS: Final = ("redis", "broker", "namespace", "http")
_TOP: Final = by_name(TOP)
_BROKER: Final = by_name(BROKER_KEYS)


@dataclass(frozen=True, slots=True)
class Said:
    """What a file says of a setting, and where."""

    value: Any = field(repr=False)
    node: Node = field(repr=False)


@dataclass(frozen=True, slots=True)
class ConfigFile:
    """One file that was read: settings as it says them (``lease.ttl`` and so on), and its entries, complete."""

    path: Path
    name: str
    settings: Mapping[str, Said]
    entries: Sequence[Entry]


@dataclass(frozen=True, slots=True)
class Loaded:
    """All files, the included ones behind the one that includes them, and every problem found."""

    files: Sequence[ConfigFile]
    problems: Sequence[Problem]
    watched: Watched = field(default_factory=Watched)


def load_files(
    paths: Sequence[Path], env: Mapping[str, str], *, entries: bool = True, now_ms: int | None = None
) -> Loaded:
    """Reads files. Never raises for what is in them: ``problems`` tells, and the files hold what can be used.

    ``entries`` False: the settings alone; entries are not looked at then, unless something is wrong with the rest.
    ``now_ms`` is what a one-time run is past against.
    """
    with no_collector():
        now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        loader = Loader(env, entries=entries, now_ms=now, parse_file=parse if entries else parse_settings)
        for path in paths:
            loader.load(path)
        return Loaded(loader.files, list(loader.problems), loader.watched)


def place_of(name: str, paths: Sequence[Path], env: Mapping[str, str]) -> str | None:
    """`file:line` of an entry, None where no file has one of that name. Never raises for what is in the files."""
    with no_collector():
        loader = Loader(env, entries=True, now_ms=time.time_ns() // 1_000_000)
        for path in paths:
            loader.load(path, None, Inherited())
        return loader.place_of(name)


@dataclass(frozen=True, slots=True)
class Inherited:
    """What an included file has from the one that includes it, unless it says otherwise."""

    zone: str = "UTC"
    defaults: Keys = field(default_factory=Keys)
    chain: tuple[Path, ...] = ()
    routes: Routes = NO_ROUTES


NOTHING_INHERITED: Final = Inherited()


class Loader:
    """Reads files one after the other into one list of problems.

    ``owner``: of their entries. ``largest``: bytes of a file. ``parse_file``: a source into its tree. ``keep``: hold
    each entry's definition, and the keys of it that no entry has; else such keys are problems.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        *,
        entries: bool,
        now_ms: int,
        owner: str = "file",
        largest: int = LARGEST_FILE,
        parse_file: Callable[[Source, Problems], Node | None] = parse,
        keep: bool = False,
    ) -> None:
        self.files: list[ConfigFile] = []
        self.problems = Problems()
        self.check = _message_check()
        self.names: dict[str, Scalar] = {}  # of the entries, where each stands first
        self.definitions: dict[str, str] = {}
        self.unknown: dict[str, dict[str, Unknown]] = {}  # by the names of their entries
        self._keep = keep
        self._with_entries = entries
        self._largest = largest
        self._parse = parse_file
        self._plain = Plain(env, self.problems)
        self._reader = EntryReader(self._plain, self.problems, self.check, owner, keep_unknown=keep)
        self._remarks = Remarks(now_ms)
        self._read: set[Path] = set()
        self._digests: dict[str, str | None] = {}
        self._patterns: list[tuple[str, str]] = []

    @property
    def watched(self) -> Watched:
        """All that was looked at."""
        return Watched(self._digests, self._patterns)

    def place_of(self, name: str) -> str | None:
        """`file:line` of an entry that was met."""
        key = self.names.get(name)
        found = None if key is None else key.problem("E051", "")
        return None if found is None else f"{found.file}:{found.line}"

    def load(self, path: Path, asked: Node | None = None, inherited: Inherited = NOTHING_INHERITED) -> None:
        """Reads a file and those it includes. ``asked`` is the include that names it."""
        source = self.source(path, asked, inherited)
        if source is not None:
            self.take(source, inherited)

    def source(self, path: Path, asked: Node | None = None, inherited: Inherited = NOTHING_INHERITED) -> Source | None:
        """The text of a file, or None where there is none, or it was read before; the problems say why."""
        real = _real(path)
        if self._refused(real, path, asked, inherited):
            self._digests.setdefault(str(path), NOT_READ)
            return None
        self._read.add(real)
        try:
            source = read_source(path, self._largest)
        except Unreadable as error:
            self._looked_at(path, error.digest)
            self.problems.add(error.problem)
            return None
        self._looked_at(path, source.digest)
        return source

    def take(self, source: Source, inherited: Inherited = NOTHING_INHERITED) -> None:
        """What is in a file, and in those it includes."""
        root = self._parse(source, self.problems)
        if isinstance(root, MappingNode) and not root.items:
            self.problems.add(root.problem("E006", "nothing is in it", NOTHING_MEANT))
        if isinstance(root, MappingNode):
            chain = (*inherited.chain, _real(source.path))
            self._top(source, root, Inherited(inherited.zone, inherited.defaults, chain, inherited.routes))
        elif root is not None and not isinstance(root, Unusable):
            hint = "begin with schedules: and put the entries below it, indented"
            self.problems.add(root.problem("E007", "a mapping with the key `schedules` is accepted here", hint))

    def _looked_at(self, path: Path, digest: str | None) -> None:
        """Notes what was found at a path. A pipe, or a folder, can't be looked at a second time."""
        if path != STDIN:
            self._digests[str(path)] = digest_of(path, lambda: digest)

    def _refused(self, real: Path, path: Path, asked: Node | None, inherited: Inherited) -> bool:
        """Whether a file was read before: a loop, or a file that is named twice."""
        if real in inherited.chain and asked is not None:
            self.problems.add(
                asked.problem("E042", f"{path} includes itself, by way of this line", "take one include out")
            )
        elif real in self._read:
            message = f"{path} is read twice"
            where = asked.problem("E042", message) if asked else Problem(str(path), None, None, "E042", message)
            self.problems.add(where)
        elif len(self._read) >= MOST_FILES and asked is not None:
            self.problems.add(asked.problem("E042", f"more than {MOST_FILES} files"))
        else:
            return False
        return True

    def _top(self, source: Source, root: MappingNode, inherited: Inherited) -> None:
        settings = dict(self._settings(root))
        zone = self._zone(root, inherited.zone)
        defaults = inherited.defaults
        if "defaults" in root.items and self._with_entries:
            found = self._reader.keys(root.items["defaults"][1], "defaults")
            if found is not None:
                self._reader.check_defaults(found)
                defaults = found.over(defaults)
        routes = inherited.routes
        if "routes" in root.items and self._with_entries:
            routes = read_routes(root.items["routes"][1], self._plain, self.problems, self._check_route, routes)
        entries = list(self._entries(root, defaults, zone, routes)) if self._with_entries else []
        self.files.append(ConfigFile(source.path, source.name, settings, entries))
        self._includes(root, Inherited(zone, defaults, inherited.chain, routes), source.path)

    def _settings(self, root: MappingNode) -> Iterator[tuple[str, Said]]:
        for name, (key, node) in root.items.items():
            if name in SECTIONS:
                yield from self._section(name, node)
            elif name == "broker" and isinstance(node, MappingNode | SequenceNode):
                yield from self._broker(node)
            elif name in PLAIN_SETTINGS or name == "version":
                for said in self._said(_TOP[name], node):
                    if name != "version":
                        yield name, said
                    elif said.value != 1 or isinstance(said.value, bool):
                        message = "this beatd reads version 1 of the file's form"
                        self.problems.add(node.problem("E044", message, "write version: 1, or take it out"))
            elif name not in _TOP and not name.startswith(FREE_PREFIX):
                self.problems.add(key.problem("E043", f"unknown key {name!r}"[:120], _top_hint(name)))

    def _section(self, name: str, node: Node) -> Iterator[tuple[str, Said]]:
        keys = by_name(SECTIONS[name])
        if not isinstance(node, MappingNode):
            self._no_mapping(node, name, f"{{{', '.join(f'{key}: ...' for key in keys)}}}")
            return
        for inner, (key, value) in node.items.items():
            if inner in keys:
                for said in self._said(keys[inner], value):
                    yield f"{name}.{inner}", said
            else:
                message = f"unknown key {f'{name}.{inner}'!r}"[:120]
                self.problems.add(key.problem("E043", message, hint_for(inner, keys.values())))

    def _broker(self, node: Node) -> Iterator[tuple[str, Said]]:
        """A list of URLs, or a mapping: its unknown keys are told here, and the values are the setting's to read."""
        keys = node.items if isinstance(node, MappingNode) else {}
        strange = [key for name, (key, _) in keys.items() if name not in _BROKER]
        for key in strange:
            message = f"unknown key {f'broker.{key.text}'!r}"[:120]
            self.problems.add(key.problem("E043", message, hint_for(key.text, BROKER_KEYS)))
        if not strange:
            with suppress(Broken):
                yield "broker", Said(self._plain.tree(node), node)

    def _said(self, key: Key, node: Node) -> Iterator[Said]:
        if not isinstance(node, Scalar):
            if not isinstance(node, Unusable):
                self.problems.add(node.problem("E044", f"{key.name}: a single value is accepted"))
            return
        try:
            value = self._plain.value(node, text=key.kind.text)
        except Broken:
            return
        if node.missing or (value is None and not key.kind.nullable):
            self.problems.add(node.problem("E028", f"{key.name} has no value", "write one, or take the key out"))
        elif value is not NOT_GIVEN:
            yield Said(value, node)

    def _zone(self, root: MappingNode, inherited: str) -> str:
        """The zone of the file's entries; UTC after a problem, so that the entries are checked all the same."""
        if "timezone" not in root.items:
            return inherited
        node = root.items["timezone"][1]
        for said in self._said(_TOP["timezone"], node):
            if not isinstance(said.value, str):
                self.problems.add(
                    node.problem("E044", "timezone: an IANA zone name is accepted", "such as Europe/Paris")
                )
                return inherited
            try:
                return zone_named(said.value).name
            except ScheduleInvalid as error:
                self.problems.add(node.problem("E044", error.message, error.hint))
        return inherited

    def _check_route(self, what: str, keys: Keys) -> None:
        self._reader.check_defaults(keys, what)

    def _entries(self, root: MappingNode, defaults: Keys, zone: str, routes: Routes) -> Iterator[Entry]:
        if "schedules" not in root.items:
            return
        node = root.items["schedules"][1]
        if not isinstance(node, MappingNode):
            self._no_mapping(node, "schedules", "the entries below it, indented; {} for none")
            return
        for key, value in node.items.values():
            entry = self.entry(key, value, defaults, zone, routes)
            if entry is not None:
                yield entry

    def entry(self, key: Scalar, value: Node, defaults: Keys, zone: str, routes: Routes = NO_ROUTES) -> Entry | None:
        """One entry, or None with every reason told."""
        found = self._reader.entry(key, value, defaults, zone, routes)
        if found is None:
            self._told_twice(key)
            return None
        entry = self.known(key, found.entry, found.keys.nodes)
        if entry is not None and self._keep:
            self.definitions[entry.name] = found.definition
            if found.keys.unknown:
                self.unknown[entry.name] = found.keys.unknown
        return entry

    def known(self, key: Scalar, entry: Entry, nodes: Mapping[str, Node]) -> Entry | None:
        """A sound entry, with its warnings told; None where its name stands twice."""
        if self._told_twice(key):
            return None
        for remark in self._remarks.of(entry):
            place = nodes.get(remark.key, key)
            self.problems.add(place.problem(remark.code, f"{entry.name}: {remark.message}", remark.hint))
        return entry

    def _told_twice(self, key: Scalar) -> bool:
        first = self.names.setdefault(key.text, key)
        if first is key:
            return False
        self.problems.add(stands_twice(first, key))
        return True

    def _no_mapping(self, node: Node, name: str, accepted: str) -> None:
        if isinstance(node, Scalar) and (node.missing or node.text in {"null", "~"}):
            self.problems.add(node.problem("E028", f"{name} has no value", f"write {accepted}"))
        elif not isinstance(node, Unusable):
            self.problems.add(node.problem("E044", f"{name}: a mapping is accepted", f"write {accepted}"))

    def _includes(self, root: MappingNode, inherited: Inherited, path: Path) -> None:
        if "include" not in root.items:
            return
        node = root.items["include"][1]
        if not isinstance(node, SequenceNode):
            if not isinstance(node, Unusable):
                self.problems.add(
                    node.problem("E042", "include: a list of files is accepted", "write [schedules.d/*.yaml]")
                )
            return
        for item in node.items:
            for found in self._included(item, path.parent):
                self.load(found, item, inherited)

    def _included(self, item: Node, folder: Path) -> list[Path]:
        try:
            name = self._plain.value(item, text=True) if isinstance(item, Scalar) else None
        except Broken:
            return []
        if not isinstance(name, str) or not name or "\0" in name:
            if not isinstance(item, Unusable):
                self.problems.add(item.problem("E042", "include: the name of a file is accepted"))
            return []
        if not glob.has_magic(name):
            if not is_file(folder / name):
                self._looked_at(folder / name, None)
                self.problems.add(item.problem("E042", f"{folder / name} is not there"))
                return []
            return [folder / name]
        self._patterns.append((str(folder), name))
        return matching_files(folder, name)


def _top_hint(name: str) -> str:
    hint = hint_for(name, TOP)
    return f"{hint}; what is yours begins with {FREE_PREFIX}" if hint.startswith("accepted") else hint


def stands_twice(first: Scalar, key: Scalar) -> Problem:
    """That an entry's name stands at a second place."""
    place = first.problem("E051", "").place
    return key.problem("E051", f"the entry {key.text!r} stands at {place} too"[:300], "keep one of them")


def _real(path: Path) -> Path:
    return path if path == STDIN else Path(os.path.realpath(path))  # which no loop of links breaks


def _message_check() -> CheckEntry:
    """Whether an entry can be said in Celery's message: its options are the format's business."""
    compile_template = find_formats()["celery"].compile_template
    known: dict[bytes, Any] = {}

    def check(entry: Entry) -> None:
        key = marshal.dumps((entry.task, entry.queue, dict(entry.sent_options)), 2)  # of equal values equal bytes
        template = known.get(key)
        if template is None:
            template = compile_template(entry.task, entry.queue, entry.sent_options, origin="")
            if len(known) < MOST_TEMPLATES:
                known[key] = template
        template.own(entry.name, entry.args, entry.kwargs)

    return check


@contextmanager
def no_collector() -> Iterator[None]:
    """Without Python's cycle collector: it walks the growing tree again and again, more than half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
