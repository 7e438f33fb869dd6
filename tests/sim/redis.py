"""A small Redis in memory: exactly the commands that the scripts and the adapters use, with a clock that can step.

What makes it trustworthy is `test_against_redis.py`: random commands and scripts, here and on a real server, with
equal replies and equal state at the end.
"""

import hashlib
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from tests.sim.lua import shared_lua
from tests.sim.replies import Failure, Reply, Status

OK: Final = Status(b"OK")
WRONGTYPE: Final = "WRONGTYPE Operation against a key holding the wrong kind of value"
NOT_FLOAT: Final = "ERR value is not a valid float"
NOT_INT: Final = "ERR value is not an integer or out of range"
SYNTAX: Final = "ERR syntax error"
Words = Sequence[bytes]
RowId = tuple[int, int]


class CommandError(Exception):
    """An error reply on its way up."""


class Hash(dict[bytes, bytes]):
    """Field -> value."""

    kind = b"hash"


class ZSet(dict[bytes, float]):
    """Member -> score."""

    kind = b"zset"

    def ordered(self) -> list[tuple[bytes, float]]:
        """By score, then by member."""
        return sorted(self.items(), key=lambda item: (item[1], item[0]))


class List(list[bytes]):
    """The head first."""

    kind = b"list"


class Text(bytes):
    """A string."""

    kind = b"string"

    def copy(self) -> "Text":
        return self


@dataclass
class Stream:
    """Rows in the order of their ids."""

    rows: list[tuple[RowId, list[bytes]]] = field(default_factory=list)
    last: RowId = (0, 0)
    kind = b"stream"

    def copy(self) -> "Stream":
        return Stream(list(self.rows), self.last)


Value = Hash | ZSet | List | Text | Stream
Data = dict[bytes, Value]
_COPIES: Final[dict[type, Callable[[Any], Any]]] = {
    Hash: Hash, ZSet: ZSet, List: List, Text: Text.copy, Stream: Stream.copy,
}  # fmt: skip


def copied(data: Data) -> Data:
    """A state that later writes don't touch."""
    return {key: _COPIES[type(value)](value) for key, value in data.items()}


class Observer(Protocol):
    """Looks at the state before and after each script."""

    def before(self, text: bytes) -> Any:
        """What it wants to remember."""

    def after(self, seen: Any, text: bytes, keys: Words, args: Words, reply: Reply) -> None:
        """Compares."""


class Server:
    """Executes commands one at a time. ``now_us`` gives the clock that TIME shows, in microseconds."""

    def __init__(self, now_us: Callable[[], int], version: bytes = b"7.0.15") -> None:
        self.data: Data = {}
        self.scripts: dict[bytes, bytes] = {}
        self.now_us = now_us
        self.version = version
        self.published: list[tuple[bytes, bytes]] = []  # channel, message: whoever delivers them takes them out
        self.pushed: list[tuple[bytes, bytes]] = []  # queue, message: the same
        self.observer: Observer | None = None

    def execute(self, words: Words) -> Reply:
        """The reply to one command; an error is a Failure."""
        handler = _COMMANDS.get(words[0].upper())
        if handler is None:
            raise NotImplementedError(f"the simulation's Redis has no {words[0]!r}: write it, and compare it")
        try:
            return handler(self, words[1:])
        except CommandError as error:
            return Failure(str(error))

    def restart(self) -> None:
        """What a restart forgets."""
        self.scripts.clear()

    def _typed(self, key: bytes, kind: type) -> Any:
        """The value at a key, an empty one where there is none."""
        value = self.data.get(key)
        if value is None:
            return kind()
        if type(value) is not kind:
            raise CommandError(WRONGTYPE)
        return value

    def _stored(self, key: bytes, kind: type) -> Any:
        """As _typed, for writing into."""
        value = self._typed(key, kind)
        self.data[key] = value
        return value

    def _drop_empty(self, key: bytes) -> None:
        value = self.data.get(key)
        if value is not None and not isinstance(value, Stream | Text) and not value:
            del self.data[key]


