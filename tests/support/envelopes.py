"""Envelopes for tests of transports: real ones of Celery, and variations of them."""

import json
import uuid
from typing import Any

from beatd.formats.celery import compile_template

SLOT = 1_800_000_000_000


def envelope(queue: str, number: int = 0, *, text: Any = "", exchange: Any = None, **headers: Any) -> bytes:
    """The message of one fire to a queue, with a task id that its number gives; ``text`` makes it larger."""
    template = compile_template("app.tasks.send_digest", queue, {"headers": headers}, origin="gen1@host")
    own = template.own("send-digest", ["daily", text], {"dry_run": False})
    message = template.render(own, task_id(number), SLOT + number, str(uuid.uuid5(uuid.NAMESPACE_OID, str(number))))
    if exchange is None:
        return message
    found = json.loads(message)
    found["properties"]["delivery_info"]["exchange"] = exchange
    return json.dumps(found).encode()


def task_id(number: int) -> str:
    """The task id of an envelope by its number."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, str(number)))


def window(queue: str, size: int, first: int = 0, **options: Any) -> list[tuple[str, bytes]]:
    """Messages as an outbox hands them over."""
    return [(f"7-{first + each}", envelope(queue, first + each, **options)) for each in range(size)]
