"""What was leased finds its way: to its site's lane, to a hold for want of a route, or back while its lane is closed.

Entering never waits; what must wait (names to be looked up, the spool) is done in turn by tasks of its own and by
``do_chores``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from postroad.clock import Clock
from postroad.delivery.lane import Job, Lane, Turn
from postroad.delivery.lanes import Lanes
from postroad.delivery.leases import Leases
from postroad.delivery.routing import Hold, Route, Routes
from postroad.delivery.rules import Rule
from postroad.delivery.sites import Place, Places
from postroad.delivery.standing import Standing
from postroad.envelope import Batch, Draft
from postroad.errors import NotFound, SpoolError
from postroad.observe.log import get_logger
from postroad.spool.interface import Spool

_log = get_logger("delivery")

#: Destinations that are looked up at the same time.
_LOOK_UPS: Final = 100
#: Destinations of which is known where their mail went last.
_HOMES: Final = 100_000
#: Seconds for which mail sleeps whose way could not be found by a fault of ours.
_FAULT: Final = 60.0


class Entrance:
    """One for each runner."""

    def __init__(
        self,
        spool: Spool,
        clock: Clock,
        leases: Leases,
        lanes: Lanes,
        standing: Standing,
        places: Places,
        rule_of: Callable[[str], Rule],
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._leases = leases
        self._lanes = lanes
        self._standing = standing
        self._places = places
        self._turned_away: dict[Lane, list[Batch]] = {}
        self._to_hold: list[tuple[Batch, Hold]] = []
        self._not_found: list[tuple[str, list[Batch]]] = []
        self._turns: list[tuple[Lane, Turn]] = []
        self._homes: dict[str, Lane] = {}
        """The lane that each destination's mail went to last."""
        self._sought: dict[tuple[str, Route], list[Job]] = {}
        self._look_ups: set[asyncio.Task[None]] = set()
        self._look_up_places = asyncio.Semaphore(_LOOK_UPS)
        self._rule_of = rule_of
        self.routes = Routes({})
        self.on_placed: Callable[[], None] = lambda: None
        """Called when something found its lane, or not, after a look-up."""
        self.on_turned: Callable[[], None] = lambda: None
        """Called when mail was put to sleep or woken."""

    # --- entering

    def enter(self, batch: Batch) -> None:
        """A batch that is leased to us."""
        self._leases.note(batch)
        before = self._lanes.find(batch)
        if before is not None and not before.is_over:
            # Our own lease was lost: the work goes on under the new one, if that is for the same recipients. Otherwise
            # they stay away until the new lease runs out.
            if _numbers(before.batch) == _numbers(batch):
                before.batch = batch
            return
        route = self.routes.of(batch.destination)
        if isinstance(route, Hold):
            self._to_hold.append((batch, route))
            return
        job = Job(batch, route)
        place = self._places.known(batch.destination, route)
        if place is not None:
            self._put(job, place)
        else:
            self._seek(job)

    def has_room(self, draft: Draft) -> bool:
        """Whether all of a message that is about to be accepted could go, or wait its turn, at once."""
        if self._lanes.room < len(draft.recipients):
            return False
        for recipient in draft.recipients:
            route = self.routes.of(recipient.destination)
            if isinstance(route, Hold):
                return False
            place = self._places.known(recipient.destination, route)
            lane = self._lanes.known(place) if place is not None else None
            if lane is not None and (lane.is_full or lane.back_off.until is not None):
                return False
        return True

    def could_go(self, draft: Draft) -> bool:
        """Whether a lease could give any of a message to a lane; one that is full asks for more when it has room."""
        for recipient in draft.recipients:
            if not recipient.hold:
                place = self._places.known(recipient.destination, self.routes.of(recipient.destination))
                lane = self._lanes.known(place) if place is not None else None
                if lane is None or not lane.is_full:
                    return True
        return False

    def sleeper(self) -> Callable[[str], bool]:
        """Tells of a destination whether its site is left alone, or only probed."""
        known = self._lanes.asleep()

        def sleeps(destination: str) -> bool:
            place = self._places.known(destination, self.routes.of(destination))
            lane = self._lanes.known(place) if place is not None else None
            return destination in known if lane is None else lane.back_off.is_probing

        return sleeps

    def turned(self, lane: Lane, turn: Turn) -> None:
        """A site's standing changed."""
        self._turns.append((lane, turn))

    def closed(self, lanes: Iterable[Lane]) -> None:
        """Sites are left alone, and something waits for them: it has to go back."""
        known = {lane for lane, turn in self._turns if turn is Turn.SHUT}
        self._turns += ((lane, Turn.SHUT) for lane in lanes if lane not in known)

    def _put(self, job: Job, place: Place) -> None:
        lane = self._lanes.lane(place)
        destination = job.batch.destination
        self._move(destination, lane)
        lane.remember(destination)
        lane.bind(self._rule_of(destination))
        if lane.back_off.is_shut(self._clock.wall()) or not self._lanes.add(lane, job):
            self._lanes.drop(job)
            self._turned_away.setdefault(lane, []).append(job.batch)

    def _move(self, destination: str, lane: Lane) -> None:
        """The site where it went before has no say about its mail any more."""
        before = self._homes.get(destination)
        if before is not lane:
            if before is not None:
                before.destinations.pop(destination, None)
            elif len(self._homes) >= _HOMES:
                self._homes.clear()
            self._homes[destination] = lane

    # --- looking up

    def _seek(self, job: Job) -> None:
        self._lanes.hold(job)
        key = (job.batch.destination, job.route)
        if key in self._sought:
            self._sought[key].append(job)
            return
        self._sought[key] = [job]
        task = asyncio.get_running_loop().create_task(self._find(*key), name="look up a site")
        self._look_ups.add(task)
        task.add_done_callback(self._look_ups.discard)

    async def _find(self, destination: str, route: Route) -> None:
        try:
            async with self._look_up_places:
                place = await self._places.find(destination, route)
        except Exception as fault:
            _log.error("site not found", destination=destination, fault=str(fault), exc_info=True)
            jobs = self._sought.pop((destination, route), [])
            for job in jobs:
                self._lanes.drop(job)
            self._not_found.append((destination, [job.batch for job in jobs]))
            self.on_placed()
            return
        for job in self._sought.pop((destination, route), []):
            self._put(job, place)
        self.on_placed()

    # --- what must be waited for

    @property
    def has_chores(self) -> bool:
        """Whether ``do_chores`` has something to do."""
        return bool(self._turned_away or self._to_hold or self._not_found or self._turns)

    async def do_chores(self) -> None:
        """Tell the spool what entering and delivering brought about; what fails is logged, and its lease runs out."""
        while self.has_chores:
            turns, self._turns = self._turns, []
            away, self._turned_away = self._turned_away, {}
            to_hold, self._to_hold = self._to_hold, []
            not_found, self._not_found = self._not_found, []
            for lane, turn in turns:
                await _tried(self._standing.shut(lane) if turn is Turn.SHUT else self._standing.opened(lane))
            for lane, batches in away.items():
                await _tried(self._standing.turn_away(lane, batches))
            for batch, route in to_hold:
                await _tried(self._hold(batch, route))
            for destination, batches in not_found:
                await _tried(self._give_up_for_now(destination, batches))
            if turns:
                self.on_turned()

    async def probe(self, destination: str | None = None) -> None:
        """Let a delivery try every site that is left alone; with ``destination``, only its site."""
        for lane in self._lanes.lanes:
            if lane.back_off.until is not None and (destination is None or destination in lane.destinations):
                lane.back_off.end(self._clock.wall())
                await self._standing.wake(lane)

    async def _give_up_for_now(self, destination: str, batches: list[Batch]) -> None:
        await self._leases.give_back(batches)
        await self._spool.postpone(destination, self._clock.wall() + _FAULT)

    async def _hold(self, batch: Batch, route: Hold) -> None:
        try:
            await self._spool.hold(batch.message.id, route.reason, [one.number for one in batch.message.recipients])
        except NotFound:
            return
        await self._leases.give_back((batch,))
        _log.info("held", message=batch.message.id, destination=batch.destination, reason=route.reason)

    # --- routes that changed, and the end

    def enter_again(self) -> None:
        """All that has not begun finds its way by the routes of now."""
        to_hold, self._to_hold = self._to_hold, []
        for batch in (*self._take_waiting(), *(batch for batch, _ in to_hold)):
            self.enter(batch)

    async def give_back_all(self) -> None:
        """All that has not begun goes back."""
        for task in self._look_ups:
            task.cancel()
        away = [batch for batches in self._turned_away.values() for batch in batches]
        held = [batch for batch, _ in self._to_hold]
        lost = [batch for _, batches in self._not_found for batch in batches]
        self._turned_away, self._to_hold, self._not_found, self._turns = {}, [], [], []
        await self._leases.give_back([*self._take_waiting(), *away, *held, *lost])

    def _take_waiting(self) -> Iterable[Batch]:
        jobs = [job for lane in self._lanes.lanes for job in self._lanes.take_all(lane)]
        for sought in self._sought.values():
            for job in sought:
                self._lanes.drop(job)
            jobs += sought
            sought.clear()
        return [job.batch for job in jobs]


async def _tried(work: Awaitable[None]) -> None:
    try:
        await work
    except SpoolError as fault:
        _log.error("queue not changed", fault=fault.message)


def _numbers(batch: Batch) -> set[int]:
    return {one.number for one in batch.message.recipients}
