"""Every other broker that kombu knows (a second Redis, SQS, filesystem://, memory:// ...), one message after another.

There are no confirms here: a message is confirmed when kombu has handed it over without an error. There are no queues
that have to exist either; ``declare: celery`` writes down the binding that Celery's own producers would.
"""

import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

from kombu.connection import Connection
from kombu.entity import Exchange, Queue
from kombu.exceptions import InconsistencyError

from beatd.core.broker import Broker
from beatd.core.doctor.brokers import BrokerFacts
from beatd.core.intent import CONFIRMED, Outcome
from beatd.core.masking import mask_text, mask_url
from beatd.errors import AccessDenied, BeatdError, ConfigInvalid, Unreachable
from beatd.transports._envelope import Envelope, open_envelope
from beatd.transports._worker import Worker, at_most
from beatd.uptime import uptime

SCHEMES: Final = ("*",)
LISTED_TOGETHER: Final = "sentinel"  # its URLs are the places to ask, and not one broker each
TLS_REDIS: Final = "rediss"
REDIS: Final = ("redis", "rediss", "sentinel", "redis+socket", "rediss+socket")
LOGIN_ERRORS: Final = ("AuthenticationError", "AuthorizationError", "NoPermissionError", "AccessDenied")


class KombuTransport:
    """See ``beatd.daemon.ports.Transport``. What begins with an underscore and is no coroutine runs on the thread."""

    def __init__(self, broker: Broker) -> None:
        self.on_change: Callable[[], None] = _nothing
        self.label, self.fingerprint = broker.label, broker.fingerprint
        self.connected = False
        self.blocked = ""
        self._broker = broker
        together = broker.scheme == LISTED_TOGETHER
        self._urls = (";".join(broker.urls),) if together else broker.urls
        self._attempts = 0
        self._connection: Any = None
        self._channel: Any = None
        self._declared: set[tuple[str, str]] = set()
        self._closed = False
        self._worker = Worker(f"broker {broker.fingerprint}")

    async def connect(self) -> None:
        """Connects once, to the next URL of the list."""
        if self._closed:
            raise Unreachable(f"the broker at {self.label}: this transport was closed")
        attempt = self._worker.call(self._connect)
        if not await at_most(attempt, 3 * self._broker.confirm_timeout):
            raise Unreachable(f"the broker at {self.label} gave no answer in time")
        await attempt

    async def publish(self, messages: Sequence[tuple[str, bytes]], until: float) -> Sequence[Outcome]:
        """Hands over messages one by one; those that are not through in time are unknown."""
        if not self.connected or self._closed:
            return [Outcome("unknown", "not connected")] * len(messages)
        outcomes: list[Outcome | None] = [None] * len(messages)
        until = min(until, uptime() + self._broker.confirm_timeout)
        done = self._worker.call(partial(self._publish, messages, until, outcomes))
        await at_most(done, until + self._broker.confirm_timeout - uptime())
        return [outcome or Outcome("unknown", "no answer in time") for outcome in outcomes]

    async def close(self) -> None:
        """Ends the connection and the thread."""
        if not self._closed:
            self._closed = True
            await at_most(self._worker.call(self._close), self._broker.confirm_timeout)

    def _connect(self) -> None:
        if self._connection is not None:
            return
        url = self._urls[self._attempts % len(self._urls)]
        self._attempts += 1
        connection = _open(url, self._broker)
        try:
            connection.connect()
            channel = connection.channel()
        except Exception as error:
            with suppress(Exception):  # what is left of it does not matter
                connection.release()
            raise _understand(error, url) from error
        self._connection, self._channel = connection, channel
        self._change(connected=True)

    def _publish(self, messages: Sequence[tuple[str, bytes]], until: float, outcomes: list[Outcome | None]) -> None:
        for place, (_, message) in enumerate(messages):
            if self._channel is None or uptime() >= until:
                return
            try:
                envelope = open_envelope(message)
            except ValueError as error:
                outcomes[place] = Outcome("refused", f"the message can't be sent: {error}", hopeless=True)
                continue
            try:
                outcomes[place] = self._send(envelope)
            except self._connection.connection_errors as error:
                self._lose()
                outcomes[place] = Outcome("unknown", f"the connection was lost: {_text(error)}")
            except Exception as error:  # noqa: BLE001 - each of kombu's brokers has errors of its own
                outcomes[place] = Outcome("refused", _text(error))

    def _send(self, message: Envelope) -> Outcome:
        channel = self._channel
        if self._broker.declare == "celery":
            self._declare(message.exchange, message.routing_key)
        if not _leads_somewhere(channel, message):
            return Outcome("returned", f"no queue is bound to {message.exchange!r} for {message.routing_key!r}")
        properties = dict(message.properties)
        priority = properties.pop("priority", 0)
        ready = channel.prepare_message(
            message.body,
            priority=priority,
            content_type=message.content_type,
            content_encoding=message.content_encoding,
            headers=dict(message.headers),
            properties=properties,
        )
        channel.basic_publish(ready, exchange=message.exchange, routing_key=message.routing_key)
        return CONFIRMED

    def _declare(self, exchange: str, routing_key: str) -> None:
        place = (exchange, routing_key)
        if place in self._declared:
            return
        if exchange:
            Exchange(exchange, "direct", channel=self._channel).declare()
        else:
            bound = Exchange(routing_key, "direct")
            Queue(routing_key, bound, routing_key=routing_key, channel=self._channel).declare()
        self._declared.add(place)

    def _lose(self) -> None:
        connection, self._connection, self._channel = self._connection, None, None
        self._declared.clear()
        with suppress(Exception):  # whatever state it is in, it is not used again
            connection.release()
        self._change(connected=False)

    def _change(self, *, connected: bool) -> None:
        self.connected = connected
        self._worker.tell(self._tell_of_it)

    def _tell_of_it(self) -> None:
        self.on_change()  # read on the event loop: it may have been set since

    def _close(self) -> None:
        if self._connection is not None:
            self._lose()
        self._worker.end()


