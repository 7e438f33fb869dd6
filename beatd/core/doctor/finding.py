"""What one check has found."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence on one thing that was looked at, and what to do where it is not ok."""

    check: str
    level: Level
    text: str
    fix: str = ""


def ok(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", text)


def warn(check: str, text: str, fix: str) -> Finding:
    """It works, and somebody should know."""
    return Finding(check, "warn", text, fix)


def fail(check: str, text: str, fix: str) -> Finding:
    """It does not work, or will not for long."""
    return Finding(check, "fail", text, fix)


def verdict(findings: Iterable[Finding], *, reachable: bool) -> int:
    """The exit code: 6 where Redis could not be asked, 1 with a failure, else 0."""
    if not reachable:
        return 6
    return 1 if any(finding.level == "fail" for finding in findings) else 0
