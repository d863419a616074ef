"""The envelope: who sent a message to whom, where it came from and what became of each recipient.

Paths are text here (``kana@example.net``; the null reverse-path is ``""``), because the spool stores text; the
protocol's own type is ``postroad.address.Mailbox``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NewType

from postroad.replies import Reply

#: ``<shard>-<sortable id>``, at most 40 characters of ``[0-9A-Za-z-]``; unique for ever.
MessageId = NewType("MessageId", str)


class RecipientState(StrEnum):
    """Where a recipient of an accepted message stands. Nothing leaves QUEUED or HELD without a journal entry."""

    QUEUED = "queued"
    """Waits until ``next_due``, or is leased to a worker now."""
    HELD = "held"
    """Stays until the operator or a new route releases it; ``note`` says why."""
    DELIVERED = "delivered"
    """The next hop has answered 2yz, or the mailbox holds it."""
    FAILED = "failed"
    """Given up: the sender was told in the same transaction, or must not be (null reverse-path, NOTIFY=NEVER)."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a message came from; every field is text of a peer or of ours, never trusted markup."""

    session: str = ""
    """The id of the SMTP session that brought it."""
    listener: str = ""
    """``mx``, ``submission``, ``submissions`` or ``dev``; ``report`` for a delivery report, which was made here."""
    peer: str = ""
    """Address and port of the client, ``192.0.2.1:1234`` or ``[2001:db8::1]:1234``."""
    hello: str = ""
    """The name the client gave in EHLO or HELO."""
    account: str = ""
    """The authenticated account, or ``""``."""
    tls: str = ""
    """TLS version and cipher, or ``""``."""


@dataclass(frozen=True, slots=True)
class NewRecipient:
    """One recipient of a message that is about to be accepted."""

    forward_path: str
    destination: str
    """What leases are batched by: the recipient's domain in lower-case A-label form (or an address literal)."""
    parameters: str = ""
    """The RCPT parameters, encoded as on the wire (``NOTIFY=NEVER``)."""
    hold: str = ""
    """Not empty: begins HELD, and this says why (``inbox``, ``no route``)."""
    due: float | None = None
    """Seconds since the epoch before which nothing is tried (RFC 4865); None: at once."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A message before its commit point: all of it but the content."""

    id: MessageId
    reverse_path: str
    recipients: tuple[NewRecipient, ...]
    received_at: float
    """Seconds since the epoch, UTC."""
    prefix: bytes = b""
    """Trace lines that stand in front of the content, with CRLF."""
    parameters: str = ""
    """The MAIL parameters, encoded as on the wire (``BODY=8BITMIME SMTPUTF8``)."""
    origin: Origin = field(default_factory=Origin)
    transcript: str = ""
    """The SMTP session that brought it, secrets blanked, a line each (``C: …``/``S: …``)."""
    priority: int = 0
    """-9 to 9 (RFC 6710): who is due at the same time goes in this order, the highest first."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient of a stored message."""

    number: int
    """Position in the transaction, from 0: names the recipient together with the message id."""
    forward_path: str
    destination: str
    parameters: str
    state: RecipientState
    attempts: int
    next_due: float | None
    """Seconds since the epoch when it may be tried again; None unless QUEUED."""
    reply: Reply | None
    """The last reply of a next hop, or ours about it."""
    note: str
    """Why it is where it is, for people: hold reason or last fault."""
    expired: bool = False
    """FAILED since the time was over; ``reply`` and ``note`` keep the last reason apart from that."""
    delay_told: bool = False
    """The sender was sent a report of the delay."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message that the spool keeps: all of it but the content."""

    id: MessageId
    sequence: int
    """Grows with every acceptance in a shard: the order of arrival."""
    reverse_path: str
    parameters: str
    received_at: float
    size: int
    """Octets of prefix and content together."""
    origin: Origin
    recipients: tuple[Recipient, ...]


class Outcome(StrEnum):
    """What one attempt came to for one recipient."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    HELD = "held"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    """How a request was changed after a refusal, or why it was said again: one rung of the parameter ladder."""

    action: str
    """``again``, ``omit``, ``seven-bit``, ``one-recipient``, ``no-pipelining``, ``data`` or ``split``."""
    command: str
    """``MAIL``, ``RCPT`` or ``BDAT``: what was refused."""
    reply: Reply | None
    """The refusal; None: nothing was refused now, the host is remembered to have done it."""
    parameters: tuple[str, ...] = ()
    """The keywords that were left out."""
    recipients: tuple[int, ...] = ()
    """Recipient.number of whom it concerns; empty: all of the transaction."""
    waited: float = 0.0
    """Seconds before the request was said again."""


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome of one attempt for one recipient, as the spool records it."""

    number: int
    """Recipient.number."""
    outcome: Outcome
    reply: Reply | None = None
    note: str = ""
    """Fault or reason in words when there is no reply, or beside it."""
    next_due: float | None = None
    """Seconds since the epoch; required when DEFERRED."""
    uncertain: bool = False
    """True when the final reply was lost: the next hop may have it (RFC 1047)."""
    stage: str = ""
    """The command that ``reply`` answers (``MAIL``, ``RCPT``, ``DATA``, ``CONTENT``, ``CONNECT``, ``EHLO``, …), or ``""``."""
    expired: bool = False
    """FAILED since the time was over, whatever the last reason was."""
    relayed: bool = False
    """DELIVERED to a host that sends no reports for us: a "relayed" report is owed (RFC 3461 section 5.2.2)."""
    delay_told: bool = False
    """A report of the delay is settled together with this."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One line of the append-only journal of a message."""

    at: float
    """Seconds since the epoch, UTC, when it ended."""
    seconds: float
    """How long it took."""
    route: str
    host: str
    """Who answered (``mx.example.net [192.0.2.1]:25``), or ``""``."""
    results: tuple[Result, ...]
    transcript: str = ""
    security: str = ""
    """TLS as it was had (``TLSv1.3 …, certificate verified``), or ``in clear`` and why; ``""``: no connection."""
    steps: tuple[Step, ...] = ()
    """What was changed on the way, in order."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """An attempt as it is kept after its message is gone."""

    line: int
    """Grows with every attempt of a shard: the order of the journal, for paging and following."""
    message: MessageId
    reverse_path: str
    forward_paths: dict[int, str]
    """Recipient.number -> forward-path, for the recipients of ``attempt.results``."""
    attempt: Attempt


@dataclass(frozen=True, slots=True)
class Batch:
    """Recipients of one message for one destination, leased to one worker until ``expires``."""

    message: StoredMessage
    """``message.recipients`` are only those leased here."""
    destination: str
    token: int
    """Fencing token: a settle with an outdated token changes nothing."""
    expires: float
    """Seconds since the epoch when the lease runs out."""
