"""Leases as the runner uses them: taken, prolonged at half their time, given back, settled even when the disk stumbles."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from postroad.clock import Clock
from postroad.envelope import Attempt, Batch
from postroad.errors import NotFound, SpoolError
from postroad.observe.log import get_logger
from postroad.spool.interface import Spool

_log = get_logger("delivery")

#: Seconds between tries to record an attempt. A record that is lost means a second delivery (RFC 1047), so that it is
#: worth more than one; nothing is acknowledged to anybody in between.
_SETTLE_AGAIN: Final = (0.2, 1.0, 5.0)

#: Seconds until a renewal that failed is tried again.
_ASK_AGAIN: Final = 5.0


class Leaseholder(Protocol):
    """Whoever works under a lease."""

    batch: Batch


class Leases:
    """The spool's leases, of one length."""

    def __init__(self, spool: Spool, clock: Clock, seconds: float, again: Sequence[float] = _SETTLE_AGAIN) -> None:
        self._spool = spool
        self._clock = clock
        self._seconds = seconds
        self._again = tuple(again)

    async def take(self, limit: int) -> list[Batch]:
        """What is due, at most ``limit`` batches."""
        return await self._spool.lease(self._clock.wall(), limit, self._seconds)

    async def prolong(self, holders: Iterable[Leaseholder]) -> None:
        """Renew those of which half is gone; who lost its lease goes on, and learns it when it settles."""
        now = self._clock.wall()
        worn = [holder for holder in holders if holder.batch.expires - now <= self._seconds / 2]
        await asyncio.gather(*(self._renew(holder, now) for holder in worn))

    async def _renew(self, holder: Leaseholder, now: float) -> None:
        batch = holder.batch
        try:
            renewed = await self._spool.renew(batch, now, self._seconds)
        except NotFound:
            _log.warning("lease lost", message=batch.message.id, destination=batch.destination)
            renewed = replace(batch, expires=now + self._seconds)  # asked again then, and settled in vain
        except SpoolError as fault:
            _log.error("lease not renewed", message=batch.message.id, fault=fault.message)
            renewed = replace(batch, expires=now + self._seconds / 2 + _ASK_AGAIN)
        if holder.batch is batch:
            holder.batch = renewed

    def next_renewal(self, holders: Iterable[Leaseholder]) -> float | None:
        """When the next lease must be renewed, seconds since the epoch."""
        return min((holder.batch.expires - self._seconds / 2 for holder in holders), default=None)

    async def put_aside(self, batch: Batch, seconds: float) -> Batch | None:
        """Lease it for so long without working on it; None when the lease was lost."""
        try:
            return await self._spool.renew(batch, self._clock.wall(), seconds)
        except NotFound:
            return None

    async def take_up(self, batches: Sequence[Batch]) -> list[Batch]:
        """Lease again what was put aside, those of which we still have the lease."""
        found = await asyncio.gather(*(self.put_aside(batch, self._seconds) for batch in batches))
        return [batch for batch in found if batch is not None]

    async def give_back(self, batch: Batch) -> None:
        """End a lease under which nothing was tried; no attempt is counted."""
        await self._spool.settle(batch, Attempt(self._clock.wall(), 0.0, "", "", ()))

    async def settle(self, batch: Batch, attempt: Attempt) -> bool:
        """Record an attempt; False when the lease was lost. Raises SpoolError when it cannot be recorded at all."""
        for seconds in self._again:
            try:
                return await self._spool.settle(batch, attempt)
            except SpoolError as fault:
                _log.error("attempt not recorded", message=batch.message.id, fault=fault.message, again=seconds)
                await asyncio.sleep(seconds)
        return await self._spool.settle(batch, attempt)
