"""What systemd is told at the socket that NOTIFY_SOCKET names: ready, reloading, stopping, alive, a line of status.

Nothing here waits, and nothing raises: whoever listens may be slow, or gone. What changes the unit's state is kept and
sent again with the next word (the watchdog has one each second); signs of life and old lines of status are not.
"""

import contextlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Iterator, MutableMapping
from typing import Final

NOTIFY_SOCKET: Final = "NOTIFY_SOCKET"
WATCHDOG_USEC: Final = "WATCHDOG_USEC"
WATCHDOG_PID: Final = "WATCHDOG_PID"
LONGEST_STATUS: Final = 200
MOST_OWED: Final = 16
MOST_DIGITS: Final = 20  # of the largest number that systemd knows
SHORTEST_WATCHDOG_S: Final = 3.0  # a sign of life comes once a second, and one may be late


class Systemd:
    """``address``: a path, or ``@name`` for an abstract socket; None, or any other kind, and nobody is told anything.

    ``watchdog_s``: within how many seconds a sign of life is expected; None: none is.
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self.watchdog_s = watchdog_s
        self._address = _address(address)
        self._owed: deque[bytes] = deque(maxlen=MOST_OWED)
        self._status = ""
        self._sending = threading.Lock()  # held for sends that don't wait

    @classmethod
    def taken_from(cls, env: MutableMapping[str, str], pid: int) -> "Systemd":
        """By the variables that systemd sets, which are taken out: they are about us and none of our children."""
        address, interval, for_pid = (env.pop(name, None) for name in (NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID))
        usec = int(interval) if interval and len(interval) <= MOST_DIGITS and _is_digits(interval) else 0
        if not address or not usec or for_pid not in {None, "", str(pid)}:
            return cls(address)
        return cls(address, usec / 1e6)

    @property
    def listens(self) -> bool:
        """Whether there is anybody to be told."""
        return self._address is not None

    def ready(self) -> None:
        """It has its configuration, and the loop runs."""
        self._owe("READY=1")

    @contextlib.contextmanager
    def reloading(self) -> Iterator[None]:
        """It reads its files anew as long as the block lasts."""
        self._owe(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")
        try:
            yield
        finally:
            self.ready()

    def stopping(self) -> None:
        """It ends."""
        self._owe("STOPPING=1")

    def alive(self) -> None:
        """The loop beats: a sign of life where one is expected. Any thread may call this."""
        self._tell("" if self.watchdog_s is None else "WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for people; the same once more is not sent."""
        line = " ".join(text.split())[:LONGEST_STATUS]
        if line != self._status and self._tell(f"STATUS={line}"):
            self._status = line

    def _owe(self, state: str) -> None:
        self._owed.append(state.encode())
        self._tell("")

    def _tell(self, message: str) -> bool:
        """What is owed, in its order, and then this; whether all of it was taken."""
        if self._address is None:
            return False
        with self._sending:
            while self._owed:
                if not self._sent(self._owed[0]):
                    return False
                self._owed.popleft()
            return not message or self._sent(message.encode())

    def _sent(self, message: bytes) -> bool:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as words:
                words.setblocking(False)
                words.sendto(message, self._address or b"")
        except OSError:
            return False
        return True


def status_line(epoch: int | None, entries: int, *, waiting: bool, failing: bool, broker_down: bool = False) -> str:
    """How it is, for `systemctl status`. ``epoch`` None: it doesn't lead."""
    if epoch is None:
        return "waiting for Redis" if waiting else "standby"
    trouble = "; it can't fire, see the log" if failing else "; waiting for Redis" if waiting else ""
    trouble += "; waiting for its broker" if broker_down else ""
    return f"leader, epoch {epoch}, {entries:,} entries{trouble}"


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _address(name: str | None) -> bytes | None:
    if name and name[0] == "@":
        return b"\0" + os.fsencode(name[1:])
    return os.fsencode(name) if name and name[0] == "/" else None
