"""Rules of the protocol, each taken away once: the simulation must notice. What it can't notice it doesn't test."""

import inspect
import random
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

import beatd.core.planning
import beatd.daemon.leader
import beatd.store.scripts
import tests.sim.ledger
from beatd.client import editing
from beatd.daemon.checker import Checker
from beatd.daemon.planner import Planner
from beatd.daemon.session import Session
from beatd.daemon.ticker import Ticker
from beatd.store.scripts import Script
from tests.sim.cluster import Scenario, World, scenario, with_broker
from tests.sim.writers import Writer

MOST_SEEDS = 500
Apply = Callable[[pytest.MonkeyPatch], None]
Change = Callable[[Scenario], Scenario]


@dataclass(frozen=True)
class Mutation:
    """A rule and how to take it away. ``worlds`` narrows the seeds to worlds in which the rule is needed."""

    name: str
    apply: Apply
    worlds: Change = lambda world: world

    def __str__(self) -> str:
        return self.name


def lua(script: str, old: str, new: str, *more: str) -> Apply:
    """Replaces text in one script; ``more`` are further pairs."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        real = beatd.store.scripts.load_script
        pairs = [(old, new), *zip(more[::2], more[1::2], strict=True)]

        def load(name: str) -> Script:
            found = real(name)
            if name != script:
                return found
            plain, flagged = found.plain, found.flagged
            for before, after in pairs:
                assert before in plain, f"{script} has no {before!r}"
                plain, flagged = plain.replace(before, after), flagged.replace(before, after)
            return Script(name, found.keys, found.contract, plain, flagged)

        load(script)
        patch.setattr(beatd.store.scripts, "load_script", load)
        patch.setattr(tests.sim.ledger, "load_script", load)

    return apply


def python(owner: Any, function: str, old: str, new: str, *more: str) -> Apply:
    """Replaces text in one function or method; ``more`` are further pairs."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        real = getattr(owner, function)
        source = textwrap.dedent(inspect.getsource(real))
        for before, after in [(old, new), *zip(more[::2], more[1::2], strict=True)]:
            assert before in source, f"{function} has no {before!r}"
            source = source.replace(before, after)
        found: dict[str, Any] = {}
        exec(compile(source, f"<{function} without a rule>", "exec"), real.__globals__, found)
        patch.setattr(owner, function, found[function])

    return apply


def several(*parts: Apply) -> Apply:
    """More than one change at once: a rule, and the net that would heal its loss."""

    def apply(patch: pytest.MonkeyPatch) -> None:
        for part in parts:
            part(patch)

    return apply


def _faulty(world: Scenario) -> Scenario:
    return replace(world, faulty=True, foreign=False)


def _quiet(world: Scenario) -> Scenario:
    return replace(world, quiet=True, instances=1, fault_rate=0.0, seconds=40.0, foreign=False)


def _peaceful(world: Scenario) -> Scenario:
    """Nothing goes wrong, and people edit: what then goes wrong is the leader's own work."""
    return replace(_quiet(world), faulty=False, fault_every=1e9, edit_every=0.3, slowest=0.04, entries=6)


def _paged(world: Scenario) -> Scenario:
    peaceful = _peaceful(world)
    return replace(peaceful, sizes={key: 2 if key[1] == "PAGE" else value for key, value in peaceful.sizes.items()})


def _losing(world: Scenario) -> Scenario:
    return replace(_quiet(world), faulty=False, fault_every=6.0, edit_every=3.0, faults=("lose_one",))


def _asking(world: Scenario) -> Scenario:
    """One leader in peace and a faulty one beside it, many edits and requests; some ended ones are named as open."""
    peaceful = replace(_peaceful(world), quiet=False, seconds=22.0, entries=3, faulty=True, serve_every=0.02)
    return replace(peaceful, fault_every=1.0, faults=("name_ended",))


def _dying(world: Scenario) -> Scenario:
    """Leaders are killed while requests are open."""
    changes = replace(world, quiet=False, foreign=False, instances=2, edit_every=2.0, ttl=1.5, seconds=24.0)
    return replace(changes, fault_every=1.0, faults=("kill",))


def _writing(world: Scenario) -> Scenario:
    return replace(_quiet(world), seconds=22.0, faulty=False, writers=2, edit_every=0.5, slowest=0.04)


def _cut_off(world: Scenario) -> Scenario:
    """Writers whose connections end now and then."""
    return replace(_writing(world), writers=6, edit_every=0.3, fault_rate=0.1)


