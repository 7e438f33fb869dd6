"""Files into entries: defaults, merges, variables, included files, several files."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from beatd.config.load import Loaded, load_files
from beatd.core.entry_set import EntrySet
from tests.config.conftest import Load


def definitions(loaded: Loaded) -> dict[str, dict[str, Any]]:
    """Every entry as stored; there must be no problem."""
    assert [problem.text() for problem in loaded.problems] == []
    return {entry.name: json.loads(entry.to_definition()) for file in loaded.files for entry in file.entries}


def told(loaded: Loaded) -> list[str]:
    return [f"{problem.place} {problem.code} {problem.message}" for problem in loaded.problems]


def test_an_entry_is_stored_with_all_that_was_said_of_it(load: Load) -> None:
    found = definitions(
        load("""
timezone: Europe/Paris
defaults: {queue: slow, grace: 5m, options: {priority: 3, expires: 1h}}
schedules:
  mail:
    task: app.mail
    cron: "0 9 * * mon-fri"
    options: {expires: 2h, headers: {team: growth}}
    args: [daily, 1, 1.5, true, null]
    kwargs: {dry_run: false}
    tags: [mail]
    description: Morning mail
""")
    )
    assert found == {
        "mail": {
            "task": "app.mail",
            "cron": "0 9 * * mon-fri",
            "timezone": "Europe/Paris",
            "queue": "slow",
            "grace": "5m",
            "options": {"priority": 3, "expires": "2h", "headers": {"team": "growth"}},
            "args": ["daily", 1, 1.5, True, None],
            "kwargs": {"dry_run": False},
            "tags": ["mail"],
            "description": "Morning mail",
            "owner": "file",
            "enabled": True,
            "catchup": "latest",
            "catchup_limit": 100,
            "guarantee": "at_least_once",
        }
    }


def test_a_merge_is_that_of_yaml_1_1(load: Load) -> None:
    """Own keys win wherever the merge stands, and of several merged mappings the first."""
    found = definitions(
        load("""
x-slow: &slow {queue: slow, grace: 1m, every: 10s}
x-late: &late {queue: late, deadline: 5m}
schedules:
  a: {task: t, grace: 2m, <<: *slow}
  b: {<<: [*slow, *late], task: t, every: 20s}
  c: &c {task: u, every: 30s}
  d: {<<: *c, queue: d}
""")
    )
    assert (found["a"]["queue"], found["a"]["grace"], found["a"]["every"]) == ("slow", "2m", "10s")
    assert (found["b"]["queue"], found["b"]["deadline"], found["b"]["every"]) == ("slow", "5m", "20s")
    assert (found["d"]["task"], found["d"]["queue"]) == ("u", "d")


def test_only_the_options_of_defaults_are_merged(load: Load) -> None:
    found = definitions(
        load("""
defaults: {kwargs: {a: 1}, tags: [x], options: {priority: 3, headers: {a: 1}}}
schedules:
  a: {task: t, every: 5s, kwargs: {b: 2}, tags: [y], options: {headers: {b: 2}}}
""")
    )["a"]
    assert (found["kwargs"], found["tags"]) == ({"b": 2}, ["y"])
    assert found["options"] == {"priority": 3, "headers": {"b": 2}}


def test_a_default_of_another_kind_of_schedule_is_not_taken(load: Load) -> None:
    found = definitions(
        load("""
defaults: {task: t, every: 10s, day: and, fast: false}
schedules:
  a: {}
  b: {cron: "0 9 * * *"}
  c: {at: 2099-01-01T00:00}
