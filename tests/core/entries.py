"""Entries made ready to fire, as the leader stages them: real definitions, real messages."""

from typing import Any

from beatd.core.entry import entry_from_spec
from beatd.core.fire import TaskIds, jitter_of
from beatd.core.window import Compiled, Shape, Staged
from tests.support.messages import messages_of


def compiled(name: str, rev: str = "rev", **spec: Any) -> Compiled:
    """An entry of the task `app.run`, every minute from the epoch unless the spec has another schedule."""
    timing = {} if {"cron", "at", "every"} & spec.keys() else {"every": "1m", "anchor": "1970-01-01T00:00:00Z"}
    entry = entry_from_spec(name, {"task": "app.run", **timing, **spec})
    messages = messages_of(entry)
    shape = Shape(entry.policy, messages.template, TaskIds("default"), 2_000)
    jitter = jitter_of(name, entry.policy.jitter_ms)
    return Compiled(name, rev, entry.schedule, shape, messages.own, jitter, 300 + len(messages.own))


def staged(name: str, moment: int, left: int | None = None, **spec: Any) -> Staged:
    """An entry staged for a moment."""
    return Staged(compiled(name, **spec), moment, left)
