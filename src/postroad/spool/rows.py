"""From rows to values. A database is untrusted on reading: every row is checked, a bad one is a SpoolError, no crash."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import apsw

from postroad.envelope import Attempt, MessageId, Recipient, StoredMessage
from postroad.errors import NotFound, SpoolError
from postroad.spool.coding import decode_origin, decode_reply, decode_results
from postroad.spool.ids import MESSAGE_ID
from postroad.spool.interface import MessageQuery
from postroad.spool.schema import (
    MATCHING_NEWEST_FIRST,
    MATCHING_OLDEST_FIRST,
    SELECT_MESSAGE,
    SELECT_RECIPIENTS,
    STATE_NUMBERS,
    STATES,
)

_LOG: Final = logging.getLogger("postroad.spool")
_NO_BOUND: Final = (1 << 63) - 1

_ATTEMPT: Final = "SELECT at, seconds, route, host, results, transcript FROM attempt WHERE message = ? AND line = ?"


class CorruptRow(SpoolError):
    """A row that this program cannot have written."""

    def __init__(self, name: object, why: object) -> None:
        super().__init__(
            f"message {name} is damaged in the spool: {str(why)[:200]}",
            "restore the state folder, or remove the message",
        )


@contextmanager
def undamaged(name: object) -> Iterator[None]:
    """Inside, what cannot be read of message ``name`` (text that is no UTF-8, a broken page) is a CorruptRow."""
    try:
        yield
    except (UnicodeDecodeError, apsw.CorruptError) as error:
        raise CorruptRow(name, error) from error


def recipient_from(row: tuple[Any, ...], name: object) -> Recipient:
    """A row of RECIPIENT_COLUMNS; raises CorruptRow that names the message ``name``."""
    match row:
        case (
            int(number), str(path), str(destination), str(parameters), int(state), int(attempts),
            float() | None as next_due, str() | None as reply, str(note),
        ) if 0 <= state < len(STATES) and number >= 0 and attempts >= 0:  # fmt: skip
            try:
                said = None if reply is None else decode_reply(reply)
            except ValueError as error:
                raise CorruptRow(name, error) from None
            return Recipient(number, path, destination, parameters, STATES[state], attempts, next_due, said, note)
    raise CorruptRow(name, "a recipient's row has other columns")


def message_from(row: tuple[Any, ...], recipients: tuple[Recipient, ...]) -> StoredMessage:
    """A row of MESSAGE_COLUMNS; raises CorruptRow."""
    match row:
        case (
            int(sequence), str(name), str(path), str(parameters), float(received_at), int(size), str(origin),
        ) if MESSAGE_ID.match(name) is not None and size >= 0:  # fmt: skip
            try:
                came = decode_origin(origin)
            except ValueError as error:
                raise CorruptRow(name, error) from None
            return StoredMessage(MessageId(name), sequence, path, parameters, received_at, size, came, recipients)
    raise CorruptRow(f"{row[1]!r} (number {row[0]!r})"[:80], "its row has other columns")


def sequence_of(connection: apsw.Connection, message_id: MessageId) -> int:
    """The message's key; raises NotFound."""
    found = connection.execute("SELECT sequence FROM message WHERE id = ?", (message_id,)).get
    if not isinstance(found, int):
        raise NotFound(f"no message {message_id[:60]!r} in the spool")
    return found


def load_message(connection: apsw.Connection, sequence: int, name: str = "") -> StoredMessage:
    """One message with all its recipients; raises NotFound, or CorruptRow that names it ``name`` if its row does not."""
    with undamaged(name or f"number {sequence}"):
        row = connection.execute(SELECT_MESSAGE, (sequence,)).fetchone()
        if row is None:
            raise NotFound(f"no message {name or sequence} in the spool")
        rows = connection.execute(SELECT_RECIPIENTS, (sequence,)).fetchall()
    return message_from(row, tuple(recipient_from(one, row[1]) for one in rows))


def find_message(connection: apsw.Connection, message_id: MessageId) -> StoredMessage:
    """The message of that id; raises NotFound or CorruptRow."""
    return load_message(connection, sequence_of(connection, message_id), message_id)


def load_attempts(connection: apsw.Connection, sequence: int, name: str) -> list[Attempt]:
    """The journal, oldest first; lines that cannot be read are left out and reported."""
    attempts: list[Attempt] = []
    for (line,) in connection.execute(
        "SELECT line FROM attempt WHERE message = ? ORDER BY line", (sequence,)
    ).fetchall():
        try:
            with undamaged(name):
                row = connection.execute(_ATTEMPT, (sequence, line)).fetchone()
            attempts.append(_attempt_from(row or (), name))
        except CorruptRow as error:
            report(error)
    return attempts


def _attempt_from(row: tuple[Any, ...], name: str) -> Attempt:
    match row:
        case (float(at), float(seconds), str(route), str(host), str(results), str(transcript)):
            try:
                return Attempt(at, seconds, route, host, decode_results(results), transcript)
            except ValueError as error:
                raise CorruptRow(name, error) from None
    raise CorruptRow(name, "a line of its journal has other columns")


def load_transcript(connection: apsw.Connection, message_id: MessageId) -> str:
    """The session that brought the message; raises NotFound or CorruptRow."""
    sequence = sequence_of(connection, message_id)
    with undamaged(message_id):
        text = connection.execute("SELECT transcript FROM content WHERE sequence = ?", (sequence,)).get
    if not isinstance(text, str):
        raise CorruptRow(message_id, "its transcript is no text")
    return text


def content_files(connection: apsw.Connection) -> set[str]:
    """The names of all content files that a row names."""
    found: list[tuple[Any, ...]] = connection.execute(
        "SELECT CAST(file AS BLOB) FROM message WHERE file IS NOT NULL"
    ).fetchall()
    return {row[0].decode("ascii", "replace") for row in found}


def next_wake(connection: apsw.Connection) -> float | None:
    """When the first recipient may be leased."""
    wake = connection.execute("SELECT min(wake) FROM recipient WHERE wake IS NOT NULL").get
    return wake if isinstance(wake, float) else None


def list_messages(connection: apsw.Connection, query: MessageQuery) -> list[StoredMessage]:
    """Messages that match; what cannot be read is left out and reported, never raised."""
    found: list[StoredMessage] = []
    for sequence in matching(connection, query):
        try:
            found.append(load_message(connection, sequence))
        except (SpoolError, NotFound) as error:
            report(error)
    return found


def matching(connection: apsw.Connection, query: MessageQuery) -> Iterable[int]:
    """Keys of messages that match, in the order asked for."""
    bindings: dict[str, Any] = {
        "after": query.after,
        "before": query.before or _NO_BOUND,
        "anyone": not (query.to or query.destination or query.state is not None),
        "state": None if query.state is None else STATE_NUMBERS[query.state],
        "limit": max(query.limit, 0),
    }
    for name, part in (("reverse_path", query.reverse_path), ("to", query.to), ("destination", query.destination)):
        # SQLite's lower() knows ASCII only: any other text goes to our own function, which is slower.
        bindings[name] = part.lower() if part.isascii() else part
        bindings[name + "_ascii"] = part.isascii()
    text = MATCHING_OLDEST_FIRST if query.oldest_first else MATCHING_NEWEST_FIRST
    return [row[0] for row in connection.execute(text, bindings)]


def report(error: BaseException) -> None:
    """Say in the log what a listing leaves out; on one line, whatever the damaged row says."""
    _LOG.error("left out: %s", str(error).encode("unicode_escape").decode("ascii"))
