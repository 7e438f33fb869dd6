"""Who makes an edit, as the change log is told: never more than the scripts accept."""

import json

import pytest

from beatd.errors import EntryInvalid
from beatd.store.entries import MOST_WHO, audit, saying


def test_who_makes_an_edit_says_client_user_and_host_and_a_note_if_there_is_one() -> None:
    assert json.loads(audit("beatd set", "ann", "web-1")) == {"client": "beatd set", "user": "ann", "host": "web-1"}
    assert json.loads(audit("c", "ann", "web-1", "why"))["note"] == "why"


@pytest.mark.parametrize("letter", ["x", "\u00fc", "\x01", "\U0001f600"])
def test_a_note_that_is_too_long_is_refused_in_our_words(letter: str) -> None:
    with pytest.raises(EntryInvalid, match="at most 4096 are accepted") as caught:
        audit("c", "ann", "web-1", letter * 4_096)
    assert caught.value.hint == "shorten the note"


@pytest.mark.parametrize("letter", ["x", "\u00fc"])
def test_what_would_be_too_much_is_left_unsaid(letter: str) -> None:
    who = audit("beatd run", "ann", "web-1")
    assert json.loads(saying(who, files=["/etc/a.yaml"])) == {**json.loads(who), "files": ["/etc/a.yaml"]}
    assert saying(who, files=[letter * 250] * 20) == who
    assert len(saying(who, files=[letter * 250] * 2)) <= MOST_WHO
