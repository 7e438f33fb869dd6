"""The outbox as the leader reads and empties it."""

from collections.abc import AsyncIterator

import pytest

from beatd.core.intent import Draft, Intent
from beatd.core.term import Term
from beatd.errors import LeaseLost, OutboxFull
from beatd.store.connect import RedisAddress
from beatd.store.link import Link
from beatd.store.outbox import NO_MESSAGE, Head, RedisOutbox, Spoilt, pack_head, read_head
from beatd.store.refusals import StoreSpoilt
from beatd.store.timetable import RedisTimetable
from tests.support.servers import RedisServer
from tests.support.store import NO_NUMBERS, Store, draft_of, fire_item

PLAIN = Draft("a", 1_000, "id", "celery", None, None, False, "b0b0b0b0")
FULL = Draft("Ünïcode|,;:", 1_000, "id", "high", 9_000, 3, True, "b0b0b0b0", "backfill")


@pytest.fixture
async def link(clean_redis: RedisServer) -> AsyncIterator[Link]:
    link = await Link.open(RedisAddress(clean_redis.url))
    yield link
    await link.close()


@pytest.fixture
def outbox(link: Link, store: Store) -> RedisOutbox:
    return RedisOutbox(link, store.keys)


def keep(store: Store, *intents: Intent) -> list[Intent]:
    for intent in intents:
        store.do("HSET", store.key("ob"), intent.id, pack_head(intent.draft, len(intent.message)))
        store.do("HSET", store.key("obm"), intent.id, intent.message)
    return list(intents)


def some(count: int, message: bytes = b"m") -> list[Intent]:
    return [
        Intent(f"{n // 7 + 1}-{n % 7 + 1}", PLAIN._replace(slot=n, task_id=f"id{n}"), message) for n in range(count)
    ]


async def everything(outbox: RedisOutbox) -> list[Intent]:
    cursor, found = await outbox.load()
    while cursor != "0":
        cursor, more = await outbox.load(cursor)
        found += more
    return found


@pytest.mark.parametrize("draft", [PLAIN, FULL, FULL._replace(at_most_once=True, sent=True)])
def test_a_head_is_read_as_it_was_written(draft: Draft) -> None:
    assert read_head(pack_head(draft, 7).encode()) == Head(draft, 7)


@pytest.mark.parametrize("place", [1, 4, 5, 9])
@pytest.mark.parametrize("junk", NO_NUMBERS[1:])
def test_a_head_with_a_number_that_is_none_is_no_head(place: int, junk: str) -> None:
    fields = pack_head(PLAIN, 7).split("\x1f")
    fields[place] = junk
    assert read_head("\x1f".join(fields).encode()) is None


@pytest.mark.parametrize("head", [b"", b"x", b"\x1f" * 9, b"\x1f" * 10, b"a\x1f1\x1fid\x1f\x1f\x1f\x1f3\x1fb\x1f\x1f1"])
def test_junk_is_no_head(head: bytes) -> None:
    assert read_head(head) is None


async def test_what_is_settled_is_loaded_as_it_was_decided(store: Store, term: Term, outbox: RedisOutbox) -> None:
    for name in ("a", "b"):
        store.plant(name, 1_000)
    items = [fire_item("gone"), fire_item("a"), fire_item("b")]
    drafts = [[draft_of(item, 1_000, dead_at=5_000)] for item in items]
    timetable = RedisTimetable(outbox.link, store.keys)
    reply = await timetable.settle(term, items, drafts, lambda _: True)
    assert (list(reply.codes), reply.seq) == ([2, 0, 0], 1)
    assert await outbox.load() == (
        "0",
        [Intent("1-2", drafts[1][0], b"a@1000"), Intent("1-3", drafts[2][0], b"b@1000")],
    )


async def test_a_full_outbox_says_so(store: Store, term: Term, outbox: RedisOutbox) -> None:
    store.plant("a", 1_000)
    keep(store, *some(2_000))
    with store.unchanged(), pytest.raises(OutboxFull, match="2000 intents"):
        await RedisTimetable(outbox.link, store.keys).settle(
            term, [fire_item()], [[draft_of(fire_item(), 1_000)]], lambda _: True
        )


async def test_intents_are_loaded_in_their_order_page_by_page(store: Store, outbox: RedisOutbox) -> None:
    intents = keep(store, *reversed(some(250)))
    assert await everything(outbox) == intents[::-1]
    cursor, first = await outbox.load()
    assert (cursor, len(first)) == (first[-1].id, 100)


async def test_an_empty_outbox_is_one_page(outbox: RedisOutbox) -> None:
    assert await outbox.load() == ("0", [])


async def test_what_goes_and_comes_between_two_pages_is_no_trouble(store: Store, outbox: RedisOutbox) -> None:
    intents = keep(store, *some(150))
    cursor, first = await outbox.load()
    await outbox.done(intents[95:110])
    added = keep(store, Intent("99-1", FULL, b"late"))
    assert first + (await outbox.load(cursor))[1] == intents[:100] + intents[110:] + added


