"""Log records as lines: text for people, JSON for machines. One record is one line, whatever it holds (in text, the
further lines of a traceback are indented); no line says a secret, and none is longer than some tens of kB.
"""

import json
import logging
import math
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final

LONGEST_VALUE: Final = 8_000  # characters
LONGEST_TRACE: Final = 32_000
MOST_ITEMS: Final = 100  # of a list or mapping among the fields
DEEPEST: Final = 3
LONGEST_SEARCHED: Final = 64_000  # what is cut off anyway need not be searched for secrets
LARGEST_INT: Final = 2**63
RESERVED: Final = ("ts", "level", "event", "logger", "msg", "exc")
NOTICE: Final = "beatd.notice"  # what `beatd run` says before it runs
Hide = Callable[[str], str]


class EventText:
    """An event as text, made when it is wanted."""

    def __init__(self, event: str, fields: Mapping[str, object]) -> None:
        self.event = event
        self.fields = fields

    def __str__(self) -> str:
        shown = " ".join(f"{key}={_quoted(value)}" for key, value in self.fields.items() if value is not None)
        return f"{self.event} {shown}" if shown else self.event


class LineFormatter(logging.Formatter):
    """Makes a line of a record; never raises. ``hide`` takes secrets out of a text."""

    def __init__(self, hide: Hide) -> None:
        super().__init__()
        self._hide = hide

    def format(self, record: logging.LogRecord) -> str:
        """One record without the line end."""
        try:
            return self._line(record)
        except Exception as error:  # noqa: BLE001  # a foreign object may do anything when it is asked for its text
            told = logging.LogRecord(
                record.name, record.levelno, "", 0, f"not told: {type(error).__name__}", None, None
            )
            told.created = record.created
            return self._line(told)

    def _line(self, record: logging.LogRecord) -> str:
        raise NotImplementedError

    def _clean(self, text: str, longest: int = LONGEST_VALUE) -> str:
        """A text without secrets, halves of characters, and what is too much of it."""
        hidden = self._hide(text[:LONGEST_SEARCHED])
        whole = hidden.encode("utf-8", "backslashreplace").decode()
        if len(whole) <= longest and len(text) <= LONGEST_SEARCHED:
            return whole
        return f"{whole[:longest]}... ({len(text)} characters)"

    def _message(self, record: logging.LogRecord) -> str:
        try:
            text = record.getMessage()
        except (TypeError, ValueError, KeyError):  # another library's, with arguments that don't fit
            text = f"{record.msg} {record.args}"
        return self._clean(text, LONGEST_SEARCHED if record.name == NOTICE else LONGEST_VALUE)

    def _trace(self, record: logging.LogRecord) -> str:
        """The traceback, of a long one its end; what was asked for of the stack."""
        trace = record.exc_text or ""
        if not trace and record.exc_info and record.exc_info[0] is not None:
            trace = "".join(traceback.format_exception(*record.exc_info))
        trace = "\n".join(part.rstrip("\n") for part in (trace, record.stack_info or "") if part)
        return self._clean(trace[-LONGEST_TRACE:], LONGEST_TRACE)

    def _plain(self, value: object, depth: int = 0) -> Any:
        """A value as JSON can say it, and of a bounded size."""
        if isinstance(value, Mapping | list | tuple | set | frozenset) and depth < DEEPEST:
            return self._items(value, depth + 1)
        if value is None or _is_number(value):
            return value
        if type(value) is int:
            return f"an integer of {value.bit_length()} bits"  # to write it down might take for ever
        if isinstance(value, bytes):
            return self._clean(value[:LONGEST_SEARCHED].decode("utf-8", "backslashreplace"))
        return self._clean(str(value))

    def _items(self, values: Any, depth: int) -> Any:
        if isinstance(values, Mapping):
            items = islice(values.items(), MOST_ITEMS)
            return {self._clean(str(key)): self._plain(value, depth) for key, value in items}
        return [self._plain(value, depth) for value in islice(values, MOST_ITEMS)]


class JsonLines(LineFormatter):
    """One JSON object a line: ``ts``, ``level``, then ``event`` and its fields, or ``logger`` and ``msg``."""

    def _line(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {"ts": instant(record.created), "level": record.levelname.lower()}
        event, fields = event_of(record)
        if event is None:
            said.update(logger=self._clean(record.name.removesuffix(".notice")), msg=self._message(record))
        else:
            said["event"] = event
        for key, value in fields.items():
            if value is not None and key not in RESERVED:
                said[key] = self._plain(value)
        if trace := self._trace(record):
            said["exc"] = trace
        text = json.dumps(said, ensure_ascii=False)
        return text if text.isprintable() else json.dumps(said)  # some readers take U+2028 for the end of a line


class TextLines(LineFormatter):
    """For people: instant, level, the event with its fields, or who says what. No colours."""

    def _line(self, record: logging.LogRecord) -> str:
        event, fields = event_of(record)
        if event is not None:
            said = str(EventText(event, {key: self._plain(value) for key, value in fields.items()}))
        else:
            said = f"{record.name}: {_indented(self._message(record))}"
        trace = _indented(f"\n{self._trace(record)}") if record.exc_info or record.stack_info else ""
        if record.name == NOTICE:
            return f"beatd: {_indented(self._message(record), '')}"
        return f"{instant(record.created)} {record.levelname:<7} {said}{trace}"


def instant(seconds: float) -> str:
    """RFC 3339, UTC, always with milliseconds: in a log, columns help more than brevity."""
    return f"{datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def event_of(record: logging.LogRecord) -> tuple[str | None, Mapping[str, object]]:
    """The event that a record tells of, and its fields; None for what is no event."""
    event, fields = getattr(record, "event", None), getattr(record, "fields", None)
    return (event if isinstance(event, str) else None), (fields if isinstance(fields, Mapping) else {})


def _is_number(value: object) -> bool:
    """Whether JSON, and whoever reads it, can say it as a number or a boolean: no subclass that looks otherwise."""
    if type(value) is int:
        return -LARGEST_INT < value < LARGEST_INT
    return type(value) is bool or (type(value) is float and math.isfinite(value))


def _quoted(value: object) -> str:
    """A value on one line: quoted, with line ends and quotes escaped, unless it is a plain word."""
    text = str(value)
    plain = text and text.isprintable() and not any(mark in text for mark in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=not text.isprintable())


def _indented(text: str, by: str = "    ") -> str:
    """Further lines are indented, so that none can pass for a record; what else can't be printed is named."""
    lines = text.replace("\r\n", "\n").split("\n")
    shown = ["".join(char if char.isprintable() else ascii(char)[1:-1] for char in line) for line in lines]
    return f"\n{by}".join(shown)
