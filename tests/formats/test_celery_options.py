"""What an entry's options may say, and what is answered to the rest."""

import json
import re
from typing import Any

import pytest

from beatd.core.entry import Entry, entry_from_spec
from beatd.errors import EntryInvalid
from beatd.formats.celery import LARGEST_MESSAGE
from tests.support.messages import Messages, messages_of

SLOT_MS = 1_795_165_200_000  # 2026-11-20T09:00:00Z
DURATION_OR_DATE = (
    "accepted are a number of seconds, or digits with a unit such as 90s, 1h30m, 200ms, 2d, 1w, or ISO 8601 (PT15M), "
    "or a date with an offset"
)
WITH_UNIT_OR_DATE = DURATION_OR_DATE.replace("a number of seconds, or ", "")
DURATION = "a duration is accepted; a date goes into eta"
RETRY_KEYS = "max_retries, interval_start, interval_step, interval_max"
SUCH_AS = "such as {task: app.tasks.add, args: [1, 2]}"
OTHERWISE = "an option of its own; a stamp has another name"
OURS = "this header is written by the message itself"
PICKLE = "who reads it runs code that the message brings, so that workers refuse it by default"
STAMPS = "a list of texts is accepted, each the name of an option beside it"
PRIORITY = "a whole number from 0 (on Redis the most urgent) to 9 is accepted"
DATE = "a date such as 2026-12-01T09:00:00+01:00 is accepted, with an offset or Z"


def messages_with(options: dict[str, Any], **spec: Any) -> Messages:
    entry = entry_from_spec("nightly", {"task": "t", "every": "5s", "options": options, **spec})
    return messages_of(entry)


def message_of(messages: Messages, slot_ms: int = SLOT_MS) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(messages.render("an-id", slot_ms, "a-tag"))
    return decoded


@pytest.mark.parametrize(
    "options, message",
    [
        ({"priority": 10}, f"options.priority: found 10; {PRIORITY}"),
        ({"priority": "3"}, f"options.priority: found '3'; {PRIORITY}"),
        ({"priority": True}, f"options.priority: found True; {PRIORITY}"),
        ({"expires": "soon"}, f"options.expires: 'soon' is not a duration: {DURATION_OR_DATE}"),
        ({"expires": "30"}, f"options.expires: '30' has no unit: {WITH_UNIT_OR_DATE}"),
        ({"expires": 0}, "options.expires: found 0; a duration above 0 is accepted: a worker would discard every run"),
        ({"expires": "2026-12-01"}, f"options.expires: found '2026-12-01'; {DATE}"),
        ({"expires": "2026-12-01T09:00:00"}, f"options.expires: found '2026-12-01T09:00:00'; {DATE}"),
        ({"eta": "2026-13-01T09:00Z"}, f"options.eta: found '2026-13-01T09:00Z' (month must be in 1..12); {DATE}"),
        ({"countdown": "2026-12-01T09:00Z"}, f"options.countdown: found '2026-12-01T09:00Z'; {DURATION}"),
        ({"countdown": 5, "eta": 6}, "options: countdown and eta both say when to start; one of them is accepted"),
        ({"time_limit": 0}, "options.time_limit: found 0; a duration above 0 is accepted"),
        ({"headers": ["a"]}, "options.headers: found ['a']; an object is accepted"),
        ({"headers": {"root_id": "x"}}, "options.headers.root_id: this header is written by the message itself"),
        ({"ignore_result": 1}, "options.ignore_result: found 1; true or false is accepted"),
        ({"shadow": 5}, "options.shadow: found 5; a text is accepted"),
        ({"delivery_mode": 3}, "options.delivery_mode: found 3; 1, 2, transient or persistent is accepted"),
        ({"retry": 1}, "options.retry: found 1; true or false is accepted"),
        ({"retry_policy": 3}, "options.retry_policy: found 3; an object is accepted, such as {max_retries: 3}"),
        (
            {"retry_policy": {"max_retries": -1}},
            "options.retry_policy.max_retries: found -1; a whole number of 0 or more is accepted, or null for no end",
        ),
        (
            {"retry_policy": {"interval_max": "1s"}},
            "options.retry_policy.interval_max: found '1s'; a number of seconds is accepted",
        ),
        (
            {"retry_policy": {"errback": "x"}},
            f"options.retry_policy.errback is not accepted; accepted are {RETRY_KEYS}",
        ),
        (
            {"serializer": "pickle"},
            f"options.serializer: pickle is not accepted: {PICKLE}",
        ),
        ({"serializer": "auth"}, "options.serializer: found 'auth'; json, yaml, msgpack are accepted"),
        ({"compression": "zstd"}, "options.compression: found 'zstd'; zlib (or gzip), bzip2 and lzma are accepted"),
        ({"exchange_type": "fan"}, "options.exchange_type: found 'fan'; direct, topic, fanout, headers are accepted"),
        ({"link": {}}, f"options.link.task is missing; a signature names its task, {SUCH_AS}"),
        ({"link": [{"task": "a"}, 5]}, f"options.link[1]: found a whole number; a signature is accepted, {SUCH_AS}"),
        ({"chain": {}}, "options.chain: found {}; a list of signatures is accepted, the one that is next as the last"),
        ({"group_index": -1}, "options.group_index: found -1; a whole number of 0 or more is accepted"),
        ({"stamped_headers": "a"}, f"options.stamped_headers: found 'a'; {STAMPS}"),
        ({"stamped_headers": ["a"]}, "options.stamped_headers: found 'a', and no option a"),
        ({"stamped_headers": ["eta"]}, f"options.stamped_headers: eta is {OTHERWISE}"),
        ({"headers": {"compression": "x"}}, f"options.headers.compression: {OURS}"),
    ],
)  # fmt: skip
def test_an_option_that_can_not_be_said_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(EntryInvalid) as refused:
        messages_with(options)

    assert refused.value.message == message


