"""How much one site bears, learnt from what comes back: concurrency that grows and shrinks, and a rate; no clock inside.

Concurrency starts at 2, grows by one with each success until the first sign of overload, then by one for each full
round of successes (additive increase); a sign of overload halves it (multiplicative decrease), at most once for all
that was under way at the time, since those speak of one and the same moment.
"""

from __future__ import annotations

from typing import Final

#: As Postfix has it: begin low, end at 20 (default_destination_concurrency_limit).
START: Final = 2
MOST: Final = 20


class Window:
    """How many deliveries at a time."""

    __slots__ = ("_fast", "_round", "_size", "most")

    def __init__(self, most: int = MOST, start: int = START) -> None:
        self.most = max(most, 1)
        self._size = float(min(start, self.most))
        self._fast = True
        self._round = 0

    @property
    def size(self) -> int:
        """Deliveries that may be under way now, at least 1."""
        return int(self._size)

    @property
    def round(self) -> int:
        """Which round a delivery that begins now belongs to; to be given back with its outcome."""
        return self._round

    def succeeded(self) -> None:
        """The host took part without complaint."""
        step = 1.0 if self._fast else 1.0 / self._size
        self._size = min(self._size + step, float(self.most))

    def overloaded(self, begun_in: int) -> None:
        """The host said that it is too much, or broke off, to a delivery of the round ``begun_in``."""
        if begun_in < self._round:
            return
        self._round += 1
        self._fast = False
        self._size = max(self._size / 2, 1.0)


class Rate:
    """A token bucket: so many a second, with a burst of what one second (at least one) brings."""

    __slots__ = ("_at", "_burst", "_tokens", "per_second")

    def __init__(self, per_second: float = 0.0) -> None:
        """0: no limit."""
        self.per_second = per_second
        self._burst = max(per_second, 1.0)
        self._tokens = self._burst
        self._at = float("-inf")

    def take(self, now: float) -> float:
        """0.0 and a token is gone, or the seconds until there is one; ``now`` of the monotonic clock."""
        if not self.per_second:
            return 0.0
        if self._at != float("-inf"):
            self._tokens = min(self._tokens + (now - self._at) * self.per_second, self._burst)
        self._at = now
        if self._tokens >= 1.0 - 1e-9:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self.per_second
