"""A look at an AMQP broker for `doctor`: it changes nothing, and ends within a confirm timeout for each URL."""

import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import amqp
from amqp.exceptions import AMQPError, ChannelError

from beatd.core.broker import Broker
from beatd.core.doctor.brokers import BrokerFacts, BrokerQueue
from beatd.errors import BeatdError
from beatd.transports._login import Login, connection_options, read_logins, understand
from beatd.transports._wire import Connection

MOST_QUEUES = 200


def examine(broker: Broker, queues: Sequence[str]) -> BrokerFacts:
    """What can be seen of a broker: by the first URL that answers, else why the last one did not."""
    problem: BeatdError | None = None
    for login in read_logins(broker):
        begun = time.monotonic()
        try:
            with _open(login, broker) as connection:
                return _look(connection, broker, queues, (time.monotonic() - begun) * 1000)
        except (BeatdError, AMQPError, OSError) as error:
            problem = understand(error, login)
    assert problem is not None  # noqa: S101 - a broker has at least one URL
    return BrokerFacts(broker.label, problem=problem.message, fix=problem.hint or "")


class _Opened:
    """A connection that is dropped at the end of the block, however it stands."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):  # nothing hangs on it any more
            self._connection.close()
        with suppress(Exception):
            self._connection.collect()


def _open(login: Login, broker: Broker) -> _Opened:
    connection = Connection(lambda _: False, **connection_options(login, broker, broker.confirm_timeout))
    connection.deadline = time.monotonic() + broker.confirm_timeout
    try:
        connection.connect()
    except BaseException:
        with suppress(Exception):
            connection.collect()
        raise
    return _Opened(connection)


def _look(connection: Connection, broker: Broker, queues: Sequence[str], ms: float) -> BrokerFacts:
    said: dict[str, Any] = connection.server_properties
    product = f"{said.get('product', '')} {said.get('version', '')}".strip()
    confirms = bool((said.get("capabilities") or {}).get("publisher_confirms"))
    found = [_queue(connection, name) for name in queues[:MOST_QUEUES]]
    refused = _to_nowhere(connection) if confirms else ""
    return BrokerFacts(broker.label, ms, product, confirms=confirms, refused=refused, queues=found)


def _queue(connection: Connection, name: str) -> BrokerQueue:
    channel = connection.channel()
    try:
        found = channel.queue_declare(name, passive=True)
    except ChannelError as error:
        return BrokerQueue(name, missing=str(error.reply_text))
    channel.close()
    return BrokerQueue(name, found.message_count, found.consumer_count)


def _to_nowhere(connection: Connection) -> str:
    """Sends a message to a queue of nobody's: why the broker refused it, '' where it came back."""
    came_back: list[object] = []
    try:
        channel = connection.channel()
        channel.confirm_select()
        channel.events["basic_return"].add(lambda *found: came_back.append(found))
        channel.basic_publish(amqp.Message(""), "", f"beatd-doctor-{uuid.uuid4()}", mandatory=True)
        while not came_back:
            connection.drain_events()
    except ChannelError as error:
        return f"a message is refused: {error.reply_text}"
    return ""
