"""Single stories in virtual time, for what random worlds come to too rarely."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

import beatd.core.registration
import beatd.daemon.checker
import beatd.daemon.files
import tests.sim.trouble
from beatd.core.edit import put_item
from beatd.core.entry import entry_from_spec
from beatd.core.entry_set import EntrySet
from beatd.core.instant import instant_text
from beatd.core.registration import Applied, Registered
from beatd.daemon.checker import Checker
from beatd.daemon.ticker import Ticker
from beatd.store.adapters import RedisFileEntries
from beatd.store.entries import put_call
from tests.sim.cluster import KEYS, Instance, Scenario, World, scenario
from tests.sim.history import History
from tests.sim.link import NOWHERE
from tests.sim.replies import Failure

PEACE = replace(
    scenario(10), entries=1, instances=1, edit_every=1e6, fault_every=1e9, foreign=False, faulty=False, file_entries=0
)


def test_a_daemon_outlives_an_outage_of_ten_minutes() -> None:
    world = World(replace(PEACE, seconds=660.0))
    world.loop.call_later(5.0, world.network.stop_server)
    world.loop.call_later(605.0, world.network.start_server)
    world.loop.call_later(605.0, world.disturbed)
    outcome = world.run()
    assert outcome.failure is None
    assert outcome.fires > 0


TWO = replace(PEACE, instances=2, seconds=24.0, ttl=1.5, file_entries=3, quiet=False)


def _killed_leader(world: World, when: Callable[[str], bool]) -> None:
    """The leader gets new files at second 5, and is killed right after the script that `when` chooses."""

    def noted(script: str, args: Any, reply: Any) -> None:
        before(script, args, reply)
        if victims and world.loop.time() > 5.0 and when(script):
            victims.pop().kill()
            world.disturbed()

    def reload() -> None:
        victims.extend(i for i in world.instances if i.elector.term is not None)
        victims[0].reload(world.new_files())

    victims: list[Instance] = []
    before, world.ledger.noted = world.ledger.noted, noted
    world.loop.call_later(5.0, reload)


def _applied(world: World) -> str:
    """The hash of the files that are applied at the end."""
    meta: Any = world.server.data[KEYS.key("meta").encode()]
    return str(meta[b"file"].decode())


def _story_of_older_files() -> tuple[str | None, bool]:
    """How it ends when a standby with older files follows a dead leader, and whether the newer ones are stored then."""
    world = World(TWO)
    _killed_leader(world, lambda script: script == "renew" and world.loop.time() > 7.0)
    failure = world.run().failure
    assert world.files is not None
    return failure, _applied(world) == world.files.hash


def test_older_files_do_not_come_back_with_an_instance_that_has_them() -> None:
    assert _story_of_older_files() == (None, True)


def test_they_would_if_only_the_living_had_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    real = beatd.core.registration.judged

    def forgetful(own: Registered, others: Any, applied: Applied, now: int) -> Any:
        return real(own, others, replace(applied, at=0), now)

    monkeypatch.setattr(beatd.daemon.files, "judged", forgetful)
    failure, newer = _story_of_older_files()
    assert failure is not None
    assert not newer


def test_files_that_a_dying_leader_stored_in_part_are_made_whole_by_the_next_one() -> None:
    world = World(TWO)
    _killed_leader(world, lambda script: script == "put")
    assert world.run().failure is None
    assert world.files is not None
    assert _applied(world) in world.all_files
    assert _applied(world) != world.files.hash


def test_without_a_mark_they_would_pass_for_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unmarked(self: RedisFileEntries) -> None:
        pass

    monkeypatch.setattr(RedisFileEntries, "note_begun", unmarked)
    world = World(TWO)
    _killed_leader(world, lambda script: script == "put")
    failure = world.run().failure
    assert failure is not None
    assert "are said to be applied" in failure


def test_a_leader_that_was_stopped_in_the_middle_of_its_files_writes_no_more_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped between two requests, it goes on with the next one before it can know that another one leads."""
    world, refused = World(TWO), []
    before, existing = world.ledger.noted, RedisFileEntries.existing
    victims: list[Instance] = []
    begun: list[Instance] = []

    def noted(script: str, args: Any, reply: Any) -> None:
        before(script, args, reply)
        if script == "applied" and args[3] == b"begin" and world.loop.time() > 5.0:
            begun.extend(victims[:1])
            victims.clear()
        if script == "put" and isinstance(reply, Failure):
            refused.append(reply.text.split()[0])

    async def then_stopped(self: RedisFileEntries, names: Any) -> Any:
        found = await existing(self, names)
        if begun:
            process = begun.pop().process
            process.frozen = True
            world.disturbed()
            world.loop.call_later(2.5 * TWO.ttl, world.loop.thaw, process, context=NOWHERE)
        return found

    def reload() -> None:
        victims.extend(i for i in world.instances if i.elector.term is not None)
        victims[0].reload(world.new_files())

    monkeypatch.setattr(RedisFileEntries, "existing", then_stopped)
    world.ledger.noted = noted
    world.loop.call_later(5.0, reload)
    assert world.run().failure is None
    assert refused == ["FENCED"]


def _storm() -> Scenario:
    sizes = {key: {"PAGE": 50, "MOST_ENTRIES": 3}.get(key[1], value) for key, value in PEACE.sizes.items()}
    return replace(PEACE, seconds=16.0, slowest=0.04, sizes=sizes, message_size=400)


async def _nobody(world: World) -> None:
    """In place of the one who meddles at random: what is done by hand is done by the story."""


