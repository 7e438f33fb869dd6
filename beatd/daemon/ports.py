"""What the services need from the outside world. Adapters in `store`, `formats` fit these by shape."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from beatd.core.census import LeftOut, Pausing
from beatd.core.fire import FireItem, Template
from beatd.core.intent import Draft, Intent, Outcome
from beatd.core.registration import Applied
from beatd.core.requests import Found, Serving, Standing, Tidying
from beatd.core.term import Candidacy, Held, Term
from beatd.core.timetable import Changes, Check, FireReply, PlanItem, PlanReply, Stored


class Clock(Protocol):
    """The two clocks of a process. Monotonic decides how long, the server's decides what is due."""

    def monotonic(self) -> float:
        """Seconds; never goes back."""

    def now_ms(self) -> int:
        """The clock of Redis, UTC ms; never ahead of it."""

    @property
    def stepped(self) -> int:
        """How often the clock of Redis was seen to jump."""

    @property
    def step_ms(self) -> int:
        """How far it jumped the last time: positive is forward. 0 when it never did."""

    def observe(self, sent: float, server_ms: int) -> None:
        """Takes a sample: what Redis answered to a question asked at that monotonic instant."""


class LeasePort(Protocol):
    """The lease, over one connection. Every call raises Unreachable without an answer."""

    async def acquire(self, candidacy: Candidacy) -> Term | Held:
        """Asks for the lease once."""

    async def renew(self, term: Term) -> Term:
        """Prolongs a term; raises LeaseLost."""

    async def release(self, term: Term) -> None:
        """Ends a term and wakes the standbys; raises LeaseLost."""

    async def announce(self, instance: str, record: str) -> tuple[Applied, str]:
        """Keeps this instance on the list of those alive; gives whose files are applied, and the version of the zone
        data that the timetable was planned with ('' where there is none).
        """

    async def retire(self, instance: str) -> None:
        """Takes this instance off that list."""

    async def close(self) -> None:
        """Closes the connection."""


class TimetablePort(Protocol):
    """The timetable, over one connection, answered in order. Every call raises Unreachable without an answer."""

    async def unplanned(self, offset: int, at_most: int) -> list[tuple[str, str]]:
        """Names to be planned from ``offset`` on, with their exact scores; the newest edits first."""

    async def page(self, term: Term, after: int, until: int, offset: int, at_most: int) -> list[tuple[str, int]]:
        """Names with their moments in [after, until], in order; raises LeaseLost."""

    async def newest(self, after: int, until: int, at_most: int) -> list[tuple[str, int]]:
        """Names with their moments in (after, until], the latest moments first."""

    async def revisions(self, names: Sequence[str]) -> list[str | None]:
        """The revision of each name."""

    async def look(self, names: Sequence[str]) -> list[Stored]:
        """All that is stored of some names."""

    async def blocked(self, offset: int, at_most: int) -> list[Stored]:
        """What is stored of entries whose queue refused them."""

    async def usable(self, queue_keys: Sequence[str]) -> list[bool]:
        """Whether each queue would take a message."""

    async def scores(self, names: Sequence[str]) -> list[str | None]:
        """The exact scores of names in the timetable, whether they are entries or not."""

    async def plan(self, term: Term, items: Sequence[PlanItem]) -> PlanReply:
        """Sets first moments; raises LeaseLost."""

    async def fire(self, term: Term, items: Sequence[FireItem]) -> FireReply:
        """Fires a batch; raises LeaseLost."""

    async def settle(
        self, term: Term, items: Sequence[FireItem], drafts: Sequence[Sequence[Draft]], usable: Callable[[str], bool]
    ) -> FireReply:
        """As fire, for another broker; raises LeaseLost, OutboxFull."""

    async def check(self, bound: int, now: int) -> Check:
        """Numbers to compare with what is believed."""

    async def close(self) -> None:
        """Closes the connection."""


class ChangePort(Protocol):
    """The change log, as a wake-up: never the truth."""

    async def position(self) -> str:
        """The id of the last row."""

    async def wait(self, after: str, seconds: float) -> Changes:
        """What has changed after a row; nothing after the given time."""

    async def close(self) -> None:
        """Closes the connection."""


class UpkeepPort(Protocol):
    """What upkeep needs of the store. Every call raises Unreachable without an answer."""

    async def names(self, kind: str, cursor: str) -> tuple[str, list[str]]:
        """One page of the names in one place, and the next cursor; '0' begins and ends."""

    async def left_out(self, cursor: str) -> tuple[str, list[LeftOut]]:
        """One page of the entries outside the timetable, and why; '0' begins and ends."""

    async def pausing(self, cursor: str) -> tuple[str, list[Pausing]]:
        """One page of the pauses with an end; '0' begins and ends."""

    async def edit_skips(self, after: str | None) -> tuple[str, Mapping[str, int]]:
        """How many ranges edits have skipped since a row of history, by reason; and the last row. None: from now."""

    async def definitions(self, names: Sequence[str]) -> list[tuple[str | None, bytes | None, bool]]:
        """Revision, definition, and whether a file owns it, of each name."""

    async def repair(self, term: Term, names: Sequence[str]) -> list[int]:
        """Mends what can't be; a code each."""

    async def trim(self, term: Term, names: Sequence[str]) -> int:
        """Forgets removed entries whose time is over."""

    async def remove(self, names: Sequence[str], revs: Sequence[str]) -> bool:
        """Removes entries that are still at these revisions, all or none."""

    async def requests(self, cursor: str) -> tuple[str, list[tuple[str, bytes]]]:
        """One page of all requests that are kept, as stored; '0' begins and ends."""

    async def listed(self, names: Sequence[str]) -> list[bytes | None]:
        """The open requests of each entry, as stored."""

    async def tidy(self, term: Term, found: Sequence[Tidying]) -> list[int]:
        """As of RequestPort."""

    async def forget_instances(self, before: int) -> int:
        """Takes instances off the list that were last seen before an instant."""

    async def bound_histories(self) -> None:
        """Measures the histories, so that the next rows keep them within their bytes."""

    async def zone_data(self) -> str | None:
        """The version of the zone data that the timetable was planned with."""

    async def note_zone_data(self, version: str) -> None:
        """Writes that version down."""

    async def close(self) -> None:
        """Closes the connection."""


