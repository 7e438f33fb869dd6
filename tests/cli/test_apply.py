"""`beatd diff`, `apply`, `export` as they are typed."""

import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from beatd.client import entries
from beatd.client.blocking import Client
from beatd.core.edit import put_item
from beatd.core.entry import entry_from_definition
from tests.support.servers import RedisServer
from tests.support.store import Store

NAMES = ("with a blank", "a/b//c", "über-größe-日本語", "${HOME}", "12:30", "no", "x" * 200, 'quo"te', "🙂")


@pytest.fixture
def client(clean_redis: RedisServer) -> Any:
    with Client(clean_redis.url) as client:
        yield client


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., str]:
    def write(text: str, name: str = "entries.yaml") -> str:
        (tmp_path / name).write_text(text)
        return name

    return write


def ndjson(*entries: dict[str, Any]) -> str:
    return "".join(f"{json.dumps(each)}\n" for each in entries)


def entry(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "task": "app.work", "cron": "0 9 * * *", **fields}


def stored(client: Client) -> dict[str, Any]:
    return {state.name: state.definition for state in client.iterate()}


A = "schedules:\n  a: {task: app.a, cron: 0 1 * * *}\n"
AB = A + "  b: {task: app.b, cron: 0 9 * * *}\n"


def test_what_is_applied_is_stored_under_its_owner_and_a_repeat_does_nothing(
    at_redis: Any, client: Client, file: Any, clean_redis: RedisServer
) -> None:
    done = at_redis("apply", file(AB), "--owner", "team", "--note", "hello")
    assert (done.code, done.err) == (0, "2 added, 0 unchanged\n")
    assert {state.owner for state in client.iterate()} == {"apply:team"}
    who = json.loads(Store(clean_redis).rows("log")[-1]["who"])
    assert (who["client"], who["note"]) == ("beatd apply", "hello")
    before = client.get("a").revision
    again = at_redis("apply", "entries.yaml", "--owner", "apply:team")
    assert (again.code, again.out, again.err) == (0, "", "2 unchanged\n")
    assert client.get("a").revision == before


def test_a_difference_is_told_by_field_and_ends_with_1(at_redis: Any, client: Client, file: Any) -> None:
    at_redis("apply", file(AB))
    done = at_redis(
        "diff",
        "--prune",
        file("schedules:\n  a: {task: app.a, cron: 0 2 * * *, tags: [x]}\n  c: {task: t, cron: 0 1 * * *}\n"),
    )
    assert done.code == 1
    assert done.lines[:3] == ["~ a", '    ~ cron: "0 1 * * *" -> "0 2 * * *"', '    + tags: ["x"]']
    assert "+ c" in done.lines
    assert done.lines[-1] == "- b"
    assert done.err == "1 added, 1 changed, 1 removed, 0 unchanged\n"
    assert set(stored(client)) == {"a", "b"}
    assert at_redis("diff", file(AB)).code == 0
    found = at_redis("diff", file(A.replace("0 1", "0 3")), "-o", "json").json
    assert found["changes"][0]["fields"] == [{"field": "cron", "old": "0 1 * * *", "new": "0 3 * * *"}]
    assert (found["changes"][0]["op"], found["unchanged"], found["applied"]) == ("change", 0, False)


def test_a_dry_run_writes_nothing(at_redis: Any, client: Client, file: Any) -> None:
    done = at_redis("apply", file(AB), "--dry-run", "--prune")
    assert (done.code, done.err) == (0, "would be: 2 added, 0 unchanged\n")
    assert stored(client) == {}


def test_prune_takes_only_what_its_owner_has(at_redis: Any, client: Client, file: Any) -> None:
    client.set("by-api", task="t", every="1h")
    at_redis("apply", file("schedules:\n  o: {task: t, cron: 0 1 * * *}\n"), "--owner", "other")
    at_redis("apply", file(AB))
    assert at_redis("apply", file(A), "--prune", "--yes").code == 0
    assert set(stored(client)) == {"a", "by-api", "o"}
    assert at_redis("apply", file("schedules: {}\n"), "--prune", "--yes").code == 0
    assert set(stored(client)) == {"by-api", "o"}


