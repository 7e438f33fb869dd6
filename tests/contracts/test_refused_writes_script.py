"""A server that refuses to write: out of memory, out of disk, out of replicas, or a replica itself.

Whatever would grow is refused before anything is written; the lease lives on, and entries can be stopped.
"""

import shutil
import time
from collections.abc import Callable, Iterator

import pytest

from beatd.core.edit import PutItem
from beatd.core.term import Candidacy, Term
from beatd.core.timetable import PlanItem
from beatd.store.entries import Pause, pause_call, put_call, remove_call, reset_call, resume_call
from beatd.store.lease import acquire_call
from beatd.store.outbox import done_call, fail_call
from beatd.store.scripts import Call
from beatd.store.timetable import fire_call, plan_call
from tests.support.servers import RedisServer
from tests.support.store import REV, WHO, Store, fire_item, put_item, release_call, renew_call, settling, skip_item

StartRedis = Callable[..., RedisServer]


@pytest.fixture
def own(start_redis: StartRedis) -> Iterator[Store]:
    """A namespace on a server of this test alone, with two entries that are due and one to be planned."""
    store = Store(start_redis(maxmemory_policy="noeviction"))
    store.plant("a", 1_000)
    store.plant("b", 1_000, left=3)
    store.plant("new", -500)
    store.plant("held", 1_000)
    store.pause("held")
    store.do("HSET", store.key("ob"), "9-1", "a\x1f5\x1fid\x1fq\x1f\x1f\x1f0\x1fb\x1f\x1f1")
    store.do("HSET", store.key("obm"), "9-1", "m")
    yield store
    store.client.close()


def fill(store: Store) -> None:
    """From now on the server is above its memory limit."""
    store.do("CONFIG", "SET", "maxmemory", "1")


def growing(store: Store, term: Term) -> list[Call]:
    """Calls that would write something new."""
    keys = store.keys
    edits: list[PutItem] = [put_item("a", "n2.f2"), put_item("c"), put_item("d", enabled=False)]
    return [
        fire_call(keys, term, [fire_item("a"), fire_item("b", left=2, queue_key="other")]),
        fire_call(keys, term, [fire_item("a", next_moment=None)]),
        fire_call(keys, term, [skip_item("a")]),
        settling(keys, term, [fire_item("a"), fire_item("b", left=2)]),
        settling(keys, term, [skip_item("a")]),
        put_call(keys, edits, WHO),
        *(put_call(keys, [edit], WHO) for edit in edits),
        put_call(keys, [put_item("c", replaces="a")], WHO),
        resume_call(keys, ["held"], "r1", WHO, catchup=False),
        reset_call(keys, {"b": 5}, "s1", WHO),
    ]


def everything(store: Store, term: Term) -> list[Call]:
    """One call of every script, each of which would change something."""
    keys = store.keys
    return [
        *growing(store, term),
        plan_call(keys, term, [PlanItem("new", REV, "-500", "1000")]),
        remove_call(keys, ["a", "b"], WHO),
        pause_call(keys, ["a", "b"], "p1", WHO, Pause("me")),
        pause_call(keys, ["a", "b"], "p2", WHO, Pause("me", until=store.now() + 60_000)),
        done_call(keys, [("9-1", "id")]),
        fail_call(keys, term, [("9-1", "id")], ["no"]),
        acquire_call(keys, Candidacy(term.owner, 9_000, "h", "i")),
        renew_call(keys, term),
        release_call(keys, term),
    ]


def test_fire_and_put_write_nothing_at_all_without_memory(own: Store) -> None:
    term = own.lead()
    fill(own)
    for wanted in growing(own, term):
        assert own.refusal(wanted).startswith("OOM ")


def test_what_was_refused_for_want_of_memory_works_when_there_is_some(own: Store) -> None:
    term = own.lead()
    fill(own)
    wanted = growing(own, term)[0]
    own.refusal(wanted)
    own.do("CONFIG", "SET", "maxmemory", "0")
    assert own.run(wanted)[0] == "00"
    assert (own.queue(), own.queue("other")) == (["a@1000"], ["b@1000"])


