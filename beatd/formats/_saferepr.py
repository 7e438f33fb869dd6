"""Python's way of writing plain JSON values, cut short exactly as Celery cuts it.

Workers log these texts and result backends store them, so they must not differ from what Celery's own producer sends.
"""

import re
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Final

LONGEST: Final = 1024
DEEPEST: Final = 3

# Where Python and Celery write differently: quotes, escapes, tuples. Hardly any arguments have them, and thousands of
# messages are made ready before a storm. With no more brackets than levels nothing lies too deep.
_DIFFERS: Final = re.compile(r"[\\\"(]")
_CLOSER: Final = {"[": "]", "{": "}"}


class _Token(Enum):
    OPEN = auto()
    CLOSE = auto()
    MARK = auto()  # separators and elided containers: never cut
    TEXT = auto()  # numbers and names
    QUOTED = auto()


def saferepr(value: Any) -> str:
    """The value in Python's spelling: about 1,024 characters at most, containers below the third level elided.

    Once the length is spent, an ellipsis follows and every open bracket is closed.
    """
    text = repr(value)
    if len(text) < LONGEST and not _DIFFERS.search(text) and text.count("[") + text.count("{") <= DEEPEST:
        return text
    out: list[str] = []
    closers: list[str] = []
    left = LONGEST
    for token, text in _tokens(value, 0):
        if left <= 0 and token is not _Token.CLOSE:
            return "".join([*out, ", ...", *reversed(closers)])
        if token is _Token.OPEN:
            closers.append(_CLOSER[text])
        elif token is _Token.CLOSE:
            closers.pop()
        out.append(_cut(token, text, left))
        left -= len(out[-1])
    return "".join(out)


def _tokens(value: Any, level: int) -> Iterator[tuple[_Token, str]]:
    if isinstance(value, str):
        yield _Token.QUOTED, value
    elif not isinstance(value, dict | list | tuple):
        yield _Token.TEXT, str(value)
    elif level >= DEEPEST:
        yield _Token.MARK, "{...}" if isinstance(value, dict) else "[...]"
    elif isinstance(value, dict):
        yield from _dict_tokens(value, level)
    else:
        yield _Token.OPEN, "["
        for index, item in enumerate(value):
            if index:
                yield _Token.MARK, ", "
            yield from _tokens(item, level + 1)
        yield _Token.CLOSE, "]"


def _dict_tokens(value: dict[str, Any], level: int) -> Iterator[tuple[_Token, str]]:
    yield _Token.OPEN, "{"
    for index, (key, item) in enumerate(value.items()):
        if index:
            yield _Token.MARK, ", "
        yield _Token.QUOTED, key
        yield _Token.MARK, ": "
        yield from _tokens(item, level + 1)
    yield _Token.CLOSE, "}"


def _cut(token: _Token, text: str, length: int) -> str:
    if token is _Token.QUOTED:
        escaped = _truncate(text, length).replace("'", "\\'")
        return f"'{escaped}'"
    return _truncate(text, length) if token is _Token.TEXT else text


def _truncate(text: str, length: int) -> str:
    """Cut at a word where there is one. A text of exactly that length is cut too: Celery does so."""
    return text[:length].rsplit(" ", 1)[0] + "..." if len(text) >= length else text
