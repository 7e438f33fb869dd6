"""The keys of an entry as plain values with their nodes, and how defaults fill them up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from beatd.config.nodes import Node
from beatd.core.schedules.schedule import KINDS

OPTIONS_OF_KIND: Final = {kind.key: kind.options for kind in KINDS.values()}


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
    foreign = {key for kind in KINDS if kind not in kinds for key in (kind, *OPTIONS_OF_KIND[kind])}
    foreign -= {key for kind in kinds for key in (kind, *OPTIONS_OF_KIND[kind])}
    if isinstance(own.get("options"), dict) and "queue" in own["options"] and "queue" not in own:
        foreign.add("queue")
    return {key: value for key, value in defaults.items() if key not in foreign}
