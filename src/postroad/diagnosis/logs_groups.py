"""Counts of a log by destination and reason, in bounded memory: when there are too many, the rare ones go to a rest.

Every event is counted exactly once, in a group or in the rest. A group whose early events may have gone to the rest says
so (``partial``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from postroad.diagnosis.logs_event import Event
from postroad.replies.classify import Classification

MOST: Final = 20_000
"""Groups that are kept at most while a log is read."""

MAX_KEPT: Final = 1_000
"""Characters that are kept of each text of an example: there are as many examples as groups."""

Key = tuple[str, str, str]
"""(destination, outcome, reason)"""


@dataclass(slots=True)
class Group:
    """What happened alike at one destination."""

    destination: str
    outcome: str
    found: Classification
    example: Event
    """The newest."""
    count: int = 0
    first: float = 0.0
    """Seconds since the epoch; 0 when no line told."""
    last: float = 0.0
    partial: bool = False


@dataclass(slots=True)
class Rest:
    """What is no longer told apart by destination."""

    outcome: str
    reason: str
    count: int = 0
    groups: int = 0
    """How often a group was given up; a destination may have been given up more than once."""
    first: float = 0.0
    last: float = 0.0


@dataclass(slots=True)
class Total:
    """One reason at all destinations."""

    outcome: str
    reason: str
    count: int = 0
    destinations: int = 0
    """Those that have a group."""


class Groups:
    """All groups of a log."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._groups: dict[Key, Group] = {}
        self._rest: dict[tuple[str, str], Rest] = {}
        self._given_up = False

    def _every(self) -> list[Group | Rest]:
        return [*self._groups.values(), *self._rest.values()]

    def add(self, event: Event, found: Classification) -> None:
        """Count one event."""
        key = (event.destination, event.outcome, found.reason)
        group = self._groups.get(key)
        if group is None:
            if len(self._groups) >= self._most:
                self._give_up()
            event = _kept(event)
            group = self._groups[key] = Group(event.destination, event.outcome, found, event, partial=self._given_up)
        group.count += 1
        at = event.at
        if at:
            group.example, group.found = _kept(event), found
            group.last = max(group.last, at)
            if not group.first or at < group.first:
                group.first = at

    def _give_up(self) -> None:
        """The rarer half of the groups to the rest."""
        self._given_up = True
        ordered = sorted(self._groups.values(), key=lambda one: one.count)
        for group in ordered[: len(ordered) // 2 + 1]:
            key = (group.outcome, group.found.reason)
            rest = self._rest.setdefault(key, Rest(*key))
            _join(rest, group)
            del self._groups[group.destination, *key]

    def top(self, limit: int, without: str = "") -> tuple[list[Group], list[Rest]]:
        """The ``limit`` groups with the highest counts, and the rest, each in falling order; none of one outcome."""
        wanted = [one for one in self._groups.values() if one.outcome != without]
        ordered = sorted(wanted, key=lambda one: (-one.count, one.destination, one.outcome))
        rests = {
            key: Rest(one.outcome, one.reason, one.count, one.groups, one.first, one.last)
            for key, one in self._rest.items()
            if one.outcome != without
        }
        for group in ordered[limit:]:
            key = (group.outcome, group.found.reason)
            _join(rests.setdefault(key, Rest(*key)), group)
        return ordered[:limit], sorted(rests.values(), key=lambda one: (-one.count, one.outcome, one.reason))

    def reasons(self, without: str = "") -> list[Total]:
        """Events by outcome and reason, whatever the destination, in falling order; none of one outcome."""
        totals: dict[tuple[str, str], Total] = {}
        for group in self._groups.values():
            key = (group.outcome, group.found.reason)
            total = totals.setdefault(key, Total(*key))
            total.count += group.count
            total.destinations += 1
        for key, rest in self._rest.items():
            total = totals.setdefault(key, Total(*key))
            total.count += rest.count
        found = [one for one in totals.values() if one.outcome != without]
        return sorted(found, key=lambda one: (-one.count, one.outcome, one.reason))

    def outcomes(self) -> dict[str, int]:
        """Events by outcome."""
        counts: dict[str, int] = {}
        for one in self._every():
            counts[one.outcome] = counts.get(one.outcome, 0) + one.count
        return counts

    def delivered(self) -> dict[str, int]:
        """Deliveries by destination, of the groups that are kept."""
        return {one.destination: one.count for one in self._groups.values() if one.outcome == "delivered"}

    def destinations(self) -> int:
        """How many destinations have a group."""
        return len({one.destination for one in self._groups.values()})

    def span(self) -> tuple[float, float]:
        """The first and the last moment of all; 0 when no line told."""
        every = self._every()
        return min((one.first for one in every if one.first), default=0.0), max(
            (one.last for one in every), default=0.0
        )


def _kept(event: Event) -> Event:
    """The event, its texts no longer than they are shown."""
    if len(event.reply) + len(event.text) + len(event.status) + len(event.message) + len(event.delay) <= MAX_KEPT:
        return event
    return event._replace(
        reply=event.reply[:MAX_KEPT],
        text=event.text[:MAX_KEPT],
        status=event.status[:MAX_KEPT],
        message=event.message[:MAX_KEPT],
        delay=event.delay[:MAX_KEPT],
    )


def _join(rest: Rest, group: Group) -> None:
    rest.count += group.count
    rest.groups += 1
    rest.last = max(rest.last, group.last)
    if group.first and (not rest.first or group.first < rest.first):
        rest.first = group.first
