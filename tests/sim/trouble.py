"""Who edits, and what goes wrong: each a task of its own, all from the world's one source of randomness."""

import asyncio
import random
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final

from beatd.core.edit import ANY, KEEP, PutItem, put_item
from beatd.core.entry import Entry
from beatd.core.requests import Wanted, read_request
from beatd.errors import Unreachable
from beatd.store.entries import Pause, pause_call, put_call, remove_call, reset_call, resume_call
from beatd.store.link import Link
from beatd.store.requests import Asking, request_call
from beatd.store.scripts import Call
from tests.sim.broker_trouble import BrokerTrouble
from tests.sim.cluster import KEYS, World
from tests.sim.entries import random_entry, renamed, with_payload
from tests.sim.history import History
from tests.sim.impostor import Impostor
from tests.sim.writers import Writer

ODD_SCORES: Final = [b"0", b"-0", b"1.5", b"-1.5", b"inf", b"-inf", b"1e300", b"-1e20", b"-3", b"9007199254740993"]
ODD_REQUESTS: Final = [
    *(
        b"c1",
        b"c1\x1fc2\x1f\xff",
        b"open|0|0|0||{}",
        b"open|0|0|0||x",
        b"open|5|5|5||" + b'{"kind":"trigger","name":"e1"}',
    ),
    b'open|0|0|0||{"kind":"backfill","name":"e0","from":"2020-01-01T00:00Z","to":"2030-01-01T00:00Z","max":5}',
]
GARBAGE: Final = [
    *(b"", b"x", b"{}", b"[]", b"\xff\xfe", b"nan", b"-5", b"1e400", b"99999999999999999", b'{"every":"9d"}'),
    *(b'{"task": "\\ud800"}', b'{"task":1}', b'{"task":"t","every":"1s","\\ud83d":1}', b'{"owed":1e999}'),
    *(b'{"until":"99999999999999","since":[]}', b'{"until":5,"after":"x"}', b'{"paused":{}}'),
]


def all_trouble(world: World) -> list[Coroutine[Any, Any, None]]:
    """The tasks of one world."""
    found: list[Coroutine[Any, Any, None]] = [Client(world).edit(), Chaos(world).run()]
    if world.broker is not None:
        found.append(BrokerTrouble(world, world.broker).run())
    if world.scenario.foreign:
        found.append(meddle(world))
    else:  # whose checks know of no strangers
        found += [Writer(world, f"writer-{n}").edit() for n in range(world.scenario.writers)]
    if world.scenario.faulty:
        wrong = Impostor(world)
        found += [wrong.fire(), wrong.serve()]
    return found


