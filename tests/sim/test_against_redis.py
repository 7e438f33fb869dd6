"""The simulation's Redis against a real one: random commands and scripts, equal replies, equal state at the end."""

import itertools
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
import redis

from beatd.store.connect import RedisAddress, open_client
from beatd.store.keys import FORMAT, Keys
from beatd.store.scripts import load_script
from tests.sim.lua import shared_lua
from tests.sim.redis import Hash, List, Server, Stream, Text, ZSet
from tests.sim.replies import Failure
from tests.support.servers import RedisServer

KEYS = Keys("sim")
NAMES = ["a", "b", "c", "d \u00e9", "x|y"]
QUEUES = ["celery", "batch"]
ODD_SCORES = ["0", "-0", "1.5", "-1.5", "inf", "-inf", "1e300", "-1e20", "9007199254740993", "0x10", "nan", "x", ""]
ODD_TEXTS = ["", "x", "{}", "[]", '{"paused":{"at":"1"},"owed":"-5"}', '{"owed":1e999}', '{"a":[1,[],null]}',
             "{", "nan",
             '{"invalid":{"why":"x/y\\u00e9\\n"},"owed":"12"}', "12", "-12", "1|2|3|4", "5|6|id|",
             "a\x1f5\x1fid-a\x1fq\x1f\x1f\x1f0\x1fb\x1f\x1f1",
             "b\x1f7\x1fid-b\x1fq\x1f9\x1f3\x1f1\x1fb\x1ftrigger\x1f1",
             "open|5|1|7||{}", "open|5|1|7|x|", "q1\x1fq2", "withdrawn|0|0|0|paused|{}",
             '{"until":"1700000001000","since":"1700000000000"}', '{"after":"1700000000000"}']  # fmt: skip
HASHES = ["def", "rev", "out", "hold", "gone", "last", "jit", "left", "file", "meta", "req", "asked",
          "ob", "obm"]  # fmt: skip


@pytest.fixture(autouse=True)
def _a_server_of_the_kind_that_is_imitated(clean_redis: RedisServer) -> None:
    """The simulation prints numbers, and orders keys of JSON objects, as Redis 7.0 does; newer servers do otherwise."""
    with clean_redis.client() as client:
        info: Any = client.info("server")
    if info.get("server_name", "redis") != "redis" or tuple(map(int, info["redis_version"].split("."))) >= (7, 2):
        pytest.skip(f"imitated is Redis 7.0, to the last digit; this is {info.get('server_name', 'redis')}")


