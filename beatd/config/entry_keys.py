"""The keys of an entry as plain values with their nodes, and how defaults fill them up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from beatd.config.keys import ENTRY, hint_for
from beatd.config.nodes import Node, Scalar
from beatd.config.problems import Problem
from beatd.core.schedules.schedule import KINDS
from beatd.core.signature import check_signature, queue_of
from beatd.errors import EntryInvalid

_NO_OWNER: Final = "take it out: a daemon owns the entries of its files, and apply those of its --owner LABEL"
OPTIONS_OF_KIND: Final = {kind.key: kind.options for kind in KINDS.values()}

ADDRESS: Final = ("queue", "exchange", "exchange_type", "routing_key")


class Unknown(NamedTuple):
    """A key that no entry of this version has, and its value."""

    key: Scalar
    value: Any

    def problem(self) -> Problem:
        """What is told about it."""
        return unknown_key(self.key)


def unknown_key(key: Scalar) -> Problem:
    """That no entry has such a key."""
    return key.problem("E043", f"unknown key {key.text!r}"[:120], _hint_for(key.text))


@lru_cache(maxsize=64)  # what another version wrote stands in each of its entries
def _hint_for(key: str) -> str:
    return _NO_OWNER if key == "owner" else hint_for(key, ENTRY)


@dataclass(slots=True)
class Keys:
    """The keys of an entry (or of ``defaults``) as plain values, with nodes.

    broken: told about already. unknown: keys that only another version may know, not told about yet.
    """

    values: dict[str, Any] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    unknown: dict[str, Unknown] = field(default_factory=dict)

    def over(self, defaults: "Keys") -> "Keys":
        """These keys, and the defaults for what they don't say. Options merge one level deep; a queue of one's own is
        another address, and takes nothing from that of the defaults.
        """
        own = _with_queue(self.values)
        kept = _defaults_for(own, defaults.values)
        if "queue" in own or "queue" in options_of(own):
            kept = without_address(kept)
        if isinstance(own.get("options"), dict):
            kept = {**kept, "options": {**options_of(kept), **own["options"]}}
            own = {key: value for key, value in own.items() if key != "options"}
        return Keys({**kept, **own}, {**defaults.nodes, **self.nodes}, self.broken, self.unknown)


def options_of(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options among the keys of an entry."""
    found = values.get("options")
    return found if isinstance(found, dict) else {}


def without_address(values: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of an entry without those that say where its messages go."""
    options = {name: value for name, value in options_of(values).items() if name not in ADDRESS}
    kept = {key: value for key, value in values.items() if key not in {"queue", "options"}}
    return {**kept, "options": options} if options else kept


def _with_queue(own: Mapping[str, Any]) -> Mapping[str, Any]:
    """The keys with the queue that a signature among them names, where nothing else does: it is the entry's own."""
    if "signature" not in own or "queue" in own or "queue" in options_of(own):
        return own
    try:
        check_signature("signature", own["signature"])
    except EntryInvalid:  # told when the entry is read
        return own
    queue = queue_of(own["signature"])
    return own if queue is None else {**own, "queue": queue}


def _defaults_for(own: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that an entry takes: another kind's schedule and its further keys are none of its business."""
    kinds = [kind for kind in KINDS if kind in own] or [kind for kind in KINDS if kind in defaults]
    foreign = {key for kind in KINDS if kind not in kinds for key in (kind, *OPTIONS_OF_KIND[kind])}
    foreign -= {key for kind in kinds for key in (kind, *OPTIONS_OF_KIND[kind])}
    if "signature" in own:
        foreign |= {"task", "args", "kwargs"}
    elif "task" in own:
        foreign.add("signature")
    return {key: value for key, value in defaults.items() if key not in foreign}