def _server_words(s: Server, w: Words) -> Reply:
    return b"# Server\r\nredis_version:%b\r\n" % s.version


def _time(s: Server, w: Words) -> Reply:
    seconds, micros = divmod(s.now_us(), 1_000_000)
    return [b"%d" % seconds, b"%d" % micros]


def _type(s: Server, w: Words) -> Reply:
    value = s.data.get(w[0])
    return Status(b"none" if value is None else value.kind)


def _del(s: Server, w: Words) -> Reply:
    return sum(1 for key in w if s.data.pop(key, None) is not None)


def _flushall(s: Server, w: Words) -> Reply:
    s.data.clear()
    return OK


def _set(s: Server, w: Words) -> Reply:
    s.data[w[0]] = Text(w[1])
    return OK


def _hset(s: Server, w: Words) -> Reply:
    if len(w) < 3 or len(w) % 2 == 0:
        raise CommandError("ERR wrong number of arguments for 'hset' command")
    found = s._stored(w[0], Hash)
    before = len(found)
    found.update(zip(w[1::2], w[2::2], strict=True))
    return len(found) - before


def _hget(s: Server, w: Words) -> Reply:
    return s._typed(w[0], Hash).get(w[1])


def _hmget(s: Server, w: Words) -> Reply:
    if len(w) < 2:
        raise CommandError("ERR wrong number of arguments for 'hmget' command")
    found = s._typed(w[0], Hash)
    return [found.get(name) for name in w[1:]]


def _hdel(s: Server, w: Words) -> Reply:
    found = s._typed(w[0], Hash)
    count = sum(1 for name in w[1:] if found.pop(name, None) is not None)
    s._drop_empty(w[0])
    return count


def _hkeys(s: Server, w: Words) -> Reply:
    return list(s._typed(w[0], Hash))


def _hlen(s: Server, w: Words) -> Reply:
    return len(s._typed(w[0], Hash))


def _hgetall(s: Server, w: Words) -> Reply:
    return [part for pair in s._typed(w[0], Hash).items() for part in pair]


def _hscan(s: Server, w: Words) -> Reply:
    """Small hashes are given whole, whatever the count."""
    return [b"0", _hgetall(s, w[:1])]


def _hexists(s: Server, w: Words) -> Reply:
    return int(w[1] in s._typed(w[0], Hash))


def _zscan(s: Server, w: Words) -> Reply:
    """Small sets are given whole, as hashes are."""
    rows = s._typed(w[0], ZSet).ordered()
    return [b"0", [part for name, score in rows for part in (name, _score_text(score))]]


def _memory(s: Server, w: Words) -> Reply:
    """MEMORY USAGE, in the only respect that counts: it grows with what is stored. None where nothing is."""
    return 1000 * len(s._typed(w[1], Stream).rows) if w[1] in s.data else None


def _zadd(s: Server, w: Words) -> Reply:
    only_existing = w[1].upper() == b"XX"
    pairs = w[2 if only_existing else 1 :]
    if not pairs or len(pairs) % 2:
        raise CommandError(SYNTAX)
    scores = [_float(text) for text in pairs[::2]]
    found = s._typed(w[0], ZSet)
    if only_existing and not found:
        return 0
    s.data[w[0]] = found
    before = len(found)
    for score, name in zip(scores, pairs[1::2], strict=True):
        if name in found or not only_existing:
            found[name] = score + 0.0  # -0 is stored as 0
    return len(found) - before


def _zrem(s: Server, w: Words) -> Reply:
    found = s._typed(w[0], ZSet)
    count = sum(1 for name in w[1:] if found.pop(name, None) is not None)
    s._drop_empty(w[0])
    return count


def _zscore(s: Server, w: Words) -> Reply:
    return _score_text(s._typed(w[0], ZSet).get(w[1]))


def _zmscore(s: Server, w: Words) -> Reply:
    found = s._typed(w[0], ZSet)
    return [_score_text(found.get(name)) for name in w[1:]]


