"""py-amqp's connection with a deadline over all it waits for, and with reading in large pieces.

py-amqp bounds single reads of a socket only, and reads each frame in three of them.
"""

import ssl
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import amqp

Frame = tuple[int, int, bytes]  # kind, channel, payload

READ: Final = 1 << 16
HEAD: Final = 7
LEAST: Final = 0.001
END: Final = 0xCE


class Connection(amqp.Connection):  # type: ignore[misc]  # py-amqp has no types
    """An AMQP connection. ``hear``: is shown each frame first, and says whether it has dealt with it."""

    def __init__(self, hear: Callable[[Frame], bool], **options: Any) -> None:
        super().__init__(**options)
        self.hear = hear
        self.deadline = float("inf")  # monotonic: what waits for an answer ends then with TimeoutError
        self._unread: deque[Frame] = deque()
        self._piece = b""

    def blocking_read(self, timeout: float | None = None) -> Any:
        """Reads one frame: py-amqp comes here for every answer that it waits for."""
        while not self._unread:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError("no answer in time")
            # 0, of a look before publishing, would make the socket a non-blocking one.
            self.transport.sock.settimeout(left if timeout is None else min(left, max(timeout, LEAST)))
            self._read()
        return self._hand_on(self._unread.popleft())

    def receive(self) -> None:
        """Reads what has arrived; to be called when the socket is readable."""
        self._read()
        while self._unread:
            self._hand_on(self._unread.popleft())

    def _hand_on(self, frame: Frame) -> Any:
        return True if self.hear(frame) else self.on_inbound_frame(frame)

    def _read(self) -> None:
        sock = self.transport.sock
        data = sock.recv(READ)
        while isinstance(sock, ssl.SSLSocket) and data and sock.pending():  # poll() does not see what is in there
            data += sock.recv(READ)
        if not data:
            raise OSError("the broker closed the connection")
        self._piece += data
        self._unread.extend(self._whole_frames())

    def _whole_frames(self) -> list[Frame]:
        piece, at, found = self._piece, 0, []
        while len(piece) - at > HEAD:
            kind, channel, size = struct.unpack_from(">BHI", piece, at)
            end = at + HEAD + size
            if end >= len(piece):
                break
            if piece[end] != END:
                raise OSError("what the broker sent is not AMQP")
            found.append((kind, channel, piece[at + HEAD : end]))
            at = end + 1
        self._piece = piece[at:]
        return found
