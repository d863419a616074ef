"""The worker of the queue: takes what is due, hands it over with bounded concurrency, and writes down what came of it.

Wakes when mail was accepted and when something falls due. Work is leased from the spool and prolonged while it goes on;
a worker that fails in a way that nobody foresaw defers its recipients and is logged: nothing leaves the queue unless
``settle`` says so. ``stop`` lets go of what has not begun and waits for the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from postroad.clock import Clock
from postroad.delivery.lanes import Job, Lanes, RunnerLimits
from postroad.delivery.leases import Leases
from postroad.delivery.routing import NO_ROUTE, ROUTE_IS_HOLD, Hold, Route, Routes
from postroad.delivery.schedule import Schedule, result_of
from postroad.delivery.transport import Consignment, Fate, Report, Transport, same_for_all
from postroad.envelope import Attempt, Batch, Draft, RecipientState
from postroad.errors import NotFound, SpoolError
from postroad.observe.log import get_logger
from postroad.spool.interface import MessageQuery, Spool

_log = get_logger("delivery")

#: The longest sleep, so that a wall clock that was set is noticed.
_LONGEST_SLEEP: Final = 60.0
#: After a fault of the spool.
_BACK_OFF: Final = 5.0
#: While more is due than can be leased.
_LOOK_AGAIN: Final = 1.0
_PAGE: Final = 500


class Runner:
    """One for each spool. ``transports`` says how each kind of route is gone."""

    def __init__(
        self,
        spool: Spool,
        routes: Routes,
        transports: Mapping[type[Route], Transport],
        clock: Clock,
        *,
        schedule: Schedule | None = None,
        limits: RunnerLimits | None = None,
    ) -> None:
        self._spool = spool
        self._routes = routes
        self._transports = transports
        self._clock = clock
        self._schedule = schedule if schedule is not None else Schedule()
        self._limits = limits if limits is not None else RunnerLimits()
        self._leases = Leases(spool, clock, self._limits.lease)
        self._lanes = Lanes(self._limits)
        self._wakeup = asyncio.Event()
        self._reread = True
        self._look = True  # something may be due that was not when we last looked
        self._due = 0.0  # and until then nothing is
        self._stopping = ""
        self._loop_task: asyncio.Task[None] | None = None
        spool.on_accepted(self._accepted)

    # --- what the service does

    def start(self) -> None:
        """Begin; what was held for want of a route that exists now is released first."""
        if self._loop_task is None:
            self._loop_task = asyncio.get_running_loop().create_task(self._run(), name="delivery")

    def reload(self, routes: Routes, schedule: Schedule | None = None) -> None:
        """Other routes from now on; what is under way goes on by the old ones."""
        self._routes = routes
        self._schedule = schedule if schedule is not None else self._schedule
        self._reread = True
        self.wake()

    def wake(self) -> None:
        """Look at the queue now (the operator released something, or a test set the clock)."""
        self._look = True
        self._wakeup.set()

    async def stop(self, seconds: float = 30.0) -> None:
        """Take nothing more, wait ``seconds`` for what is under way, then end it; deferred mail stays in the spool."""
        self._stopping = "the server was stopped"
        self.wake()
        if self._loop_task is not None:
            await self._loop_task
            self._loop_task = None
        running = {job.task for job in self._lanes if job.task is not None}
        if running:
            _, running = await asyncio.wait(running, timeout=seconds)
        for transport in set(self._transports.values()):
            transport.abort(self._stopping)
        if running:
            _, running = await asyncio.wait(running, timeout=5.0)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for transport in set(self._transports.values()):
            await transport.close()

    @property
    def under_way(self) -> int:
        """Batches that are leased here now."""
        return len(self._lanes)

    def _accepted(self, drafts: Sequence[Draft]) -> None:
        if any(not one.hold for draft in drafts for one in draft.recipients):
            self.wake()

    # --- the loop

    async def _run(self) -> None:
        while not self._stopping:
            self._wakeup.clear()
            try:
                sleep = await self._round()
            except Exception as fault:
                _log.error("queue not read", fault=str(fault), exc_info=not isinstance(fault, SpoolError))
                self._look = True
                sleep = _BACK_OFF
            if not self._stopping:
                try:
                    async with asyncio.timeout(sleep):
                        await self._wakeup.wait()
                except TimeoutError:
                    pass
        await self._give_back_waiting()

    async def _round(self) -> float:
        """One look at the queue; gives the seconds until the next."""
        if self._reread:
            self._reread = False
            try:
                await self._apply_routes()
            except BaseException:
                self._reread = True
                raise
        await self._leases.prolong(self._lanes)
        for batch in await self._leases.take_up(self._lanes.take_aside()):
            await self._enter(batch)
        self._begin()
        if self._look or self._clock.wall() >= self._due:
            await self._lease()
        if self._lanes.wants_aside:
            return 0.01
        moments = [self._clock.wall() + _LOOK_AGAIN if self._look else self._due]
        renewal = self._leases.next_renewal(self._lanes)
        if renewal is not None:
            moments.append(renewal)
        return min(max(min(moments) - self._clock.wall(), 0.01), _LONGEST_SLEEP)

    async def _lease(self) -> None:
        """Take what is due, as long as there is a place for it; remembers when to look again."""
        self._look = False
        limit = 0
        while not self._stopping:
            limit = self._lanes.worth_leasing(self._clock.monotonic())
            batches = await self._leases.take(limit) if limit else []
            for batch in batches:
                await self._enter(batch)
            self._begin()
            if not limit or len(batches) < limit:
                break
        if not limit:
            self._look = True  # there is more, and no place for it
            return
        self._due = self._clock.wall() + _LONGEST_SLEEP
        due = await self._spool.next_due()
        if due is not None:
            self._due = min(self._due, due)  # whoever settled meanwhile may have made it earlier

    async def _enter(self, batch: Batch) -> None:
        """A batch that was leased: let it wait for its turn, hold it, or leave it alone for a while."""
        before = self._lanes.find(batch)
        if before is not None:  # our own lease ran out (the clock was set): the work goes on under the new one
            if _numbers(before.batch) == _numbers(batch):
                before.batch = batch
            else:
                await self._leases.put_aside(batch, self._limits.lease)
            return
        route = self._routes.of(batch.destination)
        if isinstance(route, Hold):
            await self._hold(batch, route)
        elif not self._lanes.add(Job(batch, route)):
            aside = await self._leases.put_aside(batch, self._limits.aside)
            if aside is not None:
                self._lanes.put_aside(route, aside)

    def _begin(self) -> None:
        while not self._stopping and (job := self._lanes.next_job()) is not None:
            work = self._work(job)
            job.task = asyncio.get_running_loop().create_task(work, name=f"deliver {job.batch.message.id}")

    async def _give_back_waiting(self) -> None:
        for batch in self._lanes.take_waiting():
            try:
                await self._leases.give_back(batch)
            except SpoolError as fault:
                _log.error("lease not given back", message=batch.message.id, fault=fault.message)

    # --- one delivery

    async def _work(self, job: Job) -> None:
        try:
            began = self._clock.monotonic()
            report = await self._try(job)
            await self._settle(job, report, self._clock.monotonic() - began)
        except Exception as fault:
            _log.error("delivery not recorded", message=job.batch.message.id, fault=str(fault), exc_info=True)
        finally:
            self._lanes.finish(job)
            self._begin()
            self._wakeup.set()

    async def _try(self, job: Job) -> Report:
        message = job.batch.message
        consignment = Consignment(message, job.route, lambda: self._spool.read(message.id))
        transport = self._transports.get(type(job.route))
        if transport is None:
            return Report(same_for_all(consignment, Fate.NOT_NOW, f"there is no way to go {job.route} here"))
        try:
            return await transport.deliver(consignment)
        except NotFound:
            _log.info("message gone", message=message.id)
            return Report(())
        except Exception as fault:
            expected = isinstance(fault, SpoolError)
            _log.error(
                "delivery failed", message=message.id, route=str(job.route), fault=str(fault), exc_info=not expected
            )
            what = fault.message if isinstance(fault, SpoolError) else f"internal error: {type(fault).__name__}"
            return Report(same_for_all(consignment, Fate.NOT_NOW, what))

    async def _settle(self, job: Job, report: Report, seconds: float) -> None:
        now = self._clock.wall()
        message = job.batch.message
        recipients = {one.number: one for one in message.recipients}
        results = tuple(
            result_of(handed, recipients[handed.number], message.received_at, now, self._schedule)
            for handed in report.handed
        )
        if self._stopping:  # who was cut short is due at the next start
            results = tuple(
                replace(result, next_due=now) if result.next_due and not (result.reply or result.uncertain) else result
                for result in results
            )
        attempt = Attempt(now, seconds, str(job.route), report.host, results, report.transcript)
        if not await self._leases.settle(job.batch, attempt):
            _log.warning("lease lost", message=message.id, destination=job.batch.destination)
        for result in results:
            if result.next_due is not None:
                self._due = min(self._due, result.next_due)
            _log.info(
                result.outcome.value,
                message=message.id,
                recipient=recipients[result.number].forward_path,
                route=str(job.route),
                host=report.host,
                reply="" if result.reply is None else str(result.reply),
                note=result.note,
                uncertain=result.uncertain,
            )

    # --- routes and holds

    async def _hold(self, batch: Batch, route: Hold) -> None:
        try:
            await self._spool.hold(batch.message.id, route.reason, [one.number for one in batch.message.recipients])
        except NotFound:
            return
        await self._leases.give_back(batch)
        _log.info("held", message=batch.message.id, destination=batch.destination, reason=route.reason)

    async def _apply_routes(self) -> None:
        """Release what was held for want of a route that is there now; hold what now must wait."""
        self._look = True
        now = self._clock.wall()
        for batch in await self._leases.take_up(self._lanes.take_waiting()):
            await self._enter(batch)
        for destination, route in self._routes:
            if isinstance(route, Hold):
                await self._hold_queued(destination, route)
            else:
                for note in (NO_ROUTE, ROUTE_IS_HOLD):
                    await self._spool.release(MessageQuery(destination=destination), now, note)
        if not isinstance(self._routes.default, Hold):
            await self._spool.release(MessageQuery(), now, NO_ROUTE)

    async def _hold_queued(self, destination: str, route: Hold) -> None:
        after = 0
        while True:
            query = MessageQuery(
                destination=destination, state=RecipientState.QUEUED, after=after, limit=_PAGE, oldest_first=True
            )
            page = await self._spool.messages(query)
            for message in page:
                after = message.sequence
                numbers = [one.number for one in message.recipients if one.destination == destination]
                try:
                    await self._spool.hold(message.id, route.reason, numbers)
                except NotFound:
                    pass
            if len(page) < _PAGE:
                return


def _numbers(batch: Batch) -> set[int]:
    return {one.number for one in batch.message.recipients}
