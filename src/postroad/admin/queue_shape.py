"""The shape of the queue: how much waits for whom since when. A slow host fills the old columns of one line, a flood the
young ones, and a fault of our own every line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from postroad.admin.others import MAX_GROUPS
from postroad.envelope import RecipientState
from postroad.spool.interface import AgeGroup, Ages, MessageQuery, SpoolView

#: Where one column ends and the next begins, in minutes of age; the last column has no end.
AGES: Final = (5, 10, 20, 40, 80, 160, 320, 640, 1280)


@dataclass(frozen=True, slots=True)
class Line:
    """Recipients of a destination."""

    destination: str
    """``""``: of several together."""
    recipients: int
    columns: tuple[int, ...]
    """How many there are of each age, the youngest first; one column more than AGES."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Recipients in one state."""

    at: float
    """When it was counted (seconds since the epoch)."""
    whole: Line
    destinations: int
    lines: tuple[Line, ...]
    """The destinations with the most recipients first."""
    rest: Line | None
    """All destinations that have no line of their own; None: each has one."""


async def shape(spools: Sequence[SpoolView], state: RecipientState, now: float, limit: int) -> Shape:
    """The shape, with ``limit`` destinations one by one; raises SpoolError."""
    moments = [now - 60.0 * minutes for minutes in AGES]
    most = limit if len(spools) == 1 else MAX_GROUPS
    found = [await spool.ages(MessageQuery(state=state), moments, most) for spool in spools]
    return _shape(now, found, limit)


def _shape(now: float, found: Sequence[Ages], limit: int) -> Shape:
    whole = _together("", [one.all for one in found])
    apart: dict[str, list[AgeGroup]] = {}
    for ages in found:
        for group in ages.largest:
            apart.setdefault(group.key, []).append(group)
    destinations = found[0].destinations if len(found) == 1 else len(apart)
    lines = sorted((_together(*pair) for pair in apart.items()), key=lambda one: (-one.recipients, one.destination))
    shown = tuple(lines[:limit])
    rest = None
    if destinations > len(shown):
        columns = zip(whole.columns, *(one.columns for one in shown), strict=True)
        left = tuple(first - sum(others) for first, *others in columns)
        rest = Line("", whole.recipients - sum(one.recipients for one in shown), left)
    return Shape(now, whole, destinations, shown, rest)


def _together(destination: str, groups: Sequence[AgeGroup]) -> Line:
    """The groups of one destination in all shards."""
    recipients = sum(one.recipients for one in groups)
    before = [sum(counts) for counts in zip(*(one.before for one in groups), strict=True)] or [0] * len(AGES)
    steps = [recipients, *before, 0]
    return Line(destination, recipients, tuple(older - old for older, old in pairwise(steps)))
