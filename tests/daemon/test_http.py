"""The HTTP thread: what it answers, and that nobody can hold it up."""

import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Final

import pytest

import beatd.daemon.http
from beatd.daemon.http import MOST_CONNECTIONS, Page, Pages, is_loopback, listen, served_at, serving

BODY: Final = b"hello"


def broken() -> Page:
    raise RuntimeError("a page that fails")


PAGES: Final[Pages] = {
    "/good": lambda: Page(HTTPStatus.OK, "text/plain", BODY),
    "/bad": lambda: Page(HTTPStatus.SERVICE_UNAVAILABLE, "application/json", b"{}"),
    "/broken": broken,
    "/large": lambda: Page(HTTPStatus.OK, "text/plain", b"x" * 3_000_000),
}


@contextmanager
def served() -> Iterator[int]:
    """The port at which PAGES are."""
    listening = listen("127.0.0.1", 0)
    with serving(listening, PAGES):
        yield listening.getsockname()[1]


@pytest.fixture
def port() -> Iterator[int]:
    with served() as port:
        yield port


def ask(port: int, path: str, method: str = "GET", body: bytes | None = None) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, body=body)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def say(port: int, text: bytes) -> bytes:
    """What comes back for these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        raw.sendall(text)
        found = b""
        while piece := raw.recv(65_536):
            found += piece
        return found


def drip(connection: socket.socket, until: float) -> None:
    """Sends a byte every 50 ms."""
    while time.monotonic() < until:
        connection.sendall(b"x")
        time.sleep(0.05)


@pytest.mark.parametrize("method, path, status, body", [
    ("GET", "/good", 200, BODY), ("GET", "/good?a=b", 200, BODY), ("HEAD", "/good", 200, b""),
    ("GET", "/bad", 503, b"{}"), ("HEAD", "/bad", 503, b""),
    ("GET", "/", 404, b"Not Found: here are /good, /bad, /broken, /large\n"), ("GET", "/good/", 404, None),
    ("POST", "/good", 405, b"Method Not Allowed: GET and HEAD are accepted\n"), ("DELETE", "/bad", 405, None),
])  # fmt: skip
def test_pages_are_read_and_nothing_else(port: int, method: str, path: str, status: int, body: bytes | None) -> None:
    found, headers, said = ask(port, path, method)
    assert found == status
    assert body is None or said == body
    assert headers["Connection"] == "close"
    assert headers.get("Allow") == ("GET, HEAD" if status == 405 else None)


def test_the_answer_does_not_tell_what_serves_it(port: int) -> None:
    for path in ("/good", "/nowhere", "/broken"):
        answer = say(port, f"GET {path} HTTP/1.1\r\n\r\n".encode()).lower()
        assert not any(word in answer for word in (b"server:", b"python", b"beatd", b"asyncio", b"traceback"))


def test_an_answer_is_heard_by_who_still_sends(port: int) -> None:
    status, _, _ = ask(port, "/good", "POST", b"x" * 1_000_000)
    assert status == 405


@pytest.mark.parametrize("text", [
    b"GET /good\r\n\r\n", b"GET good HTTP/1.1\r\n\r\n", b"\r\n\r\n", b"\x00\xff\x16\x03 / \r\n\r\n",
    b"GET ftp://h/good HTTP/1.1\r\n\r\n", b"GET http:///good HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n",
])  # fmt: skip
def test_what_is_no_request_is_told_so(port: int, text: bytes) -> None:
    assert say(port, text).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("target, status", [
    ("http://h/good", 200), ("HTTP://h:9464/good?x=http://y", 200), ("http://h", 404), ("http://h?x", 404),
])  # fmt: skip
def test_a_target_may_be_a_whole_url_as_proxies_write_it(port: int, target: str, status: int) -> None:
    assert say(port, f"GET {target} HTTP/1.1\r\n\r\n".encode()).startswith(f"HTTP/1.1 {status} ".encode())


def test_a_request_is_only_so_long(port: int) -> None:
    assert say(port, b"GET /good HTTP/1.1\r\nX: " + b"x" * 20_000).startswith(b"HTTP/1.1 431 ")


def test_a_page_that_fails_is_logged_and_the_others_go_on(port: int, caplog: pytest.LogCaptureFixture) -> None:
    assert ask(port, "/broken")[0] == 500
    assert "a page that fails" in caplog.text
    assert ask(port, "/good")[0] == 200


def test_a_page_arrives_whole_however_large(port: int) -> None:
    assert len(ask(port, "/large")[2]) == 3_000_000


def test_whoever_sends_a_byte_now_and_then_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beatd.daemon.http, "REQUEST_S", 0.5)
    with served() as port, socket.create_connection(("127.0.0.1", port), timeout=10) as slow:
        began = time.monotonic()
        with pytest.raises(OSError, match=r"reset|Broken pipe|aborted"):
            drip(slow, began + 10)
        assert time.monotonic() - began < 2


def test_one_connection_too_many_takes_the_place_of_the_oldest(port: int) -> None:
    idle = [socket.create_connection(("127.0.0.1", port), timeout=3) for _ in range(MOST_CONNECTIONS)]
    try:
        assert ask(port, "/good")[0] == 200
        with suppress(ConnectionResetError):
            assert idle[0].recv(1) == b""
        idle[-1].sendall(b"GET /good HTTP/1.1\r\n\r\n")
        assert idle[-1].recv(12) == b"HTTP/1.1 200"
    finally:
        for connection in idle:
            connection.close()


def test_it_ends_at_once_whoever_is_connected(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with served() as port:
        waiting = socket.create_connection(("127.0.0.1", port), timeout=10)
        waiting.sendall(b"GET /go")
        assert ask(port, "/good")[0] == 200
        began = time.monotonic()
    assert time.monotonic() - began < 0.5
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", port), timeout=10)
    waiting.close()
    assert capfd.readouterr().err == ""
    assert not caplog.records


def test_it_listens_on_the_loopback_of_either_kind() -> None:
    for host, url in (("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:"), ("localhost", "http://")):
        try:
            listening = listen(host, 0)
        except OSError as error:  # a machine without IPv6
            assert host == "::1", error
            continue
        with serving(listening, PAGES):
            assert served_at(listening).startswith(url)
            with socket.create_connection(listening.getsockname()[:2], timeout=10) as raw:
                raw.sendall(b"GET /good HTTP/1.0\r\n\r\n")
                assert raw.makefile("rb").read().endswith(BODY)


@pytest.mark.parametrize("host, only_here", [
    ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
    ("0.0.0.0", False), ("::", False), ("192.0.2.1", False), ("::ffff:192.0.2.1", False),
])  # fmt: skip
def test_addresses_that_only_this_host_can_reach(host: str, only_here: bool) -> None:
    assert is_loopback(host) is only_here
