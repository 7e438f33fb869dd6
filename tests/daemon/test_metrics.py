"""The page that is scraped: exactly the names that were promised, with all their labels from the start."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from beatd.core.census import STATES, Sizes, Tally
from beatd.core.fire import REASONS, FireItem
from beatd.core.timetable import Check
from beatd.daemon.clock import ServerClock
from beatd.daemon.metrics import Exporter
from beatd.daemon.tallies import RELOADS, Tallies
from beatd.daemon.vitals import PUBLISHES, SCRIPT_ERRORS, Vitals

NOW: Final = 1_800_000_000_000
PROMISED: Final = {
    "beatd_fires_total": (),
    "beatd_skips_total": ("reason", REASONS),
    "beatd_lateness_seconds": (),
    "beatd_lag_seconds": (),
    "beatd_due_backlog": (),
    "beatd_entries": ("state", STATES),
    "beatd_leader": (),
    "beatd_epoch": (),
    "beatd_lease_losses_total": (),
    "beatd_script_errors_total": ("code", SCRIPT_ERRORS),
    "beatd_reloads_total": ("result", RELOADS),
    "beatd_redis_round_trip_seconds": (),
}
MORE: Final = {
    "beatd_loop_lag_seconds": (),
    "beatd_outbox_intents": (),
    "beatd_outbox_bytes": (),
    "beatd_publishes_total": ("result", PUBLISHES),
    "beatd_broker_up": (),
    "beatd_requests_open": (),
    "beatd_requests_total": (),
}  # docs/decisions/2026-11-21-metrics.md


class House:
    """A leader of 3 entries that has fired two."""

    def __init__(self) -> None:
        clock = ServerClock(lambda: 100.0)
        clock.observe(100.0, NOW)
        self.tallies, self.vitals = Tallies(), Vitals(clock)
        self.exporter = Exporter(self.tallies, self.vitals, lambda: 0.25)

    def lead(self) -> None:
        self.vitals.emit("leader_acquired", epoch=1_800_000_123, instance="h:1")
        self.vitals.checked(Check(0, 0, NOW - 1_500, 1, NOW, (), Sizes(3, 3, 3, 0, 0), 2))
        self.vitals.counted(Tally(at=NOW))
        fields = {"plain": True, "task_id": "i", "good_until": None, "left": None, "skips": (), "queue_key": "q"}
        item = FireItem("entry-name", "r", NOW, None, (NOW,), messages=[b""], **fields)  # type: ignore[arg-type]
        self.tallies.fired([item, item], NOW + 30)
        self.vitals.answered(0.0003)
        self.vitals.edits_skipped({"removed": 2})
        self.tallies.emit("entry_skipped", reason="removed", count=1)

    def families(self) -> list[Metric]:
        return list(text_string_to_metric_families(self.exporter.page().decode()))

    def value(self, sample: str, **labels: str) -> float:
        (found,) = [
            each.value
            for family in self.families()
            for each in family.samples
            if each.name == sample and each.labels == labels
        ]
        return found


def names(families: Iterable[Metric]) -> dict[str, str]:
    """Names as they are asked for, with the type."""
    return {
        f"{f.name}_total" if f.type == "counter" else f.name: f.type for f in families if f.name.startswith("beatd")
    }


def test_the_names_are_exactly_those_that_were_promised() -> None:
    found = names(House().families())
    assert set(found) == set(PROMISED) | set(MORE)
    assert {name for name, kind in found.items() if kind == "histogram"} == {
        "beatd_lateness_seconds", "beatd_redis_round_trip_seconds",
    }  # fmt: skip


def test_all_labels_are_there_from_the_start() -> None:
    house = House()
    house.lead()
    for name, promised in PROMISED.items():
        (family,) = [f for f in house.families() if f.name == name.removesuffix("_total")]
        labels = [
            (sample.labels.keys() - {"le"}, *(sample.labels.values() if promised else ())) for sample in family.samples
        ]
        if promised:
            label, values = promised
            assert sorted(labels) == sorted(({label}, value) for value in values)
        else:
            assert {frozenset(keys) for keys, *_ in labels} == {frozenset()}


def test_a_leader_tells_what_it_has_counted() -> None:
    house = House()
    house.lead()
    assert house.value("beatd_fires_total") == 2
    assert house.value("beatd_skips_total", reason="removed") == 3
    assert house.value("beatd_lateness_seconds_bucket", le="0.025") == 0
    assert house.value("beatd_lateness_seconds_bucket", le="0.05") == 2
    assert house.value("beatd_lateness_seconds_bucket", le="+Inf") == house.value("beatd_lateness_seconds_count") == 2
    assert house.value("beatd_lateness_seconds_sum") == 0.06
    assert house.value("beatd_lag_seconds") == 1.5
    assert house.value("beatd_due_backlog") == 2
    assert house.value("beatd_entries", state="scheduled") == 3
    assert (house.value("beatd_leader"), house.value("beatd_epoch")) == (1, 1_800_000_123)
    assert house.value("beatd_redis_round_trip_seconds_bucket", le="0.0005") == 1
    assert house.value("beatd_loop_lag_seconds") == 0.25


def test_a_standby_leaves_the_entries_to_the_leader() -> None:
    house = House()
    house.lead()
    house.vitals.emit("lease_lost", epoch=1_800_000_123, reason="x")
    house.tallies.emit("lease_lost", epoch=1_800_000_123, reason="x")
    (entries,) = [family for family in house.families() if family.name == "beatd_entries"]
    assert entries.samples == []
    assert (house.value("beatd_leader"), house.value("beatd_lag_seconds"), house.value("beatd_due_backlog")) == (
        0,
        0,
        0,
    )
    assert (house.value("beatd_lease_losses_total"), house.value("beatd_epoch")) == (1, 1_800_000_123)


def test_no_entry_is_named() -> None:
    house = House()
    house.lead()
    assert b"entry-name" not in house.exporter.page()
