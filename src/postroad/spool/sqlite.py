"""The spool of one machine: SQLite in WAL mode for rows and small content, files for large content.

``accept`` and the changes go to one committer thread (committer.py), questions to a reading thread (reading.py);
the event loop itself touches the disk only for blocks of content above INLINE_OCTETS.

The database file does not shrink: what messages leave behind is used again, and counts as free space.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import apsw

from postroad.clock import Clock, SystemClock
from postroad.envelope import Attempt, Batch, Draft, MessageId, RecipientState, StoredMessage
from postroad.errors import SpoolError
from postroad.spool import keeping, leasing, rows
from postroad.spool.committer import Acceptance, Committer
from postroad.spool.content import ContentFiles, SpooledContent
from postroad.spool.database import open_writer, quick_check
from postroad.spool.ids import IdSource
from postroad.spool.interface import ContentWriter, MessageQuery, Spool, SpoolStats
from postroad.spool.location import ShardFolder
from postroad.spool.reading import Reader
from postroad.spool.space import Space
from postroad.spool.transaction import Counts, Transaction, count_all
from postroad.spool.transitions import check_attempt, check_due

Answer = TypeVar("Answer")


class SqliteSpool:
    """A durable Spool (C1, C2, C7) in a folder of a local disk; made by ``open``."""

    def __init__(self, folder: ShardFolder, files: ContentFiles, clock: Clock, shard: int) -> None:
        """Use ``open``."""
        self.shard = shard
        self._folder = folder
        self._files = files
        self._clock = clock
        self._ids = IdSource(shard, clock)
        self._listeners: list[Callable[[Sequence[Draft]], None]] = []
        self._tokens = itertools.count(1)
        self._closed = False
        self._keep_delivered = False
        self._reader = Reader(folder.database, files)
        self._committer: Committer
        self._space: Space

    @classmethod
    async def open(
        cls,
        directory: Path,
        shard: int = 0,
        clock: Clock | None = None,
        min_free: int | None = None,
        budget: int | None = None,
        keep_delivered: bool = False,
    ) -> SqliteSpool:
        """Open or create ``directory/shard-<n>``; raises SpoolError (in use, remote disk, damaged, not durable).

        ``min_free``: octets of the disk to leave alone (None: space.default_min_free). ``budget``: octets of prefix and
        content to keep at most. ``keep_delivered``: messages stay when all have them, until trimmed or removed.
        """
        clock = clock or SystemClock()
        loop = asyncio.get_running_loop()
        folder, files, connection, counts = await loop.run_in_executor(None, _open_shard, directory, shard, clock)
        spool = cls(folder, files, clock, shard)
        spool._keep_delivered = keep_delivered
        reopen = partial(_open_checked, folder.database, shard)
        committer = Committer(reopen, files, spool._ids.prefix, budget, spool._accepted)
        spool._committer = committer
        spool._space = Space(
            folder.path, clock, min_free, budget, lambda: committer.counts.octets, lambda: committer.reusable
        )
        committer.start(connection, counts)
        return spool

    def new_id(self) -> MessageId:
        """A fresh id."""
        return self._ids.next()

    def open_content(self) -> ContentWriter:
        """Begin content; raises StorageFull when there was no room within the last second."""
        self._alive()
        self._space.check()
        return SpooledContent(self._files, self._space.check_disk)

    def free_octets(self) -> int | None:
        """Octets that may still be stored."""
        self._alive()
        return self._space.free()

    def accept(self, draft: Draft, content: ContentWriter, done: Callable[[SpoolError | None], None]) -> None:
        """THE COMMIT POINT: ``done(None)`` once the message is durable."""
        self._alive()
        if not isinstance(content, SpooledContent):
            raise SpoolError("the content was opened by another spool")
        content.submit()
        self._committer.submit(Acceptance(draft, content, done))

    def on_accepted(self, listener: Callable[[Sequence[Draft]], None]) -> None:
        """Call ``listener`` after each batch of acceptances became durable."""
        self._listeners.append(listener)

    async def message(self, message_id: MessageId) -> StoredMessage:
        """One message; raises NotFound, and SpoolError when it is damaged."""
        self._alive()
        return await self._reader.ask(lambda db: rows.find_message(db, message_id))

    async def read(self, message_id: MessageId) -> AsyncIterator[bytes]:
        """Prefix and content in blocks; raises NotFound at the first step, SpoolError when damaged."""
        self._alive()
        async for block in self._reader.content(message_id):
            yield block

    async def transcript(self, message_id: MessageId) -> str:
        """The SMTP session that brought the message; raises NotFound."""
        self._alive()
        return await self._reader.ask(lambda db: rows.load_transcript(db, message_id))

    async def messages(self, query: MessageQuery) -> list[StoredMessage]:
        """Messages by arrival, newest first unless asked otherwise; damaged ones are left out and reported."""
        self._alive()
        return await self._reader.ask(lambda db: rows.list_messages(db, query))

    async def attempts(self, message_id: MessageId) -> list[Attempt]:
        """The message's journal, oldest first; raises NotFound."""
        self._alive()
        return await self._reader.ask(lambda db: rows.load_attempts(db, rows.sequence_of(db, message_id), message_id))

    async def stats(self) -> SpoolStats:
        """Counts, as of the last commit."""
        self._alive()
        return self._committer.counts.stats()

    async def lease(self, now: float, limit: int, seconds: float) -> list[Batch]:
        """Take recipients that are due."""

        def work(tx: Transaction) -> list[Batch]:
            return leasing.lease(tx, self._tokens.__next__, now, limit, seconds)

        return await self._perform(work)

    async def renew(self, batch: Batch, now: float, seconds: float) -> Batch:
        """Prolong a lease that is still ours; raises NotFound."""
        return await self._perform(lambda tx: leasing.renew(tx, batch, now + seconds))

    async def settle(self, batch: Batch, attempt: Attempt) -> bool:
        """Record an attempt and what it changed; False when the lease was lost."""
        check_attempt(batch, attempt)
        return await self._perform(lambda tx: leasing.settle(tx, batch, attempt, self._keep_delivered))

    async def next_due(self) -> float | None:
        """When the earliest QUEUED recipient may be leased."""
        self._alive()
        return await self._reader.ask(rows.next_wake)

    async def hold(self, message_id: MessageId, note: str, numbers: Sequence[int] | None = None) -> int:
        """QUEUED -> HELD; raises NotFound."""
        return await self._perform(lambda tx: keeping.hold(tx, self._clock.wall(), message_id, note, numbers))

    async def release(self, query: MessageQuery, due: float, note: str = "") -> int:
        """HELD -> QUEUED for recipients that match; messages in transactions of CHUNK."""
        check_due(due)
        if query.state not in (None, RecipientState.HELD):
            return 0
        total = 0
        after: int | None = query.after
        while after is not None:
            part = replace(query, state=RecipientState.HELD, after=after, limit=keeping.CHUNK, oldest_first=True)
            work = partial(keeping.release, now=self._clock.wall(), query=part, due=due, note=note)
            count, after = await self._perform(work)
            total += count
        return total

    async def remove(self, message_ids: Sequence[MessageId]) -> int:
        """Delete messages with their content, in transactions of CHUNK."""
        total = 0
        for start in range(0, max(len(message_ids), 1), keeping.CHUNK):
            part = message_ids[start : start + keeping.CHUNK]
            total += await self._perform(partial(keeping.remove, message_ids=part))
        return total

    async def trim(self, messages: int, octets: int) -> int:
        """Delete the oldest messages at rest until so many are left, in transactions of CHUNK."""
        total, enough = 0, False
        while not enough:
            count, enough = await self._perform(lambda tx: keeping.trim(tx, messages, octets))
            total += count
        return total

    async def close(self) -> None:
        """Finish what was submitted, then let go of files; further calls raise SpoolError. May be repeated."""
        if self._closed:
            return
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(None, self._shut)

    def _shut(self) -> None:
        # The reader first: the last connection to close writes the WAL back, and readers never do.
        self._reader.close()
        self._committer.stop()
        self._files.close()
        self._folder.close()

    def _alive(self) -> None:
        if self._closed:
            raise SpoolError("the spool is closed")

    async def _perform(self, work: Callable[[Transaction], Answer]) -> Answer:
        self._alive()
        answer: Answer = await self._committer.perform(work)
        return answer

    def _accepted(self, drafts: Sequence[Draft]) -> None:
        for listener in self._listeners:
            try:
                listener(drafts)
            except Exception as error:  # the others still want to know
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a spool listener failed", "exception": error}
                )


