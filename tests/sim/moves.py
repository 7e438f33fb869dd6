"""What must be true of the leader's moves: fire and plan."""

import json
from collections.abc import Sequence
from typing import Any, Final

from beatd.core.entry import Entry
from tests.sim.history import (
    MOST_WALKED,
    Book,
    Skipped,
    State,
    compiled,
    is_slot,
    last_fire,
    skips_of,
    version_of,
    walk,
    whole,
)
from tests.sim.redis import Words

ANSWERS_LOST_MS: Final = 6_000  # so long a leader may go without an answer


class Fires:
    """Looks at calls of fire."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def fire(self, seen: State, now: State, args: Words, reply: Any, pushed: list[tuple[bytes, bytes]]) -> None:
        """One accepted call of fire."""
        codes, time = reply[0].decode(), int(reply[1])
        n, head = int(args[5]), 7
        names, revs, expected, nexts, _, terms = (args[head + i * n : head + (i + 1) * n] for i in range(6))
        messages, at = args[head + 6 * n :], 0
        wanted: list[bytes] = []
        done: set[bytes] = set()
        for i, code in enumerate(codes):
            count = int(terms[i].split(b"|")[1])
            mine, at = messages[at : at + count], at + count
            self._book.codes[code] = self._book.codes.get(code, 0) + 1
            if code == "0":
                done.add(names[i])
                wanted += mine
                self._fired(seen, now, names[i], revs[i], int(expected[i]), nexts[i], terms[i], mine, time)
        may_move = done | {name for name, code in zip(names, codes, strict=True) if code == "4"}
        for i, code in enumerate(codes):
            name = names[i]
            moved = seen["due"].get(name) != now["due"].get(name)
            if code not in "04" and name not in may_move and moved:
                self._book.fail(f"I3: {name!r} moved with code {code}")
        if sorted(message for _, message in pushed) != sorted(wanted):
            self._book.fail(f"I3: pushed {pushed} for {wanted}")

    def _fired(
        self, seen: Any, now: Any, raw: bytes, rev: bytes, expected: int, next_text: bytes, terms: bytes,
        messages: Sequence[bytes], time: int,
    ) -> None:  # fmt: skip
        name = raw.decode()
        after = now["due"].get(raw)
        finished = next_text == b"F"
        if (after is not None or b"finished" not in now["out"].get(raw, b"")) if finished else after != int(next_text):
            self._book.fail(f"I3: {name} was to move to {next_text!r} and is at {after}")
        if seen["due"].get(raw) != expected or seen["rev"].get(raw) != rev:
            self._book.fail(f"I3: {name} was fired at {expected} under {rev!r}, it was {seen['due'].get(raw)}")
        tainted = name in self._book.history.tainted
        if not tainted and after is not None and after <= expected:
            self._book.fail(f"I2: {name} went back from {expected} to {after}")
        entry = compiled(name, seen["def"].get(raw))
        if entry is None:
            if not tainted:
                self._book.fail(f"{name} was fired with a definition that can't be read")
            return
        jitter = whole(seen["jit"].get(raw))
        self._book.history.moved_from[name] = expected - jitter
        if not finished:
            self._book.furthest[name] = max(self._book.furthest.get(name, 0), int(next_text) - jitter)
        slots = [self._message(name, entry, message, jitter, time, tainted) for message in messages]
        skips = skips_of(terms.split(b"|")[5])
        if not tainted:
            self._span(
                name, entry, expected - jitter, None if finished else int(next_text) - jitter, slots, skips, terms
            )
            if self._book.steady():
                self._not_too_soon(name, entry, skips, jitter, time)
            self._not_too_late(name, entry, slots, jitter, time)
        if finished:
            self._finished(name, entry, expected - jitter, slots, skips, counted=terms.split(b"|")[3] == b"0")

    def _finished(
        self, name: str, entry: Entry, owed: int, slots: list[int], skips: list[Skipped], *, counted: bool
    ) -> None:
        """Nothing is to come any more, unless its runs are used up."""
        ends = [skip[3] for skip in skips]
        last = slots[-1] if slots else max(ends, default=owed)
        later = None if counted else entry.schedule.next_ms(max([last, *ends]))
        if later is not None and name not in self._book.history.tainted:
            self._book.fail(f"{name} was finished though {later} is still to come")
        self._book.history.end_life(name, last)

    def _message(self, name: str, entry: Entry, message: bytes, jitter: int, time: int, tainted: bool) -> int:
        content = json.loads(message)
        slot = int(content["slot"])
        if content["name"] != name or content["version"] != version_of(entry):
            self._book.fail(f"P4: {message!r} was pushed while {name} is at version {version_of(entry)}")
        if slot + jitter > time:
            self._book.fail(f"I6: slot {slot} + {jitter} of {name} was fired at {time}")
        if not is_slot(entry, slot):
            self._book.fail(f"I5: {slot} is no slot of {name} ({entry.schedule.to_spec()})")
        if not tainted:
            self._not_paused(name, slot)
        if (name, slot) in self._book.history.fired and not tainted:
            self._book.fail(
                f"I1: slot {slot} of {name} fired twice, at {self._book.history.fired[name, slot]} and {time}"
            )
        self._book.history.fired[name, slot] = time
        self._book.fires += 1
        return slot

    def _not_paused(self, name: str, slot: int) -> None:
        """P4: what a pause was acknowledged for does not fire."""
        history = self._book.history
        if name in history.paused and history.paused[name] is None:
            self._book.fail(f"P4: {slot} of {name} was fired, and it is paused")
        if slot <= history.held(name):
            self._book.fail(f"P4: {slot} of {name} was fired, and a pause holds it up to {history.held(name)}")

    def _span(
        self, name: str, entry: Entry, owed: int, after: int | None, slots: list[int], skips: Any, terms: bytes
    ) -> None:
        """I8, slot by slot: from the owed one up to the next, each is fired or in a skip, and none is both."""
        if slots != sorted(set(slots)):
            self._book.fail(f"{name}: slots {slots} are not ascending")
        end = after if after is not None else max([owed, *slots, *(skip[3] for skip in skips)]) + 1
        expected = walk(entry, owed - 1, end - 1)
        if after is not None and not is_slot(entry, after):
            self._book.fail(f"I5: {name} moves to {after}, which is no slot")
        found = dict.fromkeys(slots, "fired")
        for reason, count, first, last in skips:
            inside = walk(entry, first - 1, last)
            if len(inside) != count and count < MOST_WALKED:
                self._book.fail(f"I8: {name} skips {count} slots {reason} in {first}..{last}; there are {len(inside)}")
            for slot in inside:
                if found.setdefault(slot, reason) == "fired":
                    self._book.fail(f"I8: {slot} of {name} is fired and skipped")
        missing = [slot for slot in expected if slot not in found]
        if missing:
            self._book.fail(f"I8: {name} moved from {owed} to {after} past {missing[:5]} without a word ({terms!r})")

    def _not_too_soon(self, name: str, entry: Entry, skips: Any, jitter: int, time: int) -> None:
        """What is on time by the server's own clock is fired, unless a bound says otherwise."""
        policy = entry.policy
        for reason, _, _, last in skips:
            late = time - last - jitter
            if reason in ("missed", "coalesced") and late < policy.grace_ms:
                self._book.fail(f"{name}: {last} was skipped as {reason}, {late} ms late, within its grace")
            expires = entry.options.get("expires")
            dead = policy.deadline_ms is not None and late >= policy.deadline_ms
            if reason == "expired" and not dead and (expires is None or time - last < expires * 1000):
                self._book.fail(f"{name}: {last} was skipped as expired, {late} ms late")
            if policy.catchup == "all" and reason in ("missed", "coalesced"):
                self._book.fail(f"{name}: {reason} under catchup all")

    def _not_too_late(self, name: str, entry: Entry, slots: list[int], jitter: int, time: int) -> None:
        """What the policy gives up by the server's clock is not fired."""
        policy, expires = entry.policy, entry.options.get("expires")
        for slot in slots:
            late = time - slot - jitter
            if policy.deadline_ms is not None and late > policy.deadline_ms:
                self._book.fail(f"{name}: {slot} fired {late} ms late, past its deadline")
            if policy.catchup == "none" and late > policy.grace_ms:
                self._book.fail(f"{name}: {slot} fired {late} ms late, past its grace")
            if expires is not None and time - slot > expires * 1000:
                self._book.fail(f"{name}: {slot} fired {late} ms late, its message has expired")


