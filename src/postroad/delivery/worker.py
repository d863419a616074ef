"""One delivery: the message, for all who go along, through the transport of its route; whatever happens, a Report.

A transport that fails in a way that nobody foresaw defers its recipients and is logged: nothing leaves the queue unless
``settle`` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from postroad.clock import Clock
from postroad.delivery.lane import Job
from postroad.delivery.mx import Unroutable
from postroad.delivery.routing import Route
from postroad.delivery.schedule import time_is_over
from postroad.delivery.transport import Consignment, Fate, Health, Report, Transport, same_for_all
from postroad.envelope import StoredMessage
from postroad.errors import NotFound, SpoolError
from postroad.observe.log import get_logger
from postroad.smtp import undeliverable
from postroad.spool.interface import Spool

_log = get_logger("delivery")


class Worker:
    """Hands over by every kind of route."""

    def __init__(self, spool: Spool, clock: Clock, transports: Mapping[type[Route], Transport]) -> None:
        self._spool = spool
        self._clock = clock
        self.transports = transports

    async def deliver(self, job: Job) -> Report:
        """Try once, for the job and its companions."""
        consignment = self._consignment(job)
        fault = job.lane.place.fault if job.lane is not None else None
        if fault is not None:
            return _no_way(consignment, fault)
        if time_is_over(consignment.message, self._clock.wall()):
            return Report(same_for_all(consignment, Fate.NEVER, "", undeliverable.TIME_IS_OVER))
        transport = self.transports.get(type(job.route))
        if transport is None:
            return Report(same_for_all(consignment, Fate.NOT_NOW, f"there is no way to go {job.route} here"))
        try:
            return await transport.deliver(consignment)
        except NotFound:
            _log.info("message gone", message=job.batch.message.id)
            return Report(())
        except Exception as error:
            return _our_fault(consignment, error)

    def _consignment(self, job: Job) -> Consignment:
        message = merged(job)
        lane = job.lane
        site = lane.place.site if lane is not None else None
        key = lane.key if lane is not None else ""
        return Consignment(message, job.route, lambda: self._spool.read(message.id), site, key)


def merged(job: Job) -> StoredMessage:
    """The message with the recipients of all who go along."""
    message = job.batch.message
    if not job.companions:
        return message
    recipients = [one for each in job.together for one in each.batch.message.recipients]
    return replace(message, recipients=tuple(sorted(recipients, key=lambda one: one.number)))


def _no_way(consignment: Consignment, fault: Unroutable) -> Report:
    fate = Fate.NEVER if fault.permanent else Fate.NOT_NOW
    health = Health.FINE if fault.permanent else Health.AWAY
    return Report(same_for_all(consignment, fate, fault.note, fault.reply), health=health)


def _our_fault(consignment: Consignment, fault: Exception) -> Report:
    expected = isinstance(fault, SpoolError)
    _log.error(
        "delivery failed",
        message=consignment.message.id,
        route=str(consignment.route),
        fault=str(fault),
        exc_info=None if expected else fault,
    )
    what = fault.message if isinstance(fault, SpoolError) else f"internal error: {type(fault).__name__}"
    return Report(same_for_all(consignment, Fate.NOT_NOW, what))
