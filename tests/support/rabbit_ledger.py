"""Takes what comes to queues of a RabbitMQ node as workers do, over any restart of the node, and keeps it."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime

import amqp
from amqp.exceptions import AMQPError

from tests.support.ledger import Enqueued
from tests.support.rabbit import PASSWORD, USER, VHOST, RabbitServer

TAKEN_AT_ONCE = 500
LOOK_S = 0.1


class RabbitLedger:
    """Consumes until ``close``, over a connection in a thread. A message is acknowledged once it is kept.

    ``all``: each slot of each entry once under each id, in the order of arrival. ``repeats``: what came beyond that,
    without what the node gave out again because it had not heard that it was taken.
    """

    def __init__(self, server: RabbitServer, queues: Sequence[str]) -> None:
        self.repeats = 0
        self._server = server
        self._queues = queues
        self._found: list[Enqueued] = []
        self._known: set[tuple[str, int, str]] = set()
        self._grown = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it."""
        self._closing = True
        self._thread.join(20)

    def all(self) -> list[Enqueued]:
        """What has come so far."""
        with self._grown:
            return list(self._found)

    def wait_for(self, condition: Callable[[Sequence[Enqueued]], bool], *, timeout: float) -> bool:
        """Waits until what has come fulfils it; whether it does."""
        with self._grown:
            return self._grown.wait_for(lambda: condition(self._found), timeout)

    def other_ids(self) -> list[tuple[str, int]]:
        """Slots that came under more than one id."""
        counts = Counter((m.entry, m.slot) for m in self.all())
        return [key for key, count in counts.items() if count > 1]

    def _run(self) -> None:
        while not self._closing:
            with suppress(AMQPError, OSError):
                self._consume()
            time.sleep(LOOK_S)

    def _consume(self) -> None:
        where = f"127.0.0.1:{self._server.port}"
        with amqp.Connection(where, USER, PASSWORD, virtual_host=VHOST, connect_timeout=5) as connection:
            channel = connection.channel()
            channel.basic_qos(0, TAKEN_AT_ONCE, False)
            for queue in self._queues:
                channel.basic_consume(queue, callback=self._came)
            while not self._closing:
                with suppress(TimeoutError):
                    connection.drain_events(timeout=LOOK_S)

    def _came(self, message: amqp.Message) -> None:
        headers = message.headers
        since = datetime.fromisoformat(headers["beatd_slot"]) - datetime(1970, 1, 1, tzinfo=UTC)
        slot = round(since.total_seconds() * 1000)
        key = headers["periodic_task_name"], slot, headers["id"]
        with self._grown:
            if key not in self._known:
                self._known.add(key)
                self._found.append(Enqueued(*key, time.monotonic(), time.time_ns() // 1_000_000))
                self._grown.notify_all()
            elif not message.delivery_info["redelivered"]:
                self.repeats += 1
        message.channel.basic_ack(message.delivery_tag)
