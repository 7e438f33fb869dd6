"""Records as lines: always one, always valid, never a secret, whatever somebody logs."""

import json
import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatd.core.masking import Secrets
from beatd.daemon.log_lines import LONGEST_TRACE, NOTICE, JsonLines, LineFormatter, TextLines

AT = 1_800_000_000.0125
SECRETS = Secrets()
SECRETS.learn("redis://:CANARY-CANARY@host")


def record(msg: object = "", *args: object, name: str = "beatd", **extra: object) -> logging.LogRecord:
    made = logging.LogRecord(name, logging.INFO, "", 0, msg, args, None)
    made.created = AT
    made.__dict__.update(extra)
    return made


def event(name: str, **fields: object) -> logging.LogRecord:
    return record(event=name, fields=fields)


def told(made: logging.LogRecord) -> Any:
    line = JsonLines(SECRETS.hide).format(made)
    assert len(line.splitlines()) == 1
    line.encode()
    return json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


def test_an_event_keeps_the_names_and_types_of_its_fields_and_leaves_out_what_has_no_value() -> None:
    made = event("entry_fired", entry="a b", late_ms=3, share=0.5, ok=True, hint=None, names=["x", 1], more={"k": 2})
    assert told(made) == {
        "ts": "2027-01-15T08:00:00.012Z",
        "level": "info",
        "event": "entry_fired",
        "entry": "a b",
        "late_ms": 3,
        "share": 0.5,
        "ok": True,
        "names": ["x", 1],
        "more": {"k": 2},
    }


def test_a_line_of_another_library_says_whose_it_is() -> None:
    said = told(record("%s took %.1f s", "x", 1.25, name="asyncio"))
    assert said == {"ts": "2027-01-15T08:00:00.012Z", "level": "info", "logger": "asyncio", "msg": "x took 1.2 s"}


def test_a_warning_is_a_line_as_others() -> None:
    lines: list[str] = []

    class Kept(logging.Handler):
        def emit(self, made: logging.LogRecord) -> None:
            lines.append(JsonLines(SECRETS.hide).format(made))

    handler = Kept()
    logging.getLogger("py.warnings").addHandler(handler)
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(False)
            logging.captureWarnings(True)
            warnings.warn("old CANARY-CANARY", DeprecationWarning, stacklevel=1)
    finally:
        logging.captureWarnings(False)
        logging.getLogger("py.warnings").removeHandler(handler)
    (said,) = map(json.loads, lines)
    assert said["logger"] == "py.warnings"
    assert "DeprecationWarning: old ***" in said["msg"]


def failure(text: str) -> Any:
    try:
        raise ValueError(text)  # noqa: TRY301  # so that it has a traceback
    except ValueError:
        return sys.exc_info()


def test_an_exception_is_one_field_of_a_bounded_length() -> None:
    said = told(record("it failed", exc_info=failure("for redis://:x@h and CANARY-CANARY")))
    assert said["msg"] == "it failed"
    assert said["exc"].startswith("Traceback (most recent call last):\n")
    assert said["exc"].endswith("ValueError: for redis://:***@h and ***")
    long = told(record("it failed", exc_info=failure("x" * 1_000_000)))
    assert len(long["exc"]) < LONGEST_TRACE + 100


class Unspeakable:
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Odd(int):
    def __repr__(self) -> str:
        return "not a number"

    __str__ = __repr__


VALUES: list[tuple[object, object]] = [
    ("a\nb\r\x00\x1b[2J\x85\u2028", "a\nb\r\x00\x1b[2J\x85\u2028"),
    ("half \ud800", "half \\ud800"),
    (float("nan"), "nan"),
    (float("-inf"), "-inf"),
    (10**10_000, "an integer of 33220 bits"),
    (Odd(7), "not a number"),
    (b"\xff\x00", "\\xff\x00"),
    (ValueError("wrong"), "wrong"),
    ({"a": {"b": {"c": {"d": 1}}}}, {"a": {"b": {"c": "{'d': 1}"}}}),
    ({1: {2}}, {"1": [2]}),
    ("redis://u:pw@h?token=t CANARY-CANARY", "redis://u:***@h?*** ***"),
    ({"CANARY-CANARY": ["CANARY-CANARY"]}, {"***": ["***"]}),
    ("x" * 100_000, "x" * 8_000 + "... (100000 characters)"),
]


