"""The identity of a fire: task id, jitter and phase, all by hash so that any language computes the same."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol, get_args

# Fixed for ever: task ids of all beatd installations derive from it.
TASK_ID_NAMESPACE: Final = uuid.UUID("6e0a4b1c-2b0f-5d0e-9a53-0c8f3d7be47d")
UNIT_SEPARATOR: Final = "\x1f"


def name_hash(name: str) -> int:
    """h(name): the first 8 bytes of SHA-256 of the NFC UTF-8 name, big-endian."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")


def jitter_of(name: str, jitter_ms: int) -> int:
    """The entry's stable offset: h(name) mod jitter, 0 without jitter."""
    return name_hash(name) % jitter_ms if jitter_ms else 0


class TaskIds:
    """Task ids of one namespace: uuid5(TASK_ID_NAMESPACE, namespace US entry US slot in ms).

    Equal to uuid.uuid5, with the hash of the namespace computed once: an id is needed for every fire.
    """

    __slots__ = ("_prefix",)

    def __init__(self, namespace: str) -> None:
        text = f"{namespace}{UNIT_SEPARATOR}"
        self._prefix = hashlib.sha1(TASK_ID_NAMESPACE.bytes + text.encode(), usedforsecurity=False)

    def of(self, entry: str, slot: int) -> str:
        """The task id of an entry's slot, which is given in UTC milliseconds."""
        sha = self._prefix.copy()
        sha.update(f"{entry}{UNIT_SEPARATOR}{slot}".encode())
        h = sha.hexdigest()
        return f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{_VARIANT[h[16]]}{h[17:20]}-{h[20:32]}"


_VARIANT: Final = {f"{digit:x}": "89ab"[digit & 3] for digit in range(16)}


Reason = Literal[
    "missed", "coalesced", "expired", "dropped", "paused", "disabled", "superseded", "removed", "past", "invalid",
    "undeliverable",
]  # fmt: skip

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


@dataclass(frozen=True, slots=True)
class Skip:
    """Slots from ``first`` to ``last`` (UTC ms) that are not fired; a count of 10,000 means at least so many."""

    reason: Reason
    count: int
    first: int
    last: int


class Template(Protocol):
    """A queue's message, ready but for what differs from entry to entry and from fire to fire.

    Made by a format, once for all entries with the same task, queue and options: tens of thousands may be staged, and
    of each one only ``own`` is kept.
    """

    @property
    def queue_key(self) -> str:
        """The list that the message is pushed to."""

    @property
    def queue(self) -> str:
        """Where the message goes, as people name it and as failures are counted: the queue, or exchange/routing_key."""

    @property
    def attempts(self) -> int | None:
        """After so many refusals by a broker the message is given up; None for never."""

    @property
    def expires_ms(self) -> int | None:
        """How long after its slot the message is worth sending; None for ever, or until ``expires_on``."""

    @property
    def expires_on(self) -> int | None:
        """The instant (UTC ms) after which no message is worth sending; None where there is none."""

    def own(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
        """All that an entry's messages have of their own, as one text that ``render`` understands.

        Raises EntryInvalid naming args or kwargs that this format can't say, or a message that gets too large.
        """

    def longest(self, own: str) -> int:
        """No message rendered of it has more bytes."""

    def render(self, own: str, task_id: str, slot_ms: int, delivery_tag: str) -> bytes:
        """The message of one slot."""


class FireItem(NamedTuple):
    """One entry's move in the timetable, as the fire script takes it. Instants in UTC ms.

    `expected` and `next_moment` are moments (slot + jitter); next_moment is None when the entry is finished.
    `plain` says that the only slot fired is the one the expected moment stands for.
    """

    name: str
    rev: str
    expected: int
    next_moment: int | None
    slots: Sequence[int]
    plain: bool
    task_id: str
    good_until: int | None
    left: int | None
    skips: tuple[Skip, ...]
    queue_key: str
    messages: Sequence[bytes]