def open_broker(broker: Broker) -> KombuTransport:
    """A transport for this broker, not connected yet. Raises ConfigInvalid where kombu lacks what it needs."""
    try:
        _open(broker.urls[0], broker, with_password=False).get_transport_cls()
    except Exception as error:  # a transport whose library is missing may end in any error at its import
        raise ConfigInvalid(
            f"broker: kombu can't open {broker.scheme}:// here: {_text(error)}",
            hint=f"pip install 'kombu[{broker.scheme.partition('+')[0]}]' brings what it needs, if kombu knows it",
        ) from error
    return KombuTransport(broker)


def examine(broker: Broker, queues: Sequence[str]) -> BrokerFacts:
    """What `doctor` can see: whether the first URL is answered. There are no queues that must exist."""
    begun = time.monotonic()
    url = ";".join(broker.urls) if broker.scheme == LISTED_TOGETHER else broker.urls[0]
    try:
        with _open(url, broker) as connection:
            connection.connect()
            connection.channel()
    except Exception as error:  # noqa: BLE001 - each of kombu's brokers has errors of its own
        problem = _understand(error, url)
        return BrokerFacts(broker.label, problem=problem.message, fix=problem.hint or "")
    return BrokerFacts(broker.label, (time.monotonic() - begun) * 1000)


def _open(url: str, broker: Broker, *, with_password: bool = True) -> Any:
    seconds = broker.confirm_timeout
    bounds = {"socket_timeout": seconds, "socket_connect_timeout": seconds} if broker.scheme in REDIS else {}
    options = {**bounds, **broker.transport_options}
    where = ";".join(_with_password(each, read=with_password) for each in url.split(";"))
    # By itself kombu takes any certificate where the URL says nothing of TLS; what the URL says goes before this.
    tls = {"ssl_cert_reqs": ssl.CERT_REQUIRED} if broker.scheme == TLS_REDIS else False
    return Connection(where, transport_options=options, connect_timeout=seconds, ssl=tls)


def _with_password(url: str, *, read: bool) -> str:
    """A URL with the password of its ``password_file``, which is read anew for each connection."""
    beyond, question, query = url.partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    path = given.pop("password_file", None)
    if path is None:
        return url
    try:
        password = Path(path).read_text(encoding="utf-8").rstrip("\r\n") if read else ""
    except (OSError, ValueError) as error:
        raise AccessDenied(f"the broker's password_file {path} can't be read: {type(error).__name__}") from error
    scheme, _, rest = beyond.partition("://")
    user, _, place = rest.rpartition("@")
    rest = f"{user.partition(':')[0]}:{quote(password, safe='')}@{place}"
    return f"{scheme}://{rest}{question if given else ''}{urlencode(given)}"


def _leads_somewhere(channel: Any, message: Envelope) -> bool:
    """Whether a queue is bound to the exchange; kombu would put the message where nobody looks."""
    if not message.exchange or not hasattr(channel, "get_table"):
        return True
    try:
        table = channel.get_table(message.exchange)
    except (KeyError, InconsistencyError):
        return False
    found = channel.typeof(message.exchange).lookup(table, message.exchange, message.routing_key, None)
    return any(queue is not None for queue in found or ())


def _understand(error: Exception, url: str) -> BeatdError:
    where = f"the broker at {'; '.join(mask_url(each) for each in url.split(';'))}"
    if isinstance(error, BeatdError):
        return error
    if type(error).__name__ in LOGIN_ERRORS or "WRONGPASS" in str(error) or "NOAUTH" in str(error):
        return AccessDenied(f"{where} refuses the user or the password: {_text(error)}")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        hint = "ssl_ca_certs names the authority to trust; the host of the URL must be one in the certificate"
        return Unreachable(f"{where} shows a certificate that is not accepted: {_text(error)}", hint=hint)
    return Unreachable(f"{where}: {_text(error)}")


def _text(error: BaseException) -> str:
    return mask_text(str(error)) or type(error).__name__


def _nothing() -> None:
    """Nobody listens yet."""
