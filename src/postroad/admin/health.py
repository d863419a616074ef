"""What the machine has left: storage and the certificate's time. Measured by the service, kept for some seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from postroad.clock import Clock

#: Seconds for which a measurement is good enough.
_FRESH: Final = 5.0


@dataclass(frozen=True, slots=True)
class Health:
    """None: not known, or there is none."""

    free_octets: int | None = None
    """What may still be stored: without what is kept free for delivery."""
    disk_octets: int | None = None
    """The size of the disk that holds the spool."""
    certificate_ends: float | None = None
    """When the certificate ends, in seconds since the epoch."""


class HealthDesk:
    """Asks ``measure`` at most every few seconds, however many ask here."""

    def __init__(self, measure: Callable[[], Health], clock: Clock) -> None:
        self._measure = measure
        self._clock = clock
        self._known: tuple[float, Health] | None = None

    def now(self) -> Health:
        """The newest measurement."""
        moment = self._clock.monotonic()
        if self._known is None or not 0 <= moment - self._known[0] < _FRESH:
            self._known = moment, self._measure()
        return self._known[1]
