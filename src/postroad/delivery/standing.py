"""Dead sites in the spool: their mail sleeps while they are left alone, and wakes when they answer again.

That is apart from every message's own schedule: no attempt is counted, and ``next_due`` stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from postroad.clock import Clock
from postroad.delivery.lane import Lane
from postroad.delivery.lanes import Lanes
from postroad.delivery.leases import Leases
from postroad.envelope import Batch
from postroad.observe.log import get_logger
from postroad.spool.interface import Spool

_log = get_logger("delivery")

#: Seconds for which mail sleeps whose lane is full, when there are too many such destinations to name them.
CROWDED: Final = 15.0


class Standing:
    """Puts destinations to sleep and wakes them."""

    def __init__(self, spool: Spool, clock: Clock, leases: Leases, lanes: Lanes) -> None:
        self._spool = spool
        self._clock = clock
        self._leases = leases
        self._lanes = lanes

    async def shut(self, lane: Lane) -> None:
        """Leave a site alone until its ``back_off.until``: what waits goes back, and all of its mail sleeps."""
        until = lane.back_off.until
        if until is None:
            return
        _log.warning(
            "site left alone",
            site=lane.key,
            seconds=round(until - self._clock.wall()),
            failures=lane.back_off.failures,
            fault=lane.back_off.last_fault,
        )
        await self._leases.give_back(job.batch for job in self._lanes.take_all(lane))
        for destination in list(lane.destinations):
            await self._spool.postpone(destination, until)

    async def opened(self, lane: Lane) -> None:
        """A site answers again."""
        _log.info("site answers again", site=lane.key)
        await self.wake(lane)

    async def wake(self, lane: Lane) -> None:
        """Its mail need sleep no longer."""
        now = self._clock.wall()
        for destination in list(lane.destinations):
            await self._spool.resume(destination, now)

    async def turn_away(self, lane: Lane, batches: Iterable[Batch]) -> None:
        """Give back what was leased for a lane that takes no more: a site that is left alone, or a full lane."""
        batches = list(batches)
        await self._leases.give_back(batches)
        for destination in {batch.destination: None for batch in batches}:
            remembered = lane.remember(destination)
            if lane.back_off.is_shut(self._clock.wall()) and lane.back_off.until is not None:
                await self._spool.postpone(destination, lane.back_off.until)
            elif not remembered:
                await self._spool.postpone(destination, self._clock.wall() + CROWDED)
