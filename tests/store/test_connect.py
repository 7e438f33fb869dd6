"""Where Redis is: what is accepted, and that no secret is ever shown."""

import traceback

import pytest

from beatd.core.masking import mask_url
from beatd.errors import ConfigInvalid
from beatd.store.connect import RedisAddress, new_connection, open_client, user_of

ACCEPTED = [
    ("redis://localhost:6379/0", "redis://localhost:6379/0"),
    ("redis://", "redis://"),
    ("redis://my_redis.default-ns", "redis://my_redis.default-ns"),
    ("redis://[::1]:6379/15", "redis://[::1]:6379/15"),
    ("redis://:CANARY@host:6379/0", "redis://:***@host:6379/0"),
    ("rediss://user:CANARY@host/0/", "rediss://user:***@host/0/"),
    ("redis://user:CANARY@CANARY@host", "redis://user:***@host"),
    ("redis://user:%2FCANARY%zz@host/0", "redis://user:***@host/0"),
    ("redis://user:@host/0", "redis://user:***@host/0"),
    ("redis://CANARY@host/0", "redis://***@host/0"),
    ("redis://host/0?password=CANARY", "redis://host/0?***"),
    ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ("unix://user:CANARY@/run/redis.sock?db=1", "unix://user:***@/run/redis.sock?***"),
]


@pytest.mark.parametrize("url, shown", ACCEPTED)
def test_a_url_is_shown_without_what_could_be_a_secret(url: str, shown: str) -> None:
    assert mask_url(url) == str(RedisAddress(url)) == shown


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:a/CANARY@host/0",  # a slash in a password ends the host for every reader of URLs
        "redis://:12/CANARY@host/0",
        "redis://user:a?CANARY@host/0",
        "redis://user:a#CANARY@host/0",
        "redis://host:CANARY/0",
        "redis://host/CANARY",
        "redis://host/0#CANARY",
        "redis://user:CANARY@host/0;redis://user:CANARY@other/0",
        "redis://user:[CANARY@host:x/0",
        "redis:user:CANARY@host",
        "redis//:CANARY@host",
        "user:CANARY@host:6379",
        "//user:CANARY@host",
        "sentinel://user:CANARY@host/name",
        "http://user:CANARY@host",
        "unix://user:CANARY@host",
        "unix:///run@CANARY",
        "redis://user:CANARY@host:99999/0/1",
        "redis://:CANARY",
        "CANARY",
        "",
    ],
)
def test_what_is_no_redis_url_is_refused_without_quoting_it(url: str) -> None:
    assert "CANARY" not in mask_url(url)
    with pytest.raises(ConfigInvalid, match="is not a Redis address") as caught:
        RedisAddress(url)
    assert caught.value.hint is not None
    assert "redis://[user:password@]host" in caught.value.hint
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("query", ["socket_timeout=CANARY", "CANARY=1"])
def test_what_redis_py_cannot_read_of_a_query_is_refused_without_quoting_it(query: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        RedisAddress(f"redis://host/0?{query}")
    assert "CANARY" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("url, shown", ACCEPTED)
def test_what_is_accepted_leads_where_it_says(url: str, shown: str) -> None:
    address = RedisAddress(url, timeout=0.5)
    with open_client(address) as client:
        kwargs = client.connection_pool.connection_kwargs
    connection = new_connection(address)
    assert connection.db == int(kwargs.get("db", 0))
    if url.startswith("redis://my_redis"):
        assert kwargs["host"] == "my_redis.default-ns"
    if "user:%2FCANARY" in url:
        assert kwargs["password"] == "/CANARY%zz"


def test_a_connection_has_no_timeout_of_its_own() -> None:
    """Link gives each request its own; between requests a connection may be idle for as long as it likes."""
    connection = new_connection(RedisAddress("redis://host", timeout=0.5))
    assert (connection.socket_timeout, connection.socket_connect_timeout) == (None, None)


@pytest.mark.parametrize(
    "url, user",
    [
        ("redis://host", "default"),
        ("redis://:pw@host", "default"),
        ("redis://token@host", "default"),
        ("redis://bob:pw@host", "bob"),
        ("redis://bob@host?password_file=/x", "bob"),
        ("redis+sentinel://bob:pw@host,other/name", "bob"),
        ("nothing", "default"),
    ],
)
def test_the_user_is_the_one_who_logs_in(url: str, user: str) -> None:
    assert user_of(url) == user


def test_a_list_of_sentinels_is_read_with_its_ports_and_its_own_login() -> None:
    url = "rediss+sentinel://bob:CANARY1@one,two:1,[::1]:2,[::2]/a.b-c/3?sentinel_password=CANARY2&ssl_ca_certs=/x"
    parsed = RedisAddress(url).parsed
    assert parsed.sentinels == (("one", 26379), ("two", 1), ("::1", 2), ("::2", 26379))
    assert (parsed.master, parsed.kind, parsed.settings["db"]) == ("a.b-c", "rediss", 3)
    assert (parsed.login.user, parsed.login.password) == ("bob", "CANARY1")
    assert (parsed.sentinel_login.user, parsed.sentinel_login.password) == (None, "CANARY2")
    assert str(RedisAddress(url)) == "rediss+sentinel://bob:***@one,two:1,[::1]:2,[::2]/a.b-c/3?***"
    assert "CANARY" not in repr(RedisAddress(url))
