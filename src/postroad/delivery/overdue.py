"""Mail that sleeps since its site is dead, and whose time is over, or whose sender is to be told that it is late.

An attempt minds both times by itself, but mail that sleeps is not tried. So from time to time, while sites are left
alone, the queue is read in the order of arrival for what sleeps. Mail that may be tried is left to its attempt, however
old it is: after a long standstill of this server everything gets one more chance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from postroad.clock import Clock
from postroad.delivery.lanes import Lanes
from postroad.delivery.rules import Rules
from postroad.delivery.schedule import is_late, term_of
from postroad.delivery.settling import Settler
from postroad.envelope import Attempt, Batch, Outcome, Recipient, RecipientState, Result, StoredMessage
from postroad.errors import NotFound
from postroad.spool.interface import MessageQuery, Spool

#: Seconds between two readings.
EVERY: Final = 60.0
#: Seconds until the messages whose delay was looked at are looked at again.
_ANEW: Final = 1800.0
_PAGE: Final = 200
_LEASE: Final = 120.0

NOT_TRIED: Final = "not tried now: the site is left alone for a while, since it could not be reached"


class Overdue:
    """Reads the queue for what is over its time."""

    def __init__(self, spool: Spool, clock: Clock, settler: Settler, lanes: Lanes) -> None:
        self._spool = spool
        self._clock = clock
        self._settler = settler
        self._lanes = lanes
        self._told: dict[str, int] = {}
        """Whose schedule -> the last message, in the order of arrival, whose sender was looked at for the delay."""
        self._begin_anew = 0.0
        self.next = 0.0
        """When to read again, seconds since the epoch."""

    async def read(self, rules: Rules, sleeps: Callable[[str], bool]) -> None:
        """Settle what sleeps and is over its time; ``sleeps`` tells of a destination."""
        now = self._clock.wall()
        self.next = now + EVERY
        if not self._lanes.any_shut:
            return
        if now >= self._begin_anew:  # some of those who were awake may have fallen asleep
            self._begin_anew = now + _ANEW
            self._told.clear()
        own = [name for name, rule in rules.by_destination.items() if rule.schedule is not None]
        for destination in ("", *own):
            schedule = rules.schedule_of(destination)
            look = _Look(rules, sleeps)
            await self._read(destination, schedule.expire, 0, look)
            if schedule.delay_notice is not None:
                after = self._told.get(destination, 0)
                self._told[destination] = await self._read(destination, schedule.delay_notice, after, look)

    async def _read(self, destination: str, seconds: float, after: int, look: _Look) -> int:
        """Messages that are older than so many seconds, from ``after`` on; gives the last."""
        before = self._clock.wall() - seconds
        while True:
            query = MessageQuery(
                destination=destination,
                state=RecipientState.QUEUED,
                after=after,
                received_before=before,
                limit=_PAGE,
                oldest_first=True,
            )
            page = await self._spool.messages(query)
            await asyncio.gather(*(self._look(message, look) for message in page))
            after = page[-1].sequence if page else after
            if len(page) < _PAGE:
                return after

    async def _look(self, message: StoredMessage, look: _Look) -> None:
        now = self._clock.wall()
        over = [
            one.number
            for one in message.recipients
            if look.is_over(message, one, now) and not self._lanes.works_on(message.id, one.number)
        ]
        if not over:
            return
        try:
            batches = await self._spool.take(message.id, over, now, _LEASE)
        except NotFound:
            return
        for batch in batches:
            await self._settle(batch, look.rules, now)

    async def _settle(self, batch: Batch, rules: Rules, now: float) -> None:
        term = term_of(batch.message, rules.schedule_of(batch.destination))
        results = tuple(_result(one, now >= term.end) for one in batch.message.recipients)
        await self._settler.record(batch, Attempt(now, 0.0, "", "", results))


@dataclass(frozen=True, slots=True)
class _Look:
    """What is looked for."""

    rules: Rules
    sleeps: Callable[[str], bool]

    def is_over(self, message: StoredMessage, recipient: Recipient, now: float) -> bool:
        """Whether one of its times has come while it sleeps."""
        if recipient.state is not RecipientState.QUEUED or not self.sleeps(recipient.destination):
            return False
        term = term_of(message, self.rules.schedule_of(recipient.destination))
        return now >= term.end or is_late(recipient, term, now)


def _result(recipient: Recipient, is_over: bool) -> Result:
    """The last reason stays what it was."""
    if is_over:
        return Result(recipient.number, Outcome.FAILED, recipient.reply, recipient.note, expired=True)
    note = recipient.note or NOT_TRIED
    return Result(recipient.number, Outcome.DEFERRED, recipient.reply, note, recipient.next_due, delay_told=True)
