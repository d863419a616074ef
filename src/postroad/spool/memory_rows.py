"""What the spool in memory is made of: a row for each recipient, an entry for each message, a journal beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from postroad.envelope import (
    Attempt,
    Batch,
    Draft,
    JournalEntry,
    MessageId,
    NewRecipient,
    Recipient,
    RecipientState,
    StoredMessage,
)
from postroad.errors import SpoolError
from postroad.spool.coding import encode, encode_entry
from postroad.spool.interface import AgeGroup, Ages, JournalQuery, MessageQuery
from postroad.spool.transitions import contains, entry_matches, recipient_matches, wake_time


@dataclass(slots=True)
class Row:
    """One recipient and its lease."""

    recipient: Recipient
    token: int = 0
    expires: float = 0.0

    @property
    def wake(self) -> float | None:
        """When a lease may take it."""
        return wake_time(self.recipient.state, self.recipient.next_due, self.expires)

    def fits(self, query: MessageQuery) -> bool:
        """All that the query says of recipients."""
        return recipient_matches(query, self.recipient)


@dataclass(slots=True)
class Entry:
    """One message."""

    draft: Draft
    sequence: int
    content: bytes
    rows: list[Row]

    @property
    def size(self) -> int:
        """Octets of prefix and content."""
        return len(self.draft.prefix) + len(self.content)

    def has(self, state: RecipientState) -> bool:
        """Whether a recipient is in this state."""
        return any(row.recipient.state is state for row in self.rows)

    def fits(self, query: MessageQuery) -> bool:
        """All that the query says of messages."""
        draft = self.draft
        return (
            self.sequence > query.after
            and (not query.before or self.sequence < query.before)
            and contains(draft.reverse_path, query.reverse_path)
            and (query.received_before is None or draft.received_at < query.received_before)
            and (not query.ids or draft.id in query.ids)
        )

    def stored(self, rows: Iterable[Row]) -> StoredMessage:
        """The message with these recipients."""
        draft = self.draft
        return StoredMessage(
            draft.id,
            self.sequence,
            draft.reverse_path,
            draft.parameters,
            draft.received_at,
            self.size,
            draft.origin,
            tuple(row.recipient for row in rows),
        )

    def lend(self, destination: str, rows: list[Row], token: int, expires: float) -> Batch:
        """Lease these rows."""
        rows.sort(key=lambda row: row.recipient.number)
        for row in rows:
            row.token, row.expires = token, expires
        return Batch(self.stored(rows), destination, token, expires)


def ages_of(entries: Iterable[Entry], query: MessageQuery, moments: Sequence[float], limit: int) -> Ages:
    """Recipients of these messages that match, by destination and age."""
    if query.state is None:
        query = replace(query, state=RecipientState.QUEUED)
    received: dict[str, list[float]] = {}
    for entry in entries:
        for row in entry.rows:
            if row.fits(query):
                received.setdefault(row.recipient.destination, []).append(entry.draft.received_at)

    def group(key: str, times: Sequence[float]) -> AgeGroup:
        return AgeGroup(key, len(times), tuple(sum(one < moment for one in times) for moment in moments))

    groups = sorted((group(key, times) for key, times in received.items()), key=lambda one: (-one.recipients, one.key))
    everything = group("", [one for times in received.values() for one in times])
    return Ages(everything, len(groups), tuple(groups[: max(limit, 0)]))


class Journal:
    """Lines in order, with the octets that a database would need for them."""

    def __init__(self) -> None:
        self._lines: list[tuple[JournalEntry, int]] = []
        self._line = 0

    def append(self, entry: Entry, attempt: Attempt) -> JournalEntry:
        """Add an attempt for a message."""
        numbers = [result.number for result in attempt.results]
        paths = {number: entry.rows[number].recipient.forward_path for number in numbers}
        draft = entry.draft
        _, octets = encode_entry(draft.id, draft.reverse_path, paths, attempt)
        self._line += 1
        line = JournalEntry(self._line, draft.id, draft.reverse_path, paths, attempt)
        self._lines.append((line, octets))
        return line

    def messages(self) -> set[MessageId]:
        """The ids that lines name."""
        return {line.message for line, _ in self._lines}

    def of(self, message_id: MessageId) -> list[Attempt]:
        """The attempts of one message, oldest first."""
        return [line.attempt for line, _ in self._lines if line.message == message_id]

    def find(self, query: JournalQuery) -> list[JournalEntry]:
        """Lines that match."""
        found = [
            line
            for line, _ in self._lines
            if line.line > query.after
            and (not query.before or line.line < query.before)
            and (not query.message or line.message == query.message)
            and entry_matches(query.to, query.code, line.forward_paths, line.attempt.results)
        ]
        if not query.oldest_first:
            found.reverse()
        return found[: max(query.limit, 0)]

    def trim(self, older_than: float, octets: int) -> int:
        """Delete from the oldest on."""
        kept, count = sum(size for _, size in self._lines), 0
        for line, size in self._lines:
            if line.attempt.at >= older_than and kept <= octets:
                break
            kept, count = kept - size, count + 1
        del self._lines[:count]
        return count


def begin(draft: Draft) -> list[Row]:
    """The recipients of a draft, as they are when it is accepted."""
    return [Row(_recipient(number, new, draft.received_at)) for number, new in enumerate(draft.recipients)]


def _recipient(number: int, new: NewRecipient, received_at: float) -> Recipient:
    due = received_at if new.due is None else new.due
    state, next_due = (RecipientState.HELD, None) if new.hold else (RecipientState.QUEUED, due)
    return Recipient(number, new.forward_path, new.destination, new.parameters, state, 0, next_due, None, new.hold)


def check_text(draft: Draft) -> None:
    """Refuse what no database could store: text with half of a surrogate pair."""
    texts = [draft.reverse_path, draft.parameters, draft.transcript]
    for new in draft.recipients:
        texts += (new.forward_path, new.destination, new.parameters, new.hold)
    try:
        encode(draft.origin)
        "".join(texts).encode()
    except UnicodeEncodeError as error:
        raise SpoolError(f"message {draft.id} has text that is no Unicode: {error.reason}") from error


def check_attempt_text(message_id: MessageId, attempt: Attempt) -> None:
    """The same for an attempt."""
    try:
        columns, _ = encode_entry(message_id, "", {}, attempt)
        "".join(column for column in columns if isinstance(column, str)).encode()
    except UnicodeEncodeError as error:
        raise SpoolError(f"an attempt for {message_id} has text that is no Unicode: {error.reason}") from error


def by_destination(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows of one message, by destination in the order of their first."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(row.recipient.destination, []).append(row)
    return groups
