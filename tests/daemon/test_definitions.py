"""Definitions made ready: what many share is read once, and nobody can tell by what comes out."""

import gc
import json
import tracemalloc
from collections.abc import Mapping
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beatd.core.entry import entry_from_definition, entry_from_spec
from beatd.core.requests import Standing, Wanted
from beatd.core.timetable import Stored
from beatd.core.window import Compiled, Staged, Window
from beatd.daemon.definitions import COMPILED_BYTES, Definitions
from beatd.errors import EntryInvalid
from beatd.formats.celery import compile_template, readable
from tests.support.examples import examples
from tests.support.messages import messages_of

SLOT = 1_795_165_200_000
ORIGIN = "gen1@host"


def definitions() -> Definitions:
    return Definitions("default", partial(compile_template, origin=ORIGIN))


def stored(name: str, definition: bytes, rev: str = "r", jitter: int = 0) -> Stored:
    return Stored(name, "5", rev, definition, 0, jitter, None)


def written(spec: Mapping[str, Any], *, order: int = 0, ascii_only: bool = True, again: str = "") -> bytes:
    """A definition as some other client might write it: keys in another order, one of them twice."""
    keys = sorted(spec)
    turned = {key: spec[key] for key in keys[order % len(keys) :] + keys[: order % len(keys)]}
    text = json.dumps(turned, ensure_ascii=ascii_only)
    return (text if not again else f"{text[:-1]}, {again}}}").encode()


def seen(compiled: Compiled) -> tuple[object, ...]:
    """All of an entry that shows outside."""
    template = compiled.shape.template
    message = template.render(compiled.own, compiled.shape.ids.of(compiled.name, SLOT), SLOT, "tag")
    place = (template.queue_key, template.expires_ms, template.expires_on, message)
    return (compiled.name, compiled.rev, compiled.jitter, compiled.schedule, compiled.policy, *place)


def outcome(made: Definitions, row: Stored) -> tuple[object, ...]:
    try:
        return seen(made.compile(row))
    except EntryInvalid as error:
        return "refused", error.message, error.hint


