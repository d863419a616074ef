"""How long a peer may take: the deadline of each thing that a session can wait for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from postroad.smtp.server import Waiting


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds, and octets a second for ``min_rate`` (RFC 5321 section 4.5.3.2 has the minima for a server)."""

    command: float = 300.0
    content: float = 300.0
    handshake: float = 30.0
    write: float = 60.0
    min_rate: int = 500
    linger: float = 2.0
    """How long a connection that we have ended waits for the peer to read our last words."""


class Pace:
    """The pace of one content after the other; a pause between two, or between two chunks of one, counts for none."""

    __slots__ = ("_deadlines", "_octets", "_since")

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._since: float | None = None  # when the present content began
        self._octets = 0

    def add(self, octets: int) -> None:
        """So much has come."""
        self._octets += octets

    def deadline(self, waiting: Waiting, now: float) -> float:
        """Monotonic seconds until which ``waiting`` may last; to be asked whenever that has changed."""
        if waiting is Waiting.CONTENT:
            if self._since is None:
                self._since, self._octets = now, 0
            return min(now, self._since + self._allowance()) + self._deadlines.content
        self._since = None
        return now + self._deadlines.command if waiting is Waiting.COMMAND else math.inf

    def is_too_slow(self, now: float) -> bool:
        """Whether it is the rate that was missed, not the peer that stood still."""
        return self._since is not None and now > self._since + self._allowance() + self._deadlines.content

    def _allowance(self) -> float:
        """Seconds that what has come may have taken at the least rate."""
        rate = self._deadlines.min_rate
        return self._octets / rate if rate else math.inf
