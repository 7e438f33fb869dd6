"""Where Redis is, and the one place that builds connections to it.

redis-py's own retries are switched off everywhere: a timed-out script still runs to its end on the server, and a
client that quietly sends it again would hide an unknown outcome from the caller who has to deal with it.

What may change while a program runs is looked up at each connect: a password in a file, certificates, and which server
is the primary. Looking up blocks; on an event loop it is left to a thread.
"""

import asyncio
import errno
import math
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

import redis
import redis.asyncio
from redis.asyncio import connection as async_connection
from redis.asyncio.connection import Connection
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from beatd.core.json_value import kind_of
from beatd.core.masking import mask_url
from beatd.errors import AccessDenied, BeatdError, ConfigInvalid
from beatd.store.redis_url import Login, RedisUrl, read_url
from beatd.store.sentinel import Answer, Host, Sentinels
from beatd.store.tls_files import check_tls_files

DEFAULT_TIMEOUT = 1.0
ACCEPTED = (
    "accepted are redis://[user:password@]host[:port][/db], rediss://..., unix:///path and "
    "redis+sentinel://host[:port],host[:port]/name[/db]; in a password write / ? # @ as %2F %3F %23 %40"
)
LARGEST_SECRET: Final = 65_536

_ASYNC: Final[Mapping[str, type[Any]]] = {
    "redis": async_connection.Connection,
    "rediss": async_connection.SSLConnection,
    "unix": async_connection.UnixDomainSocketConnection,
}
# Left out there and loaded by us: not every redis-py takes the password of a key for asyncio.
_OF_CLIENT: Final = ("ssl_certfile", "ssl_keyfile", "ssl_password")
_BLOCKING: Final[Mapping[str, type[Any]]] = {
    "redis": redis.Connection,
    "rediss": redis.SSLConnection,
    "unix": redis.UnixDomainSocketConnection,
}


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A Redis URL and the seconds within which connecting, and each answer, must succeed.

    ``file``: where the URL was read from, to be read anew at each connect.
    """

    url: str = field(repr=False)
    timeout: float = DEFAULT_TIMEOUT
    file: str | None = None
    parsed: RedisUrl = field(init=False, repr=False, compare=False)
    sentinels: Sentinels | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.url, str):  # os.environ.get() of a variable that is not set
            raise ConfigInvalid(f"redis: found {kind_of(self.url)}; the URL of a Redis is accepted", hint=ACCEPTED)
        if not isinstance(self.timeout, int | float) or not 0 < self.timeout < math.inf:
            raise ConfigInvalid(f"timeout: found {self.timeout!r}; seconds above 0 are accepted")
        try:
            parsed = read_url(self.url)
            object.__setattr__(self, "parsed", parsed)
            object.__setattr__(self, "sentinels", _sentinels(parsed, self.timeout) if parsed.sentinels else None)
            new_connection(self)
        except (ValueError, TypeError, redis.RedisError):  # their texts may quote a part of the URL that is a secret
            raise ConfigInvalid(f"redis: {mask_url(self.url)!r} is not a Redis address", hint=ACCEPTED) from None

    def __str__(self) -> str:
        return mask_url(self.url)

    @property
    def place(self) -> str:
        """Where it leads, as a sentence begins."""
        return f"Redis at {self}"

    def looked_up(self) -> "RedisAddress":
        """As it is now, a URL in a file read. Blocks. Raises AccessDenied where that can't be read."""
        if self.file is None:
            return self
        url = secret_in(self.file, "BEATD_REDIS_URL_FILE")
        try:
            return self if url == self.url else replace(self, url=url)
        except ConfigInvalid as error:
            raise AccessDenied(f"BEATD_REDIS_URL_FILE={self.file}: {error.message}", hint=error.hint) from None


def user_of(url: str) -> str:
    """The user that a URL names, `default` where it names none."""
    try:
        login = read_url(url).login
    except ValueError:
        return "default"
    return (login.user if login.password or login.file else None) or "default"


def secret_in(path: str, what: str) -> str:
    """The one line that a file with a secret holds. Blocks. Raises AccessDenied; ``what`` begins the sentence."""
    hint = "write it there, readable for the user that beatd runs as; it is read at each connect"
    try:
        text = _regular(path).decode().strip("\r\n")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise AccessDenied(f"{what}={path}: {why}", hint=hint) from None
    if not text or "\n" in text:
        raise AccessDenied(f"{what}={path}: one line is accepted, found {len(text.splitlines())}", hint=hint)
    return text


