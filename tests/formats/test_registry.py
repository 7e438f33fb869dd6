"""Formats are found by walking the folder: a new one is a new file."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import beatd.formats
from beatd.formats import find_formats

A_FORMAT = """
KIND = "{kind}"

class Template:
    queue_key = "q"
    queue = "q"
    attempts = None
    expires_ms = None
    expires_on = None

    def own(self, name, args, kwargs):
        return ""

    def longest(self, own):
        return 100

    def render(self, own, task_id, slot_ms, delivery_tag):
        return task_id.encode()

def compile_template(task, queue, options, *, origin):
    return Template()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose files are found as if they lay in beatd/formats."""
    known = set(sys.modules)
    monkeypatch.setattr(beatd.formats, "__path__", [*beatd.formats.__path__, str(tmp_path)])
    yield tmp_path
    for name in set(sys.modules) - known:
        if name.startswith("beatd.formats."):
            del sys.modules[name]
            delattr(beatd.formats, name.rpartition(".")[2])


def test_celery_is_a_format() -> None:
    assert find_formats().keys() == {"celery"}


def test_a_format_is_added_by_adding_a_file(folder: Path) -> None:
    (folder / "throwaway.py").write_text(A_FORMAT.format(kind="throwaway"))

    template = find_formats()["throwaway"].compile_template("t", "q", {}, origin="gen1@host")

    assert template.render(template.own("e", (), {}), "id", 0, "tag") == b"id"


def test_two_formats_of_one_kind_are_refused(folder: Path) -> None:
    (folder / "second_celery.py").write_text(A_FORMAT.format(kind="celery"))

    with pytest.raises(TypeError, match="both of kind 'celery'"):
        find_formats()


def test_a_file_that_is_no_format_is_refused(folder: Path) -> None:
    (folder / "stray.py").write_text("KIND = 'stray'\n")

    with pytest.raises(TypeError, match="stray is not a format: it needs a KIND and a compile_template"):
        find_formats()


def test_a_part_of_a_format_is_not_a_format(folder: Path) -> None:
    (folder / "_part.py").write_text("")

    assert find_formats().keys() == {"celery"}


def test_no_template_of_an_entry_is_made_without_its_signature() -> None:
    """``Entry.options`` alone would send a task without its arguments, and no error."""
    package = Path(beatd.formats.__file__).parents[1]
    found = [path for path in package.rglob("*.py") if "entry.queue, entry.options" in path.read_text()]
    assert not found
