"""When a deferred recipient is tried again, and when trying ends: pure functions of the times.

RFC 5321 section 4.5.4.1: at least 30 minutes in general, sooner for the first tries (greylisting), give up after 4 to 5
days. A recipient that is given up is held for people to see, never dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from postroad.delivery.transport import Fate, Handed
from postroad.envelope import Outcome, Recipient, Result

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86400.0


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds. The last step repeats."""

    steps: tuple[float, ...] = (5 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR)
    expire: float = 5 * _DAY
    """After acceptance."""
    uncertain: float = _HOUR
    """The least wait when the final reply was lost: time for people to look before it may arrive twice (RFC 1047)."""

    def wait(self, attempts: int, *, uncertain: bool = False) -> float:
        """Seconds until the next attempt, after ``attempts`` that failed before this one."""
        step = self.steps[min(max(attempts, 0), len(self.steps) - 1)]
        return max(step, self.uncertain) if uncertain else step

    def next_due(self, now: float, attempts: int, received_at: float, *, uncertain: bool = False) -> float | None:
        """When to try again, the last time right at the expiry; None: it is time to give up."""
        end = received_at + self.expire
        if now >= end:
            return None
        return min(now + self.wait(attempts, uncertain=uncertain), end)


def result_of(handed: Handed, recipient: Recipient, received_at: float, now: float, schedule: Schedule) -> Result:
    """What the spool is to record about one recipient."""
    number, reply, note = handed.number, handed.reply, handed.note
    match handed.fate:
        case Fate.DELIVERED:
            return Result(number, Outcome.DELIVERED, reply, note)
        case Fate.NEVER:
            return Result(number, Outcome.HELD, reply, note)
        case Fate.NOT_NOW:
            due = schedule.next_due(now, recipient.attempts, received_at, uncertain=handed.uncertain)
            if due is None:
                days = schedule.expire / _DAY
                note = f"given up after {days:.3g} days: {note}".rstrip(": ")
                return Result(number, Outcome.HELD, reply, note, uncertain=handed.uncertain)
            return Result(number, Outcome.DEFERRED, reply, note, due, handed.uncertain)
