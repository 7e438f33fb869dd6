"""What ``celery beat`` itself puts on Redis for an entry: the real scheduler, the real producer, a real server."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import redis
from celery import Celery
from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import schedule

from beatd.core.entry import Entry


class Sent(NamedTuple):
    queue_key: str
    message: bytes


class _CeleryAt(Celery):  # type: ignore[misc]  # celery has no types
    """A Celery whose clock stands at one instant, so that relative options count from the slot."""

    instant: datetime

    def now(self) -> datetime:
        return self.instant


def sent_by_celery_beat(
    entry: Entry, options: Mapping[str, Any], client: redis.Redis, *, task_id: str, slot_ms: int
) -> Sent:
    """The list and the message that celery beat sends for the entry's task, args, kwargs and queue with these options.

    The server has to be empty.
    """
    server = client.connection_pool.connection_kwargs
    broker = f"redis://{server['host']}:{server['port']}/{server['db']}"
    app = _CeleryAt("golden", broker=broker, set_as_current=False)
    app.instant = datetime.fromtimestamp(slot_ms / 1_000, UTC)
    given = {**options, "queue": entry.queue, "task_id": task_id}
    with app:
        beat_entry = ScheduleEntry(
            name=entry.name,
            task=entry.task,
            schedule=schedule(60.0, app=app),
            args=entry.args,
            kwargs=dict(entry.kwargs),
            options=given,
            app=app,
        )
        Scheduler(app=app, schedule={}).apply_async(beat_entry, advance=False)
    (key,) = client.scan_iter(_type="list")
    (message,) = client.lrange(key, 0, -1)
    assert isinstance(key, bytes)
    assert isinstance(message, bytes)
    return Sent(key.decode(), message)
