"""Messages as AMQP 0-9-1 frames. py-amqp's own writer spends most of a fire's time on headers that never change.

The bytes are those that py-amqp would write (a test compares them), with the flag `mandatory` set.
"""

import struct
from collections.abc import Mapping
from struct import pack
from typing import Any, Final

from amqp.exceptions import FrameSyntaxError
from amqp.serialization import dumps

from beatd.transports._envelope import Envelope

BASIC: Final = 60
PUBLISH: Final = 40
MANDATORY: Final = b"\x01"
END: Final = b"\xce"
# In the order of the wire, each with its flag and how it is written.
PROPERTIES: Final = (
    *(("content_type", 0x8000, "s"), ("content_encoding", 0x4000, "s"), ("headers", 0x2000, "F")),
    *(("delivery_mode", 0x1000, "o"), ("priority", 0x0800, "o"), ("correlation_id", 0x0400, "s")),
    *(("reply_to", 0x0200, "s"), ("expiration", 0x0100, "s"), ("message_id", 0x0080, "s")),
    *(("timestamp", 0x0040, "L"), ("type", 0x0020, "s"), ("user_id", 0x0010, "s"), ("app_id", 0x0008, "s")),
    ("cluster_id", 0x0004, "s"),
)
_VALUES_OF_ONE_HEADER: Final = 64
_HEADERS: Final = 512
_PLACES: Final = 4_096
_BIG: Final = 2_147_483_647


class Unsayable(ValueError):
    """This message can't be said in AMQP."""


class Writer:
    """Writes messages as frames for one connection, and remembers the parts that come again and again."""

    def __init__(self, frame_max: int) -> None:
        self._chunk = frame_max - 8
        self._items: dict[str, dict[Any, bytes]] = {}
        self._places: dict[tuple[str, str], bytes] = {}

    def frames(self, message: Envelope, channel: int) -> bytes:
        """All frames of one message. Raises Unsayable."""
        try:
            method = self._method(message.exchange, message.routing_key)
            properties = self._properties(message)
        except (struct.error, ValueError, TypeError, AttributeError, FrameSyntaxError) as error:
            raise Unsayable(f"a header or property of it can't be said in AMQP: {_reason(error)}") from error
        body = message.body
        header = pack(">HHQ", BASIC, 0, len(body)) + properties
        if len(header) > self._chunk:
            raise Unsayable(f"its headers take {len(header)} bytes; the broker takes {self._chunk} of a message")
        parts = [pack(">BHI", 1, channel, len(method)), method, END]
        parts += (pack(">BHI", 2, channel, len(header)), header, END)
        for start in range(0, len(body), self._chunk):
            piece = body[start : start + self._chunk]
            parts += (pack(">BHI", 3, channel, len(piece)), piece, END)
        return b"".join(parts)

    def _method(self, exchange: str, routing_key: str) -> bytes:
        place = (exchange, routing_key)
        found = self._places.get(place)
        if found is None:
            if len(self._places) >= _PLACES:
                self._places.clear()
            found = pack(">HHH", BASIC, PUBLISH, 0) + _short(exchange) + _short(routing_key) + MANDATORY
            self._places[place] = found
        return found

    def _properties(self, message: Envelope) -> bytes:
        flags, parts = 0, [b""]
        given = {
            "content_type": message.content_type,
            "content_encoding": message.content_encoding,
            "headers": message.headers,
            **message.properties,
        }
        for name, flag, kind in PROPERTIES:
            value = given.get(name)
            if value is None:
                continue
            flags |= flag
            if kind == "s":
                parts.append(_short(value))
            elif kind == "o":
                parts.append(pack(">B", value))
            elif kind == "F":
                parts.append(self._table(value))
            else:
                parts.append(pack(">Q", value))
        parts[0] = pack(">H", flags)
        return b"".join(parts)

    def _table(self, headers: Mapping[str, Any]) -> bytes:
        known = self._items
        parts = []
        for name, value in headers.items():
            kind = type(value)
            key = value if kind is str or value is None else (kind, repr(value))  # 1, 1.0 and True are equal
            items = known.get(name)
            found = None if items is None else items.get(key)
            if found is None:
                found = _item(name, value)
                if items is None and len(known) < _HEADERS:
                    items = known[name] = {}
                # An id is never met again: what is kept of a header is its first values, and then no more.
                if items is not None and len(items) < _VALUES_OF_ONE_HEADER and len(found) <= _HEADERS:
                    items[key] = found
            parts.append(found)
        table = b"".join(parts)
        return pack(">I", len(table)) + table


def _short(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return pack(">B", len(data)) + data


def _item(name: str, value: Any) -> bytes:
    """One header as py-amqp writes it. What lies deeper is left to py-amqp."""
    head = _short(name)
    match value:
        case str():
            data = value.encode("utf-8", "surrogatepass")
            return head + pack(">cI", b"S", len(data)) + data
        case None:
            return head + b"V"
        case bool():
            return head + pack(">cB", b"t", value)
        case int():
            return head + (pack(">ci", b"I", value) if -_BIG <= value <= _BIG else pack(">cq", b"L", value))
        case float():
            return head + pack(">cd", b"d", value)
    nested: bytes = dumps("F", ({name: value},))[4:]  # without the length of the table around it
    return nested


def _reason(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text if len(text) <= 200 else text[:200] + "..."
