"""What all commands share: help that can be read, errors that can be parsed."""

from typing import Any

import pytest

from beatd import __version__
from beatd.cli.main import COMMANDS
from beatd.core.zone import data_version


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_keeps_its_examples_on_lines_of_their_own(beatd: Any, command: str) -> None:
    done = beatd(*command.split(), "--help")
    assert done.code == 0
    assert not {"\b", "\\"} & set(done.out)
    assert all(line.count("beatd ") <= 1 for line in done.lines)


@pytest.mark.parametrize("words", [["-o", "json"], ["-ojson"], ["--output", "ndjson"], ["--output=ndjson"]])
def test_an_error_is_json_where_json_is_asked_for(beatd: Any, words: list[str]) -> None:
    assert beatd("next", "61 * * * *", *words).error["code"] == 3
    assert set(beatd("next", *words).error) == {"error", "code", "message", "hint"}


def test_the_version_tells_whose_zone_data_are_in_use(beatd: Any) -> None:
    done = beatd("--version")
    assert done.code == 0
    assert done.out == f"beatd {__version__} (zone data {data_version()})\n"
