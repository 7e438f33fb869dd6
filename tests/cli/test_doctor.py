"""`beatd doctor` on real servers: healthy, hanging, refusing, spoilt; it ends in time and leaves nothing behind."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from beatd.cli import doctor
from beatd.cli.doctor import BUDGET_S
from beatd.cli.doctor_host import read_units
from beatd.client import entries
from beatd.client.blocking import Client
from beatd.core.doctor.host import UnitFacts
from beatd.core.edit import put_item as edit_of
from beatd.core.entry import entry_from_spec
from beatd.store.examine import try_queue
from beatd.store.keys import Keys
from beatd.store.rights import LOOKS, Rights
from tests.support.proxy import Proxy
from tests.support.servers import RedisServer, free_port
from tests.support.store import Store

Beatd = Callable[..., Any]
FREE = "BEATD_HTTP"


@pytest.fixture(autouse=True)
def _no_endpoint_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FREE, f"127.0.0.1:{free_port()}")


@pytest.fixture(autouse=True)
def _two_looks_at_queues_lie_close_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "APART_S", 0.02)


def levels(done: Any) -> dict[str, str]:
    """The worst level of each check."""
    order = ("ok", "warn", "fail")
    found: dict[str, str] = {}
    for finding in done.json["findings"]:
        check, level = finding["check"], finding["level"]
        found[check] = max(found.get(check, "ok"), level, key=order.index)
    return found


def text_of(done: Any, check: str) -> str:
    return " ".join(each["text"] for each in done.json["findings"] if each["check"] == check)


def set_entry(url: str, name: str = "a", **fields: Any) -> None:
    entry = entry_from_spec(name, {"task": "t", "every": 3_600, "owner": "api", **fields})
    with Client(url, "default") as client:
        client.run(entries.put(client.keys, [edit_of(entry, "n1")], '{"client":"test"}'))


def test_a_healthy_server_with_a_leader_has_no_failure_and_nothing_is_left_behind(
    beatd: Beatd, clean_redis: RedisServer, store: Store
) -> None:
    term = store.lead()
    set_entry(clean_redis.url)
    store.do("SET", "other", "x")
    before = set(store.everything())
    done = beatd("doctor", "--redis", clean_redis.url, "-o", "json")
    assert set(store.everything()) == before
    found = levels(done)
    assert (done.code, done.json["code"]) == (0, 0)
    assert found.pop("persistence") == "warn"  # the tests' server keeps nothing
    assert set(found.values()) == {"ok"}
    checks = {"configuration", "hiredis", "systemd", "private server", "version", "role", "latency", "eviction"}
    checks |= {"memory", "rights", "clock", "keys", "lease", "lag", "instances", "files", "zone data", "entries"}
    assert found.keys() == checks | {"queues", "publish", "http"}
    assert term.epoch
    table = beatd("doctor", "--redis", clean_redis.url)
    assert (table.code, table.lines[0][:19]) == (0, "ok    configuration")


def test_without_a_leader_it_ends_with_1(beatd: Beatd, clean_redis: RedisServer) -> None:
    done = beatd("doctor", "--redis", clean_redis.url, "-o", "json")
    assert done.code == 1
    assert {check for check, level in levels(done).items() if level == "fail"} == {"lease"}


def test_without_redis_the_rest_is_looked_at_and_it_ends_with_6(
    beatd: Beatd, schedules: Callable[[str], None], tmp_path: Path
) -> None:
    schedules("schedules: {a: {task: t, every: 1h, queu: x}}")
    (tmp_path / ".beatd").mkdir(mode=0o755)
    done = beatd("doctor", "-o", "json")
    assert done.code == 6
    found = levels(done)
    assert [found[check] for check in ("configuration", "private server", "redis")] == ["fail"] * 3
    assert "E0" in text_of(done, "configuration")
    assert "no private server runs" in text_of(done, "redis")
    assert beatd("doctor", "--redis", f"redis://127.0.0.1:{free_port()}/0").code == 6


def test_a_configuration_that_names_no_redis_at_all_ends_with_1(beatd: Beatd) -> None:
    done = beatd("doctor", "-c", "nowhere.yaml", "-o", "json")
    assert (done.code, levels(done)["configuration"], levels(done)["redis"]) == (1, "fail", "fail")


def test_a_wrong_password_ends_with_6(beatd: Beatd, start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis(requirepass="secret")
    done = beatd("doctor", "--redis", f"redis://:wrong@127.0.0.1:{server.port}/0", "-o", "json")
    assert (done.code, levels(done)["redis"]) == (6, "fail")
    assert "wrong" not in done.out.replace("wrong user", "")


@pytest.mark.parametrize("when", ["at once", "amid it"])
def test_a_redis_that_hangs_is_told_in_time(beatd: Beatd, clean_redis: RedisServer, when: str) -> None:
    with Proxy(clean_redis.port) as proxy:
        if when == "at once":
            proxy.hold()
        else:
            proxy.behaviour.rewrite = lambda data: b"" if b"redis_version" in data else data
        begun = time.monotonic()
        done = beatd("doctor", "--redis", proxy.url, "-o", "json")
        assert time.monotonic() - begun < 4
    assert done.code == 6
    assert "gave no answer in time" in text_of(done, "redis")


def test_a_redis_that_is_slow_is_not_asked_for_ever(beatd: Beatd, clean_redis: RedisServer) -> None:
    with Proxy(clean_redis.port) as proxy:
        proxy.behaviour.slowest = 0.4
        begun = time.monotonic()
        done = beatd("doctor", "--redis", proxy.url, "-o", "json")
        assert time.monotonic() - begun < BUDGET_S + 8
    assert levels(done)["queues"] == "warn"
    assert "Redis is slow" in text_of(done, "queues")
    assert levels(done)["latency"] == "warn"


def test_a_queue_of_another_type_and_one_that_nobody_consumes_are_told(
    beatd: Beatd, clean_redis: RedisServer, store: Store
) -> None:
    store.lead()
    for name, queue in (("a", "stuck"), ("b", "busy"), ("c", "text")):
        set_entry(clean_redis.url, name, queue=queue)
    message = json.dumps({"headers": {"beatd_slot": "2020-01-01T00:00:00.000Z"}})
    store.do("LPUSH", "stuck", message)
    store.do("SET", "text", "x")
    done = beatd("doctor", "--redis", clean_redis.url, "-o", "json")
    found = {(each["level"], each["text"].split(":")[0]) for each in done.json["findings"] if each["check"] == "queues"}
    assert found == {
        ("warn", "stuck"), ("ok", "busy (0 waiting)"), ("fail", "the key text is a string, no list"),
    }  # fmt: skip
    assert done.code == 1


def test_a_key_that_somebody_has_overwritten_is_named(beatd: Beatd, clean_redis: RedisServer, store: Store) -> None:
    store.lead()
    store.do("SET", store.key("due"), "x")
    done = beatd("doctor", "--redis", clean_redis.url, "-o", "json")
    assert (done.code, levels(done)["keys"]) == (1, "fail")
    assert text_of(done, "keys") == f"{store.key('due')} holds a string, beatd keeps a zset there"


def of_user(server: RedisServer, *rules: str) -> str:
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "bob", "reset", "on", ">secret", *rules)
    return f"redis://bob:secret@127.0.0.1:{server.port}/0"


@pytest.mark.parametrize(
    "more, expected",
    [
        ((), {"rights": "ok", "publish": "warn"}),
        (tuple(f"+{name}" for name in LOOKS), {"rights": "ok", "publish": "ok"}),
        (("-xadd",), {"rights": "warn", "publish": "warn"}),
        (("-lpush", "+rpop"), {"rights": "fail", "publish": "fail"}),
    ],
)
def test_a_user_with_few_rights_is_told_which_and_no_message_is_left(
    beatd: Beatd, start_redis: Callable[..., RedisServer], more: tuple[str, ...], expected: dict[str, str]
) -> None:
    server = start_redis()
    store = Store(server)
    store.lead()
    rules = Rights(Keys(), ("celery",)).acl_line().replace("'", "").split()[3:]
    done = beatd("doctor", "--redis", of_user(server, *rules, *more), "-o", "json")
    assert {check: level for check, level in levels(done).items() if check in expected} == expected
    assert {key.rpartition(":")[2] for key in store.everything()} == {"lease", "meta"}


def test_a_full_memory_is_told_and_no_message_is_left(beatd: Beatd, start_redis: Callable[..., RedisServer]) -> None:
    server = start_redis()
    store = Store(server)
    store.lead()
    store.do("CONFIG", "SET", "maxmemory", "1")
    done = beatd("doctor", "--redis", server.url, "-o", "json")
    store.do("CONFIG", "SET", "maxmemory", "0")
    assert {check for check, level in levels(done).items() if level == "fail"} == {"memory", "publish"}
    assert "maxmemory limit" in text_of(done, "publish")
    assert {key.rpartition(":")[2] for key in store.everything()} == {"lease", "meta"}


def test_trying_a_queue_leaves_nothing_behind_when_the_answer_is_lost(clean_redis: RedisServer, store: Store) -> None:
    with Proxy(clean_redis.port) as proxy, Client(proxy.url, "default") as client:
        assert try_queue(client.link).problem is None
        proxy.lose()
        with pytest.raises(Exception, match="gave no answer in time"):
            try_queue(client.link)
    assert store.everything() == {}


class _Endpoint(BaseHTTPRequestHandler):
    answer = (200, b"{}")

    def do_GET(self) -> None:
        status, body = self.answer
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the name in the base class
        """Tests are quiet."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Endpoint]]:
    """What listens where the daemon's endpoint should."""

    class Endpoint(_Endpoint):
        pass

    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv(FREE, f"127.0.0.1:{server.server_port}")
    yield Endpoint
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "answer, level, says",
    [
        ((200, b'{"role": "leader"}'), "ok", "readyz says ready: role leader"),
        ((503, b'{"checks": {"redis": {"ok": false, "detail": "away"}}}'), "fail", "says not ready: redis: away"),
        ((404, b"<html>"), "warn", "answers with 404, and is no endpoint of beatd"),
    ],
)
def test_the_endpoint_of_this_host_is_asked(
    beatd: Beatd, clean_redis: RedisServer, endpoint: type[_Endpoint], answer: tuple[int, bytes], level: str, says: str
) -> None:
    endpoint.answer = answer
    done = beatd("doctor", "--redis", clean_redis.url, "-o", "json")
    assert levels(done)["http"] == level
    assert says in text_of(done, "http")


def test_units_are_read_as_systemctl_shows_them() -> None:
    shown = """Id=beatd.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
WatchdogUSec=30s
NRestarts=2

Id=beatd@shop.service
LoadState=not-found
ActiveState=inactive
"""
    assert read_units(shown) == [UnitFacts("beatd.service", "enabled", "active", "30s", 2)]
    assert read_units("") == []


def test_fields_that_nobody_knows_are_told(beatd: Beatd, store: Store, clean_redis: RedisServer) -> None:
    store.plant("a", 1_000)
    store.do("HSET", store.key("def"), "a", '{"task":"t","every":"1h","catchupp":"all"}')
    done = beatd("doctor", "--redis", clean_redis.url)
    assert "stored fields that this beatd does not know: catchupp; they are kept, and decide nothing" in done.out
