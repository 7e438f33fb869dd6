"""The private server's folder ``.beatd/``: who may use it, who does, and what it remembers."""

import errno
import fcntl
import json
import logging
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any, Final

from beatd.errors import ConfigInvalid, Unreachable
from beatd.store.embedded.binary import ServerBinary, from_label

FOLDER: Final = ".beatd"
RECORD: Final = "server.json"
OWNER_LOCK: Final = "lock"  # held by the daemon that owns the server
DATA_LOCK: Final = "server.lock"  # held by the server itself, inherited: busy exactly as long as one lives on the data

_URL = re.compile(r"redis://127\.0\.0\.1:([0-9]{1,5})/0")
_LARGEST_RECORD: Final = 64 * 1024

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Record:
    """The content of ``server.json``: {url, pid, binary, version}, version being ``redis 7.0.15``."""

    port: int
    pid: int
    binary: ServerBinary

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"


class FileLock:
    """An flock on a file that is never removed. It goes with the last copy of the descriptor, so no death leaves it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None

    @property
    def fd(self) -> int:
        """The descriptor to hand to a child, which then holds the lock too. Only while held."""
        if self._fd is None:
            raise RuntimeError(f"{self._path} is not held")
        return self._fd

    def take(self) -> bool:
        """Takes the lock if nobody has it; True if it is held now. Never waits."""
        if self._fd is not None:
            return True
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
        return True

    def close(self) -> None:
        """Lets go of this process's copy: a child that inherited it goes on holding the lock."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock; a missing file is not locked."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def open_folder(base: Path) -> Path:
    """Makes ``.beatd`` in ``base`` if need be and returns its absolute path: a real folder of ours with mode 0700.

    A looser mode is tightened with a warning. A symlink, a foreign owner (root's use of a user's folder too: it would
    leave files there that the user can't read) and a place that can't be written raise ConfigInvalid.
    """
    path = base.absolute() / FOLDER
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            _make_private(path, fd)
        finally:
            os.close(fd)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _unusable(path, error) from error
    return path


def _make_private(path: Path, fd: int) -> None:
    found = os.fstat(fd)
    if found.st_uid != os.geteuid():
        raise _foreign(path, found.st_uid)
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o077:
        os.fchmod(fd, 0o700)
        log.warning("%s was open to others (mode %04o); it is 0700 now", path, mode)


def _foreign(path: Path, owner: int) -> ConfigInvalid:
    return ConfigInvalid(
        f"{path} belongs to user {owner}, beatd runs as user {os.geteuid()}; only its owner may use it",
        hint=f"run beatd as its owner, or give it away: `chown -R {os.geteuid()} {quote(str(path))}`",
    )


def _unusable(path: Path, error: OSError) -> ConfigInvalid:
    quoted = quote(str(path))
    if path.is_symlink():
        return ConfigInvalid(
            f"{path} is a symbolic link; the private server's data need a folder of their own",
            hint=f"remove the link with `rm {quoted}`, or start beatd with `-c` pointing into the folder it leads to",
        )
    if path.is_dir() and path.stat().st_uid != os.geteuid():
        return _foreign(path, path.stat().st_uid)
    if path.exists() and not path.is_dir():
        return ConfigInvalid(f"{path} is not a folder", hint=f"move it away: `mv {quoted} {quoted}.old`")
    return ConfigInvalid(
        f"{path}: the private server's folder can't be used: {error.strerror}",
        hint="make the place writable for this user, or name a Redis of yours: `BEATD_REDIS_URL=redis://host:6379/0`",
    )


def has_data(folder: Path) -> bool:
    """Whether a server has written here: only then are port and binary binding."""
    return any((folder / name).exists() for name in ("appendonlydir", "appendonly.aof"))


def read_record(folder: Path) -> Record | None:
    """What ``server.json`` says, None where there is none.

    Raises ConfigInvalid for one that can't be understood and Unreachable for one this user may not read.
    """
    path = folder / RECORD
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST_RECORD)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise Unreachable(f"{path} can't be read: {error.strerror}", hint="run this as the daemon's user") from error
    try:
        return _record(json.loads(text))
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigInvalid(
            f"{path} can't be read ({error}); it says which program wrote the data here, and the workers' port",
            hint=f"restore it, or remove it to have both chosen anew: `rm {quote(str(path))}`",
        ) from error


def _record(content: Any) -> Record:
    """Raises ValueError or TypeError. The path must be absolute: a relative one could lead into a cloned project."""
    if not isinstance(content, dict):
        raise TypeError("an object with url, pid, binary and version is accepted")
    url, pid, binary, version = (content.get(key) for key in ("url", "pid", "binary", "version"))
    match = _URL.fullmatch(url) if isinstance(url, str) else None
    if match is None or not 0 < int(match[1]) < 65536:
        raise ValueError(f"url: found {url!r}; redis://127.0.0.1:PORT/0 is accepted")
    if not isinstance(pid, int) or isinstance(pid, bool) or pid < 1:
        raise ValueError(f"pid: found {pid!r}; a process id is accepted")
    if not isinstance(binary, str) or not Path(binary).is_absolute() or "\0" in binary:
        raise ValueError(f"binary: found {binary!r}; an absolute path is accepted")
    return Record(int(match[1]), pid, from_label(Path(binary), str(version)))


def write_record(folder: Path, record: Record) -> None:
    """Writes ``server.json`` whole or not at all. Only the owner of the lock may call it. Raises ConfigInvalid."""
    content = {
        "url": record.url,
        "pid": record.pid,
        "binary": str(record.binary.path),
        "version": record.binary.label,
    }
    path, new = folder / RECORD, folder / f"{RECORD}.new"
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(json.dumps(content, indent=2) + "\n")
            file.flush()
            os.fsync(fd)
        new.replace(path)
    except OSError as error:
        raise ConfigInvalid(f"{path} can't be written: {error.strerror}") from error
