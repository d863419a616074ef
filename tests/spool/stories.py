"""What the spool's tests are told with: a clock that stands still, drafts, attempts, and stories on an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from postroad.envelope import (
    Attempt,
    Batch,
    Draft,
    MessageId,
    NewRecipient,
    Outcome,
    Recipient,
    RecipientState,
    Result,
)
from postroad.errors import SpoolError
from postroad.replies import Reply
from postroad.spool.interface import ContentWriter, MessageQuery, Spool
from postroad.spool.sqlite import SqliteSpool

QUEUED, HELD = RecipientState.QUEUED, RecipientState.HELD
DELIVERED, FAILED = RecipientState.DELIVERED, RecipientState.FAILED
T0 = 1_750_000_000.0
BOB = NewRecipient("bob@example.org", "example.org", "NOTIFY=NEVER")
EVE = NewRecipient("eve@example.com", "example.com")
INBOX = NewRecipient("kept@example.org", "example.org", hold="inbox")
YES = Reply(250, "taken", "2.0.0")
LATER = Reply(451, "greylisted\ncome again", "4.7.1")


class Backend:
    """What a story is played on: inherit, and say how to ``open`` a spool."""

    clock: FakeClock
    complaints: list[dict[str, Any]]
    """What the event loop was told of exceptions; a story that expects some clears it."""

    async def open(self, folder: Path, **options: Any) -> Spool:
        raise NotImplementedError


class FakeClock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.now = T0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@contextlib.contextmanager
def scratch(otherwise: Path) -> Iterator[Path]:
    """A folder in memory where there is one: what a story asks does not depend on the disk, and disks are slow."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield otherwise
        return
    with tempfile.TemporaryDirectory(prefix="postroad-", dir=memory) as folder:
        yield Path(folder)


def story(**options: Any) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Turn ``async def test(self, spool)`` into a test with a spool opened with ``options``.

    Fails, too, when the event loop was told of an exception that the story does not expect in ``self.complaints``.
    """

    def decorate(told: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        @functools.wraps(told)
        def test(self: Backend, tmp_path: Path, **arguments: Any) -> None:
            async def play(folder: Path) -> None:
                self.complaints = []
                asyncio.get_running_loop().set_exception_handler(lambda _, what: self.complaints.append(what))
                spool = await self.open(folder, **options)
                try:
                    await told(self, spool, **arguments)
                finally:
                    await spool.close()
                assert self.complaints == []

            self.clock = FakeClock()
            with scratch(tmp_path) as folder:
                asyncio.run(play(folder))

        signature = inspect.signature(told)
        parameters = [one for one in signature.parameters.values() if one.name != "spool"]
        folder = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
        test.__signature__ = signature.replace(parameters=[parameters[0], folder, *parameters[1:]])  # type: ignore[attr-defined]
        return test

    return decorate


def written(spool: Spool, content: bytes, block: int = 16_384) -> ContentWriter:
    writer = spool.open_content()
    for start in range(0, len(content), block):
        writer.write(content[start : start + block])
    return writer


def draft(spool: Spool, *recipients: NewRecipient, **fields: Any) -> Draft:
    given: dict[str, Any] = {"reverse_path": "kana@example.net", "received_at": T0, "prefix": b"Received: here\r\n"}
    return Draft(id=spool.new_id(), recipients=recipients or (BOB,), **given | fields)


async def outcome(spool: Spool, one: Draft, content: ContentWriter) -> SpoolError | None:
    future: asyncio.Future[SpoolError | None] = asyncio.get_running_loop().create_future()
    spool.accept(one, content, future.set_result)
    return await future


async def accepted(spool: Spool, *recipients: NewRecipient, content: bytes = b"Hi.\r\n", **fields: Any) -> MessageId:
    one = draft(spool, *recipients, **fields)
    error = await outcome(spool, one, written(spool, content))
    if error is not None:
        raise error
    return one.id


async def octets(spool: Spool, message_id: MessageId) -> bytes:
    return b"".join([block async for block in spool.read(message_id)])


async def everything(spool: Spool) -> list[MessageId]:
    return [message.id for message in await spool.messages(MessageQuery(oldest_first=True, limit=10_000))]


def attempt(*results: Result, at: float = T0, **fields: Any) -> Attempt:
    return Attempt(at, 1.5, "mx", "mx.example.org [192.0.2.25]:25", results, **fields)


def delivered(batch: Batch) -> Attempt:
    return attempt(*(Result(one.number, Outcome.DELIVERED, YES) for one in batch.message.recipients))


async def recipient(spool: Spool, message_id: MessageId, number: int = 0) -> Recipient:
    return (await spool.message(message_id)).recipients[number]


@contextlib.asynccontextmanager
async def committer_busy(spool: SqliteSpool) -> AsyncIterator[None]:
    """Inside, the committer is kept busy: what is submitted meanwhile is its next transaction, all of it."""
    gate, busy = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        busy.set()
        gate.wait(30)

    blocked = asyncio.create_task(spool._committer.perform(wait))
    while not busy.is_set():
        await asyncio.sleep(0.001)
    try:
        yield
    finally:
        spool._committer.hand_over()
        gate.set()
        await blocked
