"""Accepting messages in bulk, and what operators do to stored ones. Functions of a transaction, as in leasing.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from postroad.envelope import Batch, Draft, MessageId, Recipient, RecipientState, StoredMessage
from postroad.spool.coding import encode
from postroad.spool.content import SpooledContent
from postroad.spool.interface import MessageQuery
from postroad.spool.matching import matching
from postroad.spool.rows import CorruptRow, recipient_from, report, sequence_of, undamaged
from postroad.spool.schema import (
    DELIVERED,
    FAILED,
    HELD,
    INSERT_CONTENT,
    INSERT_MESSAGE,
    INSERT_RECIPIENT,
    QUEUED,
    SELECT_IN_STATE,
    STATE_NUMBERS,
)
from postroad.spool.transaction import Transaction, insert
from postroad.spool.transitions import held_attempt, is_claimable, recipient_matches, released_attempt

#: Messages that one transaction releases, removes or trims at most, and lines; the caller comes again for the rest.
CHUNK: Final = 500

_HOLD: Final = (
    "UPDATE recipient SET state = 1, next_due = NULL, wake = NULL, note = ?1,"
    " cause = CASE WHEN reply IS NOT NULL THEN cause WHEN ?1 <> '' THEN '-' || substr(?1, 1, 200) END"
    " WHERE message = ?2 AND number = ?3"
)
_RELEASE: Final = (
    "UPDATE recipient SET state = 0, next_due = ?1, wake = max(?1, expires), note = '',"
    " cause = CASE WHEN reply IS NOT NULL THEN cause END WHERE message = ?2 AND number = ?3"
)
_RETRY: Final = "UPDATE recipient SET next_due = ?1, wake = max(?1, expires) WHERE message = ?2 AND number = ?3"
_AT_REST: Final = (
    "FROM message AS m WHERE NOT EXISTS (SELECT 1 FROM recipient AS r WHERE r.message = m.sequence AND r.state = 0)"
)


class Incoming:
    """A message on its way to the commit point."""

    __slots__ = ("batches", "content", "draft", "expires")

    def __init__(self, draft: Draft, content: SpooledContent, expires: float = 0.0) -> None:
        """``expires``: until when whoever claimed it has it leased; 0: nobody did."""
        self.draft = draft
        self.content = content
        self.expires = expires
        self.batches: Sequence[Batch] = ()


def accept(tx: Transaction, incoming: Iterable[Incoming]) -> None:
    """Write messages; raises what the database raises, and then the transaction must be undone."""
    messages: list[tuple[Any, ...]] = []
    contents: list[tuple[Any, ...]] = []
    recipients: list[tuple[Any, ...]] = []
    counts = tx.counts
    for one in incoming:
        draft, content = one.draft, one.content
        counts.sequence += 1
        sequence, file, at = counts.sequence, content.file, draft.received_at
        size = len(draft.prefix) + content.size
        origin, rank = encode(draft.origin), -draft.priority
        messages.append(
            (sequence, draft.id, draft.reverse_path, draft.parameters, at, size, origin, file, draft.priority)
        )
        contents.append((sequence, draft.prefix, content.octets() if file is None else None, draft.transcript))
        tokens = _claim(tx, one, sequence, size) if one.expires else None
        for number, new in enumerate(draft.recipients):
            state, token, expires = QUEUED, 0, 0.0
            due: float | None = at
            if new.hold:
                state, due = HELD, None
            elif new.due is not None:
                due = new.due
            elif tokens is not None:
                token, expires = tokens[new.destination], one.expires
            wake = due if due is None or due > expires else expires
            name = (sequence, number, new.forward_path, new.destination, new.parameters)
            recipients.append((*name, state, 0, due, None, new.hold, token, expires, wake, rank))
            counts.recipients[state] += 1
        counts.octets += size
    counts.messages += len(messages)
    insert(tx.connection, INSERT_MESSAGE, messages)
    insert(tx.connection, INSERT_CONTENT, contents)
    insert(tx.connection, INSERT_RECIPIENT, recipients)


def _claim(tx: Transaction, one: Incoming, sequence: int, size: int) -> dict[str, int]:
    """Make the leases of a claimed message, a destination each; gives their tokens."""
    draft = one.draft
    groups: dict[str, list[Recipient]] = {}
    for number, new in enumerate(draft.recipients):
        if is_claimable(new):
            path, destination, given = new.forward_path, new.destination, new.parameters
            groups.setdefault(destination, []).append(
                Recipient(number, path, destination, given, RecipientState.QUEUED, 0, draft.received_at, None, "")
            )
    one.batches = [
        Batch(
            StoredMessage(
                draft.id,
                sequence,
                draft.reverse_path,
                draft.parameters,
                draft.received_at,
                size,
                draft.origin,
                tuple(recipients),
            ),
            destination,
            tx.token(),
            one.expires,
        )
        for destination, recipients in groups.items()
    ]
    return {batch.destination: batch.token for batch in one.batches}


def hold(tx: Transaction, now: float, message_id: MessageId, note: str, numbers: Sequence[int] | None) -> int:
    """QUEUED -> HELD; raises NotFound."""
    sequence = sequence_of(tx.connection, message_id)
    text = "SELECT number, forward_path FROM recipient WHERE message = ? AND state = 0 ORDER BY number"
    with undamaged(message_id):
        found = tx.rows(text, (sequence,))
        reverse_path = _names(tx, sequence)[1]
    changed = {number: path for number, path in found if numbers is None or number in numbers}
    for number in changed:
        tx.execute(_HOLD, (note, sequence, number))
    if changed:
        tx.journal(message_id, reverse_path, changed, held_attempt(now, list(changed), note))
        _move(tx, QUEUED, HELD, len(changed))
    return len(changed)


def _names(tx: Transaction, sequence: int) -> tuple[MessageId, str]:
    """Id and reverse-path, for a line of the journal."""
    ((name, reverse_path),) = tx.rows("SELECT id, reverse_path FROM message WHERE sequence = ?", (sequence,))
    return name, reverse_path


def release(tx: Transaction, now: float, query: MessageQuery, due: float, note: str) -> tuple[int, int | None]:
    """HELD -> QUEUED for at most CHUNK messages; gives how many recipients, and after which sequence to go on."""
    keys = list(matching(tx.connection, query))
    count = 0
    for sequence in keys:
        fitting = (one for one in _fitting(tx, sequence, query) if note in ("", one.note))
        changed = {one.number: one.forward_path for one in fitting}
        for number in changed:
            tx.execute(_RELEASE, (due, sequence, number))
        if changed:
            tx.journal(*_names(tx, sequence), changed, released_attempt(now, list(changed), due))
        count += len(changed)
    _move(tx, HELD, QUEUED, count)
    return count, keys[-1] if len(keys) == query.limit else None


def retry(tx: Transaction, query: MessageQuery, due: float) -> tuple[int, set[str], int | None]:
    """QUEUED ones of at most CHUNK messages are due then; gives how many, whereto, and after which sequence to go on."""
    keys = list(matching(tx.connection, query))
    count, destinations = 0, set[str]()
    for sequence in keys:
        for one in _fitting(tx, sequence, query):
            tx.execute(_RETRY, (due, sequence, one.number))
            destinations.add(one.destination)
            count += 1
    return count, destinations, keys[-1] if len(keys) == query.limit else None


def _fitting(tx: Transaction, sequence: int, query: MessageQuery) -> Iterator[Recipient]:
    """The recipients that match, all of one state."""
    name = f"number {sequence}"
    state = STATE_NUMBERS[query.state or RecipientState.QUEUED]
    try:
        with undamaged(name):
            _names(tx, sequence)
            found = [recipient_from(row, name) for row in tx.rows(SELECT_IN_STATE, (sequence, state))]
    except CorruptRow as error:
        report(error)  # it stays as it is: the operator is looking already
        return
    yield from (one for one in found if recipient_matches(query, one))


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
    at_most = min(tx.counts.messages, sum(tx.counts.recipients[one] for one in (HELD, DELIVERED, FAILED)))
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


def trim_journal(tx: Transaction, older_than: float, octets: int) -> tuple[int, bool]:
    """Delete the oldest lines, at most CHUNK; gives how many, and whether that was enough."""
    last, count = 0, 0
    for line, start, at in tx.rows("SELECT line, start, at FROM journal ORDER BY line LIMIT ?", (CHUNK,)):
        if at >= older_than and tx.counts.total - start <= octets:
            break
        last, count = line, count + 1
    if count:
        tx.execute("DELETE FROM journal WHERE line <= ?", (last,))
        if last == tx.counts.line:
            tx.remember("line", last)
    return count, count < CHUNK
