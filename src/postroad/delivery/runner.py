"""The worker of the queue: takes what is due, lets it wait its turn for its site, hands it over, writes down the outcome.

Two stages: the spool's index of what is due, and a bounded lane for each site (``lanes``). Wakes when mail was accepted
and when something falls due; what is accepted while its lane has room is claimed on the way in and costs no lease. Work is
prolonged while it goes on. ``stop`` lets go of what has not begun and waits for the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from postroad.clock import Clock
from postroad.delivery.backoff import USUAL, Patience
from postroad.delivery.claims import Claims
from postroad.delivery.entrance import Entrance
from postroad.delivery.lane import Job, RunnerLimits, Turn
from postroad.delivery.lanes import Lanes
from postroad.delivery.leases import Leases
from postroad.delivery.overdue import Overdue
from postroad.delivery.route_changes import apply_routes
from postroad.delivery.routing import Route, Routes
from postroad.delivery.rules import Rule, Rules
from postroad.delivery.schedule import Schedule, term_of
from postroad.delivery.settling import Reports, Settler
from postroad.delivery.sites import Places, SiteFinder
from postroad.delivery.standing import Standing
from postroad.delivery.state import RunnerState, SiteState
from postroad.delivery.transport import Health, Report, Transport
from postroad.delivery.worker import Worker
from postroad.envelope import Attempt, Batch, Draft, MessageId, Outcome, Recipient, Result, StoredMessage
from postroad.errors import SpoolError
from postroad.observe.log import get_logger
from postroad.spool.interface import Spool

_log = get_logger("delivery")

#: The longest sleep, so that a wall clock that was set is noticed.
_LONGEST_SLEEP: Final = 60.0
#: After a fault of the spool.
_BACK_OFF: Final = 5.0
#: While more is due than can be leased.
_LOOK_AGAIN: Final = 1.0
#: Batches of one destination in one call to the spool, at least and at most, so that all destinations get their turn and
#: a lane is not flooded.
_EACH: Final = 3
_EACH_AT_MOST: Final = 100
#: Between tries to record what was done, beyond those that ``leases`` makes, and for how long: what is not recorded is
#: done a second time.
_RECORD_AGAIN: Final = 10.0
_RECORD_FOR: Final = 3600.0
#: Calls in a row of which nothing found a place, before a pause.
_FRUITLESS: Final = 50


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
        rules: Mapping[str, Rule] | None = None,
        limits: RunnerLimits | None = None,
        patience: Patience = USUAL,
        finder: SiteFinder | None = None,
        reports: Reports | None = None,
    ) -> None:
        """``finder`` finds the sites of routes by MX, ``reports`` writes to senders, ``rules`` go by destination."""
        self._spool = spool
        self._clock = clock
        self._rules = Rules(schedule or Schedule(), rules or {})
        self._limits = limits if limits is not None else RunnerLimits()
        self._leases = Leases(spool, clock, self._limits.lease)
        self._lanes = Lanes(self._limits, patience)
        self._standing = Standing(spool, clock, self._leases, self._lanes)
        self._settler = Settler(spool, self._leases, clock, self._schedule_of, reports)
        self._overdue = Overdue(spool, clock, self._settler, self._lanes)
        self._worker = Worker(spool, clock, transports)
        self._wakeup = asyncio.Event()
        places = Places(finder, clock)
        self._entrance = Entrance(spool, clock, self._leases, self._lanes, self._standing, places, self._rule_of)
        self._entrance.routes = routes
        self._entrance.on_placed = self._begin_soon
        self._entrance.on_turned = self.wake
        self._begins_soon = False
        self._reread = True
        self._look = True  # something may be due that was not when we last looked
        self._due = 0.0  # and until then nothing is
        self._stopping = ""
        self._stop = asyncio.Event()
        self._loop_task: asyncio.Task[None] | None = None
        self._claims = Claims(self._leases)
        self._listen()

    # --- what the service does

    def start(self) -> None:
        """Begin; what was held for want of a route that exists now is released first."""
        if self._loop_task is None:
            self._loop_task = asyncio.get_running_loop().create_task(self._run(), name="delivery")

    def reload(self, routes: Routes, schedule: Schedule | None = None, rules: Mapping[str, Rule] | None = None) -> None:
        """Other routes and rules from now on; what is under way goes on by the old ones."""
        self._entrance.routes = routes
        self._rules = Rules(schedule or self._rules.schedule, self._rules.by_destination if rules is None else rules)
        self._reread = True
        self.wake()

    def wake(self) -> None:
        """Look at the queue now (the operator released something, or a test set the clock)."""
        self._look = True
        self._wakeup.set()

    async def probe(self, destination: str | None = None) -> None:
        """End the time of every site that is left alone: a delivery to each may try it now (`postroad queue retry`).

        With ``destination``, only that of its site.
        """
        await self._entrance.probe(destination)
        self.wake()

    async def give_up(self, message_id: MessageId, numbers: Sequence[int] | None, note: str) -> int:
        """The operator's bounce: fail these recipients (None: all) with the reports that are owed; gives how many.

        Those that are being delivered just now are left alone, though their lease has run out. Raises NotFound.
        """
        whole = await self._spool.message(message_id)
        free = [one.number for one in whole.recipients if numbers is None or one.number in numbers]
        free = [number for number in free if not self._lanes.works_on(message_id, number)]
        count = 0
        for batch in await self._spool.take(message_id, free, self._clock.wall(), self._limits.lease):
            recipients = batch.message.recipients
            results = tuple(Result(one.number, Outcome.FAILED, one.reply, note) for one in recipients)
            attempt = await self._settler.record(batch, Attempt(self._clock.wall(), 0.0, "", "", results))
            if attempt is not None:
                count += sum(result.outcome is Outcome.FAILED for result in attempt.results)
        return count

    def state(self) -> RunnerState:
        """What goes on just now."""
        return RunnerState(len(self._lanes), tuple(SiteState.of(lane) for lane in self._lanes.lanes))

    @property
    def routes(self) -> Routes:
        """Which way mail goes now."""
        return self._entrance.routes

    def resting(self) -> dict[str, float]:
        """Destination -> until when its site is left alone (seconds since the epoch), of all that are."""
        shut = [lane for lane in self._lanes.lanes if lane.back_off.until is not None]
        return {name: lane.back_off.until or 0.0 for lane in shut for name in lane.destinations}

    def site(self, destination: str) -> SiteState | None:
        """The site that a destination's mail went to of late; None: none is known."""
        lane = next((lane for lane in reversed(self._lanes.lanes) if destination in lane.destinations), None)
        return None if lane is None else SiteState.of(lane)

    async def stop(self, seconds: float = 30.0) -> None:
        """Take nothing more, wait ``seconds`` for what is under way, then end it; deferred mail stays in the spool."""
        self._stopping = "the server was stopped"
        self._stop.set()
        self.wake()
        if self._loop_task is not None:
            await self._loop_task
            self._loop_task = None
        transports = set(self._worker.transports.values())
        for transport in transports:
            transport.wind_down(self._stopping)
        await self._claims.settled(seconds)
        running = {job.task for job in self._lanes if job.task is not None} | self._claims.returns
        if running:
            _, running = await asyncio.wait(running, timeout=seconds)
        for transport in transports:
            transport.abort(self._stopping)
        if running:
            _, running = await asyncio.wait(running, timeout=5.0)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        for transport in transports:
            await transport.close()

    @property
    def under_way(self) -> int:
        """Batches that are leased here now."""
        return len(self._lanes)

    def retry_until(self, message: StoredMessage, recipient: Recipient) -> float:
        """When a recipient is given up, seconds since the epoch."""
        return term_of(message, self._schedule_of(recipient.destination)).end

    def _schedule_of(self, destination: str) -> Schedule:
        return self._rules.schedule_of(destination)

    def _rule_of(self, destination: str) -> Rule:
        return self._rules.of(destination)

    # --- what the spool tells

    def _listen(self) -> None:
        self._spool.on_accepted(self._accepted)
        self._spool.on_accepting(self._claim)
        self._spool.on_claimed(self._enter_claimed, self._claims.forget)

    def _accepted(self, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            self._overdue.remember(draft)
            if draft.id in self._claims:
                self._claims.forget((draft,))
            elif not self._look and self._entrance.could_go(draft):
                self.wake()

    def _claim(self, draft: Draft) -> float | None:
        """Whether a message may go at once: nobody waits before it, and its lanes have room."""
        if self._loop_task is None or self._stopping or self._look or self._reread:
            return None
        if not self._entrance.has_room(draft):
            return None
        self._claims.add(draft.id)
        return self._limits.lease

    def _enter_claimed(self, leased: Sequence[Batch]) -> None:
        batches = self._claims.ours(leased)
        if self._stopping and batches:
            self._claims.give_back(batches)
            return
        for batch in batches:
            self._entrance.enter(batch)
        self._begin_placed()

    def _begin_soon(self) -> None:
        """Together with what finds its place in this turn of the loop: destinations with the same hosts share."""
        if not self._begins_soon:
            self._begins_soon = True
            asyncio.get_running_loop().call_soon(self._begin_placed)

    def _begin_placed(self) -> None:
        self._begins_soon = False
        self._begin()
        if self._entrance.has_chores:
            self._wakeup.set()

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
        await self._entrance.give_back_all()

    async def _round(self) -> float:
        """One look at the queue; gives the seconds until the next."""
        now = self._clock.wall()
        if self._reread:
            self._reread = False
            self._look = True
            self._entrance.enter_again()
            try:
                await apply_routes(self._spool, self._entrance.routes, self._clock)
            except BaseException:
                self._reread = True
                raise
        await self._keep_leases()
        if self._overdue.is_due(now):
            await self._overdue.read(self._rules, self._entrance.sleeper)
        await self._entrance.do_chores()
        self._begin()
        if self._look or self._clock.wall() >= self._due:
            await self._lease()
        return self._until_next_round()

    async def _keep_leases(self) -> float:
        """Renew what is half gone; gives the time of the clock, of which no lease of ours has run out."""
        while self._leases.is_due(now := self._clock.wall()):
            await self._leases.prolong(lambda: self._lanes, now)
        return now

    def _until_next_round(self) -> float:
        if self._entrance.has_chores:
            return 0.0
        now = self._clock.wall()
        moments = [now + _LOOK_AGAIN if self._look else self._due, self._leases.next_check, self._overdue.next]
        sleep = min(moments) - now
        rest = self._lanes.next_rest_over
        if rest is not None:
            sleep = min(sleep, rest - self._clock.monotonic())
        return min(max(sleep, 0.005), _LONGEST_SLEEP)

    async def _lease(self) -> None:
        """Take what is due, as long as there is a place for it; remembers when to look again."""
        self._look = self._lanes.made_room = False
        per_lease, fruitless = self._limits.per_lease, 0
        while not self._stopping:
            limit = min(self._lanes.room, per_lease)
            if fruitless > _FRUITLESS or (limit < per_lease and limit < self._limits.leases // 4):
                self._look = True  # there is more, and no place for it
                return
            now = await self._keep_leases()
            busy, lanes = self._lanes.survey()
            batches = await self._leases.take(
                now, limit, busy, min(max(per_lease // max(lanes, 1), _EACH), _EACH_AT_MOST)
            )
            before = len(self._lanes)
            for batch in batches:
                self._overdue.remember(batch.message)
                self._entrance.enter(batch)
            fruitless = fruitless + 1 if len(self._lanes) == before else 0
            self._begin()
            await self._entrance.do_chores()
            if not batches:
                break
        self._due = self._clock.wall() + _LONGEST_SLEEP
        due = await self._spool.next_due(self._lanes.survey()[0])
        if due is not None:
            self._due = min(self._due, due)  # whoever settled meanwhile may have made it earlier

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stopping:
            job = self._lanes.next_job(self._clock.wall(), self._clock.monotonic())
            if job is None:
                break
            job.task = loop.create_task(self._work(job), name="delivery of a message")
            for companion in job.companions:
                companion.task = job.task
        if self._lanes.closed:
            self._entrance.closed(self._lanes.closed)
            self._lanes.closed.clear()
            self._wakeup.set()
        if self._lanes.made_room:
            self._lanes.made_room = False
            self.wake()

    # --- one delivery

    async def _work(self, job: Job) -> None:
        released = False
        try:
            began = self._clock.monotonic()
            report = await self._worker.deliver(job)
            seconds = self._clock.monotonic() - began
            self._heard(job, report, seconds)
            released = True
            self._begin()
            for one in job.together:
                one.is_over = True
                await self._settle(one, report, seconds)
        finally:
            for one in job.together:
                self._lanes.drop(one)
            if not released:
                self._lanes.release(job)
                self._begin()
            if self._look or self._stopping:
                self._wakeup.set()

    async def _settle(self, job: Job, report: Report, seconds: float) -> None:
        message = job.batch.message.id
        give_up = self._clock.monotonic() + _RECORD_FOR
        while True:
            stopping = bool(self._stopping)
            try:
                attempt = await self._settler.settle(job.batch, report, str(job.route), seconds, stopping)
                break
            except Exception as fault:
                expected = isinstance(fault, SpoolError)
                if not expected or stopping or self._clock.monotonic() >= give_up:
                    _log.error("delivery not recorded", message=message, fault=str(fault), exc_info=not expected)
                    return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _RECORD_AGAIN)
        for result in attempt.results if attempt is not None else ():
            if result.next_due is not None and result.next_due < self._due:
                self._due = result.next_due
                self._wakeup.set()

    def _heard(self, job: Job, report: Report, seconds: float) -> None:
        """The site has a place again, and its standing may have changed."""
        health = Health.UNKNOWN if self._stopping else report.health
        fault = _fault_of(report) if health is not Health.FINE else ""
        turn = self._lanes.heard(job, health, self._clock.wall(), fault, seconds)
        self._lanes.release(job)
        lane = job.lane
        if lane is not None and turn is not Turn.NONE:
            self._entrance.turned(lane, turn)
            self._wakeup.set()


def _fault_of(report: Report) -> str:
    """The first thing that went wrong, in words."""
    one = next((one for one in report.handed if one.reply is not None or one.note), None)
    if one is None:
        return ""
    return one.note if one.reply is None else f"{one.note}: {one.reply}"
