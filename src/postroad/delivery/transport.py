"""What a transport is given and what it tells: the contract between the runner and every way out of the house."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from postroad.delivery.routing import Route
from postroad.envelope import StoredMessage
from postroad.replies import Reply


class Fate(Enum):
    """What an attempt came to for one recipient, before the schedule says when the next one is."""

    DELIVERED = "delivered"
    NOT_NOW = "not now"
    """Refused for now, or nobody answered: another attempt may succeed."""
    NEVER = "never"
    """Refused for good: people must see it."""


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


@dataclass(frozen=True, slots=True)
class Consignment:
    """One message for the recipients in ``message.recipients``, by one route."""

    message: StoredMessage
    route: Route
    read: Callable[[], AsyncIterator[bytes]]
    """Prefix and content in blocks, CRLF everywhere; may be called more than once."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a transport did with a consignment: one entry for each recipient."""

    handed: tuple[Handed, ...]
    host: str = ""
    """Who answered."""
    transcript: str = ""


def same_for_all(consignment: Consignment, fate: Fate, note: str, reply: Reply | None = None) -> tuple[Handed, ...]:
    """One and the same fate for every recipient."""
    return tuple(Handed(one.number, fate, reply, note) for one in consignment.message.recipients)


class Transport(Protocol):
    """One way out. Faults of the other side are in the Report; an exception is a bug or a fault of the spool."""

    async def deliver(self, consignment: Consignment) -> Report:
        """Try once."""
        ...

    def abort(self, why: str) -> None:
        """End what is under way: each ``deliver`` returns soon with what it knows."""
        ...

    async def close(self) -> None:
        """Let go of idle connections and threads; nothing is under way any more."""
        ...
