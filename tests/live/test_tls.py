"""Real servers that speak TLS: who is let in, and what others are told; the same over each kind of connection."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from beatd.errors import AccessDenied, BeatdError
from tests.support.certificates import PAST, Authority
from tests.support.scenes import StartRedis, beatd
from tests.support.servers import RedisServer, free_port, require
from tests.support.ways import refusals

TIMEOUT_S: Final = 2.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ca")


StartTls = Callable[..., RedisServer]


@pytest.fixture
def start_tls(start_redis: StartRedis, authority: Authority) -> StartTls:
    """Starts a server on two ports, a plain one and one with TLS: ``start_tls("server", tls_auth_clients="no")``."""

    def start(name: str, **options: str) -> RedisServer:
        made = authority.issue(name, **({"valid": PAST} if name == "expired" else {}))  # type: ignore[arg-type]
        try:
            files = {"tls_cert_file": str(made.certificate), "tls_key_file": str(made.key)}
            given = {"tls_ca_cert_file": str(authority.ca), "tls_auth_clients": "no", **files, **options}
            return start_redis(tls_port=str(free_port()), **given)
        except RuntimeError as error:
            return require(None, f"redis-server with TLS ({str(error)[:200]})")

    return start


def url_of(server: RedisServer, query: str = "", host: str = "127.0.0.1", login: str = "") -> str:
    return f"rediss://{login}{host}:{server.options['tls-port']}/0{query}"


def let_in(url: str) -> list[BeatdError | None]:
    """Nothing but None, where everybody is."""
    return refusals(url, TIMEOUT_S)


def refused(url: str, *said: str) -> list[BeatdError]:
    """What all three say, which has these words in message and hint."""
    found = refusals(url, TIMEOUT_S)
    for error in found:
        assert type(error) is AccessDenied, found
        for words in said:
            assert words in f"{error.message} {error.hint}"
    return [error for error in found if error is not None]


def test_a_server_whose_authority_is_named_is_trusted(start_tls: StartTls, authority: Authority) -> None:
    server = start_tls("server")
    for host in ("127.0.0.1", "localhost"):
        assert let_in(url_of(server, f"?ssl_ca_certs={authority.ca}", host)) == [None] * 3
    assert let_in(url_of(server, "?ssl_cert_reqs=none")) == [None] * 3


def test_an_unknown_authority_is_named_as_the_reason(start_tls: StartTls, tmp_path: Path) -> None:
    server = start_tls("server")
    others = Authority(tmp_path / "others", "others").ca
    refused(url_of(server), "not trusted", "ssl_ca_certs=")
    refused(url_of(server, f"?ssl_ca_certs={others}"), "not trusted", "ssl_ca_certs=")


def test_a_certificate_that_has_expired(start_tls: StartTls, authority: Authority) -> None:
    server = start_tls("expired")
    refused(url_of(server, f"?ssl_ca_certs={authority.ca}"), "has expired", "renew it on the server")


def test_a_certificate_of_another_host(start_tls: StartTls, authority: Authority) -> None:
    made = authority.issue("elsewhere", names=("DNS:elsewhere.test",))
    server = start_tls("server", tls_cert_file=str(made.certificate), tls_key_file=str(made.key))
    url = url_of(server, f"?ssl_ca_certs={authority.ca}")
    refused(url, "is for another host", "ssl_check_hostname=false")
    assert let_in(f"{url}&ssl_check_hostname=false") == [None] * 3


def test_a_server_that_wants_a_certificate_of_the_client(start_tls: StartTls, authority: Authority) -> None:
    server = start_tls("server", tls_auth_clients="yes")
    url = url_of(server, f"?ssl_ca_certs={authority.ca}")
    refused(url, "wants a certificate of the client", "ssl_certfile=")
    mine = authority.issue("client")
    assert let_in(f"{url}&ssl_certfile={mine.certificate}&ssl_keyfile={mine.key}") == [None] * 3
    locked = authority.issue("locked", password="CANARY1")
    with_key = f"{url}&ssl_certfile={locked.certificate}&ssl_keyfile={locked.key}"
    refused(with_key, "the key is encrypted", "ssl_password")
    assert let_in(f"{with_key}&ssl_password=CANARY1") == [None] * 3
    refused(f"{with_key}&ssl_password=CANARY2", "can't be used")


def test_plain_words_to_a_server_with_tls_and_the_other_way_round(start_tls: StartTls, authority: Authority) -> None:
    server = start_tls("server")
    refused(f"redis://127.0.0.1:{server.options['tls-port']}/0", "speaks TLS only", "write rediss://")
    refused(f"rediss://127.0.0.1:{server.port}/0", "does not speak TLS", "write redis://")


@pytest.mark.parametrize(
    "query, said",
    [
        ("?ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs=/nowhere/ca.pem: No such file or directory"),
        ("?ssl_certfile=/nowhere/c.pem", "ssl_certfile=/nowhere/c.pem: No such file or directory"),
        ("?ssl_ca_certs={ca}&ssl_certfile={ca}&ssl_keyfile={key}", "can't be used: key values mismatch"),
        ("?ssl_ca_certs={key}", "can't be used: no certificate or crl found"),
    ],
)
def test_files_that_can_not_be_used_are_named(query: str, said: str, start_tls: StartTls, authority: Authority) -> None:
    made = authority.issue("client")
    refused(url_of(start_tls("server"), query.format(ca=authority.ca, key=made.key)), said)


def test_a_user_with_a_wrong_password_and_one_without_rights(start_tls: StartTls, authority: Authority) -> None:
    server = start_tls("server")
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "bob", "on", ">CANARY1", "~*", "&*", "+@all", "-ping")
    query = f"?ssl_ca_certs={authority.ca}"
    refused(url_of(server, query, login="bob:CANARY2@"), "refuses the user or the password")
    refused(url_of(server, query, login="bob:CANARY1@"), "the user 'bob' may not use ping", "ACL SETUSER bob")


@pytest.mark.parametrize("command", ["status", "doctor"])
def test_commands_tell_it_and_end_with_6(command: str, start_tls: StartTls) -> None:
    server = start_tls("server")
    done = beatd(command, "--redis", url_of(server, login="bob:CANARY1@"))
    assert done.returncode == 6
    said = done.stdout + done.stderr
    assert "not trusted" in said
    assert "ssl_ca_certs=" in said
    assert "CANARY1" not in said
