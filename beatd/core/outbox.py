"""The outbox of a leader: what was decided and is on its way to a broker. Bounded, for the timetable is the backlog.

Values in, values out: ``now`` is monotonic, in seconds; instants are UTC ms. An entry's intents go one after another;
entries wait in one line, so that none starves.
"""

import heapq
from bisect import insort
from collections import Counter
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from beatd.core.instant import instant_text
from beatd.core.intent import Intent, Outcome, is_same_broker
from beatd.core.outbox_room import Queues, Room

MOST_IN_WINDOW: Final = 256
MOST_WINDOW_BYTES: Final = 1024 * 1024
RETRY_S: Final = (0.2, 30.0)
SPREAD: Final = 0.618  # of one's chance to the next one's: they come back one by one
INTERRUPTED: Final = "whoever was sending it ended before the broker's answer; it is to be sent at most once"
ALONE_AFTER: Final = 3  # times without an answer: perhaps this very message ends the connection

Key = tuple[str, str]  # id and task id: a dataset that went back gives an id again


class Given(NamedTuple):
    """An intent that is given up, and why, for people."""

    intent: Intent
    why: str


class Trouble(NamedTuple):
    """A queue that takes no messages, as it was met first. ``kind``: returned or refused."""

    queue: str
    kind: str
    why: str


@dataclass(slots=True)
class Learned:
    """What follows from the outcomes of a window: who is through, who is given up, which queues turned bad or well."""

    confirmed: list[Intent] = field(default_factory=list)
    given_up: list[Given] = field(default_factory=list)
    bad: list[Trouble] = field(default_factory=list)
    well: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class _Held:
    """An intent that is held, with what was learnt of it. ``due``: not tried again before (monotonic)."""

    intent: Intent
    refusals: int = 0
    unanswered: int = 0
    due: float = 0.0
    taken: bool = False

    @property
    def order(self) -> tuple[int, int]:
        return self.intent.order