async def test_large_messages_come_in_several_answers(store: Store, outbox: RedisOutbox) -> None:
    sizes = [1_500_000, 10, 600_000, 600_000, 10]
    intents = keep(store, *[intent._replace(message=b"x" * size) for intent, size in zip(some(5), sizes, strict=True)])
    assert await everything(outbox) == intents
    calls = store.do("INFO", "commandstats")
    before = _calls(calls, "hmget")
    await everything(outbox)
    assert _calls(store.do("INFO", "commandstats"), "hmget") - before == 3  # 1.5 MB; 0.6 MB; the rest


def _calls(info: str, command: str) -> int:
    line = next(line for line in info.splitlines() if line.startswith(f"cmdstat_{command}:"))
    return int(line.split("calls=")[1].split(",")[0])


async def test_what_nobody_can_read_is_reported_once_and_taken_out(store: Store, outbox: RedisOutbox) -> None:
    intents = keep(store, *some(3))
    store.do("HSET", store.key("ob"), "1-2", "junk")
    store.do("HDEL", store.key("obm"), "1-3")
    store.do("HSET", store.key("ob"), "x", pack_head(PLAIN, 7))
    assert await everything(outbox) == intents[:1]
    assert sorted(outbox.spoilt) == [
        Spoilt("1-2", "", "another client has written there: b'junk'"),
        Spoilt("1-3", "a", NO_MESSAGE),
        Spoilt("x", "", f"another client has written there: {pack_head(PLAIN, 7).encode()!r}"),
    ]
    assert list(store.intents()) == ["1-1"]
    assert [row["why"] for row in store.rows("skip")] == [NO_MESSAGE]
    outbox.spoilt.clear()
    assert await everything(outbox) == intents[:1]
    assert outbox.spoilt == []


async def test_more_strange_ids_than_a_page_holds_hide_nothing(store: Store, outbox: RedisOutbox) -> None:
    for n in range(150):
        store.do("HSET", store.key("ob"), f"strange {n}", "junk")
    intents = keep(store, *some(2))
    assert await outbox.load() == ("0", intents)
    assert len(outbox.spoilt) == 150
    assert len(store.intents()) == 2


@pytest.mark.parametrize("kind", ["ob", "obm"])
async def test_a_key_of_another_type_is_named(store: Store, outbox: RedisOutbox, kind: str) -> None:
    keep(store, *some(1))
    store.do("DEL", store.key(kind))
    store.do("SET", store.key(kind), "x")
    with pytest.raises(StoreSpoilt, match=f"{store.key(kind)} holds a string"):
        await outbox.load()


async def test_only_what_is_still_the_same_intent_stands(store: Store, outbox: RedisOutbox) -> None:
    intents = keep(store, *some(4))
    await outbox.done(intents[:1])
    keep(store, intents[1]._replace(draft=PLAIN._replace(task_id="after a rollback")))
    store.do("HSET", store.key("ob"), intents[2].id, "junk")
    assert await outbox.standing(intents) == [False, False, False, True]
    assert await outbox.standing([]) == []


async def test_done_and_fail_take_any_number(store: Store, term: Term, outbox: RedisOutbox) -> None:
    intents = keep(store, *some(450))
    await outbox.done(intents[:225])
    await outbox.fail(term, [(intent, "no queue takes it") for intent in intents[225:]])
    await outbox.done([])
    await outbox.fail(term, [])
    assert store.intents() == {}
    assert [skips[0].first for _, skips in store.skips()] == list(range(225, 450))


async def test_what_is_sent_at_most_once_is_marked_once(store: Store, outbox: RedisOutbox) -> None:
    plain, once, other = some(3)
    once, other = (intent._replace(draft=intent.draft._replace(at_most_once=True)) for intent in (once, other))
    keep(store, plain, once)
    assert await outbox.mark([plain, once, other]) == [False, True, False]
    with store.unchanged():
        assert await outbox.mark([once]) == [False]
    assert await everything(outbox) == [plain, once._replace(draft=once.draft._replace(sent=True))]
    await outbox.done([once])
    assert await everything(outbox) == [plain]


async def test_a_former_leader_gives_up_nothing(store: Store, term: Term, outbox: RedisOutbox) -> None:
    intents = keep(store, *some(1))
    store.release(term)
    with store.unchanged(), pytest.raises(LeaseLost):
        await outbox.fail(term, [(intents[0], "no")])


async def test_the_leader_hears_each_second_how_many_wait(store: Store, term: Term, outbox: RedisOutbox) -> None:
    timetable = RedisTimetable(outbox.link, store.keys)
    assert (await timetable.check(0, 0)).intents == 0
    keep(store, *some(3))
    assert (await timetable.check(0, 0)).intents == 3


@pytest.mark.parametrize("kind", ["ob", "obm"])
async def test_a_spoilt_outbox_does_not_stop_a_leader_that_pushes_to_redis(
    store: Store, term: Term, outbox: RedisOutbox, kind: str
) -> None:
    store.do("SET", store.key(kind), "x")
    store.plant("a", 1_000)
    timetable = RedisTimetable(outbox.link, store.keys)
    assert (await timetable.check(0, 0)).intents == 0
    assert list((await timetable.fire(term, [fire_item()])).codes) == [0]
