"""What is said to do about a name that both a file and somebody else hold."""

import json

import pytest

from beatd.daemon.files import way_out


def definition(owner: str) -> bytes:
    return json.dumps({"task": "t", "every": "1h", "owner": owner}).encode()


@pytest.mark.parametrize("stored", [definition("api"), None, b"{"])
def test_what_was_set_by_hand_is_removed(stored: bytes | None) -> None:
    assert way_out("my report", stored) == "beatd rm 'my report' gives the name to the file; or take it out of the file"


def test_what_was_applied_is_taken_out_where_it_comes_from() -> None:
    told = way_out("report", definition("apply:the team"))
    assert "beatd apply --owner 'the team' --prune" in told
    assert "beatd rm" not in told
