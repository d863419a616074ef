"""What a transport is given and what it tells: the contract between the runner and every way out of the house."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from postroad.delivery.mx import Site
from postroad.delivery.routing import Route
from postroad.envelope import Step, StoredMessage
from postroad.replies import Reply


class Fate(Enum):
    """What an attempt came to for one recipient, before the schedule says when the next one is."""

    DELIVERED = "delivered"
    NOT_NOW = "not now"
    """Refused for now, or nobody answered: another attempt may succeed."""
    NEVER = "never"
    """Refused for good: the sender is told."""


class Health(Enum):
    """What an attempt says about the site, whatever it came to for the message."""

    FINE = "fine"
    """It was reached and took its part, be it a refusal of this mail."""
    OVERLOADED = "overloaded"
    """It was reached and said that this is too much now, or broke off."""
    REFUSED = "refused"
    """Its hosts were there and let nobody in."""
    AWAY = "away"
    """No session came about with any of its hosts."""
    UNKNOWN = "unknown"
    """It was not asked, or we broke off ourselves."""


@dataclass(frozen=True, slots=True)
class Handed:
    """What became of one recipient in one attempt."""

    number: int
    """Recipient.number."""
    fate: Fate
    reply: Reply | None = None
    """The next hop's own words; a fault of the connection or of the disk has none."""
    note: str = ""
    uncertain: bool = False
    """The next hop may have the message all the same (RFC 1047)."""
    stage: str = ""
    """What ``reply`` answers."""
    relayed: bool = False
    """DELIVERED to a host that sends no reports for us (RFC 3461 section 5.2.2)."""


@dataclass(frozen=True, slots=True)
class Consignment:
    """One message for the recipients in ``message.recipients``, by one route to one site."""

    message: StoredMessage
    route: Route
    read: Callable[[], AsyncIterator[bytes]]
    """Prefix and content in blocks, CRLF everywhere; may be called more than once."""
    site: Site | None = None
    """The hosts, for a route by MX records."""
    lane: str = ""
    """What connections are kept by; empty: by the host."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a transport did with a consignment: one entry for each recipient."""

    handed: tuple[Handed, ...]
    host: str = ""
    """Who answered."""
    transcript: str = ""
    security: str = ""
    """TLS as it was had."""
    steps: tuple[Step, ...] = ()
    """What was changed on the way."""
    health: Health = Health.UNKNOWN


def same_for_all(
    consignment: Consignment, fate: Fate, note: str, reply: Reply | None = None, stage: str = ""
) -> tuple[Handed, ...]:
    """One and the same fate for every recipient."""
    return tuple(Handed(one.number, fate, reply, note, stage=stage) for one in consignment.message.recipients)


class Transport(Protocol):
    """One way out. Faults of the other side are in the Report; an exception is a bug or a fault of the spool."""

    async def deliver(self, consignment: Consignment) -> Report:
        """Try once."""
        ...

    def wind_down(self, why: str) -> None:
        """Begin nothing new: who still waits for a host to answer hears ``why``; what was begun goes on."""
        ...

    def abort(self, why: str) -> None:
        """End what is under way: each ``deliver`` returns soon with what it knows."""
        ...

    async def close(self) -> None:
        """Let go of idle connections and threads; nothing is under way any more."""
        ...
