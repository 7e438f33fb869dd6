"""Random calls, good and bad, by leaders, editors and strangers: what must hold after each of them.

Moments are small numbers, so that they have all passed, collide often, and can be moved on by a few milliseconds.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from beatd.core.edit import ANY
from beatd.core.fire import FireItem, Skip
from beatd.core.term import Term
from beatd.core.timetable import PlanItem
from beatd.store.entries import Pause, pause_call, put_call, remove_call, reset_call, resume_call
from beatd.store.outbox import done_call, drop_call, fail_call, mark_call
from beatd.store.requests import request_call, serve_call
from beatd.store.scripts import Call, load_script
from beatd.store.timetable import fire_call, plan_call
from tests.support.examples import examples
from tests.support.store import REV, WHO, Store, asking, put_item, serving, settling

NAMES = ("a", "b", "c", "d")
QUEUES = ("celery", "other")
HOUR = 3_600_000

names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)
mostly_right = st.sampled_from((0,) * 12 + (1, -1))  # how far a claim is from the truth
junk = st.sampled_from(("", "x", "nan", "1e999", "-3", "{}", "[]", '{"owed":[]}', '{"until":"inf"}', '{"paused":1}'))


@dataclass(frozen=True)
class Fire:
    """What a leader claims of one entry: errors in moment and revision, the way to the next moment, slots on it."""

    pick: int  # of those in the timetable
    moment_error: int
    rev_error: int
    left_error: int
    step: int
    slots: Sequence[int] | None  # None: the plain one; empty: a skip
    queue: str
    ends: bool


fires = st.builds(
    Fire,
    pick=st.integers(0, 3),
    moment_error=mostly_right,
    rev_error=mostly_right,
    left_error=mostly_right,
    step=st.integers(1, 30) | st.integers(-1, 1),
    slots=st.none() | st.sets(st.integers(0, 12), max_size=3).map(sorted) | st.lists(st.integers(-1, 20), max_size=3),
    queue=st.sampled_from(QUEUES),
    ends=st.sampled_from((False,) * 7 + (True,)),
)

right_fires = st.builds(
    Fire,
    pick=st.integers(0, 3),
    moment_error=st.just(0),
    rev_error=st.just(0),
    left_error=st.just(0),
    step=st.integers(13, 30),
    slots=st.none() | st.sets(st.integers(0, 12), max_size=3).map(sorted),
    queue=st.sampled_from(QUEUES),
    ends=st.sampled_from((False,) * 15 + (True,)),
)


class Scripts(RuleBasedStateMachine):
    """The whole key space under random calls."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.count = 0
        self.sent = 0  # messages of items with code 0
        self.outbox: Counter[str] = Counter()  # intents by entry
        self.decided = 0  # messages that became intents
        self.taken = 0  # messages that left the queues
        self.slots: dict[str, list[int]] = defaultdict(list)
        self.served: dict[str, list[int]] = defaultdict(list)  # by request
        self.former: list[Term] = []

    @initialize(spoilt=st.booleans())
    def begin(self, spoilt: bool) -> None:
        self.store.do("FLUSHALL")
        self.term = self.store.lead("first")
        self.store.put(*(put_item(name, "n0.f1") for name in NAMES))
        self.whatever_is_marked_is_planned(5)
        if spoilt:
            self.a_queue_is_spoilt_or_mended()

    def fresh(self) -> int:
        self.count += 1
        return self.count

    def call_twice(self, wanted: Call) -> str:
        """The codes of a call. Made again at once, it changes nothing more."""
        codes = str(self.store.run(wanted)[0])
        once = self.store.contents()
        self.store.run(wanted)
        assert self.store.contents() == once
        return codes

    @rule(
        chosen=names,
        fingerprint=st.sampled_from(("f1", "f2")),
        jitter=st.sampled_from((0, 0, 7)),
        left=st.sampled_from(("", "", "", "keep", "keep", "keep", "1", "5", "x")),
        enabled=st.sampled_from((True,) * 6 + (False,)),
        expected=st.sampled_from((ANY,) * 6 + ("n0.f0", "")),
        file_hash=st.sampled_from(("", "h")),
    )
    def put(self, chosen: list[str], expected: str, **fields: Any) -> None:
        rev = f"n{self.fresh()}.{fields.pop('fingerprint')}"
        # A wrong claim about the last name only: the others must not be written either.
        claims = [ANY] * (len(chosen) - 1) + [expected]
        items = [put_item(name, rev, expected=claim, **fields) for name, claim in zip(chosen, claims, strict=True)]
        before = self.store.everything()
        codes = self.call_twice(put_call(self.store.keys, items, WHO))
        if set(codes) != {"0"}:
            assert self.store.everything() == before

    @rule(chosen=names.map(lambda chosen: chosen[:1]), expected=st.sampled_from((ANY, ANY, ANY, "n0.f0")))
    def remove(self, chosen: list[str], expected: str) -> None:
        before = self.store.everything()
        codes = self.call_twice(remove_call(self.store.keys, chosen, WHO, [expected] * len(chosen)))
        if "2" in codes:
            assert self.store.everything() == before
        self.withdraw(chosen, codes)

    @rule(chosen=names, ahead=st.sampled_from((None, None, HOUR, 2 * HOUR, -5)))
    def pause(self, chosen: list[str], ahead: int | None) -> None:
        until = None if ahead is None else self.store.now() + ahead
        wanted = Pause("me", "why", until)
        done = self.edit(pause_call(self.store.keys, chosen, f"n{self.fresh()}", WHO, wanted), chosen)
        self.withdraw(chosen, "0" * len(chosen) if done else "")
        assert not done or self.store.hash("asked").keys().isdisjoint(chosen)
        if done and until is None:
            assert self.store.scores().keys().isdisjoint(chosen)

    @rule(chosen=names, catchup=st.booleans())
    def resume(self, chosen: list[str], catchup: bool) -> None:
        self.edit(resume_call(self.store.keys, chosen, f"n{self.fresh()}", WHO, catchup=catchup), chosen)

    @rule(chosen=names, runs=st.integers(0, 3))
    def reset(self, chosen: list[str], runs: int) -> None:
        counted = self.store.hash("left")
        self.edit(reset_call(self.store.keys, dict.fromkeys(chosen, runs), f"n{self.fresh()}", WHO), chosen)
        if runs and set(chosen) <= counted.keys() & self.store.hash("rev").keys():
            assert {name: self.store.hash("left")[name] for name in chosen} == dict.fromkeys(chosen, str(runs))

    @rule(chosen=names.filter(lambda chosen: len(chosen) > 1))
    def rename(self, chosen: list[str]) -> None:
        old, new = chosen[:2]
        item = put_item(new, f"n{self.fresh()}.f1", replaces=old)
        assert self.call_twice(put_call(self.store.keys, [item], WHO))[0] == "0"
        assert old not in self.store.hash("rev")

    def edit(self, wanted: Call, chosen: list[str]) -> bool:
        """Whether it was done. What is refused for one name is refused for all, and leaves everything as it was."""
        before = self.store.everything()
        known = self.store.hash("rev")
        codes = self.call_twice(wanted)
        if not set(codes) <= {"0", "1"}:
            assert self.store.everything() == before
        for name, code in zip(chosen, codes, strict=True):
            assert code == "5" or (code == "2") == (name not in known)
        return set(codes) <= {"0", "1"}

    @rule(step=st.integers(-2, 9))
    def whatever_is_marked_is_planned(self, step: int) -> None:
        rev, last = self.store.hash("rev"), self.store.hash("last")
        marks = {name: score for name, score in self.store.scores().items() if score.startswith("-")}
        for name, score in marks.items():
            slot = max(0, int(last.get(name, "0").split("|", maxsplit=1)[0]) + step)
            planned = self.store.plan(self.term, PlanItem(name, rev[name], score, str(slot + self.jitter(name))))
            assert planned == ("0" if step > 0 else "1")

    @rule(
        claims=st.lists(
            st.tuples(
                st.sampled_from(NAMES), mostly_right, st.integers(-3, 25) | st.sampled_from(("F", "I", "x", "later"))
            ),
            min_size=1,
            max_size=4,
        )
    )
    def plan(self, claims: list[tuple[str, int, int | str]]) -> None:
        rev, last = self.store.hash("rev"), self.store.hash("last")
        places = self.store.scores("blocked") | self.store.scores("due")
        items = []
        for name, error, verdict in claims:
            score = places.get(name, "-1")
            if error:
                score = f"{score}.0" if error > 0 else "5"
            detail = '{"error":"no"}' if verdict == "I" else ""
            skips = (Skip("past", 1, 7, 7),) if error else ()
            said = self.verdict(verdict, last.get(name, "0"))
            items.append(PlanItem(name, rev.get(name, "none"), score, said, detail, skips))
        before = self.store.everything()
        if set(self.call_twice(plan_call(self.store.keys, self.term, items))).isdisjoint("0"):
            assert self.store.everything() == before

    @precondition(lambda self: self.moments())
    @rule(batch=st.lists(right_fires, min_size=4, max_size=4))
    def fire_rightly(self, batch: list[Fire]) -> None:
        self.fire([replace(claim, pick=pick) for pick, claim in enumerate(batch[: len(self.moments())])])

    @precondition(lambda self: self.moments())
    @rule(batch=st.lists(fires, min_size=1, max_size=4))
    def fire(self, batch: list[Fire]) -> None:
        items = [self.fire_item(claim) for claim in batch]
        due, blocked, lease = self.store.scores(), self.store.scores("blocked"), self.store.hash("lease")
        before = self.store.everything()
        codes = self.call_twice(fire_call(self.store.keys, self.term, items))
        for item, code in zip(items, codes, strict=True):
            if code == "0":
                self.settle(item, due)
            elif code == "4":
                blocked[item.name] = due.pop(item.name)
        assert (self.store.scores(), self.store.scores("blocked")) == (due, blocked)
        if "0" not in codes:
            assert self.store.hash("lease") == lease
            if "4" not in codes:
                assert self.store.everything() == before

    @precondition(lambda self: self.moments())
    @rule(batch=st.lists(fires | right_fires, min_size=1, max_size=4), bad=st.sampled_from(((), (), ("other",))))
    def settle_for_another_broker(self, batch: list[Fire], bad: tuple[str, ...]) -> None:
        items = [self.fire_item(claim) for claim in batch]
        due, queues = self.store.scores(), self.queued()
        codes = self.call_twice(settling(self.store.keys, self.term, items, bad=bad))
        for item, code in zip(items, codes, strict=True):
            if code == "0":
                self.moved(item, due)
                self.outbox[item.name] += len(item.messages)
                self.decided += len(item.messages)
        assert self.queued() == queues

    @rule(pick=st.integers(0, 9), outcome=st.sampled_from("DUWM"), task_id_error=mostly_right)
    def an_intent_leaves(self, pick: int, outcome: str, task_id_error: int) -> None:
        intents = sorted(self.store.intents().items())
        if not intents:
            return
        intent_id, (head, _) = intents[pick % len(intents)]
        pairs = [(intent_id, "another" if task_id_error else head[2])]
        calls = {
            "D": done_call(self.store.keys, pairs),
            "U": fail_call(self.store.keys, self.term, pairs, ["no"]),
            "M": mark_call(self.store.keys, pairs),
            "W": drop_call(self.store.keys, pairs, "no", WHO),
        }
        before = self.store.everything()
        code = self.call_twice(calls[outcome])
        if outcome == "M":  # none of them is to be sent at most once
            assert code == "1"
        if code == "0":
            self.outbox[head[0]] -= 1
        else:
            assert self.store.everything() == before

    def withdraw(self, chosen: list[str], codes: str) -> None:
        """What was decided for these entries is taken back."""
        for name, code in zip(chosen, codes or "x" * len(chosen), strict=True):
            if code == "0":
                del self.outbox[name]

    def queued(self) -> list[Any]:
        return [self.store.contents().get(queue) for queue in QUEUES]

    @rule(chosen=names, backfill=st.booleans())
    def ask(self, chosen: list[str], backfill: bool) -> None:
        before, known = self.store.everything(), self.store.hash("rev")
        wanted: dict[str, Any] = {"first": 1, "last": 40} if backfill else {}
        made = [asking(f"{name}-{self.fresh()}", name, **wanted) for name in chosen]
        codes = self.call_twice(request_call(self.store.keys, made, WHO))
        assert [code == "2" for code in codes] == [name not in known for name in chosen]
        if set(codes) != {"0"}:
            assert self.store.everything() == before

    @rule(pick=st.integers(0, 9), cursor_error=mostly_right, rev_error=mostly_right,
          steps=st.lists(st.integers(0, 6), max_size=3), outcome=st.sampled_from(("open", "open", "done", "refused")),
          queue=st.sampled_from(QUEUES))  # fmt: skip
    def serve(self, pick: int, cursor_error: int, rev_error: int, steps: list[int], outcome: str, queue: str) -> None:
        """A part of whatever was asked for, open or not, whoever's it is."""
        requests = self.store.hash("req")
        if not requests:
            return
        request_id = sorted(requests)[pick % len(requests)]
        state, cursor = requests[request_id].split("|")[:2]
        name = request_id.split("-")[0]
        expected = max(0, int(cursor) + cursor_error)
        slots = [expected + step for step in accumulate(steps)]
        item = serving(
            request_id, name, slots=slots, expected=expected, outcome=outcome, queue=queue if slots else "",
            rev="n0.f0" if rev_error else self.store.hash("rev").get(name, "none"), cursor=max([expected, *slots]),
        )  # fmt: skip
        before, timetable = self.store.everything(), self.timetable()
        code = self.call_twice(serve_call(self.store.keys, self.term, item, 1_000))
        if code != "0":
            assert self.store.everything() == before
            return
        assert state == "open"
        assert self.timetable() == timetable
        assert all(slot > int(cursor) for slot in slots)
        self.served[request_id] += slots
        self.sent += len(slots)

    def timetable(self) -> list[Any]:
        """What no request may touch."""
        kinds = ("due", "out", "blocked", "hold", "last", "left", "rev", "def", "jit", "lease")
        return [self.store.contents().get(self.store.key(kind)) for kind in kinds]

    def fire_item(self, claim: Fire) -> FireItem:
        """What a leader would send for the entry, but for the errors of the claim."""
        moments = self.moments()
        name = (sorted(moments) or NAMES)[claim.pick % (len(moments) or len(NAMES))]
        jitter = self.jitter(name)
        moment = int(moments.get(name, "5"))
        owed = max(0, moment - jitter)
        slots = (owed,) if claim.slots is None else tuple(max(0, owed + offset) for offset in claim.slots)
        left = self.store.hash("left").get(name)
        counted = max(0, int(left) - len(slots) + claim.left_error) if left is not None and left.isdigit() else None
        return FireItem(
            name=name,
            rev="n0.f0" if claim.rev_error else self.store.hash("rev").get(name, "none"),
            expected=max(0, moment + claim.moment_error),
            next_moment=None if claim.ends else max(0, moment + claim.step),
            slots=slots,
            plain=claim.slots is None and not claim.moment_error,
            task_id="id",
            good_until=None,
            left=counted,
            skips=() if slots else (Skip("missed", 1, owed, owed),),
            queue_key=claim.queue,
            messages=[b"%s-%d" % (name.encode(), self.fresh()) for _ in slots],
        )

    def verdict(self, claim: int | str, last: str) -> str:
        """A number is a moment, counted from the last fire."""
        if isinstance(claim, str):
            return str(self.store.now() + HOUR) if claim == "later" else claim
        return str(max(0, int(last.split("|", maxsplit=1)[0]) + claim))

    def moments(self) -> dict[str, str]:
        return {name: score for name, score in self.store.scores().items() if score[0] != "-"}

    def jitter(self, name: str) -> int:
        text = self.store.hash("jit").get(name, "0")
        return int(text) if text.isdigit() else 0

    def settle(self, item: FireItem, due: dict[str, str]) -> None:
        """What code 0 of fire says: all its messages are sent, and its entry has moved on."""
        self.sent += len(item.messages)
        self.moved(item, due)

    def moved(self, item: FireItem, due: dict[str, str]) -> None:
        """Its entry has moved on."""
        assert item.name in due
        if item.next_moment is None:
            del due[item.name]
            assert item.name in self.store.hash("out")
        else:
            assert item.next_moment > int(due[item.name])
            due[item.name] = str(item.next_moment)
        for slot in item.slots:
            # Under any revision, and even under a name that was removed and used again.
            assert not self.slots[item.name] or slot > self.slots[item.name][-1]
            self.slots[item.name].append(slot)

    @rule()
    def another_leader(self) -> None:
        self.former.append(self.term)
        self.store.do("HSET", self.store.key("lease"), "until", 1)
        self.term = self.store.lead(f"leader-{self.fresh()}")
        assert self.term.epoch > self.former[-1].epoch

    @rule(claim=fires)
    def a_stranger(self, claim: Fire) -> None:
        twin = replace(self.term, owner="twin")  # the same epoch, granted twice after a failover that lost a suffix
        for term in (twin, replace(self.term, epoch=self.term.epoch - 1), *self.former[-1:]):
            said = self.store.refusal(fire_call(self.store.keys, term, [self.fire_item(claim)]))
            assert said.startswith("FENCED ")
            plans = [PlanItem(name, REV, score, "F") for name, score in self.store.scores().items()]
            for plan in plans:
                assert self.store.refusal(plan_call(self.store.keys, term, [plan])).startswith("FENCED ")

    @rule()
    def a_queue_is_spoilt_or_mended(self) -> None:
        key = QUEUES[1]
        if self.store.do("TYPE", key) == "string":
            self.store.do("DEL", key)
        else:
            self.taken += self.store.do("LLEN", key)
            self.store.do("SET", key, "x")

    @rule(name=st.sampled_from(NAMES), kind=st.sampled_from(("jit", "left", "out", "hold")), text=junk)
    def another_client_spoils(self, name: str, kind: str, text: str) -> None:
        known = self.store.hash(kind) if kind == "out" else self.store.hash("rev")
        if name in known:
            self.store.do("HSET", self.store.key(kind), name, text)

    @rule(name=st.sampled_from(NAMES), reason=st.sampled_from(("paused", "disabled", "invalid")))
    def another_client_takes_out(self, name: str, reason: str) -> None:
        score = self.store.scores().get(name)
        if score is not None:
            self.store.do("ZREM", self.store.key("due"), name)
            self.store.do("HSET", self.store.key("out"), name, f'{{"{reason}":{{}},"owed":"{score}"}}')

    @invariant()
    def every_entry_is_in_one_place(self) -> None:
        places = [set(self.store.scores("due")), set(self.store.scores("blocked")), set(self.store.hash("out"))]
        assert sum(map(len, places)) == len(set().union(*places))
        assert set().union(*places) == set(self.store.hash("rev")) == set(self.store.hash("def"))

    @invariant()
    def every_message_belongs_to_a_slot_with_code_0(self) -> None:
        waiting = sum(self.store.do("LLEN", key) for key in QUEUES if self.store.do("TYPE", key) == "list")
        assert self.taken + waiting == self.sent
        assert self.sent + self.decided == sum(map(len, [*self.slots.values(), *self.served.values()]))
        assert all(slots == sorted(set(slots)) for slots in self.served.values())
        assert self.sent + self.decided == sum(len(slots) for _, slots in self.store.fires())

    @invariant()
    def the_outbox_holds_what_was_decided_and_has_not_left(self) -> None:
        assert Counter(head[0] for head, _ in self.store.intents().values()) == +self.outbox

    @invariant()
    def open_requests_are_those_of_entries_that_name_them(self) -> None:
        is_open = {key for key, value in self.store.hash("req").items() if value.startswith("open|")}
        named = {name: value.split("\x1f") for name, value in self.store.hash("asked").items()}
        assert sorted(request_id for ids in named.values() for request_id in ids) == sorted(is_open)
        assert named.keys() <= self.store.hash("rev").keys()


def test_whatever_is_called_the_invariants_hold(store: Store) -> None:
    bounded = settings(max_examples=examples(40), stateful_step_count=25, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(lambda: Scripts(store), settings=bounded)  # type: ignore[arg-type]  # any maker of one


@pytest.mark.parametrize("name", ["acquire", "renew", "release", "remove", "pause", "done"])
def test_what_must_work_without_memory_says_so_where_it_can(name: str) -> None:
    script = load_script(name)
    assert script.text(shebang=True) == f"#!lua flags=allow-oom\n{script.text(shebang=False)}"


@pytest.mark.parametrize("name", ["put", "plan", "fire", "settle", "resume", "reset", "request", "serve"])
def test_what_grows_never_ignores_the_memory_limit(name: str) -> None:
    script = load_script(name)
    assert script.text(shebang=True) == script.text(shebang=False)
