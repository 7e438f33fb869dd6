"""Files of entries for `beatd apply`: every form, every problem at its place, and export read back to the byte."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatd.config import problems
from beatd.config.entry_files import EntryFiles, read_entry_files
from beatd.config.yaml_tree import DEEPEST
from beatd.core.entry import LARGEST_DEFINITION, LONGEST_NAME, entry_from_spec
from beatd.errors import EntryInvalid
from tests.config.conftest import NOW_MS

OWNER = "apply:default"
FILLED = {"catchup": "latest", "catchup_limit": 100, "grace": "1m", "guarantee": "at_least_once", "enabled": True}
MAIL = {"task": "app.mail", "cron": "0 9 * * *"}
STORED_MAIL = {**MAIL, **FILLED, "queue": "celery", "owner": OWNER}

Read = Callable[..., EntryFiles]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Writes files by name and reads them, or those that ``only`` names; keywords are variables."""
    monkeypatch.chdir(tmp_path)

    def run(files: dict[str, str | bytes], only: list[str] | None = None, **env: str) -> EntryFiles:
        for name, content in files.items():
            Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_entry_files([Path(name) for name in only or files], env, owner=OWNER, now_ms=NOW_MS)

    return run


def specs(files: EntryFiles) -> dict[str, Any]:
    """What would be stored; there must be no problem."""
    assert [problem.text() for problem in files.problems] == []
    return {name: json.loads(definition) for name, definition in files.definitions.items()}


def told(files: EntryFiles) -> list[str]:
    return [f"{problem.place} {problem.code} {problem.message}" for problem in files.problems]


def lines(*entries: object) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


# Forms.


def test_yaml_is_read_as_the_file_of_a_daemon(read: Read) -> None:
    files = read(
        {
            "a.yaml": """
timezone: Europe/Paris
defaults: {queue: slow}
include: [more.yaml]
schedules:
  mail: {task: app.mail, cron: "0 9 * * *", kwargs: {region: "${REGION}", literal: "$${REGION}"}}
""",
            "more.yaml": 'schedules: {sync: {task: app.sync, cron: "5 * * * *", queue: fast}}\n',
        },
        only=["a.yaml"],
        REGION="eu",
    )
    assert specs(files) == {
        "mail": {
            **STORED_MAIL,
            "queue": "slow",
            "timezone": "Europe/Paris",
            "kwargs": {"region": "eu", "literal": "${REGION}"},
        },
        "sync": {
            **STORED_MAIL,
            "task": "app.sync",
            "cron": "5 * * * *",
            "queue": "fast",
            "timezone": "Europe/Paris",
        },
    }
    assert (files.place("mail"), files.place("sync")) == ("a.yaml:6", "more.yaml:1")


def test_json_with_the_key_schedules_is_the_same_tree(read: Read) -> None:
    tree = {
        "timezone": "Europe/Paris",
        "defaults": {"queue": "slow"},
        "schedules": {"mail": {**MAIL, "args": ["${REGION}"]}},
    }
    files = read({"a.json": json.dumps(tree, indent=2)}, REGION="eu")
    assert specs(files) == {"mail": {**STORED_MAIL, "queue": "slow", "timezone": "Europe/Paris", "args": ["eu"]}}
    assert files.place("mail") == "a.json:7"


NAMED: dict[str, Any] = {"name": "mail", **MAIL, "args": ["${REGION}", 1, 1.5, True, None, {"a": []}]}
KEPT = {"mail": {**STORED_MAIL, "args": NAMED["args"]}}


@pytest.mark.parametrize(
    "file, text, line",
    [
        pytest.param("a.json", json.dumps([NAMED], indent=2), 3, id="a list"),
        pytest.param("a.json", json.dumps({"mail": {**MAIL, "args": NAMED["args"]}}), 1, id="an object by names"),
        pytest.param("a.json", json.dumps(NAMED, indent=2), 2, id="one entry"),
        pytest.param("a.ndjson", "\n" + lines(NAMED), 2, id="an entry a line"),
        pytest.param("a.jsonl", lines(NAMED), 1, id="its other ending"),
        pytest.param("entries", lines(NAMED), 1, id="lines without an ending"),
        pytest.param("entries", json.dumps([NAMED]), 1, id="a list without an ending"),
        pytest.param("entries", json.dumps(NAMED, indent=2), 2, id="one entry without an ending"),
        pytest.param("entries", json.dumps({"schedules": {"mail": MAIL}}), 1, id="a tree without an ending"),
        pytest.param("entries", 'schedules:\n  mail: {task: app.mail, cron: "0 9 * * *"}', 2, id="yaml without one"),
    ],
)
def test_a_file_is_read_by_its_ending_or_by_what_is_in_it(read: Read, file: str, text: str, line: int) -> None:
    files = read({file: text})
    assert specs(files) == (KEPT if "REGION" in text else {"mail": STORED_MAIL})
    assert files.place("mail") == f"{file}:{line}"


