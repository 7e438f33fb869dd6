"""Transports: how messages get to a broker that is not our Redis. One file a kind of broker, found by walking here.

A transport is a module with ``SCHEMES`` (of the URLs it is for; ``"*"`` for all that no other one names) and an
``open_broker``; it may have an ``examine`` for `doctor`. Files whose name starts with an underscore are parts of a
transport and not transports themselves.
"""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol, cast

from beatd.core.broker import Broker
from beatd.core.doctor.brokers import BrokerFacts
from beatd.core.intent import Outcome
from beatd.errors import ConfigInvalid

ANY: Final = "*"
NOT_INSTALLED: Final = "pip install 'beatd[amqp]'"


class Transport(Protocol):
    """A connection to a broker, and the thread that owns it; the contract is that of ``beatd.daemon.ports``."""

    on_change: Callable[[], None]

    @property
    def label(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def connected(self) -> bool: ...

    @property
    def blocked(self) -> str: ...

    async def connect(self) -> None: ...

    async def publish(self, messages: Sequence[tuple[str, bytes]], until: float) -> Sequence[Outcome]: ...

    async def close(self) -> None: ...


class Kind(Protocol):
    """What the module of a transport offers."""

    SCHEMES: Sequence[str]

    def open_broker(self, broker: Broker) -> Transport:
        """A transport that is not connected yet. Raises ConfigInvalid for what its URLs or options can't mean."""


def open_transport(broker: Broker) -> Transport:
    """The transport for a broker, not connected yet; to be called on the event loop that will use it.

    Raises ConfigInvalid, also where kombu is not installed.
    """
    kinds = find_transports()
    kind = kinds.get(broker.scheme) or kinds.get(ANY)
    if kind is None:
        raise ConfigInvalid(f"broker: {broker.label}: no transport for {broker.scheme}://")
    return kind.open_broker(broker)


def examine_broker(broker: Broker, queues: Sequence[str]) -> BrokerFacts:
    """What `doctor` can see of a broker; it takes up to a confirm timeout a URL. Raises ConfigInvalid."""
    found = find_transports()
    kind = found.get(broker.scheme) or found.get(ANY)
    examine = getattr(kind, "examine", None)
    return cast(BrokerFacts, examine(broker, queues)) if examine else BrokerFacts(broker.label)


def find_transports() -> Mapping[str, Kind]:
    """All transports by scheme. Raises ConfigInvalid where a library is missing, TypeError for a file that is none."""
    found: dict[str, Kind] = {}
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        if module.name.rpartition(".")[2].startswith("_"):
            continue
        candidate = _imported(module.name)
        schemes = getattr(candidate, "SCHEMES", None)
        if not isinstance(schemes, tuple) or not callable(getattr(candidate, "open_broker", None)):
            raise TypeError(f"{module.name} is not a transport: it needs SCHEMES and an open_broker")
        for scheme in schemes:
            if scheme in found:
                raise TypeError(f"{module.name} and another transport are both for {scheme}://")
            found[scheme] = cast(Kind, candidate)
    return found


def own_schemes() -> Sequence[str]:
    """The schemes that transports name; none where a library is missing, for opening one tells that better."""
    try:
        return tuple(scheme for scheme in find_transports() if scheme != ANY)
    except ConfigInvalid:
        return ()


def _imported(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "beatd":
            raise
        raise ConfigInvalid(
            f"broker: other brokers than our Redis need kombu, and {error.name} is not installed here",
            hint=f"{NOT_INSTALLED}, or `broker: redis` for the Redis that holds the schedule",
        ) from error
