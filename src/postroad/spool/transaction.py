"""What one transaction carries along: the connection, the counts as they will be, the files to delete after it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import apsw

from postroad.envelope import Attempt
from postroad.spool.coding import encode
from postroad.spool.interface import SpoolStats
from postroad.spool.schema import INSERT_ATTEMPT, STATES


@dataclass(slots=True)
class Counts:
    """What the spool keeps, so that nobody has to count rows: renewed with each commit, read by any thread."""

    messages: int = 0
    octets: int = 0
    recipients: list[int] = field(default_factory=lambda: [0] * len(STATES))
    sequence: int = 0
    """The highest sequence ever given."""

    def copy(self) -> Counts:
        """The same numbers, apart."""
        return replace(self, recipients=list(self.recipients))

    def stats(self) -> SpoolStats:
        """As the interface gives them."""
        by_state = {state.value: count for state, count in zip(STATES, self.recipients, strict=True)}
        return SpoolStats(self.messages, self.octets, by_state)


class Transaction:
    """One transaction under way; the work of many callers shares it."""

    __slots__ = ("connection", "counts", "execute", "files")

    def __init__(self, connection: apsw.Connection, counts: Counts) -> None:
        self.connection = connection
        self.execute = connection.execute
        self.counts = counts.copy()
        self.files: list[str] = []

    def rows(self, sql: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query; what they hold is for the caller to check."""
        return self.execute(sql, bindings).fetchall()

    def journal(self, sequence: int, attempt: Attempt) -> None:
        """Append a line to a message's journal."""
        self.execute(
            INSERT_ATTEMPT,
            (
                sequence,
                attempt.at,
                attempt.seconds,
                attempt.route,
                attempt.host,
                encode(attempt.results),
                attempt.transcript,
            ),
        )

    def delete(self, sequence: int, size: int, file: str | None) -> None:
        """Delete a message with all that belongs to it; its file goes after the commit."""
        counts = self.counts
        by_state = "SELECT state, count(*) FROM recipient WHERE message = ? GROUP BY state"
        for state, count in self.rows(by_state, (sequence,)):
            if state in range(len(STATES)):  # a damaged row must not keep the operator from removing it
                counts.recipients[state] -= count
        self.execute("DELETE FROM recipient WHERE message = ?", (sequence,))
        self.execute("DELETE FROM attempt WHERE message = ?", (sequence,))
        self.execute("DELETE FROM content WHERE sequence = ?", (sequence,))
        self.execute("DELETE FROM message WHERE sequence = ?", (sequence,))
        counts.messages -= 1
        counts.octets -= size
        if file is not None:
            self.files.append(file)
        if sequence == counts.sequence:
            # The table no longer tells the highest number, and a restart must not give it a second time.
            self.execute("INSERT OR REPLACE INTO counter VALUES ('sequence', ?)", (sequence,))


def count_all(connection: apsw.Connection) -> Counts:
    """Count the tables: once, at start."""
    tx = Transaction(connection, Counts())
    messages, octets, highest = tx.rows(
        "SELECT count(*), coalesce(sum(size), 0), coalesce(max(sequence), 0) FROM message"
    )[0]
    given = max((row[0] for row in tx.rows("SELECT value FROM counter WHERE name = 'sequence'")), default=0)
    counts = Counts(messages, octets, sequence=max(highest, given))
    for state, count in tx.rows("SELECT state, count(*) FROM recipient GROUP BY state"):
        if state in range(len(STATES)):
            counts.recipients[state] = count
    return counts