""")
    )
    assert (found["a"]["every"], "day" in found["a"]) == ("10s", False)
    assert (found["b"]["cron"], found["b"]["day"]) == ("0 9 * * *", "and")
    assert "every" not in found["b"]
    assert found["c"]["at"] == "2099-01-01T00:00:00"


@pytest.mark.parametrize(
    "defaults, entry, queue",
    [
        ("queue: d", "queue: e", "e"),
        ("queue: d", "options: {queue: e}", "e"),
        ("options: {queue: d}", "queue: e", "e"),
        ("options: {queue: d}", "queue: e, options: {priority: 3}", "e"),
        ("options: {queue: d}", "options: {priority: 3}", "d"),
        ("queue: d", "description: x", "d"),
    ],
)
def test_the_own_queue_of_an_entry_wins_wherever_it_is_written(
    load: Load, defaults: str, entry: str, queue: str
) -> None:
    text = f"defaults: {{{defaults}}}\nschedules:\n  a: {{task: t, every: 5s, {entry}}}\n"
    assert definitions(load(text))["a"]["queue"] == queue


SIGNATURE = "{subtask_type: chain, kwargs: {tasks: [{task: a, options: {queue: s}}, {task: b}]}}"


@pytest.mark.parametrize(
    "defaults, entry, queue",
    [
        ("queue: d", "queue: e", "e"),
        ("queue: d", "description: x", "s"),
        ("options: {queue: d}", "options: {priority: 3}", "s"),
        ("task: t, args: [1], kwargs: {a: 1}", "description: x", "s"),
    ],
)
def test_a_signature_takes_the_place_of_task_arguments_and_queue_of_the_defaults(
    load: Load, defaults: str, entry: str, queue: str
) -> None:
    text = f"defaults: {{{defaults}}}\nschedules:\n  x: {{signature: {SIGNATURE}, every: 5s, {entry}}}\n"

    found = definitions(load(text))["x"]

    assert (found["task"], found["queue"]) == ("a", queue)
    assert "args" not in found
    assert found["signature"]["subtask_type"] == "chain"


def test_a_task_takes_the_place_of_a_signature_of_the_defaults(load: Load) -> None:
    text = f"defaults: {{signature: {SIGNATURE}}}\nschedules:\n  x: {{every: 5s}}\n  y: {{task: t, every: 5s}}\n"

    found = definitions(load(text))

    assert (found["x"]["task"], found["y"]["task"]) == ("a", "t")
    assert "signature" not in found["y"]


def test_a_variable_is_filled_into_a_signature(load: Load) -> None:
    text = 'schedules:\n  x: {every: 5s, signature: {task: a, args: ["${BUCKET:-prod}", "{{ beatd.slot }}"]}}\n'

    assert definitions(load(text))["x"]["signature"]["args"] == ["prod", "{{ beatd.slot }}"]


def test_null_takes_a_default_back(load: Load) -> None:
    found = definitions(
        load("""
defaults: {deadline: 1h, max_runs: 5, options: {expires: 1h}}
schedules:
  a: {task: t, every: 5s, deadline: null, max_runs: ~, options: {expires: null}}
""")
    )["a"]
    assert "deadline" not in found
    assert "max_runs" not in found
    assert found.get("options", {}).get("expires") is None


def test_dates_without_an_offset_are_wall_time_of_the_entry(load: Load) -> None:
    """expires and eta have no zone in a message, so they are stored as instants; bounds keep zone and wall time."""
    found = definitions(
        load("""
timezone: Europe/Paris
schedules:
  summer: {task: t, every: 5s, options: {expires: 2099-07-01T12:00, eta: "2099-07-01 11:00:00+00:00"}}
  gap: {task: t, every: 5s, options: {eta: 2027-03-28T02:30}}
  fold: {task: t, every: 5s, options: {eta: 2027-10-31T02:30}, timezone: Europe/Berlin}
  bound: {task: t, every: 5s, start: 2027-03-28T02:30}