class Calls:
    """Random calls that often hit, because they look at what is stored."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server = server
        self.random = random.Random(seed)
        self.now = 1_700_000_000_000 + seed
        self.nonces = 0

    def next(self) -> list[list[bytes]]:
        """The words of some commands to be sent one after another."""
        r = self.random
        kinds = [self.put] * 5 + [self.plan] * 5 + [self.fire] * 8 + [self.remove] * 2 + [self.lease] * 3
        kinds += [self.request] * 3 + [self.serve] * 4 + [self.tidy] + [self.settle] * 5 + [self.done] * 3
        kinds += [self.pause] * 3 + [self.resume] * 2 + [self.reset] + [self.applied]
        kinds += [self.raw] * 2 + [self.read] * 2 + [self.clock] * 4
        return [[_raw(word) for word in words] for words in r.choice(kinds)()]

    def clock(self) -> list[list[Any]]:
        self.now += self.random.choice([0, 1, 7, 1000, 1000, 5000, -300])
        return [["HSET", "clock", "s", self.now // 1000, "us", self.now % 1000 * 1000]]

    def put(self) -> list[list[Any]]:
        r, names = self.random, self.names()
        revs = []
        for name in names:
            self.nonces += 1
            revs.append(
                r.choice(
                    [f"n{self.nonces}.f1", f"n{self.nonces}.f2", f"n{self.nonces}.f2", self.field("rev", name), ""]
                )
            )
        columns: list[list[Any]] = [
            names,
            revs,
            [r.choice(["*", "*", "*", "", self.field("rev", name)]) for name in names],
            [r.choice(['{"task":"t"}', "[1,2]", "\u00fc"]) for _ in names],
            [r.choice([0, 0, 100, 100, "x"] if r.random() < 0.1 else [0, 0, 100]) for _ in names],
            [r.choice(["keep", "", "3", "1"]) for _ in names],
            [r.choice(["1", "1", "0"]) for _ in names],
            [r.choice(["", "", "h1"]) for _ in names],
        ]
        args = [FORMAT, '{"client":"x"}', 1000, 1000, len(names), *itertools.chain.from_iterable(columns)]
        if r.random() < 0.3:
            old = r.choice([*NAMES, "gone"])
            args += [1, old, r.choice(["*", "*", self.field("rev", old)]), r.choice([0, 1, 1, len(names), 9, "x"])]
        if r.random() < 0.3:
            args += ([] if len(args) > 5 + 8 * len(names) else [0]) + self.holder()
        return [self.script("put", args)]

    def pause(self) -> list[list[Any]]:
        r, names = self.random, self.names()
        until = r.choice(["", "", self.now + 1000, self.now + 7, self.now, "x"])
        args = [FORMAT, "{}", 1000, 1000, "me", r.choice(["", "why \u00e9"]), until, len(names), *names]
        return [self.script("pause", [*args, *map(self.nonce, names)])]

    def resume(self) -> list[list[Any]]:
        names = self.names()
        args = [FORMAT, "{}", 1000, 1000, self.random.choice([0, 1]), len(names), *names]
        return [self.script("resume", [*args, *map(self.nonce, names)])]

    def reset(self) -> list[list[Any]]:
        counted = [name for name in NAMES if self.field("left", name)]
        names = self.names() if not counted or self.random.random() < 0.2 else [self.random.choice(counted)]
        runs = [self.random.choice([1, 3, 3, 0]) for _ in names]
        return [self.script("reset", [FORMAT, "{}", 1000, 1000, len(names), *names, *map(self.nonce, names), *runs])]

    def nonce(self, name: str) -> str:
        """A fresh one; now and then the one that stands, or none."""
        self.nonces += 1
        stands = self.field("rev", name).split(".")[0]
        return self.random.choice([f"n{self.nonces}"] * 8 + [stands, "a.b"])

    def remove(self) -> list[list[Any]]:
        names = self.names()
        expected = [self.random.choice(["*", "*", self.field("rev", name)]) for name in names]
        fence = self.holder() if self.random.random() < 0.3 else []
        return [self.script("remove", [FORMAT, "{}", 1000, len(names), *names, *expected, *fence])]

    def applied(self) -> list[list[Any]]:
        r = self.random
        files, at = r.choice(["", "h1", "h2"]), r.choice([self.now, 0, "x"])
        step, mark = r.choice(["look", "begin", "done", "done", "same", "x"]), r.choice(["m1", "m2"])
        return [self.script("applied", [*self.holder(), FORMAT, step, mark, files, at, "i"])]

    def plan(self) -> list[list[Any]]:
        r, names = self.random, self.names()
        scores = [self.score(name) for name in names]
        verdicts = [r.choice([str(self.now + r.randrange(-2000, 2000)), str(self.now), "F", "I", "x"]) for _ in names]
        details = [r.choice(['{"why":"x"}', '{"why":"x"}', "x"]) if v == "I" else "" for v in verdicts]
        columns = [
            names,
            [self.rev(n) for n in names],
            scores,
            verdicts,
            details,
            [r.choice(["", "past:1:2:3"]) for _ in names],
        ]
        return [
            self.script("plan", [*self.holder(), FORMAT, 1000, len(names), *itertools.chain.from_iterable(columns)])
        ]

    def batch(self) -> list[Any]:
        """The arguments of a fire."""
        r, names = self.random, self.names()
        scores = [self.score(name) for name in names]
        nexts, terms, messages = [], [], []
        for name, score in zip(names, scores, strict=True):
            base = int(score) if score.isdigit() else self.now
            nexts.append(r.choice([str(base + 1000), str(base + 1000), "F", score, "1x"]))
            count = r.choice([0, 1, 1, 1, 2])
            jitter = int(text) if (text := self.field("jit", name)).isdigit() else 0
            slots = ",".join(str(base - jitter + 10 * i) for i in range(count))
            slots = r.choice(["", slots]) if count == 1 else slots
            left = self.field("left", name)
            left_after = str(int(left) - count) if left.isdigit() and r.random() < 0.9 else r.choice(["", "", "0"])
            queue = r.choice([1, 2]) if count else 0
            terms.append(
                f"{queue}|{count}|{r.choice(['', '', '60000', '0'])}|{left_after}|{slots}|"
                f"{r.choice(['', 'missed:1:2:3'])}"
            )
            messages += [f"m-{name}-{i}" for i in range(count)]
        if r.random() < 0.05:
            terms[0] = r.choice(["", "x", "3|1|||| ", "1|1||||x|y"])
        head = [*self.holder(), FORMAT, 1000, 1000, len(names), len(messages)]
        ids = [f"id-{name}" for name in names]
        return [*head, *names, *[self.rev(n) for n in names], *scores, *nexts, *ids, *terms, *messages]

    def fire(self) -> list[list[Any]]:
        return [self.script("fire", self.batch(), QUEUES)]

    def settle(self) -> list[list[Any]]:
        args = self.batch()
        names, messages = args[7 : 7 + args[5]], args[len(args) - args[6] :]
        heads = [self.head(next((name for name in names if f"-{name}-" in m), "a")) for m in messages]
        return [self.script("settle", [*args, *heads, self.random.choice(["11", "11", "11", "10", "", "1x"])])]

    def head(self, name: str) -> str:
        """Of an intent; now and then one that can't be read, or of another entry."""
        r = self.random
        fields = [name, r.choice([5, self.now]), f"id-{name}", "q", r.choice(["", 9]), r.choice(["", 3]), 0, "b", "", 7]
        if r.random() < 0.1:
            fields[r.randrange(10)] = r.choice(["", "x", "-1", "b", "\n"])
        return "\x1f".join(map(str, fields))

    def done(self) -> list[list[Any]]:
        r = self.random
        ids = [f"{r.randrange(6)}-{r.choice([1, 1, 2, 3, 1001, 1002])}" for _ in range(r.randint(1, 3))]
        ids += [r.choice(NAMES)]  # where odd texts lie
        stored = [self.field("ob", key) for key in ids]
        outcome = r.choice("DDUWSSx")
        proofs = [value if outcome == "S" else [*value.split("\x1f"), "", "", ""][2] for value in stored]
        holder = self.holder() if outcome == "U" else ["", ""]
        whys = [r.choice(["", "why \u00e9"]) for _ in ids]
        args = [outcome, *holder, FORMAT, 1000, r.choice(["", "{}"]), len(ids), *ids, *proofs, *whys]
        return [self.script("done", args)]

    def request(self) -> list[list[Any]]:
        r, names = self.random, self.names()
        ids = [self.request_id() for _ in names]
        cursors = [r.choice([0, self.now - 9000, "x"] if r.random() < 0.1 else [0, self.now - 9000]) for _ in names]
        before = [r.choice(["", "", self.field("req", key)]) for key in ids]
        texts = [r.choice(["{}", '{"kind":"trigger","\u00e9":[]}', "x"] if r.random() < 0.1 else ["{}"]) for _ in names]
        args = [FORMAT, "{}", 1000, len(names), *ids, *names, *cursors, *before, *texts]
        return [self.script("request", args)]

    def serve(self) -> list[list[Any]]:
        r, key = self.random, self.request_id()
        stands = [*self.field("req", key).split("|"), "", "", ""][1]
        expected = int(stands) if stands.isdigit() else 0
        named = [name for name in NAMES if key in self.field("asked", name).split("\x1f")]
        name = r.choice([*named, *named, *named, *NAMES[:1]])
        slots = [expected + r.choice([1, 1000, self.now]) * (i + 1) for i in range(r.choice([0, 1, 1, 2]))]
        outcome, cause = r.choice(["open", "done", "done", "refused", "x"]), r.choice(["trigger", "backfill"])
        args = [*self.holder(), FORMAT, 1000, key, name, self.rev(name), expected, max([expected, *slots]), outcome]
        args += [r.choice(["", "why \u00e9"]), cause, "t", ",".join(map(str, slots)), *[f"m{slot}" for slot in slots]]
        if r.random() < 0.4:
            return [self.script("serve", [*args, *[self.head(name) for _ in slots]])]
        return [self.script("serve", args, [r.choice(QUEUES)] if slots else [])]

    def tidy(self) -> list[list[Any]]:
        key, name = self.request_id(), self.random.choice(NAMES)
        value, what = self.random.choice([self.field("req", key)] * 3 + ["", "x"]), self.random.choice("FLOx")
        return [self.script("tidy", [*self.holder(), FORMAT, 1, key, name, value, what])]

    def request_id(self) -> str:
        """One of few, so that they are met again."""
        return f"q{self.random.randrange(12)}"

    def lease(self) -> list[list[Any]]:
        r = self.random
        owner = r.choice(["o1", "o2", ""])
        return [
            r.choice(
                [
                    self.acquire(owner),
                    self.acquire(owner),
                    self.script("renew", [*self.holder(), FORMAT]),
                    self.script("release", [*self.holder(), FORMAT, KEYS.key("ctl")]),
                    self.script("renew", ["1", "nobody", r.choice([FORMAT, 2])]),
                ]
            )
        ]

    def acquire(self, owner: str) -> list[Any]:
        r, seen = self.random, self.lease_field("rn")
        ttl, still = r.choice([3000, 6000, 6000, 10]), r.choice(["0", "1"])
        return self.script("acquire", [owner, ttl, seen, still, FORMAT, "h:1", "inc", 1, ""])

    def raw(self) -> list[list[Any]]:
        r, name = self.random, self.random.choice(NAMES)
        key = KEYS.key(r.choice(HASHES))
        return [
            r.choice(
                [
                    ["ZADD", KEYS.key("due"), r.choice(ODD_SCORES), name],
                    ["ZADD", KEYS.key("due"), str(self.now - 5), name],
                    ["ZREM", KEYS.key("due"), name],
                    ["HSET", key, name, r.choice(ODD_TEXTS)],
                    ["HDEL", key, name],
                    ["DEL", KEYS.key(r.choice(["jit", "left", "out", "celery", "last"]))],
                    ["DEL", r.choice(QUEUES)],
                    ["SET", r.choice(QUEUES), "x"],
                ]
            )
        ]

    def read(self) -> list[list[Any]]:
        due, r = KEYS.key("due"), self.random
        bounds = [r.choice(["-inf", "0", "(0", "5", "+inf", str(self.now), "(x", "1e3"]) for _ in range(2)]
        return [
            ["ZRANGEBYSCORE", due, *bounds, "WITHSCORES", "LIMIT", r.choice([0, 1]), r.choice([1, 2, 500])],
            ["ZRANGE", due, *bounds, "BYSCORE", "REV", "LIMIT", r.choice([0, 1]), r.choice([1, 2, 500]), "WITHSCORES"],
            ["ZCOUNT", due, *bounds],
            ["ZMSCORE", due, *NAMES],
            ["ZCARD", due],
            ["ZRANGE", due, r.choice([0, 1]), r.choice([1, 5]), "WITHSCORES"],
            ["HMGET", KEYS.key(r.choice(HASHES)), *NAMES],
            ["HLEN", KEYS.key("rev")],
            ["HLEN", due],
            ["TYPE", r.choice([due, *QUEUES])],
            ["XREVRANGE", KEYS.key("none"), "+", "-", "COUNT", 1],
            ["XREVRANGE", KEYS.key("none"), "(5-1", "-", "COUNT", 1],
            ["XREAD", "COUNT", 2, "STREAMS", r.choice([KEYS.key("none"), due]), "0-0"],
        ]

    def names(self) -> list[str]:
        r = self.random
        return r.sample(NAMES, r.randint(1, 3)) + (["a", "a"] if r.random() < 0.03 else [])

    def rev(self, name: str) -> str:
        return self.field("rev", name) if self.random.random() < 0.95 else "n0.f0"

    def score(self, name: str) -> str:
        found = self.server.execute([b"ZSCORE", KEYS.key("due").encode(), name.encode()])
        text = found.decode() if isinstance(found, bytes) else "5"
        return text if self.random.random() < 0.95 else str(self.now)

    def holder(self) -> list[str]:
        return [self.lease_field("epoch"), self.lease_field("owner")] if self.random.random() < 0.95 else ["1", "o3"]

    def lease_field(self, name: str) -> str:
        return self.field("lease", name) or "0"

    def field(self, kind: str, name: str) -> str:
        found = self.server.execute([b"HGET", KEYS.key(kind).encode(), name.encode()])
        return found.decode() if isinstance(found, bytes) else ""

    def script(self, name: str, args: list[Any], more: Sequence[str] = ()) -> list[Any]:
        """The real text, but for its clock, which is a key here: both servers must read the same time."""
        script = load_script(name)
        text = script.text(shebang=self.random.random() < 0.5).replace(
            "redis.call('TIME')", "redis.call('HMGET', 'clock', 's', 'us')"
        )
        keys = [*map(KEYS.key, script.keys), *more]
        return ["EVAL", text, len(keys), *keys, *args]


