"""From the URL of an AMQP broker to an open connection, and what its refusals mean.

A password, a certificate and a key are read anew for each connection, so that they can be exchanged while beatd runs.
"""

import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from amqp.exceptions import AccessRefused, AMQPError, NotAllowed

from beatd import __version__
from beatd.core.broker import DEFAULT_PORTS, Broker, place_of
from beatd.core.masking import mask_url
from beatd.errors import AccessDenied, BeatdError, ConfigInvalid, Unreachable

CERTIFICATES: Final = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}
FILES: Final = {"ssl_ca_certs": "ca_certs", "ssl_certfile": "certfile", "ssl_keyfile": "keyfile"}
PARAMETERS: Final = (*FILES, "ssl_cert_reqs", "ssl_check_hostname", "password_file")
OPTIONS: Final = ("client_properties", "frame_max", "login_method", "socket_settings")
# Of Celery's broker_transport_options: here confirms are always on, and the outbox decides about repeats.
WITHOUT_EFFECT: Final = (
    *("confirm_publish", "max_retries", "interval_start", "interval_step", "interval_max", "connect_timeout"),
    *("connect_retries_timeout", "read_timeout", "write_timeout", "errback", "queue_order_strategy"),
)
LOGIN_METHODS: Final = ("PLAIN", "AMQPLAIN", "EXTERNAL")
_CLIENT_CERTIFICATE: Final = "a client certificate may be wanted: ssl_certfile and ssl_keyfile in the URL"


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """One URL of a broker, read. user, password: None where the URL names none."""

    place: str  # for people
    host: str
    port: int
    vhost: str
    user: str | None
    password: str | None
    tls: bool
    parameters: Mapping[str, str]


def read_logins(broker: Broker) -> list[Login]:
    """What the URLs of a broker say. Raises ConfigInvalid for a parameter or an option that is none."""
    for name in broker.transport_options:
        _accepted("broker.transport_options", name, (*OPTIONS, *WITHOUT_EFFECT))
    method = broker.transport_options.get("login_method", "PLAIN")
    _accepted("broker.transport_options.login_method", method, LOGIN_METHODS)
    return [_read(url) for url in broker.urls]


def _read(url: str) -> Login:
    place = place_of(url)
    authority = url.partition("://")[2].partition("?")[0]
    who = authority.rpartition("@")[0]
    user, colon, password = who.partition(":")
    query = url.partition("?")[2]
    parameters = dict(parse_qsl(query, keep_blank_values=True))
    tls = place.scheme == "amqps"
    for name, value in parameters.items():
        _accepted(f"broker: a parameter of {mask_url(url)}", name, PARAMETERS)
        if name.startswith("ssl_") and not tls:
            raise ConfigInvalid(f"broker: {name} is for amqps:// and not for {place.scheme}://")
        if name == "ssl_cert_reqs":
            _accepted(f"broker: {name}", _certificates(value), tuple(CERTIFICATES))
        if name == "ssl_check_hostname":
            _accepted(f"broker: {name}", value.lower(), ("true", "false"))
    return Login(
        place=mask_url(url),
        host=place.host.strip("[]") or "localhost",
        port=place.port or DEFAULT_PORTS["amqps" if tls else "amqp"],
        vhost=place.path or "/",
        user=unquote(user) if who else None,
        password=unquote(password) if colon else None,
        tls=tls,
        parameters=parameters,
    )


def _certificates(text: str) -> str:
    return text.lower().removeprefix("cert_")


def _accepted(where: str, found: object, accepted: tuple[str, ...]) -> None:
    if found in accepted:
        return
    near = get_close_matches(str(found), accepted, 1)
    hint = f"did you mean {near[0]}?" if near else None
    raise ConfigInvalid(f"{where}: found {found!r}; accepted are {', '.join(accepted)}", hint=hint)


def connection_options(login: Login, broker: Broker, within: float) -> dict[str, Any]:
    """What py-amqp is to be called with. Raises AccessDenied for a file that can't be read."""
    given = broker.transport_options
    name = {"product": "beatd", "product_version": __version__}
    name["connection_name"] = f"beatd {os.getpid()}@{socket.gethostname()}"
    host = f"[{login.host}]" if ":" in login.host else login.host
    options: dict[str, Any] = {
        "host": f"{host}:{login.port}",
        "userid": login.user or "guest",
        "password": _password(login),
        "login_method": given.get("login_method", "PLAIN"),
        "virtual_host": login.vhost,
        "ssl": _tls(login) if login.tls else False,
        "connect_timeout": within,
        "heartbeat": max(1, round(broker.heartbeat)) if broker.heartbeat else 0,
        "client_properties": {**name, **given.get("client_properties", {})},
    }
    return options | {key: given[key] for key in ("frame_max", "socket_settings") if key in given}


