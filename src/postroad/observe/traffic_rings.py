"""Counts in time: a fixed number of buckets of one length, aligned to the epoch; the oldest are written over."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence


class Ring:
    """``size`` buckets of ``step`` seconds, each with a number under each of ``names``: 8 octets a number.

    A bucket remembers which one it is, so that a clock that jumps, forth or back, never mixes old and new.
    """

    def __init__(self, names: Sequence[str], step: int, size: int) -> None:
        self.names = tuple(names)
        self.step = step
        self.size = size
        self._which = array("q", bytes(8 * size))
        self._counts = array("Q", bytes(8 * size * len(self.names)))

    def add(self, at: float, name: int, count: int) -> None:
        """``count`` more under ``names[name]`` at ``at`` (seconds since the epoch)."""
        which = int(at // self.step)  # strict: a float
        place = which % self.size
        width = len(self.names)
        if self._which[place] != which:
            self._which[place] = which
            self._counts[place * width : (place + 1) * width] = array("Q", bytes(8 * width))
        self._counts[place * width + name] += count

    def read(self, first: int, last: int) -> list[list[int]]:
        """By name the numbers of the buckets ``first`` to ``last`` (epoch seconds / ``step``), 0 where none is kept."""
        width = len(self.names)
        places = [
            which % self.size if self._which[which % self.size] == which else -1 for which in range(first, last + 1)
        ]
        found = []
        for name in range(width):
            column = self._counts[name::width]
            column.append(0)
            found.append([column[place] for place in places])
        return found

    def dump(self) -> tuple[bytes, bytes]:
        """All of it, little-endian, for ``load``."""
        return _little(self._which), _little(self._counts)

    def load(self, which: bytes, counts: bytes) -> None:
        """Take what ``dump`` gave; raises ValueError when it is of another shape."""
        if len(which) != 8 * self.size or len(counts) != 8 * self.size * len(self.names):
            raise ValueError("buckets of another shape")
        self._which, self._counts = _array("q", which), _array("Q", counts)


def _little(numbers: array[int]) -> bytes:
    return numbers.tobytes() if sys.byteorder == "little" else _swapped(numbers).tobytes()


def _array(kind: str, octets: bytes) -> array[int]:
    made: array[int] = array(kind, octets)
    return made if sys.byteorder == "little" else _swapped(made)


def _swapped(numbers: array[int]) -> array[int]:
    made = numbers[:]
    made.byteswap()
    return made
