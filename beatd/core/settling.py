"""One batch for the settle script: as a batch for our Redis, but its messages become intents for another broker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from beatd.core.batch import MOST_BYTES, MOST_ENTRIES, MOST_MESSAGES, Batch, make_item
from beatd.core.fire import FireItem, Template
from beatd.core.intent import Draft, Intent
from beatd.core.outbox_room import Room
from beatd.core.timetable import Code, FireReply
from beatd.core.window import Staged


@dataclass(frozen=True, slots=True)
class Settling(Batch):
    """``drafts``: of each item, one a message. ``room``: what is reserved for them, until somebody closes it.

    The queue of an item is the queue's name here, not the key of a list.
    """

    drafts: list[list[Draft]]
    room: Room

    def usable(self, queue: str) -> bool:
        """Whether messages may be decided for a queue; where not, its entries are to be blocked."""
        return not self.room.blocked(queue)


def make_settling(due: Sequence[Staged], now: int, new_tag: Callable[[], str], room: Room, broker: str) -> Settling:
    """Decides what is due at `now` (UTC ms), as far as one call can carry it and the outbox has room for it."""
    rest: list[Staged] = []
    made = Settling([], [], rest, [], room)
    messages, size = MOST_MESSAGES, MOST_BYTES
    try:
        for index, entry in enumerate(due):
            template = entry.compiled.shape.template
            longest = template.longest(entry.compiled.own)
            at_most = min(messages, size // longest)
            if len(made.items) == MOST_ENTRIES or (at_most < 1 and made.items):
                rest += due[index:]
                break
            if not room.blocked(template.queue):
                at_most = min(at_most, room.most(template.queue, longest))
                if at_most < 1:
                    rest.append(entry)
                    continue
            item = make_item(entry, now, at_most, new_tag)._replace(queue_key=template.queue)
            made.items.append(item)
            made.drafts.append(drafts_of(entry, item, broker))
            made.staged.append(entry)
            room.take(template.queue, item.messages)
            messages -= len(item.messages)
            size -= sum(map(len, item.messages))
    except BaseException:
        room.close()
        raise
    return made


def intents_of(made: Settling, reply: FireReply) -> list[Intent]:
    """What was accepted, with the ids that the script gave: refused messages are counted, too."""
    found: list[Intent] = []
    number = 0
    for item, drafts, code in zip(made.items, made.drafts, reply.codes, strict=True):
        if code == Code.DONE:
            for place, (draft, message) in enumerate(zip(drafts, item.messages, strict=True), number + 1):
                found.append(Intent(f"{reply.seq}-{place}", draft, message))
        number += len(item.messages)
    return found


def dead_at(template: Template, slot: int, jitter: int = 0, deadline_ms: int | None = None) -> int | None:
    """The instant after which the message of a slot is not worth sending; None for ever."""
    ends = [
        None if deadline_ms is None else slot + jitter + deadline_ms,
        None if template.expires_ms is None else slot + template.expires_ms,
        template.expires_on,
    ]
    return min((end for end in ends if end is not None), default=None)


def drafts_of(entry: Staged, item: FireItem, broker: str) -> list[Draft]:
    """What the outbox must know of the messages of one item."""
    name, _, _, shape, _, jitter, _ = entry.compiled
    policy, template = shape.policy, shape.template
    return [
        Draft(
            name=name,
            slot=slot,
            task_id=item.task_id if item.plain else shape.ids.of(name, slot),
            queue=template.queue,
            dead_at=dead_at(template, slot, jitter, policy.deadline_ms),
            attempts=template.attempts,
            at_most_once=policy.guarantee == "at_most_once",
            broker=broker,
        )
        for slot in item.slots
    ]
