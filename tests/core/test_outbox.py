"""The outbox, pure: order, bounds, back-off, queues that take nothing, and what is given up."""

from collections.abc import Sequence

import pytest

from beatd.core.intent import CONFIRMED, MOST_INTENT_BYTES, MOST_INTENTS, MOST_OF_ONE_BAD_QUEUE, Draft, Intent, Outcome
from beatd.core.outbox import ALONE_AFTER, MOST_IN_WINDOW, RETRY_S, Learned, Outbox
from beatd.core.outbox_room import MOST_OF_BAD_QUEUES, MOST_PROVEN

RETURNED = Outcome("returned", "NO_ROUTE")
UNKNOWN = Outcome("unknown", "connection lost")


def intent(
    number: int,
    name: str = "e",
    *,
    queue: str = "q",
    broker: str = "b",
    dead_at: int | None = None,
    attempts: int | None = None,
    at_most_once: bool = False,
    size: int = 10,
) -> Intent:
    draft = Draft(name, number * 1000, f"task-{number}", queue, dead_at, attempts, at_most_once, broker)
    return Intent(f"{number}-1", draft, b"x" * size)


@pytest.fixture
def box() -> Outbox:
    return Outbox("b")


def ids(intents: Sequence[Intent]) -> list[str]:
    return [intent.id for intent in intents]


def learn(box: Outbox, taken: Sequence[Intent], outcome: Outcome, now: float = 0.0, now_ms: int = 0) -> Learned:
    return box.learn([(intent, outcome) for intent in taken], now, now_ms, 0.0)


def proven(box: Outbox, queue: str = "q") -> None:
    """The queue takes a message."""
    box.add([intent(999_999, "prover", queue=queue)])
    learn(box, box.window(0.0), CONFIRMED)


def filled(box: Outbox, queue: str, first: int = 1) -> int:
    """As many intents of a queue as there is room for, each of an entry of its own; how many."""
    count = 0
    while box.room().most(queue, 10):
        box.add([intent(first + count, f"{queue}-{count}", queue=queue)])
        count += 1
    return count


# Order


def test_the_intents_of_an_entry_go_one_after_another_in_the_order_they_were_decided(box: Outbox) -> None:
    box.add([intent(10), intent(2), intent(3)])  # 10 comes after 3: numbers, not texts
    seen = []
    for _ in range(3):
        taken = box.window(0.0)
        assert box.window(0.0) == []
        seen += ids(taken)
        learn(box, taken, CONFIRMED)
    assert seen == ["2-1", "3-1", "10-1"]
    assert len(box) == 0


def test_while_one_waits_for_its_next_attempt_the_later_ones_of_its_entry_wait_too(box: Outbox) -> None:
    box.add([intent(1), intent(2), intent(3, "other")])
    assert ids(box.window(0.0)) == ["1-1", "3-1"]
    learn(box, [intent(1)], UNKNOWN)
    assert box.window(0.1) == []
    assert ids(box.window(RETRY_S[0])) == ["1-1"]


def test_what_was_decided_before_goes_before_what_is_held_already(box: Outbox) -> None:
    box.add([intent(5)])
    box.add([intent(4)])
    assert ids(box.window(0.0)) == ["4-1"]


def test_an_older_one_never_overtakes_one_that_is_being_published(box: Outbox) -> None:
    box.add([intent(5)])
    taken = box.window(0.0)
    box.add([intent(4)])
    assert box.window(0.0) == []
    learn(box, taken, CONFIRMED)
    assert ids(box.window(0.0)) == ["4-1"]


def test_an_intent_that_is_held_already_is_not_taken_in_twice(box: Outbox) -> None:
    box.add([intent(1)])
    box.add([intent(1)])
    assert (len(box), box.size, box.queues.held("q")) == (1, 10, 1)


def test_an_id_that_a_dataset_gives_again_after_it_went_back_is_another_intent(box: Outbox) -> None:
    again = Intent("1-1", intent(1)._replace().draft._replace(task_id="other"), b"y")
    box.add([intent(1), again])
    assert len(box) == 2


# Windows


