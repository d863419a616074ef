"""The patience with a site that cannot be reached: apart from every message's own schedule.

After some failures in a row to reach it the site is left alone for a minute, then one delivery probes it; each probe that
fails doubles the time, up to an hour. The first success ends all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import random
from typing import Final


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds and counts."""

    failures: int = 3
    """In a row, before the site is left alone."""
    first: float = 60.0
    longest: float = 3600.0
    jitter: float = 0.1
    """Part of the time by which it varies, so that sites that fell together are not probed together."""


USUAL: Final = Patience()


class BackOff:
    """One site's."""

    __slots__ = ("_patience", "_random", "_times", "failures", "last_fault", "until")

    def __init__(self, patience: Patience = USUAL, random: Callable[[], float] = random) -> None:
        self._patience = patience
        self._random = random
        self._times = 0
        self.failures = 0
        """In a row."""
        self.until: float | None = None
        """Seconds since the epoch when a probe may go; None: the site is not left alone."""
        self.last_fault = ""

    def is_shut(self, now: float) -> bool:
        """Whether nobody may go there now."""
        return self.until is not None and now < self.until <= now + self._patience.longest * (1 + self._patience.jitter)

    @property
    def is_probing(self) -> bool:
        """Whether only one at a time may go (once the time is over)."""
        return self.until is not None

    def failed(self, now: float, fault: str) -> bool:
        """The site could not be reached; whether that began, or prolonged, the time in which it is left alone."""
        self.last_fault = fault
        if self.is_shut(now):
            return False  # it was under way before
        self.failures += 1
        if self.failures < self._patience.failures:
            return False
        seconds = min(self._patience.first * 2.0 ** min(self._times, 30), self._patience.longest)
        seconds *= 1 + self._patience.jitter * (2 * self._random() - 1)
        self._times += 1
        self.until = now + seconds
        return True

    def succeeded(self) -> bool:
        """The site was reached; whether it had been left alone until now."""
        was_shut = self.until is not None
        self.until = None
        self._times = self.failures = 0
        self.last_fault = ""
        return was_shut

    def end(self, now: float) -> None:
        """Let a probe go now (the operator asks for it)."""
        if self.until is not None:
            self.until = min(self.until, now)
