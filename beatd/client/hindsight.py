"""What became of the slots that a pause with an end told of ahead."""

from collections.abc import Sequence

from beatd.client.change_log import ended_since
from beatd.client.entries import now_ms
from beatd.client.steps import Steps
from beatd.core.history import Hindsight, Line, hindsight
from beatd.store.keys import Keys


def look_back(keys: Keys, lines: Sequence[Line]) -> Steps[Hindsight]:
    """Of some lines of the histories. Nothing is asked of Redis where none of them foretold anything."""
    foretold = [line for line in lines if line.foretold]
    if not foretold:
        return Hindsight()
    names = {line.name for line in foretold if line.name is not None}
    now = yield from now_ms()
    changes = yield from ended_since(keys, names, min(line.at for line in foretold))
    return hindsight(now, lines, changes)
