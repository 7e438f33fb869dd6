"""Where Redis is, and the one place that builds connections to it.

redis-py's own retries are switched off everywhere: a timed-out script still runs to its end on the server, and a
client that quietly sends it again would hide an unknown outcome from the caller who has to deal with it.
"""

import math
import re
from dataclasses import dataclass, field
from typing import Any, Final

import redis
import redis.asyncio
from redis.asyncio.connection import Connection
from redis.asyncio.connection import parse_url as parse_redis_url
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

from beatd.core.json_value import kind_of
from beatd.core.masking import mask_url, parts
from beatd.errors import ConfigInvalid

DEFAULT_TIMEOUT = 1.0
ACCEPTED = (
    "accepted are redis://[user:password@]host[:port][/db], rediss://... and unix:///path; "
    "in a password write / ? # @ as %2F %3F %23 %40"
)

# Only these, and strictly: redis-py takes db 0, or a server of this host, where it can't read a part of the URL.
_SCHEMES: Final = ("redis://", "rediss://", "unix://")


@dataclass(frozen=True, slots=True)
class RedisAddress:
    """A Redis URL and the seconds within which connecting, and each answer, must succeed."""

    url: str = field(repr=False)
    timeout: float = DEFAULT_TIMEOUT

    def __post_init__(self) -> None:
        if not isinstance(self.url, str):  # os.environ.get() of a variable that is not set
            raise ConfigInvalid(f"redis: found {kind_of(self.url)}; the URL of a Redis is accepted", hint=ACCEPTED)
        if not isinstance(self.timeout, int | float) or not 0 < self.timeout < math.inf:
            raise ConfigInvalid(f"timeout: found {self.timeout!r}; seconds above 0 are accepted")
        refusal = ConfigInvalid(f"redis: {mask_url(self.url)!r} is not a Redis address", hint=ACCEPTED)
        if not _parts(self.url):
            raise refusal
        try:
            new_connection(self)
        except (ValueError, TypeError):  # their texts may quote a part of the URL that is a secret
            raise refusal from None

    def __str__(self) -> str:
        return mask_url(self.url)


def user_of(url: str) -> str:
    """The user that a URL names, `default` where it names none."""
    found = _parts(url)
    return (found and found["secret"] and found["user"]) or "default"


def _parts(url: str) -> "re.Match[str] | None":
    return parts(url) if url.startswith(_SCHEMES) else None


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


def open_async_client(address: RedisAddress) -> "redis.asyncio.Redis":
    """The same for asyncio; good for the event loop in which it is first used."""
    client = redis.asyncio.Redis.from_url(
        address.url,
        protocol=2,
        retry=AsyncRetry(NoBackoff(), 0),
        socket_timeout=address.timeout,
        socket_connect_timeout=address.timeout,
    )
    client.response_callbacks.clear()
    return client


def new_connection(address: RedisAddress) -> Connection:
    """One raw connection for the daemon, not yet open. It has no timeouts of its own: Link sets them on each await."""
    kwargs: dict[str, Any] = dict(parse_redis_url(address.url))
    kind = kwargs.pop("connection_class", Connection)
    # Said outright: from redis-py 8 on, a connection without a word about it gives up after 5 idle seconds.
    kwargs.update(protocol=2, retry=AsyncRetry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=None)
    connection: Connection = kind(**kwargs)
    return connection
