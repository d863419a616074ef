"""From rows to values. A database is untrusted on reading: every row is checked, a bad one is a SpoolError, no crash."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import apsw

from postroad.envelope import MessageId, Recipient, StoredMessage
from postroad.errors import NotFound, SpoolError
from postroad.spool.coding import decode_origin, decode_reply
from postroad.spool.ids import MESSAGE_ID
from postroad.spool.schema import DELAY_TOLD, EXPIRED, SELECT_MESSAGE, SELECT_RECIPIENTS, STATES

_LOG: Final = logging.getLogger("postroad.spool")


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
            float() | None as next_due, str() | None as reply, str(note), int(flags),
        ) if 0 <= state < len(STATES) and number >= 0 and attempts >= 0:  # fmt: skip
            try:
                said = None if reply is None else decode_reply(reply)
            except ValueError as error:
                raise CorruptRow(name, error) from None
            expired, told = bool(flags & EXPIRED), bool(flags & DELAY_TOLD)
            return Recipient(
                number, path, destination, parameters, STATES[state], attempts, next_due, said, note, expired, told
            )
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


def is_kept(connection: apsw.Connection, message_id: MessageId) -> bool:
    """Whether there is a message of that id."""
    return connection.execute("SELECT 1 FROM message WHERE id = ?", (message_id,)).fetchone() is not None


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


def report(error: BaseException) -> None:
    """Say in the log what a listing leaves out; on one line, whatever the damaged row says."""
    _LOG.error("left out: %s", str(error).encode("unicode_escape").decode("ascii"))
