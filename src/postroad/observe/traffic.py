"""How much mail goes through in time: by the minute for 25 hours, by the hour for 8 days, by destination and by code.

It only listens to what the spool tells after each transaction, and takes differences of the counters of ``Metrics``
whenever somebody asks or ``sample`` is called: a reply counts where it was noticed, which is late by one tick at most.
All of it takes 180 kB, some kB for each code, and what ``traffic_destinations`` tells.

What is counted:

- ``accepted``: messages that were taken from clients; the reports that were made here are not among them.
- ``delivered``, ``deferred``, ``failed``: recipients, by what each attempt came to. Somebody held, released, dropped or
  given up by the operator was not attempted and is counted nowhere; somebody whose time was over has failed.
- ``refused``: 4yz and 5yz that we said to CONNECT, MAIL, RCPT, DATA, BDAT or CONTENT: mail, or a client with mail, that
  was turned away. A command in the wrong order (503) is no refusal of mail, and neither is a password that was wrong.
- ``said_2``, ``said_4``, ``said_5``, ``heard_2`` …: replies to clients and of next hops by their first digit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from postroad.address import normal_domain
from postroad.clock import Clock, SystemClock
from postroad.envelope import Attempt, Draft, JournalEntry, Outcome, Result
from postroad.observe.metrics import Direction, Metrics
from postroad.observe.traffic_destinations import HOUR, HOURS, Destination, Destinations
from postroad.observe.traffic_rings import Ring

NAMES: Final = (
    "accepted",
    "delivered",
    "deferred",
    "failed",
    "refused",
    "said_2",
    "said_4",
    "said_5",
    "heard_2",
    "heard_4",
    "heard_5",
)
MINUTE: Final = 60
#: Minutes that are kept: a day and an hour.
MINUTES: Final = 25 * 60

_PLACE: Final = {name: place for place, name in enumerate(NAMES)}
_ACCEPTED: Final = _PLACE["accepted"]
_REFUSED: Final = _PLACE["refused"]
#: Outcome -> its place among the outcomes of a destination; in NAMES it is one further.
_OUTCOMES: Final = {Outcome.DELIVERED: 0, Outcome.DEFERRED: 1, Outcome.FAILED: 2}
_REFUSING: Final = frozenset({"CONNECT", "MAIL", "RCPT", "DATA", "BDAT", "CONTENT"})
_OUT_OF_ORDER: Final = 503

#: (direction, code) -> how often.
Codes = Counter[tuple[Direction, int]]


class Traffic:
    """See the module."""

    def __init__(self, clock: Clock | None = None, metrics: Metrics | None = None) -> None:
        """``metrics`` None: no replies are counted."""
        self._clock = clock or SystemClock()
        self._metrics = metrics
        self._seen: Mapping[tuple[Direction, str, int, str], int] = {}
        self.minutes = Ring(NAMES, MINUTE, MINUTES)
        self.hours = Ring(NAMES, HOUR, HOURS + 1)
        self.codes: dict[int, Codes] = {}
        """By hour (epoch seconds / 3600); at most 8 days of them."""
        self.destinations = Destinations()
        self.changes = 0
        """Grows whenever something is counted."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._clock.wall()

    # --- counting

    def accepted(self, drafts: Sequence[Draft]) -> None:
        """For ``Spool.on_accepted``."""
        taken = sum(draft.origin.listener != "report" for draft in drafts)
        if taken:
            self._add(self._clock.wall(), _ACCEPTED, taken)

    def settled(self, entries: Sequence[JournalEntry]) -> None:
        """For ``Spool.on_settled``."""
        now = self._clock.wall()
        counts = [0, 0, 0]
        for entry in entries:
            for result in entry.attempt.results:
                outcome = attempted(entry.attempt, result)
                if outcome is not None:
                    counts[outcome] += 1
                    name = destination_of(entry.forward_paths.get(result.number, ""))
                    self.destinations.add(name, now, outcome)
        for outcome, count in enumerate(counts):
            if count:
                self._add(now, 1 + outcome, count)

    def sample(self) -> None:
        """Take in the replies that were counted since the last time."""
        if self._metrics is None:
            return
        now = self._clock.wall()
        current = self._metrics.replies()
        codes: Codes = Counter()
        refused = 0
        for key, count in current.items():
            more = count - self._seen.get(key, 0)
            if more > 0:
                direction, verb, code, _ = key
                codes[direction, code] += more
                if _refuses(direction, verb, code):
                    refused += more
        self._seen = current
        if refused:
            self._add(now, _REFUSED, refused)
        for (direction, code), count in codes.items():
            place = _PLACE.get(f"{direction}_{code // 100}")
            if place is not None:
                self._add(now, place, count)
        if codes:
            self._keep_codes(int(now // HOUR), codes)  # strict: a float

    def _add(self, at: float, name: int, count: int) -> None:
        self.minutes.add(at, name, count)
        self.hours.add(at, name, count)
        self.changes += 1

    def _keep_codes(self, hour: int, codes: Codes) -> None:
        kept = self.codes.get(hour)
        if kept is None:
            kept = self.codes[hour] = Counter()
            while len(self.codes) > HOURS + 1:
                del self.codes[min(self.codes)]
        kept.update(codes)

    # --- telling

    def read(self, ring: Ring, first: int, last: int) -> Mapping[str, Sequence[int]]:
        """By name the numbers of the buckets from ``first`` to ``last`` of ``minutes`` or ``hours``."""
        self.sample()
        return dict(zip(NAMES, ring.read(first, last), strict=True))

    def codes_since(self, hour: int) -> Codes:
        """How often each code was said and heard in the hours from ``hour`` on (epoch seconds / 3600)."""
        self.sample()
        found: Codes = Counter()
        for kept, codes in self.codes.items():
            if kept >= hour:
                found.update(codes)
        return found

    def destination(self, name: str) -> Destination | None:
        """One destination, None when nothing is known of it."""
        return self.destinations.get(name)


def attempted(attempt: Attempt, result: Result) -> int | None:
    """Where a result counts in ``OUTCOMES``; None: nothing was attempted, or it waits for the operator."""
    if attempt.route or result.uncertain or result.expired:
        return _OUTCOMES.get(result.outcome)
    return None


@lru_cache(maxsize=4096)
def _domain(domain: str) -> str:
    return normal_domain(domain)


def destination_of(path: str) -> str:
    """The destination to which a forward-path belongs."""
    _, at, domain = path.rpartition("@")
    return _domain(domain) if at else "localhost"


def _refuses(direction: Direction, verb: str, code: int) -> bool:
    return direction == "said" and verb in _REFUSING and code >= 400 and code != _OUT_OF_ORDER
