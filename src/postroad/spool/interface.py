"""What every spool promises, whatever it stores in; ``tests/spool/conformance.py`` holds each backend to it.

C1  ``accept`` reports success only when a restart would find the message (one commit point).
C2  Nothing but ``settle``, ``release``, ``hold`` and ``remove`` changes what a recipient has come to, each in one
    transaction with its journal line.
C3  The reports that a ``settle`` brings along are accepted in its own transaction: both are done, or neither.
C7  A failed fsync or commit is reported as SpoolError and never retried and acknowledged.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from postroad.envelope import Attempt, Batch, Draft, JournalEntry, MessageId, RecipientState, StoredMessage
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

    What is asked of recipients (``to``, ``state``, ``destination``, ``code``, ``note``) must fit one and the same one.
    """

    to: str = ""
    reverse_path: str = ""
    state: RecipientState | None = None
    """Messages with at least one recipient in this state."""
    destination: str = ""
    """The whole of it, in any case; ``*`` in it stands for any text: ``*.example.com``."""
    after: int = 0
    """Only messages whose ``sequence`` is greater (of the shard)."""
    before: int = 0
    """Only messages whose ``sequence`` is smaller; 0: no bound. For paging, newest first."""
    limit: int = 100
    oldest_first: bool = False
    code: str = ""
    """Matches the code or the enhanced status of the recipient's last reply, whole: ``451``, ``4.7.1``, ``4.7.*``, ``4*``."""
    note: str = ""
    received_before: float | None = None
    """Seconds since the epoch: only messages received earlier."""
    ids: tuple[MessageId, ...] = ()
    """Only these messages; empty: any."""
    numbers: tuple[int, ...] = ()
    """Only recipients with these numbers; empty: any. Goes with ``ids`` of one message."""


@dataclass(frozen=True, slots=True)
class JournalQuery:
    """Which lines of the journal; every field that is set narrows."""

    message: str = ""
    """The whole id of a message, which may be gone."""
    to: str = ""
    """A part of a forward-path, in any case; with ``code``, of one and the same recipient."""
    code: str = ""
    """As MessageQuery.code, of the reply in the attempt's result."""
    after: int = 0
    """Only lines whose number is greater: for following."""
    before: int = 0
    """Only lines whose number is smaller; 0: no bound."""
    limit: int = 100
    oldest_first: bool = False


@dataclass(frozen=True, slots=True)
class QueueGroup:
    """Recipients that have something in common."""

    key: str
    """The destination; or code and enhanced status of the last reply (``451 4.7.1``), or the note where there is no reply."""
    recipients: int
    oldest: float
    """Seconds since the epoch: when the first of their messages to arrive was received."""
    next_due: float | None
    """When the first of them may be tried again; None: held."""


@dataclass(frozen=True, slots=True)
class AgeGroup:
    """Recipients of a destination by how long they are here."""

    key: str
    """The destination; ``""`` for all of them together."""
    recipients: int
    before: tuple[int, ...]
    """For each moment that was asked for: how many of them were received before it."""


@dataclass(frozen=True, slots=True)
class Ages:
    """How long recipients are here."""

    all: AgeGroup
    destinations: int
    largest: tuple[AgeGroup, ...]
    """The destinations with the most recipients first."""


@dataclass(frozen=True, slots=True)
class SpoolStats:
    """Counts for pages, limits and metrics."""

    messages: int
    octets: int
    """Of content and prefixes stored."""
    recipients: dict[str, int]
    """RecipientState value -> recipients in it."""


class SpoolView(Protocol):
    """What may be asked of a spool, whether a server has it open or none."""

    @property
    def shard(self) -> int:
        """The shard number that every id of this spool begins with."""
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

    async def find_ids(self, part: str, limit: int) -> list[MessageId]:
        """Ids that are ``part``, or begin or end with it, of messages here and of lines of the journal; each once.

        For people, who shorten ids. ``part`` may be any text; what cannot be a part of an id is found nowhere.
        """
        ...

    async def attempts(self, message_id: MessageId) -> list[Attempt]:
        """What the journal has of a message that is here, oldest first; raises NotFound."""
        ...

    async def journal(self, query: JournalQuery) -> list[JournalEntry]:
        """Lines of the journal, newest first unless asked otherwise; of messages that are gone, too."""
        ...

    async def summary(self, by: Literal["destination", "reply"], query: MessageQuery, limit: int) -> list[QueueGroup]:
        """Recipients that match, in groups, the largest first: who else waits for the same, and why.

        Those that are QUEUED, unless ``query.state`` says otherwise; ``query.limit`` is not heeded. By reply, those that
        have neither a reply nor a note are left out.
        """
        ...

    async def ages(self, query: MessageQuery, moments: Sequence[float], limit: int) -> Ages:
        """Recipients that match by destination, and how many of each were received before these moments.

        Moments are seconds since the epoch; ``limit`` destinations are told one by one. Those that are QUEUED, unless
        ``query.state`` says otherwise; ``query.limit`` is not heeded.
        """
        ...

    async def stats(self) -> SpoolStats:
        """Counts."""
        ...

    async def close(self) -> None:
        """Finish what was submitted, then let go of files. Further calls raise SpoolError; closing again is harmless."""
        ...


