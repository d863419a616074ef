"""How much mail goes through, as operators ask for it. Everything comes from memory; nothing here waits.

Times go back from now. Up to 25 hours are known by the minute, up to 8 days by the hour; what is asked for beyond is
shown as nothing. A bucket begins at a multiple of its length since the epoch, and the last one holds now, so that it is
not full yet. What the names count stands in ``observe.traffic``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from postroad.observe.traffic import MINUTE, MINUTES, NAMES, Traffic
from postroad.observe.traffic_destinations import HOUR, OUTCOMES, Destination
from postroad.observe.traffic_rings import Ring

#: Buckets that are given at most.
MAX_BUCKETS: Final = 1_500


@dataclass(frozen=True, slots=True)
class Totals:
    """``accepted`` messages; ``delivered``, ``deferred`` and ``failed`` recipients; ``refused`` commands."""

    accepted: int
    delivered: int
    deferred: int
    failed: int
    refused: int


@dataclass(frozen=True, slots=True)
class Span:
    """Counts in buckets of ``step`` seconds."""

    starts: tuple[float, ...]
    """When each bucket begins (seconds since the epoch)."""
    step: float
    values: Mapping[str, tuple[int, ...]]
    """Name -> a count for each bucket."""


@dataclass(frozen=True, slots=True)
class Seen:
    """How often a code was said to clients, and heard from next hops."""

    said: int
    heard: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the recipients of a destination."""

    delivered: int
    deferred: int
    failed: int
    last_delivered_at: float | None
    """Seconds since the epoch; None: never, as far as is known."""
    last_failed_at: float | None = None
    """When one was last deferred or failed."""


class TrafficDesk:
    """See the module."""

    def __init__(self, traffic: Traffic) -> None:
        self._traffic = traffic

    def totals(self, seconds: float) -> Totals:
        """What was counted in the last so many seconds; the bucket in which they begin counts whole."""
        ring = self._ring(seconds)
        now = self._traffic.now()
        found = self._traffic.read(ring, _bucket(now - seconds, ring.step), _bucket(now, ring.step))
        return Totals(*(sum(found[name]) for name in ("accepted", "delivered", "deferred", "failed", "refused")))

    def series(self, seconds: float, step: float) -> Span:
        """The last so many seconds in buckets of ``step``, which is rounded up to whole minutes (beyond a day: hours)."""
        ring = self._ring(seconds)
        starts, width = self._starts(seconds, step, ring.step)
        first = _bucket(starts[0], ring.step)
        found = self._traffic.read(ring, first, first + len(starts) * width - 1)
        values = {name: _joined(found[name], width) for name in NAMES}
        return Span(starts, float(width * ring.step), values)

    def code(self, code: int, seconds: float = 7 * 86_400) -> Seen:
        """How often a code was a reply; the hour in which the time begins counts whole."""
        return self.codes(seconds).get(code, Seen(0, 0))

    def codes(self, seconds: float) -> Mapping[int, Seen]:
        """The same for every code that was a reply, in order."""
        found = self._traffic.codes_since(_bucket(self._traffic.now() - seconds, HOUR))
        codes = sorted({code for _, code in found})
        return {code: Seen(found["said", code], found["heard", code]) for code in codes}

    def destinations(self, seconds: float) -> Mapping[str, Tally]:
        """Every destination of which something came in that time (its first hour counts whole), the newest first.

        At most the 2,000 that were used last; their names are text of peers.
        """
        last = _bucket(self._traffic.now(), HOUR)
        first = _bucket(self._traffic.now() - seconds, HOUR)
        found = {name: _tally(one, first, last) for name, one in reversed(self._traffic.destinations.all.items())}
        return {name: one for name, one in found.items() if one.delivered or one.deferred or one.failed}

    def destination(self, name: str, seconds: float, step: float) -> Span:
        """``delivered``, ``deferred`` and ``failed`` of one, in buckets of ``step`` rounded up to whole hours."""
        starts, width = self._starts(seconds, step, HOUR)
        first = _bucket(starts[0], HOUR)
        counts = [[0] * len(starts) for _ in OUTCOMES]
        known = self._traffic.destination(name)
        for hour, *row in known.hours(first, first + len(starts) * width - 1) if known is not None else ():
            for outcome, count in enumerate(row):
                counts[outcome][(hour - first) // width] += count
        values = {name: tuple(count) for name, count in zip(OUTCOMES, counts, strict=True)}
        return Span(starts, float(width * HOUR), values)

    def _ring(self, seconds: float) -> Ring:
        """By the minute as far as that is known."""
        return self._traffic.minutes if seconds <= MINUTES * MINUTE else self._traffic.hours

    def _starts(self, seconds: float, step: float, unit: int) -> tuple[tuple[float, ...], int]:
        """Where the buckets begin, and how many ``unit`` each has."""
        width = max(math.ceil(step / unit), 1)
        length = width * unit
        count = min(max(math.ceil(seconds / length), 1), MAX_BUCKETS)
        last = _bucket(self._traffic.now(), length)
        return tuple(float((last - back) * length) for back in range(count - 1, -1, -1)), width


def _bucket(at: float, step: int) -> int:
    return int(at // step)  # strict: a float


def _joined(counts: Sequence[int], width: int) -> tuple[int, ...]:
    return tuple(sum(counts[place : place + width]) for place in range(0, len(counts), width))


def _tally(one: Destination, first: int, last: int) -> Tally:
    delivered = deferred = failed = 0
    for _, taken, waiting, given_up in one.hours(first, last):
        delivered += taken
        deferred += waiting
        failed += given_up
    return Tally(delivered, deferred, failed, one.last_delivered_at, one.last_failed_at)
