"""Random entries, and messages that tell what they are."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beatd.core.entry import Entry, entry_from_spec
from beatd.core.instant import instant_text
from beatd.errors import EntryInvalid


@dataclass(frozen=True, slots=True)
class PlainTemplate:
    """A message that names its entry, its slot and the version of the definition."""

    queue_key: str
    expires_ms: int | None
    size: int
    cause: object = None
    attempts: int | None = None
    expires_on: None = None

    @property
    def queue(self) -> str:
        return self.queue_key

    def own(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        return json.dumps({"name": name, "version": args[0] if args else None})

    def longest(self, own: str) -> int:
        return self.size

    def render(self, own: str, task_id: str, slot_ms: int, delivery_tag: str) -> bytes:
        content = {**json.loads(own), "slot": slot_ms, "id": task_id, "tag": delivery_tag, "queue": self.queue}
        return json.dumps({**content, "cause": self.cause}).encode()


def plain_template(queue: str, options: Mapping[str, Any], size: int) -> PlainTemplate:
    """The template of all entries with this queue and these options."""
    expires = options.get("expires")
    cause = options.get("headers", {}).get("beatd_cause")
    attempts = 1 if options.get("retry") is False else None
    return PlainTemplate(queue, None if expires is None else int(expires * 1000), size, cause, attempts)


def random_schedule(r: random.Random, now: int, *, slow: bool) -> dict[str, Any]:
    """The keys that decide slots."""
    kind = r.choice(["every"] * 7 + ["at"] * 2 + ["cron"])
    spec: dict[str, Any] = {}
    if kind == "every":
        fast = not slow and r.random() < 0.4
        spec["every"] = r.choice(["200ms", "500ms", "700ms"] if fast else ["1s", "2s", "3s", "5s", "10s"])
        if fast:
            spec["fast"] = True
        if r.random() < 0.3:
            spec["anchor"] = instant_text(now + r.randrange(-9000, 9000))
    elif kind == "at":
        spec["at"] = instant_text(now + r.randrange(-3000, 20_000 if slow else 8000))
    else:
        spec["cron"] = "* * * * *"
    if kind != "at" and r.random() < 0.15:
        spec["start"] = instant_text(now + r.randrange(-5000, 5000))
    if kind != "at" and r.random() < 0.15:
        spec["end"] = instant_text(now + r.randrange(2000, 12_000))
    if r.random() < 0.25:
        spec["jitter"] = r.choice(["300ms", "2s"])
    return spec


def random_policy(r: random.Random, *, broker: bool = False) -> dict[str, Any]:
    """The keys that decide what becomes of late slots; ``broker``: and of messages that a broker does not take."""
    spec: dict[str, Any] = {"catchup": r.choice(["latest", "latest", "none", "all"])}
    if r.random() < 0.5:
        spec["grace"] = r.choice(["0s", "500ms", "2s"])
    if r.random() < 0.2:
        spec["catchup_limit"] = r.choice([1, 3])
    if r.random() < 0.1:
        spec["deadline"] = r.choice(["1s", "5s"])
    if r.random() < 0.1:
        spec["options"] = {"expires": r.choice([0.5, 3.0])}
    if r.random() < 0.3:
        spec["queue"] = "batch"
    if broker and r.random() < 0.25:
        spec["guarantee"] = "at_most_once"
    if broker and r.random() < 0.1:
        spec.setdefault("options", {})["retry"] = False
    return spec


def random_entry(
    r: random.Random, name: str, now: int, version: int, *, slow: bool, file: bool = False, broker: bool = False
) -> Entry:
    """An entry that can be read."""
    while True:
        spec = {"task": "t", "args": [version], **random_schedule(r, now, slow=slow), **random_policy(r, broker=broker)}
        if file:
            spec["owner"] = "file"
        else:
            spec["enabled"] = r.random() < 0.93
            if r.random() < 0.15:
                spec["max_runs"] = r.choice([1, 2, 5])
        try:
            return entry_from_spec(name, spec)
        except EntryInvalid:
            continue


def with_payload(r: random.Random, before: Entry, version: int, *, broker: bool = False) -> Entry:
    """The same slots with another task, and at times other policies."""
    spec = json.loads(before.to_definition())
    spec["args"] = [version]
    if r.random() < 0.3:
        spec.pop("options", None)
        spec.update(random_policy(r, broker=broker))
    return entry_from_spec(before.name, spec)


def renamed(before: Entry, name: str, version: int) -> Entry:
    """The same definition under another name, but for what tells one edit from the next."""
    spec = json.loads(before.to_definition())
    spec["args"] = [version]
    return entry_from_spec(name, spec)
