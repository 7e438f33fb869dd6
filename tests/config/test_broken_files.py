"""What people are told about broken files: every file of the folder `broken`, word by word.

After a change of words: UPDATE_BROKEN=1 python -m pytest tests/config/test_broken_files.py, and read the difference.
"""

import os
from pathlib import Path

import pytest
import yaml

from beatd.config import parse, yaml_tree
from beatd.config.codes import CODES
from beatd.config.load import load_files
from beatd.config.problems import errors_of, report
from beatd.config.settings import check_settings
from beatd.config.source import Source

FOLDER = Path(__file__).parent / "broken"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
# Told without a file of their own: by size, by bounds, by several files, by variables, by the file system and by JSON.
ELSEWHERE = {"E001", "E002", "E009", "E010", "E012", "E045", "E051", "W024", "W026"}


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_file_is_told_word_by_word(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    told = report(check_settings([Path(f"{name}.yaml")], {}, {})[1]) + "\n"
    expected = FOLDER / f"{name}.txt"
    if os.environ.get("UPDATE_BROKEN"):
        expected.write_text(told, encoding="utf-8")
    assert told == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_parser_written_in_python_finds_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """PyYAML without libyaml words its errors otherwise, and we must not depend on the words."""
    monkeypatch.chdir(FOLDER)
    paths = [Path(f"{name}.yaml")]
    fast = [(p.line, p.code) for p in load_files(paths, {}).problems]

    def slow(source: Source, text: str, most_nodes: int) -> object:
        return yaml_tree.build_tree(source, text, yaml.SafeLoader, most_nodes)

    monkeypatch.setattr(parse, "build_tree", slow)
    assert [(p.line, p.code) for p in load_files(paths, {}).problems] == fast


def test_every_code_is_shown_by_some_file() -> None:
    shown = {word for name in NAMES for word in (FOLDER / f"{name}.txt").read_text(encoding="utf-8").split()}
    assert {code for code in CODES if code not in shown} == ELSEWHERE


def test_a_problem_of_an_unknown_code_is_told_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    codes = {p.code for name in NAMES for p in check_settings([Path(f"{name}.yaml")], {}, {})[1]}
    assert codes <= CODES.keys()


def test_the_folder_holds_broken_files_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    good = [name for name in NAMES if not errors_of(check_settings([Path(f"{name}.yaml")], {}, {})[1])]
    assert good == ["warnings"]
