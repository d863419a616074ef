"""When a deferred recipient is tried again, when its sender is told, and when trying ends: pure functions of the times.

RFC 5321 section 4.5.4.1: at least 30 minutes in general, sooner for the first tries (greylisting), give up after 4 to 5
days. DELIVERBY (RFC 2852) brings a nearer end: mode R fails then, mode N tells the sender and goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from random import random
from typing import Final

from postroad.delivery.transport import Fate, Handed
from postroad.envelope import Outcome, Recipient, Result, StoredMessage
from postroad.replies import Reply
from postroad.smtp.commands import read_parameters
from postroad.smtp.extensions.deliverby import BY
from postroad.smtp.extensions.futurerelease import HOLDFOR, HOLDUNTIL, held_for
from postroad.smtp.parameters import NOTHING_GIVEN, Extension, ExtensionSet, Given, Traits
from postroad.smtp.states import Verb

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_DAY: Final = 86400.0
_ABOUT_TIME: Final = ExtensionSet((Extension("time", "RFC 2852, RFC 4865", (BY, HOLDFOR, HOLDUNTIL)),))


@dataclass(frozen=True, slots=True)
class Schedule:
    """Seconds. The last step repeats."""

    steps: tuple[float, ...] = (5 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 4 * _HOUR)
    expire: float = 5 * _DAY
    """After acceptance."""
    uncertain: float = 2 * _HOUR
    """The least wait when the final reply was lost: time for people to look before it may arrive twice (RFC 1047)."""
    delay_notice: float | None = 4 * _HOUR
    """After acceptance, when the sender is told once that the mail is late; None: never."""
    jitter: float = 0.1
    """Part of each step by which it may be longer, so that what was deferred together does not come back together."""

    def wait(self, attempts: int, *, uncertain: bool = False, random: Callable[[], float] = random) -> float:
        """Seconds until the next attempt, after ``attempts`` that failed before this one."""
        step = self.steps[min(max(attempts, 0), len(self.steps) - 1)]
        if uncertain:
            step = max(step, self.uncertain)
        return step * (1 + self.jitter * random())


@dataclass(frozen=True, slots=True)
class Term:
    """The times of one message, seconds since the epoch."""

    end: float
    """When trying ends."""
    late: float | None
    """When the sender is told of the delay; None: never."""
    asked: bool = False
    """``late`` is the sender's own wish (BY in mode N): there is a try at that moment, so that he hears in time."""


def term_of(message: StoredMessage, schedule: Schedule) -> Term:
    """What the schedule and the message's own parameters come to.

    Time runs from the moment when the message may leave (RFC 4865 section 5), BY's from its arrival.
    """
    start, by = message.received_at, None
    if "BY=" in message.parameters or "HOLD" in message.parameters:
        asked = _asked(message.parameters)
        start += held_for(asked, datetime.fromtimestamp(start, UTC)).total_seconds()
        by = asked.get(BY)
    end = start + schedule.expire
    late = None if schedule.delay_notice is None else start + schedule.delay_notice
    if by is not None:
        moment = message.received_at + by.seconds
        if by.must_return:
            return Term(min(end, moment), late)
        if late is None or moment <= late:
            return Term(end, moment, asked=True)
    return Term(end, late)


def time_is_over(message: StoredMessage, now: float) -> bool:
    """Whether the message may not be delivered any more: its BY in mode R (RFC 2852 section 4.1.4)."""
    if "BY=" not in message.parameters:
        return False
    by = _asked(message.parameters).get(BY)
    return by is not None and by.must_return and now >= message.received_at + by.seconds


def by_moment(parameters: str, received_at: float) -> float | None:
    """When the time is over that BY sets, in either mode; None: it sets none."""
    by = _asked(parameters).get(BY)
    return None if by is None else received_at + by.seconds


def result_of(
    handed: Handed,
    recipient: Recipient,
    term: Term,
    now: float,
    schedule: Schedule,
    random: Callable[[], float] = random,
) -> Result:
    """What the spool is to record about one recipient."""
    outcome = {Fate.DELIVERED: Outcome.DELIVERED, Fate.NEVER: Outcome.FAILED, Fate.NOT_NOW: Outcome.DEFERRED}[
        handed.fate
    ]
    due, expired, tell = None, False, False
    if outcome is Outcome.DEFERRED:
        if now >= term.end:
            outcome, expired = Outcome.FAILED, True
        else:
            due = now + schedule.wait(recipient.attempts, uncertain=handed.uncertain, random=random)
            due = min(due, term.end)
            if term.asked and term.late is not None and now < term.late and not handed.uncertain:
                due = min(due, term.late)
            tell = is_late(recipient, term, now)
    return Result(
        handed.number,
        outcome,
        handed.reply,
        handed.note,
        due,
        handed.uncertain,
        stage=handed.stage,
        expired=expired,
        relayed=handed.relayed,
        delay_told=tell,
    )


def is_late(recipient: Recipient, term: Term, now: float) -> bool:
    """Whether the sender is to be told of the delay now."""
    return term.late is not None and now >= term.late and not recipient.delay_told


def _asked(parameters: str) -> Given:
    """The parameters about time; the others are nobody's business here."""
    words = [word for word in parameters.split(" ") if word.startswith(("BY=", "HOLDFOR=", "HOLDUNTIL="))]
    found = read_parameters(f" {' '.join(words)}", Verb.MAIL, _ABOUT_TIME, Traits())
    return NOTHING_GIVEN if isinstance(found, Reply) else found