class RequestPort(Protocol):
    """Requests, over one connection. Every call raises Unreachable without an answer."""

    async def page(self, cursor: str) -> tuple[str, list[Found]]:
        """Open requests of some entries, with what is stored of each, and the next cursor; '0' begins and ends."""

    async def look(self, names: Sequence[str]) -> Mapping[str, Standing | None]:
        """How some entries stand; None where there is no such entry. Those edited all the while are left out."""

    async def serve(self, term: Term, serving: Serving) -> int:
        """Pushes a part; its code. Raises LeaseLost."""

    async def settle(self, term: Term, serving: Serving) -> tuple[int, list[Intent]]:
        """Keeps a part with its drafts for another broker; its code, and the intents. Raises LeaseLost, OutboxFull."""

    async def tidy(self, term: Term, found: Sequence[Tidying]) -> list[int]:
        """Forgets, lists and takes off; a code each. Raises LeaseLost."""

    async def close(self) -> None:
        """Closes the connection."""


class Transport(Protocol):
    """Messages to a broker that is not our Redis. One thread of its own does the talking; this side only waits."""

    on_change: Callable[[], None]  # called on the event loop whenever connected or blocked have changed

    @property
    def label(self) -> str:
        """The broker's URLs for people, without what is secret."""

    @property
    def fingerprint(self) -> str:
        """What tells this broker from others (``Broker.fingerprint``)."""

    @property
    def connected(self) -> bool:
        """Whether messages can be handed over, as far as is known."""

    @property
    def blocked(self) -> str:
        """Why the broker takes nothing for now though the connection stands; '' where it does."""

    async def connect(self) -> None:
        """Connects once, to the next URL of the list; connected already: nothing. Raises Unreachable, AccessDenied."""

    async def publish(self, messages: Sequence[tuple[str, bytes]], until: float) -> Sequence[Outcome]:
        """Hands over messages (id, envelope) in this order; what became of each, in the same order.

        Nothing is written after the instant ``until`` of ``beatd.uptime``: what was not, comes back unknown. Never
        raises; ends within a confirm timeout after the last write. A message that is still without an answer is not
        written again on the same connection: the answer to the first one counts.
        """

    async def close(self) -> None:
        """Ends the connection and the thread. Messages under way come back unknown."""


class OutboxPort(Protocol):
    """The stored outbox, over one connection. Every call raises Unreachable without an answer."""

    def take_spoilt(self) -> list[tuple[str, str, str]]:
        """What ``load`` has met that can't be read, and has taken out: id, entry ('' unknown), and why."""

    async def load(self, cursor: str = "0") -> tuple[str, list[Intent]]:
        """A page of the intents in their order, and the next cursor; '0' begins and ends."""

    async def standing(self, intents: Sequence[Intent]) -> list[bool]:
        """Which of them are still to be sent."""

    async def mark(self, intents: Sequence[Intent]) -> list[bool]:
        """Marks some that are to be sent at most once as about to be sent; which of them may be."""

    async def done(self, intents: Sequence[Intent]) -> None:
        """Takes them out."""

    async def fail(self, term: Term, failed: Sequence[tuple[Intent, str]]) -> None:
        """Gives them up, each with a row that says why; raises LeaseLost."""

    async def close(self) -> None:
        """Closes the connection."""


class ReleasePort(Protocol):
    """The channel on which a leader says that it leaves."""

    async def wait(self, seconds: float) -> bool:
        """Whether a lease was released within the time."""

    async def close(self) -> None:
        """Closes the connection."""


class EventSink(Protocol):
    """Where events go: log lines now, counters later."""

    def emit(self, event: str, **fields: object) -> None:
        """One event, named in the past tense, with stable fields."""

    def fired(self, items: Sequence[FireItem], at: int) -> None:
        """Entries of one batch that were enqueued, at an instant of Redis (UTC ms)."""


class Stores(Protocol):
    """Opens connections; every call raises Unreachable or AccessDenied."""

    async def open_lease(self, *, in_haste: bool = False) -> LeasePort:
        """A connection of the elector's own, so that a storm never delays a renewal. Raises what speaks against the
        server; in haste, to leave it, nobody looks at it.
        """

    async def open_timetable(self) -> TimetablePort:
        """A connection for plan, fire and peek, in order."""

    async def open_changes(self) -> ChangePort:
        """A connection that waits for rows of the change log."""

    async def open_upkeep(self) -> UpkeepPort:
        """A connection for what has time."""

    async def open_requests(self) -> RequestPort:
        """A connection over which requests are served."""

    async def open_outbox(self) -> OutboxPort:
        """A connection over which the outbox is read and emptied."""

    async def open_release(self) -> ReleasePort:
        """A connection that waits for a lease to be released."""


CompileTemplate = Callable[[str, str, Mapping[str, Any]], Template]  # of task, queue, options
Sleep = Callable[[float], Awaitable[None]]
