"""Who we are to others: our name, the addresses we call from, and the name that those point back to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from postroad.admin.setup.checks import Check, Facts, Level, Record, check, level_of, of_findings
from postroad.diagnosis.ptr import Dns, examine_ptr
from postroad.net.dns_errors import DnsError, DnsTemporary


@dataclass(frozen=True, slots=True)
class Own:
    """Our addresses as far as they can be known from inside."""

    outgoing: tuple[str, ...]
    """Where calls begin on this machine."""
    public: tuple[str, ...]
    """By which others see us; empty when nobody here can know."""
    supposed: bool = False
    """``public`` is where our name leads, for the machine itself has private addresses only."""
    named: tuple[str, ...] = ()
    """Where our name leads in the DNS."""
    fault: DnsError | None = None
    """Why ``named`` is empty."""


async def own(dns: Dns, facts: Facts, outgoing: Callable[[int], str]) -> Own:
    """Find them; never raises. In dev mode nobody is asked."""
    here = facts.source or tuple(filter(None, map(outgoing, (4, 6))))
    named: tuple[str, ...] = ()
    fault: DnsError | None = None
    if facts.dev:
        return Own(here, ())
    try:
        named = (await dns.addresses(facts.hostname, (4, 6))).addresses
    except DnsError as raised:
        fault = raised
    public = tuple(filter(is_public, here))
    if public:
        return Own(here, public, False, named, fault)
    return Own(here, tuple(filter(is_public, named)), True, named, fault)


def is_public(address: str) -> bool:
    """Whether the internet can know it."""
    return ip_address(address).is_global


def look_at_name(facts: Facts, mine: Own) -> Check:
    """Our name: whole, and leading here."""
    name = facts.hostname
    evidence = [("hostname", name), ("addresses", ", ".join(mine.named)), ("outgoing", ", ".join(mine.outgoing))]
    seen = [pair for pair in evidence if pair[1]]
    if facts.dev:
        return check("hostname", Level.OK, "hostname.dev", evidence=seen, name=name)
    if not facts.has_name:
        return check("hostname", Level.FAIL, "hostname.not-whole", evidence=seen, name=name)
    records = tuple(address_record(name, one) for one in mine.public if one not in mine.named)
    if not mine.named:
        seen.append(("dns", str(mine.fault)))
        if isinstance(mine.fault, DnsTemporary):
            return check("hostname", Level.UNKNOWN, "dns-silent", evidence=seen)
        return check("hostname", Level.FAIL, "hostname.nowhere", evidence=seen, records=records, name=name)
    if not mine.supposed and not set(mine.named) & set(mine.public):
        leads = ", ".join(mine.named)
        return check("hostname", Level.WARN, "hostname.elsewhere", evidence=seen, records=records, name=name, to=leads)
    return check("hostname", Level.OK, "hostname.ok", evidence=seen, name=name, to=", ".join(mine.named))


def look_at_addresses(facts: Facts, mine: Own) -> Check:
    """Whether we know by which address others see us."""
    evidence = [("outgoing", one) for one in mine.outgoing]
    here = ", ".join(mine.outgoing)
    if not mine.outgoing:
        return check("addresses", Level.FAIL, "addresses.none")
    if not mine.supposed:
        return check("addresses", Level.OK, "addresses.ok", evidence=evidence, here=", ".join(mine.public))
    if mine.public:
        supposed = ", ".join(mine.public)
        return check("addresses", Level.NOTE, "addresses.nat", evidence=evidence, here=here, supposed=supposed)
    return check("addresses", Level.UNKNOWN, "addresses.unknown", evidence=evidence, here=here)


async def look_at_ptr(dns: Dns, facts: Facts, address: str) -> Check:
    """The name behind one of our public addresses."""
    found = await examine_ptr(dns, address, facts.hostname)
    row = of_findings("ptr", address, [found])
    if row.level < Level.WARN:
        return row
    records = [Record(f"{ip_address(address).reverse_pointer}.", "PTR", f"{facts.hostname}.")] if facts.has_name else []
    level = level_of([found]) if facts.sends_itself else Level.NOTE
    return check("ptr", level, "", address, records=records, evidence=row.evidence, findings=[found])


def no_ptr(facts: Facts) -> Check:
    """Without a public address there is nothing to ask about."""
    return check("ptr", Level.UNKNOWN if facts.sends_itself else Level.SKIP, "address-unknown")


def address_record(name: str, address: str) -> Record:
    """A or AAAA."""
    return Record(f"{name}.", "AAAA" if ":" in address else "A", address)
