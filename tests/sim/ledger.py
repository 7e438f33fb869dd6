"""What must be true of every script call, and of all fires and skips together at the end.

The ledger belongs to one history of the dataset: it is copied with a snapshot and goes back with it.
"""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from beatd.core.entry import Entry, entry_from_definition
from beatd.errors import EntryInvalid
from beatd.store.keys import Keys
from beatd.store.scripts import load_script
from tests.sim.lua import shared_lua
from tests.sim.redis import Data, Hash, Server, Stream, Words, ZSet, copied
from tests.sim.replies import Failure, Reply

KINDS: Final = ("due", "rev", "out", "blocked", "lease", "jit", "last", "left", "def", "hold")
SCRIPTS: Final = ("acquire", "renew", "release", "put", "remove", "plan", "fire", "repair", "trim")
MOST_WALKED: Final = 3_000  # slots of one span that are looked at one by one
Fail = Callable[[str], None]
Skipped = tuple[str, int, int, int]  # reason, count, first, last


@dataclass(frozen=True, slots=True)
class Life:
    """A stretch of time in which an entry's slots, in (since, until], were those of one definition."""

    entry: Entry
    since: int
    until: int | None = None


@dataclass(slots=True)
class History:
    """What happened in one history of the dataset."""

    fired: dict[tuple[str, int], int] = field(default_factory=dict)  # (entry, slot) -> TIME
    lives: dict[str, list[Life]] = field(default_factory=dict)
    tainted: set[str] = field(default_factory=set)  # entries that somebody changed past the scripts
    moved_from: dict[str, int] = field(default_factory=dict)  # entry -> the slot that its last move began at
    wiped: dict[str, int | None] = field(default_factory=dict)  # file entries -> settled up to, when all was lost

    def copy(self) -> "History":
        lives = {name: list(of_name) for name, of_name in self.lives.items()}
        return History(dict(self.fired), lives, set(self.tainted), dict(self.moved_from), dict(self.wiped))


@dataclass(slots=True)
class Before:
    """The state before a script."""

    script: str
    state: Mapping[str, Mapping[bytes, Any]]
    whole: Data | None


