"""A broker that is not our Redis: where it is, and how it is talked to."""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, get_args
from urllib.parse import unquote

from beatd.core.json_value import kind_of
from beatd.core.masking import mask_url
from beatd.errors import ConfigInvalid

Declare = Literal["none", "passive", "celery"]
DECLARES: Final[tuple[Declare, ...]] = get_args(Declare)

AMQP: Final = frozenset({"amqp", "amqps", "pyamqp"})
DEFAULT_PORTS: Final = {"amqp": 5672, "amqps": 5671, "redis": 6379, "rediss": 6379, "sentinel": 26379}
ACCEPTED: Final = (
    "accepted are URLs such as amqp://user:password@host:5672/vhost, amqps://..., redis://..., sqs://...; several of "
    "one broker with ; between them; in a password write / ? # @ ; as %2F %3F %23 %40 %3B"
)

_URL: Final = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<rest>[^\s#]*)")
_PORT: Final = re.compile(r"(?P<host>.*?)(?::(?P<port>[0-9]{1,5}))?")


class Place(NamedTuple):
    """What one URL says about where a broker is. path: of a virtual host or database, decoded, without its slash."""

    scheme: str
    host: str
    port: int | None
    path: str


@dataclass(frozen=True, slots=True)
class Broker:
    """One broker: the URLs under which it is reached, tried in turn, and how it is talked to.

    declare: what is done about a queue before the first message to it. ``none``: nothing, and a message that no queue
    takes comes back. ``passive``: it is asked whether the queue exists. ``celery``: where it does not, it is declared
    as Celery would. A queue that exists is never declared, so that nothing hangs on how somebody else declared it.
    confirm_timeout, heartbeat: seconds; the first bounds connecting and each wait for an answer, a heartbeat of 0 is
    none. transport_options: as in Celery's ``broker_transport_options``.

    Raises ConfigInvalid. Two values of one broker may differ in user, password and options: see ``fingerprint``.
    """

    urls: tuple[str, ...] = field(repr=False)
    declare: Declare = "none"
    transport_options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    confirm_timeout: float = 5.0
    heartbeat: float = 10.0

    def __post_init__(self) -> None:
        if not self.urls:
            raise ConfigInvalid("broker: found no URL", hint=ACCEPTED)
        families = {family_of(place_of(url).scheme) for url in self.urls}
        if len(families) > 1:
            raise ConfigInvalid(
                f"broker: found URLs of different kinds ({', '.join(sorted(families))}); all must lead to one broker",
                hint="a list of URLs is for the nodes of one broker, which is reached under any of them",
            )
        if self.declare not in DECLARES:
            raise ConfigInvalid(f"broker.declare: found {self.declare!r}; accepted are {', '.join(DECLARES)}")
        if not isinstance(self.transport_options, Mapping):
            found = kind_of(self.transport_options)
            raise ConfigInvalid(f"broker.transport_options: found {found}; a mapping is accepted")
        for name, seconds, least in (
            ("confirm_timeout", self.confirm_timeout, 0.1),
            ("heartbeat", self.heartbeat, 0.0),
        ):
            if not _is_number(seconds) or not least <= seconds < math.inf:
                raise ConfigInvalid(f"broker.{name}: found {seconds!r}; seconds from {least:g} on are accepted")

    @property
    def scheme(self) -> str:
        """The scheme of its first URL."""
        return place_of(self.urls[0]).scheme

    @property
    def label(self) -> str:
        """All its URLs for people, without what is secret."""
        return "; ".join(mask_url(url) for url in self.urls)

    @property
    def fingerprint(self) -> str:
        """What tells this broker from others: 8 hex digits for each place where it is reached, with ``+`` between them.

        The order of its URLs, users, passwords and options don't count. Two with a place in common are one broker, of
        which nodes have been added or taken away (``is_same_broker``).
        """
        places = {_canonical(place_of(url)) for url in self.urls}
        return "+".join(sorted(hashlib.sha256(place.encode()).hexdigest()[:8] for place in places))

    def __str__(self) -> str:
        return self.label


def split_urls(found: str | Sequence[str]) -> tuple[str, ...]:
    """The URLs of a setting: a text with ``;`` between them, or a list of such texts. Raises ConfigInvalid."""
    texts = [found] if isinstance(found, str) else found
    if not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
        raise ConfigInvalid(f"broker: found {kind_of(found)}; a URL or a list of URLs is accepted", hint=ACCEPTED)
    return tuple(_split(texts))


def place_of(url: str) -> Place:
    """Where a URL leads. Raises ConfigInvalid, without quoting what may be a secret."""
    found = _URL.fullmatch(url)
    if not found:
        raise ConfigInvalid(f"broker: {mask_url(url)!r} is not the URL of a broker", hint=ACCEPTED)
    beyond, _, _ = found["rest"].partition("?")
    authority, _, path = beyond.partition("/")
    if "@" in path:  # a slash in the password, or in a key as those of sqs may have one
        _, _, behind = beyond.rpartition("@")
        authority, _, path = behind.partition("/")
    parted = _PORT.fullmatch(authority.rpartition("@")[2])
    host, port = (parted["host"], parted["port"]) if parted else (authority, None)
    return Place(found["scheme"], unquote(host).lower(), int(port) if port else None, unquote(path))


def family_of(scheme: str) -> str:
    """What schemes of one and the same kind of broker have in common."""
    return "amqp" if scheme in AMQP else {"rediss": "redis"}.get(scheme, scheme)


def _canonical(place: Place) -> str:
    scheme = "amqp" if place.scheme == "pyamqp" else place.scheme
    path = place.path
    if scheme in ("amqp", "amqps"):
        path = path or "/"
    elif scheme in ("redis", "rediss"):
        path = path or "0"
    return f"{scheme}://{place.host}:{place.port or DEFAULT_PORTS.get(scheme, '')}/{path}"


def _split(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        yield from (part.strip() for part in text.split(";") if part.strip())


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