HOLES = st.sampled_from(["{{ beatd.slot }}", "{{ beatd.slto }}", "{{ beatd.slot_ms }}"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8) | HOLES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
# What shapes differ in is taken from few values, so that entries meet; among them such as Python takes for equal.
SHARED: Mapping[str, Any] = {
    "queue": st.sampled_from(["celery", "reports", "q\u00fc", ""]),
    "grace": st.sampled_from([1, 1.0, True, "1s"]),
    "catchup_limit": st.sampled_from([1, 1.0, True]),
    "jitter": st.sampled_from([0, 0.0, False, "30s"]),
    "enabled": st.sampled_from([True, 1]),
    "timezone": st.sampled_from(["UTC", "Europe/Paris"]),
    "owner": st.sampled_from(["api", "file"]),
    "options": st.sampled_from(
        [
            {},
            {"priority": 1},
            {"priority": True},
            {"headers": {"a": 1}},
            {"headers": {"a": 1.0}},
            {"headers": {"a": True, "periodic_task_name": "mine"}},
            {"headers": {"periodic_task_name": ["\u00fc"], "celery_beat_task": False}},
            {"expires": 60, "countdown": 5},
            {"expires": "2026-12-01T09:00Z"},
            {"serializer": "yaml", "compression": "zlib"},
            {"link": [{"task": "after"}]},
        ]
    ),
    "signature": st.sampled_from(
        [
            {"task": "app.run", "args": ["{{ beatd.slot }}"]},
            {"task": "app.run", "args": [1.0], "options": {"queue": "reports"}},
            {"subtask_type": "chain", "kwargs": {"tasks": [{"task": "app.run"}, {"task": "then"}]}},
            {"task": "other"},
            None,
        ]
    ),
}
TIMING = st.sampled_from(
    [
        {"cron": "0 9 * * *"},
        {"cron": "H H * * *"},
        {"cron": "H 0 H(28-31) 2 *"},  # for some names no such day ever comes
        {"cron": "H H * * *", "hash_id": "x"},
        {"every": 5},
        {"every": 5.0},
        {"every": "1h", "start": "2026-01-01T00:00"},
        {"at": "2026-12-01T09:00"},
        {"rrule": "FREQ=DAILY;BYHOUR=9"},
    ]
)
OWN: Mapping[str, Any] = {
    "args": st.lists(VALUES, max_size=3) | VALUES,
    "kwargs": st.dictionaries(st.text(max_size=4), VALUES, max_size=3) | VALUES,
    "description": st.sampled_from(["", "\u00fc", None, 5]),
    "tags": st.sampled_from([[], ["a"], ["a", ""], "a", None]),
}
NAMES = st.sampled_from(["nightly", "hourly", "caf\u00e9 \u2615", '"', " blank", "e\u0301"]) | st.text(max_size=5)
DEFINITIONS = st.builds(
    written,
    st.builds(
        lambda timing, shared, own: {"task": "app.run", **timing, **shared, **own},
        TIMING,
        st.fixed_dictionaries({}, optional=SHARED),
        st.fixed_dictionaries({}, optional=OWN),
    ),
    order=st.integers(0, 3),
    ascii_only=st.booleans(),
    again=st.sampled_from(["", "", "", '"args": [7]', '"queue": "twice"', '"args": [NaN]', '"task": null']),
)


@settings(max_examples=examples(300))
@given(st.lists(st.tuples(NAMES, DEFINITIONS), min_size=1, max_size=6))
def test_an_entry_like_others_comes_out_as_if_it_were_alone(entries: list[tuple[str, bytes]]) -> None:
    together = definitions()
    for number, (name, definition) in enumerate(entries):
        row = stored(name, definition, rev=f"r{number}")
        assert outcome(together, row) == outcome(definitions(), row)


@settings(max_examples=examples(200))
@given(NAMES, NAMES, DEFINITIONS, st.fixed_dictionaries({}, optional=OWN))
def test_a_definition_with_other_arguments_under_another_name_is_read_as_by_itself(
    first: str, second: str, definition: bytes, own: dict[str, Any]
) -> None:
    together = definitions()
    outcome(together, stored(first, definition))
    spec = {key: value for key, value in json.loads(definition).items() if key not in OWN}
    row = stored(second, json.dumps({**spec, **own}).encode(), rev="r2")
    assert outcome(together, row) == outcome(definitions(), row)
    try:
        entry = entry_from_definition(second, row.definition or b"")
        messages = messages_of(entry, ORIGIN)
    except EntryInvalid:
        return
    compiled = together.compile(row)
    rendered = compiled.shape.template.render(compiled.own, "id", SLOT, "tag")
    assert (compiled.schedule, compiled.policy) == (entry.schedule, entry.policy)
    assert rendered == messages.render("id", SLOT, "tag")


def test_entries_that_differ_in_name_and_arguments_share_the_rest() -> None:
    made = definitions()
    spec = {"task": "app.run", "cron": "0 9 * * *", "options": {"priority": 3}}
    one, two = [made.compile(stored(f"e{n}", written({**spec, "args": [n], "tags": [f"t{n}"]}))) for n in range(2)]
    assert one.shape is two.shape
    assert one.schedule is two.schedule
    other = made.compile(stored("other", written({**spec, "cron": "1 9 * * *"})))
    assert (other.shape is one.shape, other.schedule == one.schedule) == (True, False)


def test_a_revision_is_compiled_once_and_another_one_again() -> None:
    made = definitions()
    row = stored("a", written({"task": "app.run", "every": "1m"}))
    first = made.compile(row)
    assert made.compile(row) is made.known("a", "r") is first
    assert made.known("a", "r2") is None
    assert made.compile(stored("b", row.definition or b"")).name == "b"
    assert made.compile(row._replace(jitter=7)).jitter == 7
    assert made.compile(row._replace(rev="r2")).rev == "r2"


@pytest.mark.parametrize(
    "spec, most",
    [
        ({"cron": "0 9 * * *"}, 640),
        ({"cron": "0 9 * * *", "kwargs": {"customer": "customer-1234567", "dry": False}}, 730),
        ({"every": "1h"}, 850),
        ({"cron": "H H * * *"}, 1_700),
    ],
)
def test_what_is_said_to_be_staged_is_what_it_takes(spec: dict[str, Any], most: int) -> None:
    count = 3_000
    rows = [
        stored(f"entry-{n:07d}", written({"task": "app.run", **spec, "args": [n]}), f"{n:049d}") for n in range(count)
    ]
    made, window = definitions(), Window()
    made.compile(stored("first", rows[0].definition or b""))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for row in rows:  # names, revisions and moments come from replies, one by one
            copied = row._replace(name=(row.name + "x")[:-1], rev=(row.rev + "x")[:-1])
            window.stage(Staged(made.compile(copied), int("1" + row.name[-1:] + "000000000"), None))
        taken = (tracemalloc.get_traced_memory()[0] - before) / count
    finally:
        tracemalloc.stop()
    said = window.size / count
    assert 0.7 * said < taken < 1.1 * said, (taken, said)
    assert taken < most


def test_what_is_kept_for_later_is_bounded_in_bytes() -> None:
    made = definitions()
    for n in range(2_000):
        spec = {"task": f"app.run{n}", "cron": f"{n % 60} {n // 60 % 24} * * *", "args": ["x" * 8_000]}
        made.compile(stored(f"e{n}", entry_from_spec(f"e{n}", spec).to_definition().encode()))
    kept = {**made._kept._old, **made._kept._young}
    assert 0 < sum(compiled.size for compiled in kept.values()) <= COMPILED_BYTES
    assert sum(ready.size for half in (made._ready._old, made._ready._young) for ready in half.values()) <= 5 * 2**20


SIGNED = {"task": "app.run", "args": ["{{ beatd.slot_ms }}"], "options": {"expires": 60}}


def asked(spec: Mapping[str, Any], wanted: Wanted) -> dict[str, Any]:
    """The message that a request makes of a definition, decoded."""
    standing = Standing("r", written({"every": "5s", **spec}), 0, 0)
    beside = definitions().for_request("e", standing, wanted)
    found: dict[str, Any] = json.loads(beside.template.render(beside.own, "id", SLOT, "tag"))
    return found


def test_a_request_sends_the_signature_of_its_entry() -> None:
    message = asked({"signature": SIGNED}, Wanted("trigger", "e"))
    assert readable(message)[0] == [SLOT]
    assert message["headers"]["beatd_cause"] == "trigger"
    assert message["headers"]["expires"] is not None


def test_a_request_keeps_the_headers_of_a_signature() -> None:
    signature = {"task": "app.run", "options": {"headers": {"team": "growth"}}}
    headers = asked({"signature": signature}, Wanted("trigger", "e"))["headers"]
    assert (headers["team"], headers["beatd_cause"]) == ("growth", "trigger")


def test_a_backfill_does_not_expire_by_what_a_signature_says() -> None:
    assert asked({"signature": SIGNED}, Wanted("backfill", "e"))["headers"]["expires"] is None
    assert asked({"task": "t", "options": {"expires": 60}}, Wanted("backfill", "e"))["headers"]["expires"] is None


def test_a_request_can_not_change_the_arguments_of_a_signature() -> None:
    with pytest.raises(EntryInvalid, match="args: this entry's stand in its signature"):
        asked({"signature": SIGNED}, Wanted("trigger", "e", args=(1,)))
