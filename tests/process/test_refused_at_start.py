"""A Redis that can't be used: `beatd run` says where, what it found and what to do, and ends with 6."""

import contextlib
import subprocess
from pathlib import Path

import pytest

from beatd.store.keys import Keys
from beatd.store.rights import NEEDED, OPTIONAL, Rights
from tests.support.daemon import Daemon
from tests.support.proxy import Behaviour, Proxy
from tests.support.scenes import OpenLedger, StartDaemon, StartRedis, beatd, fast_entries
from tests.support.servers import RedisServer, free_port, require


def refused(daemon: Daemon, code: int = 6) -> str:
    """What it said when it ended."""
    assert daemon.wait() == code
    assert "Traceback" not in daemon.log
    return daemon.log.split("beatd: Redis at ", 1)[1]


def of_user(server: RedisServer, *rules: str) -> str:
    """The server's URL for a user with these rights."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "bob", "reset", "on", ">secret", *rules)
    return server.url.replace("redis://", "redis://bob:secret@")


def test_no_password_where_one_is_wanted(start_redis: StartRedis, start_daemon: StartDaemon) -> None:
    server = start_redis(requirepass="secret")
    said = refused(start_daemon(server.url.replace(":secret@", "")))
    assert "wants a password: Authentication required" in said
    assert "redis://:password@host:port/0, with a user redis://user:password@host:port/0" in said


def test_a_wrong_user_or_password(start_redis: StartRedis, start_daemon: StartDaemon) -> None:
    server = start_redis(requirepass="secret")
    said = refused(start_daemon(server.url.replace(":secret@", "bob:guess@")))
    assert "refuses the user or the password" in said
    assert "guess" not in said
    assert beatd("ls", "--redis", server.url.replace("secret", "guess")).returncode == 6


@pytest.mark.parametrize(
    "rules, missing",
    [
        (("~*", "&*", "+@all", "-lpush"), "may not use lpush"),
        (("~*", "&*", "+@all", "-zadd", "-xread"), "may not use zadd, xread"),
        (("~*", "+@all", "resetchannels"), "may not use subscribe"),
        (("~{beatd:default:0}:*", "&*", "+@all"), "may not use the key celery"),
        (("~celery*", "&*", "+@all"), "may not use the keys {beatd:default:0}:*"),
        (("~*", "&*", "+@all", "-eval", "-evalsha"), "'eval'"),
    ],
)
def test_a_missing_right_is_named_with_the_line_that_gives_it(
    rules: tuple[str, ...], missing: str, server: RedisServer, start_daemon: StartDaemon
) -> None:
    said = refused(start_daemon(of_user(server, *rules)))
    assert missing in said
    assert "ACL SETUSER bob '~{beatd:default:0}:*' '~celery*' '&{beatd:default:0}:ctl' +eval" in said


def test_a_command_names_the_missing_right_too(server: RedisServer) -> None:
    done = beatd("ls", "--redis", of_user(server, "~*", "&*", "+@all", "-hscan"))
    assert done.returncode == 6
    assert "the user 'bob' may not use hscan" in done.stderr


def test_the_line_that_is_given_is_enough_to_fire_edit_and_remove(
    server: RedisServer, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    url = of_user(server, *Rights(Keys(), ("celery",)).acl_line().replace("'", "").split()[3:])
    daemon = start_daemon(url, config={"schedules": fast_entries(5)}, lease_ttl="1s")
    open_ledger(server).settle(fast_entries(5), 0)
    for words in (("set", "x", "--task", "t", "--every", "1s"), ("ls",), ("status",), ("rm", "x", "--yes")):
        assert beatd(*words, "--redis", url).returncode == 0, words
    assert not daemon.events("risk_found", risk="the user may not run")
    assert daemon.stop() == 0
    assert not daemon.events("redis_down")


def test_each_right_of_the_line_is_told_when_it_is_missing(server: RedisServer) -> None:
    rights = Rights(Keys(), ("celery",))
    with server.client(protocol=2) as admin:
        for name in (*NEEDED, *OPTIONAL):
            if name == "eval":  # asks
                continue
            of_user(server, "~*", "&*", "+@all", f"-{name}")
            with server.client(username="bob", password="secret") as client:
                missing = rights.missing(client.execute_command(*rights.question()))
            assert [*missing.needed, *missing.optional] == [name]
        admin.execute_command("ACL", "DELUSER", "bob")


def _cluster(start_redis: StartRedis) -> RedisServer:
    """A cluster also listens 10,000 ports above its own, and somebody may be there."""
    for _ in range(5):
        with contextlib.suppress(RuntimeError):
            return start_redis(cluster_enabled="yes")
    pytest.fail("no port of five was free for the cluster's bus")


def test_a_cluster_is_refused(start_redis: StartRedis, start_daemon: StartDaemon) -> None:
    server = _cluster(start_redis)
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    assert "is a Redis Cluster" in refused(start_daemon(server.url))
    said = refused(start_daemon(server.url.removesuffix("0") + "1"))
    # Valkey 9 has numbered databases in a cluster too, one unless it is told otherwise.
    assert "is a Redis Cluster: SELECT is not allowed" in said or "has no such database" in said


def test_a_database_that_does_not_exist(server: RedisServer, start_daemon: StartDaemon) -> None:
    said = refused(start_daemon(server.url.removesuffix("/0") + "/99"))
    assert "/99 has no such database: " in said
    assert "the number after the last /" in said


def test_a_server_that_is_too_old(server: RedisServer, start_daemon: StartDaemon) -> None:
    """A server of today that says it is Redis 5."""
    with server.client() as client:
        version = str(client.info("server")["redis_version"]).encode()
    old = b"5.0.0".ljust(len(version), b"9") if len(version) > 5 else b"5.0.0"[: len(version)]
    with Proxy(server.port, behaviour=Behaviour(rewrite=lambda data: data.replace(version, old))) as proxy:
        said = refused(start_daemon(proxy.url))
    assert f"is Redis {old.decode()}; Redis 6.2 or Valkey 7.2 or later is accepted" in said


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of this host, signed by itself, with its key."""
    import shutil  # noqa: PLC0415

    openssl = require(shutil.which("openssl"), "openssl")
    folder = tmp_path_factory.mktemp("tls")
    words = f"{openssl} req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    more = ["-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*words.split(), *more], cwd=folder, check=True, capture_output=True)
    return folder


