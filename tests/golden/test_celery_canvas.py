"""A chain is sent as Celery's ``apply_async`` sends it, ids aside; groups and chords as tasks that a worker expands."""

import json
import uuid
from typing import Any

import pytest
import redis
from celery import Celery, chain, chord, group, signature

from beatd.core.entry import Entry, entry_from_spec
from beatd.errors import EntryInvalid
from beatd.formats.celery import readable
from tests.support.messages import messages_of

SLOT_MS = 1_795_165_200_000  # 2026-11-20T09:00:00Z
TASK_ID = "5d3e7c62-6f0b-5a41-8b8e-0f5d6d1c9a77"
APP = Celery("golden", set_as_current=False)
MADE_UP = frozenset({"task_id", "reply_to", "root_id", "parent_id", "group_id"})


def s(name: str, *args: Any, **options: Any) -> Any:
    return signature(f"app.{name}", args=args, options=options, app=APP)


CHAINS: dict[str, Any] = {
    "two": chain(s("a", 1), s("b")),
    "three with options": chain(s("a", 1, priority=3, shadow="first"), s("b", queue="q"), s("c", time_limit=5)),
    "immutable": chain(s("a", 1), signature("app.b", args=(2,), immutable=True, app=APP)),
    "nested": chain(s("a", 1), chain(s("b"), chain(s("c"), s("d")))),
    "nested first": chain(chain(s("a", 1), s("b")), s("c")),
    "a group at the end": chain(s("a", 1), group(s("b"), s("c"))),
    "a group in the middle": chain(s("a", 1), group(s("b"), s("c")), s("d")),
    "a group in the middle of more": chain(s("a", 1), group(s("b"), s("c")), s("d"), s("e")),
    "two groups": chain(s("a", 1), group(s("b"), s("c")), group(s("d"), s("e")), s("f")),
    "a chord": chain(s("a", 1), chord([s("b"), s("c")], s("d")), s("e")),
    "a chord at the end": chain(s("a", 1), chord([s("b"), s("c")], s("d"))),
    "a group of chains": chain(s("a", 1), group(chain(s("b"), s("c")), s("d")), s("e")),
    "links of a step": chain(s("a", 1, link=[s("l")]), s("b", link_error=[s("f")])),
    "kwargs": chain(signature("app.a", kwargs={"x": 1}, app=APP), s("b")),
}


def entry_of(canvas: Any, **fields: Any) -> Entry:
    """The entry of a canvas as JSON carries it."""
    return entry_from_spec("canvas", {"signature": json.loads(json.dumps(canvas)), "every": "5s", **fields})


def ours(entry: Entry, task_id: str = TASK_ID) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(messages_of(entry).render(task_id, SLOT_MS, "tag"))
    return found


def theirs(canvas: Any, client: redis.Redis, **options: Any) -> dict[str, Any]:
    """The one message that apply_async of a canvas sends."""
    server = client.connection_pool.connection_kwargs
    url = f"redis://{server['host']}:{server['port']}/{server['db']}"
    with Celery("golden", broker=url, backend="cache+memory://", set_as_current=False) as app:
        signature(json.loads(json.dumps(canvas)), app=app).apply_async(**options)
    (key,) = client.scan_iter(_type="list")
    (message,) = client.lrange(key, 0, -1)
    found: dict[str, Any] = json.loads(message)
    return found


