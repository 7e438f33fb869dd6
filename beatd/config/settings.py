"""Settings: from flag, then BEATD_*, then file, then default."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from beatd.config.files import ConfigFile, read_file
from beatd.core.duration import parse_duration
from beatd.core.entry import Entry
from beatd.errors import ConfigInvalid, ScheduleInvalid

SHORTEST_TTL_S: Final = 1.0

# setting -> (variable, key in the file, default)
TABLE: Final[Mapping[str, tuple[str, str, Any]]] = {
    "redis": ("BEATD_REDIS_URL", "redis", None),
    "namespace": ("BEATD_NAMESPACE", "namespace", "default"),
    "lease_ttl": ("BEATD_LEASE_TTL", "lease.ttl", "6s"),
}
SECRETS: Final = frozenset({"redis"})  # these may also come from a file: BEATD_REDIS_URL_FILE


@dataclass(frozen=True, slots=True)
class Settings:
    """What the daemon and the commands run with. redis None: not configured anywhere."""

    redis: str | None
    namespace: str
    lease_ttl: float
    files: Sequence[ConfigFile]

    @property
    def entries(self) -> list[Entry]:
        """The entries of all files."""
        return [entry for file in self.files for entry in file.entries]

    @property
    def folder(self) -> Path:
        """Where the private server lives: beside the first file, else here."""
        return self.files[0].path.resolve().parent if self.files else Path.cwd()


def load_settings(paths: Sequence[Path], flags: Mapping[str, str | None], env: Mapping[str, str]) -> Settings:
    """Reads files and decides every setting. Raises ConfigInvalid."""
    files = [read_file(path, env) for path in paths]
    _refuse_doubles(files)
    values = {name: _value(name, files, flags, env) for name in TABLE}
    redis = values["redis"]
    return Settings(
        redis=str(redis) if redis else None,
        namespace=str(values["namespace"]),
        lease_ttl=_ttl(values["lease_ttl"]),
        files=files,
    )


def _value(name: str, files: Sequence[ConfigFile], flags: Mapping[str, str | None], env: Mapping[str, str]) -> Any:
    variable, key, default = TABLE[name]
    if (flag := flags.get(name)) is not None:
        return flag
    if name in SECRETS and (path := env.get(f"{variable}_FILE")):
        try:
            return Path(path).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigInvalid(f"{variable}_FILE: {path} can't be read: {error.strerror}") from error
    if env.get(variable):
        return env[variable]
    found = [(file, value) for file in files if (value := _at(file.settings, key)) is not None]
    if len({repr(value) for _, value in found}) > 1:
        places = " and ".join(str(file.path) for file, _ in found)
        raise ConfigInvalid(f"{key} is set differently in {places}", hint="keep it in one of them")
    return found[0][1] if found else default


def _at(settings: Mapping[str, Any], key: str) -> Any:
    value: Any = settings
    for part in key.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _ttl(value: Any) -> float:
    try:
        seconds = parse_duration(value) / 1000
    except ScheduleInvalid as error:
        raise ConfigInvalid(f"lease.ttl: {error.message}", hint=error.hint) from error
    if seconds < SHORTEST_TTL_S:
        raise ConfigInvalid(f"lease.ttl: found {value}; at least 1s is accepted", hint="2s gives a fast failover")
    return seconds


def _refuse_doubles(files: Sequence[ConfigFile]) -> None:
    seen: dict[str, ConfigFile] = {}
    for file in files:
        for entry in file.entries:
            if entry.name in seen:
                raise ConfigInvalid(f"entry {entry.name!r} stands in {seen[entry.name].path} and in {file.path}")
            seen[entry.name] = file
