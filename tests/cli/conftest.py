"""The real command line inside the test's process: arguments in, exit code and both streams out."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from beatd.cli.main import main
from beatd.cli.secrets import KNOWN
from tests.support.servers import RedisServer
from tests.support.store import Store


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        """The one line of JSON on stderr."""
        return json.loads(self.err)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


Beatd = Callable[..., Done]


@pytest.fixture
def beatd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Beatd:
    """Runs ``beatd WORDS...`` in an empty folder, where no file and no private server is found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(KNOWN, "_forms", set())  # what other tests said must not be masked here
    monkeypatch.setattr(KNOWN, "_pattern", None)

    def run(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["beatd", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        streams = capfd.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Done(code, streams.out, streams.err)

    return run


@pytest.fixture
def schedules(tmp_path: Path) -> Callable[[str], None]:
    """Writes schedules.yaml where the next command will find it."""

    def write(text: str) -> None:
        (tmp_path / "schedules.yaml").write_text(text)

    return write


@pytest.fixture
def at_redis(beatd: Beatd, clean_redis: RedisServer) -> Beatd:
    """Runs a command against the server of the tests."""
    return lambda *words: beatd(*words, "--redis", clean_redis.url)


@pytest.fixture
def store(clean_redis: RedisServer) -> Store:
    """What is stored on that server."""
    return Store(clean_redis)
