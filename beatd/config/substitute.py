"""`${VAR}`, `${VAR:-default}` and `${VAR:?message}` in texts; `$${` is a literal `${`."""

import re
from collections.abc import Mapping
from typing import Final

_HOLE: Final = re.compile(r"\$\$\{|\$\{([A-Za-z_][A-Za-z0-9_]*)(?:(:-|:\?)([^{}]*))?\}|\$\{")
FORMS: Final = "${VAR}, ${VAR:-default} and ${VAR:?message} are accepted, and $${ for a literal ${"


class Unset(Exception):  # named by what happened, as in errors.py
    """A hole that can't be filled: ``code`` and ``hint`` say which problem it is."""

    def __init__(self, code: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.code, self.message, self.hint = code, message, hint


def substitute(text: str, env: Mapping[str, str]) -> tuple[str, bool]:
    """The text with every hole filled, and whether it was wholly one hole (and so takes the type of what filled it).

    Raises Unset.
    """
    whole = _HOLE.fullmatch(text)
    return _HOLE.sub(lambda hole: _fill(hole, env), text), whole is not None and whole[1] is not None


def _fill(hole: "re.Match[str]", env: Mapping[str, str]) -> str:
    name, how, rest = hole[1], hole[2], hole[3]
    if hole[0] == "$${":
        return "${"
    if name is None:
        raise Unset("E041", f"found {hole.string[hole.start() :][:40]!r}", FORMS)
    found = env.get(name)
    if found is not None and (found or how is None):
        return found
    if how == ":-":
        return str(rest)
    state = "is not set" if found is None else "is empty"
    message = f"{name} {state}: {rest}" if rest else f"{name} {state}"
    raise Unset("E040", message, f"set it in the environment, or write ${{{name}:-default}}")