def test_a_minus_is_standard_input(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines(NAMED, {"name": "b"}).encode())))
    files = read({}, only=["-"])
    assert json.loads(files.definitions["mail"]) == KEPT["mail"]
    assert files.place("mail") == "<stdin>:1"
    assert told(files) == [
        "<stdin>:2:10 E052 b: task is missing",
        "<stdin>:2:10 E052 b: a schedule is missing; one of cron, every, at, rrule is accepted",
    ]


@pytest.mark.parametrize("file", ["a.json", "a.ndjson"])
def test_nothing_of_data_is_a_variable(read: Read, file: str) -> None:
    entry = {"name": "${HOME}", **MAIL, "queue": "${Q:-x}", "kwargs": {"${K}": "$${a} ${b"}, "description": "${"}
    found = specs(read({file: json.dumps(entry)}, HOME="h"))["${HOME}"]
    assert (found["queue"], found["kwargs"], found["description"]) == ("${Q:-x}", {"${K}": "$${a} ${b"}, "${")


def test_data_knows_no_zone_but_utc(read: Read) -> None:
    options = {"eta": "2026-12-01T09:00", "expires": "2h"}
    found = specs(read({"a.ndjson": lines({"name": "a", "task": "t", "at": "2026-12-01T08:00", "options": options})}))
    assert "timezone" not in found["a"]
    assert found["a"]["options"] == {"eta": "2026-12-01T09:00:00+00:00", "expires": "2h"}


@pytest.mark.parametrize("file", ["a.ndjson", "a.json", "a.yaml"])
def test_a_wall_time_among_options_is_that_of_the_zone_of_the_entry(read: Read, file: str) -> None:
    entry = {"task": "t", "at": "2026-12-01T08:00", "timezone": "Europe/Paris", "options": {"eta": "2026-12-01T09:00"}}
    text = json.dumps({"schedules": {"a": entry}} if file == "a.yaml" else {"name": "a", **entry})
    found = specs(read({file: text}))["a"]
    assert (found["at"][:16], found["options"]["eta"]) == ("2026-12-01T08:00", "2026-12-01T08:00:00+00:00")


@pytest.mark.parametrize("name", ["nightly report", "eu/paris/mail", "Zürich 日本", "x" * LONGEST_NAME, "a.b:c|d"])
def test_a_name_may_have_spaces_slashes_and_any_script(read: Read, name: str) -> None:
    tree = json.dumps({"schedules": {name: MAIL}}, ensure_ascii=False)
    for form in ({"a.ndjson": lines({"name": name, **MAIL})}, {"a.json": json.dumps({name: MAIL})}, {"a.yaml": tree}):
        assert list(specs(read(form))) == [name]


def test_the_mark_of_utf_8_and_windows_line_ends_are_no_part_of_the_text(read: Read) -> None:
    text = lines(NAMED, {"name": "b", **MAIL}).replace("\n", "\r\n")
    files = read({"a.ndjson": b"\xef\xbb\xbf" + text.encode()})
    assert list(specs(files)) == ["mail", "b"]
    assert files.place("b") == "a.ndjson:2"
    text = json.dumps([NAMED], indent=1).replace("\n", "\r\n")
    assert specs(read({"a.json": b"\xef\xbb\xbf" + text.encode()})) == KEPT


def test_empty_lines_separate_nothing(read: Read) -> None:
    files = read({"a.ndjson": "\n  \n" + lines(NAMED) + "\n\t\r\n" + lines({"name": "b", **MAIL}).rstrip()})
    assert list(specs(files)) == ["mail", "b"]
    assert files.place("b") == "a.ndjson:6"


def test_a_line_ends_where_json_says_and_not_where_yaml_does(read: Read) -> None:
    odd = json.dumps({"name": "a", **MAIL, "description": "one\u2028two\x85three"}, ensure_ascii=False)
    files = read({"a.ndjson": f"{odd}\n{json.dumps({'name': 'b', **MAIL})}\n{{}}\n"})
    assert files.place("b") == "a.ndjson:2"
    assert told(files) == ["a.ndjson:3:1 E050 name is missing"]


