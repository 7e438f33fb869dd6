"""The client for programs on asyncio."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from beatd.client.spoilt import in_our_words
from beatd.client.steps import Ask, Replies, Steps, T, drive_async
from beatd.errors import ClientClosed
from beatd.store.aio import AsyncLink
from beatd.store.connect import DEFAULT_TIMEOUT
from beatd.store.keys import Keys

if TYPE_CHECKING:  # imported by the first verb over entries: a command loads only what it uses
    from beatd.client.definitions import Entries
    from beatd.client.fields import Fields, Filters, Instant
    from beatd.client.happened import EntryChange, HistoryLine
    from beatd.client.requested import Backfill, RequestState
    from beatd.client.state import EntryState
    from beatd.client.verbs import Verbs
    from beatd.core.change_set import ChangeSet


class AsyncClient:
    """What Client does, for asyncio: ``async with AsyncClient("redis://localhost:6379/0") as beatd: ...``.

    One client serves all tasks of an event loop, over at most 20 connections, and goes on in another loop or process.
    It connects when first used, and is of no use any more once it was closed. Every method raises Unreachable without
    an answer within `timeout` (seconds), AccessDenied where Redis says no. One that is cancelled may have been done.

    who: whom the audit and pauses name, "ann@example.org"; the user of the operating system by default. program: what
    the audit names as the client.
    """

    def __init__(
        self,
        url: str,
        namespace: str = "default",
        *,
        who: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        program: str = "beatd.AsyncClient",
    ) -> None:
        self.link = AsyncLink(url, namespace, timeout)
        self._who, self._program = who, program
        self._closed = False

    async def __aenter__(self) -> Self:
        self._open_link()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes its connections for good. To close it again does nothing; any other call raises ClientClosed."""
        self._closed = True
        await self.link.close()

    # Entries

    async def get(self, name: str) -> "EntryState":
        """One entry. Raises NotFound."""
        return await self.run(self.verbs.get(name))

    async def find(self, name: str) -> "EntryState | None":
        """One entry, or None."""
        return await self.run(self.verbs.find(name))

    async def iterate(self, *patterns: str, **filters: "Unpack[Filters]") -> AsyncIterator["EntryState"]:
        """Entries page by page, the next one to run first: all of them, or those of some names or globs that pass.

        ``client.iterate("mail-*", states=["paused"], sort="name")``. What nobody edits meanwhile comes exactly once.
        """
        listing = self.verbs.listing(patterns, filters)
        await self.run(listing.begin())
        while found := await self.run(self.verbs.chunk(listing)):
            for state in found:
                yield state

    async def list(
        self, *patterns: str, limit: int | None = None, skip: int = 0, **filters: "Unpack[Filters]"
    ) -> Sequence["EntryState"]:
        """As iterate, at most so many of them after some; None: all, 0: none.

        The first page costs the same at any number of entries.
        """
        return await self.run(self.verbs.listed(patterns, filters, limit, skip))

    async def set(
        self, name: str, *, if_revision: str | None = None, note: str | None = None, **fields: "Unpack[Fields]"
    ) -> "EntryState":
        """Creates an entry, or changes the given fields of one and leaves the others; None gives a default back.

        Once it has returned nothing of the old definition is enqueued. Raises EntryInvalid naming the field; OtherOwner
        for an entry of a file; Conflict where somebody changed the definition after `if_revision`, or while this edit
        was made. if_revision "": the name must be free. What would change nothing is not written.
        """
        return await self.run(self.verbs.set(name, if_revision, note, fields))

    async def remove(self, name: str, *, if_revision: str | None = None, note: str | None = None) -> None:
        """Removes an entry. Once it has returned nothing of it is enqueued. Raises NotFound, OtherOwner, Conflict."""
        await self.run(self.verbs.remove([name], if_revision, note))

    async def pause(self, name: str, *, note: str = "", until: "Instant | timedelta | None" = None) -> "EntryState":
        """Pauses an entry, whoever owns it, for ever or up to an instant, at which a slot fires again.

        until: an aware datetime, a text with an offset, or a duration from now. Raises NotFound, EntryInvalid.
        """
        return await self.run(self.verbs.pause(name, note, until))

    async def resume(self, name: str, *, catchup: bool = False, note: str | None = None) -> "EntryState":
        """Lifts a pause; with `catchup` the entry goes on with what was owed when it began. Raises NotFound."""
        return await self.run(self.verbs.resume(name, note, catchup=catchup))

    async def reset(self, name: str, *, note: str | None = None) -> "EntryState":
        """Gives an entry the runs of its `max_runs` anew. Raises NotFound, and Refused where they are not counted."""
        return await self.run(self.verbs.reset(name, note))

    # Runs beside the timetable

    async def trigger(
        self,
        name: str,
        *,
        args: Sequence[Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        note: str = "",
    ) -> str:
        """Asks for one run now, paused or not, and gives the task id. The next slot stays where it is.

        args, kwargs: in place of the entry's. The leader pushes it at once, within the hour, or not at all (`request`
        tells). Raises NotFound, EntryInvalid, Refused.
        """
        return await self.run(self.verbs.trigger(name, args, kwargs, note))

    async def backfill(
        self,
        name: str,
        first: "Instant | timedelta",
        last: "Instant | timedelta",
        *,
        most: int = 1_000,
        rate: float | None = None,
        note: str = "",
        again: bool = False,
        dry_run: bool = False,
    ) -> "Backfill":
        """Asks for the runs of the past slots from `first` to `last`, both included: aware datetimes, texts with an
        offset, or how long ago. The same range asked for again pushes nothing twice, and another one with slots that
        were backfilled in the last 30 days is Refused, unless `again` says so.

        most: Refused where there are more. rate: messages a second at most. dry_run: tells the slots and asks for
        nothing. Raises NotFound, EntryInvalid, Refused.
        """
        return await self.run(self.verbs.backfill(name, first, last, most, rate, note, again=again, dry_run=dry_run))

    async def request(self, request_id: str) -> "RequestState | None":
        """What became of a trigger (known for 10 minutes after it) or a backfill (30 days); None where nobody knows."""
        return await self.run(self.verbs.request(request_id))

    # Whole sets

    async def diff(
        self, wanted: "Entries", *, owner: str = "default", prune: bool = False, take_over: bool = False
    ) -> "ChangeSet":
        """What `apply` would do, and nothing of it: additions, changes by field, removals, conflicts.

        wanted: fields by name, or mappings with `name`, as `export` gives them. Raises EntryInvalid.
        """
        return await self.run(self.verbs.diff(wanted, owner, prune=prune, take_over=take_over))

    async def apply(
        self,
        wanted: "Entries",
        *,
        owner: str = "default",
        prune: bool = False,
        take_over: bool = False,
        note: str | None = None,
    ) -> "ChangeSet":
        """Makes what is stored of an owner what is wanted, and tells what that changed. A repeat changes nothing.

        The entries belong to `apply:<owner>`. prune: those of it that are not wanted are removed. take_over: of names
        that the API or other owners hold, never those of a file. Raises EntryInvalid and OtherOwner before anything is
        written; Conflict where somebody else edits meanwhile. It writes steps of at most 500 entries, each of them
        whole or not at all; a repeat goes on where one ended.
        """
        return await self.run(self.verbs.apply(wanted, owner, note, prune=prune, take_over=take_over))

    async def export(self, *patterns: str, owners: str | Sequence[str] = ()) -> AsyncIterator[dict[str, Any]]:
        """Entries as they can be applied again, by name: `name` and its fields, without owner and unknown fields.

        They come one by one, read as they are asked for. owners: globs; all by default. What can't be read is left out.
        """
        export = self.verbs.exported(patterns, owners)
        await self.run(export.begin())
        while (page := await self.run(export.page())) is not None:
            for name, fields in page:
                yield {"name": name, **fields}

    # What happened

    async def history(
        self, name: str | None = None, *, limit: int = 100, since: datetime | None = None
    ) -> Sequence["HistoryLine"]:
        """The last fires and skips of one entry or of all, the oldest first: when, which slot, why not."""
        from beatd.client.fields import instant_ms
        from beatd.client.past import read_history

        low = 0 if since is None else instant_ms("since", since)
        with self._open_link().blocking() as link:
            return await asyncio.to_thread(read_history, link, name, limit, low)

    async def status(self) -> Mapping[str, Any]:
        """Who leads, is all well, how late it is: what `beatd status -o json` says."""
        from beatd.client.past import read_status

        with self._open_link().blocking() as link:
            return await asyncio.to_thread(read_status, link)

    async def changes(
        self,
        name: str | None = None,
        *,
        limit: int = 100,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Sequence["EntryChange"]:
        """The last changes of one entry or of all, the oldest first: who, when, what by field, and why."""
        return await self.run(self.verbs.changes(name, limit, since, until))

    @cached_property
    def verbs(self) -> "Verbs":
        """The verbs as steps, for `run`."""
        from beatd.client.verbs import Verbs

        return Verbs(self.keys, self._who, self._program)

    # For tools that bring verbs of their own

    @property
    def keys(self) -> Keys:
        """The keys of its namespace."""
        return self.link.keys

    async def run(self, steps: Steps[T]) -> T:
        """Runs any verb to its end."""
        return await drive_async(in_our_words(self.keys, steps), self._answer)

    def _open_link(self) -> AsyncLink:
        if self._closed:
            raise ClientClosed("this client was closed", hint="make another one, or close it when all is done")
        return self.link

    async def _answer(self, question: Ask) -> Replies:
        return await self._open_link().exchange(question.commands, tolerant=question.tolerant, again=question.again)
