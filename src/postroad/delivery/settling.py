"""What came of an attempt is written down: results by the schedule, reports in the same transaction, a line in the log.

A recipient fails only together with the report that its sender is owed (C3). When there is no room for the report, the
recipient stays in the queue instead, and is tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from random import random
from typing import Final, Protocol

from postroad.clock import Clock
from postroad.delivery.leases import Leases
from postroad.delivery.schedule import Schedule, result_of, term_of
from postroad.delivery.transport import Report
from postroad.envelope import Attempt, Batch, Draft, MessageId, Outcome, Result, StoredMessage
from postroad.errors import NotFound, PostroadError, StorageFull
from postroad.observe.log import get_logger
from postroad.observe.mail_log import log_settled
from postroad.spool.interface import Spool

_log = get_logger("delivery")

#: Seconds until what could not be reported is tried again.
NO_ROOM_AGAIN: Final = 300.0
NO_ROOM: Final = "kept, since the report to the sender could not be written"

Told = tuple[Draft, bytes]


class Reports(Protocol):
    """Who writes to senders (``notify.Notifier``)."""

    async def reports(
        self,
        message: StoredMessage,
        attempt: Attempt,
        read: Callable[[], AsyncIterator[bytes]],
        new_id: Callable[[], MessageId],
    ) -> list[Told]:
        """The reports that an attempt owes, as drafts and their octets."""
        ...


class Settler:
    """Settles batches of one spool."""

    def __init__(
        self,
        spool: Spool,
        leases: Leases,
        clock: Clock,
        schedule_of: Callable[[str], Schedule],
        reports: Reports | None,
    ) -> None:
        """``schedule_of`` gives a destination's schedule; without ``reports`` senders hear nothing."""
        self._spool = spool
        self._leases = leases
        self._clock = clock
        self._schedule_of = schedule_of
        self._reports = reports
        self._to_log: list[tuple[StoredMessage, Attempt]] = []

    async def settle(self, batch: Batch, report: Report, route: str, seconds: float, cut_short: bool) -> Attempt | None:
        """Write down what a transport did with a batch, as ``record``.

        ``cut_short``: we are stopping, so who got no answer is due.
        """
        now = self._clock.wall()
        schedule = self._schedule_of(batch.destination)
        term = term_of(batch.message, schedule)
        recipients = {one.number: one for one in batch.message.recipients}
        chance = random()  # one for all, so that who was deferred together comes back together
        results = tuple(
            result_of(handed, recipients[handed.number], term, now, schedule, lambda: chance)
            for handed in report.handed
            if handed.number in recipients
        )
        if cut_short:
            results = tuple(_due_again(result, now) for result in results)
        attempt = Attempt(now, seconds, route, report.host, results, report.transcript, report.security, report.steps)
        return await self.record(batch, attempt)

    async def record(self, batch: Batch, attempt: Attempt) -> Attempt | None:
        """Write an attempt down with the reports that it owes; gives it as it was written; None: the lease was lost."""
        message = batch.message
        told: Sequence[Told] = ()
        try:
            told = await self._told(message, attempt)
            kept = await self._leases.settle(batch, attempt, told)
        except (StorageFull, _NotTold) as fault:
            if not told and isinstance(fault, StorageFull):
                raise
            _log.error("report not written", message=message.id, fault=fault.message)
            attempt = replace(attempt, results=tuple(_put_off(one, self._clock.wall()) for one in attempt.results))
            kept = await self._leases.settle(batch, attempt)
        if not kept:
            _log.warning("lease lost", message=message.id, destination=batch.destination)
            return None
        self._tell_log(message, attempt)
        return attempt

    def _tell_log(self, message: StoredMessage, attempt: Attempt) -> None:
        """Together with what is settled in the same turn of the loop."""
        if not self._to_log:
            asyncio.get_running_loop().call_soon(self._write_log)
        self._to_log.append((message, attempt))

    def _write_log(self) -> None:
        to_log, self._to_log = self._to_log, []
        log_settled(to_log)

    async def _told(self, message: StoredMessage, attempt: Attempt) -> Sequence[Told]:
        if self._reports is None or not any(owes_report(message, result) for result in attempt.results):
            return ()
        try:
            return await self._reports.reports(
                message, attempt, lambda: self._spool.read(message.id), self._spool.new_id
            )
        except NotFound:
            return ()  # the operator removed it
        except Exception as fault:
            _log.error("report not made", message=message.id, fault=str(fault), exc_info=True)
            raise _NotTold(f"the report could not be made: {type(fault).__name__}") from fault


class _NotTold(PostroadError):
    """A fault of ours: nobody fails because of it without a word."""


def owes_report(message: StoredMessage, result: Result) -> bool:
    """Whether the sender may have to be told of a result (RFC 3461 section 6)."""
    if result.outcome is Outcome.DELIVERED:
        if result.relayed:
            return True
        return any(one.number == result.number and "SUCCESS" in one.parameters.upper() for one in message.recipients)
    return result.outcome is Outcome.FAILED or result.delay_told


def _put_off(result: Result, now: float) -> Result:
    """Without its report: who failed is tried again, who is late is told later, who has it has it."""
    if result.outcome is Outcome.FAILED:
        note = f"{result.note}; {NO_ROOM}" if result.note else NO_ROOM
        return replace(result, outcome=Outcome.DEFERRED, next_due=now + NO_ROOM_AGAIN, note=note, expired=False)
    return replace(result, delay_told=False)


def _due_again(result: Result, now: float) -> Result:
    """Who was cut short is due at the next start."""
    if result.outcome is not Outcome.DEFERRED or result.reply is not None or result.uncertain:
        return result
    return replace(result, next_due=now)
