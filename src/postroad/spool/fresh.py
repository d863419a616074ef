"""Claimed messages whose rows are known without asking: written by this process, and touched by nobody since.

What settles such a message needs no look at the database, and many that are settled together go with few statements.
That matters because each statement hands the interpreter over to the event loop, and has to wait until it comes back.

The committer empties all of it before it carries out anything but an acceptance or a settlement, and after every
failure: whatever is not in here is read from the tables as ever.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from postroad.envelope import Attempt, Batch, Outcome
from postroad.spool.keeping import Incoming

_CLOSING = frozenset((Outcome.DELIVERED, Outcome.FAILED))


@dataclass(frozen=True, slots=True)
class Fresh:
    """A message as it was accepted, leased as a whole."""

    batch: Batch
    file: str | None
    """Of its content."""

    def is_closed(self, batch: Batch, attempt: Attempt) -> bool:
        """Whether an attempt under ``batch`` closes all of it."""
        lease = self.batch
        if batch.token != lease.token or batch.message.id != lease.message.id:
            return False
        closed = {result.number for result in attempt.results if result.outcome in _CLOSING}
        return all(recipient.number in closed for recipient in lease.message.recipients)


class FreshMessages:
    """By sequence; used in the committer's thread."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[int, Fresh] = {}

    def keep(self, accepted: Iterable[Incoming]) -> None:
        """Remember those of what was made durable that are leased as a whole, under one lease."""
        for one in accepted:
            if len(one.batches) == 1:
                message = one.batches[0].message
                if len(message.recipients) == len(one.draft.recipients):
                    self._kept[message.sequence] = Fresh(one.batches[0], one.content.file)

    def take(self, batch: Batch) -> Fresh | None:
        """What is known of a batch's message, once: it is being settled."""
        return self._kept.pop(batch.message.sequence, None)

    def clear(self) -> None:
        """Something else happens."""
        self._kept.clear()
