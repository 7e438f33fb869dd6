"""The setting ``broker``: where the messages go. What people write of it, and how it may be shown."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from beatd.config.keys import nearest
from beatd.config.schemes import is_known, known_schemes
from beatd.core.broker import DEFAULT_PORTS, Broker, family_of, place_of, split_urls
from beatd.core.duration import parse_duration
from beatd.core.masking import MASK, mask_url
from beatd.core.shown import shown
from beatd.errors import ConfigInvalid, ScheduleInvalid

SAME: Final = "redis"
_ACCEPTED: Final = "redis (the same Redis), a URL such as amqp://user:password@host/vhost, a list, or {url: ...}"
_SECONDS: Final = ("confirm_timeout", "heartbeat")
_SECRETIVE: Final = ("password", "passwd", "secret", "token", "credential", "key")
_HERE: Final = frozenset({"localhost", "::1", "[::1]"})


class BrokerInvalid(ConfigInvalid):
    """What is wrong with the setting; ``path`` leads from its value to the place."""

    def __init__(self, message: str, *, hint: str | None = None, path: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.path = path


def read_broker(value: Any) -> Broker | None:
    """The broker that a flag, a variable or a file names; None for the Redis that holds the entries.

    Raises BrokerInvalid, without what may be a secret.
    """
    if value is None or value in (SAME, [SAME]):
        return None
    said = {"url": value} if not isinstance(value, Mapping) else dict(value)
    url = said.pop("url", None)
    if url is None:
        raise BrokerInvalid("url is missing", hint="write url: amqp://user:password@host/vhost")
    if url == SAME and not said:
        return None
    at_url = ("url",) if isinstance(value, Mapping) else ()
    urls = _urls(url, at_url)
    for name in _SECONDS:
        if name in said:
            said[name] = _seconds(name, said[name])
    try:
        return Broker(urls, **said)
    except ConfigInvalid as error:
        raise _placed(error, said, at_url) from error


def _urls(found: Any, path: tuple[str, ...]) -> tuple[str, ...]:
    texts = found if isinstance(found, list) else [found]
    if not texts or not all(isinstance(text, str) and "://" in text for text in texts):
        raise BrokerInvalid(f"found {_masked(found)}; {_ACCEPTED} is accepted", path=path)
    urls = split_urls(found)
    for url in urls:
        scheme = url.partition("://")[0]
        if not is_known(scheme):
            known = known_schemes()
            near = nearest(scheme, known)
            hint = f"did you mean {near}://?" if near else f"there are {', '.join(known)}"
            raise BrokerInvalid(f"found {mask_url(url)}; no broker is reached by {scheme}://", hint=hint, path=path)
    return urls


def _seconds(name: str, value: Any) -> float:
    try:
        return parse_duration(value) / 1000
    except ScheduleInvalid as error:
        raise BrokerInvalid(error.message, hint=error.hint, path=(name,)) from error


def _placed(error: ConfigInvalid, said: Mapping[str, Any], at_url: tuple[str, ...]) -> BrokerInvalid:
    """What the core says begins with its name for the place."""
    head, _, message = error.message.partition(": ")
    name = head.removeprefix("broker.")
    return BrokerInvalid(message or error.message, hint=error.hint, path=(name,) if name in said else at_url)


def same_redis(broker: Broker, redis_url: str) -> bool:
    """Whether a broker is the very database that holds the entries: then messages are pushed by the scripts."""
    if broker.urls == (redis_url,):
        return True
    return len(broker.urls) == 1 and _database(broker.urls[0]) == _database(redis_url) is not None


def same_server(broker: Broker, redis_url: str) -> bool:
    """Whether a broker is a database of the server that holds the entries."""
    ours = _database(redis_url)
    return ours is not None and any((_database(url) or ("", 0, ""))[:2] == ours[:2] for url in broker.urls)


def _database(url: str) -> tuple[str, int | None, str] | None:
    """Host, port and number of a Redis database; None for everything else."""
    if not url.startswith(("redis://", "rediss://")):
        return None
    try:
        place, asked = place_of(url), parse_qs(urlsplit(url).query)
    except (ConfigInvalid, ValueError):  # whoever connects to it will tell
        return None
    db = next((asked[name][0] for name in ("db", "virtual_host") if name in asked), place.path)
    host = "127.0.0.1" if place.host in _HERE or not place.host else place.host
    return host, place.port or DEFAULT_PORTS[family_of(place.scheme)], db.strip("/") or "0"


def secrets_in(broker: Any) -> Iterator[str]:
    """Of a broker, or of its JSON value, what masking has to know: URLs, and options that are named like a secret."""
    value = broker_json(broker) if isinstance(broker, Broker) else broker
    if isinstance(value, Mapping):
        yield from value["urls"]
        yield from _secret_texts(value["transport_options"], secret=False)


def _secret_texts(value: Any, *, secret: bool) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _secret_texts(inner, secret=secret or any(word in str(key).lower() for word in _SECRETIVE))
    elif isinstance(value, list):
        for inner in value:
            yield from _secret_texts(inner, secret=secret)
    elif secret and isinstance(value, str):
        yield value


def broker_json(broker: Broker | None) -> Any:
    """As a JSON value, with its secrets: ``redis``, or all its fields."""
    return SAME if broker is None else {**asdict(broker), "urls": list(broker.urls)}


def broker_shown(broker: Broker | None) -> Any:
    """As a JSON value that anybody may see. Of transport options only the names."""
    if broker is None:
        return SAME
    plain = {each.name: getattr(broker, each.name) for each in fields(broker)}
    urls = [mask_url(url) for url in broker.urls]
    return {**plain, "urls": urls, "transport_options": dict.fromkeys(broker.transport_options, MASK)}


def broker_text(broker: Broker | None) -> str:
    """For people, in one line, without secrets."""
    if broker is None:
        return SAME
    said = [f"declare {broker.declare}", f"confirm_timeout {broker.confirm_timeout:g}s"]
    said += [f"heartbeat {broker.heartbeat:g}s"]
    said += [f"transport_options {', '.join(map(str, broker.transport_options))}"] if broker.transport_options else []
    return f"{broker.label} ({', '.join(said)})"


def _masked(found: Any) -> str:
    if isinstance(found, str):
        return "; ".join(mask_url(text.strip()) for text in found.split(";"))
    if isinstance(found, list):
        return shown([mask_url(text) if isinstance(text, str) else text for text in found])
    return f"a value of type {type(found).__name__}"
