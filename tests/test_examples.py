"""What people copy works: every block of every page is run, loaded or read, and a page's links lead somewhere.

How a block is treated follows from its language and from the HTML comment right above it:

* ``yaml`` is a whole schedules.yaml, without problems or warnings; ``<!-- warns W022 -->`` names those it has, and
  ``<!-- file: NAME -->`` keeps it, or a block of any other language, for the console blocks below it.
* ``console`` is typed and compared, ``$ COMMAND`` by ``$ COMMAND``: what comes on stdout, then what on stderr; ``...``
  stands for anything. ``<!-- redis -->`` gives it an empty server, which the blocks below share.
* ``sh`` is read: every ``beatd`` command with its flags, every ``make`` target; other programs only if they are known.
* ``python`` is executed, after ``<!-- redis -->`` on an empty server in place of the one it names. ``json`` is read,
  ``text`` and ``mermaid`` are left alone; ``js`` has a test of its own.
* ``<!-- not checked: why -->`` is the way out for what is none of ours.
"""

import importlib.util
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from beatd.cli.main import COMMANDS, cli, main
from beatd.config.settings import check_settings
from tests.support.pages import ROOT, Block, anchors_of, blocks_of, code_of, links_of, name_of, pages
from tests.support.servers import RedisServer, require

EXAMPLE = ROOT / "examples" / "celery_app"
PAGES = pages()
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
NOT_CHECKED = "not checked: "
A_FILE = "file: "
# What a line of a shell block may begin with besides beatd and make.
OTHER_PROGRAMS = {
    "python3",
    ".",
    "eval",
    "celery",
    "export",
    "kill",
    "pip",
    "redis-cli",
    "sudo",
    "systemctl",
    "docker",
    "curl",
}


@pytest.fixture(scope="module")
def app() -> Any:
    spec = importlib.util.spec_from_file_location("example_tasks", EXAMPLE / "tasks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.app


def test_the_example_of_another_broker_is_good() -> None:
    settings, problems = check_settings([ROOT / "examples" / "rabbitmq" / "schedules.yaml"], {}, {})
    assert not problems
    assert settings is not None
    assert {entry.name: entry.queue for entry in settings.entries} == {
        "digest": "mail", "report": "reports", "ping": "celery",
    }  # fmt: skip
    assert settings.broker is not None


@pytest.mark.parametrize("entry", yaml.safe_load((EXAMPLE / "schedules.yaml").read_text())["schedules"].values())
def test_every_entry_starts_a_task_of_the_application_with_args_it_takes(app: Any, entry: dict[str, Any]) -> None:
    name = entry["task"].removeprefix("tasks.")
    task = app.tasks[f"example_tasks.{name}"]

    inspect.signature(task.run).bind(*entry.get("args", ()), **entry.get("kwargs", {}))


def untreated(blocks: Iterable[Block]) -> list[str]:
    return [
        f"{block.place}: {block.language or 'no language'}"
        for block in blocks
        if block.language not in TREATMENTS and not block.mark.startswith(NOT_CHECKED)
    ]


def test_every_block_has_a_treatment() -> None:
    assert not untreated(BLOCKS), "see the beginning of this file"


def test_a_block_without_a_treatment_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```\nx\n```\n<!-- not checked: theirs -->\n```ini\nx\n```\n\n   ```ini\n   x\n   ```\n")
    assert [place.rpartition(":")[2] for place in untreated(blocks_of(page))] == [" no language", " ini"]


def checked(*languages: str) -> list[Any]:
    return [
        pytest.param(block, id=block.place)
        for block in BLOCKS
        if block.language in languages and not block.mark.startswith(NOT_CHECKED)
        if block.language == "yaml" or not block.mark.startswith(A_FILE)
    ]


@pytest.mark.parametrize("block", checked("yaml"))
def test_a_file_on_a_page_is_good(block: Block, tmp_path: Path) -> None:
    (tmp_path / "schedules.yaml").write_text(block.text)
    (tmp_path / "schedules.d").mkdir()

    problems = check_settings([tmp_path / "schedules.yaml"], {}, {})[1]

    expected = set(block.mark.removeprefix("warns ").split()) if block.mark.startswith("warns ") else set()
    assert {problem.code for problem in problems} == expected, "\n".join(problem.text() for problem in problems)


@pytest.mark.parametrize("block", checked("sh"))
def test_commands_on_a_page_exist_with_their_flags(block: Block) -> None:
    for line in block.text.splitlines():
        words = shlex.split(
            re.sub(r" > \S+$", "", line), comments=True
        )  # where the output goes is the shell's business
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        if not words:
            continue
        if words[0] == "beatd":
            parse(words[1:])
        elif words[0] == "make":
            target = next(word for word in words[1:] if "=" not in word)
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), line
        else:
            assert words[0] in OTHER_PROGRAMS, line


@pytest.mark.parametrize("line", ["ls --evry", "lss", "config shw", "set", "next -o xml"])
def test_a_command_that_is_none_is_found(line: str) -> None:
    with pytest.raises((click.UsageError, AssertionError)):
        parse(line.split())


