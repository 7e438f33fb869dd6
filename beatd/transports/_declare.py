"""Whether the queue of a message exists, and what is done where it does not: see ``Broker.declare``.

The questions go over a channel of their own, for a broker closes the channel on which it has to say no. A queue that
exists is only asked for and never declared: its arguments (x-max-priority, quorum) are its owner's business.
"""

from typing import Any

import amqp
from amqp.exceptions import AccessRefused, ChannelError, NotFound

from beatd.core.broker import Declare
from beatd.core.intent import Outcome


class Queues:
    """What is known of the queues behind one connection."""

    def __init__(self, connection: amqp.Connection, declare: Declare, vhost: str) -> None:
        self._connection = connection
        self._declare = declare
        self._vhost = vhost
        self._channel: Any = None
        self._known: set[tuple[str, str]] = set()

    def missing(self, exchange: str, routing_key: str) -> Outcome | None:
        """What becomes of a message to there before it is sent: None where it may be. May raise what ends it all."""
        place = (exchange, routing_key if not exchange else "")
        if self._declare == "none" or place in self._known:
            return None
        if self._channel is None:
            self._channel = self._connection.channel()
        found = self._look_for(*place)
        if found is None:
            self._known.add(place)
        return found

    def forget(self, exchange: str, routing_key: str) -> None:
        """It is looked for again before the next message."""
        self._known.discard((exchange, routing_key if not exchange else ""))

    def _look_for(self, exchange: str, queue: str) -> Outcome | None:
        try:
            if exchange:
                self._channel.exchange_declare(exchange, "direct", passive=True)
            else:
                self._channel.queue_declare(queue, passive=True)
        except NotFound as error:
            if self._declare == "celery":
                return self._make(exchange, queue)
            return Outcome("returned", f"{self._named(exchange, queue)} ({error.reply_text})")
        except ChannelError:  # it may not be asked for, or is somebody's own: sending to it will tell
            return None
        return None

    def _make(self, exchange: str, queue: str) -> Outcome | None:
        """As Celery declares what it sends to: direct and durable, a queue bound to the exchange of its name."""
        try:
            self._channel.exchange_declare(exchange or queue, "direct", durable=True, auto_delete=False)
            if not exchange:
                self._channel.queue_declare(queue, durable=True, auto_delete=False)
                self._channel.queue_bind(queue, queue, queue)
        except AccessRefused as error:
            return Outcome("refused", f"{self._named(exchange, queue)}, and it may not be declared: {error.reply_text}")
        except ChannelError as error:
            return Outcome("refused", f"{self._named(exchange, queue)} could not be declared: {error.reply_text}")
        return None

    def _named(self, exchange: str, queue: str) -> str:
        kind, name = ("exchange", exchange) if exchange else ("queue", queue)
        return f"no {kind} {name!r} in the virtual host {self._vhost!r}"
