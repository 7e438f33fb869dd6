"""The server as a child process: its options, its birth and its end."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from beatd.store.embedded import child
from beatd.store.embedded.binary import ServerBinary
from beatd.store.embedded.probe import HOST

LOG: Final = "server.log"
LARGEST_LOG: Final = 1024 * 1024
_STOP_TIMEOUT_S: Final = 5.0
_LARGEST_TAIL: Final = 4 * 1024


def spawn(binary: ServerBinary, folder: Path, port: int, lock_fd: int) -> subprocess.Popen[bytes]:
    """Starts the server in a session of its own, so that Ctrl-C in the terminal reaches the daemon only.

    It inherits ``lock_fd`` and holds that lock for life. The kernel ends it when the *thread* that called this ends,
    hence main thread only: RuntimeError anywhere else, where it would be a server that vanishes for no visible reason.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("the private server must be started from the main thread: it ends with its thread")
    log_fd = os.open(folder / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        return subprocess.Popen(  # noqa: S603 - a program that was examined, with words of ours
            [sys.executable, "-I", "-S", child.__file__, str(os.getpid()), *command(binary, folder, port)],
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=log_fd,
            cwd=folder,
            env=dict(_environment()),
            umask=0o077,
            pass_fds=(lock_fd,),
            start_new_session=True,
        )
    finally:
        os.close(log_fd)


def command(binary: ServerBinary, folder: Path, port: int) -> list[str]:
    """The server's command line. It names no file, so no configuration of the machine or the user is read."""
    options = {
        "--port": str(port),
        "--bind": HOST,
        "--protected-mode": "yes",
        "--daemonize": "no",
        "--dir": str(folder),
        "--logfile": str(folder / LOG),
        "--appendonly": "yes",
        "--appendfsync": "everysec",
        "--save": "",
        "--maxmemory-policy": "noeviction",
    }
    words = [word for option in options.items() for word in option]
    return [str(binary.path), *words, *_closed_commands(binary)]


def _closed_commands(binary: ServerBinary) -> Iterator[str]:
    """Before 7.0 any client could make the server write files and load code; later ones refuse that by themselves."""
    if binary.family == "redis" and binary.version < (7,):
        for name in ("CONFIG", "MODULE", "DEBUG", "REPLICAOF", "SLAVEOF"):
            yield from ("--rename-command", name, "")


def stop(server: subprocess.Popen[bytes]) -> None:
    """SIGTERM (flushes the AOF), a bounded wait, SIGKILL. Returns once the process is gone.

    Its whole process group gets them: where PATH holds a script, the server is that script's child.
    """
    if server.poll() is not None:
        return
    os.killpg(server.pid, signal.SIGTERM)
    try:
        server.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def open_page(folder: Path) -> int:
    """Where in the log the words of the next server begin; a log grown large is put aside as ``server.log.1``."""
    path = folder / LOG
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return 0
    if size <= LARGEST_LOG:
        return size
    path.replace(path.with_name(f"{LOG}.1"))
    return 0


def last_words(folder: Path, since: int) -> str:
    """The last line logged after the first ``since`` bytes."""
    with (folder / LOG).open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(min(end, max(since, end - _LARGEST_TAIL)))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "nothing was logged")


def _environment() -> Iterator[tuple[str, str]]:
    """Next to nothing: a locale the machine lacks stops newer servers, NOTIFY_SOCKET is the daemon's, secrets stay."""
    yield "LC_ALL", "C"
    for name in ("LD_LIBRARY_PATH", "TZ"):
        if name in os.environ:
            yield name, os.environ[name]