def test_a_window_holds_so_many_messages_at_most(box: Outbox) -> None:
    box.add([intent(n, f"e{n}") for n in range(MOST_IN_WINDOW + 10)])
    assert len(box.window(0.0)) == MOST_IN_WINDOW
    assert len(box.window(0.0)) == 10


def test_a_window_holds_so_many_bytes_at_most_and_one_message_at_least(box: Outbox) -> None:
    box.add([intent(n, f"e{n}", size=400) for n in range(5)])
    assert ids(box.window(0.0, most_bytes=1000)) == ["0-1", "1-1"]
    assert ids(box.window(0.0, most_bytes=100)) == ["2-1"]


def test_entries_take_turns(box: Outbox) -> None:
    box.add([intent(n, "busy") for n in range(5)] + [intent(n, f"e{n}") for n in range(10, 13)])
    first = box.window(0.0, most=2)
    learn(box, first, CONFIRMED)
    assert ids(first) == ["0-1", "10-1"]
    assert ids(box.window(0.0, most=3)) == ["11-1", "12-1", "1-1"]


def test_what_was_taken_and_not_published_goes_again_at_once(box: Outbox) -> None:
    box.add([intent(1, dead_at=100)])
    box.put_back(box.window(0.0))
    assert ids(box.window(0.0)) == ["1-1"]


def test_a_message_that_never_got_an_answer_goes_alone(box: Outbox) -> None:
    box.add([intent(1, "a"), intent(2, "b")])
    for n in range(ALONE_AFTER):
        learn(box, box.window(100.0 * n), UNKNOWN, now=100.0 * n)
    assert len(box.window(1000.0)) == 1
    assert len(box.window(1000.0)) == 1


# Attempts


@pytest.mark.parametrize("outcome", [RETURNED, UNKNOWN, Outcome("refused", "too large")])
def test_the_pause_between_attempts_doubles_up_to_its_bound(box: Outbox, outcome: Outcome) -> None:
    box.add([intent(1)])
    now, pauses = 0.0, []
    for _ in range(10):
        learn(box, box.window(now), outcome, now=now)
        wait = box.next_look(now, 0)
        assert wait is not None
        pauses.append(wait)
        now += wait
    assert pauses == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0])


def test_by_chance_the_pause_is_up_to_a_half_shorter_and_not_the_same_for_all(box: Outbox) -> None:
    box.add([intent(1, "a"), intent(2, "b")])
    box.learn([(taken, UNKNOWN) for taken in box.window(0.0)], 0.0, 0, 0.5)
    assert box.next_look(0.0, 0) == pytest.approx(0.15, abs=0.05)
    assert len(box.window(0.1499)) + len(box.window(0.2)) == 2


def test_spent_attempts_give_an_intent_up_and_say_why(box: Outbox) -> None:
    box.add([intent(1, attempts=2)])
    assert learn(box, box.window(0.0), RETURNED).given_up == []
    (given,) = learn(box, box.window(1.0), RETURNED).given_up
    assert (given.intent.id, given.why) == ("1-1", "2 attempts: NO_ROUTE")
    assert len(box) == 0


def test_a_message_that_no_attempt_can_help_is_given_up_at_once_and_its_queue_is_not_to_blame(box: Outbox) -> None:
    box.add([intent(1), intent(2), intent(3, "other")])
    learned = learn(box, box.window(0.0), Outcome("refused", "it can't be said", hopeless=True))
    assert [(given.intent.id, given.why) for given in learned.given_up] == [
        ("1-1", "it can't be said"),
        ("3-1", "it can't be said"),
    ]
    assert (learned.bad, box.queues.bad) == ([], frozenset())
    assert ids(box.window(0.0)) == ["2-1"]  # the next one of its entry need not wait


def test_an_answer_that_never_came_is_no_attempt(box: Outbox) -> None:
    box.add([intent(1, attempts=1)])
    assert learn(box, box.window(0.0), UNKNOWN).given_up == []


@pytest.mark.parametrize("outcome", [RETURNED, UNKNOWN])
def test_at_most_once_means_one_attempt(box: Outbox, outcome: Outcome) -> None:
    box.add([intent(1, at_most_once=True)])
    assert len(learn(box, box.window(0.0), outcome).given_up) == 1
    assert len(box) == 0