def parse(words: list[str]) -> None:
    """Reads a command line as the command would, and does nothing. Raises click.UsageError."""
    group: click.Command = cli
    context = click.Context(cli, info_name="beatd")
    while isinstance(group, click.Group) and words and not words[0].startswith("-"):
        command = group.get_command(context, words[0])
        assert command is not None, f"no command {words[0]!r}"
        group, words = command, words[1:]
    try:
        group.make_context("beatd", list(words), parent=context)
    except click.exceptions.Exit:  # --help and --version
        return


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_text_exist(page: Path) -> None:
    for text in code_of(page):
        if match := re.match(r"beatd ([a-z]+)", text):
            assert match[1] in COMMANDS, text
            assert set(re.findall(r"(?<!\S)--[a-z][a-z-]+", text)) <= flags_of(match[1]), text


def flags_of(name: str) -> set[str]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    known = list(command.params)
    if isinstance(command, click.Group):
        known += [param for sub in command.commands.values() for param in sub.params]
    return {flag for param in known for flag in (*param.opts, *param.secondary_opts)} | {"--help"}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.language == "console" for b in blocks_of(page))], ids=name_of
)
def test_what_a_page_shows_is_what_the_commands_print(
    page: Path, terminal: "Terminal", request: pytest.FixtureRequest
) -> None:
    if any("redis-cli" in block.text for block in blocks_of(page) if block.language == "sh"):
        require(shutil.which("redis-cli"), "redis-cli")
    for block in blocks_of(page):
        if block.mark.startswith(A_FILE):
            (terminal.folder / block.mark.removeprefix(A_FILE)).write_text(f"{block.text}\n")
        if block.language != "console" or block.mark.startswith(NOT_CHECKED):
            continue
        if block.mark == "redis":
            server: RedisServer = request.getfixturevalue("clean_redis")
            terminal.monkeypatch.setenv("BEATD_REDIS_URL", server.url)
        for command, expected in typed(block):
            assert terminal.show(command) == Like(expected), f"{block.place}: {command}"


def test_a_page_that_shows_something_else_is_found(terminal: "Terminal") -> None:
    shown = terminal.show('beatd next "0 9 * * *" --from 2026-01-01T00:00 -n 1')
    assert shown == Like("at 09:00 every day, UTC\n\nUTC ... LATER\nThu 2026-01-01T09:00:00Z  9 h later")
    assert shown != Like("at 09:00 every day, UTC\n\nUTC ... LATER\nThu 2026-01-01T09:00:00Z  8 h later")


def typed(block: Block) -> Iterator[tuple[str, str]]:
    """The commands of a console block, each with what it shows."""
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected.strip("\n")


class Like(str):
    """A text in which ``...`` stands for anything."""

    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        pattern = ".*?".join(re.escape(piece) for piece in self.split("..."))
        return isinstance(other, str) and re.fullmatch(pattern, other, re.DOTALL) is not None

    def __ne__(self, other: object) -> bool:  # that of str would compare the texts as they are
        return not self == other


class Terminal:
    """A folder in which commands are typed; shows what they print, stdout first."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self._capsys = capsys

    def show(self, command: str) -> str:
        words = shlex.split(command, comments=True)
        shown = self._show_ours(words) if words[0] == "beatd" and ">" not in words else self._show_other(command)
        return "\n".join(line.rstrip() for line in shown.splitlines()).strip("\n")

    def _show_ours(self, words: list[str]) -> str:
        self.monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit):
            main()
        streams = self._capsys.readouterr()
        return streams.out + streams.err

    def _show_other(self, command: str) -> str:
        """By a shell, which knows beatd."""
        beatd = f'beatd() {{ PYTHONPATH={shlex.quote(str(ROOT))} {shlex.quote(sys.executable)} -m beatd "$@"; }}'
        script = f"{beatd}\n{command}"
        done = subprocess.run(
            ["sh", "-c", script], cwd=self.folder, capture_output=True, text=True, timeout=30, check=False
        )
        return done.stdout + done.stderr


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    monkeypatch.chdir(tmp_path)
    return Terminal(tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("block", checked("python"))
def test_programs_on_a_page_run(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(tmp_path)
    text = block.text
    if block.mark == "redis":
        text = text.replace("redis://localhost:6379/0", request.getfixturevalue("clean_redis").url)
    exec(compile(text, block.place, "exec"), {"__name__": "example"})


@pytest.mark.parametrize("block", checked("json"))
def test_json_on_a_page_is_json(block: Block) -> None:
    for text in block.text.splitlines() if block.text.startswith("{") and "}\n{" in block.text else [block.text]:
        json.loads(text)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for link in links_of(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{name_of(page)}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors_of(target), f"{name_of(page)}: {link}"


def test_the_index_of_the_docs_names_every_page() -> None:
    index = ROOT / "docs" / "README.md"
    named = {os.path.normpath(index.parent / link.partition("#")[0]) for link in links_of(index)}
    missing = [page.name for page in (ROOT / "docs").glob("*.md") if page != index and str(page) not in named]
    assert not missing


TREATMENTS: dict[str, Callable[..., None] | None] = {
    "yaml": test_a_file_on_a_page_is_good,
    "console": test_what_a_page_shows_is_what_the_commands_print,
    "sh": test_commands_on_a_page_exist_with_their_flags,
    "python": test_programs_on_a_page_run,
    "json": test_json_on_a_page_is_json,
    "text": None,
    "mermaid": None,
    "js": None,
}
