"""A faulty leader with the right lease: whatever it asks for, the scripts must not let harm be done."""

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from beatd.core.batch import make_item
from beatd.core.entry import Entry
from beatd.core.fire import FireItem, TaskIds
from beatd.core.requests import Part, Request, Serving, Wanted, read_request
from beatd.core.settling import drafts_of
from beatd.core.term import Term
from beatd.core.timetable import PlanItem
from beatd.core.window import Compiled, Shape, Staged
from beatd.store.requests import serve_call
from beatd.store.scripts import Call
from beatd.store.timetable import fire_call, plan_call, settle_call
from tests.sim.broker import FINGERPRINT
from tests.sim.cluster import KEYS, World
from tests.sim.entries import plain_template
from tests.sim.history import compiled
from tests.sim.requests import settled_by


class Impostor:
    """Two tasks of one world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = random.Random(world.random.random())

    async def fire(self) -> None:
        """Fires or plans wrongly now and then."""
        await self._go_on(0.7, self._wrong_move)

    async def serve(self) -> None:
        """Serves requests wrongly."""
        await self._go_on(self._world.scenario.serve_every, self._serve_wrongly)

    async def _go_on(self, every: float, make: Callable[[], Call | None]) -> None:
        """Its fires renew the lease, so it has to stop before a leader may be missed."""
        while not self._world.settling:
            await asyncio.sleep(self._random.expovariate(1 / every))
            call = make()
            if call is not None:
                self._world.execute(call)

    def _wrong_move(self) -> Call | None:
        world, r = self._world, self._random
        state = world.ledger.state()
        lease = state["lease"]
        known = [
            raw for raw in sorted(state["due"]) if raw in state["rev"] and raw.isascii()
        ]  # others are meddled with
        if not lease.get(b"owner") or not known:
            return None
        term = Term(int(lease[b"epoch"]), lease[b"owner"].decode(), 0, 0, 0, "")
        raw = r.choice(known)
        name = raw.decode(errors="replace")
        entry, score = compiled(name, state["def"].get(raw)), state["due"][raw]
        if entry is None or name in world.ledger.history.tainted:
            return None
        rev, jitter = state["rev"][raw].decode(), int(state["jit"].get(raw, 0))
        if score < 0:
            return self._plan_backwards(state, term, raw, rev, score)
        return self._fire_wrongly(state, term, entry, rev, jitter, int(score))

    def _serve_wrongly(self) -> Call | None:
        """The next part of a backfill, wrong in one way."""
        world, r = self._world, self._random
        state = world.ledger.state()
        lease, wrong = state["lease"], r.choice(["ended", "owed", "cursor", "name", "rev", "owner"])
        found = _backfills(state["req"], ended=wrong == "ended")
        if not lease.get(b"owner") or not found or world.ledger.history.foreign_requests:
            return None
        request, wanted = r.choice(found)
        name = wanted.name
        if wrong == "name":
            name = r.choice([raw.decode() for raw in sorted(state["rev"]) if raw.isascii()] or [name])
        entry = compiled(name, state["def"].get(name.encode()))
        if entry is None:
            return None
        cursor = max(0, request.cursor + r.choice([-1000, 1])) if wrong == "cursor" else request.cursor
        after = settled_by(name, state, world.now_ms()) if wrong == "owed" else cursor
        slot = entry.schedule.next_ms(max(cursor, after))
        if slot is None or (wrong != "owed" and not wanted.first <= slot <= wanted.last):
            return None
        rev = state["rev"].get(name.encode())
        owner = "another" if wrong == "owner" else lease[b"owner"].decode()
        term = Term(int(lease[b"epoch"]), owner, 0, 0, 0, "")
        serving = Serving(
            request.id,
            name,
            "n.f" if rev is None or wrong == "rev" else rev.decode(),
            cursor,
            Part((slot,), slot, "open"),
            "backfill",
            queue=entry.queue,
            messages=[_message(entry, slot)],
        )
        return serve_call(KEYS, term, serving, 1_000)

    def _plan_backwards(self, state: Any, term: Term, raw: bytes, rev: str, score: float) -> Call | None:
        last = (state["last"].get(raw) or b"").split(b"|")[0]
        if not last.isdigit() or int(last) == 0:
            return None
        jitter = int(state["jit"].get(raw, 0))
        verdict = str(int(last) + jitter - self._random.choice([0, 1000]))
        return plan_call(KEYS, term, [PlanItem(raw.decode(), rev, f"{score:.0f}", verdict)])

    def _fire_wrongly(self, state: Any, term: Term, entry: Entry, rev: str, jitter: int, moment: int) -> Call | None:
        world, r = self._world, self._random
        left = state["left"].get(entry.name.encode())
        template = plain_template(entry.queue, entry.options, 400)
        shape = Shape(entry.policy, template, TaskIds(KEYS.namespace), 400)
        own = template.own(entry.name, entry.args, entry.kwargs)
        ready = Compiled(entry.name, rev, entry.schedule, shape, own, jitter, 400)
        staged = Staged(ready, moment, None if left is None else int(left))
        item = make_item(staged, max(moment, world.now_ms()), 100, lambda: "tag")
        kind = r.choice(["early", "double", "backwards", "slots", "fenced", "planned"])
        if kind == "planned":
            return plan_call(KEYS, term, [PlanItem(entry.name, rev, f"-{moment}", str(moment + 1000))])
        if kind == "early":
            return self._fire_call(term, staged, [item]) if moment > world.now_ms() else None
        if kind == "double":
            return self._fire_call(term, staged, [item, item])
        if kind == "fenced":
            return self._fire_call(Term(term.epoch, "another", 0, 0, 0, ""), staged, [item])
        call = self._fire_call(term, staged, [item])
        args = list(call.args)
        if kind == "backwards" and item.messages:
            args[10] = moment - r.choice([0, 1000])
        elif item.messages and item.next_moment is not None:
            slot = item.next_moment - jitter
            pieces = str(args[12]).split("|")
            pieces[4] = ",".join([str(slot)] * len(item.messages))
            args[12] = "|".join(pieces)
        else:
            return None
        return Call(call.script, call.keys, args)

    def _fire_call(self, term: Term, staged: Staged, items: list[FireItem]) -> Call:
        if self._world.broker is None:
            return fire_call(KEYS, term, items)
        items = [item._replace(queue_key=staged.compiled.shape.template.queue) for item in items]
        drafts = [drafts_of(staged, item, FINGERPRINT) for item in items]
        return settle_call(KEYS, term, items, drafts, lambda queue: True)


def _backfills(requests: Mapping[bytes, bytes], *, ended: bool) -> list[tuple[Request, Wanted]]:
    found = []
    for raw, value in sorted(requests.items()):
        request = read_request(raw.decode(errors="replace"), value)
        if request is None or request.wanted is None or (request.state != "open") != ended:
            continue
        if request.wanted.kind == "backfill":
            found.append((request, request.wanted))
    return found


def _message(entry: Entry, slot: int) -> bytes:
    own = plain_template(entry.queue, {}, 400).own(entry.name, entry.args, {})
    task_id = TaskIds(KEYS.namespace).of(entry.name, slot)
    return json.dumps({**json.loads(own), "slot": slot, "id": task_id, "cause": "backfill"}).encode()