@pytest.fixture
def tls_server(start_redis: StartRedis, certificate: Path) -> RedisServer:
    """Speaks TLS on a second port, ``int(server.options["tls-port"])``."""
    cert, key = str(certificate / "cert.pem"), str(certificate / "key.pem")
    return start_redis(
        tls_port=str(free_port()), tls_cert_file=cert, tls_key_file=key, tls_ca_cert_file=cert, tls_auth_clients="no"
    )


def test_tls_where_the_server_speaks_none_and_none_where_it_speaks_only_that(
    tls_server: RedisServer, start_daemon: StartDaemon
) -> None:
    tls = tls_server.options["tls-port"]
    said = refused(start_daemon(f"redis://127.0.0.1:{tls}/0"))
    assert "speaks TLS only" in said
    assert "write rediss:// in place of redis://" in said
    said = refused(start_daemon(f"rediss://127.0.0.1:{tls_server.port}/0"))
    assert "does not speak TLS" in said
    assert beatd("ls", "--redis", f"redis://127.0.0.1:{tls}/0").stderr.count("speaks TLS only") == 1
    assert "does not speak TLS" in beatd("ls", "--redis", f"rediss://127.0.0.1:{tls_server.port}/0").stderr


def test_a_certificate_that_is_not_trusted_and_one_that_is(
    tls_server: RedisServer, certificate: Path, start_daemon: StartDaemon, open_ledger: OpenLedger
) -> None:
    url = f"rediss://127.0.0.1:{tls_server.options['tls-port']}/0"
    said = refused(start_daemon(url))
    assert "shows a certificate that is not trusted: self-signed certificate" in said
    assert "?ssl_ca_certs=" in said
    start_daemon(f"{url}?ssl_ca_certs={certificate}/cert.pem", config={"schedules": fast_entries(3)})
    open_ledger(tls_server).settle(fast_entries(3), 0)


def test_a_server_that_wants_a_certificate_of_the_client(
    tls_server: RedisServer, certificate: Path, start_daemon: StartDaemon
) -> None:
    with tls_server.client() as client:
        client.config_set("tls-auth-clients", "yes")
    url = f"rediss://127.0.0.1:{tls_server.options['tls-port']}/0?ssl_ca_certs={certificate}/cert.pem"
    said = refused(start_daemon(url))
    assert "wants a certificate of the client" in said
    assert "?ssl_certfile=" in said
