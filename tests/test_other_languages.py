"""The page for other languages: its hashes are ours, and what its program sends is an entry like ours."""

import json
import re
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from beatd.cli.schema import EDITS
from beatd.core.edit import put_item
from beatd.core.entry import entry_from_definition, entry_from_spec
from beatd.core.fire import TASK_ID_NAMESPACE, TaskIds, jitter_of, name_hash
from beatd.store.bounds import SKIP_ROWS
from beatd.store.entries import LOG_ROWS, Pause, pause_call, put_call
from beatd.store.keys import FORMAT, Keys
from beatd.store.scripts import Arg, call, load_script
from tests.support.pages import ROOT, bare, blocks_of, table_of

PAGE = ROOT / "docs" / "other-languages.md"
PROTOCOL = ROOT / "docs" / "protocol.md"
CASES: list[tuple[str, dict[str, Any], int]] = [
    ("plain", {"task": "t.t", "every": "15m"}, 0),
    ("Übersicht", {"task": "t.t", "cron": "0 9 * * mon-fri", "timezone": "Europe/Paris", "jitter": "10m"}, 600_000),
    ("counted", {"task": "t.t", "at": "2099-01-01T00:00:00Z", "max_runs": 3, "args": [1, "é"], "enabled": False}, 0),
]


@pytest.mark.parametrize("row", table_of(PAGE, "name"), ids=lambda row: row[0])
def test_h_of_a_name_and_its_jitter_are_as_the_page_tells(row: list[str]) -> None:
    name, hashed, jitter, offset = (bare(cell) for cell in row)
    entry = entry_from_spec(name, {"task": "t", "every": "1h", "jitter": jitter})
    assert (str(name_hash(name)), str(jitter_of(name, entry.policy.jitter_ms))) == (hashed, offset)
    assert put_item(entry, "n").jitter == int(offset)


@pytest.mark.parametrize("row", table_of(PAGE, "keys of the entry"), ids=lambda row: row[0])
def test_a_fingerprint_is_as_the_page_tells(row: list[str]) -> None:
    keys, text, fingerprint = (bare(cell) for cell in row)
    entry = entry_from_spec("x", {"task": "t", **json.loads(keys)})
    decides = {"jitter": entry.policy.jitter_ms, "schedule": entry.schedule.to_spec()}
    assert json.loads(text) == decides
    assert entry.fingerprint == fingerprint


@pytest.mark.parametrize("row", table_of(PAGE, "namespace"), ids=lambda row: row[1])
def test_a_task_id_is_as_the_page_tells(row: list[str]) -> None:
    namespace, name, slot, task_id = (bare(cell) for cell in row)
    assert TaskIds(namespace).of(name, int(slot)) == task_id
    assert str(uuid.uuid5(TASK_ID_NAMESPACE, f"{namespace}\x1f{name}\x1f{slot}")) == task_id
    assert str(TASK_ID_NAMESPACE) in PAGE.read_text()


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    rows = {row[0]: bare(row[1]) for row in table_of(PAGE, "argument")}
    assert rows["format"].startswith(f"{FORMAT}.")
    assert rows["rows kept"].startswith(f"{LOG_ROWS} in log and {SKIP_ROWS} in skip")


def test_the_scripts_for_all_are_those_that_the_protocol_gives_to_anyone() -> None:
    anyones = {name.strip() for row in table_of(PROTOCOL, "script") if row[1] == "anyone" for name in row[0].split(",")}
    assert {bare(name) for name in anyones} == set(EDITS)
    page = PAGE.read_text()
    assert all(f"`{name}`" in page for name in EDITS)


@pytest.mark.parametrize("row", table_of(PAGE, "edit"), ids=lambda row: row[0])
def test_each_edit_takes_what_the_page_tells_and_answers_so(redis_client: "redis.Redis", row: list[str]) -> None:
    edit, given, told = (bare(cell) for cell in row)
    keys, item = Keys(), put_item(entry_from_spec("e", {"task": "t", "every": "1h", "max_runs": 2}), "n0", left="2")
    send(redis_client, put_call(keys, [item], "{}").command(sha=False, shebang=False))
    if edit == "resume":
        send(redis_client, pause_call(keys, ["e"], "n1", "{}", Pause("ann")).command(sha=False, shebang=False))
    values = {"WHO": "{}", "BY": "ann", "NOTE": "", "UNTIL": "", "NONCE": "n2", "ID": "i1", "CURSOR": "0", "EMPTY": ""}
    values["TEXT"] = '{"kind": "trigger", "name": "e"}'

    def code(name: str) -> str:
        words = [{**values, "NAME": name}.get(word, word) for word in given.split()]
        return send(redis_client, call(edit, keys, words).command(sha=False, shebang=False))

    codes = set(re.findall(r"(\d): ", told))
    assert code("e") == "0"
    assert code("e") in codes
    values["ID"] = "i2"
    assert code("nobody") in codes
    assert codes <= set(re.findall(r"\b([1-9]) ", load_script(edit).contract.partition("Reply")[2]))


def send(client: "redis.Redis", words: Sequence[Arg]) -> str:
    codes, _ = client.execute_command(*words)
    return str(codes.decode())


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """The page's module, beside the script that it reads."""
    (block,) = [block for block in blocks_of(PAGE) if block.language == "js"]
    path = tmp_path / block.mark.removeprefix("file: ")
    path.write_text(block.text)
    script = load_script("put")
    told = {"format": FORMAT, "keys": script.keys, "text": script.plain}
    (tmp_path / "put.json").write_text(json.dumps(told))
    return path


def words_of(program: Path, name: str, entry: dict[str, Any], jitter_ms: int) -> list[str]:
    given = json.dumps(["other", name, entry, {"jitterMs": jitter_ms, "nonce": "n1", "expected": ""}])
    code = f'import {{ putWords }} from "./{program.name}"; console.log(JSON.stringify(putWords(...{given})))'
    node = shutil.which("node")
    if node is None:  # no server, and too much to be installed for one test
        pytest.skip("no Node.js")
    done = subprocess.run(
        [node, "--input-type=module", "-e", code], cwd=program.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    words: list[str] = json.loads(done.stdout)
    return words


@pytest.mark.parametrize("name, spec, jitter_ms", CASES, ids=[name for name, _, _ in CASES])
def test_what_javascript_sends_is_what_we_would_send(
    program: Path, redis_client: "redis.Redis", name: str, spec: dict[str, Any], jitter_ms: int
) -> None:
    keys, entry = Keys("other"), entry_from_spec(name, spec)
    left = str(spec.get("max_runs", ""))
    ours = put_call(keys, [put_item(entry, "n1", expected="", left=left)], '{"client":"my-app"}')
    command = [str(word) for word in ours.command(sha=False, shebang=False)]

    words = words_of(program, name, spec, jitter_ms)

    definition = words.index(json.dumps(spec, ensure_ascii=False, separators=(",", ":")))
    assert words[:definition] == command[:definition]
    assert words[definition + 1 :] == command[definition + 1 :]
    assert entry_from_definition(name, words[definition]) == entry
    codes, _ = redis_client.execute_command(*words)
    assert codes == b"0"
    assert redis_client.hget(keys.key("rev"), name) == f"n1.{entry.fingerprint}".encode()
