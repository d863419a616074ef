"""Message ids: ``<shard>-<milliseconds><randomness>``, sortable by time and not to be guessed.

Written in the 32 letters and digits that stay apart when read aloud (Crockford's alphabet, in lower case, which sorts
in ASCII order): 9 characters of time (45 bits, until the year 3084) and 12 of randomness (60 bits).
"""

from __future__ import annotations

import os
import re
from itertools import product
from typing import Final

from postroad.clock import Clock
from postroad.envelope import MessageId

#: What an id may look like, whoever made it (envelope.MessageId).
MESSAGE_ID: Final = re.compile(r"[0-9A-Za-z-]{1,40}\Z")

_DIGITS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS: Final = tuple(map("".join, product(_DIGITS, repeat=2)))
_TIME_BITS: Final = 45
#: Numbers that are drawn at once: asking the system lets another thread go first, and waits until it is done.
_STOCK: Final = 256


class IdSource:
    """Gives ids of one shard; two sources never give the same one, since 60 bits are random."""

    __slots__ = ("_clock", "_millisecond", "_random", "_stem", "prefix")

    def __init__(self, shard: int, clock: Clock) -> None:
        if not 0 <= shard <= 9999:
            raise ValueError(f"a shard number is 0 to 9999, not {shard}")
        self.prefix = f"{shard}-"
        self._clock = clock
        self._millisecond = -1
        self._stem = ""
        self._random: list[int] = []

    def next(self) -> MessageId:
        """A fresh id."""
        millisecond = int(self._clock.wall() * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            self._stem = self.prefix + _time_digits(millisecond)
        if not self._random:
            self._random += memoryview(os.urandom(8 * _STOCK)).cast("Q")
        bits = self._random.pop()
        pairs = _PAIRS
        return MessageId(
            self._stem
            + pairs[bits & 1023]
            + pairs[bits >> 10 & 1023]
            + pairs[bits >> 20 & 1023]
            + pairs[bits >> 30 & 1023]
            + pairs[bits >> 40 & 1023]
            + pairs[bits >> 50 & 1023]
        )


def _time_digits(millisecond: int) -> str:
    """Nine digits, most significant first, so that text order is time order; a clock before 1970 counts as 1970."""
    bits = max(millisecond, 0) % (1 << _TIME_BITS)
    return "".join(_DIGITS[bits >> shift & 31] for shift in range(_TIME_BITS - 5, -1, -5))
