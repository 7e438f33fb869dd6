"""One namespace on a real server, driven by the calls that beatd itself builds, and read as a whole.

Replies are text. Scores are the server's own text, so that a test can compare them exactly.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
import redis

from beatd.core.edit import ANY, PutItem
from beatd.core.fire import FireItem, Skip
from beatd.core.intent import Draft
from beatd.core.requests import Part, Serving, Wanted
from beatd.core.term import Candidacy, Term
from beatd.core.timetable import PlanItem
from beatd.store.entries import Pause, pause_call, put_call, remove_call, reset_call, resume_call
from beatd.store.keys import FORMAT, Keys
from beatd.store.lease import CHANNEL, acquire_call
from beatd.store.requests import Asking, request_call, serve_call
from beatd.store.scripts import Arg, Call, call
from beatd.store.timetable import fire_call, plan_call, settle_call
from tests.support.servers import RedisServer

REV: Final = "n1.f1"
TTL: Final = 6_000
QUEUE: Final = "celery"
WHO: Final = '{"client":"test"}'
# Not whole numbers of at most 15 digits, each in a way that some parser takes for one.
NO_NUMBERS: Final = ("", "1e3", "0x10", "inf", "nan", "-1", "+1", " 1", "1 ", "1.0", "1\x00", "1234567890123456")

# Every key of the database with its type, time to live, serialized bytes and content, in one round trip. A large hash
# has no serialized bytes here: the order of its fields changes while it is being read.
_READ_ALL: Final = """
local read = {
  hash = {'HGETALL'}, zset = {'ZRANGE', 0, -1, 'WITHSCORES'}, list = {'LRANGE', 0, -1}, set = {'SMEMBERS'},
  stream = {'XRANGE', '-', '+'}, string = {'GET'},
}
local all = {}
for _, key in ipairs(redis.call('KEYS', '*')) do
  local kind = redis.call('TYPE', key).ok
  local words = read[kind]
  local content = redis.call(words[1], key, unpack(words, 2))
  local large = redis.call('OBJECT', 'ENCODING', key) == 'hashtable'
  all[#all + 1] = {key, kind, redis.call('PTTL', key), large and '' or redis.call('DUMP', key), content}
end
return all
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """One key: its serialized bytes (with the time to live), and its content as a dict, list or text."""

    dump: tuple[str, int]
    content: Any


class Store:
    """One namespace. ``flagged`` chooses the form of the scripts; by default the one the daemon would choose."""

    def __init__(self, server: RedisServer, *, flagged: bool | None = None, namespace: str = "default") -> None:
        self.client = server.client(protocol=2, decode_responses=True, encoding_errors="surrogateescape")
        version = str(self.client.info("server")["redis_version"])
        self.client.response_callbacks.clear()  # replies as the server says them
        self.keys = Keys(namespace)
        self.flagged = int(version.split(".", maxsplit=1)[0]) >= 7 if flagged is None else flagged

    def key(self, kind: str) -> str:
        return self.keys.key(kind)

    def do(self, *words: Arg | float) -> Any:
        """One plain command, as any other client could send it."""
        return self.client.execute_command(*words)

    def now(self) -> int:
        """The server's clock, UTC ms."""
        seconds, micros = self.do("TIME")
        return int(seconds) * 1000 + int(micros) // 1000

    # The scripts

    def run(self, wanted: Call) -> list[Any]:
        """Runs a script by digest, by text where the server doesn't know it: as the daemon does."""
        try:
            reply: list[Any] = self.do(*wanted.command(sha=True, shebang=self.flagged))
        except redis.exceptions.NoScriptError:
            reply = self.do(*wanted.command(sha=False, shebang=self.flagged))
        return reply

    def refusal(self, wanted: Call) -> str:
        """The error that a call ends with. Nothing at all may have changed."""
        with self.unchanged(), pytest.raises(redis.exceptions.ResponseError) as caught:
            self.run(wanted)
        # redis-py takes the first word of the errors it has a class for.
        words = {redis.exceptions.OutOfMemoryError: "OOM ", redis.exceptions.ReadOnlyError: "READONLY "}
        return words.get(type(caught.value), "") + str(caught.value)

    def acquire(self, owner: str = "me", **changes: Any) -> list[Any]:
        return self.run(acquire_call(self.keys, Candidacy(**{**_CANDIDACY, "owner": owner, **changes})))

    def lead(self, owner: str = "me", **changes: Any) -> Term:
        """The term of a candidacy that must be granted."""
        granted, epoch, _, until, now, _, seq, inc, *_ = self.acquire(owner, **changes)
        assert granted == 1
        return Term(int(epoch), owner, int(until), int(now), int(seq), inc)

    def renew(self, term: Term) -> list[Any]:
        return self.run(renew_call(self.keys, term))

    def release(self, term: Term) -> list[Any]:
        return self.run(release_call(self.keys, term))

    def put(self, *items: PutItem) -> str:
        return str(self.run(put_call(self.keys, items, WHO))[0])

    def remove(self, *names: str, expected: Sequence[str] | None = None) -> str:
        return str(self.run(remove_call(self.keys, names, WHO, expected))[0])

    def pause(self, *names: str, nonce: str = "p1", until: int | None = None) -> str:
        return str(self.run(pause_call(self.keys, names, nonce, WHO, Pause("me@here", "a deploy", until)))[0])

    def resume(self, *names: str, nonce: str = "r1", catchup: bool = False) -> str:
        return str(self.run(resume_call(self.keys, names, nonce, WHO, catchup=catchup))[0])

    def reset(self, nonce: str = "s1", **runs: int) -> str:
        return str(self.run(reset_call(self.keys, runs, nonce, WHO))[0])

    def plan(self, term: Term, *items: PlanItem) -> str:
        return str(self.run(plan_call(self.keys, term, items))[0])

    def fire(self, term: Term, *items: FireItem) -> str:
        return str(self.run(fire_call(self.keys, term, items))[0])

    def settle(self, term: Term, *items: FireItem, bad: Collection[str] = ()) -> str:
        """``bad``: queues that take no messages."""
        return str(self.run(settling(self.keys, term, items, bad=bad))[0])

    def ask(self, *askings: Asking) -> str:
        return str(self.run(request_call(self.keys, askings, WHO))[0])

    def serve(self, term: Term, serving: Serving) -> int:
        return int(self.run(serve_call(self.keys, term, serving, 1_000))[0])

    # What another client, or an earlier life, left behind

    def plant(self, name: str, score: float | str, *, kind: str = "due", rev: str = REV, **fields: Arg) -> None:
        """An entry with that very score in `kind`; ``fields`` go into the hashes of their names (jit, left, last)."""
        self.do("HSET", self.key("rev"), name, rev)
        self.do("HSET", self.key("def"), name, "{}")
        self.do("ZADD", self.key(kind), score, name)
        for hash_name, value in fields.items():
            self.do("HSET", self.key(hash_name), name, value)

    # What is stored

    def everything(self) -> dict[str, Stored]:
        """The whole key space."""
        return {key: Stored((dump, ttl), _content(kind, raw)) for key, kind, ttl, dump, raw in self._read_all()}

    def contents(self) -> dict[str, Any]:
        """The whole key space by content, without what every accepted call of a leader moves: until, rn, seq."""
        all_keys = {key: stored.content for key, stored in self.everything().items()}
        lease = all_keys.get(self.key("lease"))
        if isinstance(lease, dict):
            all_keys[self.key("lease")] = {k: v for k, v in lease.items() if k not in {"until", "rn", "seq"}}
        return all_keys

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Whatever happens inside leaves the whole key space as it was, byte for byte."""
        before = self.everything()
        yield
        after = self.everything()
        assert {k: v.content for k, v in after.items()} == {k: v.content for k, v in before.items()}
        assert after == before

    def hash(self, kind: str) -> dict[str, str]:
        return _pairs(self.do("HGETALL", self.key(kind)))

    def scores(self, kind: str = "due") -> dict[str, str]:
        return _pairs(self.do("ZRANGE", self.key(kind), 0, -1, "WITHSCORES"))

    def rows(self, kind: str) -> list[dict[str, str]]:
        return [_pairs(fields) for _, fields in self.do("XRANGE", self.key(kind), "-", "+")]

    def queue(self, name: str = QUEUE) -> list[str]:
        """The messages in the order in which they were pushed."""
        return list(reversed(self.do("LRANGE", name, 0, -1)))

    def skips(self) -> list[tuple[str, list[Skip]]]:
        """What T:skip tells, oldest first: (name, its skips)."""
        packed = [piece.split("\x1f") for row in self.rows("skip") for piece in row["skips"].split("\x1e")]
        return [(name, unpack_skips(text)) for name, text in packed]

    def fires(self) -> list[tuple[str, list[int]]]:
        """What T:hist tells, oldest first: (name, its slots)."""
        packed = [piece.split("\x1f") for row in self.rows("hist") for piece in row["fires"].split("\x1e")]
        return [(name, [int(slot) for slot in slots.split(",")]) for name, slots in packed]

    def intents(self) -> dict[str, tuple[list[str], str]]:
        """What the outbox holds: by id the fields of the head, and the message."""
        messages = self.hash("obm")
        heads = self.hash("ob")
        assert heads.keys() == messages.keys()
        return {intent_id: (head.split("\x1f"), messages[intent_id]) for intent_id, head in heads.items()}

    def _read_all(self) -> Any:
        return self.do("EVAL", _READ_ALL, 0)


_CANDIDACY: Final[Mapping[str, Any]] = {"ttl_ms": TTL, "host": "here", "incarnation": "inc"}


def put_item(name: str = "a", rev: str = REV, **changes: Any) -> PutItem:
    """An edit of an enabled entry without jitter, runs or file."""
    return replace(PutItem(name, rev, ANY, '{"task":"t"}', 0, "", True), **changes)


def fire_item(name: str = "a", expected: int = 1_000, next_moment: int | None = 2_000, **changes: Any) -> FireItem:
    """One message for the one slot that the expected moment stands for, good for ever."""
    message = f"{name}@{expected}".encode()
    item = FireItem(name, REV, expected, next_moment, (expected,), True, "id", None, None, (), QUEUE, (message,))
    return item._replace(**changes)


def skip_item(name: str = "a", expected: int = 1_000, next_moment: int | None = 2_000, **changes: Any) -> FireItem:
    """A move without a message."""
    skips = (Skip("missed", 1, expected, expected),)
    fields = {"slots": (), "plain": False, "messages": (), "task_id": "", "skips": skips, **changes}
    return fire_item(name, expected, next_moment, **fields)


def draft_of(item: FireItem, slot: int, **changes: Any) -> Draft:
    """The draft of an item's message, for a queue of its key's name."""
    draft = Draft(item.name, slot, f"{item.name}-{slot}", item.queue_key, None, None, False, "b0b0b0b0")
    return draft._replace(**changes)


def settling(keys: Keys, term: Term, items: Sequence[FireItem], *, bad: Collection[str] = (), **changes: Any) -> Call:
    """The call that decides some items for another broker. ``bad``: queues that take no messages."""
    drafts = [
        [draft_of(item, item.slots[min(n, len(item.slots) - 1)], **changes) for n in range(len(item.messages))]
        for item in items
    ]
    return settle_call(keys, term, items, drafts, lambda queue: queue not in bad)


def asking(request_id: str = "q1", name: str = "a", *, cursor: int = 0, before: bytes = b"", **wanted: Any) -> Asking:
    """A trigger; with ``first`` and ``last`` a backfill that begins at its cursor."""
    what = Wanted("backfill" if "last" in wanted else "trigger", name, **wanted)
    return Asking(request_id, what, cursor or what.begins_at, before)


def serving(request_id: str = "q1", name: str = "a", *, slots: Sequence[int] = (1_000,), **changes: Any) -> Serving:
    """A part with a message for each slot, after which the request is done."""
    part = Part(tuple(slots), changes.pop("cursor", max(slots, default=0)), changes.pop("outcome", "done"))
    part = part._replace(why=changes.pop("why", ""))
    messages = [f"{name}@{slot}".encode() for slot in slots]
    found = Serving(request_id, name, REV, 0, part, "backfill", "", QUEUE if messages else "", messages)
    return found._replace(**changes)


def renew_call(keys: Keys, term: Term) -> Call:
    return call("renew", keys, [term.epoch, term.owner, FORMAT])


def release_call(keys: Keys, term: Term) -> Call:
    return call("release", keys, [term.epoch, term.owner, FORMAT, keys.key(CHANNEL)])


def with_args(wanted: Call, changes: Mapping[int, Arg]) -> Call:
    """The call with other arguments, counted from 0: what no builder of ours would send."""
    args = list(wanted.args)
    for index, value in changes.items():
        args[index] = value
    return replace(wanted, args=args)


def unpack_skips(text: str) -> list[Skip]:
    """Reads ``reason:count:first:last`` joined by ``;``."""
    pieces = [piece.split(":") for piece in text.split(";")]
    return [Skip(reason, int(count), int(first), int(last)) for reason, count, first, last in pieces]  # type: ignore[arg-type]


def _content(kind: str, raw: Any) -> Any:
    if kind in {"hash", "zset"}:
        return _pairs(raw)
    if kind == "stream":
        return [(row_id, _pairs(fields)) for row_id, fields in raw]
    return raw


def _pairs(flat: Sequence[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))