@pytest.mark.parametrize("value, shown", VALUES, ids=map(str, range(len(VALUES))))
def test_any_value_has_a_place_in_json(value: object, shown: object) -> None:
    assert told(event("odd", value=value))["value"] == shown


def test_what_has_no_text_costs_its_line_and_no_more() -> None:
    assert told(event("odd", value=Unspeakable()))["msg"] == "not told: RuntimeError"
    assert told(record("%s", Unspeakable()))["msg"] == "not told: RuntimeError"
    assert told(record("%d of %s", "x"))["msg"] == "%d of %s ('x',)"


def test_a_list_without_end_is_cut() -> None:
    assert len(told(event("odd", value=list(range(10**6))))["value"]) == 100


def test_a_field_never_takes_the_place_of_what_every_line_has() -> None:
    assert told(event("odd", ts=1, level=2, event=3, exc=4)) == {
        "ts": "2027-01-15T08:00:00.012Z",
        "level": "info",
        "event": "odd",
    }


@given(
    st.dictionaries(st.text(max_size=5), st.recursive(st.text() | st.integers() | st.floats(), st.lists), max_size=4)
)
def test_whatever_is_logged_is_one_valid_line(fields: dict[str, object]) -> None:
    told(record(event="odd", fields=fields))


@pytest.mark.parametrize(
    "value, shown",
    [
        ("café", "café"),
        ("", '""'),
        ("a b", '"a b"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("a=b", '"a=b"'),
        ("two\nlines", '"two\\nlines"'),
        ("x\r\n2027-01-15T08:00:00.000Z INFO lease_lost", '"x\\r\\n2027-01-15T08:00:00.000Z INFO lease_lost"'),
        ("\x1b[2J", '"\\u001b[2J"'),
        ("half \ud800", '"half \\\\ud800"'),
        ("CANARY-CANARY", "***"),
    ],
)
def test_an_event_is_one_line_of_text_whatever_its_fields_hold(value: str, shown: str) -> None:
    line = TextLines(SECRETS.hide).format(event("config_refused", error=value, hint=None))
    assert line == f"2027-01-15T08:00:00.012Z INFO    config_refused error={shown}"


def test_no_further_line_of_a_text_can_pass_for_a_record() -> None:
    made = record("a\n2027 INFO b\x1b[2J", name="x", exc_info=failure("\nstopped"))
    first, *others = TextLines(SECRETS.hide).format(made).split("\n")
    assert first == "2027-01-15T08:00:00.012Z INFO    x: a"
    assert others[0] == "    2027 INFO b\\x1b[2J"
    assert others[-1] == "    stopped"
    assert all(line.startswith("    ") for line in others)


def test_a_notice_in_text_is_what_a_command_would_say() -> None:
    assert TextLines(SECRETS.hide).format(record("schedules: x\n  hint: y", name=NOTICE)) == (
        "beatd: schedules: x\n  hint: y"
    )
    assert told(record("schedules: x", name=NOTICE))["logger"] == "beatd"


@pytest.mark.parametrize("form", [JsonLines, TextLines])
def test_a_failing_mask_tells_nothing_rather_than_a_secret(form: Callable[..., LineFormatter]) -> None:
    def broken(text: str) -> str:
        if "CANARY" in text:
            raise RecursionError
        return text

    line = form(broken).format(record("CANARY", name="x"))
    assert "not told: RecursionError" in line
    assert "CANARY" not in line