def _clocks(world: Scenario) -> Scenario:
    return replace(world, quiet=False, instances=2, faults=("step_back_an_hour", "kill"), foreign=False)


def _to_a_broker(world: Scenario) -> Scenario:
    """Messages go to another broker that is away now and then, and people edit much."""
    return replace(with_broker(world, random.Random(1)), edit_every=0.3, quiet=False, foreign=False)


def _clocks_step(world: Scenario) -> Scenario:
    return replace(world, quiet=False, faults=("step", "step_a_little"), foreign=False)


def _keep_window(patch: pytest.MonkeyPatch) -> None:
    """A new session goes on with the window of the one that got no answer."""
    real = LEADER.Session
    kept: dict[str, Any] = {}

    def session(term: Any, *args: Any) -> Session:
        made: Session = real(term, *args)
        if kept.get("owner") == term.owner:
            made.window = kept["window"]
        kept.update(owner=term.owner, window=made.window)
        return made

    patch.setattr(LEADER, "Session", session)
    real_planner = LEADER.Planner

    def planner(of: Session, version: str, outbox: Any = None) -> Planner:
        made: Planner = real_planner(of, version, outbox)
        before = kept.get("planner")
        if before is not None and before._s.window is of.window:
            made._generation, made._page_end = before._generation, before._page_end
            made._read_at_end = before._read_at_end
        kept["planner"] = made
        return made

    patch.setattr(LEADER, "Planner", planner)


FENCE = "if not lease[1] or lease[1] ~= epoch or owner == '' or lease[2] ~= owner then"
AFTER_LAST = "if moment and moment - (jitters and number(jitters[i]) or 0) <= last_slot(lasts[i]) then return 1 end"
LEADER: Any = beatd.daemon.leader
NET = ("if differs and self._window_differed:", "if False:")
SEQ = ("session.seq is not None and check.seq != session.seq", "False")
NO_NET = python(Checker, "_compare_window", *NET)

PLANNING: Any = beatd.core.planning
RENEWED = "redis.call('HSET', K_rev, name, renewed(rev, nonce))"
LAST = "max(start, last_slot)"
NO_ROW = "local _ = (function() end)(SKIP_ROWS, now, name, 'paused'"
NO_CHANGE = "local _ = (function() end)"
KEEPS = "out.finished = score_of(hold.since) or now, out.finished"

