"""The elector: keeps this instance a candidate for ever, and a leader as long as the lease says so.

States: candidate -> leader (acquire granted) -> candidate (renewal refused, or trust ran out, or a fire was fenced, or
it can't fire: then it gives the lease back and sits out for a while, so that another may try).
Losing the lease never ends the process, and without a term there is no path that fires.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from beatd.core.registration import Applied
from beatd.core.term import Candidacy, Held, LeaseTiming, Term, trusted_until, wait_before_next_bid
from beatd.daemon.ports import Clock, EventSink, LeasePort, ReleasePort, Stores
from beatd.daemon.together import run_together, wait_for_event
from beatd.daemon.trouble import Trouble
from beatd.daemon.vitals import Vitals
from beatd.errors import AccessDenied, BeatdError, ConfigInvalid, LeaseLost

LONGEST_OUT_S: Final = 300.0
ASK_S: Final = 1.0  # so often somebody asks Redis at least: whether it answers is known within two seconds


class SawApplied(Protocol):
    """Hears whose files are stored."""

    def __call__(self, applied: Applied, *, leads: bool) -> None:
        """``leads``: whether this instance does."""


class Elector:
    """Holds the term. Others read ``term``, wait for ``changed``, and report what they learn about it."""

    def __init__(
        self,
        stores: Stores,
        timing: LeaseTiming,
        clock: Clock,
        events: EventSink,
        *,
        instance: str,
        zone_data: str,
        vitals: Vitals,
        record: Callable[[Term | None], str],
        saw_applied: SawApplied,
        new_id: Callable[[], str],
        random_source: random.Random,
    ) -> None:
        self.term: Term | None = None
        self.changed = asyncio.Event()
        self.others_met = 0  # answers that somebody else holds the lease
        self._stores = stores
        self._timing = timing
        self._clock = clock
        self._events = events
        self._instance = instance
        self._zone_data = zone_data
        self._vitals = vitals
        self._record = record
        self._saw_applied = saw_applied
        self._new_id = new_id
        self._random = random_source
        self._trusted_until = 0.0
        self._look = asyncio.Event()
        self._trouble = Trouble(events, random_source, clock.monotonic)
        self._met_redis = False
        self._unfit: str | None = None
        self._sits_out = timing.ttl
        self._bids_from = 0.0  # monotonic
        self._yielded_to = ""

    @property
    def trusted_until(self) -> float:
        """Until when (monotonic) the term may be trusted; in the past without one."""
        return self._trusted_until if self.term is not None else 0.0

    def prolonged(self, term: Term, sent: float) -> None:
        """A fire sent at that monotonic instant was accepted: the script renewed the lease with it."""
        if self.term is term:
            self._trusted_until = max(self._trusted_until, trusted_until(sent, self._timing))

    def lost(self, term: Term, why: str) -> None:
        """Somebody learnt that this term is over."""
        if self.term is term:
            self._events.emit("lease_lost", epoch=term.epoch, reason=why)
            self._become(None)
            self._look.set()

    def announce(self) -> None:
        """What this instance says of itself has changed."""
        self._look.set()

    def give_up(self, term: Term, why: str) -> None:
        """This instance renews but can't fire. The lease goes back, and each time it sits out for longer."""
        if self.term is term:
            self._unfit = why
            self._look.set()

    def fit(self) -> None:
        """This instance can fire."""
        self._sits_out = self._timing.ttl

    async def run(self) -> None:
        """Runs for ever: connects, campaigns, renews; backs off while Redis is away.

        Raises AccessDenied, and ConfigInvalid for a server that is not safe, only before Redis has ever let it in: a
        wrong password at the start is for a human.
        """
        while True:
            try:
                await self._serve()
            except BeatdError as error:
                if isinstance(error, AccessDenied | ConfigInvalid) and not self._met_redis:
                    raise
                self._vitals.trouble = error
                await self._hold_out(self._trouble.met(error))

    async def resign(self) -> None:
        """Leaves, over a fresh connection: the lease is released if it is held. Never raises a BeatdError."""
        term, self.term = self.term, None
        failed: BeatdError | None = None
        try:
            lease = await self._stores.open_lease(in_haste=True)
            try:
                if term is not None:
                    await lease.release(term)
                await lease.retire(self._instance)
            finally:
                await lease.close()
        except BeatdError as error:
            failed = error
        if term is not None:
            self._events.emit("leader_released", epoch=term.epoch, error=failed and failed.message)

    async def _serve(self) -> None:
        lease = await self._stores.open_lease()
        try:
            release = await self._stores.open_release()
            try:
                await run_together(self._campaign(lease), self._listen(release))
            finally:
                await release.close()
        finally:
            await lease.close()

    async def _listen(self, release: ReleasePort) -> None:
        while True:
            if await release.wait(min(ASK_S, self._timing.renewal)):
                self._look.set()

    async def _campaign(self, lease: LeasePort) -> None:
        watch = _Watch(self._clock, self._timing)
        if self.term is not None:  # after a cut connection nobody knows how much of the lease is left
            await self._renew(lease, self.term)
        while True:
            if self.term is None:
                await self._bid(lease, watch)
                continue
            term = self.term
            await wait_for_event(self._look, self._timing.renewal * self._random.uniform(0.9, 1.0))
            if self.term is not term:
                continue
            if self._unfit is not None:
                await self._stand_down(lease, term, self._unfit)
            else:
                await self._renew(lease, term)

    async def _stand_down(self, lease: LeasePort, term: Term, why: str) -> None:
        try:
            await lease.release(term)
        except LeaseLost as error:
            self.lost(term, error.message)
            return
        self._events.emit("leader_released", epoch=term.epoch, reason=why)
        self._bids_from = self._clock.monotonic() + self._sits_out
        self._sits_out = min(LONGEST_OUT_S, 2 * self._sits_out)
        self._vitals.unfit = why
        self._become(None)

    async def _bid(self, lease: LeasePort, watch: "_Watch") -> None:
        if (out := self._bids_from - self._clock.monotonic()) > 0:
            await self._announce(lease, None)
            await asyncio.sleep(min(out, self._timing.renewal))
            return
        self._vitals.unfit = None
        sent = self._clock.monotonic()
        answer = await lease.acquire(
            Candidacy(
                owner=self._new_id(),
                ttl_ms=round(self._timing.ttl * 1000),
                host=self._instance,
                incarnation=self._new_id(),
                seen_rn=watch.rn,
                stood_still=watch.stood_still(),
                zone_data=self._zone_data,
            )
        )
        self._answered()
        self._vitals.has_bid, self._vitals.epoch = True, answer.epoch
        self._clock.observe(sent, answer.now)
        if isinstance(answer, Term):
            self._trusted_until = trusted_until(sent, self._timing)
            self._events.emit("leader_acquired", epoch=answer.epoch, instance=self._instance)
            self._become(answer)
            await self._announce(lease, answer)
        else:
            self.others_met += 1
            watch.saw(answer)
            self._yield_to(answer)
            await self._announce(lease, None)
            await wait_for_event(self._look, wait_before_next_bid(answer, self._timing))

    def _yield_to(self, answer: Held) -> None:
        newer = answer.newer_zone_data
        if newer and newer != self._yielded_to:
            error = f"zone data here are {self._zone_data}; another instance has {newer} and leads, lest slots go back"
            self._events.emit("lease_refused", error=error, hint="upgrade tzdata on this host")
        self._yielded_to = newer

    async def _renew(self, lease: LeasePort, term: Term) -> None:
        sent = self._clock.monotonic()
        try:
            self._clock.observe(sent, (await lease.renew(term)).now)
        except LeaseLost as error:
            self.lost(term, error.message)
            return
        self._answered()
        self.prolonged(term, sent)
        await self._announce(lease, term)

    async def _announce(self, lease: LeasePort, term: Term | None) -> None:
        """A server without memory refuses it, and that is no reason to give anything up."""
        with suppress(BeatdError):
            applied, self._vitals.stored_zone_data = await lease.announce(self._instance, self._record(term))
            self._saw_applied(applied, leads=term is not None)

    async def _hold_out(self, seconds: float) -> None:
        """Waits before the next try; a term that is trusted no longer ends meanwhile."""
        until = self._clock.monotonic() + seconds
        while (left := until - self._clock.monotonic()) > 0:
            if self.term is not None:
                trust = self._trusted_until - self._clock.monotonic()
                if trust <= 0:
                    self.lost(self.term, "not renewed in time")
                left = min(left, max(trust, 0.001))
            await asyncio.sleep(left)

    def _become(self, term: Term | None) -> None:
        self.term, self._unfit = term, None
        self.changed.set()

    def _answered(self) -> None:
        self._met_redis = True
        self._vitals.trouble = None
        self._trouble.over()


class _Watch:
    """What a candidate saw of the holder: whether its renewal count stands still on our own monotonic clock."""

    def __init__(self, clock: Clock, timing: LeaseTiming) -> None:
        self.rn = "0"
        self._epoch = -1
        self._since = 0.0
        self._clock = clock
        self._timing = timing

    def saw(self, held: Held) -> None:
        """Takes note of an answer."""
        if (held.rn, held.epoch) != (self.rn, self._epoch):
            self.rn, self._epoch, self._since = held.rn, held.epoch, self._clock.monotonic()

    def stood_still(self) -> bool:
        """Whether the holder has not renewed for its TTL and the margin."""
        return self._epoch >= 0 and self._clock.monotonic() - self._since > self._timing.ttl + self._timing.margin
