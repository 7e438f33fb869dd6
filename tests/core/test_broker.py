"""What a broker's URLs say, what of it may be shown, and what tells one broker from another."""

import pytest

from beatd.core.broker import Broker, Place, place_of, split_urls
from beatd.core.intent import is_same_broker
from beatd.errors import ConfigInvalid


@pytest.mark.parametrize(
    "url, place",
    [
        ("amqp://", Place("amqp", "", None, "")),
        ("amqp://user:word@Rabbit.example:5673/tasks", Place("amqp", "rabbit.example", 5673, "tasks")),
        ("amqps://user:p%40ss%2Fword@[::1]:5671/%2F?ssl_ca_certs=/ca.pem", Place("amqps", "[::1]", 5671, "/")),
        ("amqp://user:sl/ash@rabbit//", Place("amqp", "rabbit", None, "/")),
        ("redis://:word@other:6380/3", Place("redis", "other", 6380, "3")),
        ("filesystem://", Place("filesystem", "", None, "")),
        ("mongodb://one:27017,two:27017/tasks", Place("mongodb", "one:27017,two", 27017, "tasks")),
    ],
)
def test_a_url_says_where_a_broker_is(url: str, place: Place) -> None:
    assert place_of(url) == place


@pytest.mark.parametrize(
    "one, other",
    [
        ("amqp://rabbit", "pyamqp://rabbit:5672//"),
        ("amqp://user:old@rabbit/tasks", "amqp://somebody:new@RABBIT:5672/tasks?ssl_cert_reqs=none"),
        ("redis://other", "redis://:word@other:6379/0"),
        ("amqp://one;amqp://two", "amqp://two;amqp://one"),
    ],
)
def test_credentials_defaults_and_order_do_not_make_another_broker(one: str, other: str) -> None:
    assert Broker(split_urls(one)).fingerprint == Broker(split_urls(other)).fingerprint


@pytest.mark.parametrize("other", ["amqp://rabbit/b", "amqp://rabbit:5673/a", "amqp://hare/a", "redis://rabbit/a"])
def test_another_host_port_or_virtual_host_is_another_broker(other: str) -> None:
    fingerprint = Broker(("amqp://rabbit/a",)).fingerprint
    assert len(fingerprint) == 8
    assert fingerprint != Broker((other,)).fingerprint


def test_a_broker_with_nodes_added_or_taken_away_is_the_same_one() -> None:
    one, two, three = (
        Broker(split_urls(urls)).fingerprint for urls in ("amqp://a", "amqp://b;amqp://a", "amqp://c;amqp://b")
    )
    assert is_same_broker(one, two)
    assert is_same_broker(two, three)
    assert not is_same_broker(one, three)
    assert not is_same_broker(one, "")
    assert is_same_broker("", "")


def test_a_label_shows_every_url_and_no_secret() -> None:
    broker = Broker(split_urls("amqp://user:word-1@one/v?password_file=/run/secret ; amqps://user:word-2@two/v"))
    assert broker.label == str(broker) == "amqp://user:***@one/v?***; amqps://user:***@two/v"
    assert "word" not in repr(broker)


def test_urls_come_as_a_text_or_as_a_list() -> None:
    wanted = ("amqp://one", "amqp://two")
    assert split_urls("amqp://one;amqp://two") == wanted
    assert split_urls(["amqp://one", " amqp://two ;"]) == wanted


@pytest.mark.parametrize(
    "urls, said",
    [
        ((), "found no URL"),
        (("rabbit:5672",), "is not the URL of a broker"),
        (("amqp://user:hush hush@rabbit",), "'amqp://***' is not the URL of a broker"),
        (("amqp://one", "redis://two"), "different kinds (amqp, redis)"),
    ],
)
def test_urls_that_lead_to_no_broker_or_to_several_are_refused(urls: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigInvalid) as refusal:
        Broker(urls)
    assert said in refusal.value.message
    assert "hush" not in refusal.value.message


@pytest.mark.parametrize(
    "options, said",
    [
        ({"declare": "always"}, "broker.declare: found 'always'; accepted are none, passive, celery"),
        ({"confirm_timeout": 0}, "broker.confirm_timeout: found 0; seconds from 0.1 on are accepted"),
        ({"confirm_timeout": True}, "broker.confirm_timeout: found True; seconds from 0.1 on are accepted"),
        ({"heartbeat": -1}, "broker.heartbeat: found -1; seconds from 0 on are accepted"),
        ({"transport_options": [1]}, "broker.transport_options: found a list; a mapping is accepted"),
    ],
)
def test_settings_of_a_broker_that_make_no_sense_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigInvalid) as refusal:
        Broker(("amqp://rabbit",), **options)  # type: ignore[arg-type]
    assert refusal.value.message == said


@pytest.mark.parametrize("found", [7, [b"amqp://one"], {"url": "amqp://one"}])
def test_what_is_no_text_is_no_url(found: object) -> None:
    with pytest.raises(ConfigInvalid, match="a URL or a list of URLs is accepted"):
        split_urls(found)  # type: ignore[arg-type]