class Plans:
    """Looks at calls of plan."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def plan(self, seen: State, now: State, args: Words, reply: Any) -> None:
        """One accepted call of plan."""
        codes, n = reply[0].decode(), int(args[4])
        names, revs, scores, verdicts, _, skips = (args[5 + i * n : 5 + (i + 1) * n] for i in range(6))
        done: set[bytes] = set()
        for i, code in enumerate(codes):
            raw = names[i]
            stood = seen["due"].get(raw, seen["blocked"].get(raw))
            if code == "0":
                done.add(raw)
                if stood != float(scores[i]) or seen["rev"].get(raw, b"") != revs[i]:
                    self._book.fail(f"plan of {raw!r} at {scores[i]!r} was accepted though it stood at {stood}")
                self._planned(seen, now, raw, scores[i], verdicts[i], skips[i], int(reply[1]))
        for i, code in enumerate(codes):
            if code == "2" and names[i] in seen["rev"]:
                self._book.met[self._book.history.last_edit.get(names[i].decode(errors="replace"), "other")] += 1
            if code != "0" and names[i] not in done and seen["due"].get(names[i]) != now["due"].get(names[i]):
                self._book.fail(f"plan moved {names[i]!r} with code {code}")

    def repair(self, args: Words, reply: Any) -> None:
        """One accepted call of repair."""
        for name, code in zip(args[4:], reply[0].decode(), strict=True):
            if code != "0" and name.decode(errors="replace") not in self._book.history.tainted:
                self._book.fail(f"{name!r} had to be repaired ({code}), and nobody but our scripts wrote it")

    def _planned(  # noqa: C901, PLR0912  # one branch a verdict
        self, seen: Any, now: Any, raw: bytes, score: bytes, verdict: bytes, skips: bytes, time: int
    ) -> None:
        name = raw.decode(errors="replace")
        entry = compiled(name, seen["def"].get(raw))
        if verdict == b"G" and raw in seen["rev"]:
            self._book.fail(f"{name} was taken out of the timetable, and it is an entry")
        if name in self._book.history.tainted or verdict == b"G":
            return
        if raw in seen["blocked"]:
            if now["due"].get(raw) != float(score):
                self._book.fail(f"{name} came back from blocked at {now['due'].get(raw)}, it was at {score!r}")
            return
        if score == verdict:
            return  # it stands where it is to stand already
        if entry is None or verdict == b"I":
            self._book.fail(f"{name} was planned as {verdict!r}")
            return
        if self._taken_up(name, entry, verdict, whole(seen["jit"].get(raw)), time):
            return
        t, last, jitter = int(-float(score)), last_fire(seen["last"].get(raw)), whole(seen["jit"].get(raw))
        back = jitter + entry.policy.grace_ms + 1 if entry.schedule.kind == "at" else 0
        since = max(t - back, last, self._book.history.held(name))
        slot = entry.schedule.next_ms(since)
        left = seen["left"].get(raw)
        if float(score) >= 0:
            self._book.fail(f"{name} was planned again from {score!r}")
        elif verdict == b"F":
            if slot is not None and left != b"0":
                self._book.fail(f"{name} was finished by plan though {slot} is to come")
            missed = entry.schedule.next_ms(last) if entry.schedule.kind == "at" and left != b"0" else None
            if missed is not None and not skips_of(skips):
                self._book.fail(f"{name}: {missed} is past and has no skip")
            self._book.history.end_life(name, t)
        elif slot is None or int(verdict) != slot + jitter or left == b"0":
            self._book.fail(f"{name} was planned for {verdict!r} from {t}; its first slot is {slot} + {jitter}")
        elif slot <= t:
            self._book.history.start_again(name, slot - 1)  # a one-time entry just past

    def _taken_up(self, name: str, entry: Entry, verdict: bytes, jitter: int, time: int) -> bool:
        """Whether a file entry goes on where it was before all was lost: not a slot earlier, nor one later."""
        history = self._book.history
        if name not in history.wiped:
            return False
        settled = history.wiped.pop(name)
        taken_up = int(verdict) - jitter if verdict.isdigit() else -1
        if not is_slot(entry, taken_up):
            return False
        if settled is not None:  # else it was not in the timetable: the leader does not know why, nor since when
            slot = entry.schedule.next_ms(settled)
            last = settled + 1 if slot is None else slot
            # The leader knows more than a dataset that went back.
            last = max(last, self._book.furthest.get(name, last))
            # What its last moves settled may be settled again, in the new history: their answers may have been lost.
            # And an entry younger than its jitter may begin with the slot before it was made.
            again = taken_up >= history.moved_from.get(name, last) or taken_up + jitter > time - ANSWERS_LOST_MS
            if taken_up > last or (taken_up < last and not again):
                return False
        history.start_again(name, taken_up - 1)
        return True
