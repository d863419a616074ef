"""One site's lane: what waits for it, what is under way, and what it was seen to bear."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from postroad.delivery.backoff import BackOff, Patience
from postroad.delivery.feedback import MOST, Rate, Window
from postroad.delivery.routing import Route
from postroad.delivery.rules import Rule
from postroad.delivery.sites import Place
from postroad.delivery.transport import Health
from postroad.envelope import Batch, MessageId

#: Waiting batches of one lane: what it does in a second, within these bounds for each delivery that may be under way. A
#: slow site shall not fill the places of all others.
_WAITING_EACH: Final = (2, 50)
_WAITING_TRIAL: Final = 3
#: Seconds of a delivery, as long as none is known, and how much the newest counts.
_PACE: Final = 0.2
_NEWEST: Final = 0.1
#: Destinations that one lane remembers.
_DESTINATIONS: Final = 2000


@dataclass(frozen=True, slots=True)
class RunnerLimits:
    """How much goes on at once."""

    workers: int = 100
    """Deliveries in all, to sites that answer."""
    trials: int = 500
    """Deliveries in all to sites that have not answered yet, one at a time to each: who waits for a dead host takes
    nobody's place."""
    per_site: int = MOST
    """Deliveries to one site, when it shows that it bears them."""
    rate: float = 0.0
    """Messages a second to one site; 0: no limit."""
    local: int = 10
    """Deliveries at a time into maildirs."""
    leases: int = 3000
    """Leased batches in all, those under way included."""
    lease: float = 300.0
    """Seconds of a lease; it is prolonged when half of them are gone."""
    per_lease: int = 400
    """Batches of one call to the spool, which waits for the disk."""


@dataclass(slots=True, eq=False)
class Job:
    """One leased batch, waiting or on its way."""

    batch: Batch
    route: Route
    lane: Lane | None = None
    companions: list[Job] = field(default_factory=list)
    """Other batches of the same message that go along."""
    begun: bool = False
    round: int = 0
    is_trial: bool = False
    is_over: bool = False
    """It is being written down: its recipients may be leased again before we hear that they are free."""
    task: asyncio.Task[None] | None = None

    @property
    def together(self) -> list[Job]:
        """It and its companions."""
        return [self, *self.companions]


class Turn(Enum):
    """How a site's standing changed."""

    NONE = "none"
    SHUT = "shut"
    """It is left alone from now on, until ``back_off.until``."""
    OPENED = "opened"
    """It was left alone, and answers again."""


class Lane:
    """One site's."""

    def __init__(self, place: Place, limits: RunnerLimits, patience: Patience) -> None:
        self.place = place
        far = place.is_far
        self.window = Window(limits.per_site) if far else Window(limits.local, limits.local)
        self.rate = Rate(limits.rate if far else 0.0)
        self.back_off = BackOff(patience)
        self.is_proven = not far
        """Whether it answered when it was last asked."""
        self.is_full = False
        """Since when too much waited, until half of it is gone."""
        self.is_ready = False
        self.pace = _PACE
        """Seconds that a delivery takes here."""
        self.running = 0
        self.waiting = 0
        self.destinations: dict[str, None] = {}
        """Those whose mail came by here, of late; bounded."""
        self._queue: deque[Job] = deque()
        self._by_message: dict[MessageId, list[Job]] = {}

    @property
    def key(self) -> str:
        """The site's."""
        return self.place.key

    @property
    def at_once(self) -> int:
        """Deliveries that may be under way now."""
        return self.window.size if self.is_proven and not self.back_off.is_probing else 1

    @property
    def has_place(self) -> bool:
        """Whether something waits that may begin as far as the site is concerned."""
        return self.waiting > 0 and self.running < self.at_once

    @property
    def capacity(self) -> int:
        """Batches that may wait."""
        if not self.is_proven:
            return _WAITING_TRIAL
        least, most = _WAITING_EACH
        return int(self.window.size * min(max(1.0 / self.pace, least), most))

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not (self.running or self.waiting)

    def bind(self, rule: Rule) -> None:
        """Heed what is said of a destination: of several the strictest holds."""
        if rule.per_site and rule.per_site < self.window.most:
            self.window = Window(rule.per_site)
        if rule.rate and not 0 < self.rate.per_second <= rule.rate:
            self.rate = Rate(rule.rate)

    def remember(self, destination: str) -> bool:
        """Keep a destination's name; False when there are too many."""
        if destination not in self.destinations:
            if len(self.destinations) >= _DESTINATIONS:
                return False
            self.destinations[destination] = None
        return True

    def append(self, job: Job) -> None:
        """Let a job wait."""
        job.lane = self
        self.waiting += 1
        self._queue.append(job)
        self._by_message.setdefault(job.batch.message.id, []).append(job)
        self.is_full = self.is_full or self.waiting >= self.capacity

    def take(self) -> Job:
        """The next that waits, with those who go along; one must be there."""
        job = self._queue.popleft()
        while job.begun:
            job = self._queue.popleft()
        together = self._by_message.pop(job.batch.message.id)
        for one in together:
            one.begun = True
        self.waiting -= len(together)
        self._settle_down()
        job.companions = [one for one in together if one is not job]
        return job

    def take_all(self) -> list[Job]:
        """All that waits, taken out."""
        jobs = [job for job in self._queue if not job.begun]
        self._queue.clear()
        self._by_message.clear()
        self.waiting = 0
        self._settle_down()
        return jobs

    def heard(self, health: Health, begun_in: int, now: float, fault: str, seconds: float = 0.0) -> Turn:
        """What a delivery of so many seconds says about the site; ``begun_in`` is the window's round when it began."""
        self.pace = max(self.pace + (seconds - self.pace) * _NEWEST, 1e-6)
        if health is Health.UNKNOWN:
            return Turn.NONE
        if health is Health.AWAY or (health is Health.REFUSED and not (self.is_proven and self.running > 1)):
            self.is_proven = not self.place.is_far
            self.window.overloaded(begun_in)
            return Turn.SHUT if self.place.is_far and self.back_off.failed(now, fault) else Turn.NONE
        if health is Health.FINE:
            self.window.succeeded()
        else:
            self.window.overloaded(begun_in)
        self.is_proven = True
        opened = self.back_off.succeeded()
        self.back_off.last_fault = "" if health is Health.FINE else fault
        self._settle_down()
        return Turn.OPENED if opened else Turn.NONE

    def _settle_down(self) -> None:
        if not self.waiting:
            self._queue.clear()
        if self.is_full and self.waiting <= self.capacity // 2:
            self.is_full = False
