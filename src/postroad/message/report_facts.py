"""What a delivery report is made of, before it is written: whom it is for, what became of whom, and what goes back.

Nothing here is octets yet; every text that came from a peer stays as it came and is cleansed where it is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from postroad.replies import Reply


class Kind(Enum):
    """What a report reports; the value is its Action (RFC 3464 section 2.3.3)."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    RELAYED = "relayed"


@dataclass(frozen=True, slots=True)
class OriginalAddress:
    """ORCPT: the recipient as the sender first named it, decoded (RFC 3461 section 4.2)."""

    address_type: str
    address: str


@dataclass(frozen=True, slots=True)
class Reported:
    """One recipient of a report."""

    address: str
    status: str
    """``5.1.1``: the Status field."""
    original: OriginalAddress | None = None
    reply: Reply | None = None
    """The last answer, of the other server or ours; None: there was none."""
    host: str = ""
    """Who answered, ``mx.example.net [192.0.2.1]:25``; empty when this system decided or nobody knows."""
    own: bool = False
    """``reply`` is ours."""
    cause: str = ""
    """Its name in the tables ``own`` and ``own_do`` of reports.toml, when it has one there."""
    stage: str = ""
    """What ``reply`` answers."""
    note: str = ""
    """The fault in words when there is no reply, or beside it."""
    local: bool = False
    """The mailbox is here: there is no other server."""
    earlier: bool = False
    """``reply`` is of an earlier attempt."""
    ended: bool = False
    """The operator gave it up; ``note`` says why."""
    expired: bool = False
    """Given up since the time was over."""
    uncertain: bool = False
    """The other server may have the message all the same (RFC 1047)."""
    attempted_at: float | None = None
    """Seconds since the epoch; None: no attempt was made now."""
    retry_until: float | None = None
    """Seconds since the epoch; for delays, when known."""
    dropped: tuple[str, ...] = ()
    """Keywords of parameters without which the message was sent on."""
    timed: bool = False
    """Told for the sake of a time limit alone (RFC 2852): no confirmation was asked for."""
    silenced: bool = False
    """The sender wanted no report of a failure, and the host behind cannot be told so."""
    refusal: Reply | None = None
    """The reply that made them be dropped."""
    parameter: str = ""
    """The keyword of the parameter for whose sake the message waits."""


class Returned(Enum):
    """How much of the message goes back, and why not more."""

    FULL = "full"
    HEADER = "header"
    LARGE = "large"
    """Only the header: the message is too large."""
    EIGHT_BIT = "eight_bit"
    """Only the header: the message cannot be written in 7-bit."""
    CUT = "cut"
    """Only the beginning of the header."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Original:
    """The message that is reported about, as far as it was read."""

    header: bytes = b""
    """The header section, with CRLF at its end."""
    body: bytes | None = None
    """All that follows the empty line; None: it does not go back."""
    returned: Returned = Returned.NONE
    utf8: bool = False
    """It came with SMTPUTF8."""
    size: int = 0
    """Octets of the whole message."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that one report says."""

    kind: Kind
    id: str
    """Made for this report: in its Message-ID and its boundary."""
    to: str
    """Whom it is for: the reverse-path of the message, or the postmaster of this system."""
    hostname: str
    postmaster: str
    now: float
    """Seconds since the epoch."""
    message_id: str
    """The id under which the message was queued."""
    arrived_at: float
    recipients: tuple[Reported, ...]
    original: Original
    languages: tuple[str, ...] = ("en",)
    envelope_id: str = ""
    """ENVID, decoded."""
    hello: str = ""
    """The name that the client gave which brought the message."""
    peer: str = ""
    """Its address and port."""
    deliver_by: float | None = None
    """Seconds since the epoch (RFC 2852)."""
    future_release: str = ""
    """``for;3600`` or ``until;2026-11-24T12:00:00Z``: how the sender had it held at first (RFC 4865 section 5.1.2)."""
    released_at: float | None = None
    """Seconds since the epoch when it was first allowed to leave; None: at its arrival."""
    double: bool = False
    """For the postmaster: the message had no return address."""

    @property
    def utf8(self) -> bool:
        """Whether the report itself can only travel with SMTPUTF8."""
        return not self.to.isascii()
