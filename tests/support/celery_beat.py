"""What ``celery beat`` itself sends for an entry: the real scheduler and the real producer, on a real Redis or to the
very place where kombu hands a message to an AMQP channel.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import redis
from celery import Celery
from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import schedule
from kombu.entity import Exchange, Queue
from kombu.messaging import Producer

from beatd.core.entry import Entry


class Sent(NamedTuple):
    queue_key: str
    message: bytes


class _CeleryAt(Celery):  # type: ignore[misc]  # celery has no types
    """A Celery whose clock stands at one instant, so that relative options count from the slot."""

    instant: datetime

    def now(self) -> datetime:
        return self.instant


class Handed(NamedTuple):
    """What kombu hands to a channel, whatever the broker: AMQP's own words for a message."""

    body: bytes
    content_type: str
    content_encoding: str
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    priority: int
    exchange: str
    routing_key: str


class _Catching(Producer):
    """A producer that keeps what it would publish."""

    caught: Handed

    def _publish(
        self,
        body: bytes | str,
        priority: int | None,
        content_type: str,
        content_encoding: str,
        headers: Mapping[str, Any],
        properties: Mapping[str, Any],
        routing_key: str,
        mandatory: object,
        immediate: object,
        exchange: str,
        *_: object,
        **__: object,
    ) -> None:
        data = body.encode() if isinstance(body, str) else body
        self.caught = Handed(
            data, content_type, content_encoding, headers, properties, priority or 0, exchange, routing_key
        )


def sent_by_celery_beat(
    entry: Entry, options: Mapping[str, Any], client: redis.Redis, *, task_id: str, slot_ms: int
) -> Sent:
    """The list and the message that celery beat sends for the entry's task, args, kwargs and queue with these options.

    The server has to be empty. An exchange that the options name is bound to the queue before.
    """
    server = client.connection_pool.connection_kwargs
    broker = f"redis://{server['host']}:{server['port']}/{server['db']}"
    with _app(broker, slot_ms) as app:
        if options.get("exchange") and options.get("routing_key"):
            _bind(app, entry.queue, options)
        _send(app, entry, options, task_id)
    (key,) = client.scan_iter(_type="list")
    (message,) = client.lrange(key, 0, -1)
    assert isinstance(key, bytes)
    assert isinstance(message, bytes)
    return Sent(key.decode(), message)


def handed_over_by_celery_beat(entry: Entry, options: Mapping[str, Any], *, task_id: str, slot_ms: int) -> Handed:
    """What celery beat hands to kombu's channel for the same."""
    with _app("memory://", slot_ms) as app, app.connection_for_write() as connection:
        producer = _Catching(connection.default_channel)  # type: ignore[no-untyped-call]  # kombu is typed in part
        _send(app, entry, options, task_id, producer)
        return producer.caught


def published_by_celery_beat(
    entry: Entry, options: Mapping[str, Any], broker: str, *, task_id: str, slot_ms: int
) -> None:
    """Celery beat sends the same to a broker, over kombu's own connection to it."""
    with _app(broker, slot_ms) as app:
        _send(app, entry, options, task_id)


def _app(broker: str, slot_ms: int) -> "_CeleryAt":
    app = _CeleryAt("golden", broker=broker, set_as_current=False)
    app.instant = datetime.fromtimestamp(slot_ms / 1_000, UTC)
    return app


def _bind(app: Celery, queue: str, options: Mapping[str, Any]) -> None:
    exchange = Exchange(options["exchange"], options.get("exchange_type", "direct"))
    with app.connection_for_write() as connection:
        Queue(queue, exchange, routing_key=options["routing_key"])(connection.default_channel).declare()


def _send(
    app: Celery, entry: Entry, options: Mapping[str, Any], task_id: str, producer: Producer | None = None
) -> None:
    beat_entry = ScheduleEntry(
        name=entry.name,
        task=entry.task,
        schedule=schedule(60.0, app=app),
        args=entry.args,
        kwargs=dict(entry.kwargs),
        options={**options, "queue": entry.queue, "task_id": task_id},
        app=app,
    )
    Scheduler(app=app, schedule={}).apply_async(beat_entry, producer=producer, advance=False)
