"""Settings: which place wins, what is accepted, what is masked."""

from pathlib import Path
from typing import Any

import pytest

from beatd.config.find import find_files
from beatd.config.load import load_files
from beatd.config.problems import ConfigProblems
from beatd.config.settings import (
    SETTINGS,
    Address,
    Origin,
    Settings,
    check_settings,
    decide,
    load_settings,
    mask_secret,
    size_text,
)
from beatd.core.broker import Broker
from beatd.core.zone import use_zone_data, zone_data


def written(tmp_path: Path, *texts: str) -> list[Path]:
    paths = [tmp_path / f"{chr(ord('a') + number)}.yaml" for number in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


def told(tmp_path: Path, *texts: str, flags: dict[str, str | None] | None = None, **env: str) -> list[str]:
    problems = check_settings(written(tmp_path, *texts), flags or {}, env)[1]
    return [
        f"{problem.place.removeprefix(str(tmp_path) + '/')} {problem.code} {problem.message}" for problem in problems
    ]


def test_without_anything_there_are_defaults() -> None:
    settings = load_settings([], {}, {})
    found = {setting.name: getattr(settings, setting.name) for setting in SETTINGS}
    assert found == {
        "redis": None,
        "broker": None,
        "namespace": "default",
        "lease_ttl": 6.0,
        "http": Address("127.0.0.1", 9464),
        "log_level": "info",
        "log_format": "auto",
        "history_fires": 64_000_000,
        "history_skips": 16_000_000,
        "tz": None,
        "tzpath": None,
    }
    assert set(settings.origins.values()) == {Origin("default", None)}
    assert settings.entries == []


def test_a_flag_wins_over_a_variable_over_a_file_over_the_default(tmp_path: Path) -> None:
    paths = written(tmp_path, "lease: {ttl: 9s}\nnamespace: file\nhttp: off\n")

    def ttl(flags: dict[str, str | None], env: dict[str, str], paths: list[Path]) -> tuple[float, Origin]:
        settings = load_settings(paths, flags, env)
        return settings.lease_ttl, settings.origins["lease_ttl"]

    env = {"BEATD_LEASE_TTL": "8s"}
    flag: dict[str, str | None] = {"lease_ttl": "7s"}
    assert ttl(flag, env, paths) == (7.0, Origin("flag", "--lease-ttl"))
    assert ttl({"lease_ttl": None}, env, paths) == (8.0, Origin("env", "BEATD_LEASE_TTL"))
    assert ttl({}, {"BEATD_LEASE_TTL": ""}, paths) == (9.0, Origin("file", f"{paths[0]}:1:14"))
    assert ttl({}, {}, []) == (6.0, Origin("default", None))


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("redis://:pw@host/1\n")
    settings = load_settings([], {}, {"BEATD_REDIS_URL_FILE": str(secret)})
    assert settings.redis == "redis://:pw@host/1"
    assert settings.origins["redis"] == Origin("env", f"BEATD_REDIS_URL_FILE={secret}", str(secret))


def test_a_secret_given_twice_or_from_nowhere_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_text("redis://host")
    assert told(tmp_path, BEATD_REDIS_URL_FILE=str(secret), BEATD_REDIS_URL="redis://other") == [
        "BEATD_REDIS_URL_FILE E045 BEATD_REDIS_URL is set too"
    ]
    assert told(tmp_path, BEATD_BROKER_URL_FILE="/nowhere") == [
        "BEATD_BROKER_URL_FILE E044 /nowhere can't be read: No such file or directory"
    ]


@pytest.mark.parametrize("content, told_of", [
    (b"", "is empty; the URL is expected in it"),
    (b" \n\n", "is empty; the URL is expected in it"),
    (b"\xef\xbb\xbf", "is empty; the URL is expected in it"),
    (b"redis://a\nredis://b\n", "has 2 lines; the URL alone is accepted"),
    ("redis://h".encode("utf-16"), "begins with the mark of UTF-16; UTF-8 is accepted"),
    (b"redis://\xff", "the byte 0xff is no UTF-8"),
])  # fmt: skip
def test_what_is_wrong_with_the_file_of_a_secret_is_said_without_the_secret(
    tmp_path: Path, content: bytes, told_of: str
) -> None:
    secret = tmp_path / "url"
    secret.write_bytes(content)
    assert told(tmp_path, BEATD_REDIS_URL_FILE=str(secret)) == [f"BEATD_REDIS_URL_FILE E044 {secret} {told_of}"]


def test_the_mark_that_some_editors_put_before_utf_8_is_no_part_of_the_secret(tmp_path: Path) -> None:
    secret = tmp_path / "url"
    secret.write_bytes(b"\xef\xbb\xbfredis://:pw@host/1\r\n")
    assert load_settings([], {}, {"BEATD_REDIS_URL_FILE": str(secret)}).redis == "redis://:pw@host/1"


def test_two_files_may_say_the_same_and_not_otherwise(tmp_path: Path) -> None:
    assert told(tmp_path, "namespace: n\nlease: {ttl: 2s}", "namespace: n\nlog: {level: debug}") == []
    found = told(tmp_path, "namespace: n\n", "schedules: {}\nnamespace: m\n")
    assert found == [f"b.yaml:2:12 E045 namespace is set otherwise at {tmp_path}/a.yaml:1:12"]


def test_zones_and_defaults_belong_to_a_file_and_may_differ(tmp_path: Path) -> None:
    assert told(tmp_path, "timezone: Europe/Paris\ndefaults: {queue: a}", "timezone: UTC\ndefaults: {queue: b}") == []


VALUES: list[tuple[str, str, Any]] = [
    ("redis", "redis://h", "redis://h"),
    ("redis", "rediss://u:p@h:1/2", "rediss://u:p@h:1/2"),
    ("redis", "unix:///x", "unix:///x"),
    ("broker", "redis", None),
    ("broker", "amqp://h", Broker(("amqp://h",))),
    ("broker", "amqp://h; amqp://i", Broker(("amqp://h", "amqp://i"))),
    ("namespace", "a.b_c-1", "a.b_c-1"),
    ("lease_ttl", "1500ms", 1.5),
    ("http", "off", None),
    ("http", "9000", Address("127.0.0.1", 9000)),
    ("http", ":9000", Address("127.0.0.1", 9000)),
    ("http", "0.0.0.0:80", Address("0.0.0.0", 80)),
    ("http", "127.0.0.1:0", Address("127.0.0.1", 0)),
    ("http", "[::1]:80", Address("::1", 80)),
    ("log_level", "debug", "debug"),
    ("log_format", "json", "json"),
]


@pytest.mark.parametrize("name, text, value", VALUES)
def test_a_value_is_read(name: str, text: str, value: object) -> None:
    assert getattr(load_settings([], {name: text}, {}), name) == value


@pytest.mark.parametrize(
    "name, text",
    [
        ("redis", "host:6379"),
        ("redis", "http://h"),
        ("broker", "rabbit"),
        ("namespace", ""),
        ("namespace", "a b"),
        ("namespace", "x" * 65),
        ("lease_ttl", "6"),
        ("lease_ttl", "999ms"),
        ("http", "host"),
        ("http", "h:65536"),
        ("http", "::1:80"),
        ("log_level", "loud"),
        ("log_format", "xml"),
    ],
)
def test_a_value_is_refused_naming_the_flag_or_the_variable(tmp_path: Path, name: str, text: str) -> None:
    setting = next(setting for setting in SETTINGS if setting.name == name)
    flagged = check_settings([], {name: text}, {})[1]
    assert [(problem.file, problem.code) for problem in flagged] == [(setting.flag, "E044")]
    if text:
        from_env = check_settings([], {}, {str(setting.variable): text})[1]
        assert [(problem.file, problem.code) for problem in from_env] == [(setting.variable, "E044")]


@pytest.mark.parametrize("address", ["localhost:6379", "10.0.0.5:6379/0", "[::1]:6379", "user:secret@host:6379"])
def test_an_address_that_lacks_its_scheme_is_shown_what_to_write_before_it(tmp_path: Path, address: str) -> None:
    files = written(tmp_path, "redis: ${REDIS_URL}")
    (problem,) = check_settings(files, {}, {"REDIS_URL": address})[1]
    assert problem.hint == "write redis:// before it"
    assert "secret" not in problem.text()


@pytest.mark.parametrize("address", ["http://host:80", "nonsense", "host:port", "two words:6379"])
def test_of_another_text_nobody_knows_what_it_lacks(address: str) -> None:
    (problem,) = check_settings([], {"redis": address}, {})[1]
    assert problem.hint is None


def test_a_wrong_value_is_told_also_where_another_place_wins(tmp_path: Path) -> None:
    assert told(tmp_path, "namespace: a b", flags={"namespace": "good"}) == [
        "a.yaml:1:12 E044 namespace: found 'a b'; 1 to 64 letters, digits, dots, underscores and hyphens are accepted"
    ]


@pytest.mark.parametrize(
    "text, size",
    [("1000", 1000), ("64MB", 64 * 10**6), ("1 GiB", 2**30), ("5kB", 5_000), ("7B", 7), ("2KiB", 2048)],
)
def test_a_size_is_read(tmp_path: Path, text: str, size: int) -> None:
    settings = load_settings(written(tmp_path, f"history: {{fires: {text}}}"), {}, {})
    assert settings.history_fires == size


@pytest.mark.parametrize("text", ["64MB", "1GiB", "5kB", "7B", "2KiB", "1500kB", "0B", "3MiB", "2GB"])
def test_a_size_is_shown_as_people_write_it(tmp_path: Path, text: str) -> None:
    assert size_text(load_settings(written(tmp_path, f"history: {{fires: {text}}}"), {}, {}).history_fires) == text


@pytest.mark.parametrize("text", ["-1", "1.5MB", "lots", "true", "1TB"])
def test_another_size_is_refused(tmp_path: Path, text: str) -> None:
    assert "history.fires: found" in told(tmp_path, f"history: {{fires: {text}}}")[0]


@pytest.mark.parametrize(
    "url, shown",
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://user:secret@host", "redis://user:***@host"),
        ("redis://:s3cr@t@host", "redis://:***@host"),
        ("redis://:s3cr@t/x@host", "redis://***"),
        ("redis://:s3?cret@host", "redis://***"),
        ("amqp://user:s3#cret@host", "amqp://***"),
        ("amqp://user:s3cret", "amqp://***"),
        ("amqp://user:secret@host:5672//vhost", "amqp://user:***@host:5672//vhost"),
        ("sqs://KEY:secret@", "sqs://KEY:***@"),
        ("redis", "redis"),
        ("rediss://host?password=secret", "rediss://host?***"),
        ("unix:///tmp/s?password=x", "unix:///tmp/s?***"),
        ("amqps://token@host", "amqps://***@host"),
        ("not a url", "***"),
        ("user:secret@host", "***"),
    ],
)
def test_a_secret_is_masked(url: str, shown: str) -> None:
    assert mask_secret(url) == shown