def _zcard(s: Server, w: Words) -> Reply:
    return len(s._typed(w[0], ZSet))


def _zcount(s: Server, w: Words) -> Reply:
    inside = _between(w[1], w[2])
    return sum(1 for score in s._typed(w[0], ZSet).values() if inside(score))


def _zrange(s: Server, w: Words) -> Reply:
    options = [word.upper() for word in w[3:]]
    if options[:2] == [b"BYSCORE", b"REV"]:
        offset, count, inside = _int(options[3]), _int(options[4]), _between(w[2], w[1])
        found = [row for row in reversed(s._typed(w[0], ZSet).ordered()) if inside(row[1])]
        return [part for name, score in found[offset : offset + count] for part in (name, _score_text(score))]
    low, high, rows = _int(w[1]), _int(w[2]), s._typed(w[0], ZSet).ordered()
    rows = rows[low : len(rows) + high + 1 if high < 0 else high + 1]
    return [part for name, score in rows for part in (name, _score_text(score))]


def _zrangebyscore(s: Server, w: Words) -> Reply:
    inside = _between(w[1], w[2])
    options = [word.upper() for word in w[3:]]
    rows = [row for row in s._typed(w[0], ZSet).ordered() if inside(row[1])]
    if b"LIMIT" in options:
        at = options.index(b"LIMIT")
        offset, count = _int(options[at + 1]), _int(options[at + 2])
        rows = rows[offset : offset + count] if count >= 0 else rows[offset:]
    if b"WITHSCORES" in options:
        return [part for name, score in rows for part in (name, _score_text(score))]
    return [name for name, _ in rows]


def _lpush(s: Server, w: Words) -> Reply:
    found = s._stored(w[0], List)
    for message in w[1:]:
        found.insert(0, message)
        s.pushed.append((w[0], message))
    return len(found)


def _lrange(s: Server, w: Words) -> Reply:
    low, high, found = _int(w[1]), _int(w[2]), s._typed(w[0], List)
    return list(found[low : len(found) + high + 1 if high < 0 else high + 1])


def _xadd(s: Server, w: Words) -> Reply:
    if [w[1].upper(), w[2], w[4]] != [b"MAXLEN", b"~", b"*"] or len(w) % 2 == 0 or len(w) < 7:
        raise CommandError("ERR wrong number of arguments for 'xadd' command")
    most = _int(w[3])
    stream = s._stored(w[0], Stream)
    now = s.now_us() // 1000
    stream.last = (now, 0) if now > stream.last[0] else (stream.last[0], stream.last[1] + 1)
    stream.rows.append((stream.last, list(w[5:])))
    while len(stream.rows) - most >= 100:  # whole nodes only, as the tilde allows
        del stream.rows[:100]
    return b"%d-%d" % stream.last


def _xrevrange(s: Server, w: Words) -> Reply:
    if list(w[2:4]) != [b"-", b"COUNT"] or (w[1] != b"+" and not w[1].startswith(b"(")):
        raise CommandError(SYNTAX)
    rows = s._typed(w[0], Stream).rows
    if w[1] != b"+":
        rows = [row for row in rows if row[0] < _row_id(w[1][1:])]
    return [_row(row) for row in reversed(rows[-_int(w[4]) :])]


def _xlen(s: Server, w: Words) -> Reply:
    return len(s._typed(w[0], Stream).rows)


def rows_after(s: Server, key: bytes, after: bytes, most: int) -> Reply:
    """XREAD's answer; None when there are no rows."""
    low = _row_id(after)
    rows = [row for row in s._typed(key, Stream).rows if row[0] > low][:most]
    return [[key, [_row(row) for row in rows]]] if rows else None


def _xread(s: Server, w: Words) -> Reply:
    """Without its BLOCK: who waits is the connection's matter."""
    options = [word.upper() for word in w]
    at = options.index(b"STREAMS")
    return rows_after(s, w[at + 1], w[at + 2], _int(w[options.index(b"COUNT") + 1]))