class Spool(SpoolView, Protocol):
    """Keeps accepted messages. One event loop uses it; ``accept`` never blocks that loop."""

    def new_id(self) -> MessageId:
        """A fresh id ``<shard>-<time-sortable, unguessable>``."""
        ...

    def open_content(self) -> ContentWriter:
        """Begin content; raises StorageFull when there is no room for any."""
        ...

    def open_report(self) -> ContentWriter:
        """Begin the content of a report for ``settle``: it may use what is kept free for delivery, and pass the budget."""
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
        opened elsewhere. A recipient without ``hold`` is due at its ``due``, or at ``draft.received_at``.
        """
        ...

    def on_accepted(self, listener: Callable[[Sequence[Draft]], None]) -> None:
        """Call ``listener`` on the event loop after each batch of acceptances became durable (wake-ups, live views).

        It hears of reports that came with a ``settle``, and of messages that were claimed, too.
        """
        ...

    def on_accepting(self, claim: Callable[[Draft], float | None]) -> None:
        """Ask ``claim``, on the event loop in each ``accept``, whether somebody wants the message at once.

        Seconds: the recipients without ``hold`` and ``due`` are stored as leased for so long. Only one may claim: a
        second call replaces the first. ``claim`` is not asked about reports, nor about drafts without such a recipient.
        """
        ...

    def on_claimed(
        self,
        listener: Callable[[Sequence[Batch]], None],
        lost: Callable[[Sequence[Draft]], None] | None = None,
    ) -> None:
        """Call ``listener`` with the leases of claimed messages once these are durable, before on_accepted is.

        ``lost`` hears of claimed drafts that could not be stored. Small content of a claimed message is read from
        memory until its first lease is settled, as far as there is room.
        """
        ...

    def on_settled(self, listener: Callable[[Sequence[JournalEntry]], None]) -> None:
        """Call ``listener`` on the event loop with the lines that each transaction added to the journal."""
        ...

    async def lease(
        self, now: float, limit: int, seconds: float, *, busy: Collection[str] = (), per_destination: int = 0
    ) -> list[Batch]:
        """Take recipients that are QUEUED and due, batched by message and destination.

        Higher priority goes first, then who is due longest. At most ``limit`` batches, and ``per_destination`` (0: any
        number) for one destination, none for those in ``busy`` or postponed. When these hide very much in front of the
        others, order is kept only within a destination, and what is due longest is found within a few calls. Each
        batch is invisible to other leases until ``now + seconds``, then comes back.
        A spool that outlives its process ends the leases of the one before when it opens, with a journal line that
        calls them uncertain.
        """
        ...

    async def take(
        self, message_id: MessageId, numbers: Sequence[int] | None, now: float, seconds: float
    ) -> list[Batch]:
        """Lease these recipients (None: all) that are QUEUED or HELD and not leased, whatever their time.

        One batch a destination, by the lowest number; raises NotFound.
        """
        ...

    async def renew(self, batch: Batch, now: float, seconds: float) -> Batch:
        """Prolong a lease that is still ours; raises NotFound when it ran out and was taken by another."""
        ...

    async def settle(self, batch: Batch, attempt: Attempt, reports: Sequence[tuple[Draft, ContentWriter]] = ()) -> bool:
        """Record an attempt and what it changed, and accept ``reports``, in one transaction; ends the lease.

        False, and nothing changes, when the lease was lost (another worker has it, or the message is gone). A message
        whose recipients are all DELIVERED or FAILED is removed with its content, unless the spool was told to keep it.
        A leased recipient without a result goes back as it was; an attempt without results gives the lease back and
        leaves no journal line. A recipient's reply and note become those of the attempt, absent ones too. One that was
        held meanwhile stays HELD when deferred, and becomes DELIVERED or FAILED when that is what it came to.
        Raises SpoolError for results that do not fit the batch, or DEFERRED without ``next_due``; raises StorageFull
        when the reports find no room, and then nothing changed. Reports that are not accepted are discarded.
        """
        ...

    async def next_due(self, busy: Collection[str] = ()) -> float | None:
        """When the earliest QUEUED recipient that is not leased falls due, or an existing lease runs out.

        Destinations in ``busy`` do not count; those that are postponed count from then on.
        """
        ...

    async def postpone(self, destination: str, until: float) -> int:
        """Lease nothing for this destination before ``until``: its host is dead, whatever each message's own time says.

        Also holds for recipients that are accepted later; a restart forgets it. Gives how many are QUEUED for it, counted
        up to 10,000.
        """
        ...

    async def resume(self, destination: str, now: float) -> int:
        """Undo ``postpone``; gives how many are QUEUED for it and due at ``now``, up to 10,000; 0: it was not postponed."""
        ...

    async def retry(self, query: MessageQuery, due: float) -> int:
        """QUEUED recipients that match are due at ``due``, and their destinations are no longer postponed.

        Gives how many. ``query.limit`` is not heeded. Not before a lease that is still running ends are they leased again.
        """
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

    async def trim_journal(self, older_than: float, octets: int) -> int:
        """Delete the oldest lines of the journal that are older (seconds since the epoch), or beyond so many octets.

        Gives how many went. Lines of messages that still wait go as well.
        """
        ...