class Client:
    """Edits entries over its own connection, and repeats a call until it is answered."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random.Random(world.random.random())
        self._names = [f"e{n}" for n in range(world.scenario.entries)]
        self._entries: dict[str, Entry] = {}
        self._link: Link | None = None
        self._nonce = 0
        self._askings: list[Asking] = []

    async def edit(self) -> None:
        """Creates all entries, then edits until the world comes to rest."""
        world, r = self._world, self._random
        world.network.fault_rate, rate = 0.0, world.network.fault_rate
        await asyncio.sleep(r.uniform(0.0, 1.0))
        for start in range(0, len(self._names), 5):
            await self._put([self._new(name) for name in self._names[start : start + 5]])
        world.network.fault_rate = rate
        end = world.scenario.seconds - 3.0
        while world.loop.time() < end:
            await asyncio.sleep(r.expovariate(1 / world.scenario.edit_every))
            name = r.choice(self._names)
            if r.random() < 0.4:
                await self._ask(r.choice([name, name, *self._stored()]))
            await self._edit_one(name)

    async def _ask(self, name: str, triggers: float = 0.4) -> None:
        """For a run now, or for past slots: now and then for those of a request that ended too early."""
        r, now = self._random, self._world.now_ms()
        if r.random() < triggers:
            args = (f"trigger-{now}",) if r.random() < 0.3 else None
            asking = Asking(self._fresh(), Wanted("trigger", name, args=args), 0)
        else:
            first = now - r.choice([1_000, 5_000, 20_000])
            last = r.choice([now, now - 900, now + 2_000])
            rate = r.choice([None, 2.0, 5.0, 50.0])
            wanted = Wanted("backfill", name, first=first, last=last, rate=rate, most=r.choice([3, 1_000]))
            asking = Asking(self._fresh(), wanted, wanted.begins_at)
        again = self._ended_early(name)
        if again is not None and r.random() < 0.5:
            asking = again
        elif self._askings and r.random() < 0.15:
            asking = r.choice(self._askings)  # somebody repeats a call of long ago
        self._askings = [*self._askings[-5:], asking]
        await self._run(request_call(KEYS, [asking], "{}"))
        await asyncio.sleep(r.choice([0.0, 0.01, 0.05, 0.3]))

    def _ended_early(self, name: str) -> Asking | None:
        state = self._world.ledger.state()["req"]
        for raw, value in sorted(state.items()):
            request = read_request(raw.decode(errors="replace"), value)
            if request is not None and request.state in ("withdrawn", "refused") and request.wanted is not None:
                wanted = request.wanted
                if wanted.kind == "backfill" and wanted.name == name:
                    return Asking(request.id, replace(wanted, most=1_000), request.cursor, value)
        return None

    async def _edit_one(self, name: str) -> None:
        r, before = self._random, self._entries.get(name)
        what = r.random()
        if before is None or what < 0.2:
            await self._put([self._new(name)])
            if r.random() < 0.3:
                await self._before_it_is_planned(name)
        elif what < 0.5:
            entry = self._with_payload(before)
            await self._put([self._item(entry, KEEP)])
        elif what < 0.55:
            others = [self._new(other) for other in r.sample(self._names, min(3, len(self._names)))]
            await self._put(others)
        elif what < 0.72:
            await self._remove(name, before)
        elif what < 0.77:
            await self._rename(before)
        else:
            await self._stop(name, before)

    async def _remove(self, name: str, before: Entry) -> None:
        r = self._random
        await self._run(remove_call(KEYS, [name], "{}"))
        self._entries.pop(name, None)
        if r.random() < 0.6:
            await asyncio.sleep(r.choice([0.0, 0.0, 0.02, 0.3]))
            again = before if r.random() < 0.5 else None
            await self._put([self._item(self._with_payload(again)) if again else self._new(name)])

    async def _before_it_is_planned(self, name: str) -> None:
        """A leader that has just read the mark is about to plan it."""
        r, before = self._random, self._entries[name]
        await asyncio.sleep(r.uniform(0.0, 4 * self._world.scenario.slowest))
        what = r.random()
        if what < 0.3:
            await self._remove(name, before)
        elif what < 0.5:
            await self._rename(before)
        else:
            await self._pause([name])
            if r.random() < 0.8:
                await self._resume([name])

    async def _rename(self, before: Entry) -> None:
        new = self._random.choice([name for name in self._names if name != before.name])
        del self._entries[before.name]
        await self._put([replace(self._item(renamed(before, new, next(self._world.versions))), replaces=before.name)])

    async def _stop(self, name: str, before: Entry) -> None:
        """Pauses, mostly not for long, and gives runs anew."""
        r = self._random
        others = [other for other in self._stored() if other != name]
        names = [name, *r.sample(others, min(len(others), r.choice([0, 0, 0, 1])))]
        await self._pause(names)
        if r.random() < 0.3:
            await self._ask(name, triggers=0.1)
        for _ in range(r.choice([0, 1, 1, 1, 2])):
            await asyncio.sleep(r.choice([0.0, 0.02, 0.3, 2.0]))
            await r.choice([self._resume, self._resume, self._resume, self._pause])(names)
            if r.random() < 0.3:
                await self._put([self._item(self._with_payload(before), KEEP)])
        counted = {name: e.policy.max_runs for name, e in self._entries.items() if e.policy.max_runs is not None}
        if counted and r.random() < 0.7:
            chosen = r.choice(sorted(counted))
            await self._run(reset_call(KEYS, {chosen: counted[chosen]}, self._fresh(), "{}"))
        if r.random() < 0.15:
            await self._rename(self._entries[name])

    async def _pause(self, names: Sequence[str]) -> None:
        """For ever, or up to an instant, which may be the very one of a slot."""
        r, until = self._random, None
        if r.random() < 0.5:
            until = self._world.now_ms() + r.choice([100, 1000, 3000, 8000])
            entry = self._entries.get(names[0])
            slot = entry.schedule.next_ms(until) if entry is not None else None
            if slot is not None and slot < until + 10_000 and r.random() < 0.5:
                until = slot
        await self._run(pause_call(KEYS, names, self._fresh(), "{}", Pause("me", "why", until)))

    async def _resume(self, names: Sequence[str]) -> None:
        await self._run(resume_call(KEYS, names, self._fresh(), "{}", catchup=self._random.random() < 0.5))

    def _stored(self) -> list[str]:
        """Names that exist as far as this client knows, files' entries too."""
        return [*self._entries, *(f"file-{n}" for n in range(self._world.scenario.file_entries))]

    def _fresh(self) -> str:
        self._nonce += 1
        return f"c{self._nonce}"

    def _new(self, name: str) -> PutItem:
        world = self._world
        slow = world.scenario.quiet
        broker = world.scenario.broker
        return self._item(
            random_entry(self._random, name, world.now_ms(), next(world.versions), slow=slow, broker=broker)
        )

    def _with_payload(self, before: Entry) -> Entry:
        world = self._world
        return with_payload(self._random, before, next(world.versions), broker=world.scenario.broker)

    def _item(self, entry: Entry, left: str | None = None) -> PutItem:
        self._entries[entry.name] = entry
        runs = entry.policy.max_runs
        if left is None or runs is None:
            left = "" if runs is None else str(runs)
        return put_item(entry, self._fresh(), expected=ANY, left=left)

    async def _put(self, items: Sequence[PutItem]) -> None:
        unique = {item.name: item for item in items}
        await self._run(put_call(KEYS, list(unique.values()), "{}"))

    async def _run(self, call: Call) -> None:
        """The same call, with the same nonces, until there is an answer."""
        world = self._world
        while True:
            try:
                if self._link is None:
                    self._link = await world.network.open_link(0.5)()
                await self._link.run(call)
            except Unreachable:
                if self._link is not None:
                    await self._link.close()
                    self._link = None
                await asyncio.sleep(0.1)
            else:
                return


