"""The name that an address points back to, against the name that the server gives itself (RFC 8601 calls it iprev).

It speaks for mail that comes from this address, which is why receivers look; a server that only takes mail needs none.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Protocol

from postroad.diagnosis.findings import Finding, Level, found
from postroad.net.dns_errors import DnsError, DnsTemporary
from postroad.net.resolver import AddressAnswer, MxAnswer, TxtAnswer


class Dns(Protocol):
    """What of ``net.resolver.Resolver`` diagnosis needs."""

    async def mx(self, name: str) -> MxAnswer:
        """The MX records."""
        ...

    async def addresses(self, name: str, families: Sequence[int] = ...) -> AddressAnswer:
        """The addresses."""
        ...

    async def ptr(self, address: str) -> tuple[str, ...]:
        """The names that an address points to."""
        ...

    async def txt(self, name: str) -> TxtAnswer:
        """The TXT records."""
        ...


async def examine_ptr(dns: Dns, address: str, name: str, *, level: Level | None = None) -> Finding:
    """``name``: what the server greets with, ``""`` when it gives none; ``level``: of a name that is another one."""
    if not ip_address(address).is_global:
        return found("name.ptr.skipped", address, address=address)
    try:
        names = await dns.ptr(address)
    except DnsTemporary as fault:
        return found("name.ptr-failed", str(fault), address=address)
    except DnsError as fault:
        return found("name.ptr-none", str(fault), address=address, name=name or "mail.example.com")
    if not names:
        return found("name.ptr-none", address=address, name=name or "mail.example.com")
    confirmed = [one for one in names[:4] if await _leads_to(dns, one, address)]
    seen = f"{address} → {', '.join(names[:4])}"
    if not confirmed:
        return found("name.ptr-unconfirmed", seen, address=address, ptr=names[0])
    if name and name not in names:
        return found("name.ptr-differs", seen, level=level, address=address, ptr=names[0], name=name)
    return found("name.ptr-ok", seen, address=address, ptr=confirmed[0])


async def _leads_to(dns: Dns, name: str, address: str) -> bool:
    try:
        return address in (await dns.addresses(name, (6 if ":" in address else 4,))).addresses
    except DnsError:
        return False
