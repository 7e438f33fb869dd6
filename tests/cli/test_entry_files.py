"""What `beatd export` writes, in each form: `apply` reads it back to the byte, whatever is in it."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beatd.cli.entry_files import WRITERS
from beatd.config.entry_files import read_entry_files
from beatd.core.entry import LONGEST_NAME, entry_from_spec, spec_from_definition
from beatd.errors import EntryInvalid

OWNER = "apply:default"
LEAST = {"task": "t", "cron": "0 9 * * *", "owner": OWNER}
NAMES = [
    *(
        "a b",
        "a/b",
        "日本語",
        "😀",
        "yes",
        "null",
        "~",
        "12:30",
        "0x1f",
        "1e3",
        "<<",
        "=",
        "schedules",
        "include",
        "name",
    ),
    *("- a", "a: b", "#x", "? y", "|", "*star", "&amp", "!tag", "%x", "@x", "`x", "{a}", "'q'", '"dq"', "\\"),
    *("${HOME}", "$${X}", "x" * LONGEST_NAME, '"' * LONGEST_NAME),
]
TEXTS = [
    *("", " a ", "yes", "a\nb\n", "\t", "\\", '"', "'", "#", "- a", "a: b", "<<", "😀", "${HOME}", "$${HOME}", "$$${"),
    *("\x00", "\x07", "\x7f", "\x85", "\u200b", "\u2028", "\ufeff", "\ufffe", "k" * 2_000, '"' * 600, "é" * 1_100),
]
_TEXT = st.one_of(st.sampled_from(TEXTS), st.text(max_size=5))
_NUMBER = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([1e20, 1e-7, -0.0]),
)
_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), _NUMBER, _TEXT),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_TEXT, inner, max_size=3)),
    max_leaves=8,
)


def definition_of(name: str, **fields: Any) -> str | None:
    try:
        return entry_from_spec(name, {**LEAST, **fields}).to_definition()
    except EntryInvalid:
        return None


def written(form: str, stored: dict[str, str]) -> str:
    """An export in pages of two entries."""
    writer = WRITERS[form]
    found = [(name, spec_from_definition(definition)) for name, definition in stored.items()]
    entries = [(name, {key: value for key, value in spec.items() if key != "owner"}) for name, spec in found]
    pages = [writer.write(entries[at : at + 2], first=at == 0) for at in range(0, len(entries), 2)]
    return writer.begin + "".join(pages) + writer.end if pages else writer.none


def read_back(folder: Path, form: str, text: str) -> dict[str, str]:
    path = folder / f"export.{form}"
    path.write_text(text, encoding="utf-8")
    found = read_entry_files([path], {"HOME": "a variable"}, owner=OWNER)
    assert [problem.text() for problem in found.errors] == []
    return dict(found.definitions)


@pytest.mark.parametrize("form", WRITERS)
def test_every_awkward_name_and_text_comes_back(form: str, tmp_path: Path) -> None:
    kwargs = {text: text for text in TEXTS}
    found = {name: definition_of(name, args=TEXTS, kwargs={**kwargs, "in": [kwargs]}) for name in NAMES}
    stored = {name: definition for name, definition in found.items() if definition is not None}
    assert stored.keys() == set(NAMES)
    assert read_back(tmp_path, form, written(form, stored)) == stored


@given(form=st.sampled_from(list(WRITERS)), args=st.lists(_JSON, max_size=4), kwargs=st.dictionaries(_TEXT, _JSON))
def test_any_arguments_come_back(
    tmp_path_factory: pytest.TempPathFactory, form: str, args: list[Any], kwargs: dict[str, Any]
) -> None:
    definition = definition_of("a", args=args, kwargs=kwargs, description="${HOME}\u2028")
    stored = {} if definition is None else {"a": definition}
    if stored:
        assert read_back(tmp_path_factory.mktemp("export"), form, written(form, stored)) == stored


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_an_export_of_nothing_is_a_file_without_entries(form: str, tmp_path: Path) -> None:
    assert read_back(tmp_path, form, written(form, {})) == {}
