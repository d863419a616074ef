"""What every spool promises, whatever it stores in; ``tests/spool/conformance.py`` holds each backend to it.

C1  ``accept`` reports success only when a restart would find the message (one commit point).
C2  Nothing but ``settle``, ``release``, ``hold`` and ``remove`` changes a recipient, each in one transaction with its journal line.
C7  A failed fsync or commit is reported as SpoolError and never retried and acknowledged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from postroad.envelope import Attempt, Batch, Draft, MessageId, RecipientState, StoredMessage
from postroad.errors import SpoolError

#: Content up to this many octets lives in the row; larger content in a sealed file.
INLINE_OCTETS = 64 * 1024
#: ``read`` gives blocks of at most this many octets.
BLOCK_OCTETS = 64 * 1024


class ContentWriter(Protocol):
    """Content on its way in: memory up to INLINE_OCTETS, a file above; nothing is durable before ``accept``."""

    @property
    def size(self) -> int:
        """Octets written."""
        ...

    def write(self, block: bytes) -> None:
        """Append; raises StorageFull or SpoolError, and then all of the content is lost.

        Does not sync, does not wait for the disk's cache.
        """
        ...

    def discard(self) -> None:
        """Forget all of it (refused, aborted, connection lost). Harmless after ``accept`` and when repeated."""
        ...


@dataclass(frozen=True, slots=True)
class MessageQuery:
    """Which messages; every field that is set narrows. Text is compared case-insensitively, as a substring.

    What is asked of recipients (``to``, ``state``, ``destination``) must fit one and the same recipient.
    """

    to: str = ""
    reverse_path: str = ""
    state: RecipientState | None = None
    """Messages with at least one recipient in this state."""
    destination: str = ""
    after: int = 0
    """Only messages whose ``sequence`` is greater (of the shard)."""
    before: int = 0
    """Only messages whose ``sequence`` is smaller; 0: no bound. For paging, newest first."""
    limit: int = 100
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class SpoolStats:
    """Counts for pages, limits and metrics."""

    messages: int
    octets: int
    """Of content and prefixes stored."""
    recipients: dict[str, int]
    """RecipientState value -> recipients in it."""


class Spool(Protocol):
    """Keeps accepted messages. One event loop uses it; ``accept`` never blocks that loop."""

    @property
    def shard(self) -> int:
        """The shard number that every id of this spool begins with."""
        ...

    def new_id(self) -> MessageId:
        """A fresh id ``<shard>-<time-sortable, unguessable>``."""
        ...

    def open_content(self) -> ContentWriter:
        """Begin content; raises StorageFull when there is no room for any."""
        ...

    def free_octets(self) -> int | None:
        """Octets that may still be stored (space above ``min_free``, 0 when inodes are short); None: unlimited.

        Cheap enough to be called once a second, not once a message.
        """
        ...

    def accept(self, draft: Draft, content: ContentWriter, done: Callable[[SpoolError | None], None]) -> None:
        """THE COMMIT POINT. ``done(None)`` is called on the event loop once the message is durable.

        On a fault ``done(error)`` is called instead and nothing is kept. Many accepts share one transaction.
        Raises SpoolError at once, without ``done``, when the spool is closed or the content was accepted, discarded or
        opened elsewhere. A recipient without ``hold`` is due at ``draft.received_at``.
        """
        ...

    def on_accepted(self, listener: Callable[[Sequence[Draft]], None]) -> None:
        """Call ``listener`` on the event loop after each batch of acceptances became durable (wake-ups, live views)."""
        ...

    async def message(self, message_id: MessageId) -> StoredMessage:
        """One message; raises NotFound."""
        ...

    def read(self, message_id: MessageId) -> AsyncIterator[bytes]:
        """Prefix and content in blocks of at most 64 KiB; raises NotFound at the first step."""
        ...

    async def transcript(self, message_id: MessageId) -> str:
        """The SMTP session that brought the message; raises NotFound."""
        ...

    async def messages(self, query: MessageQuery) -> list[StoredMessage]:
        """Messages by arrival, newest first unless asked otherwise."""
        ...

    async def attempts(self, message_id: MessageId) -> list[Attempt]:
        """The message's journal, oldest first; raises NotFound."""
        ...

    async def stats(self) -> SpoolStats:
        """Counts."""
        ...

    async def lease(self, now: float, limit: int, seconds: float) -> list[Batch]:
        """Take recipients that are QUEUED and due, batched by message and destination, oldest due first.

        At most ``limit`` batches; each is invisible to other leases until ``now + seconds``, then comes back.
        A spool that outlives its process ends the leases of the one before when it opens, with a journal line that
        calls them uncertain.
        """
        ...

    async def renew(self, batch: Batch, now: float, seconds: float) -> Batch:
        """Prolong a lease that is still ours; raises NotFound when it ran out and was taken by another."""
        ...

    async def settle(self, batch: Batch, attempt: Attempt) -> bool:
        """Record an attempt and what it changed, in one transaction; ends the lease.

        False, and nothing changes, when the lease was lost (another worker has it, or the message is gone). A message
        whose recipients are all DELIVERED is removed with its content, unless the spool was told to keep it.
        A leased recipient without a result goes back as it was; an attempt without results gives the lease back and
        leaves no journal line. A recipient's reply and note become those of the attempt, absent ones too. One that was
        held meanwhile stays HELD when deferred, and becomes DELIVERED when delivered.
        Raises SpoolError for results that do not fit the batch, or DEFERRED without ``next_due``.
        """
        ...

    async def next_due(self) -> float | None:
        """When the earliest QUEUED recipient that is not leased falls due, or an existing lease runs out."""
        ...

    async def hold(self, message_id: MessageId, note: str, numbers: Sequence[int] | None = None) -> int:
        """QUEUED -> HELD for these recipients (None: all); gives how many changed; raises NotFound.

        One that is leased is held, too; its worker may still settle it.
        """
        ...

    async def release(self, query: MessageQuery, due: float, note: str = "") -> int:
        """HELD -> QUEUED with ``next_due = due`` for recipients that match (``note`` set: held for that reason only).

        Gives how many recipients changed. ``query.limit`` is for listings and not heeded here. Not before a lease that is still
        running ends are they leased again.
        """
        ...

    async def remove(self, message_ids: Sequence[MessageId]) -> int:
        """Delete messages with their content; gives how many existed. An operator's act, never a worker's."""
        ...

    async def trim(self, messages: int, octets: int) -> int:
        """Delete the oldest messages at rest until at most so many of them, with so many octets, are left.

        At rest is a message without a QUEUED recipient: nobody waits for it. Gives how many went.
        """
        ...

    async def close(self) -> None:
        """Finish what was submitted, then let go of files. Further calls raise SpoolError; closing again is harmless."""
        ...
