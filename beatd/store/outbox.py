"""The outbox in Redis: fires that are decided for another broker, from the decision to that broker's word."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeVar

from beatd.core.fire import UNIT_SEPARATOR
from beatd.core.intent import Draft, Intent
from beatd.core.term import Term
from beatd.core.waiting import Waiting
from beatd.store.bounds import SKIP_ROWS
from beatd.store.keys import FORMAT, Keys
from beatd.store.link import Link
from beatd.store.refusals import StoreSpoilt
from beatd.store.scripts import Arg, Call, call
from beatd.store.spoilt import object_of, whole
from beatd.store.spoilt_key import spoilt_hash

MOST_AT_ONCE: Final = 100  # intents that are read or taken out in one go
MOST_BYTES: Final = 1_000_000  # of messages in one answer, unless one alone has more
NO_MESSAGE: Final = "its message is missing: another client has taken it away"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_HEAD_FIELDS: Final = 10
_ID: Final = re.compile(r"(\d{1,15})-(\d{1,15})")

_T = TypeVar("_T")


class Head(NamedTuple):
    """What is stored of an intent beside its message, and how many bytes that has."""

    draft: Draft
    size: int


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
        """A page of the intents in their order, and the next cursor; '0' begins and ends.

        Raises StoreSpoilt where another client has overwritten a key of it.
        """
        try:
            return await self._load(cursor)
        except StoreSpoilt as error:
            raise await spoilt_hash(self.link, self.keys, "ob", "obm") or error from error

    async def _load(self, cursor: str) -> tuple[str, list[Intent]]:
        flat = (await self.link.request(("HGETALL", self._heads)))[0]
        heads = dict(zip(map(_text, flat[::2]), flat[1::2], strict=True))
        if cursor == "0":
            await self._forget({text: head for text, head in heads.items() if _order(text) is None})
        after = _order(cursor) or (-1, -1)
        ids = sorted((order, text) for text in heads if (order := _order(text)) is not None and order > after)
        page = [text for _, text in ids[:MOST_AT_ONCE]]
        drafts = {text: read_head(heads[text]) for text in page}
        await self._forget({text: heads[text] for text, found in drafts.items() if found is None})
        intents = await self._messages_of([(text, found) for text, found in drafts.items() if found is not None])
        return page[-1] if len(ids) > len(page) else "0", intents

    async def standing(self, intents: Sequence[Intent]) -> list[bool]:
        """Which of them are still to be sent: nobody has withdrawn or confirmed them."""
        if not intents:
            return []
        raw = (await self.link.request(("HMGET", self._heads, *[intent.id for intent in intents])))[0]
        return [
            (kept := read_head(head)) is not None and kept.draft.task_id == intent.draft.task_id
            for head, intent in zip(raw, intents, strict=True)
        ]

    async def mark(self, intents: Sequence[Intent]) -> list[bool]:
        """Marks some that are to be sent at most once as about to be sent; which of them may be."""
        marked: list[bool] = []
        for part in _parts(intents):
            pairs = [(intent.id, intent.draft.task_id) for intent in part]
            codes, _ = await self.link.run(mark_call(self.keys, pairs))
            marked += [code == ord("0") for code in codes]
        return marked

    async def done(self, intents: Sequence[Intent]) -> None:
        """Takes them out: the broker has them. In parts that follow each other without waiting, so that nobody else's
        call waits long behind them, and they not for each other's answers.
        """
        pairs = [[(intent.id, intent.draft.task_id) for intent in part] for part in _parts(intents)]
        await asyncio.gather(*[self.link.run(done_call(self.keys, part)) for part in pairs])

    async def fail(self, term: Term, failed: Sequence[tuple[Intent, str]]) -> None:
        """Gives them up, with a row of the history that says why. Raises LeaseLost when the term is over."""
        for part in _parts(failed):
            pairs = [(intent.id, intent.draft.task_id) for intent, _ in part]
            await self.link.run(fail_call(self.keys, term, pairs, [why for _, why in part]))

    def take_spoilt(self) -> list[tuple[str, str, str]]:
        """What ``load`` has found since the last call that can't be read: id, entry, why."""
        found, self.spoilt = self.spoilt, []
        return [(text, name, why) for text, name, why in found]

    async def close(self) -> None:
        """Closes the connection."""
        await self.link.close()

    @property
    def _heads(self) -> str:
        return self.keys.key("ob")

    @property
    def _messages(self) -> str:
        return self.keys.key("obm")

    async def _messages_of(self, heads: Sequence[tuple[str, Head]]) -> list[Intent]:
        """The intents of some heads; one whose message somebody has taken away is taken out."""
        messages: list[bytes | None] = []
        for start, end in _runs([head.size for _, head in heads]):
            words = ("HMGET", self._messages, *[text for text, _ in heads[start:end]])
            messages += (await self.link.request(words))[0]
        found = []
        for (text, head), message in zip(heads, messages, strict=True):
            if message is not None:
                found.append(Intent(text, head.draft, message))
                continue
            dropped, _ = await self.link.run(drop_call(self.keys, [(text, head.draft.task_id)], NO_MESSAGE, _NOBODY))
            if dropped == b"0":  # else it was withdrawn a moment ago
                self.spoilt.append(Spoilt(text, head.draft.name, NO_MESSAGE))
        return found

    async def _forget(self, heads: Mapping[str, bytes]) -> None:
        """Takes out what can't be read."""
        for part in _parts(list(heads.items())):
            codes, _ = await self.link.run(forget_call(self.keys, part))
            taken = [pair for pair, code in zip(part, codes.decode(), strict=True) if code == "0"]
            self.spoilt += [
                Spoilt(text, "", f"another client has written there: {head[:100]!r}") for text, head in taken
            ]


