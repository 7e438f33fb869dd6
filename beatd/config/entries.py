"""One entry of a file: its keys, its defaults, Celery's spellings, and every problem at the place it comes from."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from beatd.config.celery_spellings import SpellingInvalid, from_crontab, from_schedule, relative_hint
from beatd.config.keys import ENTRY, SCHEDULE_WORDS, Key, by_name, hint_for
from beatd.config.nodes import Mapping as MappingNode
from beatd.config.nodes import Node, Scalar, Sequence
from beatd.config.plain import NOT_GIVEN, Broken, Plain
from beatd.config.problems import Problem, Problems
from beatd.core.entry import Entry, check_name, entry_from_spec
from beatd.core.instant import read_moment, utc_of
from beatd.core.schedules.schedule import KINDS, SCHEDULE_KEYS
from beatd.core.zone import zone_named
from beatd.errors import BeatdError, EntryInvalid

KEYS: Final[Mapping[str, Key]] = by_name(ENTRY)
DATED_OPTIONS: Final = ("expires", "eta")
_DATE: Final = re.compile(r"\s*[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].*")
_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[([0-9]+)\]")
# What a key is checked with, when it is checked alone.
_LEAST: Final = {"task": "task", "every": "1h"}
_COMPANIONS: Final = {"every": ("fast",), "cron": ("hash_id",)}
_OPTIONS_OF_KIND: Final = {kind.key: kind.options for kind in KINDS.values()}

CheckEntry = Callable[[Entry], object]  # raises EntryInvalid for what a message can't say


@dataclass(slots=True)
class Keys:
    """The keys of an entry (or of ``defaults``) as plain values, with nodes; ``broken``: told about already."""

    values: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def over(self, defaults: "Keys") -> "Keys":
        """These keys, and the defaults for what they don't say. Options merge one level deep."""
        own = self.values
        kept = _defaults_for(own, defaults.values)
        options = {**kept.get("options", {}), **own["options"]} if isinstance(own.get("options"), dict) else None
        if options is not None and "queue" in own and "queue" not in own["options"]:
            options.pop("queue", None)
        elif "queue" in own and "options" not in own and "queue" in kept.get("options", {}):
            options = {name: value for name, value in kept["options"].items() if name != "queue"}
        values = {**kept, **own, **({} if options is None else {"options": options})}
        return Keys(values, {**defaults.nodes, **self.nodes}, self.broken)


