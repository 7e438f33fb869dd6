"""Settings and entries as every command gets them: what wins, where secrets come from, what is refused and where."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from beatd.config.settings import Settings, load_settings
from beatd.errors import BeatdError

ENTRY = "schedules:\n  nightly: {task: app.run, cron: '0 2 * * *'}\n"


class Folder:
    """A folder of files, read with flags and variables of the test alone."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, name: str, text: str | bytes) -> Path:
        path = self.path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def load(
        self, *texts: str, flags: Mapping[str, str | None] | None = None, env: Mapping[str, str] | None = None
    ) -> Settings:
        paths = [self.write(f"{name}.yaml", text) for name, text in zip("abc", texts, strict=False)]
        return load_settings(paths, flags or {}, env or {})

    def refusal(self, *texts: str, env: Mapping[str, str] | None = None) -> str:
        with pytest.raises(BeatdError) as caught:
            self.load(*texts, env=env)
        assert caught.value.exit_code == 3
        return caught.value.message


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_without_a_word_the_defaults_of_the_contract_hold(folder: Folder) -> None:
    found = folder.load()
    assert (found.redis, found.namespace, found.lease_ttl, found.entries) == (None, "default", 6.0, [])


FILE = "redis: redis://file\nnamespace: file\nlease: {ttl: 5s}\n"
ENV = {"BEATD_REDIS_URL": "redis://env", "BEATD_NAMESPACE": "env", "BEATD_LEASE_TTL": "4s"}
FLAGS = {"redis": "redis://flag", "namespace": "flag", "lease_ttl": "3s"}


def test_a_flag_wins_over_a_variable_a_variable_over_a_file_a_file_over_the_default(folder: Folder) -> None:
    def won(settings: Settings) -> tuple[str | None, str, float]:
        return settings.redis, settings.namespace, settings.lease_ttl

    assert won(folder.load(FILE)) == ("redis://file", "file", 5.0)
    assert won(folder.load(FILE, env=ENV)) == ("redis://env", "env", 4.0)
    assert won(folder.load(FILE, env=ENV, flags=FLAGS)) == ("redis://flag", "flag", 3.0)
    assert won(folder.load(FILE, env=ENV, flags=dict.fromkeys(FLAGS))) == ("redis://env", "env", 4.0)


@pytest.mark.parametrize("line", ["redis: ${REDIS_URL:-}", 'redis: "${REDIS_URL:-}"', ""])
def test_an_empty_address_means_not_configured(folder: Folder, line: str) -> None:
    assert folder.load(line + "\n" + ENTRY).redis is None
    assert folder.load(line + "\n" + ENTRY, env={"REDIS_URL": "", "BEATD_REDIS_URL": ""}).redis is None


def test_a_secret_comes_from_a_file_without_the_line_end(folder: Folder) -> None:
    secret = folder.write("secret", "redis://:CANARY@host/0\n")
    assert folder.load(FILE, env={"BEATD_REDIS_URL_FILE": str(secret)}).redis == "redis://:CANARY@host/0"


def test_a_secret_file_that_is_missing_is_named(folder: Folder) -> None:
    message = folder.refusal(env={"BEATD_REDIS_URL_FILE": "/nowhere/secret"})
    assert "BEATD_REDIS_URL_FILE" in message
    assert "/nowhere/secret" in message


@pytest.mark.parametrize("ttl", ["999ms", "6", "soon", "-1s"])
def test_a_lease_of_another_length_is_refused(folder: Folder, ttl: str) -> None:
    assert "lease.ttl" in folder.refusal(f"lease: {{ttl: '{ttl}'}}")


def test_two_files_bring_their_entries_together(folder: Folder) -> None:
    found = folder.load(ENTRY, ENTRY.replace("nightly", "weekly"))
    assert [entry.name for entry in found.entries] == ["nightly", "weekly"]
    assert found.folder == folder.path


def test_one_entry_in_two_files_is_refused_with_both(folder: Folder) -> None:
    message = folder.refusal(ENTRY, ENTRY)
    assert "'nightly'" in message
    assert "a.yaml" in message
    assert "b.yaml" in message


def test_two_values_of_one_setting_are_refused_with_both_files_and_without_the_secrets(folder: Folder) -> None:
    message = folder.refusal("redis: redis://:CANARY@a", "redis: redis://:CANARY@b")
    assert "redis" in message
    assert "a.yaml" in message
    assert "b.yaml" in message
    assert "CANARY" not in message
    assert folder.load("namespace: same", "namespace: same").namespace == "same"


