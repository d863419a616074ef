"""What a message asks of a host, and what came of it for each recipient: the words that a negotiation is held in.

Values only; who decides is ``negotiation``. Sources: RFC 5321 section 4.1.1.11, RFC 3461 section 5.2.2, RFC 6152.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from postroad.address import Mailbox
from postroad.replies import Reply
from postroad.smtp.parameters import NOTHING_GIVEN, Given


@dataclass(frozen=True, slots=True)
class ContentNeeds:
    """What the octets themselves need of every host on their way; found by scanning them."""

    eight_bit: bool = False
    """Octets above 127 anywhere."""
    binary: bool = False
    """NUL, a bare CR or LF, or a line of more than 998 octets: only BODY=BINARYMIME by BDAT can carry it (RFC 3030)."""
    utf8_header: bool = False
    """Octets above 127 in the header, or in the header of a part."""
    recodable: bool = True
    """It can be made 7-bit without loss (well-formed MIME, not signed)."""

    @property
    def can_be_seven_bit(self) -> bool:
        """A header beyond ASCII has no 7-bit form that means the same (RFC 6152 section 3 asks for no loss)."""
        return self.recodable and not self.utf8_header


@dataclass(frozen=True, slots=True)
class Wanted:
    """A message as its sender wants it sent."""

    reverse_path: Mailbox | None
    parameters: Given = NOTHING_GIVEN
    """Of MAIL, as the sender gave them."""
    recipients: Mapping[int, tuple[Mailbox, Given]] = field(default_factory=dict)
    """Recipient.number -> its path and its parameters of RCPT."""
    size: int = 0
    """Octets of the content, for SIZE; 0: unknown."""
    needs: ContentNeeds = ContentNeeds()


class Form(Enum):
    """How the content is to be given."""

    AS_IS = "as it is"
    SEVEN_BIT = "made 7-bit"


@dataclass(frozen=True, slots=True)
class Plan:
    """One transaction to be tried now."""

    numbers: tuple[int, ...]
    """Recipient.number of each of ``recipients``, in their order."""
    reverse_path: Mailbox | None
    recipients: list[tuple[Mailbox, Given]]
    parameters: Given
    bdat: bool = False
    pipelining: bool = True
    form: Form = Form.AS_IS
    wait: float = 0.0
    """Seconds to wait before it is said, 30 at most."""


class Verdict(Enum):
    """What an attempt at one host came to for one recipient."""

    DELIVERED = "delivered"
    """The host has taken responsibility."""
    RETRY = "retry"
    """Not now; the same may succeed later."""
    RETRY_CHANGED = "retry changed"
    """Not now, and not the same way: the host refused parameters and there was no end to it in this session."""
    NEXT_HOST = "next host"
    """The refusal, or the silence, speaks about this host and not about the mail."""
    FAILED = "failed"
    """Never."""


@dataclass(frozen=True, slots=True)
class Settled:
    """The end for one recipient."""

    number: int
    """Recipient.number."""
    verdict: Verdict
    reply: Reply | None
    """The host's, or ours about what cannot be sent to it (``stage`` is then ``""``); None after a fault."""
    stage: str
    """``MAIL``, ``RCPT``, ``DATA``, ``CONTENT``, ``CONNECTION``; ``""`` when nothing was said to the host."""
    note: str = ""
    """Why, for people: the fault, or the parameters that were refused and whom to ask."""
    uncertain: bool = False
    """The reply to the content was lost: the host may have it (RFC 1047)."""
    relayed: bool = False
    """DELIVERED, but the host sends no reports for it: one is owed by us (RFC 3461 section 5.2.2, RFC 2852 4.1.4.2).

    It says "relayed"; after LMTP, which is the delivery, "delivered".
    """
    dropped: tuple[str, ...] = ()
    """The keywords that the sender gave and this host was not told."""
