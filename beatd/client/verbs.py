"""What both clients can do, as verbs: arguments as people give them, a fresh nonce for each edit, who makes it."""

import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from beatd.client import editing, entries
from beatd.client.fields import Instant, plain_fields, until_ms
from beatd.client.state import EntryState
from beatd.client.steps import Steps, T
from beatd.errors import EntryInvalid, Refused
from beatd.store.entries import Pause, audit, fresh_nonce, user_name
from beatd.store.keys import Keys
from beatd.store.refusals import ConnectionClosed


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

    def page(self, cursor: bytes) -> Steps[tuple[bytes, list[EntryState]]]:
        """One page of all entries, in no order, and the next cursor; b"0" begins and ends."""
        after, names = yield from entries.names(self.keys, cursor)
        found = (yield from editing.look(self.keys, names)) if names else []
        return after, [base.state() for base in found if base.row is not None]

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
