"""Entries: what a definition may say, what it may not, and that it is read back as it was written."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatd.core.entry import (
    ENTRY_KEYS,
    LARGEST_DEFINITION,
    Entry,
    Policy,
    check_name,
    entry_from_definition,
    entry_from_spec,
)
from beatd.core.json_value import DEEPEST_VALUE, MOST_VALUES
from beatd.errors import EntryInvalid

LEAST = {"task": "app.tasks.send", "every": "60s"}

PRINTABLE = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DURATION = st.integers(0, 10**12).map(lambda ms: f"{ms}ms")
SPECS = st.fixed_dictionaries(
    {"task": PRINTABLE, "every": st.integers(1, 10**6)},
    optional={
        "args": st.lists(JSON, max_size=3),
        "kwargs": st.dictionaries(st.text(), JSON, max_size=3),
        "queue": PRINTABLE,
        "options": st.dictionaries(st.text().filter(lambda key: key != "queue"), JSON, max_size=3),
        "description": st.text(),
        "tags": st.lists(PRINTABLE, max_size=3),
        "enabled": st.booleans(),
        "owner": PRINTABLE,
        "max_runs": st.none() | st.integers(1, 2**53),
        "jitter": DURATION,
        "catchup": st.sampled_from(["none", "latest", "all"]),
        "catchup_limit": st.integers(1, 1_000),
        "grace": DURATION,
        "deadline": st.none() | DURATION,
        "guarantee": st.sampled_from(["at_least_once", "at_most_once"]),
    },
)


def build(**changes: Any) -> Entry:
    return entry_from_spec("nightly", {**LEAST, **changes})


def refusal(**changes: Any) -> str:
    with pytest.raises(EntryInvalid) as caught:
        build(**changes)
    return caught.value.message


def test_what_is_not_said_has_the_defaults_of_the_contract() -> None:
    entry = build()
    assert entry.policy == Policy(
        catchup="latest",
        catchup_limit=100,
        grace_ms=60_000,
        deadline_ms=None,
        jitter_ms=0,
        max_runs=None,
        guarantee="at_least_once",
    )
    assert (entry.queue, entry.enabled, entry.owner, entry.args, entry.kwargs) == ("celery", True, "api", (), {})


@given(SPECS)
def test_a_definition_is_read_back_as_an_equal_entry(spec: dict[str, Any]) -> None:
    entry = entry_from_spec("nightly", spec)
    definition = entry.to_definition()
    again = entry_from_definition("nightly", definition)
    assert again == entry == entry_from_definition("nightly", definition.encode())
    assert (again.to_definition(), again.fingerprint) == (definition, entry.fingerprint)


@given(SPECS)
def test_the_order_of_keys_does_not_change_a_definition(spec: dict[str, Any]) -> None:
    other = dict(reversed(spec.items()))
    assert entry_from_spec("n", other).to_definition() == entry_from_spec("n", spec).to_definition()


def test_a_definition_is_canonical_json() -> None:
    assert build(tags=["mail"], kwargs={"b": 1, "a": "é"}).to_definition() == (
        '{"catchup":"latest","catchup_limit":100,"enabled":true,"every":"1m","grace":"1m","guarantee":"at_least_once",'
        '"kwargs":{"a":"é","b":1},"owner":"api","queue":"celery","tags":["mail"],"task":"app.tasks.send"}'
    )


def test_only_what_decides_slots_changes_the_fingerprint() -> None:
    same = build(args=[1], queue="q", grace="5s", catchup="all", description="d", enabled=False, task="other")
    assert same.fingerprint == build().fingerprint
    assert len({build().fingerprint, build(every="61s").fingerprint, build(jitter="1s").fingerprint}) == 3


WRONG: list[tuple[str, Any, str]] = [
    ("task", None, "a text"),
    ("task", 5, "a text"),
    ("task", ["a"], "a text"),
    ("task", "", "non-empty printable"),
    ("task", " padded", "non-empty printable"),
    ("task", "two\nlines", "non-empty printable"),
    ("queue", None, "a text"),
    ("queue", {}, "a text"),
    ("queue", "x" * 100_000 + "\x00", "non-empty printable"),
    ("args", None, "a list"),
    ("args", {}, "a list"),
    ("args", "abc", "a list"),
    ("args", (1, 2), "found tuple"),
    ("kwargs", [], "an object"),
    ("options", "x", "an object"),
    ("enabled", 1, "true or false"),
    ("enabled", "yes", "true or false"),
    ("owner", 1, "a text"),
    ("description", 1, "a text"),
    ("description", "\ud800", "surrogate"),
    ("tags", "mail", "a list"),
    ("tags", ["mail", 5], "a whole number"),
    ("tags", [""], "non-empty printable"),
    ("max_runs", 0, "from 1 to"),
    ("max_runs", -1, "from 1 to"),
    ("max_runs", True, "from 1 to"),
    ("max_runs", 1.0, "from 1 to"),
    ("max_runs", "5", "from 1 to"),
    ("max_runs", 10**30, "from 1 to"),
    ("catchup_limit", 1_001, "from 1 to 1000"),
    ("catchup_limit", None, "from 1 to 1000"),
    ("catchup", "newest", "none, latest, all"),
    ("catchup", None, "none, latest, all"),
    ("catchup", [], "none, latest, all"),
    ("catchup", "x" * 100_000, "none, latest, all"),
    ("guarantee", "exactly_once", "at_least_once, at_most_once"),
    ("grace", "5", "digits with a unit"),
    ("grace", None, "a number of seconds"),
    ("jitter", -1, "between 0 and 100 years"),
    ("jitter", [], "a number of seconds"),
    ("deadline", {}, "a number of seconds"),
]


@pytest.mark.parametrize("key, value, accepted", WRONG)
def test_a_wrong_value_is_refused_with_its_key_and_what_is_accepted(key: str, value: Any, accepted: str) -> None:
    message = refusal(**{key: value})
    assert message.startswith(f"{key}: ")
    assert accepted in message
    assert len(message) < 400


class Custom:
    pass


@pytest.mark.parametrize(
    "inner, found",
    [
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
        ("\udfff", "half of a surrogate pair in a text"),
        (b"bytes", "bytes"),
        ((1, 2), "tuple"),
        ({1, 2}, "set"),
        (datetime(2026, 12, 1, tzinfo=UTC), "datetime"),
        (Custom(), "Custom"),
        ({5: "x"}, "a whole number as a key"),
        ({None: "x"}, "nothing as a key"),
        ({"\ud800": "x"}, "half of a surrogate pair in a text as a key"),
        pytest.param(10**5_000, "a whole number of 16610 bits", id="more digits than Python prints"),
    ],
)
def test_what_json_does_not_carry_is_refused_at_any_depth_with_its_place(inner: Any, found: str) -> None:
    assert refusal(args=[inner]).startswith(f"args[0]: found {found}; ")
    assert refusal(kwargs={"a": [1, {"b": inner}]}).startswith(f"kwargs.a[1].b: found {found}; ")
    assert refusal(options={"headers": {"team": inner}}).startswith(f"options.headers.team: found {found}; ")


def test_a_value_may_be_deep_but_not_bottomless() -> None:
    def nested(levels: int) -> list[Any]:
        value: list[Any] = []
        for _ in range(levels - 1):
            value = [value]
        return value

    entry = build(args=nested(DEEPEST_VALUE))
    assert entry_from_definition("nightly", entry.to_definition()) == entry
    assert refusal(args=nested(DEEPEST_VALUE + 2)).startswith("args: more than 100 levels deep")


def test_a_value_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert refusal(args=endless).startswith("args: more than 100 levels deep, or a value that holds itself")


def test_a_value_that_unfolds_into_billions_is_refused_before_it_does() -> None:
    bomb: list[Any] = ["lol"]
    for _ in range(30):
        bomb = [bomb] * 10
    assert refusal(args=bomb) == f"args: more than {MOST_VALUES} values"


def test_an_unknown_key_is_refused_with_the_nearest_known_one() -> None:
    with pytest.raises(EntryInvalid, match="unknown key 'catch_up'; accepted are anchor, args, ") as caught:
        build(catch_up="all")
    assert caught.value.hint == "did you mean catchup?"


@pytest.mark.parametrize("keys", [{1: 2, "x": 3}, {True: 1}, {None: 1, 5: 1}, {(1, 2): 3}])
def test_keys_that_are_no_texts_are_unknown_keys(keys: dict[Any, Any]) -> None:
    with pytest.raises(EntryInvalid, match="unknown key"):
        entry_from_spec("nightly", {**LEAST, **keys})


@given(SPECS, st.dictionaries(st.text().filter(lambda key: key not in ENTRY_KEYS), JSON, min_size=1, max_size=3))
def test_what_another_version_wrote_is_kept_and_decides_nothing(spec: dict[str, Any], more: dict[str, Any]) -> None:
    plain = entry_from_spec("nightly", spec)
    stored = entry_from_definition("nightly", json.dumps({**spec, **more}))
    assert (stored.extra, stored.fingerprint) == (more, plain.fingerprint)
    assert replace(stored, extra={}) == plain
    assert json.loads(stored.to_definition()) == {**json.loads(plain.to_definition()), **more}
    assert entry_from_definition("nightly", stored.to_definition()) == stored


def test_a_missing_task_is_said_to_be_missing() -> None:
    with pytest.raises(EntryInvalid, match="task is missing"):
        entry_from_spec("nightly", {"every": "60s"})


def test_an_unreadable_schedule_is_an_unreadable_entry() -> None:
    with pytest.raises(EntryInvalid, match="is not a duration"):
        build(every="soon")


@pytest.mark.parametrize("name", ["a", "send-digest", "Größe", "日報", "with blank", "x" * 200, "{hash}:tag"])
def test_a_name_is_anything_printable(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name, why",
    [
        ("", "1 to 200 characters; found 0"),
        ("x" * 201, "1 to 200 characters; found 201"),
        (" a", "no blank at either end"),
        ("a\u00a0", "no blank at either end"),
        ("a\nb", "printable"),
        ("a\x1fb", "printable"),
        ("a\u200bb", "printable"),
        ("\ud800", "printable"),
        ("e\u0301", "composed form"),
        (5, "is a whole number; a text is accepted"),
        (None, "is nothing; a text is accepted"),
        (b"a", "is bytes; a text is accepted"),
    ],
)
def test_any_other_name_is_refused(name: Any, why: str) -> None:
    with pytest.raises(EntryInvalid, match=why):
        entry_from_spec(name, LEAST)


@pytest.mark.parametrize(
    "definition, why",
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        (b"\xff\xff", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("1" * 5_000, "is not JSON"),
        ("null", "is nothing; an object is accepted"),
        ("[]", "is a list; an object is accepted"),
        ('"x"', "is a text; an object is accepted"),
        ("NaN", "is a number; an object is accepted"),
        ('{"task":"t","every":"60s","args":[NaN]}', r"args\[0\]: found nan"),
        ('{"task":"t","every":"60s","args":[1e999]}', r"args\[0\]: found inf"),
        (r'{"task":"t","every":"60s","args":["\ud800"]}', "surrogate"),
        (r'{"task":"t","every":"60s","\ud800":1}', "definition: found half of a surrogate pair in a text as a key"),
        ('{"task":"t","every":"60s","later":[1e999]}', r"definition.later\[0\]: found inf"),
        ('{"task":"t","every":"60s","args":["\ud800"]}', "surrogate"),
    ],
)
def test_a_definition_that_cannot_be_read_says_why(definition: str | bytes, why: str) -> None:
    with pytest.raises(EntryInvalid, match=why):
        entry_from_definition("nightly", definition)


@pytest.mark.parametrize("letter", ["x", "é", "日"])
def test_the_size_of_a_definition_is_counted_in_bytes(letter: str) -> None:
    frame = json.dumps({**LEAST, "description": ""}, ensure_ascii=False)
    room = LARGEST_DEFINITION - len(frame)
    fits = frame[:-2] + letter * (room // len(letter.encode())) + '"}'
    assert entry_from_definition("nightly", fits).description.startswith(letter)
    with pytest.raises(EntryInvalid, match=f"bytes; at most {LARGEST_DEFINITION} are accepted"):
        entry_from_definition("nightly", fits[:-2] + letter * 3 + '"}')


@given(st.text() | st.binary() | JSON.map(json.dumps))
def test_any_text_as_a_definition_is_refused_and_never_worse(definition: str | bytes) -> None:
    with pytest.raises(EntryInvalid):
        entry_from_definition("nightly", definition)


@given(st.sampled_from(sorted(ENTRY_KEYS - {"every"})), JSON)
def test_any_json_value_for_any_key_is_read_or_refused_and_never_worse(key: str, value: Any) -> None:
    try:
        entry = entry_from_definition("nightly", json.dumps({**LEAST, key: value}))
    except EntryInvalid:
        return
    assert entry_from_definition("nightly", entry.to_definition()) == entry


@pytest.mark.parametrize("spec", [{"queue": "{beatd:b:0}:hold"}, {"options": {"queue": "{beatd:"}}])
def test_a_queue_is_never_named_like_a_key_of_ours(spec: dict[str, Any]) -> None:
    with pytest.raises(EntryInvalid, match="beatd's own"):
        entry_from_spec("a", {"task": "t", "every": "1h", **spec})
