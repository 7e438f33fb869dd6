"""What this process knows of itself, for those who look at it from another thread.

The loop writes plain attributes; a reader takes each of them once, and waits for nothing.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, get_args

from beatd.core.census import Tally
from beatd.core.fire import FireItem
from beatd.core.health import Seen
from beatd.core.histogram import Histogram
from beatd.core.intent import OutcomeKind
from beatd.core.timetable import Check, Code
from beatd.daemon.ports import Clock
from beatd.errors import BeatdError, Unreachable

ROUND_TRIPS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
FRESH_S: Final = 2.5  # an older check tells nothing of now
PUBLISHES: Final[tuple[OutcomeKind, ...]] = get_args(OutcomeKind)
SCRIPT_ERRORS: Final = (
    *(code.name.lower() for code in Code if code != Code.DONE),
    *("lease_lost", "format", "store_spoilt", "writes_refused", "access_denied", "unreachable", "other"),
)


class Vitals:
    """Fits ports.EventSink, and store.link.Listener. Instants are seconds of the monotonic clock, or UTC ms."""

    def __init__(self, clock: Clock, zone_data: str = "", hide: Callable[[str], str] = str) -> None:
        self.leads = False
        self.epoch = 0  # of the lease, whoever holds it; 0: not known
        self.stopping = False
        self.answered_at: float | None = None
        self.round_trips = Histogram(ROUND_TRIPS)  # seconds
        self.script_errors: Counter[str] = Counter(dict.fromkeys(SCRIPT_ERRORS, 0))
        self.check: Check | None = None  # the leader's last look at the timetable
        self.tally: Tally | None = None  # its last count of entries outside the timetable
        self.open_requests = 0  # triggers and backfills, as the leader counted them last
        self.edit_skips: Counter[str] = Counter()  # ranges that edits skipped, by reason
        self.stored_zone_data = ""
        self.trouble: BeatdError | None = None  # met with Redis, and not over
        self.has_bid = False
        self.failing: str | None = None  # why a leader's sessions end, until one works
        self.unfit: str | None = None  # why it gave the lease back, and sits out
        self.last_refusal: tuple[int, str] | None = None  # when, and what was said
        self.broker: str | None = None  # its label, where messages go to another broker than our Redis
        self.broker_fingerprint = ""  # which one that is
        self.broker_down_since: float | None = None  # while it takes no messages, and this instance wants to send some
        self.broker_trouble = ""  # why it takes none
        self.publishes: Counter[str] = Counter(dict.fromkeys(PUBLISHES, 0))  # messages handed to it, by result
        self.outbox = (0, 0)  # how many intents this leader holds, and their bytes
        self._checked_at: float | None = None
        self._failing_since: float | None = None
        self._clock = clock
        self._zone_data = zone_data
        self._hide = hide  # takes secrets out of a text

    def answered(self, seconds: float) -> None:
        """Redis answered a request, after so long."""
        self.answered_at = self._clock.monotonic()
        self.round_trips.add(seconds)

    def refused(self, code: str) -> None:
        """A script was refused as a whole."""
        self.script_errors[code if code in self.script_errors else "other"] += 1

    def judged(self, codes: str) -> None:
        """What a script answered, a digit for each item."""
        done = str(int(Code.DONE))
        if codes.count(done) < len(codes):
            for digit in codes:
                if digit != done:
                    self.script_errors[Code(int(digit)).name.lower()] += 1

    def checked(self, check: Check) -> None:
        """The leader looked at its timetable. That alone doesn't say that it can fire."""
        self.check, self._checked_at = check, self._clock.monotonic()

    def failed(self, why: str) -> None:
        """A session of the leader ended by this."""
        self.failing = why
        if self._failing_since is None:
            self._failing_since = self._clock.monotonic()

    def worked(self) -> None:
        """A session of the leader went on for long enough to have fired what was due."""
        self.failing = self._failing_since = None

    def counted(self, tally: Tally) -> None:
        """The leader counted the entries outside its timetable."""
        self.tally = tally

    def edits_skipped(self, found: Mapping[str, int]) -> None:
        """The leader read in the history which ranges edits have skipped."""
        self.edit_skips.update(found)

    def emit(self, event: str, **fields: object) -> None:
        """Takes from an event what it tells of this process."""
        if event in ("leader_acquired", "leader_released", "lease_lost"):
            self.check = self._checked_at = self.tally = None
            self.open_requests = 0
            self.worked()
            self.outbox = (0, 0)
            self.leads = event == "leader_acquired"
            self.epoch = fields["epoch"] if isinstance(fields["epoch"], int) else 0
        if event in ("config_refused", "lease_refused", "redis_down", "backlog") and (error := fields.get("error")):
            self.last_refusal = self._clock.now_ms(), self._hide(str(error))

    def fired(self, items: Sequence[FireItem], at: int) -> None:
        """Fires say nothing of the process that its checks don't."""

    def stop(self) -> None:
        """This process was asked to end, or ends."""
        self.stopping = True

    def entries(self) -> Mapping[str, int] | None:
        """How many entries are in each state; None where that is not known, as on a standby."""
        check, tally = self.check, self.tally
        return None if check is None or tally is None else tally.by_state(check.sizes)

    def lag(self) -> float:
        """How far the timetable is behind, in seconds: the age of the oldest moment that is due. 0 on a standby.

        While the leader does not look at it, the moments that it saw last grow old.
        """
        check, checked_at = self.check, self._checked_at
        if check is None or checked_at is None or check.oldest is None:
            return 0.0
        fresh = self._clock.monotonic() - checked_at <= FRESH_S
        return max(0, (check.now if fresh else self._clock.now_ms()) - check.oldest) / 1000

    def broker_down_s(self) -> float:
        """For how many seconds the broker has taken no messages; 0 while it does, and without one."""
        return self._ago(self.broker_down_since) or 0.0

    def failing_s(self) -> float:
        """For how many seconds no session of the leader has worked; 0 while one does."""
        return self._ago(self._failing_since) or 0.0

    def stored_entries(self) -> int:
        """How many entries there are, as counted last; 0 on a standby."""
        check = self.check
        return 0 if check is None else check.sizes.revisions

    @property
    def role(self) -> str | None:
        """``leader`` or ``standby``; None before Redis has told whose the lease is."""
        return "leader" if self.leads else "standby" if self.has_bid else None

    def backlog(self) -> int:
        """How many entries were due and not fired at the last look."""
        check = self.check
        return 0 if check is None else check.backlog

    def seen(self, *, missed: int, config_error: str | None) -> Seen:
        """All of it, to be judged."""
        trouble, unfit = self.trouble, self.unfit
        refused = None if trouble is None or type(trouble) is Unreachable else trouble.message
        return Seen(
            missed=missed,
            stopping=self.stopping,
            config_error=config_error,
            answered_ago=self._ago(self.answered_at),
            trouble=self.failing or (None if trouble is None else trouble.message),
            hindrance=refused or unfit,
            newer_format=trouble is not None and trouble.code == "format",
            zone_data=self._zone_data,
            stored_zone_data=self.stored_zone_data,
            leads=self.leads,
            has_bid=self.has_bid,
            checked_ago=self._ago(self._checked_at),
            failing_for=self.failing_s(),
            broker=self.broker,
            broker_down_for=self.broker_down_s(),
            broker_trouble=self.broker_trouble,
            lag=self.lag(),
        )

    def _ago(self, at: float | None) -> float | None:
        return None if at is None else max(0.0, self._clock.monotonic() - at)
