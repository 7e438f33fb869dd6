"""`beatd run` with a fault in it: on SIGUSR1 its loop does what the first argument says, and does not come back.

``hangs.py NAME run -c FILE ...``: NAME is one of the functions below; the rest is beatd's own command line.
"""

import ctypes
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable

from beatd.cli import main


def read_a_silent_socket() -> None:
    """A library that reads without a deadline."""
    ours, _theirs = socket.socketpair()
    ours.recv(1)


def take_a_lock_twice() -> None:
    """A deadlock."""
    lock = threading.Lock()
    with lock:
        lock.acquire()


def compute_for_ever() -> None:
    """Python code that is busy; other threads have their turns."""
    number = 0
    while True:
        number += 1


def hold_the_interpreter() -> None:
    """C code that never lets go of the interpreter's lock: no other thread runs."""
    ctypes.PyDLL(None).sleep(600)


def names_are_never_found() -> None:
    """A name server that doesn't answer: every look-up takes minutes, in whatever thread. From the start, not later."""


HANGS: dict[str, Callable[[], None]] = {
    hang.__name__: hang
    for hang in (
        read_a_silent_socket,
        take_a_lock_twice,
        compute_for_ever,
        hold_the_interpreter,
        names_are_never_found,
    )
}


if __name__ == "__main__":
    hang = HANGS[sys.argv.pop(1)]
    if hang is names_are_never_found:
        socket.getaddrinfo = lambda *_, **__: time.sleep(600)  # type: ignore[assignment]
    # Run by Python in the main thread, which is the loop's, between two steps of whatever runs there.
    signal.signal(signal.SIGUSR1, lambda number, frame: hang())
    main()