QUICK = [
    Mutation("a pause withdraws requests", lua("pause", "withdraw(name, 'paused', now)", "")),
    Mutation("a removal withdraws requests", lua("remove", "withdraw(name, 'removed', at)", "")),
    Mutation("only an open request is served", lua("serve", "request.state ~= 'open' or", ""), _asking),
    Mutation(
        "a request is served from its cursor on", lua("serve", "or tonumber(request.cursor) ~= EXPECTED", ""), _asking
    ),
    Mutation(
        "a request is served for its entry",
        lua("serve", "if not is_listed(redis.call('HGET', K_asked, NAME), ID) then return 1 end", ""),
        _asking,
    ),
    Mutation(
        "a request is served by the definition that stands",
        lua("serve", "if (redis.call('HGET', K_rev, NAME) or '') ~= REV then return 2 end", ""),
    ),
    Mutation(
        "a backfill stops before what the timetable owes",
        lua("serve", "if M > 0 and CAUSE == 'backfill' and last > (settled_to() or -1) then return 3 end", ""),
        _asking,
    ),
    Mutation(
        "what a pause passes over is owed to whoever lifts it",
        lua("serve", "if hold.since and", "if false and"),
        _asking,
    ),
    Mutation("serve compares epoch and owner", lua("serve", FENCE, "if false then"), _faulty),
    Mutation(
        "an ended request is asked for anew by whoever saw it only",
        lua("request", "local r = stored[i] == ARGV[BEFORE + i] and read_request", "local r = read_request"),
    ),
    Mutation(
        "a leader looks for requests once a second, and when it begins",
        several(
            python(Checker, "run", "if check.asked:", "if False:"),
            python(LEADER.Leader, "_session", "if check.asked:", "if False:"),
        ),
        _dying,
    ),
    Mutation(
        "a disabled entry stays out of the timetable",
        lua("put", "if out.paused or out.disabled then", "if out.paused then"),
    ),
    Mutation(
        "a put never plans before the last fire",
        lua(
            "put",
            *("mark(now, fired, hold), false", "mark(now, hold), false"),
            *("math.min(now, -owed), fired, hold)", "math.min(now, -owed), hold)"),
            *("settled(owed, jitter)), fired, hold)", "settled(owed, jitter)), hold)"),
            *("mark(now, fired, held(hold))", "mark(now, held(hold))"),
        ),
    ),
    Mutation(
        "what an edit gives up gets a row",
        lua("put", "if given_up and score then swallowed", "if false then swallowed"),
    ),
    Mutation(
        "an unplanned entry's slots given up get a row",
        lua("put", "-owed), fired, hold), not same_schedule", "-owed), fired, hold), false"),
    ),
    Mutation(
        "what a removed entry owed gets a row", lua("remove", "if owed and not out.finished then", "if false then")
    ),
    Mutation("a removed entry leaves the timetable", lua("remove", "redis.call('ZREM', K_due, name)", "")),
    Mutation(
        "plan compares the revision",
        lua("plan", "if not stored or revs[i] ~= ARGV[REV + i] then", "if not stored then"),
    ),
    Mutation("plan compares the score", lua("plan", "if stored ~= ARGV[SCORE + i] then return 1 end", ""), _faulty),
    Mutation(
        "fire compares the revision",
        lua("fire", "if not moment or revs[i] ~= ARGV[REV + i] then", "if not moment then"),
    ),
    Mutation(
        "fire compares the moment",
        lua("fire", "if moment ~= expected_text and tonumber(moment) ~= expected then", "if false then"),
    ),
    Mutation("fire compares epoch and owner", lua("fire", FENCE, "if false then")),
    Mutation(
        "fire compares the owner, not the epoch alone",
        lua("fire", "or owner == '' or lease[2] ~= owner then", "then"),
        _faulty,
    ),
    Mutation("fire takes nothing early", lua("fire", "if latest > now then", "if latest > now + 1000 then"), _faulty),
    Mutation("fire takes a name once in a call", lua("fire", "if seen[name] then return '1' end", ""), _faulty),
    Mutation(
        "fire takes slots between the two moments only",
        lua("fire", "or next <= expected then", "then", "or slot + jitter < expected or slot + jitter >= next", ""),
        _faulty,
    ),
    Mutation("plan never goes back before the last fire", lua("plan", AFTER_LAST, ""), _faulty),
    Mutation("a pause takes out of the timetable", lua("pause", "redis.call('ZREM', K_due, name)", "")),
    Mutation("a pause brings a new revision", lua("pause", RENEWED, "")),
    Mutation(
        "a paused entry stays out of the timetable",
        lua("put", "if out.paused or out.disabled then", "if out.disabled then"),
    ),
    Mutation("a pause leaves other reasons alone", lua("pause", "if out.disabled or out.invalid or out.", "if out.")),
    Mutation("resume drops its own reason only", lua("resume", "out.disabled or out.invalid or out.finished", "false")),
    Mutation(
        "resume never goes back before the last fire",
        lua("resume", "mark(since, fired)", "mark(since)", "mark(now, fired)", "mark(now)"),
        _clocks_step,
    ),
    Mutation(
        "what a pause with an end swallows has a row",
        lua("pause", "hold_from(SKIP_ROWS, now, name, hold, since, fired)", "hold.since = ms(since)"),
    ),
    Mutation("what a pause swallows has a row", lua("resume", "add_range(SKIP_ROWS, now, name, 'paused'", NO_ROW)),
    Mutation(
        "a rename's two halves are one step",
        lua("put", "if codes[N + i] == 0 then\n    local heir", "if false then\n    local heir"),
    ),
    Mutation(
        "a put compares the revision it is based on",
        lua("put", "elseif expected ~= '*' and (revs[i] or '') ~= expected then", "elseif false then"),
        _writing,
    ),
    Mutation(
        "an edit is made again only where the definition is the same",
        python(editing, "write", "if not _same_definition(base, found):", "if False:"),
        _writing,
    ),
    Mutation(
        "what an edit is based on was stored at one moment",
        python(editing, "look", "if before == rev:", "if True:"),
        lambda world: replace(_writing(world), part_rate=1.0),
    ),
    Mutation(
        "an edit that may have been done is not sent again",
        python(Writer, "_answer", "if not question.again:", "if False:"),
        _cut_off,
    ),
    Mutation(
        "a removal takes back what is decided and not sent",
        lua("remove", "withdraw_intents(intents[name], 'removed', now, LOG_ROWS, name)", ""),
        _to_a_broker,
    ),
    Mutation(
        "a pause takes back what is decided and not sent",
        lua("pause", "withdraw_intents(intents[name], 'paused', now, SKIP_ROWS, name)", ""),
        _to_a_broker,
    ),
    Mutation(
        "settle compares the revision",
        lua("settle", "if not moment or revs[i] ~= ARGV[REV + i] then", "if not moment then"),
        _to_a_broker,
    ),
    Mutation("a renamed entry goes on under its pause", lua("put", "  if old then\n", "  if false then\n")),
    Mutation("a put tells in its row the pause that stands", lua("put", "pause_text(out, hold, now),", "'',")),
    Mutation("a resume has its row in the change log", lua("resume", "add_change(LOG_ROWS,", f"{NO_CHANGE}(LOG_ROWS,")),
]

