"""What Redis answers when it says no, as an error named by what to do next, in a sentence that an operator understands.

Each says where, what was found and what to do; docs/troubleshooting.md has them all.
"""

import re
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import redis.exceptions as redis_errors

from beatd.core.server import OLDEST
from beatd.errors import AccessDenied, BeatdError, LeaseLost, OutboxFull, Refused, Unreachable, WritesRefused


class NewerFormat(Refused):
    """What is stored has another format than this program speaks."""

    code = "format"


class StoreSpoilt(Refused):
    """One of beatd's keys, or the whole layout, is not what beatd keeps there."""

    code = "store_spoilt"


class ConnectionClosed(Unreachable):
    """The server was there, and closed the connection before it answered: what was asked may have been done."""


class PermissionMissing(AccessDenied):
    """The user may not do something that beatd needs to do; which, is found out by asking (`store/rights.py`)."""


class _Meaning(NamedTuple):
    """What a word says: the kind of error, the sentence between place and text, and the hint."""

    kind: type[BeatdError]
    says: str
    hint: str | None = None


_PRIMARY: Final = "point beatd at the primary; after a failover it finds the new one by connecting again"
_WAITS: Final = "nothing was written, and what is due waits; beatd goes on by itself"
_CLUSTER: Final = _Meaning(
    AccessDenied, "is a Redis Cluster", "beatd and its queues need one server; use a Redis without cluster mode"
)
_MEANINGS: Final = {
    "NOAUTH": _Meaning(
        AccessDenied,
        "wants a password",
        "write it into the URL: redis://:password@host:port/0, with a user redis://user:password@host:port/0",
    ),
    "WRONGPASS": _Meaning(
        AccessDenied,
        "refuses the user or the password",
        "check both in the URL, or BEATD_REDIS_URL; write / ? # @ as %2F %3F %23 %40",
    ),
    "NOPERM": _Meaning(PermissionMissing, "refuses a right", "ask its administrator for the rights that beatd needs"),
    "DENIED": _Meaning(
        AccessDenied, "is in protected mode", "set a password on the server, or bind it to this host only"
    ),
    "DB": _Meaning(AccessDenied, "has no such database", "the number after the last / of the URL; 0 is always there"),
    "UNKNOWN": _Meaning(
        AccessDenied, "does not know a command that beatd needs", f"beatd needs {OLDEST} or later: upgrade the server"
    ),
    "CLUSTER": _CLUSTER,
    "MOVED": _CLUSTER,
    "ASK": _CLUSTER,
    "CROSSSLOT": _CLUSTER,
    "CLUSTERDOWN": _CLUSTER,
    "TRYAGAIN": _CLUSTER,
    "CLIENTS": _Meaning(Unreachable, "takes no more clients", "raise maxclients, or close idle connections"),
    "LOADING": _Meaning(Unreachable, "is still loading its data", "wait until it is done"),
    "BUSY": _Meaning(
        Unreachable, "is busy with somebody's long script", "SCRIPT KILL ends one that has not written yet"
    ),
    "MASTERDOWN": _Meaning(Unreachable, "is a replica that has lost its primary", _PRIMARY),
    "READONLY": _Meaning(WritesRefused, "is a replica and refuses to write", _PRIMARY),
    "OOM": _Meaning(
        WritesRefused, "is at its maxmemory limit and refuses to write", f"free memory or raise the limit; {_WAITS}"
    ),
    "MISCONF": _Meaning(
        WritesRefused, "can't persist and refuses to write", f"is its disk full? see its log; {_WAITS}"
    ),
    "NOREPLICAS": _Meaning(
        WritesRefused, "has fewer replicas than min-replicas-to-write and refuses to write", f"mend them; {_WAITS}"
    ),
}
# Words of our own scripts: their texts say it all.
_OURS: Final[dict[str, type[BeatdError]]] = {
    "FENCED": LeaseLost,
    "FORMAT": NewerFormat,
    "SHARDS": NewerFormat,
    "BADTYPE": StoreSpoilt,
    "MALFORMED": StoreSpoilt,
    "FULL": OutboxFull,
}
# redis-py takes the word off the texts of these.
_BY_CLASS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (redis_errors.NoPermissionError, "NOPERM"),
    (redis_errors.AuthenticationError, "WRONGPASS"),
    (redis_errors.BusyLoadingError, "LOADING"),
    (redis_errors.ReadOnlyError, "READONLY"),
    (redis_errors.OutOfMemoryError, "OOM"),
    (redis_errors.MasterDownError, "MASTERDOWN"),
    (redis_errors.ClusterCrossSlotError, "CROSSSLOT"),
    (redis_errors.ClusterDownError, "CLUSTERDOWN"),
    (redis_errors.TryAgainError, "TRYAGAIN"),
    (redis_errors.AskError, "ASK"),
)
_BY_TEXT: Final = (
    (re.compile("Authentication required"), "NOAUTH"),
    (re.compile("DB index|Invalid Database"), "DB"),
    (re.compile("max number of clients"), "CLIENTS"),
    (re.compile("SELECT is not allowed in cluster mode"), "CLUSTER"),
    # A right that is missing inside a script, in the words of 6.2, of 7 and of Valkey.
    (re.compile("can't run this command or|can't access at least one of the keys|ACL failure in script"), "NOPERM"),
    (re.compile("unknown command|[Uu]nknown Redis command|[Uu]nknown command called from"), "UNKNOWN"),
)
_IN_SCRIPT: Final = re.compile(r"-(OOM|MISCONF|NOREPLICAS|READONLY|NOPERM) ")  # 6.2 wraps what a script met
_TAIL: Final = re.compile(r",? script:(?: [0-9a-f]{40},)? on @user_script:\d+\.?\s*$")
_UNTRUSTED: Final = (
    "is not trusted",
    "name the CA that signed it in the URL: rediss://host:port/0?ssl_ca_certs=/path/ca.pem",
)
_OTHER_HOST: Final = (
    "is for another host",
    "write a host into the URL that the certificate names; or add ssl_check_hostname=false, if the way there is safe",
)
_TIME: Final = "renew it on the server; if it is in order, this host's clock is wrong"
_CERTIFICATES: Final = {  # by the numbers of OpenSSL
    9: ("is not valid yet", _TIME),
    10: ("has expired", _TIME),
    62: _OTHER_HOST,
    64: _OTHER_HOST,
}
_ALERTS: Final = (
    (
        re.compile("(CERTIFICATE_REQUIRED)"),
        "wants a certificate of the client",
        "add it to the URL: ?ssl_certfile=/path/client.pem&ssl_keyfile=/path/client.key",
    ),
    (
        re.compile("(HANDSHAKE_FAILURE)"),
        "breaks off TLS: {}",
        "it may want a certificate of the client (ssl_certfile and ssl_keyfile in the URL), or ciphers of another kind",
    ),
    (
        re.compile("ALERT_((?:UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_[A-Z]+|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED))"),
        "refuses the certificate of the client: {}",
        "ssl_certfile in the URL has to be valid now, and signed by an authority that the server trusts",
    ),
    (
        re.compile("(PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|NO_SHARED_CIPHER|NO_PROTOCOLS_AVAILABLE)"),
        "speaks another version of TLS: {}",
        "let the server speak TLS 1.2 or 1.3: its setting is tls-protocols",
    ),
)
_CLOSED: Final = re.compile("Connection lost|closed by server|reset by peer|Broken pipe|while reading from")