def test_entries_have_the_defaults_and_the_zone_of_their_file(folder: Folder) -> None:
    (entry,) = folder.load(
        "timezone: Europe/Paris\n"
        "defaults: {queue: batch, tags: [all], options: {priority: 3, time_limit: 9}}\n"
        "schedules: {a: {task: app.run, cron: '0 2 * * *', tags: [own], options: {priority: 6}}}\n"
    ).entries
    assert (entry.queue, entry.tags, entry.owner) == ("batch", ("own",), "file")
    assert entry.options == {"priority": 6, "time_limit": 9}
    assert entry.schedule.timezone == "Europe/Paris"


def test_entries_may_be_merged_from_a_block_of_their_own(folder: Folder) -> None:
    text = "x-slow: &slow {queue: slow, task: app.run}\nschedules: {a: {<<: *slow, task: app.own, every: 1h}}\n"
    (entry,) = folder.load(text).entries
    assert (entry.queue, entry.task) == ("slow", "app.own")


def test_variables_fill_texts_at_any_depth_and_a_whole_one_takes_its_type(folder: Folder) -> None:
    (entry,) = folder.load(
        "schedules:\n  a:\n    task: ${APP}.run\n    every: 1m\n"
        "    args: ['${N}', 'n${N}', '${NO:-7}', '${EMPTY:-text}', '$${N}', ['${N}']]\n"
        "    kwargs: {flag: '${ON}', '${N}': 1}\n",
        env={"APP": "app", "N": "5", "ON": "true", "EMPTY": ""},
    ).entries
    assert entry.task == "app.run"
    assert entry.args == (5, "n5", 7, "text", "${N}", [5])
    assert entry.kwargs == {"flag": True, "${N}": 1}


@pytest.mark.parametrize("hole, told", [("${GONE}", "GONE"), ("${GONE:?say which app}", "say which app")])
def test_a_variable_that_is_not_set_is_refused_with_the_file_and_its_name(folder: Folder, hole: str, told: str) -> None:
    message = folder.refusal(f"schedules: {{a: {{task: '{hole}', every: 1m}}}}")
    assert "a.yaml" in message
    assert "GONE" in message
    assert told in message


REFUSED = [
    ("sheduless: {}", "sheduless"),
    ("schedules: {a: {task: app.run, evry: 1m}}", "evry"),
    ("schedules: {a: {task: app.run}}", "a"),
    ("schedules: {a: {every: 1m}}", "task"),
    ("schedules: {a: {task: app.run, every: 0s}}", "every"),
    ("schedules: {a: {task: app.run, every: 1m, cron: '* * * * *'}}", "every"),
    ("schedules: {a: {task: app.run, cron: '61 * * * *'}}", "cron"),
    ("schedules: {a: {task: app.run, every: 1m, timezone: Mars/Phobos}}", "Mars/Phobos"),
    ("schedules: {a: {task: app.run, every: 1m, grace: '5'}}", "grace"),
    ("schedules: {a: {task: app.run, every: 1m, catchup: some}}", "catchup"),
    ("schedules: {a: {task: app.run, every: 1m, queue: a, options: {queue: b}}}", "queue"),
    ("schedules: {a: [task]}", "a"),
    ("schedules: [a]", "schedules"),
    ("defaults: [a]\n" + ENTRY, "defaults"),
    ("- a", "mapping"),
    ("schedules:\n  a: {task: t, every: 1m}\n  a: {task: t, every: 1m}", "3"),
    ("schedules: {a: {task: t, every: 1m, task: u}}", "task"),
    ("a: [", "a.yaml"),
    ("x: \x01", "a.yaml"),
]


@pytest.mark.parametrize("text, told", REFUSED)
def test_what_cannot_be_meant_is_refused_with_the_file_and_the_key(folder: Folder, text: str, told: str) -> None:
    message = folder.refusal(text)
    assert "a.yaml" in message
    assert told in message


def test_a_key_that_is_nearly_right_comes_with_the_right_one(folder: Folder) -> None:
    assert "schedules" in folder.refusal("shedules: {}")


def test_all_entries_that_are_wrong_are_told_at_once(folder: Folder) -> None:
    message = folder.refusal("schedules: {a: {task: app.run, every: 0s}, b: {every: 1m}, c: {task: t, every: 1m}}")
    assert "every" in message
    assert "task" in message


def test_a_file_that_cannot_be_read_is_named(folder: Folder) -> None:
    with pytest.raises(BeatdError, match=r"gone\.yaml"):
        load_settings([folder.path / "gone.yaml"], {}, {})
    with pytest.raises(BeatdError, match=folder.path.name):
        load_settings([folder.path], {}, {})
