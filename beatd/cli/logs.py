"""What `beatd run` says on stderr: log lines, its notices before, and the error that ends it, all in one form.

Text on a terminal, JSON lines otherwise, unless somebody chose. Where stderr is the journal of systemd, each line
begins with its level (`<4>`), which the journal takes off.
"""

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from beatd.cli.secrets import KNOWN
from beatd.daemon.log_lines import NOTICE, JsonLines, TextLines
from beatd.daemon.log_writer import LogHandler
from beatd.errors import BeatdError

STDERR: Final = 2
_LOG: Final = logging.getLogger("beatd")
_NOTICES: Final = logging.getLogger(NOTICE)
_SYSLOG: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
FORMS: Final = {"text": TextLines, "json": JsonLines}


class Logs:
    """The log of a daemon. Before its settings are known, flag and variable have to do."""

    def __init__(self, form: str | None) -> None:
        self._handler = LogHandler(STDERR, _formatter(form), _journal_prefix if _is_journal(STDERR) else _nothing)

    def use(self, form: str, level: str) -> None:
        """What the settings say."""
        self._handler.setFormatter(_formatter(form))
        logging.getLogger().setLevel(level.upper())

    def notice(self, text: str) -> None:
        """Something to know before it runs, whatever the level."""
        _NOTICES.info("%s", text)

    def refusal(self, error: BeatdError) -> None:
        """The error that ends it, in JSON with the fields of `-o json`, and problems with those of `check`."""
        if isinstance(self._handler.formatter, JsonLines):
            fields = error.fields()
            _NOTICES.error("%s", fields.pop("message"), extra={"fields": fields})
        else:
            _NOTICES.error("%s%s", error.message, f"\n  hint: {error.hint}" if error.hint else "")


@contextmanager
def logging_to_stderr(form: str | None) -> Iterator[Logs]:
    """Takes over all logging of this process, warnings and the last words of threads with it. At the end everything
    said is written, as far as that takes no longer than a second.
    """
    _keep_standard_streams()
    logs = Logs(form)
    root, handler = logging.getLogger(), logs._handler  # noqa: SLF001  # made for each other
    before = root.handlers[:], root.level, sys.excepthook, threading.excepthook, sys.unraisablehook
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    _NOTICES.setLevel(logging.INFO)
    logging.captureWarnings(True)
    sys.excepthook = lambda kind, error, trace: _LOG.critical("a defect", exc_info=(kind, error, trace))
    threading.excepthook = _thread_died
    sys.unraisablehook = lambda told: _LOG.error("%s", told.err_msg or "a defect", exc_info=told.exc_value)
    try:
        yield logs
    except Exception as error:
        _LOG.critical("a defect ended this", exc_info=True)
        raise SystemExit(1) from error
    finally:
        handler.flush()
        logging.captureWarnings(False)
        root.handlers[:], level, sys.excepthook, threading.excepthook, sys.unraisablehook = before
        root.setLevel(level)


def _thread_died(told: threading.ExceptHookArgs) -> None:
    name = told.thread.name if told.thread else "?"
    _LOG.error("thread %s died", name, exc_info=(told.exc_type, told.exc_value or told.exc_type(), told.exc_traceback))


def _formatter(form: str | None) -> logging.Formatter:
    chosen = FORMS.get(form or "") or (TextLines if _is_terminal(STDERR) else JsonLines)
    return chosen(KNOWN.hide)


def _is_terminal(fd: int) -> bool:
    with suppress(OSError):
        return os.isatty(fd)
    return False


def _is_journal(fd: int) -> bool:
    """Whether systemd's journal reads there: it says which socket it gave us, and another may have replaced it."""
    with suppress(OSError):
        found = os.fstat(fd)
        return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
    return False


def _journal_prefix(level: int) -> str:
    return f"<{next((number for least, number in _SYSLOG if level >= least), 7)}>"


def _nothing(level: int) -> str:
    return ""


def _keep_standard_streams() -> None:
    """Opens what is closed of stdin, stdout and stderr: the next socket would be given that number, and then log lines
    would be sent to Redis.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