# What apply_async takes and no entry can hold.
REFUSED = [
    *("task_id", "root_id", "correlation_id", "parent_id", "add_to_parent", "message_id", "timestamp", "timeout"),
    *("confirm_timeout", "declare", "mandatory", "immediate", "content_type", "content_encoding", "route_name"),
    *("router", "connection", "producer", "publisher", "result_cls"),
]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_carried_is_refused_with_a_reason_and_what_to_do_instead(name: str) -> None:
    with pytest.raises(EntryInvalid) as refused:
        messages_with({name: "x"})

    assert refused.value.message.startswith(f"options.{name} is not accepted: ")
    assert refused.value.hint


def test_pickle_is_refused_with_what_is_accepted() -> None:
    with pytest.raises(EntryInvalid) as refused:
        messages_with({"serializer": "pickle"})

    assert refused.value.hint == "json, yaml or msgpack are accepted"


def test_msgpack_that_is_not_installed_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beatd.formats._celery_values.find_spec", lambda name: None)

    with pytest.raises(EntryInvalid, match="msgpack is not installed here") as refused:
        messages_with({"serializer": "msgpack"})

    assert refused.value.hint == "pip install 'beatd[msgpack]'"


@pytest.mark.parametrize("written, meant", [("prioritty", "priority"), ("expire", "expires"), ("header", "headers")])
def test_an_unknown_option_is_answered_with_the_nearest_known_one(written: str, meant: str) -> None:
    with pytest.raises(EntryInvalid) as refused:
        messages_with({written: 1})

    assert refused.value.hint == f"did you mean {meant}?"


@pytest.mark.parametrize("written", [5400, 5400.0, "1h30m", "5400s", "PT1H30M"])
def test_a_duration_may_be_written_as_everywhere_else(written: object) -> None:
    messages = messages_with({"expires": written, "time_limit": "1m", "soft_time_limit": "500ms"})

    message = message_of(messages)
    assert messages.template.expires_ms == 5_400_000
    assert message["headers"]["expires"] == "2026-11-20T10:30:00+00:00"
    assert message["properties"]["expiration"] == "5400000"
    assert message["headers"]["timelimit"] == [60, 0.5]


def test_a_number_as_eta_counts_from_the_slot_as_countdown_does() -> None:
    assert message_of(messages_with({"eta": "90s"})) == message_of(messages_with({"countdown": 90}))


def test_an_expiry_after_the_slot_moves_with_the_slot() -> None:
    messages = messages_with({"expires": 60})

    assert (messages.template.expires_ms, messages.template.expires_on) == (60_000, None)


def test_an_expiry_date_is_the_same_for_every_slot() -> None:
    messages = messages_with({"expires": "2026-11-20T10:30:00+01:00"})

    assert messages.template.expires_ms is None
    assert messages.template.expires_on == SLOT_MS + 30 * 60_000
    assert message_of(messages)["properties"]["expiration"] == "1800000"
    assert message_of(messages, SLOT_MS + 5_000)["properties"]["expiration"] == "1795000"


def test_an_entry_without_expires_never_expires() -> None:
    messages = messages_with({})

    assert messages.template.expires_ms is None
    assert messages.template.expires_on is None


