"""What may happen to a recipient, as pure functions: every backend applies these and no rules of its own.

QUEUED ──settle──▶ DELIVERED, FAILED      QUEUED ──settle, hold──▶ HELD      HELD ──release──▶ QUEUED

A recipient that the operator held while a worker had it leased stays HELD when the attempt was deferred, and becomes
DELIVERED when the next hop took it, or FAILED when it was given up: the lease is not cut short, for that would forget
a delivery, or a report, that did happen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from math import isfinite
from typing import Final

from postroad.envelope import Attempt, Batch, Draft, NewRecipient, Outcome, Recipient, RecipientState, Result
from postroad.errors import SpoolError
from postroad.replies import Reply
from postroad.spool.ids import MESSAGE_ID
from postroad.spool.interface import MessageQuery

_LOG: Final = logging.getLogger("postroad.spool")

#: States that nothing more is done about: a message that has no others is removed.
CLOSED: Final = frozenset((RecipientState.DELIVERED, RecipientState.FAILED))
#: postpone and resume count no further.
COUNT_LIMIT: Final = 10_000


def check_draft(draft: Draft, shard_prefix: str) -> None:
    """Raise SpoolError for a draft that no spool may keep: a bug of the caller, told before anything is stored."""
    if not draft.recipients:
        raise SpoolError(f"message {draft.id} has no recipient: nobody could ever settle it")
    if not draft.id.startswith(shard_prefix) or MESSAGE_ID.match(draft.id) is None:
        raise SpoolError(f"message id {draft.id[:60]!r} is none of shard {shard_prefix[:-1]}")
    if not isfinite(draft.received_at):
        raise SpoolError(f"message {draft.id} was received at no time: {draft.received_at}")
    for one in draft.recipients:
        if one.due is not None and not isfinite(one.due):
            raise SpoolError(f"message {draft.id} has a recipient that is due at no time")
    if not -9 <= draft.priority <= 9:
        raise SpoolError(f"message {draft.id} has the priority {draft.priority}, which RFC 6710 does not know")


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


def is_claimable(new: NewRecipient) -> bool:
    """Whether a claim (Spool.on_accepting) leases it: it waits for nothing else."""
    return not new.hold and new.due is None


def claimed_until(claim: Callable[[Draft], float | None] | None, draft: Draft, now: float) -> float:
    """Until when whoever wants the message at once has it leased; 0: nobody does."""
    if claim is None or not any(map(is_claimable, draft.recipients)):
        return 0.0
    try:
        seconds = claim(draft)
    except Exception:  # a worker's fault must not cost the message its place
        _LOG.exception("claiming message %s failed", draft.id)
        return 0.0
    return 0.0 if seconds is None else now + seconds


def settled(recipient: Recipient, result: Result) -> Recipient:
    """The recipient after an attempt. Reply and note are those of this attempt, so that they always belong together."""
    next_due, note = None, result.note
    state = RecipientState(result.outcome) if result.outcome is not Outcome.DEFERRED else RecipientState.QUEUED
    if result.outcome is Outcome.DEFERRED:
        if recipient.state is RecipientState.HELD:
            state, note = RecipientState.HELD, recipient.note
        else:
            next_due = result.next_due
    return replace(
        recipient,
        state=state,
        attempts=recipient.attempts + 1,
        next_due=next_due,
        reply=result.reply,
        note=note,
        expired=result.expired and state is RecipientState.FAILED,
        delay_told=recipient.delay_told or result.delay_told,
    )


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


def destination_fits(pattern: str, destination: str) -> bool:
    """Whether this is the destination that is meant, in any case; ``*`` stands for any text, all else for itself.

    The empty pattern fits every destination. No part of a name is enough: what an operator drops is what he named.
    """
    name = destination.casefold()
    first, *rest = pattern.casefold().split("*")
    if not rest:
        return not pattern or first == name
    *middle, last = rest
    at, end = len(first), len(name) - len(last)
    if at > end or not (name.startswith(first) and name.endswith(last)):
        return False
    for part in middle:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def reply_key(reply: Reply) -> str:
    """What replies are searched and grouped by: ``451 4.7.1``, or ``451``."""
    return f"{reply.code}" if reply.enhanced is None else f"{reply.code} {reply.enhanced}"


def code_fits(pattern: str, key: str) -> bool:
    """Whether a pattern (``4.7.*``) fits the code or the enhanced status of a ``reply_key``, or all of it."""
    return fnmatchcase(key, pattern) or any(fnmatchcase(part, pattern) for part in key.split(" "))


def reply_fits(pattern: str, reply: Reply | None) -> bool:
    """The same for a reply; the empty pattern fits always, even none."""
    return not pattern or (reply is not None and code_fits(pattern, reply_key(reply)))


def cause_of(reply: Reply | None, note: str) -> str:
    """What a recipient is grouped by: its reply; or ``-`` and its note, at most 200 characters of it; or ``""``."""
    if reply is not None:
        return reply_key(reply)
    return "-" + note[:200] if note else ""


def recipient_matches(query: MessageQuery, recipient: Recipient) -> bool:
    """One and the same recipient must fit all that the query says of recipients."""
    return (
        (query.state is None or recipient.state is query.state)
        and contains(recipient.forward_path, query.to)
        and destination_fits(query.destination, recipient.destination)
        and reply_fits(query.code, recipient.reply)
        and contains(recipient.note, query.note)
        and (not query.numbers or recipient.number in query.numbers)
    )


def entry_matches(to: str, code: str, forward_paths: dict[int, str], results: Sequence[Result]) -> bool:
    """Whether a journal line is about a recipient of which ``to`` is a part, with such a reply."""
    if not (to or code):
        return True
    return any(
        contains(forward_paths.get(result.number, ""), to) and reply_fits(code, result.reply) for result in results
    )