def test_no_message_shows_a_secret(tmp_path: Path) -> None:
    for text in ("http://user:hunter2@host", "host:hunter2@x//:hunter2@y"):
        problems = check_settings([], {"redis": text, "broker": f"1{text}"}, {})[1]
        assert len(problems) == 2
        assert not [problem for problem in problems if "hunter2" in problem.text()]


def test_zone_data_come_from_where_the_variable_says(tmp_path: Path) -> None:
    assert told(tmp_path, BEATD_TZPATH=str(tmp_path))[0].startswith("BEATD_TZPATH E044")
    zones = tmp_path / "zones"
    (zones / "Mine").mkdir(parents=True)
    (zones / "Mine" / "Here").write_bytes(zone_data().read("Europe/Paris"))
    path = written(tmp_path, "schedules: {a: {task: t, every: 5s, timezone: Mine/Here}}")
    try:
        settings = load_settings(path, {}, {"BEATD_TZPATH": str(zones), "BEATD_TZ": "Mine/Here"})
        assert [entry.schedule.timezone for entry in settings.entries] == ["Mine/Here"]
        assert settings.tz == "Mine/Here"
    finally:
        use_zone_data(None)


def test_all_problems_are_in_the_error(tmp_path: Path) -> None:
    paths = written(tmp_path, "namespace: a b\nschedules: {a: {task: t}}\n")
    with pytest.raises(ConfigProblems) as caught:
        load_settings(paths, {"http": "x"}, {})
    assert [problem.code for problem in caught.value.problems] == ["E044", "E052", "E044"]
    assert caught.value.exit_code == 3
    assert all(problem.text() in caught.value.message for problem in caught.value.problems)


def test_warnings_stop_nothing(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, "schedules: {a: {task: t, every: 6h}}"), {}, {})
    assert [problem.code for problem in settings.warnings] == ["W021"]


def test_files_are_found_where_they_should_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = [Path("schedules.yaml")]
    assert find_files(["x", "y"], {"BEATD_CONFIG": "z"}) == [Path("x"), Path("y")]
    assert find_files([], {"BEATD_CONFIG": "z"}) == [Path("z")]
    assert find_files([], {}) in ([], [Path("/etc/beatd/schedules.yaml")])
    Path("schedules.yaml").write_text("schedules: {}")
    assert find_files([], {"BEATD_CONFIG": ""}) == here


def test_the_private_server_lives_beside_the_first_file(tmp_path: Path) -> None:
    loaded = load_files(written(tmp_path, "include: [b.yaml]", "schedules: {}")[:1], {})
    settings, problems = decide(loaded, {}, {})
    assert isinstance(settings, Settings)
    assert (settings.folder, problems) == (tmp_path.resolve(), [])
