"""A file's text without its entries, for who wants settings only: YAML takes seconds to read tens of thousands of them.

Lines are left out only where it is certain that YAML ends the entries there too: each line up to there is whole in
itself, with no quote, bracket or anchor that reaches into another. Any doubt is a None.
"""

import re
from functools import cache
from typing import Final

_ODD_BREAK: Final = re.compile("\r(?!\n)|[\x85\u2028\u2029]")  # ends a line in YAML, and nowhere else
_HEAD: Final = re.compile(r"^schedules:[ ]*+(?:(?<=[ ])\#[^\r\n]*+)?(?:\r?\n|\Z)", re.MULTILINE)
_NEXT: Final = re.compile(r"\n(?=[^ \t#\r\n])")
_ANCHOR: Final = re.compile(r"[ \[{,]&\w")  # may be meant by what stands behind the entries
_START: Final = re.compile(r"(?>(?:(?:\#[^\r\n]*+)?\r?\n)*)---[ ]*+\r?\n")
_DOCUMENT: Final = ("---", "...")


@cache  # compiled where it is needed
def _whole_lines() -> "re.Pattern[str]":
    """Lines that are whole in themselves. An empty one at the very end is none: it would match for ever.

    Atomic groups and not possessive ones where something inside may turn back: before Python 3.11.5 these miss matches.
    """
    quoted = r"""(?:"(?>(?:[^"\\\r\n]++|\\[^\r\n])*)"|'(?>(?:[^'\r\n]++|'')*)')"""
    plain = r"""(?:[-:](?=\S)|[^\s\[\]{},"'#&*!|>%@`:?-])[^:#\r\n]*+(?>(?:(?::(?!\s|\Z)|(?<![ \t])\#)[^:#\r\n]*+)*)"""
    quoted_inside = rf"(?:(?<=[\[{{,])|(?<=[\[{{,:] )){quoted}(?=[ ]*+[,:\]}}])"
    flow = ""
    for _ in range(3):  # so many levels
        flow = rf"""[\[{{](?>(?:[^\[\]{{}}"'#&\r\n]++|{quoted_inside}{flow and "|"}{flow})*)[\]}}]"""
    key = rf"(?:(?:{plain}|{quoted}):(?=\s|\Z)[ ]*+)"
    value = rf"(?>(?:&[\w.-]++(?=\s)[ ]*+)?)(?>(?:{plain}|{quoted}|{flow}|[|>][0-9+-]{{0,2}}|\*[\w.-]++)?)"
    content = rf"(?!---|\.\.\.|%)[ ]*+(?:-[ ]++)*+(?>{key}?){value}"
    return re.compile(rf"(?>(?:(?!\Z){content}[ ]*+(?>(?:(?<![^ \n])\#[^\r\n]*+)?)(?:\r?\n|\Z))*)")


def without_entries(text: str) -> str | None:
    """The text with no line of `schedules:` but the first, and blank ones in their places; None: read all of it."""
    head = _HEAD.search(text)
    if head is None or ((not text.isascii() or "\r" in text) and _ODD_BREAK.search(text)):
        return None
    after = _NEXT.search(text, head.end() - 1)
    end = after.end() if after else len(text)
    if text.startswith(_DOCUMENT, end) or _ANCHOR.search(text, head.end(), end):
        return None
    start = _START.match(text)
    if not _whole_lines().fullmatch(text, start.end() if start else 0, end):
        return None
    blank = "\n" * text.count("\n", head.start(), end)
    return f"{text[: head.start()]}schedules: {{}}{blank}{text[end:]}"