def test_settings_of_a_file_are_told_and_do_nothing(read: Read) -> None:
    files = read({"a.yaml": f"redis: redis://other\nlease: {{ttl: 9s}}\nschedules: {{mail: {json.dumps(MAIL)}}}\n"})
    assert [(said.name, said.place) for said in files.settings] == [
        ("redis", "a.yaml:1:8"),
        ("lease.ttl", "a.yaml:2:14"),
    ]


def test_no_entries_at_all_can_be_meant(read: Read) -> None:
    assert specs(read({"a.yaml": "schedules: {}\n", "b.json": "[]"})) == {}


# Problems.


def test_an_entry_that_stands_twice_is_told_with_both_places(read: Read) -> None:
    one = {"name": "a", **MAIL}
    files = read(
        {
            "a.ndjson": lines(one, one),
            "b.json": json.dumps([one, one], indent=2),
            "c.yaml": f"schedules:\n  a: {json.dumps(MAIL)}\n",
        }
    )
    found = [text.replace(" the entry 'a' stands at", "") for text in told(files)]
    assert found == [
        "a.ndjson:2:1 E051 a.ndjson:1:1 too",
        "b.json:3:13 E051 a.ndjson:1:1 too",
        "b.json:8:13 E051 b.json:3:13 too",
        "c.yaml:2:3 E051 a.ndjson:1:1 too",
    ]
    assert list(files.definitions) == ["a"]
    assert len(files.errors) == 4


def test_all_problems_of_all_files_are_told_at_once_and_sound_entries_read(read: Read) -> None:
    files = read(
        {
            "a.ndjson": lines({"name": "ok", **MAIL}, {"name": "b", "task": "t"}) + "nonsense\n" + lines([1]),
            "b.json": '{"c": {"task": "t", "cron": "61 * * * *"}}',
            "gone.yaml": b"",
        },
        only=["a.ndjson", "b.json", "nowhere.json"],
    )
    assert [text.split(" ")[:2] for text in told(files)] == [
        ["a.ndjson:2:10", "E052"],
        ["a.ndjson:3:1", "E012"],
        ["a.ndjson:4:1", "E052"],
        ["b.json:1:29", "E054"],
        ["nowhere.json", "E001"],
    ]
    assert list(files.definitions) == ["ok"]


def test_an_empty_set_of_lines_is_told_how_it_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.ndjson"
    path.write_text("")
    [problem] = read_entry_files([path], {}, owner="api", now_ms=0).problems
    assert "apply a file with [] (JSON)" in (problem.hint or "")
    path = tmp_path / "rows.json"
    path.write_text("[]")
    assert not read_entry_files([path], {}, owner="api", now_ms=0).errors