def _raw(word: Any) -> bytes:
    return word.encode() if isinstance(word, str) else str(word).encode()


def _shown(reply: Any) -> Any:
    if isinstance(reply, Failure):
        return _error(reply.text)
    if isinstance(reply, redis.ResponseError):
        return _error(str(reply))
    if isinstance(reply, list):
        return [_shown(item) for item in reply]
    return bytes(reply) if isinstance(reply, bytes) else reply


def _error(text: str) -> str:
    """Our own refusals in full; of the server's own, whose first word redis-py takes away, only that there is one."""
    ours = ("FENCED", "FORMAT", "SHARDS", "BADTYPE", "MALFORMED", "FULL")
    return text if text.startswith(ours) else "error"


def _state_here(server: Server) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in server.data.items():
        if isinstance(value, Hash):
            found[key.decode()] = {name: _json(text) for name, text in value.items()}
        elif isinstance(value, ZSet):
            found[key.decode()] = dict(value)
        elif isinstance(value, List):
            found[key.decode()] = list(value)
        elif isinstance(value, Stream):
            found[key.decode()] = [list(fields) for _, fields in value.rows]
        elif isinstance(value, Text):
            found[key.decode()] = bytes(value)
    return found


def _state_there(client: redis.Redis) -> dict[str, Any]:
    def run(*words: Any) -> Any:
        return client.execute_command(*words)

    found: dict[str, Any] = {}
    for key in run("KEYS", "*"):
        kind = run("TYPE", key)
        if kind == b"hash":
            flat = run("HGETALL", key)
            found[key.decode()] = {name: _json(text) for name, text in zip(flat[::2], flat[1::2], strict=True)}
        elif kind == b"zset":
            flat = run("ZRANGE", key, 0, -1, "WITHSCORES")
            found[key.decode()] = {name: float(score) for name, score in zip(flat[::2], flat[1::2], strict=True)}
        elif kind == b"list":
            found[key.decode()] = run("LRANGE", key, 0, -1)
        elif kind == b"stream":
            found[key.decode()] = [fields for _, fields in run("XRANGE", key, "-", "+")]
        else:
            found[key.decode()] = run("GET", key)
    return found


