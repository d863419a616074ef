"""A queue to look into: mail that waits for several reasons, a runner that tells senders, and the application over them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from postroad.admin import About, Admin
from postroad.admin.why import Outlook
from postroad.envelope import Attempt, Draft, MessageId, NewRecipient, Origin, Outcome, Recipient, Result, Step
from postroad.errors import SpoolError
from postroad.inbox.inbox import Inbox
from postroad.observe.sessions import SessionLog
from postroad.policy.conditions import ConditionsBoard
from postroad.replies import EnhancedStatus, Reply
from postroad.spool.interface import Spool
from postroad.spool.memory import MemorySpool
from postroad.web.app import create_app

NOW = 1_800_000_000.0
HOUR = 3600.0
DAY = 86_400.0

GREYLISTED = Reply(451, "Greylisting in action, please come back later", EnhancedStatus(4, 7, 1))
RATE_LIMITED = Reply(421, "rate limited", EnhancedStatus(4, 7, 0))
NO_RET = Reply(455, "RET temporarily unavailable", EnhancedStatus(4, 5, 4))
UNKNOWN = Reply(550, "User unknown", EnhancedStatus(5, 1, 1))
TAKEN = Reply(250, "queued as 7F3A1", EnhancedStatus(2, 0, 0))


@dataclass
class StillClock:
    """Shows what it is set to."""

    now: float = NOW

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@dataclass
class Runner:
    """Gives up as delivery does, and counts how often it was asked."""

    spool: Spool
    clock: StillClock
    asked: list[tuple[str, Sequence[int] | None, str]] = field(default_factory=list)
    probed: int = 0

    async def give_up(self, message_id: MessageId, numbers: Sequence[int] | None, note: str) -> int:
        self.asked.append((message_id, numbers, note))
        count = 0
        for batch in await self.spool.take(message_id, numbers, self.clock.wall(), 60.0):
            results = tuple(Result(one.number, Outcome.FAILED, one.reply, note) for one in batch.message.recipients)
            await self.spool.settle(batch, Attempt(self.clock.wall(), 0.0, "", "", results))
            count += len(results)
        return count

    async def probe(self) -> None:
        self.probed += 1


class QueueHouse:
    """Made inside the loop that uses it."""

    def __init__(self, spool: Any = None, *, runner: bool = True, **options: Any) -> None:
        self.clock = StillClock()
        self.spool = spool if spool is not None else MemorySpool(clock=self.clock)
        self.runner = Runner(self.spool, self.clock)
        self.rests: dict[str, float] = {}
        self.admin = Admin(
            spool=self.spool,
            inbox=Inbox(self.spool),
            conditions=ConditionsBoard(self.clock, None, ("SIZE",)),
            sessions=SessionLog(),
            about=lambda: About("relay.example", "0.0", False),
            clock=self.clock,
            runner=self.runner if runner else None,
            outlook=Outlook(lambda message, one: message.received_at + 5 * DAY, self.rests.get),
        )
        self.app = create_app(self.admin, **{"control": True, **options})

    async def put(
        self,
        *to: str,
        sender: str = "me@example.com",
        hold: str = "",
        ago: float = HOUR,
        rcpt: str = "",
        mail: str = "",
    ) -> MessageId:
        """Accept a message that came so many seconds ago."""
        done: asyncio.Future[SpoolError | None] = asyncio.get_running_loop().create_future()
        content = self.spool.open_content()
        content.write(b"Subject: hello\r\n\r\nhello\r\n")
        recipients = tuple(NewRecipient(path, path.rpartition("@")[2], rcpt, hold=hold) for path in to)
        origin = Origin("s1", "mx", "192.0.2.7:4321", "app1.example")
        draft = Draft(self.spool.new_id(), sender, recipients, self.clock.now - ago, parameters=mail, origin=origin)
        self.spool.accept(draft, content, done.set_result)
        assert await done is None
        return draft.id

    async def tried(
        self,
        message_id: MessageId,
        reply: Reply | None = GREYLISTED,
        outcome: Outcome = Outcome.DEFERRED,
        *,
        numbers: Sequence[int] | None = None,
        steps: tuple[Step, ...] = (),
        route: str = "mx",
        host: str = "mx.example.net [192.0.2.10]:25",
        transcript: str = "",
        due: float = 660.0,
        **result: Any,
    ) -> None:
        """Settle an attempt at these recipients, that ended a minute ago."""

        def came_to(one: Recipient) -> Result:
            next_due = self.clock.now + due if outcome is Outcome.DEFERRED else None
            return Result(one.number, outcome, reply, next_due=next_due, **{"stage": "RCPT", **result})

        for batch in await self.spool.take(message_id, numbers, self.clock.now, 60.0):
            results = tuple(map(came_to, batch.message.recipients))
            attempt = Attempt(self.clock.now - 60.0, 2.1, route, host, results, transcript, "TLSv1.3", steps)
            assert await self.spool.settle(batch, attempt)