BROKEN = [
    ("empty", "", ":1:1 E006 the file is empty"),
    ("blank", " \n\n", ":1:1 E006 the file is empty"),
    ("cut off", '{"name": "a", "task": ', ":1:23 E012 not JSON: expecting value"),
    ("no comma", '{"name": "a" "task": "t"}', ":1:14 E012 not JSON: expecting ',' delimiter"),
    ("NaN", '{"name": "a", "task": "t", "every": "5m", "args": [NaN]}', ":1:52 E012 not JSON: found NaN"),
    ("-Infinity", '{"name": "a", "args": [1, -Infinity]}', ":1:27 E012 not JSON: found -Infinity"),
    ("1e999", '{"name": "a", "task": "t", "every": "5m", "args": [1e999]}', ":1:52 E053 args[0]: found inf; "),
    ("a raw control character", '{"name": "a\tb"}', ":1:12 E012 not JSON: invalid control character at"),
    ("too deep", '{"name": "a", "args": ' + "[" * DEEPEST + "]" * DEEPEST + "}", f":1:{22 + DEEPEST} E010 more"),
    ("far too deep", "[" * 100_000, ":1:1 E010 more than 120 levels deep"),
    ("a key twice", '{"name": "a", "task": "t", "every": "5m", "task": "u"}', ":1:43 E026 the key 'task' stands on"),
    ("deep below a key twice", '{"name": "a", "task": "t", "every": "5m", "kwargs": {"k": 1, "k": 1}}', ":1:62 E026 "),
    ("no object", '["a"]', ":1:"),
    ("no name", '{"task": "t", "every": "5m"}', ":1:"),
    ("a name that is a number", '{"name": 5, "task": "t", "every": "5m"}', ":1:10 E050 name: a text is accepted"),
    ("an empty name", '{"name": "", "task": "t", "every": "5m"}', ":1:10 E050 an entry's name has"),
    (
        "a long name",
        json.dumps({"name": "x" * 300, **MAIL}),
        ":1:10 E050 an entry's name has 1 to 200",
    ),
    ("a blank before", json.dumps({"name": " a", **MAIL}), ":1:10 E050 ' a': a name is printable and has no blank"),
    ("a control character", json.dumps({"name": "a\x07", **MAIL}), ":1:10 E050 'a\\x07': a name is printable"),
    ("half a pair", json.dumps({"name": "a\ud800", **MAIL}), ":1:10 E050 'a\\ud800': a name is printable"),
    ("de", json.dumps({"name": "Zu\u0308rich", **MAIL}), ":1:10 E050 'Zu\u0308rich' is not in Unicode's "),
    ("null", '{"name": "a", "task": "t", "every": "5m", "queue": null}', ":1:52 E028 queue has no value"),
    ("a wrong type", '{"name": "a", "task": "t", "every": "5m", "args": {}}', ":1:51 E053 args: found an object"),
    ("a wrong option", '{"name": "a", "task": "t", "every": "5m", "options": {"priority": 10}}', ":1:67 E056 "),
    ("Celery's seconds as relative", '{"name": "a", "task": "t", "every": "5m", "relative": true}', ":1:43 E055 "),
    ("no zone of that name", '{"name": "a", "task": "t", "every": "5m", "timezone": "Mars"}', ":1:55 E054 "),
    ("a time of day", '{"name": "a", "task": "t", "at": "09:00"}', ":1:34 E037 "),
]


@pytest.mark.parametrize("ending", ["ndjson", "json"])
@pytest.mark.parametrize("text, expected", [pytest.param(*case[1:], id=case[0]) for case in BROKEN])
def test_what_is_wrong_is_told_with_file_line_and_column(read: Read, ending: str, text: str, expected: str) -> None:
    files = read({f"a.{ending}": text})
    assert len(told(files)) == len(files.errors) == 1, told(files)
    assert told(files)[0].startswith(f"a.{ending}{expected}")


def test_two_values_in_a_json_file_are_probably_lines(read: Read) -> None:
    (problem,) = read({"a.json": lines([NAMED], [NAMED])}).problems
    assert (problem.place, problem.code, problem.message) == ("a.json:2:1", "E012", "not JSON: extra data")
    assert ".ndjson" in str(problem.hint)


@pytest.mark.parametrize("file", ["a.ndjson", "a.json", "a.yaml"])
def test_a_definition_over_the_limit_is_refused(read: Read, file: str) -> None:
    for over, accepted in ((0, True), (1, False)):
        entry = {**MAIL, "description": "x"}
        size = len(entry_from_spec("a", {**entry, "owner": OWNER}).to_definition())
        entry["description"] = "x" * (LARGEST_DEFINITION - size + 1 + over)
        text = json.dumps({"schedules": {"a": entry}} if file == "a.yaml" else {"name": "a", **entry})
        found = told(read({file: text}))
        assert (found == []) is accepted
        assert accepted or f"{LARGEST_DEFINITION + 1} bytes; at most {LARGEST_DEFINITION} are accepted" in found[0]


def test_celerys_spellings_are_read_in_every_form(read: Read) -> None:
    spelled = {"task": "t", "schedule": {"crontab": {"minute": "0", "hour": 9}}}
    for form in (
        {"a.ndjson": lines({"name": "a", **spelled})},
        {"a.json": json.dumps({"a": spelled})},
        {"a.yaml": json.dumps({"schedules": {"a": spelled}})},
    ):
        found = specs(read(form))["a"]
        assert (found["cron"], found["day"]) == ("0 9 * * *", "and")


