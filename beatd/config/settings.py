"""Settings: from flag, then BEATD_*, then file, then default. One table."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from beatd.config.broker import (
    BrokerInvalid,
    broker_json,
    broker_shown,
    read_broker,
    same_redis,
    same_server,
    secrets_in,
)
from beatd.config.nodes import down
from beatd.config.problems import ConfigProblems, Problem, Problems, errors_of
from beatd.config.source import Unreadable, read_source
from beatd.core.broker import Broker
from beatd.core.duration import parse_duration
from beatd.core.masking import mask_url
from beatd.core.shown import shown
from beatd.core.watching import Watched
from beatd.core.zone import folder_data, use_zone_data, zone_named
from beatd.errors import ConfigInvalid, ScheduleInvalid

if TYPE_CHECKING:  # imported where a file is read: most commands over stored entries need none
    from beatd.config.load import ConfigFile, Loaded
    from beatd.config.nodes import Node
    from beatd.core.entry import Entry

SHORTEST_TTL_S: Final = 1.0
LOOPBACK: Final = "127.0.0.1"
ZONES: Final = "BEATD_TZPATH"
_HOST_AND_PORT: Final = re.compile(r"(?:[^\s/@]*@)?(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}(?:/[0-9]*)?")
UNITS: Final = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


class Address(NamedTuple):
    """Where the HTTP server listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name in code, and what it is called elsewhere (None: it can't be given there).

    ``read`` takes what was found and gives the value; it raises ConfigInvalid saying what is accepted. ``secret``: may
    also come from the file that <variable>_FILE names, and is shown masked.
    """

    name: str
    variable: str | None
    flag: str | None
    key: str | None
    default: Any
    read: Callable[[Any], Any]
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """Which place decided a setting: ``source`` is flag, env, file or default; ``place`` names it.

    ``file``: what a secret was read from, and may be read from again.
    """

    source: str
    place: str | None
    file: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the daemon and the commands run with.

    redis None: not configured anywhere. broker None: the Redis that holds the entries (see ``broker_beside``). http
    None: switched off.
    """

    redis: str | None = field(repr=False)
    broker: Broker | None = field(repr=False)
    namespace: str
    lease_ttl: float
    http: Address | None
    log_level: str
    log_format: str
    history_fires: int
    history_skips: int
    tz: str | None
    tzpath: str | None
    files: "Sequence[ConfigFile]" = field(repr=False)
    origins: Mapping[str, Origin] = field(default_factory=dict)
    warnings: Sequence[Problem] = ()
    watched: Watched = field(default_factory=Watched)

    @property
    def entries(self) -> "list[Entry]":
        """The entries of all files."""
        return [entry for file in self.files for entry in file.entries]

    def broker_beside(self, redis_url: str) -> Broker | None:
        """The broker that messages go to by way of the outbox; None where that is the very database of the entries."""
        other = self.broker is not None and not same_redis(self.broker, redis_url)
        return self.broker if other else None

    def without_entries(self) -> "Settings":
        """The settings alone: tens of thousands of entries cost a garbage collector dearly."""
        return replace(self, files=[replace(file, entries=()) for file in self.files])

    @property
    def folder(self) -> Path:
        """Where the private server lives: beside the first file, else here."""
        return Path(os.path.realpath(self.files[0].path)).parent if self.files else Path.cwd()


def load_settings(
    paths: Sequence[Path], flags: Mapping[str, str | None], env: Mapping[str, str], *, entries: bool = True
) -> Settings:
    """Reads files and decides every setting. Raises ConfigProblems with every problem there is.

    ``entries`` False: for commands that need the settings alone; problems of entries don't stop them.
    """
    settings, found = check_settings(paths, flags, env, entries=entries)
    if settings is None or errors_of(found):
        raise ConfigProblems(errors_of(found))
    return settings


def check_settings(
    paths: Sequence[Path], flags: Mapping[str, str | None], env: Mapping[str, str], *, entries: bool = True
) -> tuple[Settings | None, list[Problem]]:
    """As load_settings, and every problem and warning instead of an error."""
    settings, problems, _ = read_settings(paths, flags, env, entries=entries)
    return settings, problems


def read_settings(
    paths: Sequence[Path], flags: Mapping[str, str | None], env: Mapping[str, str], *, entries: bool = True
) -> tuple[Settings | None, list[Problem], Watched]:
    """As check_settings, and all files that were looked at."""
    from beatd.config.load import load_files  # noqa: PLC0415  # with all of YAML and of entries

    zones = use_zones(env)
    loaded = load_files(paths, env, entries=entries)
    settings, decided = decide(loaded, flags, env)
    problems = Problems()
    for problem in (*loaded.problems, *zones, *decided):
        problems.add(problem)
    return settings, list(problems), loaded.watched


def named_place(flags: Mapping[str, str | None], env: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Which Redis and which namespace flags and variables name, each None where they don't say. Raises ConfigProblems
    with what is wrong with these two.
    """
    problems = Problems()
    found = {}
    for setting in SETTINGS:
        if setting.name in {"redis", "namespace"}:
            value, origin = _decided(setting, (), flags, env, problems)
            found[setting.name] = None if origin.source == "default" else value
    if len(problems):
        raise ConfigProblems(list(problems))
    return found["redis"], found["namespace"]


def use_zones(env: Mapping[str, str]) -> list[Problem]:
    """Takes zone data from where BEATD_TZPATH says, if it says anything: before any zone is read."""
    folder = env.get(ZONES)
    if not folder:
        return []
    try:
        use_zone_data(folder_data(Path(folder)))
    except (OSError, ScheduleInvalid) as error:
        hint = "name a folder of zone files, such as /usr/share/zoneinfo"
        return [Problem(ZONES, None, None, "E044", str(error), hint)]
    return []


def decide(
    loaded: "Loaded", flags: Mapping[str, str | None], env: Mapping[str, str]
) -> tuple[Settings | None, list[Problem]]:
    """Every setting, or None; and the problems of flags, variables and settings in files."""
    problems = Problems()
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    for setting in SETTINGS:
        values[setting.name], origins[setting.name] = _decided(setting, loaded.files, flags, env, problems)
    if len(problems):
        return None, list(problems)
    told = list(_about_broker(values["broker"], values["redis"], origins["broker"]))
    warnings = [problem for problem in (*loaded.problems, *told) if problem.severity == "warning"]
    return Settings(files=loaded.files, origins=origins, warnings=warnings, watched=loaded.watched, **values), told


def _about_broker(broker: Broker | None, redis: str | None, origin: Origin) -> Iterator[Problem]:
    """That a neighbour of our database has another guarantee."""
    if broker is None or redis is None or same_redis(broker, redis) or not same_server(broker, redis):
        return
    named = re.fullmatch(r"(.*):([0-9]+):([0-9]+)", origin.place or "") if origin.source == "file" else None
    file, line, column = (named[1], int(named[2]), int(named[3])) if named else (origin.place or "", None, None)
    message = "broker: another database of the Redis in `redis`: messages go by way of the outbox, at least once each"
    yield Problem(
        file, line, column, "W026", message, "with the same database (broker: redis) each is there exactly once"
    )


def _decided(
    setting: Setting,
    files: "Sequence[ConfigFile]",
    flags: Mapping[str, str | None],
    env: Mapping[str, str],
    problems: Problems,
) -> tuple[Any, Origin]:
    """The value that counts. What a lower place says is checked all the same."""
    found = list(_found(setting, files, flags, env, problems))
    value, origin = setting.default, Origin("default", None)
    for raw, candidate, problem in reversed(found):
        try:
            value, origin = setting.read(raw), candidate
        except ConfigInvalid as error:
            problems.add(problem(error))
    return value, origin


_Found = tuple[Any, Origin, Callable[[ConfigInvalid], Problem]]


def _found(
    setting: Setting,
    files: "Sequence[ConfigFile]",
    flags: Mapping[str, str | None],
    env: Mapping[str, str],
    problems: Problems,
) -> Iterator[_Found]:
    """All places that say something, the strongest first."""
    if setting.flag and (given := flags.get(setting.name)) is not None:
        yield given, Origin("flag", setting.flag), _nowhere(setting.flag)
    if setting.variable:
        yield from _from_env(setting, setting.variable, env, problems)
    if setting.key:
        yield from _from_files(setting, setting.key, files, problems)


def _from_env(setting: Setting, variable: str, env: Mapping[str, str], problems: Problems) -> Iterator[_Found]:
    named = f"{variable}_FILE"
    if setting.secret and (path := env.get(named)):
        if env.get(variable):
            problems.add(Problem(named, None, None, "E045", f"{variable} is set too", "set one of them"))
        try:
            text = _one_line(Path(path))
        except Unreadable as error:
            found = error.problem
            problems.add(Problem(named, None, None, "E044", f"{path} {found.message}", found.hint))
        else:
            yield text, Origin("env", f"{named}={path}", path), _nowhere(named)
    if env.get(variable):
        yield env[variable], Origin("env", variable), _nowhere(variable)


def _one_line(path: Path) -> str:
    """What a file with a secret holds, without blanks around it. Raises Unreadable."""
    source = read_source(path)
    text = source.text.strip()
    lines = text.count("\n") + 1
    if text and lines == 1:
        return text
    found = f"has {lines} lines; the URL alone is accepted" if text else "is empty; the URL is expected in it"
    raise Unreadable(source.problem(0, 0, "E044", found))


def _nowhere(name: str) -> Callable[[ConfigInvalid], Problem]:
    return lambda error: Problem(name, None, None, "E044", error.message, error.hint)


def _from_files(setting: Setting, key: str, files: "Iterable[ConfigFile]", problems: Problems) -> Iterator[_Found]:
    said = [file.settings[key] for file in files if key in file.settings]
    for other in said[1:]:
        if other.value != said[0].value:
            first = said[0].node.problem("E045", "").place
            hint = "keep it in one of the files"
            problems.add(other.node.problem("E045", f"{key} is set otherwise at {first}", hint))
    if said:
        node = said[0].node
        yield (
            said[0].value,
            Origin("file", node.problem("E044", "").place),
            lambda error: _at(key, node, error),
        )


def _at(key: str, node: "Node", error: ConfigInvalid) -> Problem:
    """A problem at the place in a value that the error names, as far as that was written there."""
    path = error.path if isinstance(error, BrokerInvalid) else ()
    return down(node, path).problem("E044", f"{'.'.join((key, *path))}: {error.message}", error.hint)


def masked(setting: Setting, value: Any) -> Any:
    """A value as it may be shown."""
    if setting.name == "broker":
        return broker_shown(value)
    return mask_secret(value) if setting.secret and isinstance(value, str) else value


def plain_value(setting: Setting, value: Any) -> Any:
    """A value as JSON carries it from one process to another, secrets and all. A plain one stays as it is."""
    return broker_json(value) if setting.name == "broker" and (value is None or isinstance(value, Broker)) else value


def secrets_of_setting(setting: Setting, value: Any) -> Iterator[str]:
    """What masking has to know of a setting's value, be that plain or not."""
    if setting.secret:
        yield from (value,) if isinstance(value, str) else secrets_in(value)


def mask_secret(value: object) -> str:
    """What was given for a setting that may hold a secret, as it may be shown."""
    if not isinstance(value, str):
        return f"a value of type {type(value).__name__}"
    return value if value == "redis" else mask_url(value)


def _ttl(value: Any) -> float:
    try:
        seconds = parse_duration(value) / 1000
    except ScheduleInvalid as error:
        raise ConfigInvalid(error.message, hint=error.hint) from error
    if seconds < SHORTEST_TTL_S:
        raise ConfigInvalid(f"found {value}; at least 1s is accepted", hint="2s gives a fast failover")
    return seconds


def _redis(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and re.match(r"(?:rediss?(?:\+sentinel)?|unix)://.", value):
        return value
    found = mask_secret(value)
    bare = isinstance(value, str) and _HOST_AND_PORT.fullmatch(value)
    raise ConfigInvalid(
        f"found {found}; redis://[user:password@]host[:port][/db], rediss://..., unix:///path or "
        "redis+sentinel://host[:port],.../name is accepted",
        hint="write redis:// before it" if bare else None,
    )


def _namespace(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,64}", value):
        return value
    raise ConfigInvalid(f"found {shown(value)}; 1 to 64 letters, digits, dots, underscores and hyphens are accepted")


def _http(value: Any) -> Address | None:
    if value is False or value == "off":
        return None
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    match = re.fullmatch(r"(?:(?:\[([0-9A-Fa-f:.]+)\]|([^:\s]*)):)?([0-9]{1,5})", text)
    if match and int(match[3]) <= 65535:
        return Address(match[1] or match[2] or LOOPBACK, int(match[3]))
    raise ConfigInvalid(f"found {shown(value)}; host:port, a port (0: a free one), or off is accepted")


def _word(*accepted: str) -> Callable[[Any], str]:
    def read(value: Any) -> str:
        if value in accepted:
            return str(value)
        raise ConfigInvalid(f"found {shown(value)}; {', '.join(accepted)} are accepted")

    return read


def _size(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(r"\s*([0-9]{1,15})\s*([kKMG]i?B|B)\s*", value) if isinstance(value, str) else None
    if match:
        return int(match[1]) * UNITS[match[2] if match[2] in UNITS else match[2].upper()]
    raise ConfigInvalid(f"found {shown(value)}; bytes, or a size such as 64MB or 64MiB is accepted")


def size_text(size: int) -> str:
    """A size in the largest unit of which it is a whole number, as it is accepted in files: 64000000 is ``64MB``."""
    for unit in ("GiB", "GB", "MiB", "MB", "KiB", "kB"):
        number, rest = divmod(size, UNITS[unit if unit in UNITS else unit.upper()])
        if number and not rest:
            return f"{number}{unit}"
    return f"{size}B"


def _zone(value: Any) -> str:
    try:
        return zone_named(str(value)).name
    except ScheduleInvalid as error:
        raise ConfigInvalid(error.message, hint=error.hint) from error


def _folder(value: Any) -> str:
    """Checked by use_zones, which has to come before any zone is read."""
    return str(value)


SETTINGS: Final = (
    Setting("redis", "BEATD_REDIS_URL", "--redis", "redis", None, _redis, secret=True),
    Setting("broker", "BEATD_BROKER_URL", "--broker", "broker", None, read_broker, secret=True),
    Setting("namespace", "BEATD_NAMESPACE", "--namespace", "namespace", "default", _namespace),
    Setting("lease_ttl", "BEATD_LEASE_TTL", "--lease-ttl", "lease.ttl", 6.0, _ttl),
    Setting("http", "BEATD_HTTP", "--http", "http", Address(LOOPBACK, 9464), _http),
    Setting(
        "log_level", "BEATD_LOG_LEVEL", "--log-level", "log.level", "info", _word("debug", "info", "warning", "error")
    ),
    Setting("log_format", "BEATD_LOG_FORMAT", "--log-format", "log.format", "auto", _word("auto", "text", "json")),
    Setting("history_fires", None, None, "history.fires", 64 * 10**6, _size),
    Setting("history_skips", None, None, "history.skips", 16 * 10**6, _size),
    Setting("tz", "BEATD_TZ", None, None, None, _zone),
    Setting("tzpath", ZONES, None, None, None, _folder),
)
