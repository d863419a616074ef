"""From the tables of an older release to those of this one, in one transaction: an interrupted migration changed nothing.

Version 1 had no priorities, one index, and a journal that went with its message.
"""

from __future__ import annotations

import logging
from typing import Any, Final

import apsw

from postroad.envelope import Attempt, MessageId
from postroad.spool.coding import decode_reply, decode_results
from postroad.spool.rows import CorruptRow, report, undamaged
from postroad.spool.schema import INDEXES, JOURNAL, VERSION
from postroad.spool.transaction import Counts, Transaction
from postroad.spool.transitions import cause_of

_LOG: Final = logging.getLogger("postroad.spool")

#: What ``migrate`` can read.
OLDER: Final = (1,)

_COLUMNS: Final = (
    "ALTER TABLE message ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE recipient ADD COLUMN rank INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE recipient ADD COLUMN flags INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE recipient ADD COLUMN cause TEXT",
    "DROP INDEX recipient_wake",
)
_TRIED: Final = "SELECT message, number, CAST(reply AS BLOB), CAST(note AS BLOB) FROM recipient WHERE attempts > 0"
_LINES: Final = "SELECT a.message, a.line FROM attempt AS a JOIN message AS m ON m.sequence = a.message ORDER BY a.at, a.message, a.line"
_LINE: Final = (
    "SELECT m.id, m.reverse_path, a.at, a.seconds, a.route, a.host, a.results, a.transcript"
    " FROM attempt AS a JOIN message AS m ON m.sequence = a.message WHERE a.message = ? AND a.line = ?"
)
_PATHS: Final = "SELECT number, forward_path FROM recipient WHERE message = ?"


def migrate(connection: apsw.Connection, version: int) -> None:
    """Bring a database of an older version to this one's; raises what the database raises, and then it is as it was."""
    _LOG.warning("the spool is brought from format %d to %d", version, VERSION)
    connection.execute("BEGIN IMMEDIATE")
    try:
        tx = Transaction(connection, Counts())
        for statement in _COLUMNS:
            tx.execute(statement)
        tx.execute(JOURNAL)
        _fill_causes(tx)
        _move_journal(tx)
        tx.execute("DROP TABLE attempt")
        tx.execute(INDEXES)
        connection.pragma("user_version", VERSION)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _fill_causes(tx: Transaction) -> None:
    for message, number, reply, note in tx.execute(_TRIED):
        try:
            said = None if reply is None else decode_reply(reply.decode("utf-8"))
            cause = cause_of(said, note.decode("utf-8"))
        except ValueError:  # damaged: whoever reads the recipient is told
            continue
        tx.execute("UPDATE recipient SET cause = ? WHERE message = ? AND number = ?", (cause or None, message, number))


def _move_journal(tx: Transaction) -> None:
    """Lines of all messages, in the order of their time; what cannot be read is left behind, and reported."""
    for message, line in tx.execute(_LINES):
        try:
            name = f"number {message}"
            with undamaged(name):
                row = tx.execute(_LINE, (message, line)).fetchone()
                paths = dict(tx.rows(_PATHS, (message,)))
            _move_line(tx, row or (), paths, name)
        except CorruptRow as error:
            report(error)


def _move_line(tx: Transaction, row: tuple[Any, ...], paths: dict[int, str], name: str) -> None:
    message_id, reverse_path, at, seconds, route, host, text, transcript = row
    try:
        results = decode_results(text)
    except ValueError as error:
        raise CorruptRow(name, error) from None
    told = {result.number: paths[result.number] for result in results if result.number in paths}
    tx.journal(MessageId(message_id), reverse_path, told, Attempt(at, seconds, route, host, results, transcript))
