"""A batch for another broker: room by queue, what is known of each message, and the ids that the script gives."""

import pytest

from beatd.core.intent import MOST_OF_ONE_BAD_QUEUE, Outcome
from beatd.core.outbox import Outbox
from beatd.core.settling import Settling, intents_of, make_settling
from beatd.core.timetable import FireReply
from tests.core.entries import staged

NOW = 1_800_000_000_000  # a full minute
MINUTE = 60_000


@pytest.fixture
def box() -> Outbox:
    return Outbox("b")


def made(box: Outbox, *due: object, now: int = NOW) -> Settling:
    return make_settling(due, now, lambda: "tag", box.room(), "b")  # type: ignore[arg-type]


def test_each_message_has_a_draft_with_all_that_its_fate_hangs_on(box: Outbox) -> None:
    entry = staged(
        "e", NOW, queue="mail", deadline="5m", guarantee="at_most_once", options={"expires": 120, "retry": False}
    )
    ((draft,),) = made(box, entry).drafts
    assert (draft.name, draft.slot, draft.queue, draft.broker, draft.cause) == ("e", NOW, "mail", "b", "")
    assert (draft.dead_at, draft.attempts, draft.at_most_once) == (NOW + 120_000, 1, True)


def test_the_deadline_counts_from_the_moment_and_the_earlier_end_is_the_end(box: Outbox) -> None:
    entry = staged("e", NOW, deadline="30s", options={"expires": 120})
    ((draft,),) = made(box, entry).drafts
    assert draft.dead_at == NOW + 30_000


def test_an_item_names_the_queue_and_not_the_list_of_a_priority(box: Outbox) -> None:
    (item,) = made(box, staged("e", NOW, queue="mail", options={"priority": 6})).items
    assert item.queue_key == "mail"


def test_what_finds_no_room_is_left_for_the_next_batch_and_others_go(box: Outbox) -> None:
    due = [staged(f"e{n}", NOW, queue="full") for n in range(MOST_OF_ONE_BAD_QUEUE + 20)][:90]
    first = made(box, *due)
    second = made(box, *[staged(f"f{n}", NOW, queue="full") for n in range(20)], staged("other", NOW, queue="good"))
    assert (len(first.items), first.rest) == (90, [])
    assert [entry.name for entry in second.staged][-1] == "other"
    assert len(second.items) == MOST_OF_ONE_BAD_QUEUE - 90 + 1
    assert len(second.rest) == 20 - (MOST_OF_ONE_BAD_QUEUE - 90)


def test_of_a_long_catch_up_as_much_is_decided_as_there_is_room_for(box: Outbox) -> None:
    box.room().take("celery", [b"x"] * (MOST_OF_ONE_BAD_QUEUE - 3))
    entry = staged("e", NOW, catchup="all")
    (item,) = made(box, entry, now=NOW + 10 * MINUTE).items
    assert len(item.slots) == 3
    assert item.next_moment == NOW + 3 * MINUTE


def test_entries_of_a_bad_and_full_queue_are_sent_to_be_blocked_and_take_no_room(box: Outbox) -> None:
    due = [staged(f"e{n}", NOW, queue="gone") for n in range(MOST_OF_ONE_BAD_QUEUE)]
    first = made(box, *due)
    first.room.close()
    box.add(intents_of(first, FireReply([0] * len(due), NOW, 7)))
    taken = box.window(0.0)
    box.learn([(intent, Outcome("returned")) for intent in taken], 0.0, NOW, 0.0)
    second = made(box, staged("more", NOW, queue="gone"))
    assert [item.name for item in second.items] == ["more"]
    assert not second.usable("gone")
    assert second.usable("good")
    assert box.queues.held("gone") == MOST_OF_ONE_BAD_QUEUE


def test_ids_count_all_messages_of_the_call_refused_ones_too(box: Outbox) -> None:
    batch = made(
        box,
        staged("a", NOW, catchup="all"),
        staged("b", NOW, grace="0s"),
        staged("c", NOW, catchup="all"),
        now=NOW + 2 * MINUTE,
    )
    assert [len(item.messages) for item in batch.items] == [3, 1, 3]
    found = intents_of(batch, FireReply([0, 2, 0], NOW, 9))
    assert [intent.id for intent in found] == ["9-1", "9-2", "9-3", "9-5", "9-6", "9-7"]
    assert [intent.draft.name for intent in found] == ["a", "a", "a", "c", "c", "c"]
    assert len({intent.draft.task_id for intent in found}) == 6


def test_a_batch_that_can_t_be_made_reserves_nothing(box: Outbox) -> None:
    class Broken:
        name = "broken"

    with pytest.raises(AttributeError):
        made(box, staged("a", NOW), Broken())
    assert box.queues.count == 0
