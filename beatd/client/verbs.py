"""What both clients can do, as verbs: arguments as people give them, a fresh nonce for each edit, who makes it."""

import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, get_args

from beatd.client import apply as sets
from beatd.client import change_log, editing, entries, requests
from beatd.client.definitions import Entries, definitions_of
from beatd.client.fields import (
    Filters,
    Instant,
    ago_ms,
    check_count,
    instant_ms,
    past_ms,
    plain_fields,
    texts,
    until_ms,
)
from beatd.client.happened import EntryChange, change_of_entry
from beatd.client.listing import Listing
from beatd.client.requested import Backfill, RequestState, request_state_of
from beatd.client.state import EntryState, state_of
from beatd.client.steps import Steps, T, ask
from beatd.core.change_set import ChangeSet, owner_named
from beatd.core.instant import utc_of
from beatd.core.listing import ASKED_STATES, Sort, Wanted
from beatd.core.shown import shown
from beatd.errors import EntryInvalid, Refused
from beatd.store.entries import Pause, audit, check_text, fresh_nonce, user_name
from beatd.store.keys import Keys
from beatd.store.refusals import ConnectionClosed
from beatd.store.spoilt import whole


class Verbs:
    """The verbs of one namespace. who: whom the audit names; the user of the operating system by default."""

    def __init__(self, keys: Keys, who: str | None, client: str) -> None:
        self.keys = keys
        self._client = client
        self._host = socket.gethostname()
        self._who = who

    def author(self, note: str | None = None) -> str:
        """Who makes an edit, for the audit."""
        return audit(self._client, self._who or user_name(), self._host, note or "")

    def get(self, name: str) -> Steps[EntryState]:
        return (yield from editing.look_at(self.keys, _text(name))).state()

    def find(self, name: str) -> Steps[EntryState | None]:
        base = yield from editing.look_at(self.keys, _text(name))
        return None if base.row is None else base.state()

    def listing(self, patterns: Sequence[str], filters: Filters, limit: int | None = None, skip: int = 0) -> Listing:
        """Entries in order; not begun yet."""
        for pattern in patterns:
            check_text("pattern", pattern)
        sort: Any = filters.get("sort", "next")
        given = {key: texts(key, value) for key, value in filters.items() if key != "sort"}
        if sort not in get_args(Sort):
            raise EntryInvalid(f"sort: found {shown(sort)}; accepted are {', '.join(get_args(Sort))}")
        unknown = [state for state in given.get("states", ()) if state not in ASKED_STATES]
        if unknown:
            raise EntryInvalid(f"states: found {shown(unknown[0])}; accepted are {', '.join(ASKED_STATES)}")
        wanted: Any = Wanted(patterns=patterns, **given)
        return Listing(self.keys, wanted, sort, skip=skip, most=limit)

    def chunk(self, listing: Listing) -> Steps[Sequence[EntryState]]:
        """The next entries of a list that was begun, none at the end."""
        rows = yield from listing.chunk()
        if not rows:
            return []
        [lefts] = yield from ask(("HMGET", self.keys.key("left"), *(row.name for row in rows)))
        return [state_of(row, whole(left), listing.now) for row, left in zip(rows, lefts, strict=True)]

    def listed(
        self, patterns: Sequence[str], filters: Filters, limit: int | None, skip: int
    ) -> Steps[Sequence[EntryState]]:
        check_count("skip", skip)
        if limit is not None:
            check_count("limit", limit)
        listing = self.listing(patterns, filters, limit, skip)
        yield from listing.begin()
        found: list[EntryState] = []
        while limit is None or len(found) < limit:
            more = yield from self.chunk(listing)
            if not more:
                break
            found += more
        return found[:limit]

    def set(self, name: str, if_revision: str | None, note: str | None, fields: Mapping[str, Any]) -> Steps[EntryState]:
        given = plain_fields(fields)
        return editing.set_entry(self.keys, _text(name), given, if_revision, fresh_nonce, self.author(note))

    def remove(self, names: Sequence[str], if_revision: str | None, note: str | None) -> Steps[None]:
        return editing.remove_entries(self.keys, list(map(_text, names)), if_revision, self.author(note))

    def pause(self, name: str, note: str, until: Instant | timedelta | None) -> Steps[EntryState]:
        ends = None
        if until is not None:
            now = yield from entries.now_ms()
            ends = until_ms(until, now)
            if ends <= now:
                raise EntryInvalid("until: the instant is past by the clock of Redis")
        by = self._who or f"{user_name()}@{self._host}"
        wanted = Pause(by, note, ends)
        yield from _repeated(lambda nonce: entries.pause(self.keys, [_text(name)], nonce, self.author(), wanted))
        return (yield from editing.look_at(self.keys, name)).state()

    def resume(self, name: str, note: str | None, *, catchup: bool) -> Steps[EntryState]:
        who = self.author(note)
        yield from _repeated(lambda nonce: entries.resume(self.keys, [_text(name)], nonce, who, catchup=catchup))
        return (yield from editing.look_at(self.keys, name)).state()

    def reset(self, name: str, note: str | None) -> Steps[EntryState]:
        state = yield from self.get(name)
        runs = state.entry and state.entry.policy.max_runs
        if not runs:
            raise Refused(f"{name!r} has no max_runs: its runs are not counted", hint="set its max_runs first")
        who, given = self.author(note), {name: runs}
        yield from _repeated(lambda nonce: entries.reset(self.keys, given, nonce, who))
        return (yield from editing.look_at(self.keys, name)).state()

    def trigger(self, name: str, args: Sequence[Any] | None, kwargs: Mapping[str, Any] | None, note: str) -> Steps[str]:
        who = self.author(note)
        return requests.trigger(self.keys, _text(name), str(uuid.uuid4()), who, args=args, kwargs=kwargs, note=note)

    def backfill(
        self,
        name: str,
        first: Instant | timedelta,
        last: Instant | timedelta,
        most: int,
        rate: float | None,
        note: str,
        *,
        again: bool,
        dry_run: bool,
    ) -> Steps[Backfill]:
        relative = any(ago_ms(key, value) is not None for key, value in (("first", first), ("last", last)))
        now = (yield from entries.now_ms()) if relative else 0
        low, high = past_ms("first", first, now), past_ms("last", last, now)
        fresh = str(uuid.uuid4()) if again else None
        found = yield from requests.look_at_range(self.keys, _text(name), low, high, most=most, rate=rate, again=fresh)
        asks = bool(found.slots) and not found.answered and not dry_run
        if asks:
            yield from requests.backfill(self.keys, found, self.author(note), note)
        elif dry_run:
            yield from requests.check_range(self.keys, found)
        left = None if found.owed is None else utc_of(found.owed)
        return Backfill(found.request_id, tuple(map(utc_of, found.slots)), left, asks)

    def request(self, request_id: str) -> Steps[RequestState | None]:
        check_text("request", request_id)
        found = yield from requests.request_state(self.keys, request_id)
        return None if found is None else request_state_of(found)

    def changes(
        self, name: str | None, limit: int, since: datetime | None, until: datetime | None
    ) -> Steps[Sequence[EntryChange]]:
        low = 0 if since is None else instant_ms("since", since)
        high = None if until is None else instant_ms("until", until)
        check_count("limit", limit)
        if name is not None:
            _text(name)
        return [change_of_entry(each) for each in (yield from change_log.changes(self.keys, name, limit, low, high))]

    def diff(self, wanted: Entries, owner: str, *, prune: bool, take_over: bool) -> Steps[ChangeSet]:
        label = owner_named(owner)
        return sets.plan(self.keys, definitions_of(wanted, label), label, prune=prune, take_over=take_over)

    def apply(self, wanted: Entries, owner: str, note: str | None, *, prune: bool, take_over: bool) -> Steps[ChangeSet]:
        changes = yield from self.diff(wanted, owner, prune=prune, take_over=take_over)
        yield from sets.apply(self.keys, changes, fresh_nonce, self.author(note))
        return changes

    def exported(self, patterns: Sequence[str], owners: str | Sequence[str]) -> sets.Export:
        """Definitions as they can be applied again; not begun yet."""
        return sets.Export(self.keys, patterns, texts("owners", owners))


def _repeated(edit: Callable[[str], Steps[T]]) -> Steps[T]:
    """An edit of run state, made once more where the connection was closed under it.

    As another edit: somebody else's may have come between, and a revision must never come back.
    """
    try:
        return (yield from edit(fresh_nonce()))
    except ConnectionClosed:
        return (yield from edit(fresh_nonce()))


def _text(name: str) -> str:
    if not isinstance(name, str):
        raise EntryInvalid(f"an entry's name is a text; found {type(name).__name__}")
    return name
