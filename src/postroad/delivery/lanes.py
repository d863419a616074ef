"""Who may go now: work waits in a lane for each site, so that a host that is slow or away holds up only its own mail.

Bounds: deliveries in all, trials (deliveries to sites that have not answered yet, or no longer) apart from them,
deliveries at a time to one site, what waits for one site, leases in all. A lane that is full names its destinations, so
that the spool gives no more of them.
"""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict, deque
from collections.abc import Iterator
from typing import Final

from postroad.delivery.backoff import USUAL, Patience
from postroad.delivery.lane import Job, Lane, RunnerLimits, Turn
from postroad.delivery.sites import Place
from postroad.delivery.transport import Health
from postroad.envelope import Batch, MessageId

#: Lanes that are kept for what they learnt although nothing waits in them.
_REMEMBERED: Final = 10_000


class Lanes:
    """All jobs of a runner."""

    def __init__(self, limits: RunnerLimits, patience: Patience = USUAL) -> None:
        self._limits = limits
        self._patience = patience
        self._lanes: OrderedDict[str, Lane] = OrderedDict()
        self._jobs: dict[Job, None] = {}
        self._by_recipient: dict[tuple[MessageId, int], Job] = {}
        self._ready: dict[bool, deque[Lane]] = {False: deque(), True: deque()}  # by Lane.is_proven
        self._places = {False: limits.trials, True: limits.workers}
        self._resting: list[tuple[float, int, Lane]] = []
        self._count = itertools.count()
        self.closed: dict[Lane, None] = {}
        """Where something waits although the site is left alone; nothing begins there until somebody sees to it, and
        takes it out of here. Such a lane was just shut, or the clock was set back to before its time was over."""
        self.made_room = False
        """Set when a lane that was full is so no longer; whoever heeds it clears it."""

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs))

    @property
    def lanes(self) -> list[Lane]:
        """All that are remembered."""
        return list(self._lanes.values())

    @property
    def room(self) -> int:
        """Batches that may still be leased."""
        return self._limits.leases - len(self._jobs)

    def find(self, batch: Batch) -> Job | None:
        """The job that works on any of the same recipients."""
        return next(filter(None, map(self._by_recipient.get, _names(batch))), None)

    def works_on(self, message_id: MessageId, number: int) -> bool:
        """Whether there is a job for this recipient."""
        return (message_id, number) in self._by_recipient

    def lane(self, place: Place) -> Lane:
        """The lane of a place."""
        lane = self._lanes.get(place.key)
        if lane is None:
            self._forget_some()
            lane = self._lanes[place.key] = Lane(place, self._limits, self._patience)
        else:
            lane.place = place
            self._lanes.move_to_end(place.key)
        return lane

    def known(self, place: Place) -> Lane | None:
        """The lane of a place, when there is one."""
        return self._lanes.get(place.key)

    @property
    def any_shut(self) -> bool:
        """Whether a site is left alone, or only probed."""
        return any(lane.back_off.is_probing for lane in self._lanes.values())

    def asleep(self) -> set[str]:
        """Destinations of sites that are left alone, or only probed; not all of a site with very many."""
        return {name for lane in self._lanes.values() if lane.back_off.is_probing for name in lane.destinations}

    def survey(self) -> tuple[set[str], int]:
        """The destinations of which no more can wait, and how many lanes have work."""
        busy = {name for lane in self._lanes.values() if lane.is_full for name in lane.destinations}
        return busy, sum(not lane.is_idle for lane in self._lanes.values())

    def hold(self, job: Job) -> None:
        """Count a job, whether its lane is known yet or not."""
        self._jobs[job] = None
        self._by_recipient.update(dict.fromkeys(_names(job.batch), job))

    def drop(self, job: Job) -> None:
        """Forget a job: it was given back, or settled."""
        if job in self._jobs:
            del self._jobs[job]
            for name in _names(job.batch):
                if self._by_recipient.get(name) is job:
                    del self._by_recipient[name]

    def add(self, lane: Lane, job: Job) -> bool:
        """Let a job wait in its lane; False when that is full."""
        if lane.is_full:
            return False
        self.hold(job)
        lane.append(job)
        self._offer(lane)
        return True

    def next_job(self, wall: float, monotonic: float) -> Job | None:
        """A job that may begin now, the lanes in turn; None when nothing can."""
        while self._resting and self._resting[0][0] <= monotonic:
            lane = heapq.heappop(self._resting)[2]
            lane.is_ready = False
            self._offer(lane)
        for proven in (True, False, True):  # what is found among the second may belong to the first
            ready = self._ready[proven]
            while ready and self._places[proven] > 0:
                lane = ready.popleft()
                lane.is_ready = False
                if lane.is_proven is not proven:
                    self._offer(lane)  # to its own
                elif not lane.has_place:
                    continue
                elif lane.back_off.is_shut(wall):
                    self.closed[lane] = None
                elif not self._rests(lane, monotonic):
                    return self._begin(lane)
        return None

    @property
    def next_rest_over(self) -> float | None:
        """When a rate allows the next delivery, of the monotonic clock."""
        return self._resting[0][0] if self._resting else None

    def release(self, job: Job) -> None:
        """A delivery is over; what came of it may still have to be written down."""
        lane = job.lane
        if lane is not None and job.begun:
            lane.running -= 1
            self._places[not job.is_trial] += 1
            self._offer(lane)

    def _offer(self, lane: Lane) -> None:
        """The lane may have something that can begin now."""
        if lane.has_place and not lane.is_ready:
            lane.is_ready = True
            self._ready[lane.is_proven].append(lane)

    def _rests(self, lane: Lane, monotonic: float) -> bool:
        seconds = lane.rate.take(monotonic)
        if seconds:
            lane.is_ready = True
            heapq.heappush(self._resting, (monotonic + seconds, next(self._count), lane))
        return seconds > 0

    def heard(self, job: Job, health: Health, now: float, fault: str, seconds: float = 0.0) -> Turn:
        """What a delivery says about its site."""
        lane = job.lane
        if lane is None:
            return Turn.NONE
        was_full = lane.is_full
        turn = lane.heard(health, job.round, now, fault, seconds)
        self.made_room = self.made_room or (was_full and not lane.is_full)
        return turn

    def take_all(self, lane: Lane) -> list[Job]:
        """All that waits in a lane, taken out."""
        jobs = lane.take_all()
        for job in jobs:
            self.drop(job)
        return jobs

    def _begin(self, lane: Lane) -> Job:
        was_full = lane.is_full
        job = lane.take()
        self.made_room = self.made_room or (was_full and not lane.is_full)
        job.round = lane.window.round
        job.is_trial = not lane.is_proven
        lane.running += 1
        self._places[lane.is_proven] -= 1
        self._offer(lane)
        return job

    def _forget_some(self) -> None:
        if len(self._lanes) < _REMEMBERED:
            return
        for key in [key for key, lane in self._lanes.items() if lane.is_idle][: _REMEMBERED // 10]:
            del self._lanes[key]


def _names(batch: Batch) -> Iterator[tuple[MessageId, int]]:
    message = batch.message
    return ((message.id, one.number) for one in message.recipients)
