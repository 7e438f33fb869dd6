"""Celery's own objects as fields of an entry: what celery beat would send, beatd sends."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Celery, chain, chord, group
from celery.schedules import crontab, schedule

import beatd
from beatd.core.patch import patched
from beatd.errors import EntryInvalid
from tests.support.messages import messages_of

APP = Celery("shop", broker="memory://")
APP.conf.update(timezone="Europe/Paris", task_routes={"mail.*": {"queue": "mail", "priority": 5}})


@APP.task(name="mail.send", expires=60)
def send(who: str, *, dry_run: bool = False) -> None:
    pass


@APP.task(name="stock.count", soft_time_limit=4, ignore_result=True)
def count() -> None:
    pass


def test_a_signature_becomes_the_fields_of_an_entry() -> None:
    signature = send.s("ann", dry_run=True).set(headers={"team": "growth"})
    assert beatd.entry_for(signature, crontab(hour=9, minute=[30, 0], day_of_week="mon-fri")) == {
        "task": "mail.send",
        "cron": "0,30 9 * * mon-fri",
        "day": "and",
        "timezone": "Europe/Paris",
        "args": ["ann"],
        "kwargs": {"dry_run": True},
        "queue": "mail",
        "options": {"headers": {"team": "growth"}, "priority": 5, "expires": 60},
    }


def test_what_a_signature_says_goes_before_its_task_and_the_routes() -> None:
    found = beatd.entry_for(send.s("ann").set(queue="other", priority=0, countdown=5), 30)
    assert (found["queue"], found["options"]) == ("other", {"priority": 0, "expires": 60, "countdown": 5})


@pytest.mark.parametrize("task", [count, count.s(), count.si()])
def test_a_task_is_as_good_as_its_signature(task: Any) -> None:
    found = beatd.entry_for(task, schedule(timedelta(minutes=90)))
    assert found == {
        "task": "stock.count",
        "every": "1h30m",
        "queue": "celery",
        "options": {"soft_time_limit": 4, "ignore_result": True},
    }


def test_a_signature_by_name_says_all_that_is_known() -> None:
    found = beatd.entry_for(Celery("other").signature("app.elsewhere", args=(1,)), "0 9 * * *")
    assert found == {"task": "app.elsewhere", "cron": "0 9 * * *", "args": [1]}


TOKYO = {"cron": "0 9 * * *", "timezone": "Asia/Tokyo"}
IN_PARIS = {"day": "and", "timezone": "Europe/Paris"}


@pytest.mark.parametrize(
    "given, fields",
    [
        (30, {"every": 30}),
        (0.5, {"every": 0.5}),
        (timedelta(seconds=90), {"every": "1m30s"}),
        ("*/5 * * * *", {"cron": "*/5 * * * *"}),
        ({"rrule": "FREQ=DAILY"}, {"rrule": "FREQ=DAILY"}),
        ({"at": datetime(2030, 1, 1, tzinfo=UTC)}, {"at": "2030-01-01T00:00:00Z"}),
        (beatd.parse_schedule(TOKYO), TOKYO),
        (crontab(minute="*/15", month_of_year={12, 1}), {"cron": "*/15 * * 1,12 *", **IN_PARIS}),
    ],
)
def test_a_schedule_may_be_said_in_many_ways(given: Any, fields: dict[str, Any]) -> None:
    found = beatd.entry_for(count, given)
    assert {key: value for key, value in found.items() if key not in ("task", "queue", "options")} == fields


@pytest.mark.parametrize(
    "given, said",
    [
        (schedule(30, relative=True), "relative=True"),
        (True, "found bool"),
        (None, "found NoneType"),
        ({"task": "t"}, "accepted is"),
        ({"timezone": "UTC"}, "accepted is"),
        (object(), "found object"),
    ],
)
def test_a_schedule_that_is_none_is_refused(given: Any, said: str) -> None:
    with pytest.raises(EntryInvalid, match=said):
        beatd.entry_for(count, given)


def plain(signature: Any) -> Any:
    return json.loads(json.dumps(signature))


@pytest.mark.parametrize(
    "canvas, queue, options",
    [
        (chain(send.s(1), send.s()), "mail", {"priority": 5, "expires": 60}),
        (chain(chain(send.s(1).set(priority=9), count.s()), count.s()), "mail", {"expires": 60}),
        (chain(count.s(), send.s()), "celery", {"soft_time_limit": 4, "ignore_result": True}),
        (group(send.s(1), send.s(2)), "celery", {}),
        (chord([send.s(1)], count.s()), "celery", {}),
        (chain(group(send.s(1), count.s()), send.s()), "celery", {}),
    ],
)
def test_a_canvas_becomes_a_signature(canvas: Any, queue: str, options: dict[str, Any]) -> None:
    found = beatd.entry_for(canvas, 30)

    assert found["signature"] == plain(canvas)
    assert found.get("queue", "celery") == queue
    assert (found.get("options") or {}) == options
    entry = patched("a", None, found)
    assert entry.signature == plain(canvas)
    messages_of(entry)


def test_a_generator_of_signatures_becomes_a_list() -> None:
    found = beatd.entry_for(group(send.s(each) for each in range(3)), 30)
    assert found["signature"] is not None
    assert [task["args"] for task in found["signature"]["kwargs"]["tasks"]] == [[0], [1], [2]]


def test_what_follows_a_task_is_an_option() -> None:
    found = beatd.entry_for(send.s("x").on_error(count.s()).set(link=[count.s(1)]), 30)
    assert found["options"] is not None
    assert found["options"]["link"] == [plain(count.s(1))]
    assert found["options"]["link_error"] == [plain(count.s())]
    messages_of(patched("a", None, found))


def test_a_canvas_of_what_json_can_not_say_is_refused_with_its_place() -> None:
    found = beatd.entry_for(chain(send.s({1, 2}), send.s()), 30)
    with pytest.raises(EntryInvalid, match=r"signature\.kwargs\.tasks\[0\]\.args\[0\]: found set"):
        patched("a", None, found)


def test_a_link_to_nothing_is_none() -> None:
    assert beatd.entry_for(send.s("x").set(link=[], link_error=[]), 30) == beatd.entry_for(send.s("x"), 30)


@pytest.mark.parametrize("nothing", [None, 5, object()])
def test_what_is_no_signature_is_refused(nothing: Any) -> None:
    with pytest.raises(EntryInvalid, match="a task or its signature is accepted"):
        beatd.entry_for(nothing, 30)


def test_an_eta_is_said_with_its_offset() -> None:
    found = beatd.entry_for(count.s().set(eta=datetime(2030, 1, 1, tzinfo=UTC)), 30)
    assert found["options"] is not None
    assert found["options"]["eta"] == "2030-01-01T00:00:00+00:00"


def test_the_fields_make_an_entry() -> None:
    entry = patched("a", None, beatd.entry_for(send.s("ann"), crontab(hour=9)))
    assert (entry.task, entry.queue, entry.schedule.words()) == ("mail.send", "mail", "every minute of hour 9")
