"""An edit of some fields: the others stay, and what it makes is a whole entry or a refusal."""

from typing import Any

import pytest

from beatd.core.patch import patched
from beatd.errors import EntryInvalid

STORED = {
    "task": "t",
    "every": "1h",
    "anchor": "2026-01-01T00:00:00Z",
    "timezone": "Asia/Tokyo",
    "options": {"priority": 3, "headers": {"a": 1}},
    "queue": "q",
    "later": {"x": [1]},
}


def made(given: dict[str, Any], stored: dict[str, Any] | None = STORED) -> dict[str, Any]:
    entry = patched("a", stored, given)
    return {"options": entry.options, "queue": entry.queue, **entry.schedule.to_spec(), **entry.extra}


@pytest.mark.parametrize(
    "given, changed",
    [
        ({}, {}),
        ({"queue": "other"}, {"queue": "other"}),
        ({"queue": None}, {"queue": "celery"}),
        ({"every": "2h"}, {"every": "2h"}),
        ({"timezone": None}, {"timezone": None}),
        ({"options": {"priority": None, "expires": 5}}, {"options": {"headers": {"a": 1}, "expires": 5}}),
        ({"options": {"queue": "other"}}, {"queue": "other"}),
        ({"options": None}, {"options": {}}),
        ({"cron": "0 9 * * *"}, {"cron": "0 9 * * *", "every": None, "anchor": None}),
        ({"later": None}, {"later": None}),
    ],
)
def test_what_is_not_given_stays(given: dict[str, Any], changed: dict[str, Any]) -> None:
    expected = {**made({}), **changed}
    assert made(given) == {key: value for key, value in expected.items() if value is not None}


@pytest.mark.parametrize(
    "given, said",
    [
        ({"later": 1}, "unknown key 'later'"),
        ({"sooner": None}, "unknown key 'sooner'"),
        ({"task": None}, "task is missing"),
        ({"every": None}, "one of"),
        ({"options": [1]}, "options: found a list"),
        ({"queue": "a", "options": {"queue": "b"}}, "queue"),
        ({"cron": "0 9 * * *", "every": "1h"}, "one of"),
        ({"owner": 5}, "owner"),
    ],
)
def test_what_makes_no_entry_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(EntryInvalid, match=said):
        patched("a", STORED, given)


def test_a_new_entry_is_the_apis_and_needs_a_task() -> None:
    assert patched("a", None, {"task": "t", "every": 5}).owner == "api"
    with pytest.raises(EntryInvalid, match="a new one needs a task and a schedule"):
        patched("a", None, {"every": 5})