def test_what_a_leader_that_ended_was_sending_at_most_once_is_not_sent_again(box: Outbox) -> None:
    sent, known = (intent(n, str(n), at_most_once=True) for n in (1, 2))
    sent, known = (each._replace(draft=each.draft._replace(sent=True)) for each in (sent, known))
    box.add([sent, known], {(known.id, known.draft.task_id)})
    assert box.next_look(0.0, 0) == 0.0
    assert [given.intent for given in box.dead(0)] == [sent]
    assert box.dead(0) == []
    assert box.window(0.0) == [known]


# Deaths


def test_what_is_not_worth_sending_any_more_is_given_up(box: Outbox) -> None:
    box.add([intent(1, "a", dead_at=100), intent(2, "b", dead_at=200), intent(3, "c")])
    assert box.next_look(0.0, 0) == 0.0
    taken = box.window(0.0)
    box.put_back(taken)
    assert [given.intent.id for given in box.dead(100)] == ["1-1"]
    assert box.dead(100) == []
    assert [given.intent.id for given in box.dead(1000)] == ["2-1"]
    assert len(box) == 1


def test_what_dies_while_it_is_published_is_sent_if_the_broker_takes_it_and_else_given_up(box: Outbox) -> None:
    box.add([intent(1, "a", dead_at=100), intent(2, "b", dead_at=100)])
    taken = box.window(0.0)
    assert box.dead(100) == []
    learned = box.learn([(taken[0], CONFIRMED), (taken[1], UNKNOWN)], 0.0, 100, 0.0)
    assert (ids(learned.confirmed), [given.intent.id for given in learned.given_up]) == (["1-1"], ["2-1"])


def test_what_was_put_back_can_still_die(box: Outbox) -> None:
    box.add([intent(1, dead_at=100)])
    taken = box.window(0.0)
    assert box.dead(100) == []
    box.put_back(taken)
    assert len(box.dead(100)) == 1


def test_the_next_look_is_at_the_next_death_or_the_next_attempt(box: Outbox) -> None:
    assert box.next_look(0.0, 0) is None
    box.add([intent(1, dead_at=5_000)])
    learn(box, box.window(0.0), UNKNOWN)
    assert box.next_look(0.0, 0) == pytest.approx(RETRY_S[0])
    box.window(RETRY_S[0])
    assert box.next_look(0.0, 4_000) == pytest.approx(1.0)


# Withdrawn, left over


def test_what_was_withdrawn_is_forgotten_also_while_it_is_published(box: Outbox) -> None:
    box.add([intent(1, "a"), intent(2, "b"), intent(3, "a")])
    taken = box.window(0.0)
    box.withdraw(taken)
    learned = learn(box, taken, CONFIRMED)
    assert learned.confirmed == []
    assert ids(box.window(0.0)) == ["3-1"]


def test_intents_of_another_broker_are_counted_and_never_published(box: Outbox) -> None:
    box.add([intent(1, broker="old"), intent(2)])
    assert box.left_over == {"1-1": "old"}
    assert ids(box.window(0.0)) == ["2-1"]
    assert len(box) == 1


# Room


def test_a_queue_that_is_not_proven_gets_little(box: Outbox) -> None:
    assert filled(box, "q") == MOST_OF_ONE_BAD_QUEUE
    assert not box.room().blocked("q")  # it may be as good as any: its entries wait, and are not blocked


def test_a_proven_queue_gets_as_much_as_it_leaves_free(box: Outbox) -> None:
    proven(box)
    assert filled(box, "q") == MOST_INTENTS // 2


def test_whatever_queues_fill_up_there_is_room_for_another_one(box: Outbox) -> None:
    for n in range(8):
        proven(box, f"q{n}")
        filled(box, f"q{n}", first=1000 * n)
    assert box.room().most("new", 10) > 0
    assert len(box) < MOST_INTENTS


def test_of_large_messages_there_is_room_for_fewer(box: Outbox) -> None:
    proven(box)
    large = 192 * 1024
    assert box.room().most("q", large) == MOST_INTENT_BYTES // 2 // large


