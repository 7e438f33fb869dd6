"""The file watch on files in memory and in virtual time: what is read when, what is told, what is taken."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from beatd.core.entry import entry_from_spec
from beatd.core.entry_set import EntrySet
from beatd.core.watching import Digests, Reading, Watched
from beatd.daemon.clock import ServerClock
from beatd.daemon.own_files import LoadedFiles, OwnFiles
from beatd.daemon.watch import MOST_PROBLEMS, FileWatch
from beatd.errors import ConfigInvalid
from tests.sim.loop import VirtualLoop

READ_S = 0.2
RUNNING = {"namespace": "default", "lease.ttl": 6.0}


def entries(*names: str) -> EntrySet:
    return EntrySet.of(entry_from_spec(name, {"task": "t", "every": "5s"}) for name in names)


class Disk:
    """One file in memory: names of entries, or a text that begins with ! for problems. Fits FilesOnDisk."""

    def __init__(self, content: str) -> None:
        self.content = content
        self.reads: list[float] = []
        self.dies = False
        self.settings = RUNNING
        self.exists = True
        self.gone = False

    def found(self) -> bool:
        return self.exists

    async def look(self, watched: Watched) -> Digests:
        await asyncio.sleep(0.001)
        if self.gone:
            raise ConfigInvalid("no answer")
        return {"f": self.content}

    async def read(self) -> Reading:
        self.reads.append(asyncio.get_running_loop().time())
        content = self.content
        await asyncio.sleep(READ_S)
        if self.dies:
            raise ConfigInvalid("the process died", hint="look")
        errors = content[1:].split("!") if content.startswith("!") else []
        found = entries() if errors else entries(*content.partition("#")[0].split())
        hint = "mend the first" if errors else None
        return Reading(Watched({"f": content}), errors, 0, self.settings, found, hint)


@dataclass
class Told:
    """Fits EventSink."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def emit(self, event: str, **fields: object) -> None:
        self.events.append((event, fields))

    def fired(self, items: object, at: int) -> None: ...

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]


class House:
    """A watch that runs, with all around it."""

    def __init__(self, loop: VirtualLoop, content: str = "a", *, leads: bool = False) -> None:
        self.disk, self.told, self.announced = Disk(content), Told(), 0
        clock = ServerClock(loop.time)
        clock.observe(0.0, 1_000_000)
        self.own = OwnFiles(LoadedFiles(entries(*content.split()), 0.0), "me", clock, self.told)
        self.watch = FileWatch(
            self.disk, self.own, clock, self.told, watched=Watched({"f": content}), settings=RUNNING,
            leads=lambda: leads, announce=self._announce, allow_shrink=False,
        )  # fmt: skip
        self.task = loop.create_task(self.watch.run())

    def _announce(self) -> None:
        self.announced += 1

    @property
    def names(self) -> set[str]:
        assert self.own.current is not None
        return set(self.own.current.entries.definitions)


def live(story: Callable[[House], Coroutine[Any, Any, None]], **settings: Any) -> House:
    """Tells a story in virtual time; the watch must live through it."""
    loop = VirtualLoop()

    async def whole() -> House:
        house = House(loop, **settings)
        await story(house)
        assert not house.task.done()
        house.task.cancel()
        return house

    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()


def test_a_change_is_in_effect_within_a_second_and_a_half() -> None:
    async def story(house: House) -> None:
        house.disk.content = "a b"
        await asyncio.sleep(1.5)

    house = live(story)
    assert house.names == {"a", "b"}
    assert house.told.events == [("config_reloaded", {"entries": 2, "warnings": None, "needs_restart": None})]
    assert house.announced == 1


def test_what_changes_faster_than_it_settles_is_never_taken() -> None:
    async def story(house: House) -> None:
        for number in range(50):
            house.disk.content = f"a b{number}"
            await asyncio.sleep(0.45)
        assert house.names == {"a"}
        await asyncio.sleep(2)

    house = live(story)
    assert house.names == {"a", "b49"}
    assert house.told.names == ["config_reloaded"]


def test_what_comes_back_to_what_it_was_was_no_change() -> None:
    async def story(house: House) -> None:
        house.disk.content = "a b"
        await asyncio.sleep(0.6)
        house.disk.content = "a"
        await asyncio.sleep(5)

    house = live(story)
    assert (house.names, house.told.events) == ({"a"}, [])


def test_a_request_waits_for_nothing_to_settle() -> None:
    async def story(house: House) -> None:
        house.disk.content = "b"
        house.watch.ask()
        await asyncio.sleep(READ_S + 0.01)
        assert house.names == {"b"}
        house.disk.content = "c"
        await asyncio.sleep(0.75)  # noticed and read once, not yet believed
        assert house.names == {"b"}
        house.watch.ask()
        await asyncio.sleep(READ_S + 0.01)

    house = live(story)
    assert house.names == {"c"}
    assert house.own.current is not None
    assert house.own.current.may_shrink


