"""What listens on a loopback port. Raw sockets: nothing here needs more than two commands."""

import re
import socket
from dataclasses import dataclass
from typing import Final

HOST: Final = "127.0.0.1"

_TIMEOUT_S: Final = 0.25
_LARGEST_REPLY: Final = 64 * 1024
# A simple reply or an error (to PING), then INFO's bulk string or an error.
_REPLIES = re.compile(rb"(?P<ping>[+-][^\r\n]*)\r\n(?:-[^\r\n]*|\$(?P<size>[0-9]+))\r\n")
_PID = re.compile(rb"^process_id:([0-9]+)\r?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a Redis on the port says. ``pid`` is None when it doesn't tell (it wants a password, or is no Redis)."""

    pid: int | None
    loading: bool


def ask(port: int, timeout_s: float = _TIMEOUT_S) -> Answer | None:
    """PING and INFO; None when nothing listens or answers within ``timeout_s`` for any step.

    Every reply but LOADING counts as ready: MISCONF or BUSY come from a server that is up.
    """
    received = b""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s) as connection:
            connection.sendall(b"PING\r\nINFO server\r\n")
            while not _complete(received) and len(received) < _LARGEST_REPLY:
                part = connection.recv(16 * 1024)
                if not part:
                    break
                received += part
    except OSError:
        return None
    if not received:
        return None
    pid = _PID.search(received)
    return Answer(int(pid[1]) if pid else None, loading=received.startswith(b"-LOADING"))


def _complete(received: bytes) -> bool:
    replies = _REPLIES.match(received)
    return replies is not None and len(received) >= replies.end() + int(replies["size"] or 0)
