"""`beatd outbox` and `outbox drop`: what waits for another broker, and giving it up; and what `status` says of it."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from beatd.core.fire import Skip
from beatd.core.term import Term
from tests.support.store import Store, fire_item, put_item, settling

Beatd = Callable[..., Any]
BROKER = "b0b0b0b0"


def led(store: Store, broker: object = None) -> Term:
    """A leader, and what it says of its broker."""
    term = store.lead()
    record = {"role": "leader", "seen": store.now(), "broker": broker}
    store.do("HSET", store.key("inst"), "here", json.dumps(record))
    return term


@pytest.fixture
def kept(store: Store) -> Store:
    """Messages of `a` for two queues, and one of `b` that was decided for another broker."""
    term = led(store, {"url": "amqp://mq", "fingerprint": BROKER})
    for name in ("a", "b"):
        store.plant(name, 1_000)
    store.run(settling(store.keys, term, [fire_item("a")]))
    store.run(settling(store.keys, term, [fire_item("a", 2_000, 3_000, queue_key="mail")], dead_at=5, cause="backfill"))
    store.run(settling(store.keys, term, [fire_item("b", messages=(b"x" * 2_000,))], broker="0ther000"))
    return store


def slots(done: Any) -> list[tuple[str, str]]:
    return [(row["name"], row["slot"]) for row in done.json]


def test_what_waits_is_listed_in_the_order_of_its_decision(at_redis: Beatd, kept: Store) -> None:
    done = at_redis("outbox")
    assert done.code == 0
    heads, *rows = (line.split() for line in done.lines)
    assert heads[:6] == ["ENTRY", "SLOT", "AGE", "QUEUE", "SIZE", "TASK"]
    assert [row[0] for row in rows] == ["a", "a", "b"]
    assert done.lines[2].endswith("backfill, too late to be sent")
    assert done.lines[3].endswith("2 kB  b-1000   for another broker")


def test_programs_get_every_field(at_redis: Beatd, kept: Store) -> None:
    rows = at_redis("outbox", "-o", "json").json
    assert rows[1] == {
        "id": "2-1",
        "name": "a",
        "slot": "1970-01-01T00:00:02Z",
        "task_id": "a-2000",
        "queue": "mail",
        "bytes": 6,
        "dead_at": "1970-01-01T00:00:00.005Z",
        "attempts": None,
        "at_most_once": False,
        "sent": False,
        "cause": "backfill",
        "broker": BROKER,
        "left_over": False,
    }
    assert [json.loads(line) for line in at_redis("outbox", "-o", "ndjson").lines] == rows


def test_a_queue_or_what_is_left_over_can_be_asked_for(at_redis: Beatd, kept: Store) -> None:
    assert slots(at_redis("outbox", "--queue", "mail", "-o", "json")) == [("a", "1970-01-01T00:00:02Z")]
    assert slots(at_redis("outbox", "--left-over", "-o", "json")) == [("b", "1970-01-01T00:00:01Z")]


def test_an_empty_outbox_says_so(at_redis: Beatd, store: Store) -> None:
    done = at_redis("outbox")
    assert (done.code, done.out, done.err) == (0, "", "note: nothing waits\n")
    assert at_redis("outbox", "-o", "json").json == []


def test_a_long_list_is_cut_and_says_so(at_redis: Beatd, kept: Store) -> None:
    done = at_redis("outbox", "--limit", "1")
    assert len(done.lines) == 2
    assert "2 more" in done.err
    assert len(at_redis("outbox", "--limit", "0").lines) == 4


def test_what_nobody_can_read_is_told_of(at_redis: Beatd, kept: Store) -> None:
    kept.do("HSET", kept.key("ob"), "1-1", "junk", "junk", "junk")
    done = at_redis("outbox")
    assert len(done.lines) == 3
    assert "2 can't be read" in done.err


@pytest.mark.parametrize(
    "record", [{}, {"role": "standby", "broker": None}, {"role": "leader", "broker": {"url": "x"}}]
)
def test_without_a_leader_that_says_its_broker_nobody_knows_what_is_left_over(
    at_redis: Beatd, kept: Store, record: dict[str, object]
) -> None:
    kept.do("HSET", kept.key("inst"), "here", json.dumps(record))
    assert at_redis("outbox", "--left-over").code == 5
    assert {row["left_over"] for row in at_redis("outbox", "-o", "json").json} == {None}


def test_where_the_leader_sends_to_redis_all_is_left_over(at_redis: Beatd, kept: Store) -> None:
    led(kept, None)
    assert [row["left_over"] for row in at_redis("outbox", "-o", "json").json] == [True] * 3


def waiting(store: Store) -> list[str]:
    return [f"{head[0]}@{head[1]}" for head, _ in store.intents().values()]


@pytest.mark.parametrize(
    "words, left",
    [
        (["a"], ["b@1000"]),
        (["a", "b"], []),
        (["--queue", "mail"], ["a@1000", "b@1000"]),
        (["a", "--queue", "celery"], ["a@2000", "b@1000"]),
        (["--left-over"], ["a@1000", "a@2000"]),
        (["--all"], []),
    ],
)
def test_what_is_dropped_is_gone_with_a_row_each(
    at_redis: Beatd, kept: Store, words: list[str], left: list[str]
) -> None:
    done = at_redis("outbox", "drop", *words, "--yes", "--note", "moved")
    assert (done.code, done.out) == (0, "")
    assert waiting(kept) == left
    gone = 3 - len(left)
    assert done.err == f"{gone} message{'s' if gone > 1 else ''} dropped\n"
    rows = kept.rows("skip")
    assert len(rows) == gone
    assert all(row["why"].endswith(": moved") for row in rows)
    assert json.loads(rows[0]["who"])["note"] == "moved"
    assert all(skip.reason == "undeliverable" for _, skips in kept.skips() for skip in skips)


def test_a_drop_of_what_is_not_there_is_done(at_redis: Beatd, kept: Store) -> None:
    kept.put(put_item("quiet"))
    with kept.unchanged():
        done = at_redis("outbox", "drop", "quiet", "--yes")
    assert (done.code, done.err) == (0, "note: nothing of that kind waits\n")


def test_a_name_of_nothing_is_not_found(at_redis: Beatd, kept: Store) -> None:
    done = at_redis("outbox", "drop", "aa", "--yes")
    assert done.code == 4
    assert "did you mean 'a'?" in done.err


def test_the_messages_of_an_entry_that_was_renamed_can_be_dropped(at_redis: Beatd, kept: Store) -> None:
    kept.put(put_item("new", replaces="a"))
    assert at_redis("outbox", "drop", "a", "--yes").code == 0
    assert waiting(kept) == ["b@1000"]


@pytest.mark.parametrize("words", [[], ["--all", "a"], ["--all", "--left-over"]])
def test_a_drop_says_which_or_all(at_redis: Beatd, kept: Store, words: list[str]) -> None:
    with kept.unchanged():
        assert at_redis("outbox", "drop", *words, "--yes").code == 2


def test_a_drop_that_nobody_can_confirm_needs_yes(at_redis: Beatd, kept: Store) -> None:
    with kept.unchanged():
        assert at_redis("outbox", "drop", "--all").code == 2


def test_options_before_drop_are_refused(beatd: Beatd, kept: Store) -> None:
    done = beatd("outbox", "--left-over", "drop", "a", "--yes")
    assert done.code == 2
    assert "come behind its name" in done.err


def test_status_says_what_waits_and_what_is_left_over(at_redis: Beatd, kept: Store) -> None:
    found = at_redis("status", "-o", "json").json
    assert found["outbox"] == {
        "messages": 3,
        "bytes": 2_012,
        "oldest": "1970-01-01T00:00:01Z",
        "queues": {"celery": 2, "mail": 1},
        "left_over": 1,
    }
    assert "beatd outbox drop --left-over" in found["warnings"][0]
    shown = at_redis("status").out
    assert "3 messages wait (2 kB) for the broker, the oldest of 1970-01-01T00:00:01Z: celery 2, mail 1" in shown


def test_status_of_an_empty_outbox_has_no_line(at_redis: Beatd, store: Store) -> None:
    led(store, None)
    done = at_redis("status")
    assert "outbox" not in done.out
    assert at_redis("status", "-o", "json").json["outbox"]["messages"] == 0


def test_status_goes_on_without_an_outbox_that_another_client_has_overwritten(at_redis: Beatd, store: Store) -> None:
    led(store, None)
    store.do("SET", store.key("ob"), "x")
    assert any(store.key("ob") in text for text in at_redis("status", "-o", "json").json["degraded"])


def test_one_intent_is_told_in_the_singular(at_redis: Beatd, kept: Store) -> None:
    at_redis("outbox", "drop", "a", "--yes")
    assert kept.skips()[0] == ("a", [Skip("undeliverable", 1, 1_000, 1_000)])
    assert "1 message waits (2 kB)" in at_redis("status").out


def test_the_history_says_why_what_was_decided_was_not_sent(at_redis: Beatd, kept: Store) -> None:
    at_redis("outbox", "drop", "a", "--queue", "mail", "--yes", "--note", "no such queue")
    kept.pause("a")
    dropped, paused = (row for row in at_redis("history", "a", "--skips", "-o", "json").json if "why" in row)
    assert (dropped["reason"], paused["reason"]) == ("undeliverable", "paused")
    assert dropped["why"].endswith(": no such queue")
    assert (
        "skipped: paused, it was decided, and taken back before the broker had confirmed it"
        in at_redis("history", "a").out
    )
    refusals = at_redis("status", "-o", "json").json["refusals"]
    assert [each["why"] for each in refusals] == [dropped["why"]]