def _score_after_it_was_set_back(monkeypatch: pytest.MonkeyPatch) -> tuple[float, int]:
    """An entry of every ten seconds, whose moment somebody sets back by hand: its score 4 s later, and TIME then."""
    monkeypatch.setattr(tests.sim.trouble, "meddle", _nobody)
    world = World(replace(PEACE, seconds=17.0, foreign=True, sizes={}))
    start, key = world.now_ms() + 19_000, KEYS.key("due").encode()
    world.ledger.history.tainted.update(["steady", "e0"])
    _store(world, {"steady": {"every": "10s", "anchor": instant_text(start)}})
    found: list[tuple[float, int]] = []

    def set_back() -> None:
        world.server.execute([b"ZADD", key, b"%d" % (world.now_ms() - 1000), b"steady"])

    world.loop.call_later(10.0, set_back)
    world.loop.call_later(14.0, lambda: found.append((world.ledger.state()["due"][b"steady"], world.now_ms())))
    world.run()
    return found[0]


def test_a_moment_that_somebody_sets_back_is_acted_on_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    score, now = _score_after_it_was_set_back(monkeypatch)
    assert score > now


def test_without_a_look_at_the_oldest_moment_it_would_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beatd.daemon.checker, "_passed_over", lambda session, check: False)
    score, now = _score_after_it_was_set_back(monkeypatch)
    assert score < now


def _store(world: World, specs: dict[str, dict[str, Any]]) -> None:
    """Puts entries at second 1, all in one call."""
    world.ledger.load_scripts()
    entries = [entry_from_spec(name, {"task": "t", "args": [0], **spec}) for name, spec in specs.items()]
    call = put_call(KEYS, [put_item(entry, f"s-{entry.name}") for entry in entries], "{}")
    words = [word if isinstance(word, bytes) else str(word).encode() for word in call.command(sha=False, shebang=False)]
    world.loop.call_later(1.0, world.server.execute, words)


def _lateness_in_a_storm() -> tuple[int, int]:
    """The longest that an entry of every half second was late, and how long the storm took, in ms."""
    world = World(_storm())
    start = world.now_ms() + 4000
    storm = {"every": "1h", "anchor": instant_text(start)}
    specs: dict[str, dict[str, Any]] = {f"storm-{number}": storm for number in range(300)}
    specs["steady"] = {"every": "500ms", "fast": True, "anchor": instant_text(start)}
    _store(world, specs)
    world.loop.call_later(7.0, world.disturbed)  # that it lasts is no fault
    outcome = world.run()
    assert outcome.failure is None, outcome.failure
    late = {key: time - key[1] for key, time in world.ledger.history.fired.items()}
    steady = max(ms for (name, slot), ms in late.items() if name == "steady" and slot >= start)
    return steady, max(ms for (name, _), ms in late.items() if name.startswith("storm"))


def test_a_storm_does_not_make_others_late() -> None:
    steady, storm = _lateness_in_a_storm()
    assert storm > 1000
    assert steady < 500


def test_without_batches_for_what_just_fell_due_a_storm_makes_others_late(monkeypatch: pytest.MonkeyPatch) -> None:
    async def take(ticker: Ticker) -> object:
        return ticker._s.window.take_due(ticker._s.clock.now_ms() - 1, 3)

    monkeypatch.setattr(Ticker, "_take", take)
    steady, _ = _lateness_in_a_storm()
    assert steady > 1000


@pytest.mark.parametrize("lost_at", [9.0, 9.35, 9.9])
def test_after_a_loss_of_all_data_entries_of_files_go_on_without_a_gap(lost_at: float) -> None:
    world = World(replace(PEACE, seconds=20.0, file_entries=1))
    spec = {"task": "t", "args": [0], "every": "700ms", "fast": True, "catchup": "all", "owner": "file"}
    world.files = EntrySet.of([entry_from_spec("file-0", spec)])
    world.all_files = {world.files.hash: world.files}
    before: dict[tuple[str, int], int] = {}

    def lose_all() -> None:
        before.update(world.ledger.history.fired)
        world.ledger.history = History(wiped=world.ledger.settled_of_files())
        world.server.data.clear()
        world.disturbed()

    world.loop.call_later(lost_at, lose_all)
    assert world.run().failure is None
    slots = sorted(slot for name, slot in {**before, **world.ledger.history.fired} if name == "file-0")
    assert before
    assert len(slots) > len(before) + 10
    assert {b - a for a, b in pairwise(slots)} == {700}


def _places_after_it_was_taken_out(monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether an entry that somebody takes out of the timetable by hand is back in it some seconds later."""
    monkeypatch.setattr(tests.sim.trouble, "meddle", _nobody)
    world = World(replace(PEACE, seconds=18.0, foreign=True, sizes={}))
    world.ledger.history.tainted.update(["steady", "e0"])
    _store(world, {"steady": {"every": "10s"}})
    found: list[bool] = []
    world.loop.call_later(10.0, world.server.execute, [b"ZREM", KEYS.key("due").encode(), b"steady"])
    world.loop.call_later(15.0, lambda: found.append(b"steady" in world.ledger.state()["due"]))
    world.run()
    return found[0]


def test_an_entry_that_somebody_takes_out_of_the_timetable_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _places_after_it_was_taken_out(monkeypatch)


def test_without_a_look_at_the_numbers_of_all_places_it_would_be_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checker, "_compare_sizes", lambda checker, check: None)
    assert not _places_after_it_was_taken_out(monkeypatch)
