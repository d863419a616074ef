"""Leases: recipients are lent to a worker, and come back settled, given back, or when the time is up.

Functions of a transaction. Each decides, and may raise, before it writes anything: that lets many share one transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Final

from postroad.envelope import Attempt, Batch, MessageId, Outcome, Recipient, Result
from postroad.errors import NotFound
from postroad.spool import keeping
from postroad.spool.coding import encode
from postroad.spool.keeping import Incoming
from postroad.spool.rows import CorruptRow, load_message, message_from, recipient_from, report, sequence_of, undamaged
from postroad.spool.schema import (
    DELAY_TOLD,
    EXPIRED,
    HELD,
    LEND,
    QUEUED,
    SELECT_LEASED,
    SELECT_MESSAGE,
    STATE_NUMBERS,
    TAKE,
)
from postroad.spool.transaction import Transaction
from postroad.spool.transitions import CLOSED, cause_of, settled, wake_time
from postroad.spool.turns import Turns

_SETTLE: Final = (
    "UPDATE recipient SET state = ?, attempts = ?, next_due = ?, reply = ?, note = ?, flags = ?, cause = ?,"
    " token = 0, expires = 0, wake = ? WHERE message = ? AND number = ?"
)
_GIVE_BACK: Final = "UPDATE recipient SET token = 0, expires = 0, wake = next_due WHERE message = ? AND number = ?"
_SET_ASIDE: Final = (
    "UPDATE recipient SET state = 1, next_due = NULL, wake = NULL, reply = NULL, note = ?1,"
    " cause = '-' || substr(?1, 1, 200) WHERE message = ?2 AND token = ?3"
)
_FREE: Final = "SELECT number FROM recipient WHERE message = ? AND state < 2 AND expires <= ?"
_LEASED: Final = (
    "SELECT r.message, r.number, r.next_due, CAST(r.forward_path AS BLOB), m.id, CAST(m.reverse_path AS BLOB)"
    " FROM recipient AS r JOIN message AS m ON m.sequence = r.message WHERE r.token <> 0"
)
_INTERRUPTED: Final = (
    "the spool was stopped while a worker had this recipient; the next hop may have the message already"
)


def lease(
    tx: Transaction,
    turns: Turns,
    now: float,
    limit: int,
    seconds: float,
    hidden: Collection[bytes],
    per_destination: int,
) -> list[Batch]:
    """Take what is due, in groups of message and destination, but for hidden destinations."""
    batches: list[Batch] = []
    for message, destination in turns.due(tx.connection, now, limit, hidden, per_destination):
        batch = _lend(tx, tx.token(), message, destination, now, now + seconds)
        if batch is not None:
            batches.append(batch)
    return batches


def _lend(tx: Transaction, token: int, sequence: int, destination: bytes, now: float, expires: float) -> Batch | None:
    try:
        with undamaged(f"number {sequence}"):
            rows = tx.rows(LEND, (token, expires, sequence, destination, now))
            message = tx.execute(SELECT_MESSAGE, (sequence,)).fetchone()
        if message is None:
            raise CorruptRow(f"number {sequence}", "it has recipients but no row of its own")
        recipients = sorted((recipient_from(row, message[1]) for row in rows), key=lambda recipient: recipient.number)
        return Batch(message_from(message, tuple(recipients)), recipients[0].destination, token, expires)
    except CorruptRow as error:
        # Left in the queue it would be due again at once, for ever: the operator must look at it.
        report(error)
        tx.execute(_SET_ASIDE, (error.message, sequence, token))
        changed = tx.connection.changes()
        tx.counts.recipients[QUEUED] -= changed
        tx.counts.recipients[HELD] += changed
        return None


def take(
    tx: Transaction, message_id: MessageId, numbers: Sequence[int] | None, now: float, expires: float
) -> list[Batch]:
    """Lease recipients that are open and not leased, whatever their time; raises NotFound."""
    sequence = sequence_of(tx.connection, message_id)
    whole = load_message(tx.connection, sequence, message_id)
    free = {row[0] for row in tx.rows(_FREE, (sequence, now)) if numbers is None or row[0] in numbers}
    groups: dict[str, list[Recipient]] = {}
    for one in whole.recipients:
        if one.number in free:
            groups.setdefault(one.destination, []).append(one)
    batches: list[Batch] = []
    for destination, recipients in groups.items():
        token = tx.token()
        for one in recipients:
            tx.execute(TAKE, (token, expires, sequence, one.number))
        batches.append(Batch(replace(whole, recipients=tuple(recipients)), destination, token, expires))
    return batches


def renew(tx: Transaction, batch: Batch, expires: float) -> Batch:
    """Prolong a lease; raises NotFound when it was lost."""
    if _leased(tx, batch) is None:
        raise NotFound(f"the lease of {batch.message.id} for {batch.destination} was lost")
    tx.execute(
        "UPDATE recipient SET expires = ?1, wake = CASE WHEN state = 0 THEN max(next_due, ?1) END"
        " WHERE message = ?2 AND token = ?3",
        (expires, batch.message.sequence, batch.token),
    )
    return replace(batch, expires=expires)


def settle(tx: Transaction, batch: Batch, attempt: Attempt, reports: Sequence[Incoming], keep_delivered: bool) -> bool:
    """Record an attempt and what it changed, and accept reports; False, and nothing is written, when the lease was lost.

    When it raises what the database raises, the transaction must be undone.
    """
    found = _leased(tx, batch)
    if found is None:
        return False
    leased, size, file = found
    message, sequence = batch.message, batch.message.sequence
    if reports:
        keeping.accept(tx, reports)
    results = {result.number: result for result in attempt.results}
    if results:
        tx.journal(message.id, message.reverse_path, {one: leased[one].forward_path for one in results}, attempt)
    changed = {number: settled(leased[number], result) for number, result in results.items()}
    if not keep_delivered and _is_last(tx, sequence, leased, changed):
        tx.delete(sequence, size, file)
        return True
    for number, before in leased.items():
        after = changed.get(number)
        if after is None:
            tx.execute(_GIVE_BACK, (sequence, number))
        else:
            _settle_one(tx, sequence, before, after)
    return True


def _settle_one(tx: Transaction, sequence: int, before: Recipient, after: Recipient) -> None:
    state = STATE_NUMBERS[after.state]
    tx.counts.recipients[STATE_NUMBERS[before.state]] -= 1
    tx.counts.recipients[state] += 1
    reply = None if after.reply is None else encode(after.reply)
    flags = EXPIRED * after.expired + DELAY_TOLD * after.delay_told
    cause = cause_of(after.reply, after.note) or None
    wake = wake_time(after.state, after.next_due, 0.0)
    columns = (state, after.attempts, after.next_due, reply, after.note, flags, cause, wake)
    tx.execute(_SETTLE, (*columns, sequence, before.number))


def _is_last(tx: Transaction, sequence: int, leased: dict[int, Recipient], changed: dict[int, Recipient]) -> bool:
    """Whether this attempt closes all that was open before."""
    if len(changed) < len(leased) or any(one.state not in CLOSED for one in changed.values()):
        return False
    open_ones = tx.execute("SELECT count(*) FROM recipient WHERE message = ? AND state < 2", (sequence,)).get
    return bool(open_ones == len(leased))


def _leased(tx: Transaction, batch: Batch) -> tuple[dict[int, Recipient], int, str | None] | None:
    """The recipients of a lease as they are now, with the message's size and file; None: lost, or the message is gone."""
    sequence = batch.message.sequence
    row = tx.execute("SELECT id, size, file FROM message WHERE sequence = ?", (sequence,)).fetchone()
    if row is None or row[0] != batch.message.id:
        return None
    with undamaged(batch.message.id):
        rows = tx.rows(SELECT_LEASED, (sequence, batch.token))
    found = [recipient_from(row, batch.message.id) for row in rows]
    leased = {recipient.number: recipient for recipient in found}
    if any(recipient.number not in leased for recipient in batch.message.recipients):
        return None
    _, size, file = row
    return leased, size, file


def interrupted(tx: Transaction, now: float) -> int:
    """End the leases of a process that is gone (we hold its lock), and say so in the journal; gives how many.

    Whatever was under way may have reached the next hop: that is the second window of RFC 1047, shown as uncertain.
    """
    lost: dict[int, tuple[MessageId, str, dict[int, str], list[Result]]] = {}
    rows = tx.rows(_LEASED)
    for message, number, next_due, path, name, reverse_path in rows:
        due = now if next_due is None else next_due
        line = lost.setdefault(message, (name, reverse_path.decode("utf-8", "replace"), {}, []))
        line[2][number] = path.decode("utf-8", "replace")
        line[3].append(Result(number, Outcome.DEFERRED, None, _INTERRUPTED, due, uncertain=True))
    tx.execute("UPDATE recipient SET token = 0, expires = 0, wake = next_due WHERE token <> 0")
    for name, reverse_path, paths, results in lost.values():
        tx.journal(name, reverse_path, paths, Attempt(now, 0.0, "", "", tuple(results)))
    return len(rows)
