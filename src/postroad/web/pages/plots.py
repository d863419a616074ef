"""Plots as values; ``plots.html`` makes a figure of one, with all its numbers in a table, from which ``plots.js`` draws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from postroad.web.pages import display

#: More points than this are too many to read, as dots and as rows of a table.
MAX_POINTS: Final = 200

Tone = Literal["good", "later", "never", "plain"]
Kind = Literal["lines", "bars"]


@dataclass(frozen=True, slots=True)
class Series:
    """Counts of one thing, one a bucket."""

    name: str
    """As the reader is told it."""
    tone: Tone
    values: Sequence[int]

    @property
    def total(self) -> int:
        """Over all buckets."""
        return sum(self.values)


@dataclass(frozen=True, slots=True)
class Plot:
    """Counts over time; raises ValueError when there are too many buckets, or a series has not one value for each."""

    id: str
    """Unique in its page."""
    title: str
    kind: Kind
    """``bars`` are stacked in the order of the series, the first at the bottom."""
    starts: Sequence[float]
    """When each bucket begins, in seconds since the epoch; in equal steps."""
    step: float
    """How long a bucket is, in seconds."""
    series: Sequence[Series]
    note: str = ""
    """A remark beside the title: what a bucket is, over how long."""

    def __post_init__(self) -> None:
        if len(self.starts) > MAX_POINTS:
            raise ValueError(f"{len(self.starts)} points in the plot {self.id}: take a longer step")
        if any(len(one.values) != len(self.starts) for one in self.series):
            raise ValueError(f"a series of the plot {self.id} has not one value for each of its buckets")

    @property
    def empty(self) -> bool:
        """Nothing was counted."""
        return not any(one.total for one in self.series)

    @property
    def offset(self) -> int:
        """Seconds by which the server's clock is ahead of UTC at the end of the plot."""
        there = display.local(self.starts[-1] if self.starts else 0.0).utcoffset()
        return 0 if there is None else int(there.total_seconds())

    def rows(self) -> Iterator[tuple[float, bool, list[int]]]:
        """For each bucket: its start, whether a day begins with it (the first one does), one value a series."""
        day = None
        for index, start in enumerate(self.starts):
            today = display.local(start).date()
            yield start, today != day, [one.values[index] for one in self.series]
            day = today
