"""A small HTTP server on a thread of its own, so that it answers about a loop that hangs.

It serves a handful of pages by GET and HEAD, one request a connection. Nobody can hold it up: a connection has a few
seconds in all, and there are so many at most: one more takes the place of the oldest.
"""

import asyncio
import contextlib
import ipaddress
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final, NamedTuple

REQUEST_S: Final = 5.0  # for reading a request, answering it and seeing the connection closed
MOST_CONNECTIONS: Final = 32
LONGEST_REQUEST: Final = 8_192  # bytes of the request line and the headers
BACKLOG: Final = 64
STOP_S: Final = 1.0
TEXT: Final = "text/plain; charset=utf-8"
LOG: Final = logging.getLogger("beatd")
_ABSOLUTE: Final = re.compile(r"https?://[^/?#\s]+", re.IGNORECASE)


class Page(NamedTuple):
    """What is answered: ``kind`` is the content type."""

    status: HTTPStatus
    kind: str
    body: bytes


Pages = Mapping[str, Callable[[], Page]]  # by path; called on the server's thread


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0: a free one. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(address[:2], family=family, backlog=BACKLOG, dualstack_ipv6=both)


def served_at(listening: socket.socket) -> str:
    """The URL of a socket that listens."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this host can reach an address. Raises OSError where a name does not resolve."""
    found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
    return all(ipaddress.ip_address(address).is_loopback for address in found)


@contextlib.contextmanager
def serving(listening: socket.socket, pages: Pages) -> Iterator[None]:
    """Serves pages as long as the block lasts, and closes the socket."""
    server = _Server(listening, pages)
    thread = threading.Thread(target=server.run, name="http", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join(STOP_S)


class _Server:
    """Lives in its thread, but for ``stop``."""

    def __init__(self, listening: socket.socket, pages: Pages) -> None:
        self._listening = listening
        self._pages = pages
        self._open: dict[asyncio.StreamWriter, None] = {}  # the oldest first
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()

    def run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    def stop(self) -> None:
        """Any thread may call it, once or more often."""
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._over.set)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._meet, sock=self._listening, limit=LONGEST_REQUEST, backlog=BACKLOG)
        await self._over.wait()
        server.close()  # and nobody waits for the connections that are open: they end with the loop

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MOST_CONNECTIONS:
            oldest = next(iter(self._open))  # most likely one that only waits: the others are answered in no time
            del self._open[oldest]
            oldest.transport.abort()
        self._open[writer] = None
        try:
            # Cancelled is only what is open when the loop ends; asyncio before 3.12 would log that as an error.
            with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(REQUEST_S):
                    await self._serve_one(reader, writer)
        finally:
            self._open.pop(writer, None)
            writer.transport.abort()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            method, page = "GET", _said(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except asyncio.IncompleteReadError:
            return
        else:
            method, page = self._answer(head.partition(b"\r\n")[0].decode("latin-1"))
        writer.write(_packed(page, body=method != "HEAD"))
        await writer.drain()
        # What the other side still sends is read away: closing a socket with unread bytes would take back the answer.
        writer.write_eof()
        while await reader.read(LONGEST_REQUEST):
            pass

    def _answer(self, line: str) -> tuple[str, Page]:
        method, _, rest = line.partition(" ")
        target, _, version = rest.partition(" ")
        if whole := _ABSOLUTE.match(target):  # as proxies ask; every server has to take it (RFC 9112, 3.2.2)
            target = target[whole.end() :] or "/"
            target = target if target.startswith("/") else f"/{target}"
        if not version.startswith("HTTP/1.") or not target.startswith("/"):
            return method, _said(HTTPStatus.BAD_REQUEST)
        make = self._pages.get(target.partition("?")[0])
        if make is None:
            return method, _said(HTTPStatus.NOT_FOUND, f"here are {', '.join(self._pages)}")
        if method not in ("GET", "HEAD"):
            return method, _said(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD are accepted")
        try:
            return method, make()
        except Exception:  # a defect of one page: this request is told, and the thread answers the next one
            LOG.exception("%s failed", target)
            return method, _said(HTTPStatus.INTERNAL_SERVER_ERROR, "see the log")


def _said(status: HTTPStatus, more: str = "") -> Page:
    return Page(status, TEXT, f"{status.phrase}{f': {more}' if more else ''}\n".encode())


def _packed(page: Page, *, body: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {page.status.value} {page.status.phrase}",
        f"Date: {formatdate(usegmt=True)}",
        f"Content-Type: {page.kind}",
        f"Content-Length: {len(page.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    if page.status is HTTPStatus.METHOD_NOT_ALLOWED:
        lines.append("Allow: GET, HEAD")
    return "\r\n".join([*lines, "", ""]).encode() + (page.body if body else b"")
