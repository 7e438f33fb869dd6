"""kombu's JSON envelope, as formats write it, taken apart: what a message says and where it goes."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_BEYOND_THE_WIRE = frozenset({"delivery_info", "body_encoding", "delivery_tag"})


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message. An empty exchange is the default one, which leads to the queue named by the routing key.

    properties: those that belong to the message itself, without what only a list in Redis needs.
    """

    exchange: str
    routing_key: str
    content_type: str | None
    content_encoding: str | None
    headers: Mapping[str, Any]
    properties: Mapping[str, Any]
    body: bytes


def open_envelope(message: bytes) -> Envelope:
    """Takes a message apart. Raises ValueError, also for JSON that is no envelope."""
    try:
        found = json.loads(message)
        given = found["properties"]
        place = given["delivery_info"]
        body = found["body"]
        return Envelope(
            exchange=place["exchange"],
            routing_key=place["routing_key"],
            content_type=found.get("content-type"),
            content_encoding=found.get("content-encoding"),
            headers=found["headers"],
            properties={name: value for name, value in given.items() if name not in _BEYOND_THE_WIRE},
            body=base64.b64decode(body) if given.get("body_encoding") == "base64" else body.encode(),
        )
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is not an envelope of kombu ({type(error).__name__}: {error})") from error
