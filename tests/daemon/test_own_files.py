"""The files of an instance: registered once, by the clock of Redis, and replaced by another's when that is seen."""

from typing import Any

from beatd.core.entry import entry_from_spec
from beatd.core.entry_set import EntrySet
from beatd.core.registration import Applied
from beatd.daemon.clock import ServerClock
from beatd.daemon.own_files import LoadedFiles, OwnFiles

T0 = 1_800_000_000_000
FILES = EntrySet.of([entry_from_spec("a", {"task": "t", "every": "5s"})])


class World:
    """A process whose files were loaded at its second 100, and a server it has not seen yet."""

    def __init__(self, *, files: bool = True) -> None:
        self.now = 100.0
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.clock = ServerClock(lambda: self.now)
        loaded = LoadedFiles(FILES, self.now) if files else None
        self.own = OwnFiles(loaded, "me", self.clock, self)

    def emit(self, event: str, **fields: object) -> None:
        self.told.append((event, fields))

    def fired(self, items: object, at: int) -> None: ...

    def answer(self, ahead: int = T0) -> None:
        self.clock.observe(self.now, int(self.now * 1000) + ahead)

    def registered(self) -> int:
        found = self.own.registered()
        assert found is not None
        return found.at


def test_files_are_registered_at_the_instant_they_were_loaded_however_late_redis_answers() -> None:
    world = World()
    world.now += 50
    world.answer()
    assert world.registered() == T0 + 100_000
    world.now += 50
    world.answer(T0 + 400)  # a better sample of the same clock
    assert world.registered() == T0 + 100_000


def test_a_clock_that_is_set_back_takes_registrations_with_it_and_one_set_forward_leaves_them() -> None:
    world = World()
    world.answer()
    before = world.registered()
    world.now += 10
    world.answer(T0 - 3_600_000)
    assert world.registered() == before - 3_600_000
    world.now += 10
    world.answer(T0 + 3_600_000)
    assert world.registered() == before - 3_600_000


def test_new_files_are_registered_anew() -> None:
    world = World()
    world.answer()
    before = world.registered()
    world.now += 10
    world.own.take(LoadedFiles(FILES, world.now))
    assert world.registered() == before + 10_000


def test_without_files_nothing_is_registered_and_nothing_replaced() -> None:
    world = World(files=False)
    world.answer()
    assert world.own.registered() is None
    world.own.saw(Applied("x", 1, "you"), leads=True)
    assert world.told == []


def test_it_is_told_once_when_another_instances_files_replace_ours() -> None:
    world = World()
    for applied in (Applied("x", 1, "you"), Applied(FILES.hash, 2, "me"), Applied(begun=True), Applied()):
        world.own.saw(applied, leads=True)
    assert world.told == []
    for _ in range(2):
        world.own.saw(Applied("x", 3, "you"), leads=True)
    assert world.told == [("file_replaced", {"by": "you"})]


def test_files_of_our_own_that_come_later_are_no_replacement() -> None:
    world = World()
    world.own.saw(Applied(FILES.hash, 2, "me"), leads=True)
    world.own.take(LoadedFiles(EntrySet.of([]), world.now))
    world.own.saw(Applied(FILES.hash, 2, "me"), leads=True)
    world.own.saw(Applied(EntrySet.of([]).hash, 3, "me"), leads=True)
    assert world.told == []


def test_a_standby_tells_once_that_its_files_are_not_the_stored_ones() -> None:
    world = World()
    world.answer()
    for _ in range(2):
        world.own.saw(Applied("x", 1, "you"), leads=False)
        world.own.saw(Applied("y", 1, "them"), leads=True)  # a leader is about to store its own
    ((event, fields),) = world.told
    assert (event, fields["by"]) == ("files_differ", "you")
    assert "take their place once this instance leads" in fields["error"]