class Outbox:
    """Intents of one broker. ``broker``: its fingerprint; those of another one are only counted."""

    def __init__(self, broker: str) -> None:
        self.broker = broker
        self.left_over: dict[str, str] = {}  # ids of intents that are another broker's -> its fingerprint
        self.queues = Queues()
        self._held: dict[Key, _Held] = {}
        self._lines: dict[str, list[_Held]] = {}  # by entry, in order
        self._ready: dict[str, None] = {}  # entries whose first one may go, in line
        self._later: list[tuple[float, str]] = []  # a heap of when entries may go
        self._deaths: list[tuple[int, Key]] = []  # a heap
        self._interrupted: list[Given] = []

    def __len__(self) -> int:
        return len(self._held)

    def counts(self) -> dict[str, int]:
        """How many intents of each queue are held."""
        return dict(Counter(held.intent.draft.queue for held in self._held.values()))

    @property
    def size(self) -> int:
        """Bytes of the messages held."""
        return sum(len(held.intent.message) for held in self._held.values())

    def room(self, *, of_request: bool = False) -> Room:
        """Room for the messages of one call; to be closed once these are added, or refused."""
        return Room(self.queues, of_request=of_request)

    def add(self, intents: Iterable[Intent], confirmed: Container[Key] = ()) -> None:
        """Takes intents in, old ones and new ones; one that is held already changes nothing. ``confirmed``: what the
        broker is known to have. What was to be sent at most once, and may have been, is ``dead``.
        """
        for intent in intents:
            if not is_same_broker(intent.draft.broker, self.broker):
                self.left_over[intent.id] = intent.draft.broker
            elif _key(intent) not in self._held:
                if intent.draft.sent and _key(intent) not in confirmed:
                    self._interrupted.append(Given(intent, INTERRUPTED))
                else:
                    self._take_in(_Held(intent))

    def window(self, now: float, most: int = MOST_IN_WINDOW, most_bytes: int = MOST_WINDOW_BYTES) -> list[Intent]:
        """What is to be published next, one of an entry at most. Whoever takes it gives it back, with its outcome or
        without (``learn``, ``withdraw``, ``put_back``).
        """
        self._wake(now)
        taken: list[Intent] = []
        size = 0
        while self._ready and len(taken) < most:
            name = next(iter(self._ready))
            line = self._lines.get(name)
            if line is None or line[0].taken or line[0].due > now:
                del self._ready[name]  # gone, or in line again for later
                continue
            held, alone = line[0], line[0].unanswered >= ALONE_AFTER
            size += len(held.intent.message)
            if taken and (alone or size > most_bytes):
                break
            del self._ready[name]
            held.taken = True
            taken.append(held.intent)
            if alone:
                break
        return taken

    def dead(self, now_ms: int) -> list[Given]:
        """Takes out what is not worth sending any more, but for what is being published."""
        found, self._interrupted = self._interrupted, []
        while self._deaths and self._deaths[0][0] <= now_ms:
            _, key = heapq.heappop(self._deaths)
            held = self._held.get(key)
            if held is not None and not held.taken:
                self._drop(held)
                found.append(_expired(held.intent))
        return found

    def withdraw(self, intents: Iterable[Intent]) -> None:
        """Somebody took these out of the stored outbox: they are not sent, or not again."""
        for intent in intents:
            if (held := self._held.get(_key(intent))) is not None:
                self._drop(held)

    def put_back(self, intents: Iterable[Intent]) -> None:
        """These were taken and not published after all."""
        for intent in intents:
            if (held := self._held.get(_key(intent))) is not None:
                self._give_back(held)
                self._ready[intent.draft.name] = None
                self._expect_death(held)  # it may have been looked for meanwhile

    def learn(self, outcomes: Sequence[tuple[Intent, Outcome]], now: float, now_ms: int, jitter: float) -> Learned:
        """What became of a window. ``jitter`` in [0, 1) spreads the retries.

        An intent that is given up, or through, is held no more; one without an answer, or refused, waits for its next
        attempt, ever longer. One that no attempt can help is given up at once, lest those behind it wait for ever.
        """
        learned = Learned()
        for number, (intent, outcome) in enumerate(outcomes):
            held, queue = self._held.get(_key(intent)), intent.draft.queue
            if outcome.kind == "confirmed":
                if self.queues.prove(queue):
                    learned.well.append(queue)
                    self._wake_queue(queue, now)
            elif outcome.kind != "unknown" and not outcome.hopeless and self.queues.blame(queue):
                learned.bad.append(Trouble(queue, outcome.kind, outcome.why))
            if held is None:  # withdrawn while it was on its way
                continue
            self._give_back(held)
            if outcome.kind == "confirmed":
                self._drop(held)
                learned.confirmed.append(intent)
            elif (given := _given_up(held, outcome, now_ms)) is not None:
                self._drop(held)
                learned.given_up.append(given)
            else:
                held.due = now + _pause(held, (jitter + number * SPREAD) % 1)
                line = self._lines[intent.draft.name]
                heapq.heappush(self._later, (line[0].due, intent.draft.name))
        return learned

    def connected_anew(self) -> None:
        """Which queues there are may have changed, and all may be tried at once."""
        self.queues.doubt()
        for name, line in self._lines.items():
            line[0].due = 0.0
            self._ready[name] = None

    def next_look(self, now: float, now_ms: int) -> float | None:
        """In how many seconds there is something to do; 0 at once, None when nothing waits."""
        if self._ready or self._interrupted:
            return 0.0
        waits = [self._later[0][0] - now] if self._later else []
        waits += [(self._deaths[0][0] - now_ms) / 1000] if self._deaths else []
        return max(0.0, min(waits)) if waits else None

    # Inside

    def _take_in(self, held: _Held) -> None:
        draft, size = held.intent.draft, len(held.intent.message)
        self._held[_key(held.intent)] = held
        self.queues.hold(draft.queue, 1, size)
        self._expect_death(held)
        line = self._lines.setdefault(draft.name, [])
        insort(line, held, lo=1 if line and line[0].taken else 0, key=lambda item: item.order)
        if line[0] is held:
            self._ready[draft.name] = None

    def _give_back(self, held: _Held) -> None:
        held.taken = False
        self._lines[held.intent.draft.name].sort(key=lambda item: item.order)  # an older one may have come meanwhile

    def _drop(self, held: _Held) -> None:
        draft, size = held.intent.draft, len(held.intent.message)
        del self._held[_key(held.intent)]
        self.queues.hold(draft.queue, -1, -size)
        line = self._lines[draft.name]
        line.remove(held)
        if not line:
            del self._lines[draft.name]
        else:
            heapq.heappush(self._later, (line[0].due, draft.name))

    def _expect_death(self, held: _Held) -> None:
        if held.intent.draft.dead_at is not None:
            heapq.heappush(self._deaths, (held.intent.draft.dead_at, _key(held.intent)))

    def _wake(self, now: float) -> None:
        while self._later and self._later[0][0] <= now:
            self._ready[heapq.heappop(self._later)[1]] = None

    def _wake_queue(self, queue: str, now: float) -> None:
        """Whatever waits for it need not wait for its back-off."""
        for name, line in self._lines.items():
            if line[0].intent.draft.queue == queue:
                line[0].due = now
                self._ready[name] = None


def _key(intent: Intent) -> Key:
    return intent.id, intent.draft.task_id


def _given_up(held: _Held, outcome: Outcome, now_ms: int) -> Given | None:
    """Whether this outcome is the last word on an intent."""
    draft = held.intent.draft
    if outcome.hopeless:
        return Given(held.intent, outcome.why)
    if outcome.kind == "unknown":
        held.unanswered += 1
    else:
        held.unanswered = 0
        held.refusals += 1
    if draft.at_most_once:
        return Given(held.intent, f"{outcome.kind}: {outcome.why}" if outcome.why else outcome.kind)
    if draft.attempts is not None and held.refusals >= draft.attempts:
        return Given(held.intent, f"{held.refusals} attempts: {outcome.why or outcome.kind}")
    if draft.dead_at is not None and now_ms >= draft.dead_at:
        return _expired(held.intent)
    return None


def _expired(intent: Intent) -> Given:
    return Given(intent, f"it was worth sending until {instant_text(intent.draft.dead_at or 0)}")


def _pause(held: _Held, jitter: float) -> float:
    """Seconds to the next attempt: doubled each time, and up to a half less by chance."""
    tries = held.refusals + held.unanswered
    longest = min(RETRY_S[1], RETRY_S[0] * 2.0 ** min(tries - 1, 10))
    return longest * (1 - jitter / 2)
