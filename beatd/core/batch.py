"""One batch for the fire script: which of the due entries go in, and what becomes of their slots."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from beatd.core.fire import FireItem
from beatd.core.span import decide
from beatd.core.window import Staged

MOST_ENTRIES: Final = 100
MOST_MESSAGES: Final = 1_000
MOST_BYTES: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class Batch:
    """Items for one call with the staged entries they come from, and what did not fit."""

    items: list[FireItem]
    staged: list[Staged]
    rest: Sequence[Staged]


def make_batch(due: Sequence[Staged], now: int, new_tag: Callable[[], str]) -> Batch:
    """Decides what is due at `now` (UTC ms), as far as one call can carry it. `new_tag` gives unique delivery tags."""
    items: list[FireItem] = []
    staged: list[Staged] = []
    messages, size = MOST_MESSAGES, MOST_BYTES
    for index, entry in enumerate(due):
        room = min(messages, size // entry.compiled.shape.template.longest(entry.compiled.own))
        if len(items) == MOST_ENTRIES or (room < 1 and items):
            return Batch(items, staged, due[index:])
        item = make_item(entry, now, room, new_tag)
        items.append(item)
        staged.append(entry)
        messages -= len(item.messages)
        size -= sum(map(len, item.messages))
    return Batch(items, staged, ())


def make_item(staged: Staged, now: int, at_most: int, new_tag: Callable[[], str]) -> FireItem:
    """One entry's move: its span is walked now, not when it was staged."""
    name, rev, schedule, shape, own, jitter, _ = staged.compiled  # at once: this runs for every fire
    template = shape.template
    owed = staged.moment - jitter
    fires, skips, next_slot, good_until, left = decide(
        schedule,
        shape.policy,
        owed=owed,
        now=now,
        jitter=jitter,
        expires_ms=template.expires_ms,
        expires_on=template.expires_on,
        left=staged.left,
        at_most=at_most,
    )
    task_id, messages = "", []
    for slot in fires:
        task_id = shape.ids.of(name, slot)
        messages.append(template.render(own, task_id, slot, new_tag()))
    return FireItem(
        name=name,
        rev=rev,
        expected=staged.moment,
        next_moment=None if next_slot is None else next_slot + jitter,
        slots=fires,
        plain=fires == (owed,),
        task_id=task_id,
        good_until=good_until,
        left=left,
        skips=skips,
        queue_key=template.queue_key,
        messages=messages,
    )