class Chaos:
    """What operators, kernels and networks do."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random.Random(world.random.random())

    async def run(self) -> None:
        """One fault after another, until the world is left in peace to settle."""
        world = self._world
        end = world.scenario.seconds - world.scenario.calm_after - 2.0
        await self._go_on(end)
        world.network.fault_rate = 0.0
        if not any(instance.alive for instance in world.instances):
            world.start_instance()
        world.settling = True
        if world.scenario.faulty:
            world.disturbed()  # the last call of the faulty one may have renewed the lease of somebody who is gone
        world.note("world", "settles")

    async def _go_on(self, end: float) -> None:
        world, r = self._world, self._random
        while True:
            await asyncio.sleep(r.expovariate(1 / world.scenario.fault_every))
            if world.loop.time() > end:
                return
            world.disturbed()
            await getattr(self, r.choice(world.scenario.faults))()
            world.disturbed()

    def _someone(self) -> Any:
        alive = [instance for instance in self._world.instances if instance.alive]
        return self._random.choice(alive) if alive else None

    async def kill(self) -> None:
        victim = self._someone()
        if victim is not None:
            self._world.note(victim.name, "killed")
            victim.kill()
            await self._replace()

    async def stop(self) -> None:
        victim = self._someone()
        if victim is not None:
            self._world.note(victim.name, "stopped")
            victim.stop()
            await self._replace()

    async def _replace(self) -> None:
        await asyncio.sleep(self._random.choice([0.0, 0.3, 2.0]))
        self._world.start_instance()

    async def reload(self) -> None:
        """Somebody changes the files of one instance: to what nobody had yet, or to what another one has."""
        world, r, victim = self._world, self._random, self._someone()
        if victim is None or world.files is None:
            return
        files = world.new_files() if r.random() < 0.6 else r.choice(list(world.all_files.values()))
        world.note(victim.name, "reloads", files.hash)
        victim.reload(files)

    async def freeze(self) -> None:
        world, victim = self._world, self._someone()
        if victim is not None:
            world.note(victim.name, "frozen")
            victim.process.frozen = True
            await asyncio.sleep(self._random.choice([0.05, 0.5, world.scenario.ttl, 2.5 * world.scenario.ttl]))
            world.note(victim.name, "thawed")
            if not victim.killed:
                world.loop.thaw(victim.process)

    async def cut(self) -> None:
        victim = self._someone()
        self._world.note("network", "cut", victim.name if victim else "all")
        self._world.network.cut_all(victim.process if victim else None)

    async def lose_one(self) -> None:
        connections = self._world.network.connections
        if connections:
            connection = self._random.choice(connections)
            name = connection.process.name if connection.process else "client"
            self._world.note("network", "loses from now on", name)
            if self._random.random() < 0.5:
                connection.loses_requests = True
            connection.loses_replies = True
            await asyncio.sleep(1.0)

    async def restart_redis(self) -> None:
        world, r = self._world, self._random
        world.note("redis", "down")
        world.network.stop_server()
        await asyncio.sleep(r.choice([0.05, 0.5, 2.0]))
        world.note("redis", "up")
        world.network.start_server()

    async def stall(self) -> None:
        world = self._world
        world.note("redis", "stalls")
        world.network.stalled = True
        await asyncio.sleep(self._random.choice([0.1, 0.4, 1.5]))
        world.note("redis", "goes on")
        world.network.resume()

    async def step(self) -> None:
        hours = self._random.random() < 0.15
        self._step_by(self._random.choice([-3600.0, 3600.0]) if hours else self._random.uniform(-5.0, 5.0))

    async def step_back_an_hour(self) -> None:
        self._step_by(-3600.0)

    async def step_a_little(self) -> None:
        self._step_by(self._random.choice([0.3, 0.9, 3.0]) * self._random.choice([-1, 1]))

    def _step_by(self, seconds: float) -> None:
        self._world.note("redis", "clock steps", seconds)
        self._world.step_us += int(seconds * 1e6)
        if seconds < 0:
            self._world.ledger.book.clock_went_back = True
            self._world.set_back_at = self._world.loop.time()

    async def roll_back(self) -> None:
        """The dataset of a moment ago, with the lease as it was: its holder goes on."""
        world, r = self._world, self._random
        snapshot = world.snapshot()
        owner = world.ledger.state()["lease"].get(b"owner")
        await asyncio.sleep(r.uniform(0.02, 0.5))
        if world.ledger.state()["lease"].get(b"owner") != owner:
            return
        world.note("redis", "rolled back")
        world.restore(snapshot)
        if r.random() < 0.3 and not world.scenario.quiet:
            world.network.cut_all()

    async def spoil_queue(self) -> None:
        """A string where a queue should be: its entries wait outside the timetable until it is gone."""
        world = self._world
        world.note("redis", "queue spoilt")
        world.server.execute([b"SET", b"batch", b"x"])
        await asyncio.sleep(self._random.choice([0.3, 2.0]))
        world.note("redis", "queue mended")
        world.server.execute([b"DEL", b"batch"])

    async def name_ended(self) -> None:
        """Somebody mends the wrong way: an ended request is named among the open ones of its entry."""
        world, state = self._world, self._world.ledger.state()
        ended = [raw for raw, value in sorted(state["req"].items()) if not value.startswith(b"open|")]
        raw = self._random.choice(ended or [b""])
        request = read_request(raw.decode(errors="replace"), state["req"].get(raw))
        if request is None or request.wanted is None:
            return
        name = request.wanted.name.encode()
        value = b"\x1f".join(filter(None, [state["asked"].get(name), raw]))
        world.note("foreign", "names as open", raw)
        world.server.execute([b"HSET", KEYS.key("asked").encode(), name, value])

    async def flush(self) -> None:
        world = self._world
        world.note("redis", "flushed")
        world.ledger.history = History(
            moved_from=world.ledger.history.moved_from, wiped=world.ledger.settled_of_files()
        )
        world.server.data.clear()
        world.went_back = True


async def meddle(world: World) -> None:
    """Somebody with redis-cli. Entries it touches are exempt from all but this: nobody dies, nothing waits."""
    r = random.Random(world.random.random())
    while not world.settling:
        await asyncio.sleep(r.expovariate(1 / 2.0))
        name = f"e{r.randrange(world.scenario.entries)}".encode()
        requests = [KEYS.key("req").encode(), KEYS.key("asked").encode()]
        kind = r.choice(["def", "out", "hold", "gone", "last", "jit", "left", "file"])
        command = r.choice(
            [
                [b"ZADD", KEYS.key("due").encode(), r.choice(ODD_SCORES), name],
                [b"ZADD", KEYS.key("due").encode(), b"%d" % (world.now_ms() + r.randrange(-9000, 3000)), name],
                [b"ZADD", KEYS.key("due").encode(), b"-%d" % world.now_ms(), b"stranger"],
                [b"HSET", KEYS.key(kind).encode(), name, r.choice(GARBAGE)],
                [b"HSET", KEYS.key(kind).encode(), name, r.choice(GARBAGE)],
                [b"DEL", KEYS.key(kind).encode()],
                [b"ZREM", KEYS.key("due").encode(), name],
                [b"HSET", KEYS.key("rev").encode(), b"\xffname", b"n.f"],
                [b"HSET", r.choice(requests), r.choice([name, b"c9"]), r.choice([*GARBAGE, *ODD_REQUESTS])],
                [b"DEL", r.choice(requests)],
            ]
        )
        world.ledger.history.tainted.update(f"e{n}" for n in range(world.scenario.entries))
        world.ledger.history.tainted.update(["stranger", b"\xffname".decode(errors="replace")])
        world.ledger.history.tainted.update(world.file_names)
        if command[1] in requests:
            world.ledger.history.foreign_requests = True
        world.note("foreign", "does", command)
        world.server.execute(command)
