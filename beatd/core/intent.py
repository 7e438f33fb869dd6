"""What lies between deciding a fire and a broker's word that it has it. Instants in UTC ms."""

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

MOST_INTENTS: Final = 1_000
MOST_INTENT_BYTES: Final = 16 * 1024 * 1024
MOST_OF_ONE_BAD_QUEUE: Final = 100


class Draft(NamedTuple):
    """One message as it is decided: what the outbox must know of it beside its bytes.

    ``queue``: where it goes, for people and for counting. ``dead_at``: after that it is not worth sending, None for
    ever. ``attempts``: after so many refusals by the broker it is given up, None for never. ``broker``: the one it was
    decided for, as its fingerprint; it is sent to no other.
    """

    name: str
    slot: int
    task_id: str
    queue: str
    dead_at: int | None
    attempts: int | None
    at_most_once: bool
    broker: str
    cause: str = ""  # '' by the schedule, else trigger or backfill
    sent: bool = False  # at most once, and it was about to be handed to the broker: never again


class Intent(NamedTuple):
    """A draft that the outbox keeps. ``id`` is `<seq>-<n>`: the batch that decided it and its place in there, which
    orders all intents of one dataset.
    """

    id: str
    draft: Draft
    message: bytes

    @property
    def order(self) -> tuple[int, int]:
        """Its place among all intents."""
        seq, _, place = self.id.partition("-")
        return int(seq), int(place)


def is_same_broker(one: str, other: str) -> bool:
    """Whether two fingerprints (``Broker.fingerprint``) are of one broker: any node that both know makes them one."""
    return one == other or not set(one.split("+")).isdisjoint(other.split("+"))


OutcomeKind = Literal["confirmed", "returned", "refused", "unknown"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message handed to a broker.

    confirmed: the broker has it. returned: no queue takes it (missing, or not bound). refused: the broker said no
    (negative confirm, too large, access refused). unknown: no answer; it may or may not have arrived, and is sent again
    with the same id. ``why`` is for people, '' when confirmed.

    hopeless: it is the message itself, no attempt will do better; its queue is not to blame.
    """

    kind: OutcomeKind
    why: str = ""
    hopeless: bool = False


CONFIRMED: Final = Outcome("confirmed")