""")
    )
    assert found["summer"]["options"] == {"expires": "2099-07-01T10:00:00+00:00", "eta": "2099-07-01 11:00:00+00:00"}
    assert found["gap"]["options"] == {"eta": "2027-03-28T01:00:00+00:00"}
    assert found["fold"]["options"] == {"eta": "2027-10-31T00:30:00+00:00"}
    assert (found["bound"]["start"], found["bound"]["timezone"]) == ("2027-03-28T02:30:00", "Europe/Paris")


VARIABLES = [
    ("${V}", {"V": "text"}, "text"),
    ("${V}", {"V": "12"}, 12),
    ("${V}", {"V": "1.5"}, 1.5),
    ("${V}", {"V": "true"}, True),
    ("${V}", {"V": "null"}, None),
    ('"${V}"', {"V": "12"}, 12),
    ("a${V}", {"V": "12"}, "a12"),
    ("${V:-7}", {}, 7),
    ("${V:-7}", {"V": ""}, 7),
    ("${V:-}", {}, None),
    ("${V}", {"V": ""}, None),
    ("${V:?say it}", {"V": "x"}, "x"),
    ("$${V}", {}, "${V}"),
    ("a $${V} ${V}", {"V": "b"}, "a ${V} b"),
    ("$V", {"V": "b"}, "$V"),
    ("${V}", {"V": "${W}"}, "${W}"),
    ("'${V}: x'", {"V": "{a: 1}"}, "{a: 1}: x"),
    ("${V}", {"V": "[1, 2]"}, "[1, 2]"),
]


@pytest.mark.parametrize("text, env, value", VARIABLES)
def test_a_variable_is_filled_in(load: Load, text: str, env: dict[str, str], value: object) -> None:
    found = definitions(load(f"schedules:\n  a:\n    task: t\n    every: 5s\n    args:\n    - {text}\n", **env))
    assert found["a"]["args"] == [value]


def test_a_key_whose_variable_is_empty_is_not_given(load: Load) -> None:
    loaded = load("redis: ${URL:-}\nschedules:\n  a:\n    task: t\n    every: 5s\n    grace: ${GRACE:-}\n")
    assert definitions(loaded)["a"]["grace"] == "1m"
    assert "redis" not in loaded.files[0].settings


def test_a_text_stays_a_text_whatever_its_variable_holds(load: Load) -> None:
    found = definitions(load('schedules:\n  a: {task: "${T}", every: 5s, queue: "${Q}"}\n', T="123", Q="true"))
    assert (found["a"]["task"], found["a"]["queue"]) == ("123", "true")


def test_variables_are_no_keys_and_no_names(load: Load) -> None:
    found = definitions(load('schedules:\n  "${V}": {task: t, every: 5s, kwargs: {"${V}": 1}}\n'))
    assert found["${V}"]["kwargs"] == {"${V}": 1}


def test_what_is_not_used_needs_no_variable(load: Load) -> None:
    assert definitions(load("x-later: {task: '${NOT_SET}'}\nschedules: {}\n")) == {}


def test_included_files_are_sorted_and_relative_to_the_file_that_includes(load: Load) -> None:
    loaded = load(
        "include: [parts/*.yaml]\nschedules: {a: {task: t, every: 5s}}\n",
        files={
            "parts/2.yaml": "schedules: {two: {task: t, every: 5s}}",
            "parts/1.yaml": "include: [deep/x.yaml]\nschedules: {one: {task: t, every: 5s}}",
            "parts/deep/x.yaml": "schedules: {deep: {task: t, every: 5s}}",
            "parts/ignored.txt": "}",
        },
    )
    assert list(definitions(loaded)) == ["a", "one", "deep", "two"]
    assert [str(file.path) for file in loaded.files] == ["a.yaml", "parts/1.yaml", "parts/deep/x.yaml", "parts/2.yaml"]


def test_an_included_file_has_the_zone_and_the_defaults_of_the_other_unless_it_says_otherwise(load: Load) -> None:
    found = definitions(
        load(
            "timezone: Europe/Paris\ndefaults: {queue: q, grace: 5m}\ninclude: [b.yml, c.yml]\n",
            files={
                "b.yml": "schedules: {b: {task: t, every: 5s}}",
                "c.yml": "timezone: UTC\ndefaults: {queue: r}\nschedules: {c: {task: t, every: 5s}}",
            },
        )
    )
    assert (found["b"]["timezone"], found["b"]["queue"], found["b"]["grace"]) == ("Europe/Paris", "q", "5m")
    assert ("timezone" in found["c"], found["c"]["queue"], found["c"]["grace"]) == (False, "r", "5m")


def test_a_pattern_that_finds_nothing_is_no_error_and_a_name_is(load: Load) -> None:
    loaded = load("include: [none/*.yaml, none.yaml, 3, {}]\nschedules: {}\n")
    assert told(loaded) == [
        "a.yaml:1:24 E042 none.yaml is not there",
        "a.yaml:1:35 E042 include: the name of a file is accepted",
        "a.yaml:1:38 E042 include: the name of a file is accepted",
    ]


def test_a_loop_of_includes_is_refused(load: Load) -> None:
    loaded = load("include: [b.yml]\nschedules: {}\n", files={"b.yml": "include:\n- a.yaml\n"})
    assert told(loaded) == ["b.yml:2:3 E042 a.yaml includes itself, by way of this line"]


def test_a_file_is_read_once(load: Load) -> None:
    loaded = load("include: [b.yml, ./b.yml]\nschedules: {}\n", files={"b.yml": "schedules: {}"})
    assert told(loaded) == ["a.yaml:1:18 E042 b.yml is read twice"]


def test_an_entry_in_two_files_is_told_at_both_places(load: Load) -> None:
    loaded = load("schedules:\n  a: {task: t, every: 5s}\n", "schedules:\n\n  a: {task: t, every: 5s}\n")
    assert told(loaded) == ["b.yaml:3:3 E051 the entry 'a' stands at a.yaml:2:3 too"]


def test_a_pattern_finds_files_and_no_folders(load: Load) -> None:
    loaded = load("include: ['x*']\nschedules: {}\n", files={"x-folder/y": "", "x-file": "schedules: {}"})
    assert told(loaded) == []
    assert [str(file.path) for file in loaded.files] == ["a.yaml", "x-file"]


def test_a_file_that_is_not_there_is_told_without_a_line(load: Load) -> None:
    load("schedules: {}")
    found = load_files([Path("nowhere.yaml"), Path()], {})
    assert told(found) == [
        "nowhere.yaml E001 can't be read: No such file or directory",
        ". E001 can't be read: Is a directory",
    ]


def test_files_that_mean_the_same_have_the_same_hash(load: Load) -> None:
    def digest(text: str) -> str:
        return EntrySet.of(load(text).files[0].entries).hash

    one = digest("schedules:\n  a: {task: t, every: 60}\n  b: {task: t, every: 5s}\n")
    other = digest("# x\nschedules:\n  b: {every: 5s, task: t}\n  a: {task: t, every: 1m}\n")
    changed = digest("schedules:\n  a: {task: t, every: 61}\n  b: {task: t, every: 5s}\n")
    assert one == other != changed


def test_a_byte_order_mark_is_no_part_of_the_first_key(load: Load) -> None:
    assert list(definitions(load("\ufeffschedules: {a: {task: t, every: 5s}}"))) == ["a"]


def test_windows_line_ends_count_as_one(load: Load) -> None:
    loaded = load("schedules:\r\n  a: {task: t, every: 5s}\r\n  b: {tsk: t, every: 5s}\r\n")
    assert told(loaded) == ["a.yaml:3:7 E043 unknown key 'tsk'"]


def test_a_definition_larger_than_can_be_stored_is_refused(load: Load) -> None:
    loaded = load(f"schedules:\n  a: {{task: t, every: 5s, description: {'x' * 140_000}}}\n")
    assert [problem.code for problem in loaded.problems] == ["E052"]
    assert "131072" in loaded.problems[0].message


def test_a_shared_default_is_told_once(load: Load) -> None:
    loaded = load(
        "x-a: &a {grace: soon}\nschedules:\n  a: {<<: *a, task: t, every: 5s}\n  b: {<<: *a, task: t, every: 5s}\n"
    )
    assert [problem.place for problem in loaded.problems] == ["a.yaml:1:17"]


def test_settings_alone_are_read_whatever_the_entries_are(load: Load) -> None:
    loaded = load("namespace: n\nschedules: {a: 1}\n")
    assert told(loaded) != []
    alone = load_files([Path("a.yaml")], {}, entries=False)
    assert (told(alone), alone.files[0].settings["namespace"].value) == ([], "n")


def test_an_interval_may_be_spelled_as_in_go(load: Load) -> None:
    assert definitions(load('schedules: {a: {task: t, schedule: "@every 5m"}}'))["a"]["every"] == "5m"


REPOSITORY = Path(__file__).parents[2]
SHOWN = re.findall(r"```yaml\n(.*?)```", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("text", [text for text in SHOWN if "schedules:" in text])
def test_what_the_readme_shows_can_be_used(load: Load, text: str) -> None:
    assert definitions(load(text))


@pytest.mark.parametrize("name", ["schedules.yaml", "examples/celery_app/schedules.yaml"])
def test_the_files_of_this_repository_have_no_problem(name: str) -> None:
    loaded = load_files([REPOSITORY / name], {})
    assert definitions(loaded)
