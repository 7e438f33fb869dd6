"""The Lua scripts, as text with their digests.

A script's head declares its keys and what it uses of the shared texts: those before it (`uses`) and behind it (`then`).
`common.lua` precedes them all.
"""

import hashlib
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from beatd.store.keys import Keys

Arg = str | bytes | int

_HEAD: Final = re.compile(r"^-- (keys|flags|uses|then): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One script. ``flagged`` (``#!lua``, Redis 7) also works under memory pressure; ``plain`` runs on 6.2.

    contract: for people, what it does, takes and answers.
    """

    name: str
    keys: tuple[str, ...]
    contract: str
    plain: str
    flagged: str

    @property
    def sha(self) -> str:
        """By which a server that has met the plain text knows it."""
        return _digest(self.plain)

    def text(self, *, shebang: bool) -> str:
        """The text for a server that knows ``#!lua`` or does not."""
        return self.flagged if shebang else self.plain


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a script, ready to be sent as EVALSHA or EVAL by any client."""

    script: Script
    keys: tuple[str, ...]
    args: Sequence[Arg]

    def command(self, *, sha: bool, shebang: bool) -> list[Arg]:
        """The words of the command; with ``sha`` the short form that a server may not know yet (NOSCRIPT)."""
        text = self.script.text(shebang=shebang)
        head: list[Arg] = ["EVALSHA", _digest(text)] if sha else ["EVAL", text]
        return [*head, len(self.keys), *self.keys, *self.args]


def call(name: str, keys: Keys, args: Sequence[Arg], more_keys: Iterable[str] = ()) -> Call:
    """A call of the script `name` in a namespace; ``more_keys`` are the queues of a fire."""
    script = load_script(name)
    return Call(script, (*map(keys.key, script.keys), *more_keys), args)


@cache
def load_script(name: str) -> Script:
    """Reads ``<name>.lua``, with the declared keys, `common.lua` and the texts that it uses around it."""
    body = _read(name)
    head = dict(_HEAD.findall(body))
    keys = tuple(head["keys"].split())
    before, behind = ([_read(text) for text in head.get(place, "").split()] for place in ("uses", "then"))
    plain = "\n".join([_declare(keys), _read("common"), *before, body, *behind])
    flagged = f"#!lua flags={head['flags']}\n{plain}" if "flags" in head else plain
    return Script(name, keys, _contract(body), plain, flagged)


def _read(name: str) -> str:
    return files("beatd.store.scripts").joinpath(f"{name}.lua").read_text(encoding="utf-8")


def _contract(body: str) -> str:
    """The comment with which a script begins, without the lines that are for the loader."""
    lines = itertools.takewhile(lambda line: line.startswith("--"), body.splitlines())
    return "\n".join(line.removeprefix("--").removeprefix(" ") for line in lines if not _HEAD.match(line))


def _declare(keys: Sequence[str]) -> str:
    names = ",".join(f"'{key}'" for key in keys)
    lines = [f"local K_{key}=KEYS[{i}]" for i, key in enumerate(keys, 1)]
    return "\n".join([f"local KEY_NAMES={{{names}}}", *lines])


@cache
def _digest(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
