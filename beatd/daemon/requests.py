"""Requests: the leader serves what people asked for beside the timetable, part by part, over a connection of its own.

Nothing is believed between two parts: each is made of what was just read, and the script has the last word.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Final, Protocol, TypeVar

from beatd.core.batch import MOST_BYTES
from beatd.core.intent import Draft
from beatd.core.outbox_room import Room
from beatd.core.requests import (
    Cause,
    Found,
    Part,
    Request,
    Serving,
    Standing,
    Tidying,
    Wanted,
    is_over,
    next_part,
    open_ids,
    pause_after,
    read_request,
    room_for,
    why_text,
)
from beatd.core.settling import dead_at
from beatd.core.term import Term
from beatd.core.timetable import Code
from beatd.daemon.definitions import Beside
from beatd.daemon.outbox import OutboxService
from beatd.daemon.ports import RequestPort
from beatd.daemon.session import Session
from beatd.daemon.together import wait_for_event
from beatd.errors import AccessDenied, BeatdError, EntryInvalid, Refused, WritesRefused

SLICE: Final = 20  # requests that are looked at in one go
LINGER_S: Final = 5.0  # the connection stays open so long after the last request
AGAIN_S: Final = 0.1  # after a part that met something else than was read
REST_S: Final = 1.0  # after a queue, or a server, that refused

_T = TypeVar("_T")


class Requests:
    """Runs beside planner and ticker. ``new_tag`` gives unique delivery tags.

    ``outbox``: what goes to another broker than our Redis is settled through it.
    """

    def __init__(
        self,
        session: Session,
        open_port: Callable[[], Awaitable[RequestPort]],
        new_tag: Callable[[], str],
        outbox: OutboxService | None = None,
    ) -> None:
        self._s = session
        self._outbox = outbox
        self._open_port = open_port
        self._new_tag = new_tag
        self._not_before: dict[str, float] = {}  # by id, monotonic
        self._stuck: set[str] = set()  # of these, what was refused instead of served in part
        self._told: set[str] = set()

    async def run(self) -> None:
        """Runs until the connection or the lease is lost; raises what ended it."""
        while True:
            await self._s.asked.wait()
            port = await self._open_port()
            try:
                await self._serve_all(port)
            finally:
                await port.close()

    async def _serve_all(self, port: RequestPort) -> None:
        """Round after round, until for a while nothing is open."""
        while True:
            self._s.requests_served = False
            self._s.asked.clear()  # before anything is read: what is asked for from now on is told
            try:
                wait = await self._round(port)
            except (Refused, AccessDenied, WritesRefused) as error:
                self._tell(error)
                wait = REST_S
            asked = await wait_for_event(self._s.asked, LINGER_S if wait is None else wait)
            if wait is None and not asked:
                return

    async def _round(self, port: RequestPort) -> float | None:
        """A part of each open request; seconds until there is more to do, None where nothing is open."""
        waits: dict[str, float] = {}
        cursor = "0"
        if self._outbox is not None:
            self._outbox.box.queues.wanted.clear()  # whoever still waits says so again
        while True:
            cursor, found = await port.page(cursor)
            for rows in _slices(found):
                standings = await port.look([row.name for row in rows])
                for row in rows:
                    if (wait := await self._serve(port, row, standings)) is not None:
                        waits[row.id] = wait
            if cursor == "0":
                self._not_before = {key: at for key, at in self._not_before.items() if key in waits}
                self._stuck &= waits.keys()
                self._s.open_requests, self._s.requests_served = len(waits), len(self._stuck) == len(waits)
                return min(waits.values(), default=None)

    async def _serve(self, port: RequestPort, row: Found, standings: Mapping[str, Standing | None]) -> float | None:
        """One part of one request; seconds until the next one, None where it has ended."""
        if (wait := self._not_before.get(row.id, 0.0) - self._s.clock.monotonic()) > 0:
            return wait
        request = read_request(row.id, row.value)
        if request is None or request.state != "open":
            await port.tidy(self._s.term, [Tidying(row.id, row.name, row.value, "O")])
            return self._rest(row.id, REST_S)
        if row.name not in standings:
            return self._rest(row.id, AGAIN_S)
        room = None if self._outbox is None else self._outbox.box.room(of_request=True)
        try:
            serving = self._make(row.name, request, standings[row.name], room)
            if serving is None:
                return self._rest(row.id, REST_S if room is None else AGAIN_S, stuck=room is None)
            if isinstance(serving, str):
                return self._learn_blocked(request, row.name, serving)
            return self._learn(request, serving, await self._send(port, serving, room))
        finally:
            if room is not None:
                room.close()

    async def _send(self, port: RequestPort, serving: Serving, room: Room | None) -> int:
        if self._outbox is None or room is None or not serving.messages:
            return await port.serve(self._s.term, serving)
        code, intents = await port.settle(self._s.term, serving)
        room.close()
        self._outbox.add(intents)
        return code

    def _make(
        self, name: str, request: Request, standing: Standing | None, room: Room | None = None
    ) -> Serving | str | None:
        """The next part with its messages; None where the entry is in no place, until it is mended, or has to wait for
        room; the queue, where that refuses.
        """
        if standing is None:
            return _refusal(name, request, "", "there is no such entry")
        if request.wanted is None:
            return _refusal(name, request, standing.rev, request.why)
        if standing.settled_to is None:
            return None
        try:
            return self._made(name, request, request.wanted, standing, standing.settled_to, room)
        except EntryInvalid as error:
            return _refusal(name, request, standing.rev, error.message)
        except Exception as error:  # noqa: BLE001  # a defect met by one request would end this instance, and each standby
            return _refusal(name, request, standing.rev, f"it can't be served: {type(error).__name__}: {error}")

    def _made(
        self,
        name: str,
        request: Request,
        wanted: Wanted,
        standing: Standing,
        settled_to: int,
        room: Room | None,
    ) -> Serving | str | None:
        made = self._s.definitions.for_request(name, standing, wanted)
        longest = made.template.longest(made.own)
        most = min(room_for(wanted), max(1, MOST_BYTES // longest))
        if room is not None:
            if room.blocked(made.template.queue):
                return made.template.queue
            most = min(most, room.most(made.template.queue, longest))
            if most < 1 or self._outbox is None or not self._outbox.is_open:
                return None
        now = self._s.clock.now_ms()
        part = next_part(request, made.schedule, settled_to, now, most)
        if part.slots and (why := made.dead_at(part.slots[0], now)):
            return _refusal(name, request, standing.rev, why)
        serving = self._rendered(name, request, wanted.kind, standing.rev, made, part)
        if room is not None:
            room.take(made.template.queue, serving.messages)
        return serving

    def _rendered(self, name: str, request: Request, cause: Cause, rev: str, made: Beside, part: Part) -> Serving:
        task_id = request.id if cause == "trigger" else ""
        messages = [
            made.template.render(made.own, task_id or made.ids.of(name, slot), slot, self._new_tag())
            for slot in part.slots
        ]
        queue = made.template.queue_key if messages else ""
        drafts = () if self._outbox is None else self._drafts(name, cause, task_id, made, part)
        return Serving(request.id, name, rev, request.cursor, part, cause, task_id, queue, messages, drafts)

    def _drafts(self, name: str, cause: Cause, task_id: str, made: Beside, part: Part) -> list[Draft]:
        broker = "" if self._outbox is None else self._outbox.box.broker
        return [
            Draft(
                name=name,
                slot=slot,
                task_id=task_id or made.ids.of(name, slot),
                queue=made.template.queue,
                dead_at=dead_at(made.template, slot),
                attempts=made.template.attempts,
                at_most_once=made.at_most_once,
                broker=broker,
                cause=cause,
            )
            for slot in part.slots
        ]

    def _learn_blocked(self, request: Request, name: str, queue: str) -> float:
        if request.id not in self._told:
            self._told.add(request.id)
            self._s.events.emit("entry_skipped", entry=name, reason="blocked", queue=queue)
        return self._rest(request.id, REST_S, stuck=True)

    def _learn(self, request: Request, serving: Serving, code: int) -> float | None:
        part = serving.part
        if code == Code.QUEUE_REFUSED:
            return self._learn_blocked(request, serving.name, serving.queue)
        if code != Code.DONE:
            return self._rest(request.id, AGAIN_S)
        self._told.discard(request.id)
        if part.outcome == "open":
            return self._rest(request.id, pause_after(request.wanted, len(part.slots)))
        pushed = request.pushed + len(part.slots)
        told = {"entry": serving.name, "cause": serving.cause, "id": request.id, "messages": pushed}
        if part.outcome == "done":
            self._s.events.emit("request_served", **told, note=part.why or None)
        else:
            self._s.events.emit("request_refused", **told, error=part.why)
        return None

    def _rest(self, request_id: str, seconds: float, *, stuck: bool = False) -> float:
        (self._stuck.add if stuck else self._stuck.discard)(request_id)
        self._not_before[request_id] = self._s.clock.monotonic() + seconds
        return seconds

    def _tell(self, error: BeatdError) -> None:
        if error.message not in self._told:
            self._told.add(error.message)
            self._s.events.emit("backlog", reason="requests", error=error.message, hint=error.hint)


class TidyPort(Protocol):
    """What is needed of the store to look through all requests."""

    async def listed(self, names: Sequence[str]) -> list[bytes | None]:
        """The open requests of each entry, as stored."""

    async def tidy(self, term: Term, found: Sequence[Tidying]) -> list[int]:
        """Forgets, lists and takes off; a code each."""


async def tidy_page(port: TidyPort, term: Term, rows: Sequence[tuple[str, bytes]], now: int) -> None:
    """Of some requests that are kept: forgets those whose time is over, and names open ones that nobody names."""
    found: list[Tidying] = []
    open_ones: list[Found] = []
    for request_id, value in rows:
        request = read_request(request_id, value)
        name = request.wanted.name if request is not None and request.wanted is not None else ""
        if request is None or is_over(request, now):
            found.append(Tidying(request_id, name, value, "F"))
        elif request.state == "open" and name:
            open_ones.append(Found(name, request_id, value))
    named = await port.listed([row.name for row in open_ones]) if open_ones else []
    for row, ids in zip(open_ones, named, strict=True):
        if row.id not in open_ids(ids):
            found.append(Tidying(row.id, row.name, row.value, "L"))
    if found:
        await port.tidy(term, found)


def _refusal(name: str, request: Request, rev: str, why: str) -> Serving:
    cause = "trigger" if request.wanted is None else request.wanted.kind
    part = Part((), request.cursor, "refused", why_text(why))
    return Serving(request.id, name, rev, request.cursor, part, cause)


def _slices(rows: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(rows), SLICE):
        yield rows[start : start + SLICE]