def _json(text: bytes) -> Any:
    """Objects are written by cjson in the order of a Lua table: equal by value is equal enough."""
    try:
        return json.loads(text) if text[:1] == b"{" else text
    except ValueError:
        return text


@pytest.mark.parametrize("seed", range(40))
def test_random_commands_and_scripts_mean_the_same_as_on_a_real_server(seed: int, clean_redis: RedisServer) -> None:
    server = Server(lambda: 0)
    calls = Calls(server, seed)
    sent: list[list[bytes]] = []
    here: list[Any] = []
    first = [[_raw(word) for word in words] for words in [*calls.clock(), calls.acquire("o1")]]
    # One after another: each call is made by what the ones before it have left.
    for words in itertools.chain(first, (words for _ in range(120) for words in calls.next())):
        sent.append(words)
        here.append(_shown(server.execute(words)))
    client = open_client(RedisAddress(clean_redis.url, 10.0))
    try:
        pipe = client.pipeline(transaction=False)
        for words in sent:
            pipe.execute_command(*words)
        there = [_shown(reply) for reply in pipe.execute(raise_on_error=False)]
        for number, (words, ours, theirs) in enumerate(zip(sent, here, there, strict=True)):
            assert ours == theirs, (number, words)
        assert _state_here(server) == _state_there(client)
    finally:
        client.close()