class Ledger:
    """Looks at every script call. ``fail`` hears of what must not be."""

    def __init__(self, server: Server, keys: Keys, source: random.Random, fail: Fail, sample: float = 0.05) -> None:
        self.history = History()
        self.fires = 0
        self.codes: dict[str, int] = {}
        self._server = server
        self._keys = keys
        self._random = source
        self._fail = fail
        self._sample = sample
        self._texts: dict[bytes, str] = {}
        self._busy = False
        self.steady: Callable[[], bool] = lambda: True  # the server's clock was not set back a moment ago
        self.noted: Callable[[str, Words, Reply], None] = lambda script, args, reply: None

    def load_scripts(self) -> None:
        """Learns the scripts' texts, as they are now."""
        for name in SCRIPTS:
            script = load_script(name)
            self._texts[script.plain.encode()] = self._texts[script.flagged.encode()] = name

    def before(self, text: bytes) -> Before | None:
        if self._busy:
            return None
        sampled = self._random.random() < self._sample
        return Before(self._texts[text], self.state(), copied(self._server.data) if sampled else None)

    def after(self, seen: Before | None, text: bytes, keys: Words, args: Words, reply: Reply) -> None:
        if seen is None:
            return
        self.noted(seen.script, args, reply)
        pushed, self._server.pushed = self._server.pushed, []
        now = self.state()
        if isinstance(reply, Failure):
            self._refused(seen, now, reply)
        elif seen.script == "fire":
            self._fire(seen.state, now, args, reply, pushed)
        elif seen.script == "plan":
            self._plan(seen.state, now, args, reply)
        elif seen.script == "put":
            self._put(seen.state, now, args, reply)
        elif seen.script == "remove":
            self._remove(seen.state, now, args, reply)
        elif seen.script == "repair":
            self._repair(args, reply)
        self._fenced(seen, args, reply)
        self._one_place(now)
        if seen.whole is not None:
            self._again(seen, text, keys, args, reply)

    def state(self) -> dict[str, Mapping[bytes, Any]]:
        """Copies of what is small and decisive, by kind."""
        return {kind: dict(self._get(kind)) for kind in KINDS}

    def _get(self, kind: str) -> Mapping[bytes, Any]:
        value = self._server.data.get(self._keys.key(kind).encode())
        return value if isinstance(value, Hash | ZSet) else {}

    def now_ms(self) -> int:
        """TIME."""
        return self._server.now_us() // 1000

    def settled_of_files(self) -> dict[str, int | None]:
        """File entry -> the instant up to which it is settled; None where it has no more runs."""
        state, found = self.state(), dict(self.history.wiped)  # not gone on with yet since it was lost before
        for raw in state["rev"]:
            name, score = raw.decode(errors="replace"), state["due"].get(raw, state["blocked"].get(raw))
            if name.startswith("file-") and name not in found:
                jitter = _whole(state["jit"].get(raw))
                found[name] = None if score is None else int(score) - jitter - 1 if score >= 0 else int(-score)
        return found

    # Every script

    def _refused(self, seen: Before, now: Mapping[str, Any], reply: Failure) -> None:
        """I10."""
        if now != seen.state or (seen.whole is not None and seen.whole != self._server.data):
            self._fail(f"I10: {seen.script} was refused ({reply.text}) and changed something")
        if reply.text.startswith("ERR"):
            self._fail(f"{seen.script} broke: {reply.text}")

    def _fenced(self, seen: Before, args: Words, reply: Reply) -> None:
        """I4."""
        if seen.script in ("fire", "plan", "repair", "trim", "renew", "release") and not isinstance(reply, Failure):
            lease = seen.state["lease"]
            if (lease.get(b"epoch"), lease.get(b"owner")) != (args[0], args[1]):
                self._fail(f"I4: {seen.script} of {args[0]!r} was accepted under {lease}")

    def _one_place(self, now: Mapping[str, Mapping[bytes, Any]]) -> None:
        """I11."""
        for name in now["rev"]:
            places = [kind for kind in ("due", "out", "blocked") if name in now[kind]]
            if len(places) != 1 and name.decode(errors="replace") not in self.history.tainted:
                self._fail(f"I11: {name!r} is in {places or 'none'} of due, out, blocked")

    def _again(self, seen: Before, text: bytes, keys: Words, args: Words, reply: Reply) -> None:
        """I9: the same call at once again changes nothing but until, rn, seq."""
        once = copied(self._server.data)
        published, pushed = list(self._server.published), list(self._server.pushed)
        self._busy = True
        second = shared_lua().run(text, keys, args, self._server.execute)
        self._busy = False
        twice, self._server.data = self._server.data, once
        self._server.published, self._server.pushed = published, pushed
        if self._comparable(twice) != self._comparable(once):
            changed = [key for key in {**twice, **once} if twice.get(key) != once.get(key)]
            self._fail(f"I9: {seen.script} twice is not once: {changed}, {reply!r} then {second!r}")

    def _comparable(self, data: Data) -> Data:
        key = self._keys.key("lease").encode()
        lease = data.get(key)
        if not isinstance(lease, Hash):
            return data
        return {**data, key: Hash({k: v for k, v in lease.items() if k not in (b"until", b"rn", b"seq")})}

    # fire

    def _fire(self, seen: Any, now: Any, args: Words, reply: Reply, pushed: list[tuple[bytes, bytes]]) -> None:
        codes, time = reply[0].decode(), int(reply[1])
        n, head = int(args[5]), 7
        names, revs, expected, nexts, _, terms = (args[head + i * n : head + (i + 1) * n] for i in range(6))
        messages, at = args[head + 6 * n :], 0
        wanted: list[bytes] = []
        done: set[bytes] = set()
        for i, code in enumerate(codes):
            count = int(terms[i].split(b"|")[1])
            mine, at = messages[at : at + count], at + count
            self.codes[code] = self.codes.get(code, 0) + 1
            if code == "0":
                done.add(names[i])
                wanted += mine
                self._fired(seen, now, names[i], revs[i], int(expected[i]), nexts[i], terms[i], mine, time)
        for i, code in enumerate(codes):
            name = names[i]
            moved = seen["due"].get(name) != now["due"].get(name)
            if code not in "04" and name not in done and moved:
                self._fail(f"I3: {name!r} moved with code {code}")
        if sorted(message for _, message in pushed) != sorted(wanted):
            self._fail(f"I3: pushed {pushed} for {wanted}")
        for queue in {queue for queue, _ in pushed}:
            self._server.data.pop(queue, None)  # a worker has taken them

    def _fired(
        self, seen: Any, now: Any, raw: bytes, rev: bytes, expected: int, next_text: bytes, terms: bytes,
        messages: Sequence[bytes], time: int,
    ) -> None:  # fmt: skip
        name = raw.decode()
        after = now["due"].get(raw)
        finished = next_text == b"F"
        if (after is not None or b"finished" not in now["out"].get(raw, b"")) if finished else after != int(next_text):
            self._fail(f"I3: {name} was to move to {next_text!r} and is at {after}")
        if seen["due"].get(raw) != expected or seen["rev"].get(raw) != rev:
            self._fail(f"I3: {name} was fired at {expected} under {rev!r}, it was {seen['due'].get(raw)}")
        tainted = name in self.history.tainted
        if not tainted and after is not None and after <= expected:
            self._fail(f"I2: {name} went back from {expected} to {after}")
        entry = compiled(name, seen["def"].get(raw))
        if entry is None:
            if not tainted:
                self._fail(f"{name} was fired with a definition that can't be read")
            return
        jitter = _whole(seen["jit"].get(raw))
        self.history.moved_from[name] = expected - jitter
        slots = [self._message(name, entry, message, jitter, time, tainted) for message in messages]
        skips = _skips(terms.split(b"|")[5])
        if not tainted:
            self._span(
                name, entry, expected - jitter, None if finished else int(next_text) - jitter, slots, skips, terms
            )
            if self.steady():
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
        if later is not None and name not in self.history.tainted:
            self._fail(f"{name} was finished though {later} is still to come")
        self._end_life(name, last)

    def _message(self, name: str, entry: Entry, message: bytes, jitter: int, time: int, tainted: bool) -> int:
        content = json.loads(message)
        slot = int(content["slot"])
        if content["name"] != name or content["version"] != version_of(entry):
            self._fail(f"P4: {message!r} was pushed while {name} is at version {version_of(entry)}")
        if slot + jitter > time:
            self._fail(f"I6: slot {slot} + {jitter} of {name} was fired at {time}")
        if not is_slot(entry, slot):
            self._fail(f"I5: {slot} is no slot of {name} ({entry.schedule.to_spec()})")
        if (name, slot) in self.history.fired and not tainted:
            self._fail(f"I1: slot {slot} of {name} fired twice, at {self.history.fired[name, slot]} and {time}")
        self.history.fired[name, slot] = time
        self.fires += 1
        return slot

    def _span(
        self, name: str, entry: Entry, owed: int, after: int | None, slots: list[int], skips: Any, terms: bytes
    ) -> None:
        """I8, slot by slot: from the owed one up to the next, each is fired or in a skip, and none is both."""
        if slots != sorted(set(slots)):
            self._fail(f"{name}: slots {slots} are not ascending")
        end = after if after is not None else max([owed, *slots, *(skip[3] for skip in skips)]) + 1
        expected = walk(entry, owed - 1, end - 1)
        if after is not None and not is_slot(entry, after):
            self._fail(f"I5: {name} moves to {after}, which is no slot")
        found = dict.fromkeys(slots, "fired")
        for reason, count, first, last in skips:
            inside = walk(entry, first - 1, last)
            if len(inside) != count and count < MOST_WALKED:
                self._fail(f"I8: {name} skips {count} slots {reason} in {first}..{last}; there are {len(inside)}")
            for slot in inside:
                if found.setdefault(slot, reason) == "fired":
                    self._fail(f"I8: {slot} of {name} is fired and skipped")
        missing = [slot for slot in expected if slot not in found]
        if missing:
            self._fail(f"I8: {name} moved from {owed} to {after} past {missing[:5]} without a word ({terms!r})")

    def _not_too_soon(self, name: str, entry: Entry, skips: Any, jitter: int, time: int) -> None:
        """What is on time by the server's own clock is fired, unless a bound says otherwise."""
        policy = entry.policy
        for reason, _, _, last in skips:
            late = time - last - jitter
            if reason in ("missed", "coalesced") and late < policy.grace_ms:
                self._fail(f"{name}: {last} was skipped as {reason}, {late} ms late, within its grace")
            expires = entry.options.get("expires")
            dead = policy.deadline_ms is not None and late >= policy.deadline_ms
            if reason == "expired" and not dead and (expires is None or time - last < expires * 1000):
                self._fail(f"{name}: {last} was skipped as expired, {late} ms late")
            if policy.catchup == "all" and reason in ("missed", "coalesced"):
                self._fail(f"{name}: {reason} under catchup all")

    def _not_too_late(self, name: str, entry: Entry, slots: list[int], jitter: int, time: int) -> None:
        """What the policy gives up by the server's clock is not fired."""
        policy, expires = entry.policy, entry.options.get("expires")
        for slot in slots:
            late = time - slot - jitter
            if policy.deadline_ms is not None and late > policy.deadline_ms:
                self._fail(f"{name}: {slot} fired {late} ms late, past its deadline")
            if policy.catchup == "none" and late > policy.grace_ms:
                self._fail(f"{name}: {slot} fired {late} ms late, past its grace")
            if expires is not None and time - slot > expires * 1000:
                self._fail(f"{name}: {slot} fired {late} ms late, its message has expired")

    # repair

    def _repair(self, args: Words, reply: Reply) -> None:
        for name, code in zip(args[4:], reply[0].decode(), strict=True):
            if code != "0" and name.decode(errors="replace") not in self.history.tainted:
                self._fail(f"{name!r} had to be repaired ({code}), and nobody but our scripts wrote it")

    # plan

    def _plan(self, seen: Any, now: Any, args: Words, reply: Reply) -> None:
        codes, n = reply[0].decode(), int(args[4])
        names, revs, scores, verdicts, _, skips = (args[5 + i * n : 5 + (i + 1) * n] for i in range(6))
        done: set[bytes] = set()
        for i, code in enumerate(codes):
            raw = names[i]
            stood = seen["due"].get(raw, seen["blocked"].get(raw))
            if code == "0":
                done.add(raw)
                if stood != float(scores[i]) or seen["rev"].get(raw, b"") != revs[i]:
                    self._fail(f"plan of {raw!r} at {scores[i]!r} was accepted though it stood at {stood}")
                self._planned(seen, now, raw, scores[i], verdicts[i], skips[i])
        for i, code in enumerate(codes):
            if code != "0" and names[i] not in done and seen["due"].get(names[i]) != now["due"].get(names[i]):
                self._fail(f"plan moved {names[i]!r} with code {code}")

    def _planned(  # noqa: C901, PLR0912  # one branch a verdict
        self, seen: Any, now: Any, raw: bytes, score: bytes, verdict: bytes, skips: bytes
    ) -> None:
        name = raw.decode(errors="replace")
        entry = compiled(name, seen["def"].get(raw))
        if verdict == b"G" and raw in seen["rev"]:
            self._fail(f"{name} was taken out of the timetable, and it is an entry")
        if name in self.history.tainted or verdict == b"G":
            return
        if raw in seen["blocked"]:
            if now["due"].get(raw) != float(score):
                self._fail(f"{name} came back from blocked at {now['due'].get(raw)}, it was at {score!r}")
            return
        if score == verdict:
            return  # it stands where it is to stand already
        if entry is None or verdict == b"I":
            self._fail(f"{name} was planned as {verdict!r}")
            return
        if self._taken_up(name, entry, verdict, _whole(seen["jit"].get(raw))):
            return
        t, last, jitter = int(-float(score)), _last(seen["last"].get(raw)), _whole(seen["jit"].get(raw))
        since = max(t - (jitter + entry.policy.grace_ms + 1 if entry.schedule.kind == "at" else 0), last)
        slot = entry.schedule.next_ms(since)
        left = seen["left"].get(raw)
        if float(score) >= 0:
            self._fail(f"{name} was planned again from {score!r}")
        elif verdict == b"F":
            if slot is not None and left != b"0":
                self._fail(f"{name} was finished by plan though {slot} is to come")
            missed = entry.schedule.next_ms(last) if entry.schedule.kind == "at" and left != b"0" else None
            if missed is not None and not _skips(skips):
                self._fail(f"{name}: {missed} is past and has no skip")
            self._end_life(name, t)
        elif slot is None or int(verdict) != slot + jitter or left == b"0":
            self._fail(f"{name} was planned for {verdict!r} from {t}; its first slot is {slot} + {jitter}")
        elif slot <= t:
            self._start_again(name, slot - 1)  # a one-time entry just past

    def _taken_up(self, name: str, entry: Entry, verdict: bytes, jitter: int) -> bool:
        """Whether a file entry goes on where it was before all was lost: not a slot earlier, nor one later."""
        if name not in self.history.wiped:
            return False
        settled = self.history.wiped.pop(name)
        if settled is None:  # it had no more runs
            return False
        slot = entry.schedule.next_ms(settled)
        # What its last move settled may be settled again, in the new history: the answer may have been lost.
        taken_up = int(verdict) - jitter if verdict.isdigit() else -1
        last = settled + 1 if slot is None else slot
        if not is_slot(entry, taken_up) or not min(self.history.moved_from.get(name, last), last) <= taken_up <= last:
            return False
        self._start_again(name, taken_up - 1)
        return True

    # Edits

    def _put(self, seen: Any, now: Any, args: Words, reply: Reply) -> None:
        codes, n = reply[0].decode(), int(args[4])
        names, revs, _, definitions, jitters, _, enabled, _ = (args[5 + i * n : 5 + (i + 1) * n] for i in range(8))
        refused = any(code in "25" for code in codes)
        for i, raw in enumerate(names):
            if refused or codes[i] == "1":
                if {k: seen[k].get(raw) for k in ("due", "rev", "def")} != {
                    k: now[k].get(raw) for k in ("due", "rev", "def")
                }:
                    self._fail(f"put changed {raw!r} with code {codes[i]}")
                continue
            if now["rev"].get(raw) != revs[i] or now["def"].get(raw) != definitions[i]:
                self._fail(f"put of {raw!r} was acknowledged and not stored")
            self._edited(raw.decode(), raw, seen, now, jitters[i], enabled[i] == b"1")

    def _edited(self, name: str, raw: bytes, seen: Any, now: Any, jitter: bytes, enabled: bool) -> None:
        time = self.now_ms()
        score = seen["due"].get(raw, seen["blocked"].get(raw))
        out = _object(seen["out"].get(raw))
        new = now["due"].get(raw)
        entry = compiled(name, now["def"].get(raw))
        before = seen["rev"].get(raw)
        same = before is not None and before.split(b".")[1] == now["rev"][raw].split(b".")[1]
        if (new is None) == enabled and not out.get("paused"):
            self._fail(f"{name}: enabled is {enabled} and its score {new}")
        owed = float(out["owed"]) if score is None and "owed" in out else score
        if owed is not None and name not in self.history.tainted:
            before_owed = int(owed) - _whole(seen["jit"].get(raw)) - 1 if owed >= 0 else int(-owed)
            # What the old definition still owed up to now is to stand in a row; an unchanged one goes on owing it.
            self._end_life(name, before_owed if same or score is None else max(time, before_owed))
        if new is not None and entry is not None:
            since = int(new) - int(jitter) - 1 if new >= 0 else int(-new)
            self.history.lives.setdefault(name, []).append(Life(entry, since))
            if new >= 0 and (not same or new != score):
                self._fail(f"{name}: a put set the moment {new}")
            last = _last(seen["last"].get(raw))
            if name not in self.history.tainted and new < 0 and -new < last:
                self._fail(f"{name}: put plans from {-new}, before the last fire {last}")
            if new < 0 and -new > max(time, last, 1) and not (score is not None and score < 0 and new == score):
                self._fail(f"{name}: put plans from {-new}, later than now")

    def _remove(self, seen: Any, now: Any, args: Words, reply: Reply) -> None:
        codes, n = reply[0].decode(), int(args[3])
        for i, raw in enumerate(args[4 : 4 + n]):
            name = raw.decode()
            if codes[i] == "0":
                if any(raw in now[kind] for kind in ("due", "rev", "def", "out", "blocked", "jit", "left")):
                    self._fail(f"{name} was removed and something of it stays")
                score = seen["due"].get(raw, seen["blocked"].get(raw))
                if score is not None and name not in self.history.tainted:
                    self._end_life(name, int(score) - _whole(seen["jit"].get(raw)) - 1 if score >= 0 else int(-score))

    def _end_life(self, name: str, until: int) -> None:
        lives = self.history.lives.get(name)
        if lives and lives[-1].until is None:
            lives[-1] = replace(lives[-1], until=until)

    def _start_again(self, name: str, since: int) -> None:
        lives = self.history.lives.get(name)
        if lives:
            lives[-1] = replace(lives[-1], since=min(lives[-1].since, since))

    # The end

    def nothing_lost(self) -> None:
        """Every slot of every life is fired or lies in the range of a row."""
        due, jit = self._get("due"), self._get("jit")
        blocked = self._get("blocked")
        rows = self._rows()
        for name, lives in self.history.lives.items():
            if name in self.history.tainted:
                continue
            for life in lives:
                until = life.until
                if until is None:
                    raw = name.encode()
                    score = due.get(raw, blocked.get(raw))
                    if score is None:
                        self._fail(f"{name} is in no place, and its life has no end")
                        continue
                    until = int(score) - _whole(jit.get(raw)) - 1 if score >= 0 else int(-score)
                for slot in walk(life.entry, life.since, until):
                    ranges = rows.get(name, ())
                    if (name, slot) not in self.history.fired and not any(a <= slot <= b for a, b in ranges):
                        self._fail(f"lost: slot {slot} of {name} ({life}) has neither fired nor a row")
                        return

    def _rows(self) -> dict[str, list[tuple[int, int]]]:
        found: dict[str, list[tuple[int, int]]] = {}
        stream = self._server.data.get(self._keys.key("skip").encode())
        for _, fields in stream.rows if isinstance(stream, Stream) else ():
            packed = dict(zip(fields[::2], fields[1::2], strict=True))[b"skips"]
            for part in packed.split(b"\x1e"):
                raw, _, skips = part.partition(b"\x1f")
                found.setdefault(raw.decode(errors="replace"), []).extend((s[2], s[3]) for s in _skips(skips))
        return found