def test_what_a_call_reserves_is_there_for_no_other_until_it_is_closed(box: Outbox) -> None:
    room = box.room()
    room.take("q", [b"x" * 10] * 60)
    other = box.room()
    assert other.most("q", 10) == 40
    other.take("q", [b"x" * 10] * 40)
    assert box.room().most("q", 10) == 0
    room.close()
    other.close()
    assert box.room().most("q", 10) == MOST_OF_ONE_BAD_QUEUE
    assert (box.queues.count, box.queues.size) == (0, 0)


def test_a_request_that_waits_for_room_gets_what_is_free_next(box: Outbox) -> None:
    filled(box, "q")
    assert box.room(of_request=True).most("q", 10) == 0
    learn(box, box.window(0.0, most=2), CONFIRMED)
    assert box.room().most("q", 10) == 0
    assert box.room(of_request=True).most("q", 10) > 0
    box.queues.wanted.clear()
    assert box.room().most("q", 10) > 0


def test_a_queue_that_refuses_is_told_once_and_blocked_when_it_holds_its_share(box: Outbox) -> None:
    filled(box, "missing")
    taken = box.window(0.0)
    learned = learn(box, taken, RETURNED)
    assert [(bad.queue, bad.kind, bad.why) for bad in learned.bad] == [("missing", "returned", "NO_ROUTE")]
    assert box.room().blocked("missing")
    assert box.queues.is_full_and_bad("missing")
    assert learn(box, box.window(1.0), RETURNED).bad == []
    assert not box.room().blocked("good")


def test_all_bad_queues_together_hold_so_much_at_most(box: Outbox) -> None:
    for n in range(6):
        filled(box, f"bad-{n}", first=1000 * n)
        learn(box, box.window(0.0), RETURNED)
    assert len(box) <= MOST_OF_BAD_QUEUES + MOST_OF_ONE_BAD_QUEUE
    assert all(box.room().blocked(f"bad-{n}") for n in range(6))
    proven(box, "good")
    assert filled(box, "good", first=100_000) > 100


def test_a_queue_that_takes_one_message_gets_all_that_waits_for_it_at_once(box: Outbox) -> None:
    filled(box, "q")
    for n in range(6):
        learn(box, box.window(100.0 * n), RETURNED, now=100.0 * n)
    first = box.window(506.4, most=1)
    learned = learn(box, first, CONFIRMED, now=506.4)
    assert learned.well == ["q"]
    assert len(box.window(506.4)) == MOST_OF_ONE_BAD_QUEUE - 1
    assert not box.room().blocked("q")


def test_a_bad_queue_of_which_nothing_is_held_is_given_another_chance(box: Outbox) -> None:
    box.add([intent(1, attempts=1)])
    learn(box, box.window(0.0), RETURNED)
    assert box.queues.bad == frozenset()
    assert box.room().most("q", 10) == MOST_OF_ONE_BAD_QUEUE


def test_a_proven_queue_that_goes_missing_keeps_what_it_holds_and_gets_no_more(box: Outbox) -> None:
    proven(box)
    held = filled(box, "q")
    learn(box, box.window(0.0), RETURNED)
    assert held > MOST_OF_ONE_BAD_QUEUE
    assert box.room().blocked("q")
    assert len(box) == held


def test_after_a_new_connection_queues_are_to_be_proven_again_and_all_may_be_tried_at_once(box: Outbox) -> None:
    proven(box)
    box.add([intent(1)])
    learn(box, box.window(0.0), UNKNOWN)
    box.connected_anew()
    assert ids(box.window(0.0)) == ["1-1"]
    assert box.room().most("q", 10) == MOST_OF_ONE_BAD_QUEUE - 1


def test_of_proven_queues_so_many_are_remembered_at_most(box: Outbox) -> None:
    for n in range(MOST_PROVEN + 1):
        box.queues.prove(f"q{n}")
    assert box.room().most("q0", 10) == MOST_OF_ONE_BAD_QUEUE
    assert box.room().most("q1", 10) > MOST_OF_ONE_BAD_QUEUE
