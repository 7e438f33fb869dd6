"""The files that TLS needs: read before they are used, for what comes of a bad one later names no file.

An encrypted key without its password would even make OpenSSL ask for it on the terminal, and wait.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from beatd.errors import AccessDenied

FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def check_tls_files(settings: Mapping[str, Any]) -> None:
    """Whether the files that a URL names (`ssl_...`) can be used as they are now. Blocks. Raises AccessDenied."""
    texts = {name: _text(name, settings[name]) for name in FILES if name in settings}
    if "ENCRYPTED" in texts.get("ssl_keyfile", texts.get("ssl_certfile", "")) and not settings.get("ssl_password"):
        raise AccessDenied(
            f"ssl_keyfile={settings.get('ssl_keyfile', settings.get('ssl_certfile'))}: the key is encrypted",
            hint="add ssl_password to the URL, or use a key without a password",
        )
    certificate, key = settings.get("ssl_certfile"), settings.get("ssl_keyfile")
    _try("ssl_ca_certs", settings, lambda context: context.load_verify_locations(settings["ssl_ca_certs"]))
    _try(
        "ssl_certfile",
        settings,
        lambda context: context.load_cert_chain(certificate, key, settings.get("ssl_password", "")),
    )


def _text(name: str, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(1_000_000).decode("ascii", "replace")
    except OSError as error:
        raise AccessDenied(f"{name}={path}: {error.strerror}", hint="check the path in the URL") from None


def _try(name: str, settings: Mapping[str, Any], load: Any) -> None:
    if name not in settings:
        return
    try:
        load(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    except (ssl.SSLError, OSError) as error:
        key = (
            f" with ssl_keyfile={settings['ssl_keyfile']}"
            if name == "ssl_certfile" and "ssl_keyfile" in settings
            else ""
        )
        reason = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
        raise AccessDenied(
            f"{name}={settings[name]}{key} can't be used: {reason}",
            hint="PEM is accepted, and the key that belongs to the certificate",
        ) from None
