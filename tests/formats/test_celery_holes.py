"""What is filled in for each fire, and how large a message can get by it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatd.core.entry import entry_from_spec
from beatd.errors import EntryInvalid
from beatd.formats.celery import LARGEST_MESSAGE, readable
from tests.support.messages import Messages, messages_of

SLOT_MS = 1_795_165_200_396  # 2026-11-20T09:00:00.396Z
TASK_ID = "5d3e7c62-6f0b-5a41-8b8e-0f5d6d1c9a77"
OTHER_ID = "11111111-6f0b-5a41-8b8e-0f5d6d1c9a77"


def messages_with(name: str = "nightly", **spec: Any) -> Messages:
    return messages_of(entry_from_spec(name, {"task": "t", "every": "5s", **spec}))


def message(messages: Messages, task_id: str = TASK_ID, slot_ms: int = SLOT_MS) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(messages.render(task_id, slot_ms, "a-tag"))
    return found


def args_of(*args: Any, **of: Any) -> list[Any]:
    found: list[Any] = readable(message(messages_with(args=list(args)), **of))[0]
    return found


@pytest.mark.parametrize(
    "written, filled",
    [
        ("{{ beatd.slot }}", "2026-11-20T09:00:00.396Z"),
        ("{{beatd.slot}}", "2026-11-20T09:00:00.396Z"),
        ("{{\tbeatd.slot\n}}", "2026-11-20T09:00:00.396Z"),
        ("from {{ beatd.slot }} on", "from 2026-11-20T09:00:00.396Z on"),
        ("{{ beatd.slot_ms }}", SLOT_MS),
        (" {{ beatd.slot_ms }}", f" {SLOT_MS}"),
        ("{{ beatd.slot_ms }}{{ beatd.slot_ms }}", f"{SLOT_MS}{SLOT_MS}"),
        ("{{ beatd.entry }}", "nightly"),
        ("{{ beatd.task_id }}", TASK_ID),
        ("{{{ beatd.entry }}}", "{nightly}"),
        ({"a": [{"b": "{{ beatd.entry }}"}, 1]}, {"a": [{"b": "nightly"}, 1]}),
    ],
)
def test_a_hole_is_filled(written: Any, filled: Any) -> None:
    assert args_of(written) == [filled]


@pytest.mark.parametrize(
    "written",
    [
        "{{ slot }}",
        "{{",
        "}}",
        "{{ }}",
        "{ beatd.slot }",
        "{{ beatd }}",
        "{{ beatd.slot",
        "{% beatd.slot %}",
        "${beatd.slot}",
    ],
)
def test_other_brackets_are_left_alone(written: str) -> None:
    assert args_of(written, "beatd.slot") == [written, "beatd.slot"]


def test_a_uuid_is_the_same_within_a_run_and_another_in_the_next() -> None:
    first = args_of("{{ beatd.uuid }}", "{{ beatd.uuid }}")
    assert first[0] == first[1] != TASK_ID
    assert first == args_of("{{ beatd.uuid }}", "{{ beatd.uuid }}")
    assert first != args_of("{{ beatd.uuid }}", "{{ beatd.uuid }}", task_id=OTHER_ID)


@pytest.mark.parametrize(
    "spec, where",
    [
        ({"args": ["{{ beatd.slto }}"]}, "args[0]"),
        ({"kwargs": {"a": {"b": ["{{ beatd.slto }}"]}}}, "kwargs.a.b[0]"),
        ({"args": ["{{ beatd.slto }}"], "options": {"serializer": "yaml"}}, "args[0]"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(spec: dict[str, Any], where: str) -> None:
    with pytest.raises(EntryInvalid) as refused:
        messages_with(**spec)

    accepted = "slot, slot_ms, entry, task_id, uuid"
    assert refused.value.message == f"{where}: beatd.slto is not known; accepted are {accepted}"
    assert refused.value.hint == "did you mean beatd.slot?"


def test_an_unknown_name_in_a_signature_is_refused_with_its_place() -> None:
    task = {"task": "a", "args": ["{{ beatd.now() }}"]}
    entry = entry_from_spec("e", {"every": "5s", "signature": task})

    with pytest.raises(EntryInvalid, match=r"^signature\.args\[0\]: beatd\.now\(\) is not known"):
        messages_of(entry)


def test_nothing_is_evaluated() -> None:
    with pytest.raises(EntryInvalid, match="is not known"):
        messages_with(args=["{{ beatd.entry.__class__ }}"])


def test_a_key_has_no_holes() -> None:
    with pytest.raises(EntryInvalid, match="values are filled in, keys are not"):
        messages_with(kwargs={"a": {"{{ beatd.slot }}": 1}})


def test_what_workers_log_is_filled_in_too() -> None:
    headers = message(messages_with(args=["{{ beatd.slot_ms }}"], kwargs={"e": "{{ beatd.entry }}"}))["headers"]

    assert (headers["argsrepr"], headers["kwargsrepr"]) == (f"[{SLOT_MS}]", "{'e': 'nightly'}")


def test_a_name_of_any_letters_is_filled_in() -> None:
    name = 'Ü "x" \\ 世界'
    messages = messages_with(name, args=["{{ beatd.entry }}"], options={"headers": {"periodic_task_name": "mine"}})

    assert readable(message(messages))[0] == [name]
    assert message(messages)["headers"]["periodic_task_name"] == "mine"


HOLES = st.sampled_from(
    ["{{ beatd.slot }}", "{{ beatd.slot_ms }}", "{{ beatd.entry }}", "{{ beatd.task_id }}", "{{ beatd.uuid }}"]
)
TEXTS = st.text(max_size=40) | st.builds(lambda text, times: text * times, st.text(max_size=6), st.integers(0, 300))
VALUES = st.lists(HOLES | TEXTS | st.integers(-(2**63), 2**63), max_size=8) | st.dictionaries(TEXTS, HOLES, max_size=4)
CANVAS = {"subtask_type": "group", "kwargs": {"tasks": [{"task": "a", "args": ["{{ beatd.slot }}"]}, {"task": "b"}]}}


@given(
    args=st.lists(VALUES, max_size=4),
    name=st.text(st.characters(categories=["L", "N", "S"]), min_size=1, max_size=30),
    slot_ms=st.integers(0, 253_402_300_799_999),
    options=st.fixed_dictionaries(
        {},
        optional={
            "serializer": st.sampled_from(["json", "yaml", "msgpack"]),
            "compression": st.sampled_from(["zlib", "bzip2", "lzma"]),
            "link": st.just([{"task": "after", "args": ["{{ beatd.uuid }}"]}]),
        },
    ),
)
def test_no_message_is_longer_than_announced(args: list[Any], name: str, slot_ms: int, options: dict[str, Any]) -> None:
    entry_name = "".join(each for each in name if each.isprintable()).strip()
    try:
        messages = messages_with(entry_name, args=args, options=options)
    except EntryInvalid:  # a name that is not NFC, a message that is too large
        return
    for task_id in (TASK_ID, OTHER_ID):
        assert len(messages.render(task_id, slot_ms, "t" * 36)) <= messages.longest


def test_a_canvas_that_is_too_large_is_refused() -> None:
    tasks = [{"task": "a", "args": ["x" * 1_000]}] * 150
    entry = entry_from_spec("e", {"every": "5s", "signature": {"subtask_type": "group", "kwargs": {"tasks": tasks}}})

    with pytest.raises(EntryInvalid, match=rf"at most {LARGEST_MESSAGE} are accepted"):
        messages_of(entry)


def test_an_entry_with_a_signature_has_no_other_arguments() -> None:
    entry = entry_from_spec("e", {"every": "5s", "signature": CANVAS})
    template = messages_of(entry).template

    with pytest.raises(EntryInvalid, match="args: this entry's stand in its signature"):
        template.own("e", [1], {})


@pytest.mark.parametrize("name", ["link", "link_error", "chain", "chord", "group_id", "group_index"])
def test_what_follows_a_signature_stands_in_it(name: str) -> None:
    entry = entry_from_spec("e", {"every": "5s", "signature": CANVAS, "options": {name: 1}})

    with pytest.raises(EntryInvalid, match=f"options.{name}: what follows a task stands in the signature"):
        messages_of(entry)


@pytest.mark.parametrize("name, hint", [("link", "write a chord"), ("link_error", "write it to each task")])
def test_a_group_has_no_links(name: str, hint: str) -> None:
    entry = entry_from_spec("e", {"every": "5s", "signature": {**CANVAS, "options": {name: [{"task": "x"}]}}})

    with pytest.raises(EntryInvalid, match=f"a group has no {name}") as refused:
        messages_of(entry)

    assert (refused.value.hint or "").startswith(hint)
