"""The spool of one machine: SQLite in WAL mode for rows and small content, files for large content.

``accept`` and the changes go to one committer thread (committer.py), questions to a reading thread (reading.py);
the event loop itself touches the disk only for blocks of content above INLINE_OCTETS.

The database file does not shrink: what messages leave behind is used again, and counts as free space.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import apsw

from postroad.clock import Clock, SystemClock
from postroad.envelope import Attempt, Batch, Draft, JournalEntry, MessageId, RecipientState, StoredMessage
from postroad.errors import SpoolError
from postroad.spool import journal, keeping, leasing, matching, rows, turns
from postroad.spool.committer import Committer
from postroad.spool.content import ContentFiles, SpooledContent, submitted
from postroad.spool.database import open_writer, quick_check
from postroad.spool.hot import HotContent
from postroad.spool.ids import IdSource
from postroad.spool.interface import (
    BLOCK_OCTETS,
    Ages,
    ContentWriter,
    JournalQuery,
    MessageQuery,
    QueueGroup,
    Spool,
    SpoolStats,
)
from postroad.spool.keeping import Incoming
from postroad.spool.location import ShardFolder
from postroad.spool.reading import Reader
from postroad.spool.requests import Acceptance, Commit, Settlement
from postroad.spool.space import Space
from postroad.spool.transaction import Counts, Transaction, count_all
from postroad.spool.transitions import COUNT_LIMIT, check_attempt, check_due, claimed_until

Answer = TypeVar("Answer")
Claim = Callable[[Draft], float | None]


class SqliteSpool:
    """A durable Spool (C1, C2, C7) in a folder of a local disk; made by ``open``."""

    def __init__(self, folder: ShardFolder, files: ContentFiles, clock: Clock, shard: int) -> None:
        """Use ``open``."""
        self.shard = shard
        self.interrupted: Sequence[JournalEntry] = ()
        """What the journal says of the recipients that the process before was working on when it ended."""
        self._folder = folder
        self._files = files
        self._clock = clock
        self._ids = IdSource(shard, clock)
        self._listeners: list[Callable[[Sequence[Draft]], None]] = []
        self._claim: Claim | None = None
        self._claimed: list[Callable[[Sequence[Batch]], None]] = []
        self._lost: list[Callable[[Sequence[Draft]], None]] = []
        self._settled: list[Callable[[Sequence[JournalEntry]], None]] = []
        self._hot = HotContent()
        self._turns = turns.Turns()
        self._postponed: dict[str, float] = {}
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
        opened = await loop.run_in_executor(None, _open_shard, directory, shard, clock)
        folder, files, connection, counts, interrupted = opened
        spool = cls(folder, files, clock, shard)
        spool.interrupted = interrupted
        spool._keep_delivered = keep_delivered
        reopen = partial(_open_checked, folder.database, shard)
        committer = Committer(reopen, files, spool._ids.prefix, budget, spool._committed)
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

    def open_report(self) -> ContentWriter:
        """Begin the content of a report: what is kept free is there for it."""
        self._alive()
        return SpooledContent(self._files, None, reserved=True)

    def free_octets(self) -> int | None:
        """Octets that may still be stored."""
        self._alive()
        return self._space.free()

    def accept(self, draft: Draft, content: ContentWriter, done: Callable[[SpoolError | None], None]) -> None:
        """THE COMMIT POINT: ``done(None)`` once the message is durable."""
        self._alive()
        taken = submitted(content)
        until = 0.0 if self._claim is None else claimed_until(self._claim, draft, self._clock.wall())
        self._committer.submit(Acceptance(draft, taken, until, done))

    def on_accepted(self, listener: Callable[[Sequence[Draft]], None]) -> None:
        """Call ``listener`` after each batch of acceptances became durable."""
        self._listeners.append(listener)

    def on_accepting(self, claim: Claim) -> None:
        """Ask ``claim`` in each ``accept``."""
        self._claim = claim

    def on_claimed(
        self,
        listener: Callable[[Sequence[Batch]], None],
        lost: Callable[[Sequence[Draft]], None] | None = None,
    ) -> None:
        """Call ``listener`` with the leases of what was claimed and accepted, ``lost`` with what was not accepted."""
        self._claimed.append(listener)
        if lost is not None:
            self._lost.append(lost)

    def on_settled(self, listener: Callable[[Sequence[JournalEntry]], None]) -> None:
        """Call ``listener`` with the journal lines of each transaction."""
        self._settled.append(listener)

    async def message(self, message_id: MessageId) -> StoredMessage:
        """One message; raises NotFound."""
        self._alive()
        return await self._reader.ask(lambda db: rows.find_message(db, message_id))

    async def read(self, message_id: MessageId) -> AsyncIterator[bytes]:
        """Prefix and content in blocks of at most 64 KiB; raises NotFound at the first step."""
        self._alive()
        hot = self._hot.get(message_id)
        if hot is None:
            async for block in self._reader.content(message_id):
                yield block
            return
        for part in hot:
            for start in range(0, len(part), BLOCK_OCTETS):
                yield part[start : start + BLOCK_OCTETS]

    async def transcript(self, message_id: MessageId) -> str:
        """The SMTP session that brought the message; raises NotFound."""
        self._alive()
        return await self._reader.ask(lambda db: rows.load_transcript(db, message_id))

    async def messages(self, query: MessageQuery) -> list[StoredMessage]:
        """Messages by arrival, newest first unless asked otherwise; damaged ones are left out and reported."""
        self._alive()
        return await self._reader.ask(lambda db: matching.list_messages(db, query))

    async def find_ids(self, part: str, limit: int) -> list[MessageId]:
        """Ids that begin or end with ``part``, of messages and of the journal."""
        self._alive()
        return await self._reader.ask(lambda db: matching.find_ids(db, part, limit))

    async def attempts(self, message_id: MessageId) -> list[Attempt]:
        """What the journal has of a message that is here, oldest first; raises NotFound."""
        self._alive()
        return await self._reader.ask(lambda db: journal.load_attempts(db, message_id))

    async def journal(self, query: JournalQuery) -> list[JournalEntry]:
        """Lines of the journal, newest first unless asked otherwise."""
        self._alive()
        return await self._reader.ask(lambda db: journal.find_entries(db, query))

    async def summary(self, by: Literal["destination", "reply"], query: MessageQuery, limit: int) -> list[QueueGroup]:
        """Recipients that match, in groups, the largest first."""
        self._alive()
        postponed = dict(self._postponed)
        return await self._reader.ask(lambda db: matching.summary(db, by, query, limit, postponed))

    async def ages(self, query: MessageQuery, moments: Sequence[float], limit: int) -> Ages:
        """Recipients that match by destination and age."""
        self._alive()
        return await self._reader.ask(lambda db: matching.ages(db, query, moments, limit))

    async def stats(self) -> SpoolStats:
        """Counts, as of the last commit."""
        self._alive()
        return self._committer.counts.stats()

    async def lease(
        self, now: float, limit: int, seconds: float, *, busy: Collection[str] = (), per_destination: int = 0
    ) -> list[Batch]:
        """Take recipients that are due."""
        for destination in [name for name, until in self._postponed.items() if until <= now]:
            del self._postponed[destination]
        hidden = turns.octets_of({*busy, *self._postponed})

        def work(tx: Transaction) -> list[Batch]:
            return leasing.lease(tx, self._turns, now, limit, seconds, hidden, per_destination)

        return await self._perform(work)

    async def take(
        self, message_id: MessageId, numbers: Sequence[int] | None, now: float, seconds: float
    ) -> list[Batch]:
        """Lease recipients that are QUEUED or HELD and not leased, whatever their time; raises NotFound."""
        return await self._perform(lambda tx: leasing.take(tx, message_id, numbers, now, now + seconds))

    async def renew(self, batch: Batch, now: float, seconds: float) -> Batch:
        """Prolong a lease that is still ours; raises NotFound."""
        return await self._perform(lambda tx: leasing.renew(tx, batch, now + seconds))

    async def settle(self, batch: Batch, attempt: Attempt, reports: Sequence[tuple[Draft, ContentWriter]] = ()) -> bool:
        """Record an attempt and what it changed, and accept reports; False when the lease was lost."""
        incoming: list[Incoming] = []
        try:
            self._alive()
            check_attempt(batch, attempt)
            incoming += (Incoming(draft, submitted(content)) for draft, content in reports)
        except SpoolError:
            for part in incoming:
                part.content.forget()
            for _, content in reports:
                content.discard()
            raise
        keep = self._keep_delivered
        try:
            settles = None if keep else (batch, attempt)
            return await self._perform(lambda tx: leasing.settle(tx, batch, attempt, incoming, keep), incoming, settles)
        finally:
            self._hot.forget([batch.message.id])

    async def next_due(self, busy: Collection[str] = ()) -> float | None:
        """When the earliest QUEUED recipient may be leased."""
        self._alive()
        left_out = turns.octets_of(busy)
        postponed = {turns.octets_of_name(name): until for name, until in self._postponed.items()}
        return await self._reader.ask(lambda db: turns.next_wake(db, left_out, postponed))

    async def postpone(self, destination: str, until: float) -> int:
        """Lease nothing for this destination before ``until``; gives how many are QUEUED for it, up to 10,000."""
        self._alive()
        check_due(until)
        self._postponed[destination] = until
        return await self._count(destination, float("inf"))

    async def resume(self, destination: str, now: float) -> int:
        """Undo ``postpone``; gives how many are due, up to 10,000."""
        self._alive()
        return 0 if self._postponed.pop(destination, None) is None else await self._count(destination, now)

    async def _count(self, destination: str, now: float) -> int:
        return await self._reader.ask(lambda db: turns.queued_for(db, destination, now, COUNT_LIMIT))

    async def retry(self, query: MessageQuery, due: float) -> int:
        """QUEUED recipients that match are due at ``due``; messages in transactions of CHUNK."""
        check_due(due)
        if query.state not in (None, RecipientState.QUEUED):
            return 0
        total = 0
        after: int | None = query.after
        while after is not None:
            part = self._chunk(query, RecipientState.QUEUED, after)
            count, destinations, after = await self._perform(partial(keeping.retry, query=part, due=due))
            total += count
            for destination in destinations:
                self._postponed.pop(destination, None)
        return total

    @staticmethod
    def _chunk(query: MessageQuery, state: RecipientState, after: int) -> MessageQuery:
        return replace(query, state=state, after=after, limit=keeping.CHUNK, oldest_first=True)

    async def hold(self, message_id: MessageId, note: str, numbers: Sequence[int] | None = None) -> int:
        """QUEUED -> HELD; raises NotFound."""
        now = self._clock.wall()
        try:
            return await self._perform(lambda tx: keeping.hold(tx, now, message_id, note, numbers))
        finally:
            self._hot.forget([message_id])

    async def release(self, query: MessageQuery, due: float, note: str = "") -> int:
        """HELD -> QUEUED for recipients that match; messages in transactions of CHUNK."""
        check_due(due)
        if query.state not in (None, RecipientState.HELD):
            return 0
        total = 0
        after: int | None = query.after
        while after is not None:
            part = self._chunk(query, RecipientState.HELD, after)
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
            self._hot.forget(part)
        return total

    async def trim(self, messages: int, octets: int) -> int:
        """Delete the oldest messages at rest until so many are left, in transactions of CHUNK."""
        total, enough = 0, False
        while not enough:
            count, enough = await self._perform(lambda tx: keeping.trim(tx, messages, octets))
            total += count
        return total

    async def trim_journal(self, older_than: float, octets: int) -> int:
        """Delete the oldest lines of the journal, in transactions of CHUNK."""
        total, enough = 0, False
        while not enough:
            count, enough = await self._perform(lambda tx: keeping.trim_journal(tx, older_than, octets))
            total += count
        return total

    async def close(self) -> None:
        """Finish what was submitted, then let go of files; further calls raise SpoolError. May be repeated."""
        if self._closed:
            return
        self._closed = True
        self._committer.hand_over()
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

    async def _perform(
        self,
        work: Callable[[Transaction], Answer],
        incoming: Sequence[Incoming] = (),
        settles: Settlement | None = None,
    ) -> Answer:
        self._alive()
        answer: Answer = await self._committer.perform(work, incoming, settles)
        return answer

    def _committed(self, commit: Commit) -> None:
        """Tell listeners: of leases first, so that who claimed knows its own when it hears of acceptances."""
        batches = [batch for part in commit.accepted for batch in part.batches]
        for part in commit.accepted if batches else ():
            self._hot.keep(part)
        _tell(self._lost, commit.lost)
        _tell(self._claimed, batches)
        _tell(self._listeners, [part.draft for part in commit.accepted])
        _tell(self._settled, commit.entries)


def _tell(listeners: list[Callable[[Sequence[Any]], None]], what: Sequence[Any]) -> None:
    for listener in listeners if what else ():
        try:
            listener(what)
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


def _end_leases(connection: apsw.Connection, counts: Counts, now: float) -> tuple[Counts, Sequence[JournalEntry]]:
    """End the leases of the process before, and what the journal now says of them; on a full disk they run out."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        tx = Transaction(connection, counts)
        leasing.interrupted(tx, now)
        connection.execute("COMMIT")
        return tx.counts, tx.entries
    except apsw.FullError:
        connection.execute("ROLLBACK")
        return counts, ()


_Opened = tuple[ShardFolder, ContentFiles, apsw.Connection, Counts, Sequence[JournalEntry]]


def _open_shard(directory: Path, shard: int, clock: Clock) -> _Opened:
    """Lock, check, count and tidy a shard; all that blocks."""
    folder = ShardFolder(directory, shard)
    try:
        connection = _open_checked(folder.database, shard)
        files = ContentFiles(folder.content)
        counts, interrupted = _end_leases(connection, count_all(connection), clock.wall())
        files.sweep(rows.content_files(connection))
        return folder, files, connection, counts, interrupted
    except (apsw.Error, OSError, ValueError, TypeError) as error:
        folder.close()
        raise SpoolError(f"cannot use {folder.path}: {error}", "check the disk it is on") from error
    except BaseException:
        folder.close()
        raise


if TYPE_CHECKING:
    _: type[Spool] = SqliteSpool
