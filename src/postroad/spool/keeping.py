"""Accepting messages in bulk, and what operators do to stored ones. Functions of a transaction, as in leasing.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from postroad.envelope import Draft, MessageId, RecipientState
from postroad.spool.coding import encode
from postroad.spool.content import SpooledContent
from postroad.spool.interface import MessageQuery
from postroad.spool.rows import CorruptRow, matching, recipient_from, report, sequence_of, undamaged
from postroad.spool.schema import (
    DELIVERED,
    HELD,
    INSERT_CONTENT,
    INSERT_MESSAGE,
    INSERT_RECIPIENT,
    QUEUED,
    SELECT_HELD,
)
from postroad.spool.transaction import Transaction
from postroad.spool.transitions import held_attempt, recipient_matches, released_attempt

#: Messages that one transaction releases, removes or trims at most; the caller comes again for the rest.
CHUNK: Final = 500

_HOLD: Final = "UPDATE recipient SET state = 1, next_due = NULL, wake = NULL, note = ? WHERE message = ? AND number = ?"
_RELEASE: Final = (
    "UPDATE recipient SET state = 0, next_due = ?1, wake = max(?1, expires), note = ''"
    " WHERE message = ?2 AND number = ?3"
)
_AT_REST: Final = (
    "FROM message AS m WHERE NOT EXISTS (SELECT 1 FROM recipient AS r WHERE r.message = m.sequence AND r.state = 0)"
)


def accept(tx: Transaction, accepted: Sequence[tuple[Draft, SpooledContent]]) -> None:
    """Write messages; raises what the database raises, and then the transaction must be undone."""
    messages: list[tuple[Any, ...]] = []
    contents: list[tuple[Any, ...]] = []
    recipients: list[tuple[Any, ...]] = []
    counts = tx.counts
    for draft, content in accepted:
        counts.sequence += 1
        sequence, file, due = counts.sequence, content.file, draft.received_at
        size = len(draft.prefix) + content.size
        messages.append(
            (sequence, draft.id, draft.reverse_path, draft.parameters, due, size, encode(draft.origin), file)
        )
        contents.append((sequence, draft.prefix, content.octets() if file is None else None, draft.transcript))
        for number, new in enumerate(draft.recipients):
            state, wake = (HELD, None) if new.hold else (QUEUED, due)
            name = (sequence, number, new.forward_path, new.destination, new.parameters)
            recipients.append((*name, state, 0, wake, None, new.hold, 0, 0.0, wake))
            counts.recipients[state] += 1
        counts.octets += size
    counts.messages += len(accepted)
    many = tx.connection.executemany
    many(INSERT_MESSAGE, messages)
    many(INSERT_CONTENT, contents)
    many(INSERT_RECIPIENT, recipients)


def hold(tx: Transaction, now: float, message_id: MessageId, note: str, numbers: Sequence[int] | None) -> int:
    """QUEUED -> HELD; raises NotFound."""
    sequence = sequence_of(tx.connection, message_id)
    found = tx.rows("SELECT number FROM recipient WHERE message = ? AND state = 0 ORDER BY number", (sequence,))
    changed = [row[0] for row in found if numbers is None or row[0] in numbers]
    for number in changed:
        tx.execute(_HOLD, (note, sequence, number))
    if changed:
        tx.journal(sequence, held_attempt(now, changed, note))
        _move(tx, QUEUED, HELD, len(changed))
    return len(changed)


def release(tx: Transaction, now: float, query: MessageQuery, due: float, note: str) -> tuple[int, int | None]:
    """HELD -> QUEUED for at most CHUNK messages; gives how many recipients, and after which sequence to go on."""
    keys = list(matching(tx.connection, query))
    count = 0
    for sequence in keys:
        changed = list(_held_numbers(tx, sequence, query, note))
        for number in changed:
            tx.execute(_RELEASE, (due, sequence, number))
        if changed:
            tx.journal(sequence, released_attempt(now, changed, due))
        count += len(changed)
    _move(tx, HELD, QUEUED, count)
    return count, keys[-1] if len(keys) == query.limit else None


def _held_numbers(tx: Transaction, sequence: int, query: MessageQuery, note: str) -> Iterator[int]:
    name = f"number {sequence}"
    try:
        with undamaged(name):
            held = [recipient_from(row, name) for row in tx.rows(SELECT_HELD, (sequence,))]
    except CorruptRow as error:
        report(error)  # it stays held: the operator is looking already
        return
    for one in held:
        if recipient_matches(query, one) and note in ("", one.note):
            yield one.number


def _move(tx: Transaction, before: int, after: int, count: int) -> None:
    tx.counts.recipients[before] -= count
    tx.counts.recipients[after] += count


def remove(tx: Transaction, message_ids: Sequence[MessageId]) -> int:
    """Delete messages; gives how many existed."""
    count = 0
    for message_id in message_ids:
        for sequence, size, file in tx.rows("SELECT sequence, size, file FROM message WHERE id = ?", (message_id,)):
            tx.delete(sequence, size, file)
            count += 1
    return count


def trim(tx: Transaction, messages: int, octets: int) -> tuple[int, bool]:
    """Delete the oldest messages at rest, at most CHUNK; gives how many, and whether that was enough."""
    # Each message at rest has a recipient that is not queued: most often that tells enough, without looking.
    at_most = min(tx.counts.messages, tx.counts.recipients[HELD] + tx.counts.recipients[DELIVERED])
    if at_most <= messages and tx.counts.octets <= octets:
        return 0, True
    left, size = tx.rows("SELECT count(*), coalesce(sum(size), 0) " + _AT_REST)[0]
    if left <= messages and size <= octets:
        return 0, True
    oldest = "SELECT sequence, size, file " + _AT_REST + " ORDER BY m.sequence LIMIT ?"
    count = 0
    for sequence, octets_of_it, file in tx.rows(oldest, (CHUNK,)):
        if left <= messages and size <= octets:
            return count, True
        tx.delete(sequence, octets_of_it, file)
        left, size, count = left - 1, size - octets_of_it, count + 1
    return count, count < CHUNK
