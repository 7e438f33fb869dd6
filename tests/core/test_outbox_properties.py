"""Whatever happens to an outbox: order per entry, bounds, true numbers, and that everything comes to its turn."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from beatd.core.intent import CONFIRMED, MOST_OF_ONE_BAD_QUEUE, Draft, Intent, Outcome
from beatd.core.outbox import RETRY_S, Outbox

NAMES = ["a", "b", "c", "d"]
QUEUES = ["one", "two"]
KINDS = ["confirmed", "returned", "refused", "unknown"]


class OutboxBesideAList(RuleBasedStateMachine):
    """What is held, by a plain list that is walked in full."""

    def __init__(self) -> None:
        super().__init__()
        self.box = Outbox("b")
        self.held: list[Intent] = []
        self.taken: list[Intent] = []
        self.now = 0.0
        self.now_ms = 0
        self.number = 0

    @rule(
        name=st.sampled_from(NAMES),
        queue=st.sampled_from(QUEUES),
        dies_in=st.none() | st.integers(0, 60_000),
        attempts=st.none() | st.integers(1, 3),
        at_most_once=st.booleans(),
        back=st.integers(0, 5),
        size=st.integers(0, 3000),
    )
    def add(
        self,
        name: str,
        queue: str,
        dies_in: int | None,
        attempts: int | None,
        at_most_once: bool,
        back: int,
        size: int,
    ) -> None:
        self.number += 1
        dead_at = None if dies_in is None else self.now_ms + dies_in
        draft = Draft(name, 0, f"task-{self.number}", queue, dead_at, attempts, at_most_once, "b")
        intent = Intent(f"{max(0, self.number - back)}-{self.number}", draft, b"x" * size)
        if self.box.room().most(queue, max(1, size)):
            self.box.add([intent])
            self.held.append(intent)

    @rule(most=st.integers(1, 5), most_bytes=st.integers(0, 5000))
    def window(self, most: int, most_bytes: int) -> None:
        found = self.box.window(self.now, most, most_bytes)
        assert len(found) <= most
        assert len(found) <= 1 or sum(len(intent.message) for intent in found) <= most_bytes
        # One that was withdrawn on its way is nobody's business any more: what follows it need not wait.
        busy = {intent.draft.name for intent in self.taken if intent in self.held}
        for intent in found:
            name = intent.draft.name
            assert name not in busy, "two of one entry at a time"
            busy.add(name)
            assert intent.order == min(held.order for held in self.held if held.draft.name == name), "out of order"
        self.taken += found

    @precondition(lambda self: self.taken)
    @rule(kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5), jitter=st.floats(0, 0.999))
    def learn(self, kinds: list[str], jitter: float) -> None:
        parts, self.taken = self.taken[: len(kinds)], self.taken[len(kinds) :]
        outcomes = [
            (intent, CONFIRMED if kind == "confirmed" else Outcome(kind, "why"))  # type: ignore[arg-type]
            for intent, kind in zip(parts, kinds, strict=False)
        ]
        learned = self.box.learn(outcomes, self.now, self.now_ms, jitter)
        gone = learned.confirmed + [given.intent for given in learned.given_up]
        assert all(intent in gone for intent, outcome in outcomes if outcome is CONFIRMED and intent in self.held)
        assert all(intent in gone for intent, _ in outcomes if intent.draft.at_most_once and intent in self.held)
        self._gone(gone)

    @precondition(lambda self: self.taken)
    @rule()
    def put_back(self) -> None:
        self.box.put_back(self.taken)
        self.taken = []

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        intent = data.draw(st.sampled_from(self.held))
        self.box.withdraw([intent])
        self._gone([intent])

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.now_ms += round(seconds * 1000)
        given = [given.intent for given in self.box.dead(self.now_ms)]
        assert all(intent.draft.dead_at is not None and intent.draft.dead_at <= self.now_ms for intent in given)
        self._gone(given)

    @rule()
    def connect_anew(self) -> None:
        self.box.connected_anew()

    @rule()
    def all_comes_to_its_turn(self) -> None:
        """With a broker that takes everything the outbox is empty soon, and never sleeps on what could go."""
        self.put_back()
        until = self.now + RETRY_S[1]
        while self.held:
            wait = self.box.next_look(self.now, self.now_ms)
            assert wait is not None, "it sleeps for ever"
            self.wait(min(wait, 1.0))
            assert self.now <= until + 1.0, "it sleeps too long"
            self.window(5, 5000)
            if self.taken:
                self.learn(["confirmed"] * len(self.taken), 0.0)

    def _gone(self, intents: list[Intent]) -> None:
        for intent in intents:
            assert intent in self.held
            self.held.remove(intent)

    @invariant()
    def its_numbers_are_true(self) -> None:
        assert len(self.box) == len(self.held)
        assert self.box.size == self.box.queues.size == sum(len(intent.message) for intent in self.held)
        for queue in QUEUES:
            held = sum(intent.draft.queue == queue for intent in self.held)
            assert self.box.queues.held(queue) == held == self.box.counts().get(queue, 0)

    @invariant()
    def a_bad_queue_holds_something(self) -> None:
        for queue in self.box.queues.bad:
            assert 0 < self.box.queues.held(queue) <= MOST_OF_ONE_BAD_QUEUE


OutboxBesideAList.TestCase.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
TestOutboxBesideAList = OutboxBesideAList.TestCase