def _publish(s: Server, w: Words) -> Reply:
    s.published.append((w[0], w[1]))
    return 0


def _ping(s: Server, w: Words) -> Reply:
    return Status(b"PONG")


def _eval(s: Server, w: Words) -> Reply:
    s.scripts[hashlib.sha1(w[0]).hexdigest().encode()] = w[0]
    return _run(s, w[0], w[1:])


def _evalsha(s: Server, w: Words) -> Reply:
    text = s.scripts.get(w[0].lower())
    if text is None:
        raise CommandError("NOSCRIPT No matching script. Please use EVAL.")
    return _run(s, text, w[1:])


def _run(s: Server, text: bytes, w: Words) -> Reply:
    many = _int(w[0])
    keys, args = w[1 : 1 + many], w[1 + many :]
    if s.observer is None:
        return shared_lua().run(text, keys, args, s.execute)
    seen = s.observer.before(text)
    reply = shared_lua().run(text, keys, args, s.execute)
    s.observer.after(seen, text, keys, args, reply)
    return reply


_COMMANDS: Final[dict[bytes, Callable[[Server, Words], Reply]]] = {
    b"DEL": _del, b"EVAL": _eval, b"EVALSHA": _evalsha, b"FLUSHALL": _flushall, b"HDEL": _hdel, b"HEXISTS": _hexists,
    b"HGET": _hget, b"HGETALL": _hgetall, b"HKEYS": _hkeys, b"HLEN": _hlen, b"HMGET": _hmget, b"HSCAN": _hscan,
    b"HSET": _hset,
    b"INFO": _server_words, b"LPUSH": _lpush, b"LRANGE": _lrange, b"MEMORY": _memory, b"PING": _ping,
    b"PUBLISH": _publish, b"SET": _set, b"TIME": _time, b"TYPE": _type, b"XADD": _xadd, b"XLEN": _xlen,
    b"XREAD": _xread, b"XREVRANGE": _xrevrange, b"ZADD": _zadd, b"ZCARD": _zcard, b"ZCOUNT": _zcount,
    b"ZMSCORE": _zmscore, b"ZRANGE": _zrange, b"ZRANGEBYSCORE": _zrangebyscore, b"ZREM": _zrem, b"ZSCAN": _zscan,
    b"ZSCORE": _zscore,
}  # fmt: skip

_FLOAT: Final = re.compile(rb"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf(inity)?)", re.IGNORECASE)

_HEX: Final = re.compile(rb"[+-]?0x[0-9a-f]+", re.IGNORECASE)


def _float(text: bytes) -> float:
    if _HEX.fullmatch(text):
        return float.fromhex(text.decode())
    if not _FLOAT.fullmatch(text):
        raise CommandError(NOT_FLOAT)
    return float(text)


def _int(text: bytes) -> int:
    if not re.fullmatch(rb"-?\d+", text):
        raise CommandError(NOT_INT)
    return int(text)


def _between(low: bytes, high: bytes) -> Callable[[float], bool]:
    least, most = _bound(low), _bound(high)

    def inside(score: float) -> bool:
        above = score > least[0] if least[1] else score >= least[0]
        return above and (score < most[0] if most[1] else score <= most[0])

    return inside


def _bound(text: bytes) -> tuple[float, bool]:
    exclusive = text.startswith(b"(")
    try:
        return _float(text[1:] if exclusive else text), exclusive
    except CommandError:
        raise CommandError("ERR min or max is not a float") from None


def _score_text(score: float | None) -> bytes | None:
    if score is None:
        return None
    if math.isinf(score):
        return b"inf" if score > 0 else b"-inf"
    return b"%.17g" % score


def _row_id(text: bytes) -> RowId:
    first, _, second = text.partition(b"-")
    return _int(first), _int(second or b"0")


def _row(row: tuple[RowId, list[bytes]]) -> Reply:
    return [b"%d-%d" % row[0], list(row[1])]