_NOBODY: Final = '{"client":"beatd"}'


def pack_head(draft: Draft, size: int) -> str:
    """A value of T:ob. Control characters, which part the fields, are shown as ?."""
    dead_at = "" if draft.dead_at is None else draft.dead_at
    attempts = "" if draft.attempts is None else draft.attempts
    queue, broker = (_CONTROL.sub("?", text) for text in (draft.queue, draft.broker))
    once = int(draft.at_most_once) + int(draft.sent)
    fields = (draft.name, draft.slot, draft.task_id, queue, dead_at, attempts, once, broker, draft.cause, size)
    return UNIT_SEPARATOR.join(map(str, fields))


def read_head(head: bytes | None) -> Head | None:
    """A value of T:ob; None where there is none, or one that somebody spoilt."""
    fields = (head or b"").split(UNIT_SEPARATOR.encode())
    if len(fields) != _HEAD_FIELDS:
        return None
    raw_slot, raw_dead_at, raw_attempts, once, raw_size = (fields[place] for place in (1, 4, 5, 6, 9))
    name, task_id, queue, broker, cause = (_text(fields[place]) for place in (0, 2, 3, 7, 8))
    slot, dead_at, attempts, size = map(whole, (raw_slot, raw_dead_at, raw_attempts, raw_size))
    if not name or not task_id or slot is None or size is None or once not in (b"0", b"1", b"2"):
        return None
    if (raw_dead_at and dead_at is None) or (raw_attempts and attempts is None):
        return None
    at_most_once, sent = once != b"0", once == b"2"
    return Head(Draft(name, slot, task_id, queue, dead_at, attempts, at_most_once, broker, cause, sent), size)


def waiting_of(flat: Sequence[bytes]) -> tuple[list[Waiting], int]:
    """What T:ob holds, read whole, in order; and how many of its heads nobody can read."""
    found = []
    for raw, head in zip(flat[::2], flat[1::2], strict=True):
        order, read = _order(text := _text(raw)), read_head(head)
        if order is not None and read is not None:
            found.append((order, Waiting(text, *read)))
    return [row for _, row in sorted(found)], len(flat) // 2 - len(found)


def broker_of(lease: Mapping[bytes, bytes], instances: Mapping[bytes, bytes], now: int) -> str | None:
    """The short hash of the leader's broker, '' where that is our Redis; None where no leader says so."""
    till = whole(lease.get(b"until")) or 0
    record = object_of(instances.get(lease.get(b"host", b"")))
    if not lease.get(b"owner") or till <= now or record.get("role") != "leader" or "broker" not in record:
        return None
    broker = record["broker"]
    if broker is None:
        return ""
    found = broker.get("fingerprint") if isinstance(broker, dict) else None
    return found if isinstance(found, str) else None


def done_call(keys: Keys, pairs: Sequence[tuple[str, str]]) -> Call:
    """Takes out intents, given as (id, task id), of which nothing is said: at most 500."""
    return _done(keys, "D", pairs)


def mark_call(keys: Keys, pairs: Sequence[tuple[str, str]]) -> Call:
    """Marks intents, given as (id, task id), that are to be sent at most once as about to be sent: at most 500."""
    return _done(keys, "M", pairs)


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
