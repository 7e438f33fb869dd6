"""Messages to a real RabbitMQ: confirmed, returned, refused, or without an answer; and nothing ever hangs."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from beatd.core.broker import Broker, split_urls
from beatd.core.intent import Outcome
from beatd.errors import AccessDenied, Unreachable
from beatd.transports import Transport, open_transport
from beatd.transports.amqp import AmqpTransport
from beatd.uptime import uptime
from tests.support.certificates import Authority
from tests.support.envelopes import envelope, task_id, window
from tests.support.rabbit import READER, VHOST, RabbitServer, rabbit_program
from tests.support.servers import free_port, require

WITHIN = 20.0
Declare = Callable[..., str]


def soon() -> float:
    return uptime() + WITHIN


@pytest.fixture
def queue(rabbit_server: RabbitServer) -> Declare:
    """Declares a durable queue with arguments and a name of its own."""

    def declare(**arguments: Any) -> str:
        name = f"queue-{uuid.uuid4().hex[:8]}"
        named = {key.replace("_", "-"): value for key, value in arguments.items()}
        with rabbit_server.channel() as channel:
            channel.queue_declare(name, durable=True, auto_delete=False, arguments=named)
        return name

    return declare


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Transport]:
    transport = open_transport(Broker(split_urls(url), **options))
    try:
        await transport.connect()
        yield transport
    finally:
        await transport.close()


async def until(holds: Callable[[], bool], transport: Transport) -> None:
    """Waits for a change of the transport that makes it so."""
    changed = asyncio.Event()
    transport.on_change = changed.set
    async with asyncio.timeout(WITHIN):
        while not holds():
            await changed.wait()
            changed.clear()


def kinds(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.kind for outcome in outcomes]


async def test_every_message_of_a_window_is_confirmed_and_arrives_in_order(
    rabbit_server: RabbitServer, queue: Declare
) -> None:
    name = queue()
    async with connected(rabbit_server.url) as transport:
        assert kinds(await transport.publish(window(name, 300), soon())) == ["confirmed"] * 300
    assert [message.correlation_id for message in rabbit_server.take_all(name)] == [task_id(n) for n in range(300)]


async def test_windows_may_overtake_no_window_before_them(rabbit_server: RabbitServer, queue: Declare) -> None:
    name = queue()
    async with connected(rabbit_server.url) as transport:
        given = [transport.publish(window(name, 100, first), soon()) for first in (0, 100, 200)]
        for outcomes in await asyncio.gather(*given):
            assert kinds(outcomes) == ["confirmed"] * 100
    assert [message.correlation_id for message in rabbit_server.take_all(name)] == [task_id(n) for n in range(300)]


async def test_a_missing_queue_is_named_and_disturbs_no_other(rabbit_server: RabbitServer, queue: Declare) -> None:
    name = queue()
    async with connected(rabbit_server.url) as transport:
        mixed = [("1-1", envelope(name, 1)), ("1-2", envelope("nowhere", 2)), ("1-3", envelope(name, 3))]
        outcomes = await transport.publish(mixed, soon())
        assert kinds(outcomes) == ["confirmed", "returned", "confirmed"]
        assert outcomes[1].why == "no queue 'nowhere' (NO_ROUTE)"


@pytest.mark.parametrize("declare", ["none", "passive", "celery"])
async def test_a_missing_exchange_disturbs_no_message_to_another_one(
    rabbit_server: RabbitServer, queue: Declare, declare: str
) -> None:
    name, nowhere = queue(), f"nowhere-{declare}"
    async with connected(rabbit_server.url, declare=declare) as transport:
        mixed = [
            (f"1-{n}", envelope(name, n, exchange=nowhere if n % 2 else "") if n % 2 else envelope(name, n))
            for n in range(40)
        ]
        outcomes = await transport.publish(mixed, soon())
        assert kinds(outcomes[::2]) == ["confirmed"] * 20
        assert set(kinds(outcomes[1::2])) == {"returned"}
        assert nowhere in outcomes[1].why
        assert transport.connected


async def test_a_queue_that_is_full_refuses(rabbit_server: RabbitServer, queue: Declare) -> None:
    name = queue(x_max_length=3, x_overflow="reject-publish")
    async with connected(rabbit_server.url) as transport:
        outcomes = [await transport.publish(window(name, 1, n), soon()) for n in range(5)]
        assert [kinds(found)[0] for found in outcomes] == ["confirmed"] * 3 + ["refused"] * 2
        assert outcomes[4][0].why == "the broker refused it (negative confirm): is its queue full?"


@pytest.mark.parametrize("declare", ["none", "passive", "celery"])
@pytest.mark.parametrize("arguments", [{}, {"x_max_priority": 10}, {"x_queue_type": "quorum"}])
async def test_a_queue_that_a_worker_declared_in_its_own_way_is_no_conflict(
    rabbit_server: RabbitServer, queue: Declare, declare: str, arguments: dict[str, Any]
) -> None:
    name = queue(**arguments)
    async with connected(rabbit_server.url, declare=declare) as transport:
        assert kinds(await transport.publish(window(name, 5), soon())) == ["confirmed"] * 5


async def test_a_missing_queue_is_declared_as_celery_would_where_that_is_asked_for(rabbit_server: RabbitServer) -> None:
    name = f"queue-{uuid.uuid4().hex[:8]}"
    async with connected(rabbit_server.url, declare="celery") as transport:
        assert kinds(await transport.publish(window(name, 2), soon())) == ["confirmed"] * 2
    with rabbit_server.channel() as channel:  # Celery's own declaration fits
        channel.exchange_declare(name, "direct", durable=True, auto_delete=False)
        channel.queue_declare(name, durable=True, auto_delete=False)


async def test_a_missing_queue_that_is_asked_for_first_disturbs_no_other(
    rabbit_server: RabbitServer, queue: Declare
) -> None:
    name = queue()
    async with connected(rabbit_server.url, declare="passive") as transport:
        mixed = [("1-1", envelope(name, 1)), ("1-2", envelope("nowhere", 2)), ("1-3", envelope(name, 3))]
        outcomes = await transport.publish(mixed, soon())
        assert kinds(outcomes) == ["confirmed", "returned", "confirmed"]
        assert outcomes[1].why.startswith(f"no queue 'nowhere' in the virtual host '{VHOST}' (NOT_FOUND")


async def test_who_may_not_write_is_told_so(rabbit_server: RabbitServer, queue: Declare) -> None:
    name = queue()
    async with connected(rabbit_server.url_of(READER)) as transport:
        (outcome,) = await transport.publish(window(name, 1), soon())
        assert outcome.kind == "refused"
        assert "ACCESS_REFUSED" in outcome.why


async def test_a_message_larger_than_the_broker_takes_is_refused_and_others_go_on(
    rabbit_server: RabbitServer, queue: Declare
) -> None:
    name = queue()
    rabbit_server.control("eval", "application:set_env(rabbit, max_message_size, 20000).")
    try:
        async with connected(rabbit_server.url) as transport:
            (outcome,) = await transport.publish([("1-1", envelope(name, 1, text="x" * 30_000))], soon())
            assert (outcome.kind, outcome.hopeless) == ("refused", True)
            assert "larger than" in outcome.why
            mixed = [("1-2", envelope(name, 2)), ("1-3", envelope(name, 3, text="x" * 40_000))]
            assert kinds(await transport.publish(mixed, soon())) == ["confirmed", "refused"]
    finally:
        rabbit_server.control("eval", "application:set_env(rabbit, max_message_size, 134217728).")


async def test_a_message_of_many_frames_arrives_whole(rabbit_server: RabbitServer, queue: Declare) -> None:
    name, text = queue(), "0123456789" * 12_000
    async with connected(rabbit_server.url) as transport:
        assert kinds(await transport.publish([("1-1", envelope(name, text=text))], soon())) == ["confirmed"]
    (message,) = rabbit_server.take_all(name)
    assert text in message.body


async def test_what_amqp_cant_say_is_refused_alone(rabbit_server: RabbitServer, queue: Declare) -> None:
    name = queue()
    long_key: dict[str, Any] = {"k" * 300: 1}
    bad = [envelope(name, **long_key), envelope(name, huge=2**70), envelope(name, text="", large="x" * 140_000)]
    async with connected(rabbit_server.url) as transport:
        given = [*bad, b"no envelope", b'{"body": 1}', envelope(name, 9)]
        outcomes = await transport.publish([(f"1-{n}", message) for n, message in enumerate(given)], soon())
        assert kinds(outcomes) == ["refused"] * 5 + ["confirmed"]
        assert [outcome.hopeless for outcome in outcomes] == [True] * 5 + [False]


async def test_a_message_that_the_broker_never_takes_is_found_once_it_goes_alone(
    rabbit_server: RabbitServer, queue: Declare
) -> None:
    name = queue()
    bad = ("1-1", envelope(name, 1, CC="no list"))
    async with connected(rabbit_server.url) as transport:
        beside = await transport.publish([bad, ("1-2", envelope(name, 2))], soon())
        assert kinds(beside) == ["unknown", "unknown"]  # the broker does not say which of them it was
        (alone,) = await transport.publish([bad], soon())
        assert (alone.kind, alone.hopeless) == ("refused", True)
        assert "PRECONDITION_FAILED" in alone.why
        assert kinds(await transport.publish([("1-3", envelope(name, 3))], soon())) == ["confirmed"]


async def test_nothing_is_written_after_the_given_instant(rabbit_server: RabbitServer, queue: Declare) -> None:
    name = queue()
    async with connected(rabbit_server.url) as transport:
        assert kinds(await transport.publish(window(name, 3), uptime())) == ["unknown"] * 3
        assert kinds(await transport.publish(window(name, 3), soon())) == ["confirmed"] * 3
    assert len(rabbit_server.take_all(name)) == 3


async def test_a_machine_that_slept_past_trust_writes_nothing(rabbit_server: RabbitServer, queue: Declare) -> None:
    name, asleep = queue(), 0.0
    transport = AmqpTransport(Broker((rabbit_server.url,)), lambda: uptime() + asleep)
    await transport.connect()
    trusted = uptime() + WITHIN
    assert kinds(await transport.publish(window(name, 2), trusted)) == ["confirmed"] * 2
    asleep = 60.0
    assert kinds(await transport.publish(window(name, 3, 2), trusted)) == ["unknown"] * 3
    await transport.close()
    assert len(rabbit_server.take_all(name)) == 2


async def test_a_frozen_broker_runs_into_the_deadline_and_gets_nothing_twice(
    rabbit_server: RabbitServer, queue: Declare
) -> None:
    name = queue()
    async with connected(rabbit_server.url, confirm_timeout=0.5) as transport:
        assert kinds(await transport.publish(window(name, 1), soon())) == ["confirmed"]
        with rabbit_server.frozen():
            begun = time.monotonic()
            assert kinds(await transport.publish(window(name, 50, 1), soon())) == ["unknown"] * 50
            assert time.monotonic() - begun < 3
        outcomes = await transport.publish(window(name, 50, 1), soon())
        while set(kinds(outcomes)) != {"confirmed"}:  # a machine may need longer than this timeout to wake it
            outcomes = await transport.publish(window(name, 50, 1), soon())
    assert [message.correlation_id for message in rabbit_server.take_all(name)] == [task_id(n) for n in range(51)]


async def test_a_frozen_broker_is_found_by_its_heart(rabbit_server: RabbitServer) -> None:
    async with connected(rabbit_server.url, heartbeat=1) as transport:
        with rabbit_server.frozen():
            await until(lambda: not transport.connected, transport)


async def test_a_frozen_broker_does_not_hold_up_who_connects(rabbit_server: RabbitServer) -> None:
    with rabbit_server.frozen():
        transport = open_transport(Broker((rabbit_server.url,), confirm_timeout=0.3))
        with pytest.raises(Unreachable, match="gave no answer in time"):
            await transport.connect()
        await transport.close()


async def test_a_broker_without_memory_blocks_and_goes_on(rabbit_server: RabbitServer, queue: Declare) -> None:
    name = queue()
    async with connected(rabbit_server.url, confirm_timeout=0.5) as transport:
        assert transport.blocked == ""
        with rabbit_server.out_of_memory():
            assert kinds(await transport.publish(window(name, 5), soon())) == ["unknown"] * 5
            await until(lambda: bool(transport.blocked), transport)
            assert transport.blocked == "the broker takes nothing for now: low on memory"
            assert transport.connected
            (outcome,) = await transport.publish(window(name, 1, 5), soon())
            assert (outcome.kind, outcome.why) == ("unknown", transport.blocked)
        await until(lambda: not transport.blocked, transport)
        outcomes = await transport.publish(window(name, 6), soon())
        while set(kinds(outcomes)) != {"confirmed"}:
            outcomes = await transport.publish(window(name, 6), soon())
    assert sorted(m.correlation_id for m in rabbit_server.take_all(name)) == sorted(task_id(n) for n in range(6))


async def test_a_broker_that_dies_in_the_middle_of_a_window_leaves_the_rest_unknown(
    rabbit_server: RabbitServer, queue: Declare
) -> None:
    name = queue()
    async with connected(rabbit_server.url) as transport:
        with rabbit_server.frozen():
            given = asyncio.create_task(_given(transport.publish(window(name, 200), soon())))
            await asyncio.sleep(0)
            rabbit_server.kill()
            outcomes = await given
        assert set(kinds(outcomes)) == {"unknown"}
        await until(lambda: not transport.connected, transport)
        rabbit_server.start()
        await transport.connect()
        assert kinds(await transport.publish(window(name, 200), soon())) == ["confirmed"] * 200
    arrived = [message.correlation_id for message in rabbit_server.take_all(name)]
    assert set(arrived) == {task_id(n) for n in range(200)}


async def _given(outcomes: Awaitable[Sequence[Outcome]]) -> Sequence[Outcome]:
    return await outcomes


async def test_a_node_that_restarts_in_a_storm_loses_nothing_and_repeats_only_what_had_no_answer(
    rabbit_server: RabbitServer, queue: Declare
) -> None:
    name, size = queue(), 3_000
    waiting = dict(window(name, size))
    repeated: set[str] = set()
    async with connected(rabbit_server.url) as transport:
        stop = asyncio.get_running_loop().run_in_executor(None, rabbit_server.restart)
        while waiting:
            if not transport.connected:
                await stop
                await transport.connect()
            taken = list(waiting.items())[:256]
            for (id_, _), outcome in zip(taken, await transport.publish(taken, soon()), strict=True):
                if outcome.kind == "confirmed":
                    del waiting[id_]
                else:
                    repeated.add(id_)
        await stop
        if not transport.connected:
            await transport.connect()
    arrived = [message.correlation_id for message in rabbit_server.take_all(name)]
    assert set(arrived) == {task_id(n) for n in range(size)}
    twice = {id_ for id_ in arrived if arrived.count(id_) > 1}
    assert twice <= {task_id(int(id_.partition("-")[2])) for id_ in repeated}


async def test_an_application_that_is_stopped_ends_the_connection(rabbit_server: RabbitServer, queue: Declare) -> None:
    name = queue()
    async with connected(rabbit_server.url) as transport:
        with rabbit_server.application_stopped():
            await until(lambda: not transport.connected, transport)
            assert kinds(await transport.publish(window(name, 2), soon())) == ["unknown"] * 2
            with pytest.raises(Unreachable):
                await transport.connect()
        await transport.connect()
        assert kinds(await transport.publish(window(name, 2), soon())) == ["confirmed"] * 2


async def test_each_attempt_takes_the_next_url(rabbit_server: RabbitServer, queue: Declare) -> None:
    nobody = f"amqp://127.0.0.1:{free_port()}"
    transport = open_transport(Broker((nobody, rabbit_server.url)))
    try:
        with pytest.raises(Unreachable, match="is not running: connection refused"):
            await transport.connect()
        await transport.connect()
        assert kinds(await transport.publish(window(queue(), 1), soon())) == ["confirmed"]
    finally:
        await transport.close()


@pytest.mark.parametrize(
    "options, said",
    [
        ({"password": "another-word"}, "refuses the user or the password"),
        ({"user": "nobody"}, "refuses the user or the password"),
        ({"vhost": "closed"}, "refuses the virtual host 'closed'"),
        ({"vhost": "missing"}, "refuses the virtual host 'missing'"),
    ],
)
async def test_a_login_that_is_refused_says_what_to_look_at(
    rabbit_server: RabbitServer, options: dict[str, str], said: str
) -> None:
    transport = open_transport(Broker((rabbit_server.url_of(**options),)))
    with pytest.raises(AccessDenied) as refusal:
        await transport.connect()
    await transport.close()
    assert said in refusal.value.message
    assert "another-word" not in f"{refusal.value.message} {refusal.value.hint}"


async def test_a_password_file_is_read_for_each_connection(rabbit_server: RabbitServer, tmp_path: Path) -> None:
    secret = tmp_path / "word"
    secret.write_text("not-this-one\n")
    where = rabbit_server.url.replace(":a-word-of-its-own@", "@")
    transport = open_transport(Broker((f"{where}?password_file={secret}",)))
    try:
        with pytest.raises(AccessDenied):
            await transport.connect()
        secret.write_text("a-word-of-its-own\n")
        await transport.connect()
        secret.unlink()
    finally:
        await transport.close()


async def test_a_closed_transport_answers_and_says_so(rabbit_server: RabbitServer) -> None:
    async with connected(rabbit_server.url) as transport:
        pass
    assert kinds(await transport.publish(window("any", 2), soon())) == ["unknown"] * 2
    with pytest.raises(Unreachable, match="was closed"):
        await transport.connect()


async def test_tls_is_understood_and_its_refusals_are_explained(tmp_path: Path) -> None:
    require(rabbit_program(), "rabbitmq-server")
    authority, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "other")
    shown, mine = authority.issue("server"), authority.issue("client")
    server = RabbitServer(tmp_path / "node", tls=(authority.ca, shown.certificate, shown.key, True))
    own = f"ssl_certfile={mine.certificate}&ssl_keyfile={mine.key}"
    server.start()
    try:
        async with connected(f"{server.tls_url}?ssl_ca_certs={authority.ca}&{own}") as transport:
            assert kinds(await transport.publish(window("nowhere", 300), soon())) == ["returned"] * 300
        await _refused(f"{server.tls_url}?ssl_ca_certs={stranger.ca}&{own}", "a certificate that is not accepted")
        await _refused(f"{server.tls_url}?{own}", "a certificate that is not accepted")
        await _refused(f"{server.tls_url}?ssl_ca_certs={authority.ca}", "ssl_certfile and ssl_keyfile")
        await _refused(f"{server.tls_url}?ssl_ca_certs={tmp_path}/none.pem", "can't be read: No such file")
        wrong_port = server.tls_url.replace(str(server.tls_port), str(server.port))
        await _refused(f"{wrong_port}?ssl_ca_certs={authority.ca}&{own}", "TLS")
        await _refused(server.url.replace(str(server.port), str(server.tls_port)), "without TLS")
    finally:
        server.close()


async def _refused(url: str, said: str) -> None:
    transport = open_transport(Broker((url,)))
    try:
        with pytest.raises(Unreachable) as refusal:
            await transport.connect()
        assert said in f"{refusal.value.message} {refusal.value.hint}"
    finally:
        with suppress(Unreachable):
            await transport.close()
