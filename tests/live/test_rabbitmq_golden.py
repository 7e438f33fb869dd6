"""What a consumer gets from RabbitMQ is what celery beat sends: body, headers and properties, option by option."""

import asyncio
import base64
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import amqp
import pytest

from beatd.core.broker import Broker
from beatd.core.entry import Entry, entry_from_spec
from beatd.core.intent import CONFIRMED, Outcome
from beatd.formats.celery import readable
from beatd.transports import Transport, open_transport
from beatd.uptime import uptime
from tests.support.celery_beat import published_by_celery_beat
from tests.support.golden import CASES, DELIVERY_TAG, ORIGIN, OURS, TASK_ID, Case, has_links, without_ids
from tests.support.messages import messages_of
from tests.support.rabbit import USER, RabbitServer

WITHIN = 5.0


class Pair(NamedTuple):
    """What arrived of a case: ours with what the transport said of it, and celery beat's."""

    outcome: Outcome
    ours: amqp.Message | None
    theirs: amqp.Message | None


@pytest.fixture(scope="module")
def pairs(rabbit_server: RabbitServer) -> Iterator[Mapping[str, Pair]]:
    """All cases by name, sent over one connection of each."""
    with asyncio.Runner() as runner, rabbit_server.channel() as channel:
        transport = runner.run(opened(rabbit_server.url))
        yield {name: sent(case, channel, rabbit_server.url, transport, runner) for name, case in CASES.items()}
        runner.run(transport.close())


async def opened(url: str) -> Transport:
    transport = open_transport(Broker((url,)))
    await transport.connect()
    return transport


def sent(case: Case, channel: amqp.Channel, url: str, transport: Transport, runner: asyncio.Runner) -> Pair:
    """Celery's message and then ours, to a queue as a worker declares it."""
    options = allowed(case.options)
    entry = entry_of(case, options)
    exchange = options.get("exchange")
    bound = bool(exchange and options.get("routing_key"))
    channel.queue_declare(case.queue, durable=True, auto_delete=False)
    if bound:
        channel.exchange_declare(exchange, options.get("exchange_type", "direct"), durable=True, auto_delete=False)
        channel.queue_bind(case.queue, exchange, options["routing_key"])
    got: list[amqp.Message] = []
    tag = channel.basic_consume(
        case.queue, no_ack=True, callback=got.append
    )  # what has expired already reaches nobody later
    published_by_celery_beat(entry, options, url, task_id=TASK_ID, slot_ms=case.slot_ms)
    theirs = next_of(got, channel)
    message = messages_of(entry, ORIGIN).render(TASK_ID, case.slot_ms, DELIVERY_TAG)
    (outcome,) = runner.run(transport.publish([("1-1", message)], uptime() + WITHIN))
    ours = next_of(got, channel)
    channel.basic_cancel(tag)
    channel.queue_delete(case.queue)
    if bound:
        channel.exchange_delete(exchange)
    return Pair(outcome, ours, theirs)


def next_of(got: list[amqp.Message], channel: amqp.Channel) -> amqp.Message | None:
    with suppress(TimeoutError):
        while not got:
            channel.connection.drain_events(timeout=WITHIN)
    return got.pop() if got else None


def allowed(options: Mapping[str, Any]) -> dict[str, Any]:
    """RabbitMQ takes no user_id but that of the connection."""
    return {**options, "user_id": USER} if "user_id" in options else dict(options)


def entry_of(case: Case, options: Mapping[str, Any]) -> Entry:
    spec = {"task": "app.tasks.report", "every": "5s", "args": case.args, "kwargs": case.kwargs, "queue": case.queue}
    return entry_from_spec("nightly", {**spec, "options": options})


@pytest.mark.parametrize("name", CASES)
def test_a_consumer_gets_the_message_of_celery_beat(name: str, pairs: Mapping[str, Pair]) -> None:
    case, pair = CASES[name], pairs[name]

    assert pair.outcome == CONFIRMED
    assert pair.ours is not None
    assert pair.theirs is not None
    assert described(pair.ours, case) == described(pair.theirs, case)


def described(message: amqp.Message, case: Case) -> dict[str, Any]:
    """All of a message but ids, origin, our own headers, and a reply_to that celery makes up and nobody listens to."""
    properties = dict(message.properties)
    headers = properties.pop("application_headers")
    properties.setdefault("priority", 0)  # RabbitMQ takes none for 0
    if "reply_to" not in case.options:
        properties.pop("reply_to", None)
    body = message.body.encode() if isinstance(message.body, str) else bytes(message.body)
    place = (message.delivery_info["exchange"], message.delivery_info["routing_key"])
    return {
        "place": place,
        "properties": properties,
        "headers": {header: value for header, value in headers.items() if header not in OURS},
        "body": b"" if has_links(case) else body,
        "decoded": without_ids(
            readable(
                {
                    "headers": headers,
                    "content-type": properties["content_type"],
                    "content-encoding": properties["content_encoding"],
                    "body": base64.b64encode(body).decode(),
                    "properties": {"body_encoding": "base64"},
                }
            )
        ),
    }