def _password(login: Login) -> str:
    path = login.parameters.get("password_file")
    if path is None:
        return login.password if login.password is not None else "guest"
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        raise _unreadable("password_file", path, error) from error


def _tls(login: Login) -> dict[str, Any]:
    given = login.parameters
    options: dict[str, Any] = {}
    for name, option in FILES.items():
        if (path := given.get(name)) is not None:
            try:
                Path(path).open("rb").close()
            except OSError as error:
                raise _unreadable(name, path, error) from error
            options[option] = path
    options["cert_reqs"] = CERTIFICATES[_certificates(given.get("ssl_cert_reqs", "required"))]
    checked = options["cert_reqs"] is not ssl.CERT_NONE and given.get("ssl_check_hostname", "true").lower() == "true"
    return options | ({"server_hostname": login.host} if checked else {})


def _unreadable(name: str, path: str, error: Exception) -> AccessDenied:
    why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return AccessDenied(
        f"the broker's {name} {path} can't be read: {why}", hint=f"as the user that runs beatd: head -c0 {path}"
    )


def understand(error: Exception, login: Login) -> BeatdError:
    """What it means that a connection could not be opened, for whoever has to mend it."""
    if isinstance(error, BeatdError):
        return error
    where = f"the broker at {login.place}"
    if isinstance(error, ssl.SSLError):
        return _tls_failure(error, where)
    if isinstance(error, AMQPError):
        return _refusal(error, where, login)
    return _no_connection(error, where, login)


def _refusal(error: AMQPError, where: str, login: Login) -> BeatdError:
    if isinstance(error, AccessRefused):
        return AccessDenied(
            f"{where} refuses the user or the password",
            hint="check both in the URL, or the file that password_file names; write / ? # @ as %2F %3F %23 %40",
        )
    if isinstance(error, NotAllowed):
        return AccessDenied(
            f"{where} refuses the virtual host {login.vhost!r}: {_text(error)}",
            hint="it stands after the last / of the URL; rabbitmqctl list_vhosts, and list_permissions -p VHOST",
        )
    return Unreachable(f"{where} answered {error.reply_code}: {_text(error)}")


def _tls_failure(error: ssl.SSLError, where: str) -> BeatdError:
    if isinstance(error, ssl.SSLCertVerificationError):
        return AccessDenied(
            f"{where} shows a certificate that is not accepted: {error.verify_message}",
            hint="ssl_ca_certs names the authority to trust; the host of the URL must be one in the certificate",
        )
    if "WRONG_VERSION_NUMBER" in str(error):
        return AccessDenied(f"{where} speaks no TLS on this port", hint="amqps:// is usually on port 5671")
    return AccessDenied(f"{where}: TLS failed: {error.reason or error}", hint=_CLIENT_CERTIFICATE)


def _no_connection(error: Exception, where: str, login: Login) -> BeatdError:
    if isinstance(error, TimeoutError):
        return Unreachable(f"{where} gave no answer in time", hint="is it frozen, or a firewall in between?")
    if isinstance(error, ConnectionRefusedError):
        return Unreachable(f"{where} is not running: connection refused")
    if isinstance(error, socket.gaierror):
        return Unreachable(f"{where}: its host name is not known: {error.strerror}")
    # Without a number it is py-amqp's or ours: the other side has closed.
    if isinstance(error, ConnectionResetError | BrokenPipeError) or (
        isinstance(error, OSError) and error.errno is None
    ):
        hint = _CLIENT_CERTIFICATE if login.tls else "does this port speak AMQP without TLS? With TLS it is amqps://"
        return Unreachable(f"{where} closed the connection", hint=hint)
    if isinstance(error, OSError):
        return Unreachable(f"{where}: {error.strerror}")
    return Unreachable(f"{where}: {type(error).__name__}: {error}")


def _text(error: AMQPError) -> str:
    return str(error.reply_text or "").strip()
