"""The private server's port: the first free one at its first start, the same ever after."""

import logging
import socket
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import Final

from beatd.errors import ConfigInvalid
from beatd.store.embedded.folder import RECORD, has_data, read_record
from beatd.store.embedded.probe import HOST, ask

FIRST_PORT: Final = 7379
LAST_PORT: Final = 65535

log = logging.getLogger(__name__)


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now, connections of a former one notwithstanding."""
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((HOST, port))
        except OSError:
            return False
    return True


def free_ports(first: int = FIRST_PORT) -> Iterator[int]:
    """The free ports from the first up, each looked at when asked for."""
    return (port for port in range(first, LAST_PORT + 1) if is_free(port))


def promised_port(folder: Path) -> int | None:
    """The port that workers have in their URL, None if there is none yet.

    A stranger on it is an error and not a reason to take the next one: the workers would go on talking to the
    stranger, and nobody would run what is fired into the new port.
    """
    record = read_record(folder)
    if record is None or not has_data(folder):
        if has_data(folder):
            log.warning("%s holds data but no server.json: port and program are chosen anew", folder)
        return None
    if not is_free(record.port):
        raise port_taken(folder, record.port)
    return record.port


def port_taken(folder: Path, port: int) -> ConfigInvalid:
    answer = ask(port)
    by = "another program" if answer is None or answer.pid is None else f"another Redis (pid {answer.pid})"
    free = next(free_ports(port), FIRST_PORT)
    return ConfigInvalid(
        f"port {port}, which the private server of {folder} has used so far, is taken by {by}",
        hint=f"find it with `ss -ltnp 'sport = :{port}'` and stop it; or choose another port, in all workers' URLs "
        f"too: `sed -i s/:{port}/:{free}/ {quote(str(folder / RECORD))}`",
    )