def _open_checked(database: Path, shard: int) -> apsw.Connection:
    connection = open_writer(database, shard)
    try:
        quick_check(connection, database)
    except SpoolError:
        connection.close(True)
        raise
    return connection


def _end_leases(connection: apsw.Connection, now: float) -> None:
    """End the leases of the process before; on a full disk they run out by themselves."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        leasing.interrupted(Transaction(connection, Counts()), now)
        connection.execute("COMMIT")
    except apsw.FullError:
        connection.execute("ROLLBACK")


def _open_shard(directory: Path, shard: int, clock: Clock) -> tuple[ShardFolder, ContentFiles, apsw.Connection, Counts]:
    """Lock, check, count and tidy a shard; all that blocks."""
    folder = ShardFolder(directory, shard)
    try:
        connection = _open_checked(folder.database, shard)
        files = ContentFiles(folder.content)
        _end_leases(connection, clock.wall())
        files.sweep(rows.content_files(connection))
        return folder, files, connection, count_all(connection)
    except (apsw.Error, OSError, ValueError, TypeError) as error:
        folder.close()
        raise SpoolError(f"cannot use {folder.path}: {error}", "check the disk it is on") from error
    except BaseException:
        folder.close()
        raise


if TYPE_CHECKING:
    _: type[Spool] = SqliteSpool
