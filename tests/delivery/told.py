"""What the tests of reports share: a message, and what its sender hears of an attempt."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

from postroad.delivery.notify import Notifier
from postroad.envelope import (
    Attempt,
    Draft,
    MessageId,
    Origin,
    Outcome,
    Recipient,
    RecipientState,
    Result,
    Step,
    StoredMessage,
)
from postroad.replies import Reply
from tests.delivery.fixtures import START, HandClock
from tests.message.reports import HEADER, Read, read

HOST = "mx.example.org [192.0.2.1]:25"
REFUSED = Reply(550, "User unknown", "5.1.1")
BUSY = Reply(451, "Come back", "4.3.0")
OK = Reply(250, "Ok", "2.0.0")
CONTENT = HEADER + b"\r\nHello\r\n"
SUBMITTED = Origin(listener="submission", account="kana", hello="laptop.example.net", peer="192.0.2.9:4444")


class Post:
    """A message, and what its sender hears of an attempt."""

    def __init__(
        self,
        *recipients: tuple[str, str],
        sender: str = "kana@example.net",
        parameters: str = "",
        content: bytes = CONTENT,
        origin: Origin = SUBMITTED,
        last: Reply | None = None,
        **setting: Any,
    ) -> None:
        stored = tuple(
            Recipient(number, path, path.rpartition("@")[2].lower(), given, RecipientState.QUEUED, 1, 0.0, last, "")
            for number, (path, given) in enumerate(recipients or (("hanako@example.org", ""),))
        )
        self.message = StoredMessage(
            MessageId("0-message"), 1, sender, parameters, START - 5 * 3600, len(content), origin, stored
        )
        self.reads = 0
        self._content = content
        self._ids = itertools.count(1)
        self._notifier = Notifier("mail.example.net", HandClock(), **setting)

    async def _read(self) -> AsyncIterator[bytes]:
        self.reads += 1
        for at in range(0, len(self._content), 1000):
            yield self._content[at : at + 1000]

    def told(
        self, *results: Result, steps: Sequence[Step] = (), host: str = HOST, route: str = "mx"
    ) -> list[tuple[Draft, bytes]]:
        attempt = Attempt(START - 1, 0.5, route, host, results, "C: …\nS: …", steps=tuple(steps))
        made = self._notifier.reports(
            self.message, attempt, self._read, lambda: MessageId(f"0-report{next(self._ids)}")
        )
        return asyncio.run(made)

    def report(self, *results: Result, **changes: Any) -> Read:
        """The only report."""
        ((draft, octets),) = self.told(*results, **changes)
        return read(octets, "SMTPUTF8" in draft.parameters)


def failed(number: int = 0, reply: Reply | None = REFUSED, **changes: Any) -> Result:
    return Result(number, Outcome.FAILED, reply, stage=changes.pop("stage", "RCPT"), **changes)


def late(number: int = 0, reply: Reply | None = BUSY, **changes: Any) -> Result:
    stage = changes.pop("stage", "RCPT")
    return Result(number, Outcome.DEFERRED, reply, next_due=START, stage=stage, delay_told=True, **changes)


def delivered(number: int = 0, **changes: Any) -> Result:
    return Result(number, Outcome.DELIVERED, OK, stage="CONTENT", **changes)


def actions(told: Sequence[tuple[Draft, bytes]]) -> list[str]:
    return [read(octets).status[1]["action"] for _, octets in told]
