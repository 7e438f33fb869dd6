"""`/metrics`: what this process has counted, in the words of Prometheus.

The names are a promise (CONTRACT). Labels have few values, all of them there from the start; entries are no label, for
there may be a million of them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from beatd.core.histogram import Histogram
from beatd.daemon.tallies import Tallies
from beatd.daemon.vitals import Vitals

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
HELP: Final = {
    "beatd_fires": "Slots whose messages were put on a queue.",
    "beatd_skips": "Slots that were not fired, by reason; what an edit skips counts as one, however many slots.",
    "beatd_lateness_seconds": "From moment (slot + jitter) to the message on its queue, by the clock of Redis.",
    "beatd_lag_seconds": "Age of the oldest moment that is due and not fired; 0 where there is none, and on a standby.",
    "beatd_due_backlog": "Entries that are due and not fired, as counted once a second; 0 on a standby.",
    "beatd_entries": "Entries by state; the leader's only.",
    "beatd_requests_open": "Triggers and backfills that are not served in full; 0 on a standby.",
    "beatd_requests": "Triggers and backfills that ended, by how.",
    "beatd_leader": "1 on the leader, 0 on a standby.",
    "beatd_epoch": "Epoch of the lease, as this instance saw it last; it grows with each change of leader.",
    "beatd_lease_losses": "How often this instance lost the lease, instead of giving it back.",
    "beatd_script_errors": "What scripts answered other than done: items by code, whole calls by the kind of error.",
    "beatd_reloads": "Files that came into effect, and those that were refused or could not be applied in full.",
    "beatd_redis_round_trip_seconds": "From a request to its answer; those that wait for something are left out.",
    "beatd_outbox_intents": "Messages that are decided for another broker than our Redis, and not confirmed by it.",
    "beatd_outbox_bytes": "Bytes of those messages.",
    "beatd_publishes": "Messages handed to that broker, by what came of it; a retry counts again.",
    "beatd_broker_up": "0 while that broker takes no messages from this leader; else 1, as on a standby.",
    "beatd_loop_lag_seconds": "The longest that the loop was held up in the last minute.",
}


class Exporter(Collector):
    """Reads the tallies when it is asked. ``loop_lag``: the worst of the last minute, seconds."""

    def __init__(self, tallies: Tallies, vitals: Vitals, loop_lag: Callable[[], float]) -> None:
        self._tallies = tallies
        self._vitals = vitals
        self._loop_lag = loop_lag
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def page(self) -> bytes:
        """All metrics as text."""
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        """A flat table: a metric a line."""
        tallies, vitals = self._tallies, self._vitals
        skips = {reason: count + vitals.edit_skips[reason] for reason, count in tallies.skips.items()}
        yield _counter("beatd_fires", tallies.fires)
        yield _counters("beatd_skips", "reason", skips)
        yield _histogram("beatd_lateness_seconds", tallies.lateness, 1000)
        yield _gauge("beatd_lag_seconds", vitals.lag())
        yield _gauge("beatd_due_backlog", vitals.backlog())
        yield _gauges("beatd_entries", "state", vitals.entries() or {})
        yield _gauge("beatd_requests_open", vitals.open_requests)
        yield _counters("beatd_requests", "result", tallies.requests)
        yield _gauge("beatd_leader", float(vitals.leads))
        yield _gauge("beatd_epoch", vitals.epoch)
        yield _counter("beatd_lease_losses", tallies.lease_losses)
        yield _counters("beatd_script_errors", "code", vitals.script_errors)
        yield _counters("beatd_reloads", "result", tallies.reloads)
        yield _histogram("beatd_redis_round_trip_seconds", vitals.round_trips, 1)
        yield _gauge("beatd_outbox_intents", vitals.outbox[0])
        yield _gauge("beatd_outbox_bytes", vitals.outbox[1])
        yield _counters("beatd_publishes", "result", vitals.publishes)
        yield _gauge("beatd_broker_up", float(vitals.broker_down_since is None))
        yield _gauge("beatd_loop_lag_seconds", self._loop_lag())


def _counter(name: str, value: float) -> Metric:
    return CounterMetricFamily(name, HELP[name], value=value)


def _gauge(name: str, value: float) -> Metric:
    return GaugeMetricFamily(name, HELP[name], value=value)


def _counters(name: str, label: str, values: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, HELP[name], labels=[label])
    for key, value in list(values.items()):
        family.add_metric([key], value)
    return family


def _gauges(name: str, label: str, values: Mapping[str, int]) -> Metric:
    family = GaugeMetricFamily(name, HELP[name], labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _histogram(name: str, histogram: Histogram, unit: float) -> Metric:
    """``unit``: so many of the histogram's make a second."""
    bounds = [*(str(bound / unit) for bound in histogram.bounds), "+Inf"]
    buckets = list(zip(bounds, map(float, histogram.cumulated()), strict=True))
    return HistogramMetricFamily(name, HELP[name], buckets=buckets, sum_value=histogram.total / unit)
