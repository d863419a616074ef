"""What a client hears. ``ClientEngine.next_event`` hands these out; the mirror of ``events``."""

from __future__ import annotations

from dataclasses import dataclass

from postroad.replies import Reply
from postroad.smtp.client_commands import Command
from postroad.smtp.events import NeedData


@dataclass(slots=True)
class Greeted:
    """The greeting. ``accepted`` False: the host does not want us (554, 421, …); the session is over."""

    reply: Reply
    accepted: bool


@dataclass(slots=True)
class Replied:
    """The answer to a command: to the oldest one that has none yet."""

    command: Command
    reply: Reply


@dataclass(slots=True)
class TlsReady:
    """STARTTLS was answered 220 and nothing came behind it: call ``tls_begins``, do the handshake, call ``tls_started``."""

    reply: Reply


@dataclass(slots=True)
class ContentWanted:
    """DATA was answered 354 for at least one recipient: ``send_content``, then ``end_content``."""

    reply: Reply


@dataclass(slots=True)
class ChunkAnswered:
    """The answer to a chunk of BDAT that was not the last, or to one behind a chunk that was refused."""

    reply: Reply


@dataclass(slots=True)
class ContentAnswered:
    """The answer to the content (the final dot, the last chunk); in LMTP one for each accepted recipient, in the order of RCPT."""

    reply: Reply
    recipient: int | None
    """LMTP: which of the accepted recipients, from 0; None: all of them."""


@dataclass(slots=True)
class ConnectionEnded:
    """Nothing more will be heard: close the connection."""

    reason: str
    """``quit``, ``refused``, ``closed by the host``, ``421``, ``protocol``."""
    reply: Reply | None = None
    """The reply that ended it, when one did."""


ClientEvent = (
    Greeted | Replied | TlsReady | ContentWanted | ChunkAnswered | ContentAnswered | ConnectionEnded | NeedData
)
