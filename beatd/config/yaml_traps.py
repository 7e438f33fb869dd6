"""Why a text is not YAML, in the words of the person who wrote it, and the line as it was probably meant.

The parser's own words are about tokens, and the two parsers word them differently; so a trap looks at the line. Each
gives the mended line, which is the hint, and which also lets the rest of the file be read.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

# A key with its colon, or a dash, at the beginning of a line or inside a flow collection.
_HEAD: Final = (
    r"""^(?P<head>\s*(?:-\s+)*(?:(?:"[^"]*"|'[^']*'|[^\s#:'"{}\[\],&*!|>%@`-][^:#{}\[\]"']*?)\s*:\s+|(?<=-\s)))"""
)
_VALUE: Final = re.compile(_HEAD + r"(?P<value>[^\s\"'\[{|>&!#].*?)(?P<rest>\s+\#.*|\s*)$")
_IN_FLOW: Final = re.compile(
    r"(?P<head>[\[{,]\s*(?:[\w.-]+\s*:\s+)?)(?P<value>[*@%`][^\"'\[\]{}]*?)(?P<rest>\s*(?:,\s*(?:[\w.<-]+\s*:|[\[{\"'])|[}\]]|$))"
)
_ALIAS: Final = re.compile(r"\*[^\s,\[\]{}]+")
_HOLE_IN_FLOW: Final = re.compile(r"(?P<head>[\[{,:]\s*)(?P<value>[^\s,:\"'{}\[\]]*\$\{[^{}\"]*\}[^\s,\"'{}\[\]]*)")
_BRACES: Final = re.compile(_HEAD + r"(?P<value>[^\s\"'|>#]?.*?\{\{.*\}\}.*?)(?P<rest>\s+\#.*|\s*)$")
_TAB: Final = re.compile(r"^(?P<head> *)(?P<value>\t[\t ]*)")
_NO_BLANK: Final = re.compile(r"^(?P<head>\s*(?:-\s+)*[A-Za-z_][\w.-]*:)(?P<value>[^\s/:][^\s]*.*)$")


class Trap(NamedTuple):
    """What a line falls into: the column of it (from 0), and the line mended."""

    code: str
    column: int
    message: str
    hint: str
    mended: str


def trap_in(lines: Sequence[str], number: int) -> Trap | None:
    """The trap that a line, at which the parser gave up, has fallen into; None for one that isn't known."""
    line = lines[number]
    found = _tab(line, lines[number - 1] if number else "")
    return found or next((trap for trap in (look(line) for look in _TRAPS) if trap), None)


def _tab(line: str, before: str) -> Trap | None:
    found = _TAB.match(line)
    if not found:
        return None
    deeper = 2 if before.rstrip().endswith(":") else 0
    mended = " " * (len(before) - len(before.lstrip()) + deeper) + line[found.end() :]
    return Trap("E030", found.start("value"), "a tab in the indentation", "indent with blanks", mended)


def _begins_oddly(line: str) -> Trap | None:
    found = _VALUE.match(line) or _IN_FLOW.search(line)
    if not found or found["value"][0] not in _ODD_FIRST or _ALIAS.fullmatch(found["value"]):
        return None
    first = found["value"][0]
    code, message = _ODD_FIRST[first]
    return _quoted(code, message.format(first), found)


def _braces(line: str) -> Trap | None:
    found = _BRACES.match(line)
    return _quoted("E024", "unquoted {{ begins a mapping, and no template is filled in", found) if found else None


def _hole_in_flow(line: str) -> Trap | None:
    found = _HOLE_IN_FLOW.search(line)
    if not found or "{" not in line[: found.start("value")]:
        return None
    return _quoted("E024", "inside braces or brackets a variable needs quotes", found)


def _second_colon(line: str) -> Trap | None:
    found = _VALUE.match(line)
    if not found or not re.search(r":(?:\s|$)", found["value"]) or found["value"][0] in _ODD_FIRST:
        return None
    message = "an unquoted text has no second colon followed by a blank"
    return _quoted("E025", message, found)


def _no_blank(line: str) -> Trap | None:
    found = _NO_BLANK.match(line)
    if not found:
        return None
    mended = f"{found['head']} {found['value']}"
    return Trap("E031", found.end("head"), "a blank is missing after the colon", f"write {mended.strip()}", mended)


def _quoted(code: str, message: str, found: "re.Match[str]") -> Trap:
    """The value in double quotes; the hint shows the key with it."""
    value = found["value"].replace("\\", "\\\\").replace('"', '\\"')
    start, end = found.span("value")
    mended = f'{found.string[:start]}"{value}"{found.string[end:]}'
    head = found["head"].strip().lstrip("[{,:").strip()
    hint = f'write {head} "{value}"' if head else f'write "{value}"'
    return Trap(code, start, message, hint, mended)


_ODD_FIRST: Final = {
    "*": ("E021", "an unquoted {} begins a YAML alias"),
    "@": ("E022", "no unquoted text begins with {}"),
    "%": ("E023", "no unquoted text begins with {}"),
    "`": ("E023", "no unquoted text begins with {}"),
}
_TRAPS: Final[tuple[Callable[[str], Trap | None], ...]] = (
    *(_begins_oddly, _hole_in_flow, _braces, _second_colon, _no_blank),
)
