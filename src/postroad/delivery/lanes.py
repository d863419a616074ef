"""Who may go now: work waits in a lane for each route, so that a host that is slow or away holds up only its own mail.

Bounds: workers in all, workers of one lane, waiting of one lane, leases in all. What finds its lane full is put aside and
comes back when the lane has room; what is worth leasing is reckoned so that this hardly happens while mail flows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from postroad.delivery.routing import Route
from postroad.envelope import Batch

#: Batches of one call to the spool.
_AT_ONCE: Final = 100
#: Seconds between two looks for mail behind a full lane, and how many batches are lifted to look there.
_PEEP_EVERY: Final = 1.0
_PEEP: Final = 50
#: Batches that one lane remembers to have put aside; others come back when their lease runs out.
_ASIDE: Final = 2000


@dataclass(frozen=True, slots=True)
class RunnerLimits:
    """How much goes on at once."""

    workers: int = 50
    """Deliveries in all."""
    per_route: int = 10
    """Deliveries by one route."""
    waiting: int = 250
    """Leased batches that wait for one route."""
    leases: int = 1000
    """Leased batches in all, those under way included."""
    lease: float = 120.0
    """Seconds of a lease; it is prolonged when half of them are gone."""
    aside: float = 300.0
    """Seconds of the lease of a batch that was put aside, since its lane is full."""


@dataclass(slots=True, eq=False)
class Job:
    """One leased batch, waiting or on its way."""

    batch: Batch
    route: Route
    task: asyncio.Task[None] | None = None

    @property
    def key(self) -> tuple[str, str]:
        """No two jobs at a time have the same."""
        return (self.batch.message.id, self.batch.destination)


@dataclass(slots=True)
class _Lane:
    busy: int = 0
    waiting: deque[Job] = field(default_factory=deque)
    aside: deque[Batch] = field(default_factory=lambda: deque(maxlen=_ASIDE))

    @property
    def is_empty(self) -> bool:
        return not (self.busy or self.waiting or self.aside)


class Lanes:
    """All jobs of a runner."""

    def __init__(self, limits: RunnerLimits) -> None:
        self._limits = limits
        self._lanes: dict[str, _Lane] = {}
        self._jobs: dict[tuple[str, str], Job] = {}
        self._busy = 0
        self._last_peep = float("-inf")

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(list(self._jobs.values()))

    def find(self, batch: Batch) -> Job | None:
        """The job that works on the same message and destination."""
        return self._jobs.get((batch.message.id, batch.destination))

    def worth_leasing(self, now: float) -> int:
        """How many batches to ask the spool for (0: none now); ``now`` of the monotonic clock.

        The spool does not know lanes: as long as one is nearly full, only a few are lifted now and then to see whether
        there is mail for another.
        """
        room = self._limits.leases - len(self._jobs)
        fullest = max((len(lane.waiting) for lane in self._lanes.values()), default=0)
        space = min(room, self._limits.waiting - fullest, _AT_ONCE)
        if space >= min(self._limits.waiting / 2, _AT_ONCE):
            return space
        if room > 0 and now - self._last_peep >= _PEEP_EVERY:
            self._last_peep = now
            return min(room, _PEEP)
        return 0

    def add(self, job: Job) -> bool:
        """Let a job wait; False when its lane is full."""
        lane = self._lanes.setdefault(str(job.route), _Lane())
        if len(lane.waiting) >= self._limits.waiting:
            return False
        lane.waiting.append(job)
        self._jobs[job.key] = job
        return True

    def next_job(self) -> Job | None:
        """A job that may begin now, the lanes in turn; None when all places are taken or nothing waits."""
        if self._busy >= self._limits.workers:
            return None
        for name, lane in self._lanes.items():
            if lane.waiting and lane.busy < self._limits.per_route:
                self._lanes[name] = self._lanes.pop(name)  # to the end of the turn
                lane.busy += 1
                self._busy += 1
                return lane.waiting.popleft()
        return None

    def finish(self, job: Job) -> None:
        """A job is over."""
        self._jobs.pop(job.key, None)
        self._busy -= 1
        name = str(job.route)
        lane = self._lanes[name]
        lane.busy -= 1
        if lane.is_empty:
            del self._lanes[name]

    def put_aside(self, route: Route, batch: Batch) -> None:
        """Remember a batch whose lane is full."""
        self._lanes.setdefault(str(route), _Lane()).aside.append(batch)

    def take_aside(self) -> list[Batch]:
        """What was put aside and has room again; not for every place that becomes free, but for half a lane at a time."""
        taken: list[Batch] = []
        for lane in self._lanes.values():
            if self._has_room(lane):
                room = self._limits.waiting - len(lane.waiting)
                taken += [lane.aside.popleft() for _ in range(min(room, len(lane.aside)))]
        return taken

    @property
    def wants_aside(self) -> bool:
        """Whether ``take_aside`` would give anything."""
        return any(self._has_room(lane) for lane in self._lanes.values())

    def _has_room(self, lane: _Lane) -> bool:
        return bool(lane.aside) and len(lane.waiting) <= self._limits.waiting // 2

    def take_waiting(self) -> list[Batch]:
        """All that has not begun, taken out."""
        jobs = [job for lane in self._lanes.values() for job in lane.waiting]
        taken = [job.batch for job in jobs] + [batch for lane in self._lanes.values() for batch in lane.aside]
        for job in jobs:
            self._jobs.pop(job.key, None)
        for lane in self._lanes.values():
            lane.waiting.clear()
            lane.aside.clear()
        self._lanes = {name: lane for name, lane in self._lanes.items() if not lane.is_empty}
        return taken
