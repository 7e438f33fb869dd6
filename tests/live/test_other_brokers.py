"""Messages to brokers that are neither our Redis nor RabbitMQ: a second Redis, files, memory."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from kombu.connection import Connection

from beatd.core.broker import Broker, Declare
from beatd.core.intent import Outcome
from beatd.errors import AccessDenied, ConfigInvalid, Unreachable
from beatd.transports import Transport, examine_broker, open_transport
from beatd.uptime import uptime
from tests.support.certificates import Authority
from tests.support.envelopes import envelope, task_id, window
from tests.support.servers import RedisServer, free_port


def soon() -> float:
    return uptime() + 10


def kinds(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.kind for outcome in outcomes]


async def handed_over(broker: Broker, messages: Sequence[tuple[str, bytes]]) -> Sequence[Outcome]:
    transport = open_transport(broker)
    try:
        await transport.connect()
        return await transport.publish(messages, soon())
    finally:
        await transport.close()


async def test_a_second_redis_gets_the_very_message(start_redis: Callable[..., RedisServer]) -> None:
    server, given = start_redis(), envelope("mail", 3, exchange=None)
    assert kinds(await handed_over(Broker((server.url,)), [("1-1", given)])) == ["confirmed"]
    with server.client() as client:
        (stored,) = client.lrange("mail", 0, -1)
        assert client.keys() == [b"mail"]
    found, wanted = json.loads(stored), json.loads(given)
    for message in (found, wanted):
        del message["properties"]["delivery_tag"]
    assert found == wanted


async def test_the_certificate_of_a_second_redis_is_checked_unless_the_url_says_not_to(
    start_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    authority, stranger = Authority(tmp_path / "ca"), Authority(tmp_path / "stranger")
    issued, port = authority.issue("server"), free_port()
    files = {"tls_cert_file": str(issued.certificate), "tls_key_file": str(issued.key)}
    start_redis(tls_port=str(port), tls_ca_cert_file=str(authority.ca), tls_auth_clients="no", **files)
    url = f"rediss://localhost:{port}/0"
    for untrusted in (url, f"{url}?ssl_ca_certs={stranger.ca}"):
        with pytest.raises(Unreachable, match="shows a certificate that is not accepted"):
            await handed_over(Broker((untrusted,)), window("mail", 1))
        facts = examine_broker(Broker((untrusted,)), [])
        assert "ssl_ca_certs" in facts.fix
    for trusted in (f"{url}?ssl_ca_certs={authority.ca}", f"{url}?ssl_cert_reqs=none"):
        assert kinds(await handed_over(Broker((trusted,)), window("mail", 1))) == ["confirmed"]


async def test_declared_as_celery_would_a_queue_has_its_binding(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis()
    assert kinds(await handed_over(Broker((server.url,), declare="celery"), window("mail", 2))) == ["confirmed"] * 2
    with server.client() as client:
        assert client.smembers("_kombu.binding.mail") == {b"mail\x06\x16\x06\x16mail"}


@pytest.mark.parametrize("declare", ["none", "passive"])
async def test_an_exchange_without_a_queue_is_no_place_to_lose_messages_in(
    start_redis: Callable[..., RedisServer], declare: Declare
) -> None:
    server = start_redis()
    mixed = [("1-1", envelope("mail", exchange="nowhere")), ("1-2", envelope("mail"))]
    outcomes = await handed_over(Broker((server.url,), declare=declare), mixed)
    assert kinds(outcomes) == ["returned", "confirmed"]
    assert outcomes[0].why == "no queue is bound to 'nowhere' for 'mail'"
    with server.client() as client:
        assert client.keys() == [b"mail"]


async def test_a_redis_that_dies_leaves_messages_unknown_until_it_is_back(
    start_redis: Callable[..., RedisServer],
) -> None:
    server = start_redis()
    transport = open_transport(Broker((server.url,)))
    try:
        await transport.connect()
        server.kill()
        assert kinds(await transport.publish(window("mail", 3), soon())) == ["unknown"] * 3
        assert not transport.connected
        with pytest.raises(Unreachable):
            await transport.connect()
        server.start()
        await transport.connect()
        assert kinds(await transport.publish(window("mail", 3), soon())) == ["confirmed"] * 3
    finally:
        await transport.close()


async def test_a_frozen_redis_runs_into_the_deadline(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis()
    transport = open_transport(Broker((server.url,), confirm_timeout=0.3))
    try:
        await transport.connect()
        server.freeze()
        begun = time.monotonic()
        assert kinds(await transport.publish(window("mail", 3), soon())) == ["unknown"] * 3
        assert time.monotonic() - begun < 3
    finally:
        server.thaw()
        await transport.close()


async def test_a_password_that_is_refused_is_said_and_one_in_a_file_is_read_anew(
    start_redis: Callable[..., RedisServer], tmp_path: Path
) -> None:
    server, secret = start_redis(requirepass="hush-hush"), tmp_path / "word"
    secret.write_text("not-this-one\n")
    transport = open_transport(Broker((f"redis://127.0.0.1:{server.port}/0?password_file={secret}",)))
    try:
        with pytest.raises(AccessDenied, match="refuses the user or the password") as refusal:
            await transport.connect()
        assert "not-this-one" not in refusal.value.message
        secret.write_text("hush-hush\n")
        await transport.connect()
        assert kinds(await transport.publish(window("mail", 1), soon())) == ["confirmed"]
    finally:
        await transport.close()


async def test_nobody_there_is_unreachable() -> None:
    transport = open_transport(Broker((f"redis://127.0.0.1:{free_port()}/0",), confirm_timeout=0.5))
    with pytest.raises(Unreachable):
        await transport.connect()
    await transport.close()


def folders(path: Path) -> dict[str, Any]:
    path.mkdir(exist_ok=True)
    return {"data_folder_in": str(path), "data_folder_out": str(path), "control_folder": str(path / "control")}


@pytest.mark.parametrize("url", ["filesystem://", "memory://"])
async def test_whoever_reads_by_kombu_gets_what_was_sent(url: str, tmp_path: Path) -> None:
    options = folders(tmp_path / "queues") if url.startswith("filesystem") else {}
    broker = Broker((url,), transport_options=options)
    assert kinds(await handed_over(broker, window("mail", 3))) == ["confirmed"] * 3
    with Connection(url, transport_options=options) as connection, connection.SimpleQueue("mail") as queue:
        found = [queue.get(timeout=5) for _ in range(3)]
        assert sorted(str(message.properties["correlation_id"]) for message in found) == sorted(map(task_id, range(3)))
        assert found[0].payload[0] == ["daily", ""]
        for message in found:
            message.ack()


async def test_a_transport_that_kombu_does_not_know_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigInvalid, match="kombu can't open carrier-pigeon:// here"):
        open_transport(Broker(("carrier-pigeon://loft",)))


async def test_a_message_that_is_none_is_refused_alone(start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis()
    mixed = [("1-1", b"{}"), ("1-2", envelope("mail"))]
    assert kinds(await handed_over(Broker((server.url,)), mixed)) == ["refused", "confirmed"]


async def test_nothing_is_sent_after_the_given_instant(start_redis: Callable[..., RedisServer]) -> None:
    transport: Transport = open_transport(Broker((start_redis().url,)))
    await transport.connect()
    assert kinds(await transport.publish(window("mail", 2), uptime())) == ["unknown"] * 2
    await transport.close()
