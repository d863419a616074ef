"""Mail that sleeps since its site is dead, and whose time is over, or whose sender is to be told that it is late.

An attempt minds both times by itself, but mail that sleeps is not tried. So from time to time, while sites are left
alone, the queue is read in the order of arrival for what sleeps, a page at a time, so that nobody waits for it however
much is found. Mail that may be tried is left to its attempt, however old it is: after a long standstill of this server
everything gets one more chance. Who set a time himself (RFC 2852) is remembered by that time, and looked at then.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from postroad.clock import Clock
from postroad.delivery.lanes import Lanes
from postroad.delivery.rules import Rules
from postroad.delivery.schedule import by_moment, is_late, term_of
from postroad.delivery.settling import Settler
from postroad.envelope import (
    Attempt,
    Batch,
    Draft,
    MessageId,
    Outcome,
    Recipient,
    RecipientState,
    Result,
    StoredMessage,
)
from postroad.errors import NotFound, SpoolError
from postroad.spool.interface import MessageQuery, Spool

#: Seconds between two readings.
EVERY: Final = 60.0
#: Seconds until the messages whose delay was looked at are looked at again.
_ANEW: Final = 1800.0
_PAGE: Final = 200
_LEASE: Final = 120.0
#: Messages with a time of their own that are remembered; what more there are is found when its site is probed.
_REMEMBERED: Final = 10_000

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
        self._pages: AsyncIterator[None] | None = None
        self._next_reading = 0.0
        self._moments: list[tuple[float, MessageId]] = []
        self._remembered: set[MessageId] = set()

    @property
    def next(self) -> float:
        """When to read again, seconds since the epoch."""
        return min(self._next_reading, self._moments[0][0]) if self._moments else self._next_reading

    def is_due(self, now: float) -> bool:
        """Whether to read now; a clock that was set back changes nothing about it."""
        return now >= self.next or self._next_reading > now + EVERY

    def remember(self, message: StoredMessage | Draft) -> None:
        """Look at a message when the time comes that its sender set, if he did."""
        if "BY=" not in message.parameters:
            return
        moment = by_moment(message.parameters, message.received_at)
        if moment is not None:
            self._remember(message.id, moment)

    def _remember(self, message_id: MessageId, moment: float) -> None:
        if message_id not in self._remembered and len(self._moments) < _REMEMBERED:
            heapq.heappush(self._moments, (moment, message_id))
            self._remembered.add(message_id)

    async def read(self, rules: Rules, sleeper: Callable[[], Callable[[str], bool]]) -> None:
        """Settle some of what sleeps and is over its time; ``sleeper`` gives what tells of a destination.

        ``next`` tells when there is more to do: at once, after a reading that did not come to its end.
        """
        now = self._clock.wall()
        if self._moments and now >= self._moments[0][0]:
            await self._look_at_remembered(_Look(rules, sleeper()), now)
        if now < self._next_reading <= now + EVERY:
            return
        pages, self._pages, self._next_reading = self._pages, None, now + EVERY
        if pages is None:
            if not self._lanes.any_shut:
                return
            pages = self._sweep(rules, _Look(rules, sleeper()), now)
        async for _ in pages:
            self._pages, self._next_reading = pages, now
            return

    async def _look_at_remembered(self, look: _Look, now: float) -> None:
        due: list[MessageId] = []
        while self._moments and self._moments[0][0] <= now and len(due) < _PAGE:
            due.append(heapq.heappop(self._moments)[1])
        self._remembered.difference_update(due)
        await asyncio.gather(*(self._look_at(message_id, look, now) for message_id in due))

    async def _look_at(self, message_id: MessageId, look: _Look, now: float) -> None:
        try:
            message = await self._spool.message(message_id)
            come = sum(look.has_come(message, one, now) for one in message.recipients)
            if come > await self._look(message, look):
                self._remember(message_id, now + EVERY)  # it is awake, and may fall asleep before it is tried
        except NotFound:
            return
        except SpoolError:
            self._remember(message_id, now + EVERY)
            raise

    async def _sweep(self, rules: Rules, look: _Look, now: float) -> AsyncIterator[None]:
        """The whole queue, in pages."""
        if now >= self._begin_anew:  # some of those who were awake may have fallen asleep
            self._begin_anew = now + _ANEW
            self._told.clear()
        own = [name for name, rule in rules.by_destination.items() if rule.schedule is not None]
        for destination in ("", *own):
            schedule = rules.schedule_of(destination)
            async for _ in self._read(destination, now - schedule.expire, 0, look):
                yield
            if schedule.delay_notice is not None:
                after = self._told.get(destination, 0)
                async for last in self._read(destination, now - schedule.delay_notice, after, look):
                    self._told[destination] = last
                    yield

    async def _read(self, destination: str, before: float, after: int, look: _Look) -> AsyncIterator[int]:
        """Messages that came before that time, from ``after`` on; gives the last of each page."""
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
            if not page:
                return
            await asyncio.gather(*(self._look(message, look) for message in page))
            after = page[-1].sequence
            yield after
            if len(page) < _PAGE:
                return

    async def _look(self, message: StoredMessage, look: _Look) -> int:
        """Settle who is over his time; gives how many. Who is just leased is looked at again."""
        now = self._clock.wall()
        over = [one.number for one in message.recipients if look.is_over(message, one, now)]
        free = [number for number in over if not self._lanes.works_on(message.id, number)]
        count = 0
        try:
            for batch in await self._spool.take(message.id, free, now, _LEASE) if free else ():
                await self._settle(batch, look.rules, now)
                count += len(batch.message.recipients)
        except NotFound:
            return count
        if count < len(over):
            self._remember(message.id, now + EVERY)
        return count

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
        return self.sleeps(recipient.destination) and self.has_come(message, recipient, now)

    def has_come(self, message: StoredMessage, recipient: Recipient, now: float) -> bool:
        """Whether one of the times of somebody who waits has come."""
        if recipient.state is not RecipientState.QUEUED:
            return False
        term = term_of(message, self.rules.schedule_of(recipient.destination))
        return now >= term.end or is_late(recipient, term, now)


def _result(recipient: Recipient, is_over: bool) -> Result:
    """The last reason stays what it was."""
    note = recipient.note or ("" if is_over and recipient.reply is not None else NOT_TRIED)
    if is_over:
        return Result(recipient.number, Outcome.FAILED, recipient.reply, note, expired=True)
    return Result(recipient.number, Outcome.DEFERRED, recipient.reply, note, recipient.next_due, delay_told=True)
