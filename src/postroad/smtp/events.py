"""What happened in a session. An engine hands these to its driver; some wait for the driver's answer."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from postroad.address import Mailbox
from postroad.replies import Reply
from postroad.smtp.parameters import Given
from postroad.smtp.states import Verb


@dataclass(slots=True)
class HelloGiven:
    """EHLO or HELO; awaits an answer. ``accept()`` answers 250, with the extensions for EHLO."""

    verb: Verb
    name: str


@dataclass(slots=True)
class StartTlsGiven:
    """STARTTLS; awaits an answer. ``accept()`` answers 220; then the driver does the handshake."""


@dataclass(slots=True)
class AuthGiven:
    """A finished SASL exchange; awaits an answer. ``accept()`` answers 235 and marks the session authenticated."""

    mechanism: str
    authorization_id: str
    authentication_id: str
    password: str

    def __repr__(self) -> str:
        return f"AuthGiven(mechanism={self.mechanism!r}, authentication_id={self.authentication_id!r})"


@dataclass(slots=True)
class SenderGiven:
    """MAIL, well formed and accommodated; awaits an answer. ``reverse_path`` None is the null reverse-path."""

    reverse_path: Mailbox | None
    parameters: Given


@dataclass(slots=True)
class RecipientGiven:
    """RCPT, well formed and accommodated; awaits an answer."""

    forward_path: Mailbox
    parameters: Given


@dataclass(slots=True)
class ContentRequested:
    """DATA or the first BDAT of a transaction; awaits an answer. ``accept()`` answers 354 (DATA) or nothing (BDAT)."""

    verb: Verb


@dataclass(slots=True)
class ContentBlock:
    """Some octets of content, dots undone, CRLF everywhere; awaits nothing."""

    octets: bytes


@dataclass(slots=True)
class ContentEnded:
    """The final dot or the last chunk; awaits an answer: 250 once the message is durable, or why not."""

    size: int
    """Octets of content."""


@dataclass(slots=True)
class TransactionAborted:
    """What was given since MAIL is void: RSET, EHLO, a refused content, a lost connection; awaits nothing."""


@dataclass(slots=True)
class ParameterNotNow:
    """A known parameter was refused for a time (455, or the code its RFC names); awaits nothing: count it, log it."""

    verb: Verb
    keyword: str
    reply: Reply


@dataclass(slots=True)
class SessionEnded:
    """The engine will say no more: write ``data_to_send()``, then close the connection."""

    reason: str
    """``quit``, ``errors``, ``protocol``, ``closed``, ``refused``, ``timeout``, ``shutdown``."""


class NeedData(Enum):
    """The engine can go on only with more octets."""

    NEED_DATA = "need data"


NEED_DATA = NeedData.NEED_DATA

AwaitingEvent = HelloGiven | StartTlsGiven | AuthGiven | SenderGiven | RecipientGiven | ContentRequested | ContentEnded
ServerEvent = AwaitingEvent | ContentBlock | TransactionAborted | ParameterNotNow | SessionEnded | NeedData
