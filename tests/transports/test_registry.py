"""A transport is one file; what an URL or an option can't mean is said before anything runs."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from kombu.transport import TRANSPORT_ALIASES

import beatd.transports
from beatd.config.broker import read_broker
from beatd.config.json_schema import json_schema
from beatd.config.schemes import OF_KOMBU
from beatd.core.broker import Broker, split_urls
from beatd.errors import ConfigInvalid
from beatd.transports import find_transports, open_transport

THROW_AWAY = """
SCHEMES = ("pigeon",)
def open_broker(broker):
    return ("a pigeon for", broker.label)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files are transports too, for the length of a test."""
    monkeypatch.setattr(beatd.transports, "__path__", [*beatd.transports.__path__, str(tmp_path)])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("beatd.transports."):
            del sys.modules[name]
            vars(beatd.transports).pop(name.rpartition(".")[2], None)
    importlib.invalidate_caches()


def test_a_new_transport_is_one_new_file(folder: Path) -> None:
    (folder / "pigeon.py").write_text(THROW_AWAY)
    assert open_transport(Broker(("pigeon://loft",))) == ("a pigeon for", "pigeon://loft")  # type: ignore[comparison-overlap]


def test_the_url_of_a_new_transport_is_accepted_without_another_word(folder: Path) -> None:
    with pytest.raises(ConfigInvalid, match="no broker is reached by pigeon://"):
        read_broker("pigeon://loft")
    (folder / "pigeon.py").write_text(THROW_AWAY)
    importlib.invalidate_caches()
    assert read_broker("pigeon://loft") == Broker(("pigeon://loft",))
    assert jsonschema.Draft202012Validator(json_schema()).is_valid({"broker": "pigeon://loft"})


def test_the_schemes_are_those_that_kombu_knows() -> None:
    """Without what it has under a second name or no more, with Redis by a socket."""
    left_out, besides = {"SLMQ", "slmq", "SQS", "librabbitmq"}, {"redis+socket", "rediss+socket"}
    assert set(OF_KOMBU) == set(TRANSPORT_ALIASES) - left_out | besides


@pytest.mark.parametrize("url", ["amqp://rabbit", "sqs://", "redis://other"])
def test_a_url_that_kombu_knows_is_read_without_kombu(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beatd.transports, "find_transports", None)  # not asked
    assert read_broker(url) == Broker((url,))


def test_a_file_that_is_no_transport_is_found(folder: Path) -> None:
    (folder / "pigeon.py").write_text("SCHEMES = ('pigeon',)")
    with pytest.raises(TypeError, match="pigeon is not a transport: it needs SCHEMES and an open_broker"):
        find_transports()


def test_two_transports_for_one_scheme_are_found(folder: Path) -> None:
    (folder / "pigeon.py").write_text(THROW_AWAY.replace("pigeon", "amqps"))
    with pytest.raises(TypeError, match="are both for amqps://"):
        find_transports()


def test_without_kombu_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "amqp" or name == "beatd.transports.amqp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "amqp", None)
    monkeypatch.delitem(sys.modules, "beatd.transports._declare", raising=False)
    with pytest.raises(ConfigInvalid) as refusal:
        open_transport(Broker(("amqp://rabbit",)))
    assert refusal.value.message == "broker: other brokers than our Redis need kombu, and amqp is not installed here"
    assert refusal.value.hint is not None
    assert refusal.value.hint.startswith("pip install 'beatd[amqp]'")


@pytest.mark.parametrize(
    "url, options, said",
    [
        ("amqps://rabbit?ssl_ca_cert=/ca", {}, "found 'ssl_ca_cert'; accepted are ssl_ca_certs"),
        ("amqp://rabbit?ssl_ca_certs=/ca", {}, "ssl_ca_certs is for amqps:// and not for amqp://"),
        ("amqps://rabbit?ssl_cert_reqs=always", {}, "ssl_cert_reqs: found 'always'"),
        ("amqps://rabbit?ssl_check_hostname=maybe", {}, "ssl_check_hostname: found 'maybe'"),
        ("amqp://one;amqp://two?heartbeat=7", {}, "found 'heartbeat'"),
        ("amqp://rabbit", {"login_methods": "PLAIN"}, "found 'login_methods'"),
        ("amqp://rabbit", {"login_method": "GUESS"}, "login_method: found 'GUESS'; accepted are PLAIN"),
    ],
)
async def test_what_an_amqp_url_can_not_mean_is_refused(url: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigInvalid) as refusal:
        open_transport(Broker(split_urls(url), transport_options=options))
    assert said in refusal.value.message


async def test_options_that_celery_needs_and_beatd_does_not_are_no_error() -> None:
    transport = open_transport(Broker(("amqp://rabbit",), transport_options={"confirm_publish": True}))
    assert not transport.connected
    await transport.close()
