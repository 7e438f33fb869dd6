"""What can go wrong, named by what the caller should do next.

Every error carries a message that says what was found and what is accepted, an optional hint (what to do), and the
exit code the command line ends with.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

__all__ = [
    "AccessDenied",
    "BeatdError",
    "ClientClosed",
    "ConfigInvalid",
    "Conflict",
    "EntryInvalid",
    "LeaseLost",
    "NoSlot",
    "NotFound",
    "OtherOwner",
    "OutboxFull",
    "Refused",
    "ScheduleInvalid",
    "Unreachable",
    "WritesRefused",
]


class BeatdError(Exception):
    """Base of all errors beatd raises on purpose."""

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def fields(self) -> dict[str, object]:
        """What `-o json` promises of every error; some errors have more."""
        return {"error": self.code, "code": self.exit_code, "message": self.message, "hint": self.hint}


class ScheduleInvalid(BeatdError, ValueError):
    """A schedule that can't be read, or that can never fire. Mend the text."""

    exit_code = 3
    code = "schedule_invalid"


class EntryInvalid(BeatdError, ValueError):
    """An entry's definition that can't be read. Mend the definition."""

    exit_code = 3
    code = "entry_invalid"


class ConfigInvalid(BeatdError):
    """A configuration that can't be used. Mend the file, flag or variable."""

    exit_code = 3
    code = "config_invalid"


class NoSlot(BeatdError):
    """A sound schedule without a slot in the range that was asked about. Ask for another range, or change it."""

    code = "no_slot"


class NotFound(BeatdError):
    """No entry of that name."""

    exit_code = 4
    code = "not_found"


class Refused(BeatdError):
    """A conflict: another owner, a lost race, a limit."""

    exit_code = 5
    code = "refused"


class Conflict(Refused):
    """Somebody changed an entry after the revision that an edit was based on. Look at it again, and repeat the edit.

    name: the entry. revision: the one it has now, '' where it was removed. changes: (field, before, now) of each field
    that differs, where that is known.
    """

    code = "conflict"

    def __init__(
        self,
        message: str,
        *,
        name: str,
        revision: str = "",
        changes: Sequence[tuple[str, Any, Any]] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.name = name
        self.revision = revision
        self.changes = tuple(changes)


class OtherOwner(Refused):
    """The definition belongs to somebody else: a file, or what was applied under a label. Change it there."""

    code = "owner"

    def __init__(self, message: str, *, name: str, owner: str, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.name = name
        self.owner = owner


class OutboxFull(Refused):
    """Too many fires wait for their broker: what is due stays in the timetable. Met by leaders only."""

    code = "outbox_full"


class Unreachable(BeatdError):
    """Redis (or a broker) gave no answer, or an answer that makes work impossible. Try again later."""

    exit_code = 6
    code = "unreachable"


class WritesRefused(Unreachable):
    """The server as a whole refuses to write: no memory, disk or replicas. Another instance would meet the same."""

    code = "writes_refused"


class AccessDenied(Unreachable):
    """Redis answered, and said no: wrong password, missing right, TLS expected, database refused. Tell a human."""

    code = "access_denied"


class ClientClosed(BeatdError):
    """This client was closed. Make another one."""

    code = "client_closed"


class LeaseLost(BeatdError):
    """This process does not hold the lease any more: stop firing, stay a candidate."""

    code = "lease_lost"