def understand(error: Exception, place: str = "Redis") -> BeatdError:
    """An error of redis-py or of the socket as one of ours; never raises. ``place`` begins the sentence."""
    text = _TAIL.sub("", str(error))
    word = _word(error, text)
    if word in _OURS:
        return _OURS[word](text.removeprefix(f"{word} "))
    if (meaning := _MEANINGS.get(word)) is not None:
        said = text.removeprefix(f"{word} ").split(". ", 1)[0]
        return meaning.kind(f"{place} {meaning.says}: {said}", hint=meaning.hint)
    if isinstance(error, redis_errors.ResponseError):
        return StoreSpoilt(text)
    return _no_answer(error, text, place)


def _word(error: Exception, text: str) -> str:
    for pattern, word in _BY_TEXT:
        if pattern.search(text):
            return word
    for kind, word in _BY_CLASS:
        if isinstance(error, kind):
            return word
    if not isinstance(error, redis_errors.ResponseError):
        return ""
    wrapped = _IN_SCRIPT.search(text)
    return wrapped[1] if wrapped else text.split(" ", 1)[0]


def _no_answer(error: Exception, text: str, place: str) -> BeatdError:
    """What a socket tells: the name, the certificate, nobody there, or silence."""
    causes = list(_causes(error))
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        hint = "check the host in the URL, and the name server"
        return Unreachable(f"{place}: the host name does not resolve", hint=hint)
    if (denied := _tls_refusal(causes, text, place)) is not None:
        return denied
    if silent(error):
        return Unreachable(f"{place} gave no answer in time", hint="is it frozen or overloaded?")
    if closed(error):
        return ConnectionClosed(f"{place} closed the connection")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes) or "Connect call failed" in text:
        return Unreachable(
            f"{place} does not answer: Connection refused",
            hint="is the server running? is the port right?",
        )
    return Unreachable(f"{place} does not answer: {text or type(error).__name__}")


def _tls_refusal(causes: Sequence[BaseException], text: str, place: str) -> AccessDenied | None:
    """What speaks against the server's certificate, or what the server has against ours."""
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            says, hint = _CERTIFICATES.get(cause.verify_code, _UNTRUSTED)
            return AccessDenied(f"{place} shows a certificate that {says}: {cause.verify_message}", hint=hint)
    for pattern, says, hint in _ALERTS:
        if found := pattern.search(text):
            return AccessDenied(f"{place} {says.format(found[1].replace('_', ' ').lower())}", hint=hint)
    return None


def demoted(replies: Iterable[object]) -> bool:
    """Whether a server says that it is a replica: who connects again may find the primary."""
    return any(isinstance(reply, Exception) and _word(reply, str(reply)) == "READONLY" for reply in replies)


def silent(error: Exception) -> bool:
    """Whether somebody was there who gave no answer in time."""
    return any(isinstance(cause, TimeoutError | redis_errors.TimeoutError) for cause in _causes(error))


def closed(error: Exception) -> bool:
    """Whether somebody was there who closed the connection."""
    return _CLOSED.search(str(error)) is not None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
