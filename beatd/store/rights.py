"""The rights that a user of Redis needs for beatd: which they are, and which of them are missing.

Redis says that something was denied, but seldom what. From version 7 on a script may ask it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from beatd.errors import AccessDenied
from beatd.store.keys import Keys
from beatd.store.scripts import Arg

# What the daemon and the commands send, and what the scripts run. A test runs a daemon with just these.
NEEDED: Final = (
    *("eval", "evalsha", "ping", "subscribe", "time", "type"),
    *("hget", "hgetall", "hmget", "hlen", "hscan", "hset", "hdel"),
    *("zadd", "zcard", "zcount", "zmscore", "zrange", "zrangebyscore", "zrem", "zscore"),
    *("lpush", "xread", "xrevrange"),
)
# Firing goes on without these: rows for people, wake-ups that only save time, upkeep, and what kind of server it is.
OPTIONAL: Final = ("xadd", "publish", "info", "config|get", "hexists", "zscan", "xlen", "memory|usage")
# What only `beatd doctor` and `history` ask beside; they say so where they may not.
LOOKS: Final = ("llen", "lindex", "rpop", "xinfo|stream")
_CHANNEL: Final = "ctl"

# ARGV: commands, their words parted by FS. Reply: the numbers of those that are denied; nothing before Redis 7.
_ASK: Final = """
if not redis.acl_check_cmd then return false end
local denied = {}
for i, text in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(text .. '\\28', '([^\\28]*)\\28') do words[#words + 1] = word end
  local known, allowed = pcall(redis.acl_check_cmd, unpack(words))
  if known and not allowed then denied[#denied + 1] = i end
end
return denied
"""
# What follows a command's name where that is not one key and a '0'. K stands for a key of beatd.
_SHAPES: Final[dict[str, tuple[str, ...]]] = {
    **dict.fromkeys(("ping", "time", "info"), ()),
    **dict.fromkeys(("hgetall", "hlen", "zcard", "type", "xlen", "memory|usage"), ("K",)),
    **dict.fromkeys(("zcount", "zrangebyscore", "zrange"), ("K", "0", "1")),
    **dict.fromkeys(("zadd", "hset"), ("K", "0", "1")),
    "eval": ("return 1", "0"), "evalsha": ("0", "0"), "subscribe": ("C",), "publish": ("C", "0"),
    "xread": ("STREAMS", "K", "0"), "xrevrange": ("K", "+", "-"), "xadd": ("K", "*", "0", "1"),
    "config|get": ("save",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Missing:
    """What a user may not do, in a few words each: of what beatd needs, and of what it can do without."""

    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rights:
    """The rights for one namespace and some queues (their names; a queue of each priority begins with one)."""

    keys: Keys
    queues: tuple[str, ...] = ("celery",)
    user: str = "default"

    def also(self, queue_keys: Iterable[str]) -> "Rights":
        """With more queues."""
        more = dict.fromkeys(key for key in queue_keys if not key.startswith(self.keys.tag))
        return Rights(self.keys, tuple(dict.fromkeys((*self.queues, *more))), self.user)

    def acl_line(self) -> str:
        """The command that gives the user what beatd needs, and nothing else."""
        places = [f"~{self.keys.tag}:*", *(f"~{queue}*" for queue in self.queues), f"&{self.keys.key(_CHANNEL)}"]
        commands = [f"+{name}" for name in (*NEEDED, *OPTIONAL)]
        return " ".join(["ACL SETUSER", self.user, *(f"'{place}'" for place in places), *commands])

    def question(self) -> list[Arg]:
        """A command that asks the server for all of them at once. It can be denied itself."""
        return ["EVAL", _ASK, 0, *("\x1c".join(words) for _, words in self._asked())]

    def missing(self, reply: Any) -> Missing:
        """The answer to the question; nothing where the server does not know it."""
        asked = [what for what, _ in self._asked()]
        denied = [asked[number - 1] for number in reply or ()]
        own = self._own_keys()
        if own in denied:  # then each command with a key looks denied: one thing at a time
            denied = [what for what in denied if "K" not in _SHAPES.get(what, ("K",)) or " " in what]
        needed = tuple(what for what in denied if what not in OPTIONAL)
        return Missing(needed, tuple(what for what in denied if what in OPTIONAL))

    def denial(self, missing: Missing, place: str, said: str) -> AccessDenied:
        """The error that says what is missing and what to type."""
        what = f"the user {self.user!r} may not use {', '.join(missing.needed)}" if missing.needed else said
        return AccessDenied(f"{place} refuses a right: {what}", hint=f"what beatd needs is given by: {self.acl_line()}")

    def _own_keys(self) -> str:
        return f"the keys {self.keys.tag}:*"

    def _asked(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What each question is about, and a command that is allowed only with it.

        Keys are asked for with EVAL: whoever names a key in a script must be allowed to read and to write it.
        """
        stand_ins = {"K": self.keys.key("due"), "C": self.keys.key(_CHANNEL)}
        for name in (*NEEDED, *OPTIONAL):
            shape = _SHAPES.get(name, ("K", "0"))
            yield name, (*name.split("|"), *(stand_ins.get(word, word) for word in shape))
        yield self._own_keys(), ("eval", "return 1", "1", f"{self.keys.tag}:*")
        for queue in self.queues:
            yield f"the key {queue}", ("eval", "return 1", "1", queue)


def keys_in(words: Sequence[Arg]) -> list[str]:
    """The keys that a call of a script names; of another command nothing."""
    if str(words[0]).upper() not in ("EVAL", "EVALSHA"):
        return []
    return [str(key) for key in words[3 : 3 + int(words[2])]]