def without_ids(value: Any) -> Any:
    """A body without what is made up for one start of it, and without options that say nothing."""
    if isinstance(value, list):
        return [without_ids(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    kept = {key: without_ids(inner) for key, inner in value.items()}
    if "subtask_type" in kept:
        kept["options"] = {k: v for k, v in kept["options"].items() if k not in MADE_UP and v is not None}
    return kept


@pytest.mark.parametrize("canvas", CHAINS.values(), ids=CHAINS.keys())
def test_a_chain_is_sent_as_celery_sends_it(canvas: Any, redis_client: redis.Redis) -> None:
    message = ours(entry_of(canvas))

    expected = theirs(canvas, redis_client)

    assert without_ids(readable(message)) == without_ids(readable(expected))
    assert message["properties"]["priority"] == expected["properties"]["priority"]
    for name in ("task", "shadow", "timelimit", "group", "retries"):
        assert message["headers"][name] == expected["headers"][name]


@pytest.mark.filterwarnings("ignore:task_allow_error_cb_on_chord_header")
def test_what_follows_a_chain_follows_its_last_step_and_any_that_fails(redis_client: redis.Redis) -> None:
    canvas = chain(s("a", 1), group(s("b"), s("c")), s("d"), s("e"))
    canvas.options.update(link=[s("done")], link_error=[s("failed")])

    assert without_ids(readable(ours(entry_of(canvas)))) == without_ids(readable(theirs(canvas, redis_client)))


def test_options_of_the_entry_are_those_of_the_first_task(redis_client: redis.Redis) -> None:
    canvas = chain(s("a", 1, priority=3, shadow="first"), s("b"))
    options = {"priority": 9, "headers": {"team": "growth"}}
    entry = entry_of(canvas, queue="mail", options=options)

    expected = theirs(canvas, redis_client, queue="mail", **options)

    message = ours(entry)
    assert (entry.task, messages_of(entry).queue_key) == ("app.a", "mail\x06\x169")
    assert without_ids(readable(message)) == without_ids(readable(expected))
    for name in ("team", "shadow"):
        assert message["headers"][name] == expected["headers"][name]
    assert message["properties"]["priority"] == expected["properties"]["priority"]


def ids_of(value: Any) -> list[str]:
    """All ids inside a body, in order."""
    if isinstance(value, list):
        return [found for inner in value for found in ids_of(inner)]
    if not isinstance(value, dict):
        return []
    own = [value["task_id"]] if "task_id" in value else []
    return own + [found for inner in value.values() for found in ids_of(inner)]


EVERYTHING = chain(
    group(s("a", 1), chain(s("b", link=[s("l")]), s("c"))), s("d"), chord([s("e"), s("f")], chain(s("g"), s("h")))
)


@pytest.mark.parametrize("canvas", [*CHAINS.values(), EVERYTHING, group(s("a"), s("b")), chord([s("a")], s("b"))])
def test_a_repeated_message_starts_tasks_of_the_same_ids(canvas: Any) -> None:
    entry, other = entry_of(canvas), str(uuid.uuid4())
    assert ours(entry) == ours(entry)

    found, of_another_slot = ids_of(readable(ours(entry))), ids_of(readable(ours(entry, other)))

    assert found
    assert not set(found) & set(of_another_slot)
    assert TASK_ID not in found
    for each in found:
        assert uuid.UUID(each).version == 5


def test_each_task_of_a_canvas_has_an_id_of_its_own() -> None:
    found = ids_of(readable(ours(entry_of(EVERYTHING))))

    # a chord and its header's group share one, as in Celery
    assert (len(found), len(set(found))) == (11, 10)


def test_ids_of_another_start_are_not_kept() -> None:
    stale = {"task_id": "x", "root_id": "x", "parent_id": "x", "group_id": "x", "chord": {"task": "x"}}
    canvas = chain(s("a", 1, **stale), s("b", **stale))

    assert "x" not in json.dumps(readable(ours(entry_of(canvas))))


def test_a_group_is_a_task_that_a_worker_expands() -> None:
    canvas = group(s("a", 1), group(s("b", 2), s("c", 3)), chain(s("d", 4), s("e")))
    canvas.options["queue"] = "wide"
    message = ours(entry_of(canvas, queue="mail"))

    assert message["headers"]["task"] == "celery.group"
    assert message["properties"]["delivery_info"]["routing_key"] == "mail"
    args, kwargs, embed = readable(message)
    assert (args, set(kwargs), set(embed.values())) == (
        [],
        {"tasks", "result", "group_id", "partial_args"},
        {None},
    )
    assert [task["task"] for task in kwargs["tasks"]] == ["app.a", "app.b", "app.c", "celery.chain"]
    assert [task["options"]["queue"] for task in kwargs["tasks"][:3]] == ["wide"] * 3
    assert kwargs["tasks"][3]["kwargs"]["tasks"][0]["options"]["queue"] == "wide"
    last = kwargs["tasks"][3]["kwargs"]["tasks"][-1]["options"]["task_id"]
    assert [child[0][0] for child in kwargs["result"][1]][3] == last


def test_what_comes_behind_a_chord_waits_for_its_body() -> None:
    _, kwargs, embed = readable(ours(entry_of(chain(group(s("a"), s("b")), s("c"), s("d")))))

    assert embed["chain"] is None
    assert [task["task"] for task in kwargs["header"]] == ["app.a", "app.b"]
    assert [task["task"] for task in kwargs["body"]["kwargs"]["tasks"]] == ["app.c", "app.d"]


def test_a_delay_of_a_chord_is_one_of_its_header() -> None:
    canvas = chord([s("a"), s("b")], s("c"))
    canvas.options["countdown"] = 5

    _, kwargs, _ = readable(ours(entry_of(canvas)))

    assert kwargs["header_delay"] == {"countdown": 5}
    assert "countdown" not in kwargs


def options_of_second(**options: Any) -> dict[str, Any]:
    """The options of a task that a worker sends."""
    canvas = {"subtask_type": "chain", "kwargs": {"tasks": [{"task": "a"}, {"task": "b", "options": options}]}}
    (step,) = readable(ours(entry_of(canvas)))[2]["chain"]
    return {name: value for name, value in step["options"].items() if name not in MADE_UP}


def test_durations_of_tasks_that_workers_send_are_seconds() -> None:
    given = {"expires": "1h", "countdown": "1m30s", "time_limit": "500ms", "soft_time_limit": 5, "queue": "q"}
    expected = {"expires": 3_600, "countdown": 90, "time_limit": 0.5, "soft_time_limit": 5, "queue": "q"}
    assert options_of_second(**given) == expected

    dates = {"expires": "2099-01-01T00:00:00+01:00", "eta": "2098-12-31T23:00:00Z"}
    assert options_of_second(**dates) == dates
    assert options_of_second(countdown=0, expires=None) == {"countdown": 0}


@pytest.mark.parametrize(
    "options, why",
    [
        ({"expires": "soon"}, "b: options.expires: 'soon' is not a duration"),
        (
            {"eta": "1h"},
            "b: options.eta: found '1h'; a date with an offset is accepted; a duration goes into countdown",
        ),
        ({"countdown": "2099-01-01T00:00Z"}, "b: options.countdown: found '2099-01-01T00:00Z'; a duration is accepted"),
        ({"time_limit": 0}, "b: options.time_limit: found 0; a duration above 0 is accepted"),
    ],
)
def test_times_that_a_worker_could_not_read_are_refused_when_they_are_written(
    options: dict[str, Any], why: str
) -> None:
    with pytest.raises(EntryInvalid) as refused:
        options_of_second(**options)

    assert refused.value.message.startswith(why)