@pytest.mark.parametrize(
    "options, attempts",
    [
        ({}, None),
        ({"retry": True}, None),
        ({"retry": False}, 1),
        ({"retry": False, "retry_policy": {"max_retries": 5}}, 1),
        ({"retry_policy": {"max_retries": 5, "interval_start": 0, "interval_step": 0.2}}, 6),
        ({"retry_policy": {"max_retries": 0}}, 1),
        ({"retry_policy": {"max_retries": None}}, None),
        ({"retry_policy": {}}, None),
    ],
)
def test_a_retry_policy_says_how_often_a_broker_may_refuse(options: dict[str, Any], attempts: int | None) -> None:
    template = messages_with(options, queue="reports").template

    assert (template.attempts, template.queue) == (attempts, "reports")


@pytest.mark.parametrize(
    "options, exchange, routing_key",
    [
        ({}, "", "reports"),
        ({"routing_key": "a.b"}, "", "reports"),
        ({"exchange": "topics"}, "", "reports"),
        ({"exchange": "topics", "routing_key": "a.b"}, "topics", "a.b"),
        ({"exchange_type": "topic"}, "reports", "reports"),
        ({"exchange_type": "topic", "routing_key": "a.b"}, "reports", "a.b"),
    ],
)
def test_an_exchange_counts_with_a_routing_key_and_the_queue_s_list_is_pushed_to_all_the_same(
    options: dict[str, Any], exchange: str, routing_key: str
) -> None:
    messages = messages_with(options, queue="reports")

    assert messages.queue_key == "reports"
    found = message_of(messages)["properties"]["delivery_info"]
    assert found == {"exchange": exchange, "routing_key": routing_key}
    # A missing exchange is counted by itself: the queue of that name is not to blame.
    assert messages.template.queue == (f"{exchange}/{routing_key}" if exchange else "reports")


def test_the_queue_may_be_named_in_the_options_as_celery_does() -> None:
    entry = entry_from_spec("e", {"task": "t", "every": "5s", "options": {"queue": "reports", "priority": 1}})

    assert entry.queue == "reports"
    assert entry.options == {"priority": 1}
    assert messages_of(entry).queue_key == "reports"


def test_two_different_queues_are_refused() -> None:
    with pytest.raises(EntryInvalid) as refused:
        entry_from_spec("e", {"task": "t", "every": "5s", "queue": "a", "options": {"queue": "b"}})

    assert refused.value.message == "queue: found 'a', and 'b' in options.queue; one is accepted"


def test_a_header_of_the_user_may_replace_the_name_of_the_entry() -> None:
    message = message_of(messages_with({"headers": {"periodic_task_name": "mine", "celery_beat_task": False}}))

    assert message["headers"]["periodic_task_name"] == "mine"
    assert message["headers"]["celery_beat_task"] is True


@pytest.mark.parametrize(
    "spec, why",
    [
        ({"args": [float("nan")]}, "args[0]: found nan"),
        ({"kwargs": {"a": float("inf")}}, "kwargs.a: found inf"),
        ({"options": {"headers": {"a": float("nan")}}}, "options.headers.a: found nan"),
        ({"args": [{1, 2}]}, "args[0]: found set"),
    ],
)
def test_values_that_json_can_not_say_are_refused(spec: dict[str, Any], why: str) -> None:
    with pytest.raises(EntryInvalid) as refused:
        messages_with(**{"options": {}, **spec})

    assert refused.value.message.startswith(why)  # some Pythons add the value


def test_args_nested_without_end_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(EntryInvalid, match="args: "):
        messages_with({}, args=endless)


def test_a_message_that_is_too_large_is_refused_with_its_size() -> None:
    largest = _text_that_fits()
    assert messages_with({}, args=[largest]).longest <= LARGEST_MESSAGE

    with pytest.raises(EntryInvalid) as refused:
        messages_with({}, args=[largest + 3 * "x"])

    assert re.fullmatch(r"the message has up to 1966\d\d bytes; at most 196608 are accepted", refused.value.message)


def _text_that_fits() -> str:
    """The longest text, to the three letters that make one step of base64, that a message can carry."""
    room = LARGEST_MESSAGE - messages_with({}, args=["x" * 3_000]).longest
    return "x" * (3_000 + room // 4 * 3)


def test_a_rendered_message_never_exceeds_its_announced_size() -> None:
    options = {"eta": "1h", "expires": "2026-12-01T09:00:00.123456+01:00", "priority": 9}
    messages = messages_with(options)

    message = messages.render("i" * 36, 4_102_444_800_396, "t" * 36)

    assert len(message) <= messages.longest


def test_an_entry_built_by_hand_is_checked_as_well() -> None:
    entry = entry_from_spec("e", {"task": "t", "every": "5s"})
    by_hand = Entry(name="e", task="t", schedule=entry.schedule, queue="a", options={"queue": "b"})

    with pytest.raises(EntryInvalid, match=r"options.queue: found 'b'; accepted is the entry's queue, 'a'"):
        messages_of(by_hand)
