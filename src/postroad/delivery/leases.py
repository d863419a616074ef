"""Leases as the runner uses them: taken, prolonged at half their time, given back, settled even when the disk stumbles."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from math import inf
from typing import Final, Protocol

from postroad.clock import Clock
from postroad.envelope import Attempt, Batch, Draft
from postroad.errors import NotFound, SpoolError, StorageFull
from postroad.observe.log import get_logger
from postroad.spool.interface import ContentWriter, Spool

_log = get_logger("delivery")

#: Seconds between tries to record an attempt. A record that is lost means a second delivery (RFC 1047), so that it is
#: worth more than one; nothing is acknowledged to anybody in between.
_SETTLE_AGAIN: Final = (0.2, 1.0, 5.0)

#: Seconds until a renewal that failed is tried again.
_ASK_AGAIN: Final = 5.0


class Leaseholder(Protocol):
    """Whoever works under a lease."""

    batch: Batch

    @property
    def is_over(self) -> bool:
        """Whether what was done under it is being written down, which ends it."""
        ...


class Leases:
    """The spool's leases, of one length."""

    def __init__(self, spool: Spool, clock: Clock, seconds: float, again: Sequence[float] = _SETTLE_AGAIN) -> None:
        self._spool = spool
        self._clock = clock
        self._seconds = seconds
        self._again = tuple(again)
        self._earliest = inf
        """When the first of our leases runs out; not later than that."""
        self.next_check = 0.0
        """When to look at our leases again, seconds since the epoch."""

    def note(self, batch: Batch) -> None:
        """A lease that was given to us."""
        self._earliest = min(self._earliest, batch.expires)

    def is_due(self, now: float) -> bool:
        """Whether leases must be looked at before anything is leased at ``now``: what we have would be lent again."""
        return now >= min(self.next_check, self._earliest) or self.next_check > now + self._seconds

    async def take(self, now: float, limit: int, busy: Collection[str], per_destination: int) -> list[Batch]:
        """What is due, at most ``limit`` batches."""
        return await self._spool.lease(now, limit, self._seconds, busy=busy, per_destination=per_destination)

    async def prolong(self, holders: Callable[[], Iterable[Leaseholder]], now: float) -> None:
        """Renew those of which half is gone; who lost its lease goes on, and learns it when it settles.

        Raises SpoolError when a lease that ran out could not be renewed: nothing may be leased then, or what it is for
        would be lent, and delivered, a second time.
        """
        self.next_check, self._earliest = now + self._seconds / 8, inf
        worn = [holder for holder in holders() if holder.batch.expires - now <= self._seconds / 2]
        faults = await asyncio.gather(*(self._renew(holder, now) for holder in worn))
        for holder in holders():
            self.note(holder.batch)
        if any(faults):
            self.next_check = min(self.next_check, now + _ASK_AGAIN)
        for holder, fault in zip(worn, faults, strict=True):
            if fault is not None and holder.batch.expires <= now:
                raise fault

    async def _renew(self, holder: Leaseholder, now: float) -> SpoolError | None:
        batch = holder.batch
        try:
            renewed = await self._spool.renew(batch, now, self._seconds)
        except NotFound:
            if not holder.is_over:
                _log.warning("lease lost", message=batch.message.id, destination=batch.destination)
            renewed = replace(batch, expires=now + self._seconds)  # asked again then, and settled in vain
        except SpoolError as fault:
            _log.error("lease not renewed", message=batch.message.id, fault=fault.message)
            return fault
        if holder.batch is batch:
            holder.batch = renewed
        return None

    async def give_back(self, batches: Iterable[Batch]) -> None:
        """End leases under which nothing was tried; no attempt is counted. One that cannot be ended runs out by itself."""
        await asyncio.gather(*(self._give_back(batch) for batch in batches))

    async def _give_back(self, batch: Batch) -> None:
        try:
            await self._spool.settle(batch, Attempt(self._clock.wall(), 0.0, "", "", ()))
        except SpoolError as fault:
            _log.error("lease not given back", message=batch.message.id, fault=fault.message)

    async def settle(self, batch: Batch, attempt: Attempt, reports: Sequence[tuple[Draft, bytes]] = ()) -> bool:
        """Record an attempt with its reports; False when the lease was lost.

        Raises StorageFull when there is no room for the reports, SpoolError when nothing can be recorded at all.
        """
        for seconds in self._again:
            try:
                return await self._settle(batch, attempt, reports)
            except StorageFull:
                if reports:
                    raise  # without them there may be room
                _log.error("attempt not recorded", message=batch.message.id, fault="no space", again=seconds)
            except SpoolError as fault:
                _log.error("attempt not recorded", message=batch.message.id, fault=fault.message, again=seconds)
            await asyncio.sleep(seconds)
        return await self._settle(batch, attempt, reports)

    async def _settle(self, batch: Batch, attempt: Attempt, reports: Sequence[tuple[Draft, bytes]]) -> bool:
        if not reports:
            return await self._spool.settle(batch, attempt)
        written: list[tuple[Draft, ContentWriter]] = []
        try:
            for draft, octets in reports:
                written.append((draft, self._spool.open_report()))
                written[-1][1].write(octets)
            return await self._spool.settle(batch, attempt, written)
        except BaseException:
            for _, writer in written:
                writer.discard()
            raise
