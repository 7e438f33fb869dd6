"""Finding out why a connection can't be made where redis-py can't tell.

A server that takes no more clients says so at once and closes, often before that is read. One that speaks TLS only
closes without a word, and one that speaks none waits for ever.
"""

import socket
import ssl
from contextlib import suppress
from typing import Final

import redis.exceptions as redis_errors

from beatd.errors import AccessDenied, BeatdError, Unreachable
from beatd.store.connect import RedisAddress, host_now
from beatd.store.refusals import ConnectionClosed, closed, silent, understand
from beatd.store.sentinel import Host

_REFUSAL_S: Final = 0.2  # a refusal on sight comes at once
_FIRST: Final = (b"+", b"-", b"$")  # how the answer of a server that speaks plain text begins


def worth_a_look(error: Exception, address: RedisAddress) -> bool:
    """Whether looking closer at an error of connecting may tell more than the error."""
    if address.parsed.kind != "rediss":
        return closed(error)
    return silent(error) or closed(error) or "EOF occurred" in str(error)


def look_at(address: RedisAddress, place: str, found: BeatdError, *, met: bool) -> BeatdError:
    """As look_closer, where the address leads to now."""
    tls = address.parsed.kind == "rediss"
    return look_closer(host_now(address), place, found, tls=tls, timeout=address.timeout, met=met)


def look_closer(
    host: Host | None, place: str, found: BeatdError, *, tls: bool, timeout: float, met: bool = False
) -> BeatdError:
    """What is behind an error of connecting to a host (None: a socket); itself where nothing was found out.

    Blocks for up to the timeout, and only for a moment where the server was ``met`` before: it has not changed its mind
    about TLS since.
    """
    if type(found) not in (Unreachable, ConnectionClosed) or host is None:
        return found
    if tls:
        if not met and _answer(host, timeout, b"PING\r\n")[:1] in _FIRST:
            return AccessDenied(f"{place} does not speak TLS", hint="write redis:// in place of rediss://")
        alert = None if met else _alert(host, timeout)
        return found if alert is None else understand(alert, place)
    said = _answer(host, _REFUSAL_S, b"")
    if said.startswith(b"-"):
        text = said[1:].decode(errors="replace").strip().removeprefix("ERR ")
        return understand(redis_errors.ResponseError(text), place)
    if not met and _speaks_tls(host, timeout):
        return AccessDenied(f"{place} speaks TLS only", hint="write rediss:// in place of redis://")
    return found


def _answer(host: Host, timeout: float, words: bytes) -> bytes:
    with suppress(OSError), socket.create_connection(host, timeout) as plain:
        plain.sendall(words)
        return plain.recv(1_000)
    return b""


def _speaks_tls(host: Host, timeout: float) -> bool:
    with suppress(OSError), socket.create_connection(host, timeout) as plain, _anyone().wrap_socket(plain):
        return True
    return False


def _alert(host: Host, timeout: float) -> ssl.SSLError | None:
    """What a server says against a client that shows no certificate: often too late to be read in the first place."""
    try:
        with socket.create_connection(host, timeout) as plain, _anyone().wrap_socket(plain) as connection:
            connection.settimeout(_REFUSAL_S)
            connection.recv(1)
    except ssl.SSLError as error:
        return error
    except OSError:
        pass
    return None


def _anyone() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent over it
    return context
