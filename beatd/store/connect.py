"""Where Redis is, and the one place that builds connections to it.

redis-py's own retries are switched off everywhere: a timed-out script still runs to its end on the server, and a
client that quietly sends it again would hide an unknown outcome from the caller who has to deal with it.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import redis
from redis.asyncio.connection import Connection
from redis.asyncio.connection import parse_url as parse_redis_url
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from beatd.errors import ConfigInvalid

DEFAULT_TIMEOUT = 1.0
ACCEPTED = "redis://[user:password@]host[:port][/db], rediss://... or unix:///path"


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A Redis URL and the seconds within which connecting, and each answer, must succeed."""

    url: str
    timeout: float = DEFAULT_TIMEOUT

    def __post_init__(self) -> None:
        try:
            parse_redis_url(self.url)
        except ValueError as error:
            raise ConfigInvalid(
                f"redis: {mask_url(self.url)!r} is not a Redis address: {error}", hint=f"accepted are {ACCEPTED}"
            ) from error

    def __str__(self) -> str:
        return mask_url(self.url)


def mask_url(url: str) -> str:
    """The URL as it may be shown: a password becomes ``***``."""
    try:
        parts = urlsplit(url)
        secret = parts.password
    except ValueError:
        return "***"
    if not secret and not parts.query:
        return url
    user, _, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    netloc = f"{name}:***@{host}" if secret else parts.netloc
    return urlunsplit((parts.scheme, netloc, parts.path, "***" if parts.query else "", parts.fragment))


def open_client(address: RedisAddress) -> "redis.Redis":
    """A blocking client, for commands. Connects on first use; replies are raw, as RESP2 gives them."""
    client = redis.Redis.from_url(
        address.url,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=address.timeout,
        socket_connect_timeout=address.timeout,
    )
    client.response_callbacks.clear()  # replies as they are, the same as the daemon's connections give
    return client


def new_connection(address: RedisAddress) -> Connection:
    """One raw connection for the daemon, not yet open. It has no timeouts of its own: Link sets them on each await."""
    kwargs: dict[str, Any] = dict(parse_redis_url(address.url))
    kind = kwargs.pop("connection_class", Connection)
    # Said outright: from redis-py 8 on, a connection without a word about it gives up after 5 idle seconds.
    kwargs.update(protocol=2, retry=AsyncRetry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=None)
    connection: Connection = kind(**kwargs)
    return connection
