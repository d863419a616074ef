"""What operators may do to the queue: retry, hold, release, drop, bounce. Counted first, done for what was counted.

Only recipients that wait are ever touched. One that is being tried at this moment is left to its attempt and counted as
busy, so that no delivery that does happen is forgotten.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from postroad.admin.others import MAX_GROUPS
from postroad.admin.queue import QueueDesk
from postroad.admin.queue_filter import QueueFilter
from postroad.clock import Clock, SystemClock
from postroad.envelope import Attempt, Batch, MessageId, Outcome, Recipient, RecipientState, Result, StoredMessage
from postroad.errors import NotFound, PostroadError
from postroad.observe.log import get_logger
from postroad.observe.mail_log import log_settled
from postroad.spool.interface import MessageQuery, Spool

log = get_logger("admin")

QUEUED, HELD = RecipientState.QUEUED, RecipientState.HELD

#: Action -> the states from which it takes a recipient.
ACTIONS: Final = {
    "retry": frozenset({QUEUED}),
    "hold": frozenset({QUEUED}),
    "release": frozenset({HELD}),
    "drop": frozenset({QUEUED, HELD}),
    "bounce": frozenset({QUEUED, HELD}),
}
#: The notes with which the journal tells an operator's acts from a host's answers.
HELD_BY_OPERATOR: Final = "held by the operator"
DROPPED: Final = "dropped by the operator"
BOUNCED: Final = "given up by the operator"

_AT_ONCE: Final = 64
_LEASE: Final = 120.0
_EXAMPLES: Final = 5
_MAX_NOTE: Final = 200


class Bouncer(Protocol):
    """Who gives up recipients and tells their sender: the delivery runner."""

    async def give_up(self, message_id: MessageId, numbers: Sequence[int] | None, note: str) -> int:
        """Fail these recipients now (None: all that wait) and report it; gives how many it were."""
        ...

    async def probe(self) -> None:
        """End the time of every host that is left alone, since it did not answer, and look at the queue now."""
        ...


@dataclass(slots=True)
class Done:
    """What an action touched, or would touch."""

    action: str
    dry_run: bool
    at: float
    """When they were counted (seconds since the epoch)."""
    recipients: int = 0
    busy: int = 0
    """Left alone, since they are being tried now."""
    destinations: set[str] = field(default_factory=set)
    examples: list[tuple[StoredMessage, Recipient]] = field(default_factory=list)
    """A few of those it is about."""


class QueueActions:
    """Acts on the spool of this process."""

    def __init__(self, desk: QueueDesk, spool: Spool, bouncer: Bouncer | None, clock: Clock | None = None) -> None:
        """``bouncer`` None: nothing is delivered here, so that nobody can be told either."""
        self._desk = desk
        self._spool = spool
        self._bouncer = bouncer
        self._clock = clock or SystemClock()
        self._listeners: list[Callable[[str, int], None]] = []

    def on_done(self, listener: Callable[[str, int], None]) -> None:
        """Tell ``listener`` of every action that was done, and for how many recipients."""
        self._listeners.append(listener)

    @property
    def tells(self) -> bool:
        """Whether senders can be told, so that ``bounce`` exists here."""
        return self._bouncer is not None

    async def act(
        self, action: str, wanted: QueueFilter, *, dry_run: bool = False, note: str = "", at_most: int | None = None
    ) -> Done:
        """Do it to all that match; ``at_most``: nothing, when more recipients match than a person agreed to.

        Raises PostroadError for an action that is none, or when more match now.
        """
        if action not in ACTIONS:
            raise PostroadError(f"there is no action `{action[:40]}`", "known: " + ", ".join(ACTIONS))
        if action == "bounce" and self._bouncer is None:
            raise PostroadError("nothing is delivered here, so nobody can be told", "postroad queue drop")
        wanted = (await self._desk.named(wanted)).within(ACTIONS[action])
        done = Done(action, dry_run, self._clock.wall())
        await self._count(wanted, done)
        _agreed(done.recipients, at_most)
        if not dry_run and done.recipients:
            note = "".join(c if c.isprintable() else " " for c in note[:_MAX_NOTE])
            await self._do(action, wanted, note, done, at_most)
            log.info("queue changed by the operator", action=action, recipients=done.recipients, note=note)
            for listener in self._listeners:
                listener(action, done.recipients)
        return done

    async def _count(self, wanted: QueueFilter, done: Done) -> None:
        """Who is meant: by the spool's own counting where that is exact, else one by one."""
        if not wanted.looks_closer:
            groups = await self._desk.groups("destination", wanted, MAX_GROUPS)
            done.recipients = sum(one.recipients for one in groups)
            done.destinations.update(one.key for one in groups)
        async for row in self._desk.rows(wanted):
            if len(done.examples) < _EXAMPLES:
                done.examples.append((row.message, row.recipient))
            elif not wanted.looks_closer:
                break
            if wanted.looks_closer:
                done.recipients += 1
                done.destinations.add(row.recipient.destination)

    async def _meant(self, wanted: QueueFilter) -> AsyncIterator[tuple[StoredMessage, list[Recipient]]]:
        """The messages that are meant with the recipients of each."""
        message: StoredMessage | None = None
        recipients: list[Recipient] = []
        async for row in self._desk.rows(wanted):
            if message is not None and row.message.id != message.id:
                yield message, recipients
                recipients = []
            message = row.message
            recipients.append(row.recipient)
        if message is not None:
            yield message, recipients

    async def _do(self, action: str, wanted: QueueFilter, note: str, done: Done, at_most: int | None) -> None:
        now = self._clock.wall()
        counted = done.recipients
        match action:
            case "retry":
                done.recipients = await self._retry(wanted, now)
            case "release":
                done.recipients = await self._release(wanted, now)
            case "hold":
                said = _said(HELD_BY_OPERATOR, note)
                done.recipients = await self._each(wanted, lambda m, n: self._spool.hold(m, said, n))
            case "drop":
                done.recipients = await self._each(wanted, lambda m, n: self._drop(m, n, note), at_most)
            case "bounce":
                done.recipients = await self._each(wanted, lambda m, n: self._bounce(m, n, note), at_most)
        done.busy = max(counted - done.recipients, 0)
        if self._bouncer is not None and action in ("retry", "release"):
            await self._bouncer.probe()

    async def _retry(self, wanted: QueueFilter, now: float) -> int:
        if wanted.looks_closer:
            return await self._each(wanted, lambda m, n: self._spool.retry(_exactly(m, n, QUEUED), now))
        return sum([await self._spool.retry(query, now) for query in wanted.queries()])

    async def _release(self, wanted: QueueFilter, now: float) -> int:
        if wanted.looks_closer:
            return await self._each(wanted, lambda m, n: self._spool.release(_exactly(m, n, HELD), now))
        return sum([await self._spool.release(query, now) for query in wanted.queries()])

    async def _each(
        self,
        wanted: QueueFilter,
        act: Callable[[MessageId, Sequence[int]], Awaitable[int]],
        at_most: int | None = None,
    ) -> int:
        """Do it message by message, many at once: the spool makes few transactions of them."""
        changed = 0
        waiting: list[Awaitable[int]] = []
        meant = [(message.id, [one.number for one in recipients]) async for message, recipients in self._meant(wanted)]
        _agreed(sum(len(numbers) for _, numbers in meant), at_most)
        for message_id, numbers in meant:
            waiting.append(_unless_gone(act(message_id, numbers)))
            if len(waiting) == _AT_ONCE:
                changed += sum(await asyncio.gather(*waiting))
                waiting = []
        return changed + sum(await asyncio.gather(*waiting))

    async def _drop(self, message_id: MessageId, numbers: Sequence[int], note: str) -> int:
        now = self._clock.wall()
        batches = await self._spool.take(message_id, numbers, now, _LEASE)
        return sum([await self._fail(batch, now, _said(DROPPED, note)) for batch in batches])

    async def _fail(self, batch: Batch, now: float, note: str) -> int:
        results = tuple(Result(one.number, Outcome.FAILED, one.reply, note) for one in batch.message.recipients)
        attempt = Attempt(now, 0.0, "", "", results)
        if not await self._spool.settle(batch, attempt):
            return 0
        log_settled([(batch.message, attempt)])
        return len(results)

    async def _bounce(self, message_id: MessageId, numbers: Sequence[int], note: str) -> int:
        if self._bouncer is None:
            return 0
        return await self._bouncer.give_up(message_id, numbers, _said(BOUNCED, note))


def _said(act: str, note: str) -> str:
    """The act comes first: a note alone could pass for one of ours, and mail held for want of a route goes by itself."""
    return f"{act}: {note}" if note else act


class TooMany(PostroadError):
    """More would be touched than a person agreed to."""


def _agreed(recipients: int, at_most: int | None) -> None:
    if at_most is not None and recipients > at_most:
        raise TooMany(f"{recipients} recipients match now, not {at_most}", "look again before you say yes")


async def _unless_gone(work: Awaitable[int]) -> int:
    """A message that was settled meanwhile is none of ours any more."""
    try:
        return await work
    except NotFound:
        return 0


def _exactly(message_id: MessageId, numbers: Sequence[int], state: RecipientState) -> MessageQuery:
    return MessageQuery(ids=(message_id,), numbers=tuple(numbers), state=state)
