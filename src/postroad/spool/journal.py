"""Reading the journal. A line that cannot be read is left out and reported."""

from __future__ import annotations

from typing import Any, Final, cast

import apsw

from postroad.envelope import Attempt, JournalEntry, MessageId
from postroad.spool.coding import EntryColumns, decode_entry, encode
from postroad.spool.interface import JournalQuery
from postroad.spool.rows import CorruptRow, report, sequence_of, undamaged
from postroad.spool.schema import JOURNAL_COLUMNS
from postroad.spool.transitions import entry_matches

_NO_BOUND: Final = (1 << 63) - 1
_LINE: Final = "SELECT line, " + JOURNAL_COLUMNS + " FROM journal WHERE line = ?"
_LINES: Final = "SELECT line FROM journal WHERE line > :after AND line < :before"
_OF_MESSAGE: Final = " AND message = :message"
#: Only to look at fewer lines: what matches is decided by entry_matches.
_TO: Final = " AND contains_text(paths, :to)"
_CODE: Final = " AND replies_fit(:code, results)"


def find_entries(connection: apsw.Connection, query: JournalQuery) -> list[JournalEntry]:
    """Lines that match, newest first unless asked otherwise."""
    text = _LINES
    bindings: dict[str, Any] = {"after": query.after, "before": query.before or _NO_BOUND}
    if query.message:
        text, bindings["message"] = text + _OF_MESSAGE, query.message
    if query.to:
        # In JSON some characters are written in another way: so are they in what is looked for.
        text, bindings["to"] = text + _TO, encode(query.to)[1:-1]
    if query.code:
        text, bindings["code"] = text + _CODE, query.code
    text += " ORDER BY line" if query.oldest_first else " ORDER BY line DESC"
    found: list[JournalEntry] = []
    for (line,) in connection.execute(text, bindings):
        if len(found) >= query.limit:
            break
        entry = _entry(connection, line)
        if entry and entry_matches(query.to, query.code, entry.forward_paths, entry.attempt.results):
            found.append(entry)
    return found


def load_attempts(connection: apsw.Connection, message_id: MessageId) -> list[Attempt]:
    """What the journal has of a message that is here, oldest first; raises NotFound."""
    sequence_of(connection, message_id)
    query = JournalQuery(message=message_id, limit=_NO_BOUND, oldest_first=True)
    return [entry.attempt for entry in find_entries(connection, query)]


def _entry(connection: apsw.Connection, line: int) -> JournalEntry | None:
    try:
        with undamaged(f"of line {line} of the journal"):
            row = connection.execute(_LINE, (line,)).fetchone()
        return entry_from(row or ())
    except CorruptRow as error:
        report(error)
        return None


def entry_from(row: tuple[Any, ...]) -> JournalEntry:
    """A row of its number and JOURNAL_COLUMNS; raises CorruptRow."""
    match row:
        case (
            int(line), str(), str(), str(), float(), float(), str(), str(), str(), str(), str(), str(),
        ):  # fmt: skip
            try:
                return decode_entry(line, cast(EntryColumns, row[1:]))
            except ValueError as error:
                raise CorruptRow(f"{row[1]!r}"[:60], error) from None
    raise CorruptRow(row[1:2], "a line of the journal has other columns")
