"""A command in a pseudo-terminal of its own: keys go in, and what is on the screen comes out as plain text."""

import fcntl
import os
import re
import shutil
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.support.servers import require

ROWS: Final = 50
COLUMNS: Final = 120
PATIENCE_S: Final = 30.0
CTRL_C: Final = "\x03"
_ANEW: Final = re.compile(r"\x1b\[2J|\x1b\[H|\x1bc")  # cleared, or written over from the first line on
_ESCAPE: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b\][^\x07]*\x07|\x1b[=>]")


class Terminal:
    """Runs ``command`` by a shell, which has the terminal to itself: Ctrl-C reaches it as it would reach a person's."""

    def __init__(self, command: str, folder: Path, env: Mapping[str, str]) -> None:
        setsid = require(shutil.which("setsid"), "setsid (util-linux)")
        self._ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._process = subprocess.Popen(
            [setsid, "--ctty", "sh", "-c", command],
            cwd=folder,
            env=dict(env),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            restore_signals=True,
        )
        os.close(theirs)
        self._seen = bytearray()
        self._grown = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """All that was shown so far, typed words among it; of what was cleared only what came after."""
        with self._grown:
            shown = self._seen.decode(errors="replace")
        return plain(shown)

    def type(self, keys: str) -> None:
        """As a person types."""
        os.write(self._ours, keys.encode())

    def wait_for(self, pattern: str, *, times: int = 1) -> None:
        """Until something was shown so often. Raises AssertionError when that takes too long, or it ends before."""
        give_up = time.monotonic() + PATIENCE_S
        with self._grown:
            while len(re.findall(pattern, _no_escapes(self._seen.decode(errors="replace")))) < times:
                left = give_up - time.monotonic()
                waits = left > 0 and self._reader.is_alive()
                assert waits, f"never shown: {pattern}\n{self._seen.decode(errors='replace')}"
                self._grown.wait(min(left, 0.2))

    def wait(self) -> int:
        """Until it has ended: its exit code, as a shell tells it."""
        code = self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return code if code >= 0 else 128 - code

    def close(self) -> None:
        """Ends it, whatever it does."""
        if self._process.poll() is None:
            with suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._reader.join(PATIENCE_S)
        os.close(self._ours)

    def _read(self) -> None:
        """Until everybody has closed the other side: that is an OSError on Linux."""
        with suppress(OSError):
            while piece := os.read(self._ours, 65_536):
                with self._grown:
                    self._seen += piece
                    self._grown.notify_all()


def plain(shown: str) -> str:
    """What a screen shows, as text: without colours, and without what a clearing or a return has taken away."""
    last = _ANEW.split(shown)[-1]
    lines = (line.rsplit("\r", 1)[-1] for line in _no_escapes(last).replace("\r\n", "\n").split("\n"))
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _no_escapes(shown: str) -> str:
    return _ESCAPE.sub("", shown)