def test_the_same_meaning_changes_nothing_and_a_request_registers_it_anew() -> None:
    async def story(house: House) -> None:
        assert house.own.registered_at(house.own.current) == 1_000_000  # type: ignore[arg-type]
        house.disk.content = "a # a comment"
        await asyncio.sleep(5)
        assert house.own.registered_at(house.own.current) == 1_000_000  # type: ignore[arg-type]
        house.watch.ask()
        await asyncio.sleep(1)
        assert house.own.registered_at(house.own.current) > 1_004_000  # type: ignore[arg-type]

    house = live(story)
    assert (house.told.events, len(house.disk.reads)) == ([], 2)


def test_unusable_files_are_told_once_and_again_to_whoever_asks() -> None:
    async def story(house: House) -> None:
        house.disk.content = "!x:1:2: E1 wrong!x:2:1: E2 wrong too"
        await asyncio.sleep(60)
        assert (house.names, house.own.config_ok, len(house.told.events)) == ({"a"}, False, 1)
        house.watch.ask()
        await asyncio.sleep(5)
        assert len(house.told.events) == 2
        house.disk.content = "a"
        await asyncio.sleep(5)

    house = live(story)
    text = {"problems": 2, "error": "x:1:2: E1 wrong; x:2:1: E2 wrong too", "hint": "mend the first"}
    assert house.told.events[0] == ("config_refused", text)
    assert house.told.names == ["config_refused", "config_refused", "config_reloaded"]
    assert house.own.config_ok


def test_of_many_problems_the_first_are_told() -> None:
    async def story(house: House) -> None:
        house.disk.content = "!wrong" * (MOST_PROBLEMS + 5)
        await asyncio.sleep(5)

    ((_, fields),) = live(story).told.events
    assert fields["problems"] == MOST_PROBLEMS + 5
    assert fields["error"].count("wrong") == MOST_PROBLEMS
    assert fields["error"].endswith("; and 5 more: beatd check lists them all")


def test_a_reading_without_an_end_is_told_once_tried_ever_more_rarely_and_at_once_when_something_changes() -> None:
    async def story(house: House) -> None:
        house.disk.dies, house.disk.content = True, "b"
        await asyncio.sleep(100)
        assert 4 < len(house.disk.reads) < 10
        assert (house.names, house.own.config_ok) == ({"a"}, False)
        house.disk.dies, house.disk.content = False, "c"
        await asyncio.sleep(1.5)

    house = live(story)
    assert house.names == {"c"}
    assert house.told.names == ["config_refused", "config_reloaded"]


def test_settings_that_count_after_a_restart_are_told_once() -> None:
    async def story(house: House) -> None:
        house.disk.settings = {**RUNNING, "lease.ttl": 2.0}
        house.disk.content = "a # lease"
        await asyncio.sleep(5)
        house.disk.content = "a # another comment"
        await asyncio.sleep(5)
        house.disk.settings = RUNNING
        house.disk.content = "a"
        await asyncio.sleep(5)

    events = live(story).told.events
    assert [fields["needs_restart"] for _, fields in events] == ["lease.ttl", None]


def test_a_leader_tells_of_a_reload_when_it_is_applied() -> None:
    async def story(house: House) -> None:
        house.disk.content = "b"
        await asyncio.sleep(5)

    house = live(story, leads=True)
    assert house.told.events == []
    assert house.own.changed.is_set()
    assert house.own.current is not None
    assert house.own.current.reload == {"entries": 1, "warnings": None, "needs_restart": None}


def test_without_any_file_nothing_is_read() -> None:
    async def story(house: House) -> None:
        house.disk.exists = False
        house.watch.ask()
        await asyncio.sleep(5)

    house = live(story)
    assert (house.disk.reads, house.told.events) == ([], [])


def test_a_file_system_that_gives_no_answer_is_told_once_and_taken_back_when_it_does() -> None:
    async def story(house: House) -> None:
        house.disk.gone = True
        await asyncio.sleep(5)
        assert house.told.events == [("config_refused", {"problems": 1, "error": "no answer", "hint": None})]
        assert not house.own.config_ok
        house.disk.gone = False
        await asyncio.sleep(2)
        assert house.told.names == ["config_refused", "config_reloaded"]
        assert house.own.config_ok

    live(story)


def test_a_file_system_that_goes_away_amid_a_reading_changes_nothing() -> None:
    async def story(house: House) -> None:
        house.disk.content = "a b"
        await asyncio.sleep(0.6)
        house.disk.gone = True
        await asyncio.sleep(3)
        assert house.names == {"a"}
        house.disk.gone = False
        await asyncio.sleep(3)
        assert house.names == {"a", "b"}
        assert house.own.config_ok

    live(story)
