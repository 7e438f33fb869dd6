"""`beatd pause`, `resume`, `reset`: what they say, what `ls` shows, and what they refuse."""

import json
import socket
from collections.abc import Callable
from typing import Any

import pytest

from beatd.client import entries as edits
from beatd.client.blocking import Client
from beatd.core.instant import instant_text
from beatd.store.entries import Row, user_name
from beatd.store.keys import Keys
from tests.support.servers import RedisServer

Beatd = Callable[..., Any]
HOUR = 3_600_000
KEYS = Keys("default")


@pytest.fixture
def entries(at_redis: Beatd) -> None:
    """An entry in Paris and one in Tokyo."""
    for name, zone in (("paris", "Europe/Paris"), ("tokyo", "Asia/Tokyo")):
        assert at_redis("set", name, "--task", "t", "--cron", "0 9 * * *", "--tz", zone).code == 0


def row(server: RedisServer, name: str) -> Row:
    with Client(server.url, "default") as client:
        return client.run(edits.get(client.keys, name))


def now(server: RedisServer) -> int:
    with Client(server.url, "default") as client:
        return client.now_ms()


def shown(at_redis: Beatd, name: str) -> Any:
    return next(found for found in at_redis("ls", "-o", "json").json if found["name"] == name)


@pytest.mark.usefixtures("entries")
def test_a_paused_entry_is_shown_with_who_and_why(at_redis: Beatd) -> None:
    done = at_redis("pause", "paris", "--note", "database moves")
    assert (done.code, done.out, done.err) == (0, "", "paris: paused\n")
    who = f"{user_name()}@{socket.gethostname()}"
    found = shown(at_redis, "paris")
    assert (found["state"], found["next"]) == ("paused", None)
    assert (found["paused"].pop("at")[-1], found["paused"]) == ("Z", {"who": who, "note": "database moves"})
    assert f"paused by {who}: database moves" in at_redis("ls").out
    assert shown(at_redis, "tokyo")["paused"] is None


@pytest.mark.usefixtures("entries")
def test_several_entries_are_paused_in_one_step_or_none_of_them(at_redis: Beatd, clean_redis: RedisServer) -> None:
    done = at_redis("pause", "paris", "no", "tokyo")
    assert (done.code, done.err.splitlines()[0]) == (
        4,
        "beatd: there is no entry 'no'; nothing was written: the other 2 are left as before",
    )
    assert row(clean_redis, "paris").out == {}
    assert at_redis("pause", "paris", "tokyo", "paris").err == "paris: paused\ntokyo: paused\n"


@pytest.mark.usefixtures("entries")
@pytest.mark.parametrize(
    "until, text", [("2099-12-01T09:00:00Z", "2099-12-01T09:00:00Z"), ("2099-12-01T09:00", "2099-12-01T08:00:00Z")]
)
def test_a_pause_may_end_by_itself(at_redis: Beatd, clean_redis: RedisServer, until: str, text: str) -> None:
    assert at_redis("pause", "paris", "--until", until).err == f"paris: paused until {text}\n"
    found = shown(at_redis, "paris")
    assert (found["state"], found["paused"]["until"]) == ("paused", text)
    assert f"paused until {text} by " in at_redis("ls").out
    ends = int(row(clean_redis, "paris").hold["until"])
    assert [row(clean_redis, "paris").state_at(ends + ms) for ms in (-1, 0)] == ["paused", "scheduled"]


@pytest.mark.usefixtures("entries")
def test_a_pause_may_last_for_a_while_from_now(at_redis: Beatd, clean_redis: RedisServer) -> None:
    before = now(clean_redis)
    assert at_redis("pause", "paris", "tokyo", "--until", "2h").code == 0
    assert before + 2 * HOUR <= int(row(clean_redis, "tokyo").hold["until"]) <= now(clean_redis) + 2 * HOUR


@pytest.mark.usefixtures("entries")
@pytest.mark.parametrize(
    "until, says",
    [
        ("2020-01-01T00:00Z", "--until: 2020-01-01T00:00:00Z is past: the clock of Redis shows 20"),
        ("soon", "--until: found 'soon'; accepted is"),
        ("2099-12-01T09:00", "--until: wall time of which zone, Asia/Tokyo or Europe/Paris? Write an offset or Z"),
    ],
)
def test_an_end_that_is_none_is_refused_and_nothing_is_written(
    at_redis: Beatd, clean_redis: RedisServer, until: str, says: str
) -> None:
    done = at_redis("pause", "paris", "tokyo", "--until", until)
    assert done.code == 2
    assert says in done.err
    assert (row(clean_redis, "paris").out, row(clean_redis, "paris").hold) == ({}, {})