def test_prune_asks_and_nobody_can_answer(at_redis: Any, client: Client, file: Any) -> None:
    assert at_redis("apply", file(AB)).code == 0
    done = at_redis("apply", "--prune", file("schedules: {c: {task: t, every: 5s}}"))
    assert done.code == 2
    assert "would remove 2 of apply:default" in done.err
    assert "--yes" in done.err
    assert set(stored(client)) == {"a", "b"}


def test_prune_needs_no_answer_where_there_is_nothing_to_remove(at_redis: Any, client: Client, file: Any) -> None:
    assert at_redis("apply", "--prune", file(AB)).code == 0
    assert set(stored(client)) == {"a", "b"}


def test_entries_that_stay_with_other_owners_are_counted_beyond_the_named(
    at_redis: Any, client: Client, file: Any
) -> None:
    entries = "".join(f"  {name}: {{task: t, every: 5s}}\n" for name in "abcde")
    assert at_redis("apply", file(f"schedules:\n{entries}"), "--owner", "first").code == 0
    done = at_redis("apply", "entries.yaml", "--owner", "second")
    assert "note: 5 are as wanted, and stay with other owners: a (apply:first), b (apply:first), c (apply:first)" in (
        done.err
    )
    assert "c (apply:first) and 2 more" in done.err


@pytest.mark.process
@pytest.mark.parametrize("answer, code, left", [("y", 0, {"a"}), ("n", 1, {"a", "b"})])
def test_prune_asks_on_a_terminal(
    at_redis: Any,
    client: Client,
    clean_redis: RedisServer,
    file: Any,
    tmp_path: Path,
    answer: str,
    code: int,
    left: set[str],
) -> None:
    at_redis("apply", file(AB))
    file(A)
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "dumb"}
    words = [sys.executable, "-m", "beatd", "apply", "--prune", "entries.yaml", "--redis", clean_redis.url]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(words, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, cwd=tmp_path, env=env)
    os.close(theirs)
    shown = b""
    while not shown.endswith(b"[y/N]: "):
        shown += os.read(ours, 65_536)
    assert shown == b"Remove 1 of apply:default? [y/N]: "
    os.write(ours, f"{answer}\n".encode())
    assert process.communicate(timeout=30)[0] == b"- b\n"
    os.close(ours)
    assert process.returncode == code
    assert set(stored(client)) == left


def test_names_of_others_are_refused_before_anything_is_written(at_redis: Any, client: Client, file: Any) -> None:
    client.set("b", task="t", every="1h")
    done = at_redis("apply", file(AB), "-o", "json")
    assert done.code == 5
    first, last = done.err.splitlines()
    assert first == "note: entries.yaml:3: b belongs to api"
    assert json.loads(last)["error"] == "owner"
    assert set(stored(client)) == {"b"}
    shown = at_redis("diff", "entries.yaml")
    assert shown.code == 1
    assert "entries.yaml:3: b belongs to api: apply refuses it" in shown.err
    assert at_redis("apply", "entries.yaml", "--take-over").code == 0
    assert client.get("b").owner == "apply:default"
    assert at_redis("apply", "entries.yaml", "--owner", "x").code == 0, "all is as it is wanted"
    assert client.get("b").owner == "apply:default"
    assert at_redis("apply", "entries.yaml", "--owner", "x", "--take-over").code == 0
    assert client.get("b").owner == "apply:x"


def test_what_a_file_of_the_daemon_owns_is_never_taken_over(at_redis: Any, client: Client, file: Any) -> None:
    item = put_item(entry_from_definition("a", '{"task":"t","every":"1h","owner":"file"}'), "n", file_hash="h")
    client.run(entries.put(client.keys, [item], "{}"))
    done = at_redis("apply", file(AB), "--take-over")
    assert done.code == 5
    assert "change them in the file" in done.err
    assert set(stored(client)) == {"a"}


