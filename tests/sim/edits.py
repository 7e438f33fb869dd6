"""What must be true of edits: put, remove, pause, resume, reset."""

from collections.abc import Sequence
from typing import Any, Final

from tests.sim.history import Book, History, State, compiled, instant, last_fire, object_of, settled, whole
from tests.sim.redis import Words
from tests.sim.requests import Requests

OTHER_REASONS: Final = ("disabled", "invalid", "finished")
PLACES: Final = ("due", "blocked", "out", "hold", "rev", "def", "left", "jit", "last")


class Edits:
    """Looks at accepted calls of all edits. ``time``: TIME of the call."""

    def __init__(self, book: Book, requests: Requests) -> None:
        self._book = book
        self._requests = requests
        self.ended: set[str] = set()  # entries whose requests the present call withdraws

    @property
    def _history(self) -> History:
        return self._book.history

    def put(self, seen: State, now: State, args: Words, reply: Any, time: int) -> None:
        """One call of put, with what it replaces."""
        codes, n = reply[0].decode(), int(args[4])
        names, revs, _, definitions, jitters, lefts, enabled, files = (
            args[5 + i * n : 5 + (i + 1) * n] for i in range(8)
        )
        refused, m, gone = any(code in "25" for code in codes), len(codes) - n, args[6 + 8 * n :]
        replaced, heirs = gone[:m], dict(zip(map(int, gone[2 * m : 3 * m]), gone[:m], strict=True))
        for i, raw in enumerate(names):
            if refused or codes[i] == "1":
                self._unchanged("put", raw, seen, now)
                continue
            if now["rev"].get(raw) != revs[i] or now["def"].get(raw) != definitions[i]:
                self._book.fail(f"put of {raw!r} was acknowledged and not stored")
            self._runs_changed(raw, lefts[i], seen, now)
            if raw not in seen["rev"]:
                if i + 1 in heirs and heirs[i + 1] in seen["rev"]:
                    self._history.renamed(heirs[i + 1].decode(), raw.decode(), time)
                else:
                    self._history.created(raw.decode(), time, from_file=files[i] != b"")
            self._edited(raw.decode(), raw, seen, now, jitters[i], time, enabled=enabled[i] == b"1")
            before = self._history.last_edit.get(raw.decode())
            self._history.last_edit[raw.decode()] = "re-created" if before == "removed" else "edited"
        for raw, code in zip(replaced, codes[n:], strict=True):
            if refused or code == "1":
                self._unchanged("put", raw, seen, now)
            else:
                self._removed(raw, seen, now, time)
                self._history.last_edit[raw.decode()] = "renamed"

    def remove(self, seen: State, now: State, args: Words, reply: Any, time: int) -> None:
        """One call of remove."""
        codes, n = reply[0].decode(), int(args[3])
        for i, raw in enumerate(args[4 : 4 + n]):
            if codes[i] == "0":
                self._removed(raw, seen, now, time)

    def pause(self, seen: State, now: State, args: Words, reply: Any, time: int) -> None:
        """One call of pause."""
        until = int(args[6]) if args[6] else None
        for raw in self._done("pause", args[8:], seen, now, reply, time, kept=("def", "left", "jit", "last")):
            name = raw.decode()
            self._withdrawn(name, now, time)
            self._history.paused[name] = until
            self._history.last_edit[name] = "paused" if until is None else "held"
            if name in self._history.tainted:
                continue
            since = self._owed_since(raw, seen, time)
            behind = max(since, last_fire(seen["last"].get(raw)), self._history.swallowed.get(name, 0))
            self._end_or_hold(name, raw, now, behind, until)
            if until is None:
                self._taken_out(name, raw, seen, now, since, time)
            else:
                self._held(name, raw, seen, now, since, until, self._others(raw, seen, time))

    def resume(self, seen: State, now: State, args: Words, reply: Any, time: int) -> None:
        """One call of resume."""
        catchup = args[4] == b"1"
        for raw in self._done("resume", args[6:], seen, now, reply, time, kept=("def", "left", "jit", "last")):
            name = raw.decode()
            self._history.paused.pop(name, None)
            self._history.last_edit[name] = "resumed"
            # Ahead of now where the clock went back since: the slots of the hours that come again are none.
            swallowed = self._history.swallowed.get(name, 0)
            if not catchup:
                self._history.swallowed[name] = max(time, swallowed)
            out = self._out(raw, now)
            if "paused" in out or self._runs(object_of(now["hold"].get(raw)), time):
                self._book.fail(f"{name} was resumed and is still paused: {out}, {now['hold'].get(raw)!r}")
            if name in self._history.tainted:
                continue
            since, reasons = self._owed_since(raw, seen, time), self._others(raw, seen, time)
            if reasons:
                self._stays_out("resume", name, raw, now, reasons)
                continue
            last = last_fire(seen["last"].get(raw))
            self._marked("resume", name, raw, now, max(since if catchup else time, last, 1))
            entry = compiled(name, now["def"].get(raw))
            if entry is not None:
                self._history.begin_life(name, entry, max(since, last, swallowed))

    def reset(self, seen: State, now: State, args: Words, reply: Any, time: int) -> None:
        """One call of reset."""
        n = int(args[4])
        lefts = dict(zip(args[5 : 5 + n], args[5 + 2 * n :], strict=True))
        for raw in self._done("reset", args[5 : 5 + 2 * n], seen, now, reply, time, kept=("def", "jit", "last")):
            name = raw.decode()
            self._history.last_edit[name] = "reset"
            if now["left"].get(raw) != lefts[raw]:
                self._book.fail(f"{name} was to have {lefts[raw]!r} runs left and has {now['left'].get(raw)!r}")
            if name in self._history.tainted:
                continue
            out, used_up = self._out(raw, seen), seen["left"].get(raw) == b"0"
            if "finished" not in out or not used_up:
                if any(seen[kind].get(raw) != now[kind].get(raw) for kind in ("due", "blocked", "out", "hold")):
                    self._book.fail(f"{name} moved by a reset that was to give it runs alone")
                continue
            last = last_fire(seen["last"].get(raw))
            reasons = sorted(set(out) & {"paused", "disabled", "invalid"})
            if reasons:
                self._stays_out("reset", name, raw, now, reasons)
                continue
            self._marked("reset", name, raw, now, max(time, last, self._history.held(name), 1))
            entry = compiled(name, now["def"].get(raw))
            if entry is not None:
                self._history.begin_life(name, entry, max(last or time, self._history.swallowed.get(name, 0)))

    # What they have in common

    def _done(
        self, script: str, columns: Words, seen: State, now: State, reply: Any, time: int, *, kept: Sequence[str]
    ) -> list[bytes]:
        """The names for which something was done; all others are as before, these have a new revision."""
        codes = reply[0].decode()
        names, nonces = columns[: len(codes)], columns[len(codes) : 2 * len(codes)]
        done = []
        for raw, nonce, code in zip(names, nonces, codes, strict=True):
            if any(code in "235" for code in codes) or code == "1":
                self._unchanged(script, raw, seen, now)
                self._rightly_nothing(script, raw, seen, nonce, code, time)
                continue
            before, after = seen["rev"].get(raw, b""), now["rev"].get(raw, b"")
            if after == before or after.split(b".")[0] != nonce or after.split(b".")[1] != before.split(b".")[1]:
                self._book.fail(f"{script} of {raw!r} under {nonce!r} turned its revision {before!r} into {after!r}")
            changed = [kind for kind in kept if seen[kind].get(raw) != now[kind].get(raw)]
            if changed:
                self._book.fail(f"{script} of {raw!r} changed its {changed}")
            done.append(raw)
        return done

    def _rightly_nothing(self, script: str, raw: bytes, seen: State, nonce: bytes, code: str, time: int) -> None:
        stands = seen["rev"].get(raw, b"").split(b".")[0] == nonce
        paused = "paused" in self._out(raw, seen) or self._runs(object_of(seen["hold"].get(raw)), time)
        if code == "1" and not stands and (script != "resume" or paused):
            self._book.fail(f"{script} of {raw!r} says it was done before; its revision is {seen['rev'].get(raw)!r}")
        if (code == "2") != (raw not in seen["rev"]) and code in "12":
            self._book.fail(f"{script} of {raw!r} answers {code}; its revision is {seen['rev'].get(raw)!r}")

    def _unchanged(self, script: str, raw: bytes, seen: State, now: State) -> None:
        changed = [kind for kind in PLACES if seen[kind].get(raw) != now[kind].get(raw)]
        if changed:
            self._book.fail(f"{script} did nothing to {raw!r} and changed its {changed}")

    def _marked(self, script: str, name: str, raw: bytes, now: State, t: int) -> None:
        if now["due"].get(raw) != -t or raw in now["out"] or raw in now["blocked"]:
            self._book.fail(f"after {script} {name} is to be planned from {t} and stands at {now['due'].get(raw)}")

    def _stays_out(self, script: str, name: str, raw: bytes, now: State, reasons: Sequence[str]) -> None:
        out = self._out(raw, now)
        if raw in now["due"] or raw in now["blocked"] or sorted(set(out) - {"owed"}) != sorted(reasons):
            self._book.fail(f"after {script} {name} is to stay out for {reasons}; it is out for {out}")

    def _out(self, raw: bytes, state: State) -> dict[str, Any]:
        return object_of(state["out"].get(raw))

    def _runs(self, hold: dict[str, Any], time: int) -> bool:
        """Whether a pause with an end runs."""
        return time < instant(hold.get("until"))

    def _others(self, raw: bytes, seen: State, time: int) -> list[str]:
        """The reasons to be out that a pause leaves alone: what ended inside a pause has not ended."""
        hold = object_of(seen["hold"].get(raw))
        passing = {"finished"} if self._runs(hold, time) and "since" in hold else set()
        return sorted((set(self._out(raw, seen)) & set(OTHER_REASONS)) - passing)

    def _owed_since(self, raw: bytes, seen: State, time: int) -> int:
        """The instant after which the entry owes its slots to whoever lifts a pause."""
        hold = object_of(seen["hold"].get(raw))
        if self._runs(hold, time) and "since" in hold:
            return instant(hold["since"])
        owed = self._out(raw, seen).get("owed")
        score = seen["due"].get(raw, seen["blocked"].get(raw))
        since = settled(score if score is not None or owed is None else float(owed), whole(seen["jit"].get(raw)))
        return time if since is None else since

    # put and remove

    def _runs_changed(self, raw: bytes, left: bytes, seen: State, now: State) -> None:
        """A difference counts from what was left in that instant."""
        before, after = seen["left"].get(raw), now["left"].get(raw)
        if left[:1] in (b"+", b"-") and whole(after) != max(0, whole(before) + int(left)):
            self._book.fail(f"{raw!r} had {before!r} runs left, was given {left!r}, and has {after!r}")

    def _edited(
        self, name: str, raw: bytes, seen: State, now: State, jitter: bytes, time: int, *, enabled: bool
    ) -> None:
        score = seen["due"].get(raw, seen["blocked"].get(raw))
        out = self._out(raw, seen)
        new = now["due"].get(raw)
        entry = compiled(name, now["def"].get(raw))
        before = seen["rev"].get(raw)
        same = before is not None and before.split(b".")[1] == now["rev"][raw].split(b".")[1]
        tainted = name in self._history.tainted
        stopped = name in self._history.paused and self._history.paused[name] is None
        if not tainted and (new is None) == enabled and not stopped and "paused" not in out:
            self._book.fail(f"{name}: enabled is {enabled} and its score {new}")
        if new is not None and stopped and not tainted:
            self._book.fail(f"{name} is paused, and a put brought it back at {new}")
        owed = float(out["owed"]) if score is None and "owed" in out else score
        if owed is not None and not tainted:
            before_owed = settled(owed, whole(seen["jit"].get(raw))) or 0
            # What the old definition still owed up to now is to stand in a row; an unchanged one goes on owing it.
            self._history.end_life(name, before_owed if same or score is None else max(time, before_owed))
        if new is not None and entry is not None:
            since = settled(new, int(jitter)) or 0
            self._history.begin_life(name, entry, since)
            if new >= 0 and (not same or new != score):
                self._book.fail(f"{name}: a put set the moment {new}")
            last, held = last_fire(seen["last"].get(raw)), self._history.held(name)
            if not tainted and new < 0 and -new < last:
                self._book.fail(f"{name}: put plans from {-new}, before the last fire {last}")
            if not tainted and since < held:
                self._book.fail(f"{name}: after a put slots from {since} on count; a pause holds until {held}")
            stood = score is not None and score < 0 and new == score
            if not tainted and new < 0 and -new > max(time, last, held, 1) and not stood:
                self._book.fail(f"{name}: put plans from {-new}, later than now")

    def _removed(self, raw: bytes, seen: State, now: State, time: int) -> None:
        name = raw.decode()
        if any(raw in now[kind] for kind in ("due", "rev", "def", "out", "blocked", "jit", "left", "hold")):
            self._book.fail(f"{name} was removed and something of it stays")
        self._withdrawn(name, now, time)
        since = settled(seen["due"].get(raw, seen["blocked"].get(raw)), whole(seen["jit"].get(raw)))
        if since is not None and name not in self._history.tainted:
            self._history.end_life(name, max(time, since))  # what it owed up to now is to stand in a row
        self._history.removed(name, time, from_file=raw in seen["file"])
        self._history.last_edit[name] = "removed"

    def _withdrawn(self, name: str, now: State, time: int) -> None:
        self.ended.add(name)
        self._requests.withdrawn(name, now, time)

    # pause

    def _end_or_hold(self, name: str, raw: bytes, now: State, since: int, until: int | None) -> None:
        """Without an end nothing is this definition's business until it is resumed; with one it goes on at once."""
        entry = compiled(name, now["def"].get(raw))
        if until is None or entry is None or raw not in now["due"]:
            self._history.end_life(name, since)
        else:
            self._history.begin_life(name, entry, since)

    def _taken_out(self, name: str, raw: bytes, seen: State, now: State, since: int, time: int) -> None:
        self._stays_out("pause", name, raw, now, [*self._others(raw, seen, time), "paused"])
        out = self._out(raw, now)
        if instant(out["paused"].get("at")) != time:
            self._book.fail(f"{name} was paused at {time}, and {out} is kept")
        if settled(float(out.get("owed", 0)), whole(now["jit"].get(raw))) != since:
            self._book.fail(f"{name} owed its slots after {since} when it was paused, and {out} is kept")

    def _held(
        self, name: str, raw: bytes, seen: State, now: State, since: int, until: int, reasons: Sequence[str]
    ) -> None:
        hold = object_of(now["hold"].get(raw))
        if instant(hold.get("until")) != until or "paused" in self._out(raw, now):
            self._book.fail(f"{name} was paused until {until}; kept is {hold}, {self._out(raw, now)}")
        if reasons:
            self._stays_out("pause", name, raw, now, reasons)
            return
        if instant(hold.get("since")) != since:
            self._book.fail(f"{name} owed its slots after {since} when it was paused until {until}; kept is {hold}")
        self._marked("pause", name, raw, now, max(until - 1, since, last_fire(seen["last"].get(raw))))
