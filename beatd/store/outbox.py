"""The outbox in Redis: fires that are decided for another broker, from the decision to that broker's word."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from beatd.core.fire import UNIT_SEPARATOR
from beatd.core.intent import Draft, Intent
from beatd.core.term import Term
from beatd.store.bounds import SKIP_ROWS
from beatd.store.keys import FORMAT, Keys
from beatd.store.link import Link
from beatd.store.scripts import Arg, Call, call
from beatd.store.spoilt import whole

MOST_AT_ONCE: Final = 100  # intents that are read or taken out in one go
MOST_BYTES: Final = 1_000_000  # of messages in one answer, unless one alone has more
NO_MESSAGE: Final = "its message is missing: another client has taken it away"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_HEAD_FIELDS: Final = 9
_ID: Final = re.compile(r"(\d{1,15})-(\d{1,15})")

_T = TypeVar("_T")


class Spoilt(NamedTuple):
    """An intent that nobody can read any more, and why. name: of its entry, '' where not even that can be read."""

    id: str
    name: str
    why: str


@dataclass(slots=True)
class RedisOutbox:
    """The outbox of one namespace over one link. Every method raises Unreachable without an answer.

    spoilt: what ``load`` found that can't be read, and has taken out; whoever reports it empties it.
    """

    link: Link
    keys: Keys
    spoilt: list[Spoilt] = field(default_factory=list)

    async def load(self, cursor: str = "0") -> tuple[str, list[Intent]]:
        """A page of the intents in their order, and the next cursor; '0' begins and ends."""
        raw_messages, raw_heads = await self.link.request(("HKEYS", self._messages), ("HKEYS", self._heads))
        heads = list(map(_text, raw_heads))
        if cursor == "0":
            await self._forget_strays(heads, list(map(_text, raw_messages)))
        ids = sorted((order, text) for text in heads if (order := _order(text)) is not None)
        ids = [row for row in ids if cursor == "0" or row[0] > (_order(cursor) or (0, 0))]
        page = [text for _, text in ids[:MOST_AT_ONCE]]
        found = await self._read(page) if page else []
        return page[-1] if len(ids) > len(page) else "0", found

    async def standing(self, intents: Sequence[Intent]) -> list[bool]:
        """Which of them are still to be sent: nobody has withdrawn or confirmed them."""
        if not intents:
            return []
        raw = (await self.link.request(("HMGET", self._heads, *[intent.id for intent in intents])))[0]
        return [
            (draft := read_head(head)) is not None and draft.task_id == intent.draft.task_id
            for head, intent in zip(raw, intents, strict=True)
        ]

    async def done(self, intents: Sequence[Intent]) -> None:
        """Takes them out: the broker has them, or they are about to be sent and must not be sent again."""
        for part in _parts(intents):
            await self.link.run(done_call(self.keys, [(intent.id, intent.draft.task_id) for intent in part]))

    async def fail(self, term: Term, failed: Sequence[tuple[Intent, str]]) -> None:
        """Gives them up, with a row of the history that says why. Raises LeaseLost when the term is over."""
        for part in _parts(failed):
            pairs = [(intent.id, intent.draft.task_id) for intent, _ in part]
            await self.link.run(fail_call(self.keys, term, pairs, [why for _, why in part]))

    async def close(self) -> None:
        """Closes the connection."""
        await self.link.close()

    @property
    def _heads(self) -> str:
        return self.keys.key("ob")

    @property
    def _messages(self) -> str:
        return self.keys.key("obm")

    async def _read(self, ids: Sequence[str]) -> list[Intent]:
        lengths = [("HSTRLEN", self._messages, text) for text in ids]
        heads, *sizes = await self.link.request(("HMGET", self._heads, *ids), *lengths)
        messages: list[bytes | None] = []
        for start, end in _runs(sizes):
            messages += (await self.link.request(("HMGET", self._messages, *ids[start:end])))[0]
        return [
            intent for row in zip(ids, heads, messages, strict=True) if (intent := await self._intent(*row)) is not None
        ]

    async def _intent(self, text: str, head: bytes | None, message: bytes | None) -> Intent | None:
        """None where it can't be read: then it is taken out. Without a head it was withdrawn a moment ago."""
        if head is None:
            return None
        draft = read_head(head)
        if draft is None:
            await self._forget([(text, head)], f"its head can't be read: {head[:100]!r}")
            return None
        if message is None:
            dropped, _ = await self.link.run(drop_call(self.keys, [(text, draft.task_id)], NO_MESSAGE, _NOBODY))
            self.spoilt += [Spoilt(text, draft.name, NO_MESSAGE)] if dropped == b"0" else []
            return None
        return Intent(text, draft, message)

    async def _forget_strays(self, heads: Sequence[str], messages: Sequence[str]) -> None:
        """What no script of ours leaves: messages without a head, and ids of another form."""
        known = set(heads)
        for part in _parts([text for text in messages if text not in known]):
            await self._forget([(text, b"") for text in part], "a message without a head")
        for part in _parts([text for text in heads if _order(text) is None]):
            found = (await self.link.request(("HMGET", self._heads, *part)))[0]
            await self._forget([(text, head or b"") for text, head in zip(part, found, strict=True)], "its id is none")

    async def _forget(self, pairs: Sequence[tuple[str, bytes]], why: str) -> None:
        codes, _ = await self.link.run(forget_call(self.keys, pairs))
        for (text, _), code in zip(pairs, codes.decode(), strict=True):
            self.spoilt += [Spoilt(text, "", why)] if code == "0" else []