@pytest.mark.usefixtures("entries")
def test_a_resumed_entry_goes_on(at_redis: Beatd, clean_redis: RedisServer) -> None:
    at_redis("pause", "paris")
    at_redis("pause", "tokyo", "--until", "2h")
    assert at_redis("resume", "paris", "tokyo").err == "paris: resumed\ntokyo: resumed\n"
    assert [row(clean_redis, name).state_at(now(clean_redis)) for name in ("paris", "tokyo")] == ["scheduled"] * 2
    assert shown(at_redis, "paris")["paused"] is None


@pytest.mark.usefixtures("entries")
def test_resume_catches_up_only_when_asked(at_redis: Beatd, clean_redis: RedisServer) -> None:
    planned = -row(clean_redis, "paris").moment  # type: ignore[operator]
    for words, same in (((), False), (("--catchup",), True)):
        with clean_redis.client() as client:
            client.zadd(KEYS.key("due"), {"paris": -planned})
        at_redis("pause", "paris")
        at_redis("resume", "paris", *words)
        assert (row(clean_redis, "paris").moment == -planned) is same


@pytest.mark.usefixtures("entries")
def test_resume_says_what_it_did_not_change(at_redis: Beatd) -> None:
    at_redis("pause", "paris")
    at_redis("set", "paris", "--disabled")
    done = at_redis("resume", "paris", "tokyo")
    assert (done.code, done.err) == (0, "paris: resumed; it is disabled\ntokyo: was not paused\n")
    assert at_redis("resume", "no").code == 4


@pytest.mark.usefixtures("entries")
def test_an_edit_of_a_paused_entry_notes_that_it_does_not_run(at_redis: Beatd) -> None:
    at_redis("pause", "paris", "--until", "2h")
    assert "note: 'paris' is paused" in at_redis("set", "paris", "--cron", "0 10 * * *").err
    assert "note: 'paris' is paused" in at_redis("next", "paris").err


def test_reset_gives_all_runs_anew(at_redis: Beatd, clean_redis: RedisServer) -> None:
    at_redis("set", "a", "--task", "t", "--every", "1h", "--max-runs", "3")
    with clean_redis.client() as client:
        client.hset(KEYS.key("left"), "a", 0)
        client.zrem(KEYS.key("due"), "a")
        client.hset(KEYS.key("out"), "a", json.dumps({"finished": {"at": "5"}, "owed": "-5"}))
    assert shown(at_redis, "a")["state"] == "finished"
    assert at_redis("reset", "a").err == "a: 3 runs left\n"
    assert shown(at_redis, "a")["state"] == "scheduled"
    with Client(clean_redis.url, "default") as client:
        assert client.runs_left("a") == 3


@pytest.mark.usefixtures("entries")
def test_reset_refuses_what_counts_no_runs(at_redis: Beatd) -> None:
    done = at_redis("reset", "paris")
    assert (done.code, done.err.splitlines()[0]) == (5, "beatd: 'paris' has no max_runs: its runs are not counted")
    assert at_redis("reset", "no").code == 4


@pytest.mark.parametrize(
    "out, hold, shows",
    [
        ('{"paused":null,"owed":"1"}', None, "paused"),
        ('{"paused":{"who":7,"note":[],"at":{}},"owed":"1"}', None, "paused by 7"),
        (None, '{"until":"99999999999999","who":null}', f"paused until {instant_text(99_999_999_999_999)}"),
        (None, '{"until":"999999999999999"}', "paused until 999999999999999 ms"),
        (None, '{"until":[],"who":{}}', "scheduled"),
        (None, "[]", "scheduled"),
    ],
)
def test_what_another_client_has_put_there_is_shown_too(
    at_redis: Beatd, clean_redis: RedisServer, out: str | None, hold: str | None, shows: str
) -> None:
    at_redis("set", "a", "--task", "t", "--every", "1h")
    with clean_redis.client() as client:
        if out is not None:
            client.hset(KEYS.key("out"), "a", out)
        if hold is not None:
            client.hset(KEYS.key("hold"), "a", hold)
    assert at_redis("ls").out.rstrip().endswith(f"  {shows}")


@pytest.mark.usefixtures("entries")
@pytest.mark.parametrize("words", [("pause",), ("pause", "--until", "09:00"), ("resume",)])
def test_one_unknown_name_leaves_the_others_alone_and_says_so(at_redis: Beatd, words: tuple[str, ...]) -> None:
    assert at_redis("pause", "paris").code == 0
    command, *more = words
    done = at_redis(command, "nobody", "paris", *more)
    assert (done.code, done.err.splitlines()[0]) == (
        4,
        "beatd: there is no entry 'nobody'; nothing was written: the other one is left as before",
    )
    assert shown(at_redis, "paris")["state"] == "paused"
    assert at_redis(command, "nobody", *more).err.startswith("beatd: there is no entry 'nobody'\n")
