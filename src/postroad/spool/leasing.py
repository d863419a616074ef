"""Leases: recipients are lent to a worker, and come back settled, given back, or when the time is up.

Functions of a transaction. Each decides, and may raise, before it writes anything: that lets many share one transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from postroad.envelope import Attempt, Batch, Outcome, Recipient, Result
from postroad.errors import NotFound
from postroad.spool.coding import encode
from postroad.spool.rows import CorruptRow, message_from, recipient_from, report, undamaged
from postroad.spool.schema import DELIVERED, HELD, LEND, QUEUED, SELECT_LEASED, SELECT_MESSAGE, STATE_NUMBERS
from postroad.spool.transaction import Transaction
from postroad.spool.transitions import settled, wake_time

_DUE: Final = "SELECT message, CAST(destination AS BLOB) FROM recipient WHERE wake <= ? ORDER BY wake, message, number"
_SETTLE: Final = (
    "UPDATE recipient SET state = ?, attempts = ?, next_due = ?, reply = ?, note = ?, token = 0, expires = 0, wake = ?"
    " WHERE message = ? AND number = ?"
)
_GIVE_BACK: Final = "UPDATE recipient SET token = 0, expires = 0, wake = next_due WHERE message = ? AND number = ?"
_SET_ASIDE: Final = (
    "UPDATE recipient SET state = 1, next_due = NULL, wake = NULL, reply = NULL, note = ?1"
    " WHERE message = ?2 AND token = ?3"
)


def lease(tx: Transaction, token: Callable[[], int], now: float, limit: int, seconds: float) -> list[Batch]:
    """Take what is due, in groups of message and destination, oldest due first."""
    groups: dict[tuple[int, bytes], None] = {}
    cursor = tx.execute(_DUE, (now,))
    for message, destination in cursor:
        if len(groups) >= limit and (message, destination) not in groups:
            break
        groups[message, destination] = None
    cursor.close()
    batches: list[Batch] = []
    for message, destination in groups:
        batch = _lend(tx, token(), message, destination, now, now + seconds)
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


def settle(tx: Transaction, batch: Batch, attempt: Attempt, keep_delivered: bool) -> bool:
    """Record an attempt and what it changed; False, and nothing is written, when the lease was lost."""
    leased = _leased(tx, batch)
    if leased is None:
        return False
    sequence = batch.message.sequence
    if not keep_delivered and _is_last(tx, sequence, leased, attempt):
        size, file = tx.rows("SELECT size, file FROM message WHERE sequence = ?", (sequence,))[0]
        tx.delete(sequence, size, file)
        return True
    results = {result.number: result for result in attempt.results}
    for number, recipient in leased.items():
        result = results.get(number)
        if result is None:
            tx.execute(_GIVE_BACK, (sequence, number))
        else:
            _settle_one(tx, sequence, recipient, result)
    if results:
        tx.journal(sequence, attempt)
    return True


def _settle_one(tx: Transaction, sequence: int, before: Recipient, result: Result) -> None:
    after = settled(before, result)
    tx.counts.recipients[STATE_NUMBERS[before.state]] -= 1
    tx.counts.recipients[STATE_NUMBERS[after.state]] += 1
    reply = None if after.reply is None else encode(after.reply)
    wake = wake_time(after.state, after.next_due, 0.0)
    state = STATE_NUMBERS[after.state]
    tx.execute(_SETTLE, (state, after.attempts, after.next_due, reply, after.note, wake, sequence, before.number))


def _is_last(tx: Transaction, sequence: int, leased: dict[int, Recipient], attempt: Attempt) -> bool:
    """Whether this attempt delivers all that was not delivered before."""
    delivered = sum(result.outcome is Outcome.DELIVERED for result in attempt.results)
    if delivered < len(leased):
        return False
    open_ones = tx.execute("SELECT count(*) FROM recipient WHERE message = ? AND state <> ?", (sequence, DELIVERED)).get
    return bool(open_ones == delivered)


def _leased(tx: Transaction, batch: Batch) -> dict[int, Recipient] | None:
    """The recipients of a lease as they are now, or None when it was lost or the message is gone."""
    sequence = batch.message.sequence
    if tx.execute("SELECT id FROM message WHERE sequence = ?", (sequence,)).get != batch.message.id:
        return None
    with undamaged(batch.message.id):
        rows = tx.rows(SELECT_LEASED, (sequence, batch.token))
    found = [recipient_from(row, batch.message.id) for row in rows]
    leased = {recipient.number: recipient for recipient in found}
    if any(recipient.number not in leased for recipient in batch.message.recipients):
        return None
    return leased


def interrupted(tx: Transaction, now: float) -> int:
    """End the leases of a process that is gone (we hold its lock), and say so in the journal; gives how many.

    Whatever was under way may have reached the next hop: that is the second window of RFC 1047, shown as uncertain.
    """
    rows = tx.rows("SELECT message, number, next_due FROM recipient WHERE token <> 0")
    lost: dict[int, list[Result]] = {}
    for message, number, next_due in rows:
        note = "the spool was stopped while a worker had this recipient; the next hop may have the message already"
        due = now if next_due is None else next_due
        lost.setdefault(message, []).append(Result(number, Outcome.DEFERRED, None, note, due, uncertain=True))
        tx.execute(_GIVE_BACK, (message, number))
    for message, results in lost.items():
        tx.journal(message, Attempt(now, 0.0, "", "", tuple(results)))
    return len(rows)
