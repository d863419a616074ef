"""What one transaction carries along: the connection, the counts as they will be, the files to delete after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

import apsw

from postroad.envelope import Attempt, JournalEntry, MessageId, StoredMessage
from postroad.spool.coding import encode_entry
from postroad.spool.interface import SpoolStats
from postroad.spool.schema import INSERT_LINE, QUEUED, STATES

#: Rows of one INSERT.
_ROWS: Final = (32, 16, 8, 4, 2, 1)
_DELETE: Final = (
    "DELETE FROM recipient WHERE message IN (SELECT value FROM json_each(?))",
    "DELETE FROM content WHERE sequence IN (SELECT value FROM json_each(?))",
    "DELETE FROM message WHERE sequence IN (SELECT value FROM json_each(?))",
)


@dataclass(slots=True)
class Counts:
    """What the spool keeps, so that nobody has to count rows: renewed with each commit, read by any thread."""

    messages: int = 0
    octets: int = 0
    recipients: list[int] = field(default_factory=lambda: [0] * len(STATES))
    sequence: int = 0
    """The highest sequence ever given."""
    line: int = 0
    """The highest line of the journal ever given."""
    total: int = 0
    """Octets of the journal up to its last line; what was trimmed still counts."""

    def copy(self) -> Counts:
        """The same numbers, apart."""
        return replace(self, recipients=list(self.recipients))

    def stats(self) -> SpoolStats:
        """As the interface gives them."""
        by_state = {state.value: count for state, count in zip(STATES, self.recipients, strict=True)}
        return SpoolStats(self.messages, self.octets, by_state)


class Transaction:
    """One transaction under way; the work of many callers shares it."""

    __slots__ = ("_closed", "_lines", "connection", "counts", "entries", "execute", "files", "token")

    def __init__(self, connection: apsw.Connection, counts: Counts, token: Callable[[], int] = int) -> None:
        """``token`` gives the number of a new lease."""
        self.connection = connection
        self.execute = connection.execute
        self.counts = counts.copy()
        self.token = token
        self.files: list[str] = []
        self.entries: list[JournalEntry] = []
        self._lines: list[tuple[Any, ...]] = []
        self._closed: list[int] = []

    def rows(self, sql: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query; what they hold is for the caller to check."""
        return self.execute(sql, bindings).fetchall()

    def journal(
        self, message_id: MessageId, reverse_path: str, forward_paths: dict[int, str], attempt: Attempt
    ) -> None:
        """Append a line to the journal."""
        self.execute(INSERT_LINE, self._line(message_id, reverse_path, forward_paths, attempt))

    def _line(
        self, message_id: MessageId, reverse_path: str, forward_paths: dict[int, str], attempt: Attempt
    ) -> tuple[Any, ...]:
        counts = self.counts
        columns, octets = encode_entry(message_id, reverse_path, forward_paths, attempt)
        line = (counts.line + 1, counts.total, octets, *columns)
        counts.line += 1
        counts.total += octets
        self.entries.append(JournalEntry(counts.line, message_id, reverse_path, forward_paths, attempt))
        return line

    def close(self, message: StoredMessage, file: str | None, attempt: Attempt) -> None:
        """Note that an attempt closes all of a message whose recipients are QUEUED; ``write_out`` does it."""
        counts = self.counts
        paths = {one.number: one.forward_path for one in message.recipients}
        self._lines.append(self._line(message.id, message.reverse_path, paths, attempt))
        self._closed.append(message.sequence)
        counts.recipients[QUEUED] -= len(paths)
        counts.messages -= 1
        counts.octets -= message.size
        if file is not None:
            self.files.append(file)

    def write_out(self) -> None:
        """Write what was noted; due before anything but a settlement reads, and before the commit."""
        if not self._closed:
            return
        insert(self.connection, INSERT_LINE, self._lines)
        sequences = f"[{','.join(map(str, self._closed))}]"
        for statement in _DELETE:
            self.execute(statement, (sequences,))
        if self.counts.sequence in self._closed:
            self.remember("sequence", self.counts.sequence)
        self._lines, self._closed = [], []

    def delete(self, sequence: int, size: int, file: str | None) -> None:
        """Delete a message with all that belongs to it but its journal; its file goes after the commit."""
        counts = self.counts
        for (state,) in self.rows("DELETE FROM recipient WHERE message = ? RETURNING state", (sequence,)):
            if state in range(len(STATES)):  # a damaged row must not keep the operator from removing it
                counts.recipients[state] -= 1
        self.execute("DELETE FROM content WHERE sequence = ?", (sequence,))
        self.execute("DELETE FROM message WHERE sequence = ?", (sequence,))
        counts.messages -= 1
        counts.octets -= size
        if file is not None:
            self.files.append(file)
        if sequence == counts.sequence:
            # The table no longer tells the highest number, and a restart must not give it a second time.
            self.remember("sequence", sequence)

    def remember(self, name: str, value: int) -> None:
        """Write down the highest number that was given."""
        self.execute("INSERT OR REPLACE INTO counter VALUES (?, ?)", (name, value))


def insert(connection: apsw.Connection, statement: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Carry out an INSERT of one row for many, with few statements."""
    start = 0
    for count in _ROWS:
        while len(rows) - start >= count:
            values = [value for row in rows[start : start + count] for value in row]
            connection.execute(_of_rows(statement, count), values)
            start += count


@lru_cache(maxsize=64)
def _of_rows(statement: str, count: int) -> str:
    """The same INSERT for so many rows."""
    return statement + f", {statement[statement.rindex('(') :]}" * (count - 1)


def count_all(connection: apsw.Connection) -> Counts:
    """Count the tables: once, at start."""
    tx = Transaction(connection, Counts())
    messages, octets, highest = tx.rows(
        "SELECT count(*), coalesce(sum(size), 0), coalesce(max(sequence), 0) FROM message"
    )[0]
    given = dict(tx.rows("SELECT name, value FROM counter"))
    line, total = next(iter(tx.rows("SELECT line, start + octets FROM journal ORDER BY line DESC LIMIT 1")), (0, 0))
    counts = Counts(
        messages,
        octets,
        sequence=max(highest, given.get("sequence", 0)),
        line=max(line, given.get("line", 0)),
        total=total,
    )
    for state, count in tx.rows("SELECT state, count(*) FROM recipient GROUP BY state"):
        if state in range(len(STATES)):
            counts.recipients[state] = count
    return counts
