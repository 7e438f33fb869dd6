"""Why an entry is none: the core stops at the first reason, so each key is put before it alone."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from beatd.config.entry_keys import OPTIONS_OF_KIND, Keys
from beatd.config.keys import SCHEDULE_WORDS
from beatd.config.nodes import Node, Scalar, down
from beatd.config.option_dates import date_options
from beatd.config.problems import Problem, Problems
from beatd.core.entry import Entry, entry_from_spec
from beatd.core.schedules.schedule import KINDS, SCHEDULE_KEYS
from beatd.errors import BeatdError

CheckEntry = Callable[[Entry], object]  # raises EntryInvalid for what a message can't say

# What a key is checked with, when it is checked alone.
_LEAST: Final = {"task": "task", "every": "1h"}
_LEAST_OF_KIND: Final = {"cron": {"cron": "H 0 * * *"}, "every": {"every": "1h"}}
_COMPANIONS: Final = {"every": ("fast",), "cron": ("hash_id",), "options": ("queue",)}
_MOMENTS: Final = ("at", "start", "end", "anchor")
_NO_SCHEDULE: Final = "a schedule is missing; one of cron, every, at, rrule is accepted"
_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[([0-9]+)\]")
_CLOCK: Final = re.compile(r"\s*([0-9]{1,2}):([0-9]{2})(?::[0-9]{2})?\s*")
_DAY: Final = re.compile(r"\s*([0-9]{4}-[0-9]{2}-[0-9]{2})\s*")


class Diagnosis:
    """Finds every reason, and the place of each."""

    def __init__(self, problems: Problems, check: CheckEntry) -> None:
        self._problems = problems
        self._check = check

    def of_entry(self, key: Scalar, keys: Keys, error: BeatdError | None = None) -> None:
        """Every reason why keys are no entry: each key alone, what is missing, and what they say together."""
        before = self._problems.heard
        values = {name: value for name, value in keys.values.items() if name not in keys.broken}
        for name in keys.nodes.keys() & values:
            self.alone(key.text, name, values, keys)
        for message, names in (("task is missing", ("task", "signature")), (_NO_SCHEDULE, SCHEDULE_WORDS)):
            if not keys.broken.union(values).intersection(names):
                self._problems.add(key.problem("E052", f"{key.text}: {message}"))
        kinds = sorted(
            (keys.nodes[kind] for kind in KINDS if kind in values), key=lambda node: (node.line, node.column)
        )
        if len(kinds) > 1:
            found = " and ".join(kind for kind in keys.values if kind in KINDS)
            self._problems.add(kinds[-1].problem("E052", f"{found}: an entry has one schedule", "keep one of them"))
        if error is not None and self._problems.heard == before:
            self._problems.add(self._located(key, keys, error))

    def alone(self, name: str, key: str, values: Mapping[str, Any], keys: Keys) -> None:
        """Puts one key before the core; options one by one."""
        spec = {**_LEAST, key: values[key]}
        if key in KINDS or any(key in kind.options for kind in KINDS.values()):
            kind = key if key in KINDS else next(word for word, options in OPTIONS_OF_KIND.items() if key in options)
            spec = {"task": "task", **({} if key == kind else _LEAST_OF_KIND[kind]), key: values[key]}
        if key == "signature":
            del spec["task"]
        spec |= {companion: values[companion] for companion in _COMPANIONS.get(key, ()) if companion in values}
        options = spec.get("options")
        if not isinstance(options, dict):
            self._judged(name, key, spec, keys.nodes[key])
            return
        stamps = _stamps(options)
        for option in [each for each in options if each not in stamps]:
            self._judged(name, key, {**spec, "options": {option: options[option]}}, keys.nodes[key])
        if stamps:
            self._judged(name, key, {**spec, "options": {each: options[each] for each in stamps}}, keys.nodes[key])

    def _judged(self, name: str, key: str, spec: dict[str, Any], node: Node) -> None:
        """What the core and the message say of one key."""
        try:
            date_options(spec)
            self._check(entry_from_spec(name, spec))
        except BeatdError as error:
            if key == "rrule" and "counts from a start" in error.message:
                return  # a matter of two keys
            code, hint = _code(key), error.hint
            if isinstance(spec[key], str) and (clock := _clock_hint(key, spec[key])):
                code, hint = "E037", clock
            self._problems.add(down(node, _path(error.message)[1:]).problem(code, error.message, hint))

    def _located(self, key: Scalar, keys: Keys, error: BeatdError) -> Problem:
        path = _path(error.message)
        node = keys.nodes.get(path[0]) if path else None
        if node is None:
            return key.problem("E052", f"{key.text}: {error.message}", error.hint)
        return down(node, path[1:]).problem("E052", error.message, error.hint)


def _stamps(options: Mapping[str, Any]) -> set[str]:
    """The options that are judged together: the list of stamps, and each of them."""
    names = options.get("stamped_headers")
    listed = {name for name in names if isinstance(name, str)} if isinstance(names, list) else set()
    return {"stamped_headers", *listed} & options.keys()


def _code(key: str) -> str:
    return "E056" if key == "options" else "E054" if key in SCHEDULE_KEYS else "E053"


def _clock_hint(key: str, text: str) -> str | None:
    """What to write where a time of day, or a date alone, was written: YAML 1.1 would have made a number of 12:30."""
    clock, day = _CLOCK.fullmatch(text), _DAY.fullmatch(text)
    if clock and key in _MOMENTS:
        return f'write a date too; every day at {clock[0].strip()} is cron: "{int(clock[2])} {int(clock[1])} * * *"'
    if clock and key not in {"cron", "rrule", "timezone", "day", "hash_id"}:
        return f"write {int(clock[1])}h{int(clock[2])}m or {int(clock[1])}m{int(clock[2])}s"
    return f"write {day[1]}T00:00" if day and key in _MOMENTS else None


def _path(message: str) -> tuple[str, ...]:
    """The path at the beginning of the core's messages (``kwargs.a[1]: found ...``); empty where there is none."""
    head, colon, _ = message.partition(": ")
    if not colon or not re.fullmatch(r"[a-z_]+(?:\.[^.\[\] ]+|\[[0-9]+\])*", head):
        return ()
    return tuple(name or index for name, index in _STEP.findall(head))
