"""From a destination to the hosts that take its mail, as RFC 5321 section 5.1 says: MX, implicit MX, literals.

Promise: what comes out is addresses that may be dialled, in the order to dial them, and nobody looks them up again, so
that a name cannot change under us. Bounded whatever the DNS says. Why a destination has no way is said in words and as
a reply: null MX (RFC 7505), no such domain, mail that would come back to us, hosts with private addresses, a DNS fault.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from postroad.delivery.dialling import Dialling
from postroad.errors import PostroadError
from postroad.net.resolver import (
    AddressAnswer,
    DnsError,
    MxAnswer,
)
from postroad.replies import Reply

SMTP_PORT: Final = 25
#: Bounds of one site: exchanges looked up, addresses of one exchange, addresses in all.
MAX_EXCHANGES: Final = 10
MAX_OF_ONE: Final = 4
MAX_ADDRESSES: Final = 20
_MAX_KEY: Final = 200
_MAX_NOTE: Final = 600


class Dns(Protocol):
    """What of ``net.resolver.Resolver`` is needed."""

    async def mx(self, name: str) -> MxAnswer:
        """The MX records."""
        ...

    async def addresses(self, name: str, families: Sequence[int] = ...) -> AddressAnswer:
        """The addresses."""
        ...


@dataclass(frozen=True, slots=True)
class Exchange:
    """A host that takes the mail of a destination."""

    host: str
    """Its name (lower-case A-labels), which a certificate must carry; of an address literal the bare address."""
    port: int
    addresses: tuple[str, ...]
    """What to dial, in turn; at least one."""
    preference: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """All hosts of a destination, in the order to try them."""

    key: str
    """What concurrency and back-off go by: the same for all destinations with the same set of mail hosts."""
    exchanges: tuple[Exchange, ...]
    """At least one."""
    secure: bool = False
    """MX and addresses were validated by DNSSEC."""
    notes: tuple[str, ...] = ()
    """Which hosts were left out, and why."""


class Unroutable(PostroadError):
    """There is no way to the destination, for now or for good."""

    def __init__(self, reply: Reply, note: str) -> None:
        super().__init__(note)
        self.reply = reply
        self.note = note

    @property
    def permanent(self) -> bool:
        """False: the DNS may say something else later."""
        return self.reply.is_permanent


@dataclass(slots=True)
class _Found:
    """What the look-up of the exchanges came to."""

    exchanges: list[Exchange] = field(default_factory=list)
    faults: list[DnsError] = field(default_factory=list)
    forbidden: list[str] = field(default_factory=list)
    other_family: list[str] = field(default_factory=list)
    secure: bool = True

    @property
    def notes(self) -> tuple[str, ...]:
        return (*self.forbidden, *self.other_family, *map(str, self.faults))


class MxRouting:
    """Finds sites. One for the process; it keeps nothing but what the resolver keeps.

    ``hostname`` is our own name, and ``is_own`` says of an IP address whether we answer on it on ``port``: both are
    what a mail host is recognised by as ourselves. ``families`` are the IP versions that are dialled, in order.
    """

    def __init__(
        self,
        resolver: Dns,
        hostname: str,
        is_own: Callable[[str], bool] = lambda _: False,
        dialling: Dialling | None = None,
        *,
        port: int = SMTP_PORT,
        families: Sequence[int] = (6, 4),
        rng: random.Random | None = None,
    ) -> None:
        self._resolver = resolver
        self._hostname = hostname.lower().removesuffix(".")
        self._is_own = is_own
        self._dialling = dialling or Dialling()
        self._port = port
        self._families = tuple(families)
        self._rng = rng or random.Random()

    async def site_of(self, destination: str) -> Site:
        """The site of a destination (``Mailbox.destination``: lower-case A-labels or ``[literal]``).

        Raises Unroutable and nothing else.
        """
        raise NotImplementedError
