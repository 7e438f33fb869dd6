"""One entry of a file: its keys, its defaults, Celery's spellings, and every problem at the place it comes from."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from beatd.config.diagnosis import CheckEntry, Diagnosis
from beatd.config.entry_keys import Keys, Unknown, unknown_key
from beatd.config.keys import ENTRY, Key, by_name, nearest
from beatd.config.nodes import Mapping as MappingNode
from beatd.config.nodes import Node, Scalar, Sequence, down
from beatd.config.option_dates import date_options
from beatd.config.plain import NOT_GIVEN, Broken, Plain
from beatd.config.problems import Problems
from beatd.config.routes import NO_ROUTES, Routes
from beatd.core.celery_spellings import SpellingInvalid, from_crontab, from_schedule, relative_hint
from beatd.core.entry import Entry, check_name, checked_definition, entry_from_stored
from beatd.errors import BeatdError, EntryInvalid

KEYS: Final[Mapping[str, Key]] = by_name(ENTRY)
_OLD_WORDS: Final = {"yes": "true", "on": "true", "no": "false", "off": "false"}


class Read(NamedTuple):
    """An entry that was read: with its definition, and the keys that it was read from."""

    entry: Entry
    definition: str
    keys: Keys


class EntryReader:
    """Reads the entries of one file, for an owner.

    keep_unknown: an entry that is sound but for keys that no entry has is read, and they are in its ``Keys.unknown``;
    else they are told as problems.
    """

    def __init__(
        self, plain: Plain, problems: Problems, check: CheckEntry, owner: str = "file", *, keep_unknown: bool = False
    ) -> None:
        self._plain = plain
        self._owner = owner
        self._keep_unknown = keep_unknown
        self._problems = problems
        self._check = check
        self._diagnosis = Diagnosis(problems, check)

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

    def entry(self, key: Scalar, node: Node, defaults: Keys, zone: str, routes: Routes = NO_ROUTES) -> Read | None:
        """An entry, or None with every reason told."""
        try:
            check_name(key.text)
        except EntryInvalid as error:
            self._problems.add(key.problem("E050", error.message, error.hint))
            return None
        own = self.keys(node, key.text)
        if own is None:
            return None
        merged = own.over(routes.over(defaults, own))
        if zone != "UTC":
            merged.values.setdefault("timezone", zone)
        if merged.broken:
            self._diagnose(key, merged)
            return None
        try:
            date_options(merged.values)
            extra = {name: found.value for name, found in merged.unknown.items()}
            entry = entry_from_stored(key.text, {**extra, **merged.values, "owner": self._owner})
            self._check(entry)
            return Read(entry, checked_definition(entry), merged)
        except BeatdError as error:
            self._diagnose(key, merged, error)
            return None

    def _diagnose(self, key: Scalar, keys: Keys, error: BeatdError | None = None) -> None:
        """Tells every reason why keys are no entry, those among them that nobody knows."""
        if self._problems.full:
            return
        for unknown in keys.unknown.values():
            self._tell_unknown(keys, unknown.key)
        self._diagnosis.of_entry(key, keys, None if keys.unknown else error)

    def check_defaults(self, defaults: Keys, what: str = "defaults") -> None:
        """Takes out of defaults, or of a route, what is wrong with them: told once, and not for every entry."""
        for unknown in defaults.unknown.values():
            self._tell_unknown(defaults, unknown.key)
        for name in list(defaults.values):
            before = self._problems.heard
            self._diagnosis.alone(what, name, defaults.values, defaults)
            if self._problems.heard > before:
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
        if not self._keep_unknown or key.text == "owner":
            self._tell_unknown(keys, key)
            return
        try:
            keys.unknown[key.text] = Unknown(key, self._plain.tree(node))
        except Broken:
            self._tell_unknown(keys, key)

    def _tell_unknown(self, keys: Keys, key: Scalar) -> None:
        keys.broken.add(nearest(key.text, KEYS) or key.text)
        self._problems.add(unknown_key(key))

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
                for one in (error, *error.others):
                    self._problems.add(down(node, one.path).problem("E055", one.message, one.hint))
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
