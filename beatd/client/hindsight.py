"""What became of the slots that a pause with an end told of ahead."""

from collections.abc import Sequence
from dataclasses import replace

from beatd.client.change_log import ended_since
from beatd.client.entries import now_ms
from beatd.client.steps import Steps, ask
from beatd.core.history import Hindsight, Line, hindsight
from beatd.store.keys import Keys
from beatd.store.outbox import read_head


def look_back(keys: Keys, lines: Sequence[Line]) -> Steps[Hindsight]:
    """Of some lines of the histories. Nothing is asked of Redis that none of them hangs on."""
    waiting = (yield from _waiting(keys)) if any(line.what == "fired" for line in lines) else frozenset()
    foretold = [line for line in lines if line.foretold]
    if not foretold:
        return Hindsight(waiting=waiting)
    names = {line.name for line in foretold if line.name is not None}
    now = yield from now_ms()
    changes = yield from ended_since(keys, names, min(line.at for line in foretold))
    return replace(hindsight(now, lines, changes), waiting=waiting)


def _waiting(keys: Keys) -> Steps[frozenset[tuple[str, int]]]:
    """Entries and slots in the outbox: at most a few thousand. What is spoilt there is told elsewhere."""
    (heads,) = yield from ask(("HVALS", keys.key("ob")), tolerant=True)
    found = [] if isinstance(heads, Exception) else [read.draft for head in heads if (read := read_head(head))]
    return frozenset((draft.name, draft.slot) for draft in found)
