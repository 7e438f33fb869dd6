"""A file's text without its entries, for who wants settings only: tens of thousands of them take seconds to read."""

import re
from typing import Final

_ODD_BREAK: Final = re.compile("\r(?!\n)|[\x85\u2028\u2029]")  # ends a line in YAML, and nowhere else
_HEAD: Final = re.compile(r"^schedules:[ ]*(?: #[^\r\n]*)?\r?$", re.MULTILINE)
_NEXT: Final = re.compile(r"\n(?=[^\s#])")
_DOCUMENT: Final = ("---", "...")


def without_entries(text: str) -> str | None:
    """The text with blank lines in place of what is indented below `schedules:`; None: all of it is to be read.

    The caller reads the whole text where anything is wrong with what is left: a quoted text or a bracket may reach over
    lines that look like others, and then the rest is no sound file.
    """
    head = _HEAD.search(text)
    if head is None or _ODD_BREAK.search(text):
        return None
    after = _NEXT.search(text, head.end())
    end = after.end() if after else len(text)
    rest = text[end:]
    meant_elsewhere = "*" in rest and "&" in text[head.end() : end]  # an anchor of an entry
    if rest.startswith(_DOCUMENT) or meant_elsewhere:
        return None
    blank = "\n" * text.count("\n", head.start(), end)
    return f"{text[: head.start()]}schedules: {{}}{blank}{rest}"