def test_of_more_problems_than_anybody_reads_the_rest_is_not_looked_for(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(problems, "MOST_KEPT", 20)
    wrong = [{"name": f"e{number}", "task": "t", "every": "5m", "grace": "soon"} for number in range(70)]
    files = read({"a.ndjson": lines(*wrong, {"name": "sound", **MAIL})})
    assert [problem.line for problem in files.errors] == list(range(1, 21))
    assert list(files.definitions) == ["sound"]


# Keys that no entry has.


@pytest.mark.parametrize("file", ["a.ndjson", "a.json", "a.yaml"])
def test_an_unknown_key_is_an_error_with_the_nearest_name(read: Read, file: str) -> None:
    entry = {**MAIL, "gracee": "5m"}
    text = json.dumps({"schedules": {"a": entry}} if file == "a.yaml" else {"name": "a", **entry})
    (problem,) = read({file: text}).errors
    assert (problem.line, problem.column, problem.code) == (1, text.index('"gracee"') + 1, "E043")
    assert (problem.message, problem.hint) == ("unknown key 'gracee'", "did you mean grace?")


def test_a_misspelt_key_is_all_that_is_told_of_what_it_would_have_been(read: Read) -> None:
    files = read({"a.ndjson": lines({"name": "a", "task": "t", "crn": "0 9 * * *"})})
    assert told(files) == ["a.ndjson:1:28 E043 unknown key 'crn'"]
    assert files.unknown == {}


@pytest.mark.parametrize("file", ["a.ndjson", "a.json", "a.yaml"])
def test_whose_an_entry_is_stands_in_no_file(read: Read, file: str) -> None:
    entry = {**MAIL, "owner": OWNER}
    text = json.dumps({"schedules": {"a": entry}} if file == "a.yaml" else {"name": "a", **entry})
    files = read({file: text})
    (problem,) = files.errors_beside({"a": json.dumps(entry)})
    assert (problem.code, problem.message) == ("E043", "unknown key 'owner'")
    assert "--owner" in str(problem.hint)


COLOUR = {"r": 1, "g": [0.5, None]}
NEWER = {**MAIL, "colour": COLOUR, "shade": True}


@pytest.mark.parametrize("file", ["a.ndjson", "a.json", "a.yaml"])
def test_what_another_version_stored_comes_back_as_it_went_out(read: Read, file: str) -> None:
    text = json.dumps({"schedules": {"a": NEWER}} if file == "a.yaml" else {"name": "a", **NEWER})
    files = read({file: text})
    assert [problem.message for problem in files.errors] == ["unknown key 'colour'", "unknown key 'shade'"]
    assert files.errors_beside({"a": json.dumps({**NEWER, "task": "other"})}) == []
    assert json.loads(files.definitions["a"]) == {**STORED_MAIL, **NEWER}


@pytest.mark.parametrize(
    "stored, left",
    [
        pytest.param({}, ["colour", "shade"], id="not stored"),
        pytest.param({"a": json.dumps(MAIL)}, ["colour", "shade"], id="without them"),
        pytest.param({"a": json.dumps({**NEWER, "shade": 1})}, ["shade"], id="1 is not true"),
        pytest.param({"a": json.dumps({**NEWER, "colour": {**COLOUR, "r": 1.0}})}, ["colour"], id="1.0 is not 1"),
        pytest.param({"b": json.dumps(NEWER)}, ["colour", "shade"], id="another entry has them"),
        pytest.param({"a": "no JSON"}, ["colour", "shade"], id="spoilt"),
        pytest.param({"a": json.dumps(MAIL)[:-1] + ', "colour": NaN}'}, ["colour", "shade"], id="not a number"),
    ],
)
def test_an_unknown_key_that_is_not_stored_stays_an_error(read: Read, stored: dict[str, str], left: list[str]) -> None:
    files = read({"a.ndjson": lines({"name": "a", **NEWER})})
    assert [problem.message for problem in files.errors_beside(stored)] == [f"unknown key {key!r}" for key in left]


def test_an_unknown_key_beside_a_real_problem_excuses_nothing(read: Read) -> None:
    files = read({"a.ndjson": lines({"name": "a", **NEWER, "grace": "soon"}, {"name": "b", **NEWER})})
    codes = [
        (problem.line, problem.code)
        for problem in files.errors_beside({"a": json.dumps(NEWER), "b": json.dumps(NEWER)})
    ]
    assert codes == [(1, "E043"), (1, "E043"), (1, "E053")]


def test_an_unknown_key_of_the_defaults_is_always_an_error(read: Read) -> None:
    files = read({"a.yaml": json.dumps({"defaults": {"shade": True}, "schedules": {"a": MAIL}})})
    assert [problem.message for problem in files.errors_beside({"a": json.dumps(NEWER)})] == ["unknown key 'shade'"]


def test_a_key_that_entries_share_by_reference_is_excused_for_all_of_them_or_not(read: Read) -> None:
    text = f"x-all: &all {json.dumps(NEWER)}\nschedules:\n  a: *all\n  b: {{<<: *all, queue: other}}\n"
    files = read({"a.yaml": text})
    assert len(files.errors) == 2
    assert files.errors_beside({"a": json.dumps(NEWER), "b": json.dumps(NEWER)}) == []
    assert len(files.errors_beside({"a": json.dumps(NEWER)})) == 2


# Round trips.

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=8,
)
_SCHEDULE = st.one_of(
    st.builds(lambda n: {"every": f"{n}s"}, st.integers(1, 10**6)),
    st.builds(lambda m, h: {"cron": f"{m} {h} * * mon-fri", "day": "and"}, st.integers(0, 59), st.integers(0, 23)),
    st.builds(lambda h: {"cron": "H H * * *", "hash_id": h}, st.text("ab\u00e9", min_size=1)),
    st.builds(lambda n: {"at": f"2027-03-{n:02}T02:30"}, st.integers(1, 31)),
    st.builds(lambda a: {"every": "1d", "anchor": f"2026-01-{a:02}T00:00:00.5Z"}, st.integers(1, 31)),
    st.builds(lambda n: {"rrule": "FREQ=MONTHLY;BYDAY=-1FR;BYHOUR=8", "start": f"2026-01-{n:02}"}, st.integers(10, 31)),
)
_OPTIONS = [{"priority": 3, "expires": "2h"}, {"eta": "2026-12-01T09:00:00+00:00"}, {"headers": {"a": "${b}"}}]
_SPECS = st.fixed_dictionaries(
    {"task": st.sampled_from(["app.mail", "t", "日本.x"])},
    optional={
        "args": st.lists(_JSON, max_size=3),
        "kwargs": st.dictionaries(_TEXT, _JSON, max_size=3),
        "description": _TEXT,
        "tags": st.lists(st.sampled_from(["a", "b c", "é"]), max_size=2),
        "queue": st.sampled_from(["fast", "${Q}"]),
        "timezone": st.sampled_from(["UTC", "Europe/Paris", "America/New_York"]),
        "options": st.sampled_from(_OPTIONS),
        "enabled": st.booleans(),
        "catchup": st.sampled_from(["none", "latest", "all"]),
        "catchup_limit": st.integers(1, 1_000),
        "grace": st.integers(0, 10**6),
        "deadline": st.sampled_from([1.5, "2h", None]),
        "jitter": st.sampled_from(["30s", 0]),
        "max_runs": st.sampled_from([1, 2**53, None]),
        "guarantee": st.sampled_from(["at_least_once", "at_most_once"]),
        "newer": _JSON,
    },
)


