"""What may happen to a recipient, as pure functions: every backend applies these and no rules of its own.

QUEUED ──settle──▶ DELIVERED      QUEUED ──settle, hold──▶ HELD      HELD ──release──▶ QUEUED

A recipient that the operator held while a worker had it leased stays HELD when the attempt was deferred, and becomes
DELIVERED when the next hop took it: the lease is not cut short, for that would forget a delivery that did happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

from postroad.envelope import Attempt, Batch, Draft, Outcome, Recipient, RecipientState, Result
from postroad.errors import SpoolError
from postroad.spool.ids import MESSAGE_ID
from postroad.spool.interface import MessageQuery


def check_draft(draft: Draft, shard_prefix: str) -> None:
    """Raise SpoolError for a draft that no spool may keep: a bug of the caller, told before anything is stored."""
    if not draft.recipients:
        raise SpoolError(f"message {draft.id} has no recipient: nobody could ever settle it")
    if not draft.id.startswith(shard_prefix) or MESSAGE_ID.match(draft.id) is None:
        raise SpoolError(f"message id {draft.id[:60]!r} is none of shard {shard_prefix[:-1]}")
    if not isfinite(draft.received_at):
        raise SpoolError(f"message {draft.id} was received at no time: {draft.received_at}")


def check_attempt(batch: Batch, attempt: Attempt) -> None:
    """Raise SpoolError for an attempt that does not fit its batch: a bug of the caller."""
    leased = {recipient.number for recipient in batch.message.recipients}
    for result in attempt.results:
        if result.number not in leased:
            raise SpoolError(f"result for recipient {result.number} of {batch.message.id}, which the batch lacks")
        leased.discard(result.number)
        if result.outcome is Outcome.DEFERRED and (result.next_due is None or not isfinite(result.next_due)):
            raise SpoolError(f"recipient {result.number} of {batch.message.id} is deferred until no time")
    if not isfinite(attempt.at) or not isfinite(attempt.seconds):
        raise SpoolError(f"attempt for {batch.message.id} ended at no time: {attempt.at}")


def check_due(due: float) -> None:
    """Raise SpoolError for a time that never comes: nobody would ever lease the recipient."""
    if not isfinite(due):
        raise SpoolError(f"a recipient cannot be due at {due}")


def settled(recipient: Recipient, result: Result) -> Recipient:
    """The recipient after an attempt. Reply and note are those of this attempt, so that they always belong together."""
    state, next_due, note = RecipientState.DELIVERED, None, result.note
    if result.outcome is Outcome.HELD:
        state = RecipientState.HELD
    elif result.outcome is Outcome.DEFERRED:
        if recipient.state is RecipientState.HELD:
            state, note = RecipientState.HELD, recipient.note
        else:
            state, next_due = RecipientState.QUEUED, result.next_due
    attempts = recipient.attempts + 1
    return replace(recipient, state=state, attempts=attempts, next_due=next_due, reply=result.reply, note=note)


def wake_time(state: RecipientState, next_due: float | None, expires: float) -> float | None:
    """When a lease may take the recipient: due, and no lease of another running (``expires`` 0: none was given)."""
    if state is not RecipientState.QUEUED or next_due is None:
        return None
    return max(next_due, expires)


def held_attempt(now: float, numbers: Sequence[int], note: str) -> Attempt:
    """The journal line of a hold."""
    return Attempt(now, 0.0, "", "", tuple(Result(number, Outcome.HELD, note=note) for number in numbers))


def released_attempt(now: float, numbers: Sequence[int], due: float) -> Attempt:
    """The journal line of a release."""
    results = tuple(Result(number, Outcome.DEFERRED, note="released", next_due=due) for number in numbers)
    return Attempt(now, 0.0, "", "", results)


def contains(text: str, part: str) -> bool:
    """``part`` somewhere in ``text``, in any case; in ASCII text only ASCII letters have a case.

    The split lets an SQL engine that knows no other alphabet give the same answer.
    """
    if part.isascii():
        return part.encode("ascii").lower() in text.encode("utf-8", "surrogatepass").lower()
    return part.casefold() in text.casefold()


def recipient_matches(query: MessageQuery, forward_path: str, destination: str, state: RecipientState) -> bool:
    """One and the same recipient must fit all that the query says of recipients."""
    return (
        (query.state is None or state is query.state)
        and contains(forward_path, query.to)
        and contains(destination, query.destination)
    )