SNIPPETS = [
    "return {1, 2.9, -2.9, 'x', false, true, nil, 4}",
    "return redis.error_reply('FENCED it is')",
    "return redis.error_reply('lower case')",
    "return {ok = 'FINE'}",
    "return redis.call('HSET', 'k', 'f', 1e15)",
    "redis.call('HSET', 'k', 'f', 0.1); return redis.call('HGET', 'k', 'f')",
    "redis.call('HSET', 'k', 'f', 12345678901234567); return redis.call('HGET', 'k', 'f')",
    "redis.call('SET', 'k', 'v'); return redis.call('HGET', 'k', 'f')",
    "redis.call('SET', 'k', 'v'); local e = redis.pcall('HGET', 'k', 'f'); return {type(e), e.err ~= nil}",
    "return unknown_name",
    "unknown_name = 1",
    "return tostring(1763656894123456)",
    "return string.format('%.0f', 1763656894123456)",
    "return cjson.encode(cjson.decode('[]'))",
    'return cjson.encode(cjson.decode(\'{"a":{},"b":null}\').b)',
    "return cjson.encode(cjson.decode('[12345678901234567,1.5,1e400]')) ",
    "return cjson.encode(cjson.decode('[12345678901234567,1.5,\"\\\\u00e9\\\\ud83d\\\\ude00/\"]'))",
    "return {(pcall(cjson.decode, '[1,]'))}",
    "return #cjson.decode('[1,null,3]')",
    "return cjson.encode({[1] = 1, [30] = 2})",
    "return cjson.encode({[1] = 1, [3] = 2})",
    "return cjson.encode({[1.5] = 1})",
    "return cjson.encode('\\1\\127\\195\\169')",
    "return cjson.decode('NaN') ~= cjson.decode('NaN')",
    'return cjson.decode(\'{"a":"\\\\ud800"}\').a',
    "return cjson.decode('\"a\\tb\"')",
    "return cjson.decode('12')",
    "return redis.call('PING')",
    "return KEYS[1] .. ARGV[1]",
    "return unpack({1, 2, 3})",
    "return {string.match('a1|b', '^(%a)(%d)|')}",
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_lua_means_the_same_as_on_a_real_server(snippet: str, clean_redis: RedisServer) -> None:
    server = Server(lambda: 0)
    words = ["EVAL", snippet, "1", "key", "arg"]
    here = _shown(server.execute([word.encode() for word in words]))
    client = open_client(RedisAddress(clean_redis.url, 10.0))
    try:
        there = _shown(client.execute_command(*words))
    except redis.ResponseError as error:
        there = _shown(error)
    finally:
        client.close()
    assert here == there
    assert shared_lua() is shared_lua()
