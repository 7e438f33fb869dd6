"""The lease: one owner at a time, an epoch that only grows, nothing for anybody else."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from beatd.core.term import Candidacy, Term
from beatd.store.lease import acquire_call
from beatd.store.scripts import call
from tests.support.servers import RedisServer
from tests.support.store import NO_NUMBERS, TTL, Store, release_call, renew_call, with_args

# Older servers get the scripts without flags: both texts must work.
pytestmark = pytest.mark.parametrize("store", ["plain", "flagged"], indirect=True)


def held_by_another(store: Store, **fields: str | int) -> None:
    """A lease of somebody else, good for an hour unless the fields say otherwise."""
    until = store.now() + 3_600_000
    lease = {"epoch": 5, "owner": "other", "until": until, "ttl": TTL, "rn": 7, "seq": 3, **fields}
    for field, value in lease.items():
        store.do("HSET", store.key("lease"), field, value)


def test_an_empty_namespace_is_granted_and_says_what_it_is(store: Store) -> None:
    before = store.now()
    granted, epoch, owner, until, now, rn, seq, inc, host, _ = store.acquire("me")
    assert (granted, owner, rn, seq, inc, host) == (1, "me", "1", "0", "inc", "here")
    assert before <= int(now) <= store.now()
    assert int(until) == int(now) + TTL
    assert store.hash("lease") == {
        "epoch": epoch, "owner": "me", "until": until, "ttl": str(TTL), "rn": "1", "seq": "0", "inc": "inc",
        "host": "here", "format": "1",
    }  # fmt: skip
    assert store.hash("meta") == {"shards": "1"}


def test_no_key_of_the_lease_ever_expires(store: Store) -> None:
    store.renew(store.lead())
    assert {stored.dump[1] for stored in store.everything().values()} == {-1}


def test_of_five_concurrent_candidates_one_is_elected(store: Store, clean_redis: RedisServer) -> None:
    def bid(number: int) -> int:
        with Store(clean_redis, flagged=store.flagged).client as client:
            words = acquire_call(store.keys, Candidacy(f"c{number}", TTL, "h", "i")).command(
                sha=False, shebang=store.flagged
            )
            return int(client.execute_command(*words)[0])

    with ThreadPoolExecutor(5) as pool:
        assert sorted(pool.map(bid, range(5))) == [0, 0, 0, 0, 1]


def test_a_held_lease_is_not_granted_and_tells_who_holds_it(store: Store) -> None:
    term = store.lead("first", host="there")
    with store.unchanged():
        granted, epoch, owner, until, _, rn, _, inc, host, _ = store.acquire("second", incarnation="other")
    assert (granted, epoch, owner, until) == (0, str(term.epoch), "first", str(term.until))
    assert (rn, inc, host) == ("1", "inc", "there")


def test_acquiring_twice_is_acquiring_once(store: Store) -> None:
    first = store.lead()
    once = store.contents()
    assert store.lead().epoch == first.epoch
    assert store.contents() == once


def test_a_lease_that_ran_out_by_the_servers_clock_is_taken_over(store: Store) -> None:
    held_by_another(store, until=store.now() - 1)
    assert store.acquire("me")[0] == 1


def test_a_lease_that_has_not_run_out_is_not_taken_over(store: Store) -> None:
    held_by_another(store, until=store.now() + 10_000)
    assert store.acquire("me")[0] == 0


@pytest.mark.parametrize("seen_rn, stood_still, granted", [("7", True, 1), ("7", False, 0), ("6", True, 0)])
def test_a_lease_whose_renewals_stood_still_is_taken_over(
    store: Store, seen_rn: str, stood_still: bool, granted: int
) -> None:
    held_by_another(store)
    assert store.acquire("me", seen_rn=seen_rn, stood_still=stood_still)[0] == granted


def test_a_record_without_renewals_can_stand_still_too(store: Store) -> None:
    held_by_another(store)
    store.do("HDEL", store.key("lease"), "rn")
    rn = store.acquire("me")[5]
    assert store.acquire("me", seen_rn=rn, stood_still=True)[0] == 1


def test_the_epoch_is_never_behind_the_servers_seconds(store: Store) -> None:
    held_by_another(store, until=1)
    assert store.lead().epoch >= store.now() // 1000


def test_an_epoch_ahead_of_the_clock_still_grows(store: Store) -> None:
    ahead = store.now() // 1000 + 86_400
    held_by_another(store, epoch=ahead, until=1)
    assert store.lead().epoch == ahead + 1


def test_every_change_of_the_owner_is_another_epoch(store: Store) -> None:
    epochs = []
    for owner in ("a", "b", "a"):
        term = store.lead(owner)
        epochs.append(term.epoch)
        store.release(term)
    assert epochs == sorted(set(epochs))


def test_a_takeover_keeps_the_incarnation_and_the_count_of_batches(store: Store) -> None:
    held_by_another(store, until=1, inc="old", seq=9)
    term = store.lead(incarnation="new")
    assert (term.incarnation, term.seq) == ("old", 9)


def test_a_newer_stored_format_refuses_the_lease(store: Store) -> None:
    held_by_another(store, until=1, format=2)
    said = store.refusal(acquire_call(store.keys, Candidacy("me", TTL, "h", "i")))
    assert said.startswith("FORMAT the stored format is 2, this instance speaks 1")


def test_an_older_stored_format_is_replaced_by_a_takeover(store: Store) -> None:
    held_by_another(store, until=1, format=0)
    store.lead()
    assert store.hash("lease")["format"] == "1"


def test_another_number_of_shards_refuses_the_lease(store: Store) -> None:
    store.do("HSET", store.key("meta"), "shards", 4)
    assert store.refusal(acquire_call(store.keys, Candidacy("me", TTL, "h", "i"))).startswith("SHARDS ")


@pytest.mark.parametrize("changes", [{0: ""}, {1: 999}, {1: "6e3"}, {1: ""}, {4: "one"}, {4: ""}])
def test_a_malformed_candidacy_is_refused(store: Store, changes: dict[int, str | int]) -> None:
    good = acquire_call(store.keys, Candidacy("me", TTL, "h", "i"))
    assert store.refusal(with_args(good, changes)).startswith("MALFORMED ")


def test_a_call_with_too_few_words_is_refused(store: Store) -> None:
    for name in ("acquire", "renew", "release"):
        assert store.refusal(call(name, store.keys, ["1"])).startswith("MALFORMED ")


def test_renewing_prolongs_from_now_and_counts(store: Store) -> None:
    term = store.lead()
    store.do("HSET", store.key("lease"), "until", 1, "seq", 4)
    until, now, rn, seq, inc = store.renew(term)
    assert (int(until) - int(now), rn, seq, inc) == (TTL, "2", "4", "inc")
    assert (store.hash("lease")["until"], store.hash("lease")["rn"]) == (until, "2")


def test_renewing_twice_is_renewing_once(store: Store) -> None:
    term = store.lead()
    store.renew(term)
    once = store.contents()
    store.renew(term)
    assert store.contents() == once


def test_releasing_blanks_the_owner_keeps_the_epoch_and_wakes_the_standbys(store: Store) -> None:
    term = store.lead()
    with store.client.pubsub() as standby:
        standby.subscribe(store.key("ctl"))
        standby.get_message(timeout=5)
        store.release(term)
        heard = standby.get_message(timeout=5)
    assert heard is not None
    assert heard["data"] == "released"
    lease = store.hash("lease")
    assert (lease["owner"], lease["epoch"], lease["until"]) == ("", str(term.epoch), "0")


def test_releasing_twice_is_releasing_once(store: Store) -> None:
    term = store.lead()
    store.release(term)
    assert store.refusal(release_call(store.keys, term)).startswith("FENCED ")


def test_a_released_lease_is_granted_at_once(store: Store) -> None:
    store.release(store.lead("first"))
    assert store.acquire("second")[0] == 1


def strangers(term: Term) -> list[Term]:
    """Whoever might take themselves for the leader."""
    return [
        replace(term, epoch=term.epoch - 1),
        replace(term, epoch=term.epoch + 1),
        replace(term, owner="other"),  # the same epoch, granted twice after a failover that lost a suffix
        replace(term, owner=""),
    ]


def test_a_stranger_neither_renews_nor_releases(store: Store) -> None:
    for stranger in strangers(store.lead()):
        assert store.refusal(renew_call(store.keys, stranger)).startswith("FENCED ")
        assert store.refusal(release_call(store.keys, stranger)).startswith("FENCED ")


def test_a_blank_owner_is_a_stranger_to_a_released_lease_too(store: Store) -> None:
    term = store.lead()
    store.release(term)
    assert store.refusal(renew_call(store.keys, replace(term, owner=""))).startswith("FENCED ")


def test_renewing_never_creates_the_record(store: Store) -> None:
    term = store.lead()
    store.do("DEL", store.key("lease"))
    assert store.refusal(renew_call(store.keys, term)).startswith("FENCED ")
    assert store.refusal(release_call(store.keys, term)).startswith("FENCED ")


def test_a_leader_of_another_format_is_refused(store: Store) -> None:
    term = store.lead()
    store.do("HSET", store.key("lease"), "format", 2)
    assert store.refusal(renew_call(store.keys, term)).startswith("FORMAT ")
    assert store.refusal(release_call(store.keys, term)).startswith("FORMAT ")


@pytest.mark.parametrize("kind", ["lease", "meta"])
def test_a_key_of_a_wrong_type_is_named(store: Store, kind: str) -> None:
    store.do("SET", store.key(kind), "x")
    said = store.refusal(acquire_call(store.keys, Candidacy("me", TTL, "h", "i")))
    assert said.startswith(f"BADTYPE {store.key(kind)} holds a string, beatd keeps a hash there")


@pytest.mark.parametrize("junk", [*NO_NUMBERS[1:], "x"])
def test_a_spoilt_record_can_be_taken_over_and_renewed(store: Store, junk: str) -> None:
    fields = dict.fromkeys(("epoch", "until", "ttl", "rn", "seq"), junk)
    held_by_another(store, **fields)
    term = store.lead()
    assert term.epoch >= store.now() // 1000
    store.do("HSET", store.key("lease"), "ttl", junk, "rn", junk, "seq", junk)
    assert all(reply.isdigit() for reply in store.renew(term)[:4])