@lru_cache(20_000)
def compiled(name: str, definition: bytes | None) -> Entry | None:
    """The entry of a definition, None where it can't be read."""
    try:
        return None if definition is None else entry_from_definition(name, definition)
    except EntryInvalid:
        return None


def version_of(entry: Entry) -> object:
    """What tells one edit from the next: the first argument of the task."""
    return entry.args[0] if entry.args else None


def is_slot(entry: Entry, slot: int) -> bool:
    return entry.schedule.next_ms(slot - 1) == slot


def walk(entry: Entry, after: int, until: int) -> list[int]:
    """The slots in (after, until], by asking for one after another; at most so many."""
    found: list[int] = []
    slot = entry.schedule.next_ms(after)
    while slot is not None and slot <= until and len(found) < MOST_WALKED:
        found.append(slot)
        slot = entry.schedule.next_ms(slot)
    return found


def _skips(packed: bytes) -> list[Skipped]:
    parts = [part.split(":") for part in packed.decode().split(";") if part]
    return [(reason, int(count), int(first), int(last)) for reason, count, first, last in parts]


def _last(value: bytes | None) -> int:
    head = (value or b"").split(b"|")[0]
    return int(head) if head.isdigit() else 0


def _whole(value: bytes | None) -> int:
    return int(value) if value is not None and value.isdigit() and len(value) <= 15 else 0


def _object(text: bytes | None) -> dict[str, Any]:
    try:
        value = json.loads(text or b"{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