def test_entries_can_be_removed_without_memory(own: Store) -> None:
    for name, flagged in (("a", False), ("b", own.flagged)):
        own.flagged = flagged
        own.do("CONFIG", "SET", "maxmemory", "0")
        before = len(own.rows("log"))
        fill(own)
        assert own.remove(name) == "0"
        assert name not in own.hash("rev")
        assert name in own.hash("gone")
        assert len(own.rows("log")) == before + 1


@pytest.mark.parametrize("minutes", [None, 60])
def test_entries_can_be_paused_without_memory(own: Store, minutes: int | None) -> None:
    until = None if minutes is None else own.now() + minutes * 60_000
    for name, flagged in (("a", False), ("b", own.flagged)):
        own.flagged = flagged
        own.do("CONFIG", "SET", "maxmemory", "0")
        before = len(own.rows("log"))
        fill(own)
        assert own.pause(name, nonce=f"p-{name}", until=until) == "0"
        assert own.scores().get(name) == (None if until is None else f"-{until - 1}")
        assert name in own.hash("out" if until is None else "hold")
        assert len(own.rows("log")) == before + 1


def test_the_lease_is_kept_and_handed_over_without_memory(own: Store) -> None:
    if not own.flagged:
        pytest.skip("this server knows no #!lua: the lease lapses")
    fill(own)
    term = own.lead()
    own.renew(term)
    own.release(term)
    assert own.hash("lease")["owner"] == ""
    assert own.lead("next").epoch > term.epoch


def test_the_plain_scripts_of_the_lease_write_nothing_without_memory(own: Store) -> None:
    own.flagged = False
    term = own.lead()
    fill(own)
    for wanted in (renew_call(own.keys, term), release_call(own.keys, term)):
        assert own.refusal(wanted).startswith("OOM ")
    own.do("CONFIG", "SET", "maxmemory", "0")
    own.do("DEL", own.key("lease"), own.key("meta"))
    fill(own)
    assert own.refusal(acquire_call(own.keys, Candidacy("me", 6_000, "h", "i"))).startswith("OOM ")


def test_marks_are_still_planned_without_memory(own: Store) -> None:
    term = own.lead()
    fill(own)
    assert own.plan(term, PlanItem("new", REV, "-500", "1000")) == "0"
    assert own.scores()["new"] == "1000"


def test_the_outbox_is_emptied_without_memory(own: Store) -> None:
    fill(own)
    if own.flagged:
        assert own.run(fail_call(own.keys, own.lead(), [("9-1", "id")], ["no"]))[0] == "0"
        assert len(own.rows("skip")) == 1
    else:
        assert own.run(done_call(own.keys, [("9-1", "id")]))[0] == "0"
    assert own.intents() == {}


def refuses_everything(store: Store, term: Term, word: str) -> None:
    for wanted in everything(store, term):
        assert store.refusal(wanted).startswith(word)


def test_too_few_replicas_refuse_every_script_whole(own: Store) -> None:
    term = own.lead()
    own.do("CONFIG", "SET", "min-replicas-to-write", "1")
    refuses_everything(own, term, "NOREPLICAS ")


def test_a_replica_refuses_every_script_whole(own: Store) -> None:
    term = own.lead()
    own.do("REPLICAOF", "127.0.0.1", 1)  # nobody there: it keeps what it has, for reading
    refuses_everything(own, term, "READONLY ")


def test_a_server_that_cannot_persist_refuses_every_script_whole(own: Store) -> None:
    term = own.lead()
    own.do("CONFIG", "SET", "save", "3600 1")
    shutil.rmtree(own.do("CONFIG", "GET", "dir")[1])
    own.do("BGSAVE")
    give_up = time.monotonic() + 5
    while "rdb_last_bgsave_status:err" not in own.do("INFO", "persistence"):
        assert time.monotonic() < give_up
        time.sleep(0.002)
    refuses_everything(own, term, "MISCONF ")