def _defaults_for(own: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that an entry takes: another kind's schedule and its further keys are none of its business."""
    kinds = [kind for kind in KINDS if kind in own] or [kind for kind in KINDS if kind in defaults]
    foreign = {key for kind in KINDS if kind not in kinds for key in (kind, *_OPTIONS_OF_KIND[kind])}
    foreign -= {key for kind in kinds for key in (kind, *_OPTIONS_OF_KIND[kind])}
    if isinstance(own.get("options"), dict) and "queue" in own["options"] and "queue" not in own:
        foreign.add("queue")
    return {key: value for key, value in defaults.items() if key not in foreign}


class EntryReader:
    """Reads the entries of one file."""

    def __init__(self, plain: Plain, problems: Problems, check: CheckEntry) -> None:
        self._plain = plain
        self._problems = problems
        self._check = check

    def keys(self, node: Node, what: str) -> Keys | None:
        """The keys of a mapping of entry keys; None when it is none. Tells what is wrong with each."""
        if isinstance(node, Scalar) and node.missing:
            self._problems.add(node.problem("E028", f"{what} has no value", "write its keys below, indented"))
            return None
        if not isinstance(node, MappingNode):
            if isinstance(node, Scalar | Sequence):
                self._problems.add(node.problem("E052", f"{what}: a mapping with `task` and a schedule is accepted"))
            return None
        keys = Keys()
        for name, (key, value) in node.items.items():
            self._key(keys, name, key, value)
        self._spelled(keys)
        return keys

    def entry(self, key: Scalar, node: Node, defaults: Keys, zone: str) -> tuple[Entry, Keys] | None:
        """An entry, or None with every reason told."""
        try:
            check_name(key.text)
        except EntryInvalid as error:
            self._problems.add(key.problem("E050", error.message, error.hint))
            return None
        own = self.keys(node, key.text)
        if own is None:
            return None
        merged = own.over(defaults)
        if zone != "UTC":
            merged.values.setdefault("timezone", zone)
        if merged.broken:
            self._diagnose(key, merged)
            return None
        try:
            self._date_options(merged.values)
            entry = entry_from_spec(key.text, {**merged.values, "owner": "file"})
            self._check(entry)
        except BeatdError as error:
            self._diagnose(key, merged, error)
            return None
        return entry, merged

    def check_defaults(self, defaults: Keys) -> None:
        """Takes out of the defaults what is wrong with them: told once, and not for every entry."""
        for name in list(defaults.values):
            before = len(self._problems)
            self._alone("defaults", name, defaults.values, defaults)
            if len(self._problems) > before:
                del defaults.values[name]

    def _key(self, keys: Keys, name: str, key: Scalar, node: Node) -> None:
        known = KEYS.get(name)
        if known is None:
            self._unknown(keys, key, node)
            return
        try:
            value = self._value(known, node)
        except Broken:
            keys.broken.add(name)
            return
        if value is NOT_GIVEN:
            return
        if value is None and not known.kind.nullable:
            hint = "write the value behind the colon, or take the key out"
            self._problems.add(node.problem("E028", f"{name} has no value", hint))
            keys.broken.add(name)
            return
        keys.values[name] = value
        keys.nodes[name] = node

    def _value(self, known: Key, node: Node) -> Any:
        value = self._plain.value(node, text=known.kind.text)
        if known.kind is KEYS["enabled"].kind and isinstance(value, str) and value.lower() in _OLD_WORDS:
            meant = _OLD_WORDS[value.lower()]
            hint = f"write {known.name}: {meant}"
            message = f"{known.name}: {value} is a text in YAML 1.2; true or false is accepted"
            self._problems.add(node.problem("E036", message, hint))
            raise Broken
        return value

    def _unknown(self, keys: Keys, key: Scalar, node: Node) -> None:
        if key.text == "relative":
            keys.broken.add("relative")
            value = node.text if isinstance(node, Scalar) else ""
            keys.nodes["relative"] = key
            if value != "true":
                self._problems.add(key.problem("E055", "relative: false is what every does", "take it out"))
                keys.nodes.pop("relative")
            return
        keys.broken.add(key.text)
        self._problems.add(key.problem("E043", f"unknown key {key.text!r}"[:120], hint_for(key.text, ENTRY)))

    def _spelled(self, keys: Keys) -> None:
        """Puts cron and every where Celery's spelling of them stands."""
        values = keys.values
        spelled = "schedule" if "schedule" in values else "cron"
        if spelled == "schedule" or isinstance(values.get("cron"), dict):
            value = values.pop(spelled)
            node = keys.nodes[spelled]
            try:
                found = from_schedule(value) if spelled == "schedule" else from_crontab(value)
            except SpellingInvalid as error:
                self._problems.add(_down(node, error.path).problem("E055", error.message, error.hint))
                keys.broken.add(spelled)
                return
            for name, content in found.items():
                if name != "day" and name in values:
                    self._problems.add(node.problem("E052", f"{name} and {spelled} are two schedules", "keep one"))
                    keys.broken.add(name)
                elif name not in values:
                    values[name] = content
                    keys.nodes[name] = node
        if "relative" in keys.nodes:
            message = "relative: true counts by the clock, which is cron's business"
            hint = relative_hint(values.get("every"))
            self._problems.add(keys.nodes.pop("relative").problem("E055", message, hint))

    def _date_options(self, values: dict[str, Any]) -> None:
        """Dates without an offset among the options become instants: a message has no zone of its own."""
        options = values.get("options")
        zone_name = values.get("timezone", "UTC")
        if not isinstance(options, dict) or not isinstance(zone_name, str):
            return
        if not any(isinstance(options.get(name), str) for name in DATED_OPTIONS):
            return
        zone = zone_named(zone_name)
        dated = dict(options)
        for name in DATED_OPTIONS:
            text = dated.get(name)
            if isinstance(text, str) and _DATE.fullmatch(text) and not _has_offset(text):
                dated[name] = _with_offset(read_moment(f"options.{name}", text, zone).ms)
        values["options"] = dated

    def _diagnose(self, key: Scalar, keys: Keys, error: BeatdError | None = None) -> None:
        """Every reason why keys are no entry: each key alone, what is missing, and what they say together."""
        before = len(self._problems)
        values = {name: value for name, value in keys.values.items() if name not in keys.broken}
        for name in values:
            self._alone(key.text, name, values, keys)
        for message, names in (("task is missing", ("task",)), (_NO_SCHEDULE, SCHEDULE_WORDS)):
            if not keys.broken.union(values).intersection(names):
                self._problems.add(key.problem("E052", f"{key.text}: {message}"))
        if error is not None and len(self._problems) == before:
            self._problems.add(self._located(key, keys, error))

    def _alone(self, name: str, key: str, values: Mapping[str, Any], keys: Keys) -> None:
        spec = {**_LEAST, key: values[key]}
        if key in KINDS or any(key in kind.options for kind in KINDS.values()):
            kind = key if key in KINDS else next(word for word, options in _OPTIONS_OF_KIND.items() if key in options)
            spec = {"task": "task", **({} if key == kind else _LEAST_OF_KIND[kind]), key: values[key]}
        for companion in _COMPANIONS.get(key, ()):
            if companion in values:
                spec[companion] = values[companion]
        try:
            self._date_options(spec)
            self._check(entry_from_spec(name, spec))
        except BeatdError as error:
            if key == "rrule" and "counts from a start" in error.message:
                return
            node = keys.nodes.get(key)
            if node is not None:
                self._problems.add(_down(node, _path(error.message)[1:]).problem(_code(key), error.message, error.hint))

    def _located(self, key: Scalar, keys: Keys, error: BeatdError) -> Problem:
        path = _path(error.message)
        node = keys.nodes.get(path[0]) if path else None
        if node is None:
            return key.problem("E052", f"{key.text}: {error.message}", error.hint)
        return _down(node, path[1:]).problem("E052", error.message, error.hint)


_NO_SCHEDULE: Final = "a schedule is missing; one of cron, every, at, rrule is accepted"
_OLD_WORDS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}
_LEAST_OF_KIND: Final = {"cron": {"cron": "H 0 * * *"}, "every": {"every": "1h"}}


def _code(key: str) -> str:
    return "E056" if key == "options" else "E054" if key in SCHEDULE_KEYS else "E053"


def _path(message: str) -> tuple[str, ...]:
    """The path at the beginning of the core's messages (``kwargs.a[1]: found ...``); empty where there is none."""
    head, colon, _ = message.partition(": ")
    if not colon or not re.fullmatch(r"[a-z_]+(?:\.[^.\[\] ]+|\[[0-9]+\])*", head):
        return ()
    return tuple(name or index for name, index in _STEP.findall(head))


def _down(node: Node, path: tuple[str, ...]) -> Node:
    """The node that a path leads to, as far as it leads."""
    for step in path:
        if isinstance(node, MappingNode) and step in node.items:
            node = node.items[step][1]
        elif isinstance(node, Sequence) and step.isdigit() and int(step) < len(node.items):
            node = node.items[int(step)]
        else:
            break
    return node


def _has_offset(text: str) -> bool:
    return bool(re.search(r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})\s*$", text))


def _with_offset(ms: int) -> str:
    """Not the Z of our own output: whoever reads the message may be an older Python, which knows +00:00 only."""
    return utc_of(ms).isoformat(timespec="milliseconds" if ms % 1_000 else "seconds")
