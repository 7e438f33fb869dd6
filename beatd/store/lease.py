"""The lease: who may fire. A record without a TTL, judged by the server's clock, fenced by (epoch, owner)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from beatd.core.registration import Applied
from beatd.core.term import Candidacy, Held, Term
from beatd.store.keys import FORMAT, SHARDS, Keys
from beatd.store.link import Link
from beatd.store.scripts import Arg, Call, call
from beatd.store.spoilt import whole

CHANNEL: Final = "ctl"


@dataclass(frozen=True, slots=True)
class RedisLease:
    """The lease of one namespace over one link."""

    link: Link
    keys: Keys

    async def acquire(self, candidacy: Candidacy) -> Term | Held:
        """Asks once. Raises NewerFormat when this program is too old to lead, Unreachable without an answer."""
        granted, epoch, owner, until, now, rn, seq, inc, host, newer = await self.link.run(
            acquire_call(self.keys, candidacy)
        )
        if granted:
            return Term(int(epoch), owner.decode(), int(until), int(now), int(seq), inc.decode())
        return Held(int(epoch), host.decode(errors="replace"), int(until), int(now), rn.decode(), newer.decode())

    async def renew(self, term: Term) -> Term:
        """Prolongs the term. Raises LeaseLost when it is not ours any more."""
        args: list[Arg] = [term.epoch, term.owner, FORMAT]
        until, now, _, seq, inc = await self.link.run(call("renew", self.keys, args))
        return Term(term.epoch, term.owner, int(until), int(now), int(seq), inc.decode())

    async def release(self, term: Term) -> None:
        """Gives the lease back and wakes the standbys. Raises LeaseLost when it is not ours any more."""
        args: list[Arg] = [term.epoch, term.owner, FORMAT, self.keys.key(CHANNEL)]
        await self.link.run(call("release", self.keys, args))

    async def announce(self, instance: str, record: str) -> tuple[Applied, str]:
        """Says that this instance is alive, and what files it has; gives whose are applied, and the version of the
        zone data that the timetable was planned with.
        """
        commands = (("HSET", self.keys.key("inst"), instance, record), (*applied_command(self.keys), "tzdata"))
        *applied, zone_data = (await self.link.request(*commands))[1]
        return applied_of(applied), (zone_data or b"").decode(errors="replace")

    async def retire(self, instance: str) -> None:
        """Takes this instance off the list of those alive."""
        await self.link.request(("HDEL", self.keys.key("inst"), instance))

    async def close(self) -> None:
        """Closes the connection."""
        await self.link.close()


def acquire_call(keys: Keys, candidacy: Candidacy) -> Call:
    """The call of one candidacy."""
    c = candidacy
    stood_still = "1" if c.stood_still else "0"
    args: list[Arg] = [c.owner, c.ttl_ms, c.seen_rn, stood_still, FORMAT, c.host, c.incarnation, SHARDS, c.zone_data]
    return call("acquire", keys, args)


def applied_command(keys: Keys) -> Sequence[Arg]:
    """Asks whose files are applied."""
    return ("HMGET", keys.key("meta"), "file", "file_at", "file_by")


def applied_of(reply: Sequence[bytes | None]) -> Applied:
    """What that command says."""
    found, at, by = reply
    return Applied(
        (found or b"").decode(errors="replace"), whole(at) or 0, (by or b"").decode(errors="replace"), found == b""
    )
