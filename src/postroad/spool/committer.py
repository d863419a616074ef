"""The one thread that writes: it takes all that is pending whenever it is free, into one transaction, with one fsync.

Nothing waits on purpose: while one transaction is on its way to the disk, the next one gathers; what comes in one turn
of the event loop goes together. Callers hear of the outcome by one call into the event loop a transaction. An error of
one request costs its neighbours nothing; an error of the disk costs the whole transaction: everybody is told, nothing
is tried again, and the database is opened afresh (C7: after a failed fsync the kernel may have thrown the data away and
call the next fsync a success).
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final

import apsw

from postroad.envelope import Draft, JournalEntry
from postroad.errors import NotFound, SpoolError, StorageFull
from postroad.spool import keeping
from postroad.spool.content import ContentFiles
from postroad.spool.fresh import FreshMessages
from postroad.spool.keeping import Incoming
from postroad.spool.requests import Acceptance, Commit, Request, Settlement
from postroad.spool.rows import is_kept
from postroad.spool.space import storage_fault
from postroad.spool.transaction import Counts, Transaction, count_all
from postroad.spool.transitions import check_draft

_LOG: Final = logging.getLogger("postroad.spool")

#: Requests, and octets of content in files to be synced, of one transaction: so that nobody waits long behind others.
_BATCH: Final = 1000
_BATCH_OCTETS: Final = 32 * 1024 * 1024
#: Pages in the WAL at which it is written back, right after a transaction was acknowledged; 4 KiB each.
_CHECKPOINT_PAGES: Final = 1000
#: A WAL shorter than that is written back when nothing came for so many seconds.
_IDLE_SECONDS: Final = 1.0

#: Errors of the disk or the engine as a whole; any other error is of the one statement.
_FATAL: Final = (
    apsw.IOError,
    apsw.FullError,
    apsw.NoMemError,
    apsw.CantOpenError,
    apsw.ReadOnlyError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.ProtocolError,
    apsw.NotADBError,
    MemoryError,
)


class Committer:
    """Owns the writing connection; made and used on the event loop, works in its own thread."""

    def __init__(
        self,
        open_connection: Callable[[], apsw.Connection],
        files: ContentFiles,
        shard_prefix: str,
        budget: int | None,
        on_commit: Callable[[Commit], None],
    ) -> None:
        """``open_connection`` gives a checked connection, or raises SpoolError; it is called in the thread, too.

        ``on_commit`` is called on the event loop, after those who waited for a transaction were told.
        """
        self.counts = Counts()
        self.reusable = 0
        self._open_connection = open_connection
        self._connection: apsw.Connection | None = None
        self._files = files
        self._shard_prefix = shard_prefix
        self._budget = budget
        self._on_commit = on_commit
        self._token = itertools.count(1).__next__
        self._queue: SimpleQueue[Acceptance | Request | None] = SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="spool-committer", daemon=True)
        self._fresh = FreshMessages()
        self._wal_pages = 0
        self._checkpoint_at = _CHECKPOINT_PAGES
        #: Messages of a transaction whose commit failed: should the disk have kept them, they are taken back.
        self._doubtful: list[Incoming] = []
        #: Reports of such a transaction: if the disk kept them, it also kept what they report, and they stay.
        self._reported: list[Incoming] = []
        self._gathered: list[Acceptance | Request] = []

    def start(self, connection: apsw.Connection, counts: Counts) -> None:
        """Begin, with a connection that was opened and counted."""
        self._adopt(connection)
        self.counts = counts
        self._thread.start()

    def submit(self, one: Acceptance | Request) -> None:
        """Put it into the next transaction, together with all that comes in this turn of the event loop."""
        if not self._gathered:
            self._loop.call_soon(self.hand_over)
        self._gathered.append(one)

    def hand_over(self) -> None:
        """Let the thread see what was submitted."""
        gathered, self._gathered = self._gathered, []
        for one in gathered:
            self._queue.put(one)

    async def perform(
        self,
        work: Callable[[Transaction], Any],
        incoming: Sequence[Incoming] = (),
        settles: Settlement | None = None,
    ) -> Any:
        """Do ``work`` in a transaction; gives its result once it is durable; raises SpoolError or NotFound.

        ``settles``: what ``work`` settles, if it does nothing else, and a message goes once all are settled.
        """
        future: asyncio.Future[Any] = self._loop.create_future()
        self.submit(Request(work, future, incoming, settles))
        return await future

    def stop(self) -> None:
        """Finish all that was handed over, and wait for it; blocks."""
        self._queue.put(None)
        self._thread.join()

    # ------------------------------------------------------------------------------- in the committer's thread

    def _run(self) -> None:
        running = True
        while running:
            batch, running = self._gather()
            if batch:
                self._tell(batch, self._commit(batch))
            self._tidy(idle=not batch)
        self._disconnect()

    def _gather(self) -> tuple[list[Acceptance | Request], bool]:
        """All that is pending, and whether more may come; waits for the first, or until the WAL may be tidied."""
        batch: list[Acceptance | Request] = []
        octets = 0
        take = self._queue.get
        try:
            one = take(timeout=_IDLE_SECONDS) if self._wal_pages else take()
            while one is not None:
                batch.append(one)
                for part in (one,) if isinstance(one, Acceptance) else one.incoming:
                    if part.content.file is not None:
                        octets += part.content.size
                if len(batch) >= _BATCH or octets >= _BATCH_OCTETS:
                    return batch, True
                one = take(block=False)
        except Empty:
            return batch, True
        return batch, False

    def _commit(self, batch: list[Acceptance | Request]) -> list[JournalEntry]:
        """Make all of a batch durable, or give each that is not an error; gives new journal lines; never raises."""
        committing = False
        try:
            connection = self._connect()
            self._seal(batch)
            ready = [one for one in batch if one.error is None]
            tx = self._together(connection, ready)
            if tx is None:
                tx = self._singly(connection, ready)
            committing = True
            connection.execute("COMMIT")
        except BaseException as error:
            self._fail(batch, error, committing)
            return []
        self.counts = tx.counts
        self._fresh.keep(one for one in batch if isinstance(one, Acceptance) and one.accepted)
        self._files.remove(tx.files)
        for one in batch:
            if not one.accepted:
                _forget(one.incoming)
        return tx.entries

    def _seal(self, batch: list[Acceptance | Request]) -> None:
        """Check what comes in, and make its files durable; who cannot go on gets an error."""
        room = None if self._budget is None else self._budget - self.counts.octets
        files: list[Acceptance | Request] = []
        for one in batch:
            for part in (one,) if isinstance(one, Acceptance) else one.incoming:
                try:
                    room = self._prepare(part, room)
                except SpoolError as error:
                    one.error = error
                    break
                except OSError as error:
                    one.error = storage_fault(error, f"content of {part.draft.id} did not reach the disk")
                    break
                if part.content.file is not None:
                    files.append(one)
        if files:
            try:
                self._files.sync()  # one for all files of the batch
            except OSError as error:
                for one in files:
                    one.error = storage_fault(error, f"content of {one.incoming[0].draft.id} did not reach the disk")

    def _prepare(self, part: Incoming, room: int | None) -> int | None:
        """Seal one content; gives the room that is left."""
        check_draft(part.draft, self._shard_prefix)
        if room is not None:
            size = len(part.draft.prefix) + part.content.size
            if size > room and not part.content.reserved:
                raise StorageFull("the spool's budget is used up", "remove messages, or allow a larger budget")
            room -= size
        part.content.seal()
        return room

    def _together(self, connection: apsw.Connection, ready: list[Acceptance | Request]) -> Transaction | None:
        """The quick way: everything in one go. None, with nothing done, when the engine refuses any part of it."""
        connection.execute("BEGIN IMMEDIATE")
        tx = Transaction(connection, self.counts, self._token)
        try:
            accepted = [one for one in ready if isinstance(one, Acceptance)]
            if accepted:
                keeping.accept(tx, accepted)
            for one in ready:
                if isinstance(one, Request):
                    self._carry_out(one, tx)
            tx.write_out()
        except _FATAL:
            raise
        except Exception:
            connection.execute("ROLLBACK")
            return None
        return tx

    def _carry_out(self, request: Request, tx: Transaction) -> None:
        if request.settles is None:
            tx.write_out()
            self._fresh.clear()
        else:
            batch, attempt = request.settles
            fresh = self._fresh.take(batch)
            if fresh is not None and not request.incoming and fresh.is_closed(batch, attempt):
                tx.close(fresh.batch.message, fresh.file, attempt)
                request.result = True
                return
        _work(request, tx)

    def _singly(self, connection: apsw.Connection, ready: list[Acceptance | Request]) -> Transaction:
        """The careful way: each in a savepoint of its own, so that a bad one is undone alone."""
        self._fresh.clear()
        connection.execute("BEGIN IMMEDIATE")
        tx = Transaction(connection, self.counts, self._token)
        for one in sorted(ready, key=lambda one: isinstance(one, Request)):
            one.error = None
            before, files, entries = tx.counts.copy(), len(tx.files), len(tx.entries)
            connection.execute("SAVEPOINT one")
            try:
                if isinstance(one, Acceptance):
                    keeping.accept(tx, one.incoming)
                else:
                    _work(one, tx)
            except _FATAL:
                raise
            except Exception as error:
                connection.execute("ROLLBACK TO one")
                tx.counts = before
                del tx.files[files:], tx.entries[entries:]
                one.error = _refusal(one, error)
            connection.execute("RELEASE one")
        return tx

    def _fail(self, batch: list[Acceptance | Request], error: BaseException, committing: bool) -> None:
        """Tell everybody, and let go of the connection: its state, and the kernel's cache, are not to be trusted."""
        _LOG.error("a transaction of %d requests failed: %s: %s", len(batch), type(error).__name__, error)
        self._fresh.clear()
        system_errno = 0 if self._connection is None else self._connection.system_errno
        doubtful = committing and not isinstance(error, apsw.FullError)
        for one in batch:
            # Not one that was refused before: its id may be that of a message that was acknowledged long ago.
            if doubtful and one.accepted:
                (self._doubtful if isinstance(one, Acceptance) else self._reported).extend(one.incoming)
            else:
                _forget(one.incoming)
            one.error = _fault(error, system_errno)
        if not (isinstance(error, apsw.FullError) and self._undo()):
            self._disconnect()

    def _undo(self) -> bool:
        """After a full disk, which SQLite notices before it commits, the connection is as good as before."""
        connection = self._connection
        if connection is None:
            return False
        try:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        except apsw.Error:
            return False
        return True

    def _tell(self, batch: list[Acceptance | Request], entries: list[JournalEntry]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._deliver, batch, entries)
        except RuntimeError:
            _LOG.error("the event loop ended before %d outcomes were told", len(batch))

    # ------------------------------------------------------------------------------------------- the connection

    def _adopt(self, connection: apsw.Connection) -> None:
        connection.set_wal_hook(self._count_wal)
        self._connection = connection
        self._wal_pages = 0

    def _connect(self) -> apsw.Connection:
        """The connection; opened afresh, and cleared of what a failed commit may have left, after a fault."""
        if self._connection is None:
            connection = self._open_connection()
            self._take_back(connection)
            self._adopt(connection)
            _LOG.warning("the spool's database was opened again after a fault")
            return connection
        return self._connection

    def _take_back(self, connection: apsw.Connection) -> None:
        """Delete messages that were reported as failed, should the disk have kept them: their senders try again.

        Before that, ``_open_connection`` has written back the WAL and begun a new one: frames whose fsync failed may
        be in the kernel's cache only, and whatever is written behind them would be lost with them in a power cut.
        A settlement that was reported as failed stays if the disk kept it: with its reports, or neither.
        """
        try:
            connection.execute("BEGIN IMMEDIATE")
            tx = Transaction(connection, Counts())
            kept = {one.draft.id for one in self._reported if is_kept(connection, one.draft.id)}
            keeping.remove(tx, [one.draft.id for one in self._doubtful])
            connection.execute("COMMIT")
            self.counts = count_all(connection)
        except Exception as error:
            connection.close(True)
            raise _fault(error, 0) from error
        _forget(self._doubtful)
        _forget([one for one in self._reported if one.draft.id not in kept])
        self._doubtful.clear()
        self._reported.clear()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close(True)
            except apsw.Error as error:
                _LOG.error("closing the spool's database: %s", error)

    def _count_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def _tidy(self, idle: bool) -> None:
        """Write the WAL back when it is long or nobody waits; see how much of the database is free for reuse."""
        connection = self._connection
        if connection is None or not (idle or self._wal_pages >= self._checkpoint_at):
            return
        try:
            in_wal, written = connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self.reusable = connection.pragma("freelist_count") * connection.pragma("page_size")
        except apsw.Error as error:
            # The WAL stays as it is, and its pages are written again: nothing was lost.
            _LOG.error("writing the spool's WAL back failed: %s", error)
            in_wal, written = self._wal_pages, 0
        self._wal_pages = 0 if in_wal == written else in_wal
        self._checkpoint_at = self._wal_pages + _CHECKPOINT_PAGES

    # --------------------------------------------------------------------------------------- on the event loop

    def _deliver(self, batch: list[Acceptance | Request], entries: list[JournalEntry]) -> None:
        accepted: list[Incoming] = []
        lost: list[Draft] = []
        for one in batch:
            self._call(one.finish)
            if not isinstance(one, Acceptance):
                accepted += one.incoming if one.accepted else ()
            elif one.error is None:
                accepted.append(one)
            elif one.expires:
                lost.append(one.draft)
        if accepted or lost or entries:
            self._call(self._on_commit, Commit(accepted, lost, entries))

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            function(*arguments)
        except Exception as error:  # one caller's fault must not cost the others their answer
            self._loop.call_exception_handler({"message": "a spool callback failed", "exception": error})