@pytest.mark.parametrize("form", ["yaml", "json", "ndjson"])
def test_what_was_exported_is_no_difference_whatever_is_in_it(
    at_redis: Any, client: Client, file: Any, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home")
    texts = ["${HOME}", "$${x}", "0o10", "1e3", "12:30", "no", "~", "a: b # c", "\u2028\x85\x7f\ufeff", "🙂\n\t", ""]
    for name in NAMES:
        client.set(
            name, task="app.work", every="1h", args=[texts, 1, 1.0, True, None, {"${k}": "${v}"}], kwargs={"x": {}}
        )
    client.set("c", task="t", cron="H 3 * * *", timezone="Europe/Paris", start="2030-01-01T00:00", deadline="5m")
    client.set("r", task="t", rrule="FREQ=DAILY;COUNT=3", start="2030-01-01T00:00", description="é", tags=["x y"])
    client.set(
        "at", task="t", at="2031-01-01T00:00Z", options={"priority": 3, "headers": {"h": 1}}, max_runs=3, jitter="5s"
    )
    tasks = [{"task": "a", "args": ["${HOME}", "{{ beatd.slot }}"]}, {"task": "b", "immutable": True}]
    signature = {"subtask_type": "chain", "kwargs": {"tasks": tasks}}
    client.set("canvas", signature=signature, every="1h", options={"stamped_headers": ["team"], "team": {"a": 1}})
    before = stored(client)
    exported = at_redis("export", "-o", form)
    assert (exported.code, exported.err) == (0, "")
    assert "owner" not in exported.out
    name = file(exported.out, f"exported.{form}")
    assert at_redis("diff", name).out == ""
    done = at_redis("apply", name)
    assert done.code == 0
    assert done.err.splitlines()[-1] == f"{len(before)} unchanged"
    assert stored(client) == before
    for each in list(before):
        client.remove(each)
    at_redis("apply", name)
    assert stored(client) == {each: {**spec, "owner": "apply:default"} for each, spec in before.items()}
    assert at_redis("export", "-o", form).out == exported.out


@pytest.mark.parametrize("form, none", [("yaml", "schedules: {}\n"), ("json", "[]\n"), ("ndjson", "")])
def test_an_export_of_nothing_says_so(at_redis: Any, form: str, none: str) -> None:
    assert at_redis("export", "-o", form).out == none


@pytest.mark.parametrize("form", ["yaml", "json", "ndjson"])
def test_fields_that_only_another_version_knows_go_out_and_come_back(
    form: str, at_redis: Any, client: Client, file: Any
) -> None:
    client.set("a", task="app.a", cron="0 1 * * *")
    keys = client.keys
    newer = {**client.get("a").definition, "later": {"deep": [1.5, None]}}
    client.link.request(("HSET", keys.key("def"), "a", json.dumps(newer)))
    exported = at_redis("export", "-o", form)
    assert "unknown to this version" in exported.err
    name = file(exported.out, f"exported.{form}")
    assert at_redis("diff", name).code == 0
    changed = file(exported.out.replace("app.a", "app.b"), f"changed.{form}")
    assert at_redis("apply", changed, "--take-over").code == 0
    assert stored(client)["a"] == {**newer, "task": "app.b", "owner": "apply:default"}
    other = file(exported.out.replace("1.5", "1.6"), f"other.{form}")
    done = at_redis("apply", other)
    assert done.code == 3
    assert "later" in done.err


def test_an_export_of_some(at_redis: Any, client: Client, file: Any) -> None:
    at_redis("apply", file(AB), "--owner", "team")
    client.set("mail", task="t", every="1h")
    for words, names in ((("--owner", "apply:*"), ["a", "b"]), (("m*", "a"), ["a", "mail"])):
        assert [json.loads(line)["name"] for line in at_redis("export", "-o", "ndjson", *words).lines] == names
    done = at_redis("export", "nobody", "a")
    assert done.code == 4
    assert "nobody" in done.err


def test_fields_of_another_version_are_kept(at_redis: Any, client: Client, file: Any, clean_redis: RedisServer) -> None:
    at_redis("apply", file(A))
    spec = {**client.get("a").definition, "newer": {"x": [1]}}
    Store(clean_redis).do("HSET", client.keys.key("def"), "a", json.dumps(spec))
    done = at_redis("export", "-o", "ndjson")
    assert json.loads(done.out)["newer"] == {"x": [1]}
    assert "1 have fields unknown to this version" in done.err
    assert at_redis("diff", "entries.yaml").code == 0
    at_redis("apply", file(A.replace("0 1", "0 2")))
    assert client.get("a").definition == {**spec, "cron": "0 2 * * *"}


def test_what_cannot_be_read_is_left_out_of_an_export_and_told(
    at_redis: Any, client: Client, file: Any, clean_redis: RedisServer
) -> None:
    at_redis("apply", file(AB))
    Store(clean_redis).do("HSET", client.keys.key("def"), "a", "[1]")
    done = at_redis("export", "-o", "json")
    assert (done.code, [each["name"] for each in done.json]) == (1, ["b"])
    assert "a is left out" in done.err
    assert at_redis("apply", "entries.yaml").code == 5, "nobody knows whose it is"
    assert at_redis("apply", "entries.yaml", "--take-over").code == 0
    assert client.get("a").owner == "apply:default"


def test_lines_come_on_standard_input(at_redis: Any, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ndjson(entry("a"), entry("b", kwargs={"x": "${HOME}"}))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines.encode())))
    assert at_redis("apply", "-").code == 0
    assert stored(client)["b"]["kwargs"] == {"x": "${HOME}"}
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ndjson(entry("a")).encode())))
    assert at_redis("apply", "-", "--prune").code == 2
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(ndjson(entry("a")).encode())))
    assert at_redis("apply", "-", "--prune", "--yes").code == 0
    assert set(stored(client)) == {"a"}


