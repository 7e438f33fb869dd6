"""`beatd schema`: to the byte what is sent, and what it takes."""

import hashlib
from typing import Any

import pytest

from beatd.cli.schema import EDITS
from beatd.store.scripts import load_script


def test_without_an_option_it_is_the_schema_of_the_file(beatd: Any) -> None:
    assert beatd("schema").json["$schema"].startswith("https://json-schema.org/")


@pytest.mark.parametrize("name", EDITS)
def test_a_script_is_printed_to_the_byte_and_its_contract_beside_it(beatd: Any, name: str) -> None:
    done = beatd("schema", "--script", name)
    script = load_script(name)
    assert (done.code, done.out) == (0, script.plain)
    assert f"SHA-1 {hashlib.sha1(done.out.encode()).hexdigest()}" in done.err
    assert f"KEYS  {', '.join(script.keys)}\n" in done.err
    assert "\nARGV  format, who" in done.err
    assert "\nReply {one digit a" in done.err
    assert "keys: " not in done.err


def test_a_script_as_json_has_all_that_a_client_needs(beatd: Any) -> None:
    told = beatd("schema", "--script", "put", "-o", "json").json
    script = load_script("put")
    assert told == {
        "name": "put",
        "format": 1,
        "sha": script.sha,
        "keys": list(script.keys),
        "contract": script.contract,
        "text": script.plain,
    }


def test_a_script_that_is_the_leaders_alone_is_not_given_out(beatd: Any) -> None:
    done = beatd("schema", "--script", "fire")
    assert done.code == 2
    assert "'put'" in done.err
