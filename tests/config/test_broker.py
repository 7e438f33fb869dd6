"""The setting `broker`: its forms, what is told about it, and when it is the Redis of the entries."""

import json
from pathlib import Path
from typing import Any

import pytest

from beatd.config.broker import broker_json, broker_shown, broker_text, read_broker, same_redis, secrets_in
from beatd.config.settings import check_settings, load_settings
from beatd.core.broker import Broker
from beatd.core.masking import Secrets
from beatd.errors import ConfigInvalid

WHOLE: dict[str, Any] = {
    "url": ["amqp://u:pw@a/shop", "amqp://u:pw@b/shop"],
    "declare": "passive",
    "transport_options": {"login_method": "PLAIN", "sentinel_kwargs": {"password": "hunter2"}},
    "confirm_timeout": "2s",
    "heartbeat": 0,
}
BROKER = Broker(("amqp://u:pw@a/shop", "amqp://u:pw@b/shop"), "passive", WHOLE["transport_options"], 2.0, 0.0)


def of_file(tmp_path: Path, text: str, **env: str) -> Broker | None:
    path = tmp_path / "schedules.yaml"
    path.write_text(text)
    return load_settings([path], {}, env).broker


def told(tmp_path: Path, value: object) -> list[str]:
    path = tmp_path / "schedules.yaml"
    path.write_text(f"broker: {json.dumps(value)}\n")
    return [f"{problem.column} {problem.code} {problem.message}" for problem in check_settings([path], {}, {})[1]]


@pytest.mark.parametrize(
    "text",
    [
        f"broker: {json.dumps(WHOLE)}",
        "broker:\n  <<: [{url: 'amqp://u:${PW}@a/shop;amqp://u:${PW}@b/shop', declare: '${HOW}', confirm_timeout: 2}, "
        + json.dumps(WHOLE)
        + "]",
    ],
)
def test_a_mapping_says_everything(tmp_path: Path, text: str) -> None:
    assert of_file(tmp_path, text, PW="pw", HOW="passive") == BROKER


@pytest.mark.parametrize(
    "text", ["broker: [amqp://a, amqp://b]", "broker: amqp://a; amqp://b", "broker: {url: [amqp://a, amqp://b]}"]
)
def test_nodes_of_one_broker_are_a_list_or_a_text(tmp_path: Path, text: str) -> None:
    assert of_file(tmp_path, text) == Broker(("amqp://a", "amqp://b"))


@pytest.mark.parametrize(
    "text", ["namespace: n", "broker: redis", "broker: null", "broker: ${B:-}", "broker: {url: redis}"]
)
def test_without_another_one_it_is_the_redis_of_the_entries(tmp_path: Path, text: str) -> None:
    assert of_file(tmp_path, text) is None


def test_a_variable_a_file_and_a_flag_name_one_by_its_urls(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("amqp://u:pw@a; amqp://u:pw@b\n")
    expected = Broker(("amqp://u:pw@a", "amqp://u:pw@b"))
    assert load_settings([], {}, {"BEATD_BROKER_URL_FILE": str(secret)}).broker == expected
    assert load_settings([], {}, {"BEATD_BROKER_URL": "amqp://u:pw@a;amqp://u:pw@b"}).broker == expected
    assert load_settings([], {"broker": "redis"}, {"BEATD_BROKER_URL": "amqp://u:pw@a"}).broker is None


@pytest.mark.parametrize(
    "value, expected",
    [
        ("rabbit", "9 E044 broker: found ***; "),
        ([], "9 E044 broker: found a value of type list; "),
        ("amqq://u:pw@h", "9 E044 broker: found amqq://u:***@h; no broker is reached by amqq://"),
        (["amqp://h", "sqs://"], "9 E044 broker: found URLs of different kinds (amqp, sqs)"),
        ({"declare": "none"}, "9 E044 broker: url is missing"),
        ({"url": "http://h"}, "17 E044 broker.url: found http://h; no broker is reached by http://"),
        ({"url": "amqp://h", "declare": "all"}, "40 E044 broker.declare: found 'all'; accepted are none, passive"),
        ({"url": "amqp://h", "heartbeat": "soon"}, "42 E044 broker.heartbeat: 'soon' is not a duration"),
        ({"url": "amqp://h", "confirm_timeout": 0}, "48 E044 broker.confirm_timeout: found 0.0; seconds from 0.1"),
        ({"url": "amqp://h", "transport_options": [1]}, "50 E044 broker.transport_options: found a list; a mapping"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_place(tmp_path: Path, value: object, expected: str) -> None:
    [problem] = told(tmp_path, value)
    assert problem.startswith(expected)


@pytest.mark.parametrize(
    "broker, redis, same",
    [
        ("redis://h:6379/0", "redis://h", True),
        ("redis://u:pw@h/0", "redis://h:6379", True),
        ("redis://localhost/3", "redis://127.0.0.1:6379/3", True),
        ("redis://h?db=3", "redis://h/3", True),
        ("redis://h/0?virtual_host=3", "redis://h/3", True),
        ("rediss://h", "redis://h", True),
        ("redis://h/1", "redis://h/0", False),
        ("redis://h:7000", "redis://h", False),
        ("redis://other", "redis://h", False),
        ("amqp://h", "redis://h", False),
        ("redis://h;redis://i", "redis://h", False),
        ("redis://h", "unix:///h", False),
        ("redis://h", "redis://CANARY two", False),
        ("redis://h", "redis://[::1", False),
    ],
)  # fmt: skip
def test_the_very_same_database_is_no_other_broker(broker: str, redis: str, same: bool) -> None:
    found = read_broker(broker)
    assert found is not None
    assert same_redis(found, redis) is same
    settings = load_settings([], {"broker": broker, "redis": redis}, {})
    assert settings.broker_beside(redis) == (None if same else found)


def test_a_neighbour_of_the_database_is_remarked_upon(tmp_path: Path) -> None:
    path = tmp_path / "schedules.yaml"
    path.write_text("redis: redis://localhost/0\nbroker: redis://127.0.0.1/1\n")
    settings, [problem] = check_settings([path], {}, {})
    assert (problem.code, problem.line, problem.column) == ("W026", 2, 9)
    assert settings is not None
    assert list(settings.warnings) == [problem]
    assert [found.place for found in check_settings([path], {"broker": "redis://localhost/2"}, {})[1]] == ["--broker"]


def test_it_is_shown_without_what_is_secret() -> None:
    shown = json.dumps(broker_shown(BROKER)) + broker_text(BROKER)
    assert "hunter2" not in shown
    assert ":pw@" not in shown
    assert broker_text(BROKER) == (
        "amqp://u:***@a/shop; amqp://u:***@b/shop (declare passive, confirm_timeout 2s, heartbeat 0s, "
        "transport_options login_method, sentinel_kwargs)"
    )
    assert (broker_shown(None), broker_text(None)) == ("redis", "redis")


def test_masking_learns_its_secrets_whichever_way_it_comes() -> None:
    for value in (BROKER, broker_json(BROKER)):
        known = Secrets()
        for secret in secrets_in(value):
            known.learn(secret)
        assert known.hide("say hunter2") == "say ***"
    assert list(secrets_in(None)) == list(secrets_in("redis")) == []


def test_a_refusal_has_the_configurations_exit_code() -> None:
    with pytest.raises(ConfigInvalid) as caught:
        read_broker(5)
    assert caught.value.exit_code == 3