SLOW = [
    Mutation("a reset brings a new revision", lua("reset", RENEWED, "")),
    Mutation("a put plans nothing inside a pause", lua("put", "fired, held(hold))", "fired, 0)")),
    Mutation("a reset plans nothing inside a pause", lua("reset", "fired, held(hold))", "fired, 0)")),
    Mutation(
        "the leader plans nothing inside a pause", python(PLANNING, "first_moment", "max(start, last_slot, held)", LAST)
    ),
    Mutation(
        "what ended inside a pause has not ended",
        lua("resume", "out.finished = score_of(hold.since) or now, nil", KEEPS),
    ),
    Mutation("what another schedule owes inside a pause has a row", lua("put", "or (not same and", "or (false and")),
    Mutation(
        "a decision is good for a time",
        lua("fire", "if terms.after and now > expected + terms.after then", "if false then"),
    ),
    Mutation(
        "a holder that stands still is relieved by any clock",
        lua("acquire", "(STOOD_STILL and ms(rn) == SEEN_RN)", "false"),
        _clocks,
    ),
    Mutation(
        "the bound moves when a read is sent, and inside is asked at the reply",
        several(
            python(
                Planner,
                "_extend_window",
                "before, window.bound, window.complete = window.bound, until, False",
                "before, window.complete = window.bound, False",
            ),
            python(Ticker, "_fire", "sent = self", "self._then = self._s.window.bound\n    sent = self"),
            python(Ticker, "_moved", "self._s.window.covers(item.next_moment)", "item.next_moment <= self._then"),
            NO_NET,
        ),
        _peaceful,
    ),
    Mutation(
        "an entry met before is looked at again by name",
        several(
            python(Session, "refused", "self.suspect(name)", "pass"),
            python(LEADER, "_follow", "session.suspect(*names)", "pass"),
            NO_NET,
        ),
        _peaceful,
    ),
    Mutation("without an answer everything staged is forgotten", several(_keep_window, NO_NET), _losing),
    Mutation(
        "a page goes on from a row that was read",
        several(
            python(
                Planner,
                "_read_on",
                "if offset and not (",
                "if False and not (",
                "self._offset(now) - 1",
                "self._offset(now)",
            ),
            NO_NET,
        ),
        _paged,
    ),
    Mutation(
        "a rollback starts the window over",
        several(
            python(Checker, "_compare_window", *NET, *SEQ),
            python(Session, "count_batch", "self.seq is not None and seq < self.seq + accepted", "False"),
        ),
        _quiet,
    ),
]


def first_red(mutation: Mutation, patch: pytest.MonkeyPatch, most: int) -> int | None:
    """The first seed in which a world without the rule fails."""
    mutation.apply(patch)
    for seed in range(most):
        if World(mutation.worlds(scenario(seed))).run().failure is not None:
            return seed
    return None


LONGEST = (
    "what an edit is based on was stored at one moment",
    "a put never plans before the last fire",
    "serve compares epoch and owner",
    "a request is served by the definition that stands",
)  # of those that are quick, by how many worlds it takes until one is red


def _weighed(mutation: Mutation) -> Any:
    return pytest.param(mutation, marks=pytest.mark.nightly) if mutation.name in LONGEST else mutation


@pytest.mark.parametrize("mutation", [_weighed(each) for each in QUICK], ids=str)
def test_a_rule_taken_away_is_noticed(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_red(mutation, monkeypatch, MOST_SEEDS) is not None


@pytest.mark.nightly
@pytest.mark.parametrize("mutation", SLOW, ids=str)
def test_a_rule_taken_away_is_noticed_in_time(mutation: Mutation, monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_red(mutation, monkeypatch, MOST_SEEDS) is not None


@pytest.mark.nightly
@pytest.mark.parametrize("worlds", [_peaceful, _losing], ids=["peaceful", "losing"])
def test_the_leader_needs_no_net_where_nobody_goes_behind_its_back(
    worlds: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert first_red(Mutation("none", NO_NET, worlds), monkeypatch, 100) is None