_NOBODY: Final = '{"client":"beatd"}'


def pack_head(draft: Draft) -> str:
    """What is stored of a draft beside its message. Control characters, which part the fields, are shown as ?."""
    dead_at = "" if draft.dead_at is None else draft.dead_at
    attempts = "" if draft.attempts is None else draft.attempts
    queue, broker = (_CONTROL.sub("?", text) for text in (draft.queue, draft.broker))
    once = int(draft.at_most_once)
    fields = (draft.name, draft.slot, draft.task_id, queue, dead_at, attempts, once, broker, draft.cause)
    return UNIT_SEPARATOR.join(map(str, fields))


def read_head(head: bytes | None) -> Draft | None:
    """A value of T:ob; None where there is none, or one that somebody spoilt."""
    fields = (head or b"").split(UNIT_SEPARATOR.encode())
    if len(fields) != _HEAD_FIELDS:
        return None
    name, raw_slot, task_id, queue, raw_dead_at, raw_attempts, once, broker, cause = fields
    slot, dead_at, attempts = whole(raw_slot), whole(raw_dead_at), whole(raw_attempts)
    if not name or not task_id or slot is None or once not in (b"0", b"1"):
        return None
    if (raw_dead_at and dead_at is None) or (raw_attempts and attempts is None):
        return None
    texts = map(_text, (name, task_id, queue, broker, cause))
    read_name, read_id, read_queue, read_broker, read_cause = texts
    return Draft(read_name, slot, read_id, read_queue, dead_at, attempts, once == b"1", read_broker, read_cause)


def done_call(keys: Keys, pairs: Sequence[tuple[str, str]]) -> Call:
    """Takes out intents, given as (id, task id), of which nothing is said: at most 500."""
    return _done(keys, "D", pairs)


def fail_call(keys: Keys, term: Term, pairs: Sequence[tuple[str, str]], whys: Sequence[str]) -> Call:
    """Gives intents up as undeliverable, under a term: at most 500."""
    return _done(keys, "U", pairs, whys, holder=(term.epoch, term.owner))


def drop_call(keys: Keys, pairs: Sequence[tuple[str, str]], why: str, who: str) -> Call:
    """Gives intents up as undeliverable by anybody: at most 500. who: JSON for the audit."""
    return _done(keys, "W", pairs, [why] * len(pairs), who=who)


def forget_call(keys: Keys, pairs: Sequence[tuple[str, bytes]]) -> Call:
    """Takes out what can't be read, given as (id, head as it was read): at most 500."""
    return _done(keys, "S", pairs)


def _done(
    keys: Keys,
    outcome: str,
    pairs: Sequence[tuple[str, str | bytes]],
    whys: Sequence[str] = (),
    *,
    holder: tuple[Arg, Arg] = ("", ""),
    who: str = "",
) -> Call:
    args: list[Arg] = [outcome, *holder, FORMAT, SKIP_ROWS, who, len(pairs)]
    args += [intent_id for intent_id, _ in pairs]
    args += [proof for _, proof in pairs]
    args += whys or [""] * len(pairs)
    return call("done", keys, args)


def _order(text: str) -> tuple[int, int] | None:
    """Where an id stands; None for one that is none of ours."""
    found = _ID.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else None


def _runs(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Cuts messages of these sizes into runs (from, to) of at most MOST_BYTES."""
    start = total = 0
    for at, size in enumerate(sizes):
        if at > start and total + size > MOST_BYTES:
            yield start, at
            start, total = at, 0
        total += size
    if sizes:
        yield start, len(sizes)


def _parts(rows: Sequence[_T]) -> Iterator[Sequence[_T]]:
    for start in range(0, len(rows), MOST_AT_ONCE):
        yield rows[start : start + MOST_AT_ONCE]


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")
