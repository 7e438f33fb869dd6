"""Signatures as an entry holds them: what is accepted, and what is known of one without sending it."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatd.core.entry import entry_from_definition, entry_from_spec
from beatd.core.patch import patched
from beatd.core.signature import DEEPEST, check_signature, queue_of, task_of
from beatd.errors import EntryInvalid
from tests.support.messages import messages_of

A = {"task": "a", "args": [1], "options": {"queue": "first"}}
B = {"task": "b"}


def chain(*tasks: Any, **options: Any) -> dict[str, Any]:
    return {"subtask_type": "chain", "kwargs": {"tasks": list(tasks)}, "options": options}


def group(*tasks: Any, **options: Any) -> dict[str, Any]:
    return {"subtask_type": "group", "kwargs": {"tasks": list(tasks)}, "options": options}


def chord(header: Any, body: Any) -> dict[str, Any]:
    return {"task": "celery.chord", "subtask_type": "chord", "kwargs": {"header": header, "body": body}}


@pytest.mark.parametrize(
    "signature, task, queue",
    [
        (A, "a", "first"),
        (B, "b", None),
        (chain(A, B), "a", "first"),
        (chain(chain(chain(A), B), B), "a", "first"),
        (chain(group(A), B), "a", "first"),
        (chain(group(A, B), B), "celery.chord", None),
        (chain(group(A, B)), "celery.group", None),
        (group(A, B), "celery.group", None),
        (group(A), "a", "first"),
        (chord([A, B], B), "celery.chord", None),
        (chord(group(A, B), B), "celery.chord", None),
        ({"task": "celery.map", "subtask_type": "xmap", "kwargs": {"task": B, "it": [1]}}, "celery.map", None),
        ({"task": "a", "args": None, "kwargs": None, "options": None, "immutable": None, "chord_size": 3}, "a", None),
    ],
)
def test_a_signature_tells_the_task_and_the_queue_of_its_message(
    signature: dict[str, Any], task: str, queue: str | None
) -> None:
    check_signature("signature", signature)

    assert (task_of(signature), queue_of(signature)) == (task, queue)


@pytest.mark.parametrize(
    "signature, why",
    [
        (5, "signature: found a whole number; a signature is accepted, such as {task: app.tasks.add, args: [1, 2]}"),
        ({}, "signature.task is missing; a signature names its task, such as {task: app.tasks.add, args: [1, 2]}"),
        ({"task": ""}, "signature.task: found ''; a non-empty printable text is accepted"),
        ({"task": "a", "arg": []}, "signature: unknown key 'arg'; accepted are"),
        ({"task": "a", "args": {}}, "signature.args: found an object; a list is accepted"),
        ({"task": "a", "options": []}, "signature.options: found a list; an object is accepted"),
        ({"task": "a", "subtask_type": "loop"}, "signature.subtask_type: found 'loop'; accepted are chain, group,"),
        ({"task": "celery.chain", "kwargs": {"tasks": [A]}}, "signature.task: found celery.chain without its type"),
        (chain(), "signature.kwargs.tasks: an empty list; one signature or more is accepted"),
        (chain(A, {"task": 1}), "signature.kwargs.tasks[1].task: found 1; a non-empty printable text is accepted"),
        (group(A, group(B, 5)), "signature.kwargs.tasks[1].kwargs.tasks[1]: found a whole number"),
        ({"task": "a", "subtask_type": ["chain"]}, "signature.subtask_type: found a value of type list; accepted are"),
        ({"subtask_type": "group"}, "signature.kwargs.tasks: found nothing; a list of signatures is accepted"),
        (chord([A], None), "signature.kwargs.body: found nothing; a signature is accepted"),
        (
            {"subtask_type": "chord", "kwargs": {"header": [A], "body": B, "kwargs": [1]}},
            "signature.kwargs.kwargs: found a list; an object is accepted",
        ),
        (chord("a", B), "signature.kwargs.header: found a text; a list of signatures is accepted"),
        ({**A, "options": {"link": {"task": "x", "y": 1}}}, "signature.options.link[0]: unknown key 'y'"),
        ({**A, "options": {"link_error": [B, {}]}}, "signature.options.link_error[1].task is missing"),
    ],
)
def test_what_is_no_signature_is_refused_with_its_place(signature: Any, why: str) -> None:
    with pytest.raises(EntryInvalid) as refused:
        check_signature("signature", signature)

    assert refused.value.message.startswith(why)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3) | st.just({"task": "t"}),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.fixed_dictionaries(
                {}, optional=dict.fromkeys(("task", "args", "options", "tasks", "header", "body"), inner)
            )
            | st.builds(
                lambda kind, kwargs: {"subtask_type": kind, "kwargs": kwargs},
                st.sampled_from(["chain", "group", "chord", None]),
                st.fixed_dictionaries({}, optional=dict.fromkeys(("tasks", "header", "body"), inner)) | inner,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_stands_there_is_a_signature_or_refused(value: Any) -> None:
    for look in (task_of, queue_of):
        with contextlib.suppress(EntryInvalid):
            look(value)
    try:
        check_signature("signature", value)
    except EntryInvalid:
        return
    assert isinstance(task_of(value), str)
    with contextlib.suppress(EntryInvalid):  # a link of a group
        messages_of(entry_from_spec("e", {"signature": value, "every": "5s"}))


def test_signatures_inside_each_other_end_somewhere() -> None:
    signature: dict[str, Any] = B
    for _ in range(DEEPEST):
        signature = chain(signature)
    check_signature("signature", signature)

    with pytest.raises(EntryInvalid, match=f"more than {DEEPEST} signatures inside each other"):
        check_signature("signature", chain(signature))


def entry(**spec: Any) -> Any:
    return entry_from_spec("e", {"every": "5s", **spec})


def test_an_entry_with_a_signature_reads_back_as_it_was_written() -> None:
    made = entry(signature=chain(A, B), options={"priority": 3})

    stored = json.loads(made.to_definition())
    assert (stored["task"], stored["queue"], stored["signature"]) == ("a", "first", chain(A, B))
    assert "args" not in stored
    assert entry_from_definition("e", made.to_definition()) == made
    assert made.sent_options == {"priority": 3, "signature": chain(A, B)}


@pytest.mark.parametrize(
    "spec, queue",
    [
        ({}, "first"),
        ({"queue": "mine"}, "mine"),
        ({"options": {"queue": "mine"}}, "mine"),
        ({"signature": group(A, B)}, "celery"),
    ],
)
def test_the_queue_of_the_entry_goes_before_that_of_the_signature(spec: dict[str, Any], queue: str) -> None:
    assert entry(**{"signature": A, **spec}).queue == queue


@pytest.mark.parametrize(
    "spec, why",
    [
        ({"task": "other"}, "task: found 'other', and the signature sends 'a'"),
        ({"args": [1]}, "args: they stand in the signature of this entry"),
        ({"kwargs": {"a": 1}}, "kwargs: they stand in the signature of this entry"),
        ({"signature": [A]}, "signature: found a list; an object is accepted"),
        ({"signature": {"task": "a", "args": [{1, 2}]}}, "signature.args[0]: found set"),
    ],
)
def test_a_signature_stands_alone(spec: dict[str, Any], why: str) -> None:
    with pytest.raises(EntryInvalid) as refused:
        entry(**{"signature": A, **spec})

    assert refused.value.message.startswith(why)


def test_an_edit_puts_a_signature_in_the_place_of_a_task_and_back() -> None:
    stored = json.loads(entry(task="t", args=[1], kwargs={"a": 2}, queue="q").to_definition())
    with_signature = patched("e", stored, {"signature": chain(B, A)})
    assert (with_signature.task, with_signature.args, with_signature.kwargs, with_signature.queue) == ("b", (), {}, "q")

    back = patched("e", json.loads(with_signature.to_definition()), {"task": "t", "args": [3]})
    assert (back.task, back.args, back.signature) == ("t", (3,), None)


def test_a_new_entry_may_have_a_signature_in_the_place_of_a_task() -> None:
    assert patched("e", None, {"signature": A, "every": "5s"}).task == "a"
