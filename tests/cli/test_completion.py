"""TAB in real shells: commands, options, values, entry names; and silence where Redis is away."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from beatd.cli.complete import SHELLS, as_typed, last_word
from beatd.cli.main import COMMANDS
from tests.cli.conftest import Beatd
from tests.support.servers import RedisServer, require
from tests.support.store import Store

ROOT = Path(__file__).parents[2]
NOWHERE = "redis://127.0.0.1:1/0"
NAMES = ("mail:digest", "mail:sweep", "my report", "it's", 'a "b" $c', "über", "x,y", "50%")

Complete = Callable[..., list[str]]


@pytest.fixture
def entries(store: Store) -> None:
    for number, name in enumerate(NAMES):
        store.plant(name, number)


@pytest.fixture
def complete(clean_redis: RedisServer, tmp_path: Path) -> Complete:
    """What a shell is answered for a line with the cursor at its end."""

    def asked(line: str, shell: str = "fish", url: str = clean_redis.url) -> list[str]:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "BEATD_REDIS_URL": url, "COMP_LINE": line}
        env["_BEATD_COMPLETE"] = f"{shell}_complete"
        done = subprocess.run(
            [sys.executable, "-m", "beatd"], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert done.stderr == ""
        return [line.removeprefix("plain,") for line in done.stdout.splitlines() if line]

    return asked


def test_commands_options_and_values_are_completed(complete: Complete) -> None:
    assert complete("beatd ") == list(COMMANDS)
    assert complete("beatd s") == [name for name in COMMANDS if name.startswith("s")]
    assert complete("beatd ls --st") == ["--state"]
    assert complete("beatd ls --state p") == ["paused"]
    assert complete("beatd ls --state paused,l") == ["paused,late"]
    assert complete("beatd ls --state=fin") == ["finished"]
    assert complete("beatd ls -o nd") == ["ndjson"]
    assert complete("beatd set x --tz europe/pari") == ["Europe/Paris"]
    assert complete("beatd check --st") == ["--strict"]
    assert complete("beatd ls --owner a") == ["api", "apply:*"]
    assert complete("beatd set x --unset max") == ["max_runs"]
    assert complete("beatd set x --unset grace --unset gr") == []
    assert complete("beatd ls -c ") == ["file,"]
    assert complete("beatd config ") == ["show"]
    assert complete("beatd completion ") == list(SHELLS)


@pytest.mark.parametrize("command", ["show", "rm", "pause", "reset", "history", "next", "ls", "set", "trigger"])
def test_entry_names_are_completed_where_one_is_asked_for(complete: Complete, entries: None, command: str) -> None:
    assert complete(f"beatd {command} mail:") == ["mail:digest", "mail:sweep"]


def test_what_is_not_paused_is_not_offered_to_be_resumed(complete: Complete, entries: None, store: Store) -> None:
    assert complete("beatd resume mail:") == []
    store.pause("mail:sweep")
    store.pause("my report", until=store.now() + 600_000)
    assert complete("beatd resume mail:") == ["mail:sweep"]
    assert complete("beatd resume m") == ["mail:sweep", "my report"]


def test_names_that_were_given_are_not_offered_again(complete: Complete, entries: None) -> None:
    assert complete("beatd pause mail:digest mail:") == ["mail:sweep"]


def test_what_redis_takes_for_a_pattern_is_a_letter_here(complete: Complete, store: Store) -> None:
    for name in ("a*b", "aab", "r[1]", "r1"):
        store.plant(name, 1)
    assert complete("beatd show 'a*'") == ["a*b"]
    assert complete("beatd show 'r['") == ["r[1]"]


def test_another_namespace_and_server_on_the_line_are_heeded(
    complete: Complete, entries: None, clean_redis: RedisServer
) -> None:
    Store(clean_redis, namespace="other").plant("elsewhere", 1)
    assert complete("beatd show --namespace other ") == ["elsewhere"]
    assert complete(f"beatd show --redis {clean_redis.url} mail:s", url=NOWHERE) == ["mail:sweep"]


@pytest.mark.parametrize("url", [NOWHERE, "nonsense", "redis://192.0.2.1:6379/0"])
def test_without_redis_nothing_is_offered_quickly_and_silently(complete: Complete, url: str) -> None:
    begun = time.monotonic()
    assert complete("beatd show ", url=url) == []
    assert time.monotonic() - begun < 5


def test_many_names_are_cut_short(complete: Complete, store: Store) -> None:
    store.do("HSET", store.key("rev"), *[word for number in range(5_000) for word in (f"e{number}", "r.f")])
    assert len(complete("beatd show e")) == 200


@pytest.mark.parametrize(
    "line, word",
    [
        ("beatd show ", ""),
        ("beatd show ab", "ab"),
        ("beatd show a\\ b", "a\\ b"),
        ('beatd show "a b', '"a b'),
        ("beatd show 'a b", "'a b"),
        ("beatd show 'a' b", "b"),
        ("beatd show \"a'b", "\"a'b"),
        ("beatd show a\\", "a\\"),
    ],
)
def test_the_last_word_is_found_as_it_was_typed(line: str, word: str) -> None:
    assert last_word(line) == word


@pytest.mark.parametrize(
    "value, typed, expected",
    [
        ("my report", "my", "my\\ report"),
        ("my report", '"my', "my report"),
        ('a "b" $c', '"a', 'a \\"b\\" \\$c'),
        ("it's", "'i", "it'\\''s"),
        ("it's", "i", "it\\'s"),
        ("mail:digest", "mail:d", "digest"),
        ("mail:digest", "ma", "mail:digest"),
        ("a:b:c d", "a:b:", "c\\ d"),
        ("paused", "--state=pa", "paused"),
        ("über", "", "über"),
    ],
)
def test_bash_gets_what_it_puts_in_as_it_is(value: str, typed: str, expected: str) -> None:
    assert as_typed(value, typed) == expected


def test_the_script_of_each_shell_is_printed(beatd: Beatd) -> None:
    for shell in SHELLS:
        done = beatd("completion", shell)
        assert done.code == 0
        assert "_BEATD_COMPLETE" in done.out
    assert beatd("completion", "tcsh").code == 2


# In the shells themselves


class Typist:
    """An interactive shell in a pseudo-terminal, in which `beatd` is the one of this tree."""

    def __init__(self, words: list[str], folder: Path, url: str) -> None:
        program = folder / "beatd"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m beatd "$@"\n')
        program.chmod(0o755)
        env = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm",
            "HOME": str(folder),
            "BEATD_REDIS_URL": url,
            "LC_ALL": "C.UTF-8",
            "PS1": "> ",
            "INPUTRC": "/dev/null",
        }
        self._terminal, theirs = pty.openpty()
        in_session = ["setsid", "-c", *words]  # a shell wants the terminal to be its own
        self.process = subprocess.Popen(in_session, stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=env)
        os.close(theirs)
        self.shown = ""

    def type(self, keys: str) -> None:
        os.write(self._terminal, keys.encode())

    def until(self, line: str, within: float = 20) -> None:
        """Waits for a line of its own."""
        give_up = time.monotonic() + within
        while not re.search(rf"[\r\n]{re.escape(line)}\r", self.shown):
            assert time.monotonic() < give_up, f"{line!r} is not in {self.shown!r}"
            if select.select([self._terminal], [], [], 0.1)[0]:
                self.shown += os.read(self._terminal, 65_536).decode(errors="replace")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._terminal)


SHELL_WORDS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
SETUP = {
    "bash": 'eval "$(beatd completion bash)"; echo re""ady\n',
    "zsh": 'autoload -U compinit; compinit -D -u; eval "$(beatd completion zsh)"; echo re""ady\n',
    "fish": 'beatd completion fish | source; echo re""ady\n',
}


@pytest.fixture(params=list(SHELL_WORDS))
def typist(request: pytest.FixtureRequest, tmp_path: Path, clean_redis: RedisServer, entries: None) -> Iterator[Typist]:
    words = SHELL_WORDS[request.param]
    require(shutil.which(words[0]), words[0])
    found = Typist(words, tmp_path, clean_redis.url)
    try:
        found.type(SETUP[request.param])
        found.until("ready")
        yield found
    finally:
        found.close()


@pytest.mark.parametrize(
    "typed, name",
    [
        ("mail:d", "mail:digest"),
        ("my", "my report"),
        ("it", "it's"),
        ("a", 'a "b" $c'),
        ("x", "x,y"),
        ("50", "50%"),
        ("ü", "über"),
        ('"my r', "my report"),
        ("'my r", "my report"),
    ],
)
def test_tab_puts_in_a_name_that_the_shell_understands(typist: Typist, typed: str, name: str) -> None:
    typist.type(f"beatd ls -o name {typed}\t\n")
    typist.until(name)
