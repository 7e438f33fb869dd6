"""What a Redis URL says: where the server is or who knows it, how to log in, and how TLS is checked.

redis-py reads most of it. Its own are the parameters `password_file`, `sentinel_username`, `sentinel_password` and
`sentinel_password_file`, and the schemes `redis+sentinel://` and `rediss+sentinel://`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlencode

from redis.connection import parse_url

from beatd.core.masking import parts

SENTINEL_PORT: Final = 26379
# Only these, and strictly: redis-py takes db 0, or a server of this host, where it can't read a part of the URL.
SCHEMES: Final = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
_OWN: Final = ("password_file", "sentinel_username", "sentinel_password", "sentinel_password_file")
_OF_TLS: Final = "ssl_"


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in. ``file`` holds the password, and is read at each connect; then ``password`` is None."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    file: str | None = None


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A URL in its parts. ``settings``: further ones of a connection of redis-py, among them host and port, or path.

    With ``sentinels`` (host, port) these know where the server called ``master`` is; it has no host and port then.
    """

    kind: str  # redis, rediss or unix
    settings: Mapping[str, Any] = field(repr=False)
    login: Login
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    sentinel_login: Login = field(default_factory=Login)

    @property
    def tls(self) -> Mapping[str, Any]:
        """Those of the settings that say how TLS is checked."""
        return {name: value for name, value in self.settings.items() if name.startswith(_OF_TLS)}


def read_url(url: str) -> RedisUrl:
    """Raises ValueError for what is no URL of Redis, in words that may quote a secret."""
    found = parts(url)
    scheme = url.partition("://")[0]
    if not found or scheme not in SCHEMES:
        raise ValueError
    own, query = _parted(found["query"] or "")
    who = f"{found['user'] or ''}{found['secret'] or ''}@" if found["user"] is not None else ""
    kind, sentinel, _ = scheme.partition("+")
    hosts, name, place = "", "", found["place"]
    if sentinel:
        hosts, name, *db = place.rstrip("/").split("/")
        place = f"sentinel/{db[0] if db else ''}"
    settings: dict[str, Any] = dict(parse_url(f"{kind}://{who}{place}{query}"))
    settings.pop("connection_class", None)
    if sentinel:
        settings.pop("host", None)
    elif set(own) - {"password_file"}:
        raise ValueError
    if kind == "rediss":
        _check_names(settings)
    user, password = settings.pop("username", None), settings.pop("password", None)
    return RedisUrl(
        kind,
        settings,
        _login(user, password, own.get("password_file")),
        tuple(map(_host_and_port, hosts.split(","))) if sentinel else (),
        name,
        _login(own.get("sentinel_username"), own.get("sentinel_password"), own.get("sentinel_password_file")),
    )


def _parted(query: str) -> tuple[dict[str, str], str]:
    """Our own parameters, and the query with the others; as it stands where there are none of ours."""
    said = parse_qsl(query.removeprefix("?"), keep_blank_values=True)
    own = {name: value for name, value in said if name in _OWN}
    others = [(name, value) for name, value in said if name not in _OWN]
    if not own:
        return {}, query
    if len(own) + len(others) != len(said) or not all(own.values()):
        raise ValueError
    return own, f"?{urlencode(others)}" if others else ""


def _login(user: str | None, password: str | None, file: str | None) -> Login:
    if password and file:  # which of them counts?
        raise ValueError
    return Login(user, None if file else password, file)


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, port = text, ""
    number = int(port) if port else SENTINEL_PORT
    if not host or not 0 < number < 65536:
        raise ValueError
    return unquote(host.strip("[]")), number


def _check_names(settings: dict[str, Any]) -> None:
    """Host names are checked wherever certificates are; before version 6 redis-py did that only when told to."""
    if str(settings.get("ssl_cert_reqs", "required")) != "required":
        return
    told = settings.get("ssl_check_hostname", True)
    settings["ssl_check_hostname"] = (
        told.lower() not in {"0", "no", "f", "false", "n"} if isinstance(told, str) else told
    )