def _work(request: Request, tx: Transaction) -> None:
    try:
        request.result = request.work(tx)
    except (NotFound, SpoolError) as error:
        request.error = error


def _forget(incoming: Sequence[Incoming]) -> None:
    for part in incoming:
        part.content.forget()


def _refusal(one: Acceptance | Request, error: Exception) -> SpoolError:
    """Why this one could not be done, while its neighbours could."""
    if not one.incoming:
        return SpoolError(f"the spool could not do this: {type(error).__name__}: {error}")
    name = ", ".join(part.draft.id for part in one.incoming)
    if isinstance(error, apsw.ConstraintError):
        return SpoolError(f"message {name} is in the spool already")
    if isinstance(error, UnicodeEncodeError):
        return SpoolError(f"message {name} has text that is no Unicode: {error.reason}")
    return SpoolError(f"message {name} could not be stored: {type(error).__name__}: {error}")


def _fault(error: BaseException, system_errno: int) -> SpoolError:
    """What to tell everybody of a transaction that failed."""
    if isinstance(error, SpoolError):
        return type(error)(error.message, error.hint)
    if isinstance(error, OSError):
        return storage_fault(error, "content did not reach the disk")
    full = isinstance(error, apsw.IOError) and system_errno in (errno.ENOSPC, errno.EDQUOT)
    if full or isinstance(error, apsw.FullError):
        return StorageFull("the spool's disk is full", "free space or inodes on it")
    return SpoolError(
        f"the spool could not commit: {type(error).__name__}: {error}", "see the system's log for the disk"
    )
