"""What we push is what celery beat 5.7 pushes, key by key and value by value."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils import json as kombu_json

from beatd.core.entry import entry_from_spec
from beatd.formats.celery import readable
from tests.support.celery_beat import handed_over_by_celery_beat, sent_by_celery_beat
from tests.support.golden import (
    CASES,
    DELIVERY_TAG,
    ORIGIN,
    OURS,
    SLOT_MS,
    TASK_ID,
    Case,
    has_links,
    without_ids,
)
from tests.support.messages import messages_of


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_message_equals_the_one_of_celery_beat(case: Case, redis_client: redis.Redis) -> None:
    spec = {"task": "app.tasks.report", "every": "5s", "args": case.args, "kwargs": case.kwargs, "queue": case.queue}
    entry = entry_from_spec("nightly", {**spec, "options": case.options})
    messages = messages_of(entry, ORIGIN)
    message = messages.render(TASK_ID, case.slot_ms, DELIVERY_TAG)

    theirs = sent_by_celery_beat(entry, case.options, redis_client, task_id=TASK_ID, slot_ms=case.slot_ms)

    assert messages.queue_key == theirs.queue_key
    assert _comparable(message, case) == _comparable(theirs.message, case)
    assert len(message) <= messages.longest


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_a_broker_is_handed_equals_what_celery_beat_hands_over(case: Case) -> None:
    spec = {"task": "app.tasks.report", "every": "5s", "args": case.args, "kwargs": case.kwargs, "queue": case.queue}
    entry = entry_from_spec("nightly", {**spec, "options": case.options})
    ours = json.loads(messages_of(entry, ORIGIN).render(TASK_ID, case.slot_ms, DELIVERY_TAG))

    theirs = handed_over_by_celery_beat(entry, case.options, task_id=TASK_ID, slot_ms=case.slot_ms)

    properties = dict(ours["properties"])
    route = properties.pop("delivery_info")
    assert (route["exchange"], route["routing_key"]) == (theirs.exchange, theirs.routing_key)
    assert properties.pop("priority") == theirs.priority
    for name in ("body_encoding", "delivery_tag"):  # of Redis alone
        del properties[name]
    assert (ours["content-type"], ours["content-encoding"]) == (theirs.content_type, theirs.content_encoding)
    assert _without_own(ours["headers"], properties, case) == _without_own(theirs.headers, theirs.properties, case)
    data = base64.b64decode(ours["body"])
    assert has_links(case) or data == theirs.body
    theirs_readable = readable({**ours, "body": base64.b64encode(theirs.body)})
    assert without_ids(readable(ours)) == without_ids(theirs_readable)


def _comparable(message: bytes, case: Case) -> dict[str, Any]:
    """The decoded message without what has to differ; the body's text as it is, and once more decoded."""
    decoded: dict[str, Any] = json.loads(message)
    found = _without_own(decoded["headers"], decoded["properties"], case)
    del found["properties"]["delivery_tag"]
    found["decoded body"] = without_ids(readable(decoded))
    found["body text"] = "" if has_links(case) else base64.b64decode(decoded["body"])
    return {**decoded, "body": "", **found}


def _without_own(headers: Mapping[str, Any], properties: Mapping[str, Any], case: Case) -> dict[str, Any]:
    """Headers and properties without origin and our own, and without what celery makes up and nobody listens to."""
    kept = {name: value for name, value in headers.items() if name not in OURS}
    made_up = () if "reply_to" in case.options else ("reply_to",)
    return {"headers": kept, "properties": {k: v for k, v in properties.items() if k not in made_up}}


def test_a_message_says_which_entry_and_which_slot_it_is() -> None:
    entry = entry_from_spec("nightly ✓", {"task": "t", "every": "5s", "options": {"headers": {"team": "growth"}}})

    decoded = json.loads(messages_of(entry, ORIGIN).render(TASK_ID, SLOT_MS, DELIVERY_TAG))

    headers, properties = decoded["headers"], decoded["properties"]
    assert headers["id"] == headers["root_id"] == properties["correlation_id"] == TASK_ID
    assert properties["delivery_tag"] == DELIVERY_TAG
    assert properties["reply_to"] == ""
    assert headers["origin"] == ORIGIN
    assert headers["beatd_slot"] == "2026-11-20T09:00:00.000Z"
    assert headers["periodic_task_name"] == "nightly ✓"
    assert headers["celery_beat_task"] is True
    assert headers["team"] == "growth"


def test_the_bytes_on_the_wire_are_those_kept_for_review() -> None:
    spec = {
        "task": "app.tasks.send_digest",
        "every": "5s",
        "args": ["daily", 1.5, None],
        "kwargs": {"dry_run": False, "to": "Zoë"},
        "queue": "mail",
        "options": {"priority": 6, "expires": "1h", "headers": {"team": "growth"}, "time_limit": 60},
    }

    messages = messages_of(entry_from_spec("send-digest", spec), ORIGIN)

    kept = Path(__file__).with_name("celery_message.json").read_bytes()
    assert messages.render(TASK_ID, SLOT_MS, DELIVERY_TAG) == kept.rstrip(b"\n")
    assert messages.queue_key == "mail\x06\x166"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(args=st.lists(json_values), kwargs=st.dictionaries(st.text(), json_values))
def test_a_body_is_encoded_as_kombu_encodes_it(args: list[Any], kwargs: dict[str, Any]) -> None:
    entry = entry_from_spec("e", {"task": "t", "every": "5s", "args": args, "kwargs": kwargs})

    message = json.loads(messages_of(entry, ORIGIN).render(TASK_ID, SLOT_MS, DELIVERY_TAG))

    embed = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    expected = kombu_json.dumps([args, kwargs, embed])  # kombu is typed in part
    assert base64.b64decode(message["body"]).decode() == expected