def stored_as(name: str, spec: dict[str, Any]) -> str | None:
    known = {key: value for key, value in spec.items() if key != "newer"}
    extra = {key: value for key, value in spec.items() if key == "newer"}
    try:
        definition = json.loads(entry_from_spec(name, {**known, "owner": OWNER}).to_definition())
    except EntryInvalid:
        return None
    return json.dumps({**definition, **extra}, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


@given(st.lists(st.tuples(_SPECS, _SCHEDULE), min_size=1, max_size=5), st.sampled_from(["ndjson", "list", "by name"]))
def test_an_export_reads_back_to_the_very_same_definitions(
    tmp_path_factory: pytest.TempPathFactory, found: list[tuple[dict[str, Any], dict[str, Any]]], form: str
) -> None:
    all_of_them = {
        f"entry {n}": stored_as(f"entry {n}", {**spec, **schedule}) for n, (spec, schedule) in enumerate(found)
    }
    stored = {name: definition for name, definition in all_of_them.items() if definition is not None}
    exported = {name: json.loads(definition) for name, definition in stored.items()}
    for definition in exported.values():
        del definition["owner"]
    listed = [{"name": name, **definition} for name, definition in exported.items()]
    text = {"ndjson": lines(*listed), "list": json.dumps(listed), "by name": json.dumps(exported)}[form]
    path = tmp_path_factory.mktemp("export") / ("a.ndjson" if form == "ndjson" else "a.json")
    path.write_text(text)
    files = read_entry_files([path], {"Q": "other", "b": "other"}, owner=OWNER, now_ms=NOW_MS)
    if stored:
        assert [problem.text() for problem in files.errors_beside(stored)] == []
    assert files.definitions == stored