@pytest.mark.parametrize(
    "line, what",
    [
        (json.dumps(entry("a", colour="red")), "unknown key"),
        (json.dumps(entry("x" * 300)), "1 to 200 characters; found 300"),
        (json.dumps(entry(" a")), "no blank at either end"),
        (json.dumps(entry("a", kwargs={"x": "y" * 200_000})), "store the data elsewhere"),
        ('["a"]', "an object"),
        ("{", "E0"),
        (json.dumps(entry("fine")), "stands at bad.ndjson:1:1 too"),
        (json.dumps({"name": "a", "task": "t", "every": "soon"}), "every"),
    ],
)
def test_bad_lines_are_told_with_their_place_and_nothing_is_written(
    at_redis: Any, client: Client, file: Any, line: str, what: str
) -> None:
    name = file(f"{json.dumps(entry('fine'))}\n{line}\n", "bad.ndjson")
    for verb in ("apply", "diff"):
        done = at_redis(verb, name)
        assert done.code == 3
        assert f"{name}:2:" in done.err
        assert what in done.err
    assert stored(client) == {}


def test_a_time_without_a_zone_is_wall_time_of_the_entry(at_redis: Any, client: Client, file: Any) -> None:
    lines = ndjson({"name": "a", "task": "t", "at": "2031-01-01T09:00", "timezone": "Asia/Tokyo"})
    assert at_redis("apply", file(lines, "x.ndjson")).code == 0
    found = client.get("a").next
    assert found is not None
    assert found.isoformat() == "2031-01-01T00:00:00+00:00"


def test_settings_of_a_daemon_do_not_count(at_redis: Any, file: Any) -> None:
    done = at_redis("apply", file("redis: redis://nowhere.invalid:1/0\n" + A, "other.yaml"))
    assert done.code == 0
    assert "other.yaml:1" in done.err
    assert "does not count here" in done.err


def test_a_label_is_a_plain_word(at_redis: Any, file: Any) -> None:
    done = at_redis("apply", file(A), "--owner", "a b")
    assert done.code == 3
    assert "A-Z a-z 0-9" in done.err
