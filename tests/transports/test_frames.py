"""The frames that are written to RabbitMQ are those that py-amqp would write."""

import json
from typing import Any

import amqp
import pytest
from amqp.method_framing import frame_writer
from amqp.serialization import dumps
from hypothesis import given
from hypothesis import strategies as st

from beatd.transports._envelope import open_envelope
from beatd.transports._frames import PROPERTIES, Writer
from tests.support.envelopes import envelope

FRAME_MAX = 131_072


class _Socket:
    """Where py-amqp's own writer writes to."""

    frame_max = FRAME_MAX
    bytes_sent = 0

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)


def by_py_amqp(message: bytes, channel: int) -> bytes:
    read, socket = open_envelope(message), _Socket()
    properties = {name: value for name, value in read.properties.items() if name in {row[0] for row in PROPERTIES}}
    content = amqp.Message(
        read.body,
        content_type=read.content_type,
        content_encoding=read.content_encoding,
        application_headers=read.headers,
        **properties,
    )
    words = dumps("Bssbb", (0, read.exchange, read.routing_key, True, False))
    frame_writer(socket, socket)(1, channel, (60, 40), words, content)
    return socket.written


@pytest.mark.parametrize("length", [0, 1, 100, FRAME_MAX - 8, 140_000])
def test_a_fire_is_written_as_py_amqp_writes_it(length: int) -> None:
    message = envelope("mail", text="x" * length)
    assert Writer(FRAME_MAX).frames(open_envelope(message), 3) == by_py_amqp(message, 3)


simple = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=9)
values = st.recursive(
    simple, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "\u00e9"]), values, max_size=3), max_size=6))
def test_any_header_is_written_as_py_amqp_writes_it_also_when_it_was_met_before(headers: list[dict[str, Any]]) -> None:
    writer = Writer(FRAME_MAX)
    for each in headers + headers:
        found = json.loads(envelope("mail"))
        found["headers"] = each
        message = json.dumps(found).encode()
        assert writer.frames(open_envelope(message), 1) == by_py_amqp(message, 1)


def test_equal_values_of_different_kinds_stay_apart() -> None:
    writer = Writer(FRAME_MAX)
    for value in (1, True, 1.0, [1], [True], {"a": 1}, {"a": True}):
        message = envelope("mail", team=value)
        assert writer.frames(open_envelope(message), 1) == by_py_amqp(message, 1)


def test_what_is_remembered_of_headers_is_bounded() -> None:
    writer = Writer(FRAME_MAX)
    for number in range(1_000):
        writer.frames(open_envelope(envelope("mail", number, **{f"own-{number}": number})), 1)
    assert len(writer._items) <= 512
    assert max(map(len, writer._items.values())) <= 64


@pytest.mark.parametrize(
    "message",
    [b"", b"[]", b'{"headers": {}}', b'{"properties": {"delivery_info": 7}, "body": "", "headers": {}}', b"\xff"],
)
def test_what_is_no_envelope_is_a_value_error(message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        open_envelope(message)
