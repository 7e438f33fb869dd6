"""systemd's end of the notification socket: whoever is told READY, WATCHDOG and so on."""

import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE_S = 20.0


class NotifySocket:
    """A real datagram socket. ``address`` is what NOTIFY_SOCKET says: a path, or ``@name``."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        if not self.address.startswith("@"):
            Path(self.address).unlink()

    def next(self, timeout: float = PATIENCE_S) -> str:
        """The next message. Raises TimeoutError."""
        self._socket.settimeout(timeout)
        self.heard.append(self._socket.recv(4096).decode())
        return self.heard[-1]

    def hear_all(self, seconds: float) -> list[str]:
        """All that comes within that time."""
        give_up, begin = time.monotonic() + seconds, len(self.heard)
        with suppress(TimeoutError):
            while (left := give_up - time.monotonic()) > 0:
                self.next(left)
        return self.heard[begin:]

    def wait_for(self, beginning: str, timeout: float = PATIENCE_S) -> str:
        """The next message that begins so; those before it are heard too."""
        give_up = time.monotonic() + timeout
        while (left := give_up - time.monotonic()) > 0:
            if (message := self.next(left)).startswith(beginning):
                return message
        raise TimeoutError(f"{beginning} did not come; heard: {self.heard}")
