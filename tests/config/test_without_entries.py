"""Settings are read without the entries beside them, and are what they are with them."""

from pathlib import Path

import pytest

from beatd.config.load import Loaded, load_files
from beatd.config.parse import parse
from beatd.config.without_entries import without_entries

BIG = "".join(f"  e{n}: {{task: t, every: 5s}}\n" for n in range(30_000))
SOUND = [
    "schedules:\n  a: {task: t, every: 5s}\nnamespace: shop\n",
    "namespace: shop\nschedules: # ours\n\n  # a remark\n# another\n  a:\n    task: t\n    every: 5s",
    "schedules:\r\n  a: {task: t, every: 5s}\r\nnamespace: shop\r\n",
    "x-a: &a {queue: q}\nschedules:\n  a: {<<: *a, task: t, every: 5s}\nnamespace: shop\n",
    "---\nnamespace: shop\nschedules:\n  a:\n    task: t\n    description: |\n      namespace: other\n    every: 5s\n",
]
READ_WHOLE = [
    "schedules: {a: {task: t, every: 5s}}\nnamespace: shop\n",  # a flow
    "schedules:\n  a: {task: &a shop, every: 5s}\nnamespace: *a\n",  # an anchor of an entry
    "schedules:\n  a: {task: t, every: 5s}\n...\n",
    "namespace: shop\n",
]
REACHING = [  # what an entry opens goes on in lines that look like settings
    'schedules:\n  a: {task: t, every: 5s, description: "x\nnamespace: wrong # "}\n',
    "schedules:\n  a: {task: t, every: 5s, description: 'x\nnamespace: wrong # '}\n",
    "schedules:\n  a: {task: t, every: 5s, tags: [x,\nnamespace: wrong # ]\n  ]}\n",
]
WRONG = [
    "schedules:\n- a\nnamespace: shop\n",
    'schedules:\n  a: {task: "t\nnamespace: shop\n", every: 5s}\n',  # a text that reaches over lines
    "schedules:\n  a: {task: t,\nnamespace: shop\n  , every: 5s}\n",
    "schedules:\n  a: {task: t, every: 5s}\nnamespace: a b\n",
    "schedules:\n  a: {task: t, every: 5s}\nnamespac: shop\n",
    "schedules:\n  a: {task: t, every: 5s}\nnamespace: [\n",
    "schedules:\n  a: {task: t, every: 5s}\nschedules:\n  b: {task: t, every: 5s}\n",
]


def loaded(tmp_path: Path, text: str) -> Loaded:
    path = tmp_path / "schedules.yaml"
    path.write_bytes(text.encode())
    return load_files([path], {}, entries=False)


def told(found: Loaded) -> object:
    settings = [{name: said.value for name, said in file.settings.items()} for file in found.files]
    return settings, [(p.line, p.column, p.code) for p in found.problems]


@pytest.mark.parametrize("text", [*SOUND, *READ_WHOLE, *REACHING, *WRONG])
def test_settings_and_what_is_wrong_with_them_are_the_same_as_with_all_that_is_there(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = told(loaded(tmp_path, text))
    monkeypatch.setattr("beatd.config.load.parse_settings", parse)
    assert short == told(loaded(tmp_path, text))


@pytest.mark.parametrize("text", SOUND)
def test_lines_keep_their_numbers(text: str) -> None:
    short = without_entries(text)
    assert short is not None
    assert "every" not in short
    assert short.count("\n") == text.count("\n")
    at = next(n for n, line in enumerate(text.splitlines()) if line == "namespace: shop")
    assert short.splitlines()[at] == "namespace: shop"


@pytest.mark.parametrize("text", [*READ_WHOLE, *REACHING])
def test_what_might_be_meant_otherwise_is_read_whole(text: str) -> None:
    assert without_entries(text) is None


def test_entries_are_not_even_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("beatd.config.parse.parse", lambda *_: pytest.fail("all of it was parsed"))
    found = loaded(tmp_path, f"namespace: shop\nschedules:\n{BIG}\nlog: {{level: debug}}\n")
    assert not found.problems
    assert found.files[0].settings["namespace"].value == "shop"
