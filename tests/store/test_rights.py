"""The rights that beatd asks for are those that it uses: no command is forgotten, and the line can be typed."""

import re
import shlex
from pathlib import Path

import beatd.store
from beatd.store.keys import Keys
from beatd.store.rights import LOOKS, NEEDED, OPTIONAL, Rights, keys_in

STORE = Path(beatd.store.__file__).parent
NO_COMMANDS = {"STREAMS", "ERR", "BLOCK", "COUNT"}  # words of commands, and of answers


def test_every_command_that_is_sent_or_run_in_a_script_is_among_the_rights() -> None:
    scripts = "".join(path.read_text() for path in (STORE / "scripts").glob("*.lua"))
    used = set(re.findall(r"redis\.p?call\('([A-Z]+)'", scripts))
    for path in STORE.glob("*.py"):
        used |= set(re.findall(r"""[(\[]"([A-Z]{3,})"[,)]""", path.read_text()))
    known = {name.upper().split("|")[0] for name in (*NEEDED, *OPTIONAL, *LOOKS)}
    assert {"LPUSH", "ZADD", "XREAD", "HSCAN"} <= used
    assert not used - known - NO_COMMANDS


def test_the_line_names_the_keys_the_queues_and_the_channel_of_the_namespace() -> None:
    words = shlex.split(Rights(Keys("shop"), ("celery", "slow lane"), "bob").acl_line())
    assert words[:6] == ["ACL", "SETUSER", "bob", "~{beatd:shop:0}:*", "~celery*", "~slow lane*"]
    assert words[6] == "&{beatd:shop:0}:ctl"
    assert all(word.startswith("+") for word in words[7:])


def test_the_line_in_the_page_on_troubleshooting_is_this_one() -> None:
    page = (Path(__file__).parents[2] / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    shown = page[page.index("ACL SETUSER beatd") :].split("```", 1)[0].replace("on >PASSWORD ", "")
    assert shown.split() == Rights(Keys(), user="beatd").acl_line().split()


def test_queues_of_a_refused_call_are_asked_about_too() -> None:
    rights = Rights(Keys()).also(keys_in(["EVALSHA", "0" * 40, 2, "{beatd:default:0}:due", "other", 1, 2]))
    assert rights.queues == ("celery", "other")
    assert keys_in(["HGET", "a", "b"]) == []


def test_without_the_keys_of_beatd_its_commands_are_not_listed_too() -> None:
    rights = Rights(Keys())
    asked = [what for what, _ in rights._asked()]
    denied = {"hget", "zadd", "xadd", "the keys {beatd:default:0}:*"}
    with_keys = [n + 1 for n, what in enumerate(asked) if what in denied]
    assert rights.missing(with_keys).needed == ("the keys {beatd:default:0}:*",)
    assert rights.missing(None) == rights.missing([])
