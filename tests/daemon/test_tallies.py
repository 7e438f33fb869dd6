"""What is counted of fires and events."""

import time

from beatd.core.fire import FireItem, Skip
from beatd.daemon.tallies import LATENESS, Tallies

T0 = 1_800_000_000_000


def item(moment: int, *slots: int, plain: bool = False, skips: tuple[Skip, ...] = ()) -> FireItem:
    return FireItem(
        "e", "rev", moment, None, slots, plain=plain, task_id="id", good_until=None, left=None, skips=skips,
        queue_key="celery", messages=[b""] * len(slots),
    )  # fmt: skip


def counted(tallies: Tallies) -> dict[float, int]:
    """How many values lie in each bucket that has any, by its bound in ms."""
    sums = [0, *tallies.lateness.cumulated()]
    bounds = (*LATENESS, float("inf"))
    return {
        bound: after - before for bound, before, after in zip(bounds, sums, sums[1:], strict=False) if after > before
    }


def test_lateness_counts_from_the_moment_to_the_queue() -> None:
    tallies = Tallies()
    tallies.fired([item(T0, T0, plain=True), item(T0 - 7, T0 - 30, plain=True), item(T0 - 700, T0, plain=True)], T0 + 3)
    assert (tallies.fires, counted(tallies)) == (3, {5: 1, 10: 1, 1_000: 1})
    assert tallies.lateness.total == 3 + 10 + 703


def test_each_slot_of_a_catch_up_is_late_by_its_own_moment() -> None:
    tallies = Tallies()
    jitter, owed = 1_000, T0 - 10_000
    skip = Skip("dropped", 4, owed, owed + 4_000)
    tallies.fired([item(owed + jitter, owed + 6_000, owed + 8_000, skips=(skip,))], T0)
    assert (tallies.fires, counted(tallies)) == (2, {1_000: 1, 5_000: 1})
    assert (tallies.skips["dropped"], tallies.lateness.total) == (4, 3_000 + 1_000)


def test_a_move_without_a_fire_counts_its_skips_only() -> None:
    tallies = Tallies()
    tallies.fired([item(T0, skips=(Skip("missed", 3, T0, T0), Skip("expired", 1, T0, T0)))], T0)
    assert (tallies.fires, tallies.lateness.cumulated()[-1]) == (0, 0)
    assert {reason: count for reason, count in tallies.skips.items() if count} == {"missed": 3, "expired": 1}


def test_a_fire_on_time_may_come_with_skips() -> None:
    tallies = Tallies()
    tallies.fired([item(T0, T0, plain=True, skips=(Skip("coalesced", 2, T0 + 1, T0 + 2),))], T0)
    assert (tallies.fires, tallies.lateness.cumulated()[-1], tallies.skips["coalesced"]) == (1, 1, 2)


def test_events_are_counted_by_what_they_tell() -> None:
    tallies = Tallies()
    tallies.emit("entry_skipped", entry="e", reason="past", count=1)
    tallies.emit("entry_skipped", entry="e", reason="blocked", queue="q")  # it waits: nothing is skipped
    tallies.emit("config_reloaded", put=1, removed=0)
    tallies.emit("config_refused", error="x")
    tallies.emit("config_refused", error="y")
    tallies.emit("lease_lost", epoch=1, reason="x")
    tallies.emit("redis_down", error="x")
    assert tallies.skips.total() == tallies.skips["past"] == 1
    assert (tallies.reloads, tallies.lease_losses) == ({"applied": 1, "refused": 2}, 1)


def test_counting_is_cheap_enough_for_a_storm() -> None:
    """0.1 to 0.3 us a fire, measured; five times that would be felt at 150,000 fires a second."""
    batches = [[item(T0 + i % moments, T0, plain=True) for i in range(100)] for moments in (1, 10, 100)]

    def seconds() -> float:
        tallies, began = Tallies(), time.perf_counter()
        for _ in range(100):
            for batch in batches:
                tallies.fired(batch, T0 + 100)
        return time.perf_counter() - began

    assert min(seconds() for _ in range(10)) / 30_000 < 1.5e-6