def _regular(path: str) -> bytes:
    """A pipe can be read once only, and may let us wait for ever: it is no file to read anew."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return file.read(LARGEST_SECRET)


def open_client(address: RedisAddress) -> "redis.Redis":
    """A blocking client, for commands. Connects on first use; replies are raw, as RESP2 gives them."""
    pool = redis.ConnectionPool(
        connection_class=_anew(_BLOCKING[address.parsed.kind], address),
        **_settings(address),
        retry=Retry(NoBackoff(), 0),
        socket_timeout=address.timeout,
        socket_connect_timeout=address.timeout,
    )
    client = redis.Redis(connection_pool=pool)
    client.auto_close_connection_pool = True
    client.response_callbacks.clear()  # replies as they are, the same as the daemon's connections give
    return client


def open_async_client(address: RedisAddress) -> "redis.asyncio.Redis":
    """The same for asyncio; good for the event loop in which it is first used."""
    pool = redis.asyncio.ConnectionPool(
        connection_class=_anew_async(_ASYNC[address.parsed.kind], address),
        **_settings(address, without=_OF_CLIENT),
        retry=AsyncRetry(NoBackoff(), 0),
        socket_timeout=address.timeout,
        socket_connect_timeout=address.timeout,
    )
    client = redis.asyncio.Redis(connection_pool=pool)
    client.auto_close_connection_pool = True
    client.response_callbacks.clear()
    return client


def new_connection(address: RedisAddress) -> Connection:
    """One raw connection for the daemon, not yet open. It has no timeouts of its own: Link sets them on each await.

    What has to be looked up is not: that is done by ``look_up``.
    """
    # Said outright: from redis-py 8 on, a connection without a word about it gives up after 5 idle seconds.
    timeouts = {"socket_timeout": None, "socket_connect_timeout": None}
    settings = {**_settings(address, without=_OF_CLIENT), "retry": AsyncRetry(NoBackoff(), 0), **timeouts}
    connection: Connection = _ASYNC[address.parsed.kind](**settings)
    return connection


class LookedUp(NamedTuple):
    """What was found out before a connection is opened: the address as it is now, a connection that is aimed at the
    primary and has its password, and what Sentinels said of that primary.
    """

    address: RedisAddress
    connection: Connection
    primary: Answer | None = None


async def look_up(address: RedisAddress) -> LookedUp:
    """Raises AccessDenied and Unreachable within the timeout, and TimeoutError where a file can't be read by then."""
    parsed = address.parsed
    if address.file is None and parsed.kind != "rediss" and not (parsed.sentinels or parsed.login.file):
        return LookedUp(address, new_connection(address))
    async with asyncio.timeout(1.5 * address.timeout):
        return await asyncio.to_thread(_looked_up, address)


def host_of(connection: Any) -> Host | None:
    """Host and port that a connection is aimed at; None for a socket of this host."""
    return (connection.host, connection.port) if hasattr(connection, "host") else None


def host_now(address: RedisAddress) -> Host | None:
    """Host and port that an address leads to now; None for a socket of this host, or where nobody knows. Blocks."""
    if address.sentinels is None:
        return host_of(new_connection(address))
    try:
        primary = address.sentinels.primary(address.place)
    except BeatdError:
        return None
    return primary.host, primary.port


def _looked_up(address: RedisAddress) -> LookedUp:
    now = address.looked_up()
    connection = new_connection(now)
    return LookedUp(now, connection, aim(connection, now))


def aim(connection: Any, address: RedisAddress) -> Answer | None:
    """Points a connection, blocking or not, at the primary, and gives it password and certificates. Blocks.

    Gives what Sentinels said of the primary. Raises AccessDenied and Unreachable.
    """
    parsed, primary = address.parsed, None
    if parsed.login.file is not None:
        connection.password = secret_in(parsed.login.file, "password_file")
    if address.sentinels is not None:
        primary = address.sentinels.primary(address.place)
        connection.host, connection.port = primary.host, primary.port
    if parsed.kind == "rediss":
        check_tls_files(parsed.tls)
        if isinstance(connection, async_connection.SSLConnection):
            _load_tls(connection.ssl_context, parsed.tls)
    return primary


def _load_tls(held: async_connection.RedisSSLContext, settings: Mapping[str, Any]) -> None:
    """Makes the context anew, with the authorities of the host, which takes its time, and the client's certificate."""
    held.context = None
    context = held.get()
    if "ssl_certfile" in settings:
        context.load_cert_chain(settings["ssl_certfile"], settings.get("ssl_keyfile"), settings.get("ssl_password", ""))


def _settings(address: RedisAddress, without: Sequence[str] = ()) -> dict[str, Any]:
    login = address.parsed.login
    said = {"username": login.user, "password": login.password}
    given = {name: value for name, value in address.parsed.settings.items() if name not in without}
    return {**given, **{name: value for name, value in said.items() if value}, "protocol": 2}


def _sentinels(parsed: RedisUrl, timeout: float) -> Sentinels:
    """How the Sentinels of a URL are asked: over TLS where the server is, and with a login of their own."""
    of_tls = parsed.tls if parsed.kind == "rediss" else {}

    def connect(host: Host) -> redis.Connection:
        check_tls_files(of_tls)
        login = _with_password(parsed.sentinel_login, "sentinel_password_file")
        connection: redis.Connection = _BLOCKING[parsed.kind](
            host=host[0],
            port=host[1],
            username=login.user,
            password=login.password,
            protocol=2,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            **of_tls,
        )
        connection.connect()
        return connection

    return Sentinels(parsed.sentinels, parsed.master, timeout, connect)


def _with_password(login: Login, what: str) -> Login:
    return login if login.file is None else replace(login, password=secret_in(login.file, what))


def _anew(kind: type[Any], address: RedisAddress) -> type[Any]:
    """A kind of connection of redis-py that is aimed anew each time it is opened."""

    def connect(self: Any) -> None:
        if self._sock is None:
            aim(self, address)
        kind.connect(self)

    return type(kind.__name__, (kind,), {"connect": connect})


def _anew_async(kind: type[Any], address: RedisAddress) -> type[Any]:
    async def connect(self: Any) -> None:
        if not self.is_connected:
            async with asyncio.timeout(1.5 * address.timeout):
                await asyncio.to_thread(aim, self, address)
        await kind.connect(self)

    return type(kind.__name__, (kind,), {"connect": connect})
