"""Mail whose time is over, or whose sender is to be told that it is late, although nobody tries it just now.

Mail that sleeps since its site is dead is not tried when its own times come. From time to time the queue is read in the
order of arrival, each message once for each of the two times; an attempt that ends later minds them by itself.
"""

from __future__ import annotations

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
        self._seen: dict[tuple[str, str], int] = {}
        self.next = 0.0
        """When to read again, seconds since the epoch."""

    async def read(self, rules: Rules) -> None:
        """Settle what is over its time, destinations with their own schedule apart from all others."""
        self.next = self._clock.wall() + EVERY
        own = [name for name, rule in rules.by_destination.items() if rule.schedule is not None]
        for destination in ("", *own):
            schedule = rules.schedule_of(destination)
            for what, seconds in (("late", schedule.delay_notice), ("over", schedule.expire)):
                if seconds is not None:
                    await self._read(destination, what, seconds, rules)

    async def _read(self, destination: str, what: str, seconds: float, rules: Rules) -> None:
        key = (destination, what)
        before = self._clock.wall() - seconds
        while True:
            query = MessageQuery(
                destination=destination,
                state=RecipientState.QUEUED,
                after=self._seen.get(key, 0),
                received_before=before,
                limit=_PAGE,
                oldest_first=True,
            )
            page = await self._spool.messages(query)
            for message in page:
                await self._look(message, rules)
                self._seen[key] = message.sequence
            if len(page) < _PAGE:
                return

    async def _look(self, message: StoredMessage, rules: Rules) -> None:
        now = self._clock.wall()
        over = [
            one.number
            for one in message.recipients
            if _is_over(message, one, rules, now) and not self._lanes.works_on(message.id, one.destination)
        ]
        if not over:
            return
        try:
            batches = await self._spool.take(message.id, over, now, _LEASE)
        except NotFound:
            return
        for batch in batches:
            await self._settle(batch, rules, now)

    async def _settle(self, batch: Batch, rules: Rules, now: float) -> None:
        term = term_of(batch.message, rules.schedule_of(batch.destination))
        results = tuple(_result(one, now >= term.end) for one in batch.message.recipients)
        await self._settler.record(batch, Attempt(now, 0.0, "", "", results))


def _is_over(message: StoredMessage, recipient: Recipient, rules: Rules, now: float) -> bool:
    if recipient.state is not RecipientState.QUEUED:
        return False
    term = term_of(message, rules.schedule_of(recipient.destination))
    return now >= term.end or is_late(recipient, term, now)


def _result(recipient: Recipient, is_over: bool) -> Result:
    """The last reason stays what it was."""
    if is_over:
        return Result(recipient.number, Outcome.FAILED, recipient.reply, recipient.note, expired=True)
    note = recipient.note or NOT_TRIED
    return Result(recipient.number, Outcome.DEFERRED, recipient.reply, note, recipient.next_due, delay_told=True)
