"""What became of the recipients of each destination, by the hour.

Their names come from peers: any text. A destination takes 16 octets for each hour in which something came of its mail,
at most 193 of them, so that MAX_DESTINATIONS take 8 MB at the very worst, and usually some hundred kB.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

MAX_DESTINATIONS: Final = 2_000
MAX_NAME: Final = 255
HOUR: Final = 3600
HOURS: Final = 8 * 24
OUTCOMES: Final = ("delivered", "deferred", "failed")
#: Numbers of one hour.
WIDTH: Final = 1 + len(OUTCOMES)
_MOST: Final = 2**32 - 1


class Destination:
    """The tallies of one destination."""

    __slots__ = ("_rows", "last_delivered_at", "last_failed_at")

    def __init__(self, rows: Sequence[int] = (), delivered: float | None = None, failed: float | None = None) -> None:
        """``rows``: hour, delivered, deferred, failed, one after the other, the hours in order."""
        self._rows = array("I", rows)
        self.last_delivered_at = delivered
        """Seconds since the epoch."""
        self.last_failed_at = failed
        """When one was last deferred or failed (seconds since the epoch)."""

    def add(self, at: float, outcome: int) -> None:
        """One recipient more came to ``OUTCOMES[outcome]``."""
        rows, hour = self._rows, max(int(at // HOUR), 0)  # strict: a float
        if not rows or hour > rows[-WIDTH]:
            rows.extend((hour, 0, 0, 0))
            while rows[0] < hour - HOURS:
                del rows[:WIDTH]
        place = len(rows) - WIDTH + 1 + outcome  # a clock that was set back goes on in the newest hour
        rows[place] = min(rows[place] + 1, _MOST)
        if outcome == 0:
            self.last_delivered_at = at
        else:
            self.last_failed_at = at

    def hours(self, first: int, last: int) -> Iterator[tuple[int, int, int, int]]:
        """Hour (epoch seconds / 3600) and what became of mail in it, from ``first`` to ``last``."""
        rows = self._rows
        for place in range(0, len(rows), WIDTH):
            if first <= rows[place] <= last:
                yield rows[place], rows[place + 1], rows[place + 2], rows[place + 3]

    @property
    def rows(self) -> list[int]:
        """What the constructor takes."""
        return self._rows.tolist()


class Destinations:
    """The MAX_DESTINATIONS that were used last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Destination] = OrderedDict()

    def add(self, name: str, at: float, outcome: int) -> None:
        """One recipient more of the destination."""
        name = name[:MAX_NAME]
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = Destination()
            if len(self._known) > MAX_DESTINATIONS:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(name)
        found.add(at, outcome)

    def get(self, name: str) -> Destination | None:
        """One, None when nothing is known of it."""
        return self._known.get(name[:MAX_NAME])

    @property
    def all(self) -> OrderedDict[str, Destination]:
        """By name, the least recently used first."""
        return self._known

    def replace(self, known: Mapping[str, Destination]) -> None:
        """These and no others, the least recently used first."""
        self._known = OrderedDict(list(known.items())[-MAX_DESTINATIONS:])
