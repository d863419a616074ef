"""What was named, read, and where it leads: a domain to its mail hosts, a host to its addresses. Bounded whatever the DNS says."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from postroad.address import normal_domain, parse_domain
from postroad.diagnosis.findings import Finding, Level, found
from postroad.diagnosis.ptr import Dns
from postroad.errors import AddressSyntaxError, PostroadError
from postroad.net.connecting import Endpoint, Target, endpoints_of
from postroad.net.dns_errors import DnsError, DnsTemporary, NoData
from postroad.net.dns_names import is_host_name
from postroad.net.resolver import MxRecord

#: Bounds of one run: hosts of a domain, addresses of one host, addresses in all.
MAX_HOSTS: Final = 10
MAX_OF_ONE: Final = 2
MAX_PLACES: Final = 16
_SYSTEM_LOOKUP: Final = 5.0

_FORM: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/@\s]+))(?::([0-9]{1,5}))?\Z")
_HINT: Final = "write a domain, HOST, HOST:PORT, an IP address or [IPv6]:PORT"


class TargetError(PostroadError):
    """What was named is neither a host nor a domain."""


@dataclass(frozen=True, slots=True)
class Named:
    """What was named, as the DNS and the system take it."""

    host: str
    """A name in lower-case A-labels, or an IP address."""
    port: int = 0
    """0: none was given."""

    @property
    def is_address(self) -> bool:
        """An IP address."""
        return _is_address(self.host)


def read_target(text: str) -> Named:
    """Read it; a mailbox is taken for its domain. Raises TargetError."""
    text = text.strip()
    if "@" in text:
        text = text.rpartition("@")[2]
    if _is_address(text):
        return Named(str(ip_address(text)))
    parts = _FORM.match(text)
    if parts is None or (parts[1] is not None and not _is_address(parts[1])):
        raise TargetError(f"neither a host nor a domain: {text[:80]!r}", _HINT)
    port = int(parts[3]) if parts[3] is not None else 0
    if port > 65_535 or (parts[3] is not None and not port):
        raise TargetError(f"no port: {parts[3]}", "a port is a number from 1 to 65535")
    return Named(str(ip_address(parts[1])) if parts[1] else _name(parts[2], text), port)


def _name(name: str, text: str) -> str:
    if _is_address(name):
        return name
    try:
        found_name = normal_domain(parse_domain(name.removesuffix(".")))
    except AddressSyntaxError as fault:
        raise TargetError(f"no host name: {text[:80]!r}", fault.hint or _HINT) from fault
    if not is_host_name(found_name):
        raise TargetError(f"no host name: {text[:80]!r}", _HINT)
    return found_name


@dataclass(frozen=True, slots=True)
class MailHosts:
    """The mail hosts of a domain, and what is to be said of its MX records."""

    records: tuple[MxRecord, ...]
    """In the order in which senders try them, each host once, at most MAX_HOSTS."""
    findings: tuple[Finding, ...]


def judge_mx(domain: str, records: Sequence[MxRecord]) -> MailHosts:
    """Of MX records that there are (RFC 5321 section 5.1, RFC 7505)."""
    ordered = sorted(records, key=lambda one: one.preference)
    seen = ", ".join(f"{one.preference} {one.host or '.'}" for one in ordered[:MAX_HOSTS])
    null = [one for one in ordered if not one.host]
    told: list[Finding] = []
    if null and len(null) == len(ordered):
        return MailHosts((), (found("mx.null", seen, domain=domain),))
    if null:
        told.append(found("mx.null-mixed", seen, domain=domain))
    named = [one for one in ordered if one.host]
    bad = [one for one in named if not is_host_name(one.host) or _is_address(one.host)]
    told += [found("mx.no-name", one.host, domain=domain, host=one.host) for one in bad[:MAX_HOSTS]]
    good: dict[str, MxRecord] = {}
    for one in named:
        if one not in bad:
            good.setdefault(one.host, one)
    if len(good) > MAX_HOSTS:
        told.append(found("mx.too-many", seen, domain=domain, count=len(good), most=MAX_HOSTS))
    if not told:
        told.append(found("mx.ok", seen, domain=domain, count=len(good)))
    return MailHosts(tuple(good.values())[:MAX_HOSTS], tuple(told))


@dataclass(frozen=True, slots=True)
class Located:
    """The addresses of a host, and what is to be said of them."""

    host: str
    addresses: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


async def locate(
    dns: Dns, named: Named, families: Sequence[int], *, objection: Callable[[str], str], domain: str = ""
) -> Located:
    """Where a host is. ``domain``: whose MX it is; ``objection``: why an address is not to be dialled, else ``""``."""
    host = named.host
    if named.is_address:
        return _judged(host, [host], objection, domain)
    try:
        answer = await dns.addresses(host, families)
    except DnsError as fault:
        if not domain and (known := await _of_system(host, families)):
            return _judged(host, known, objection, domain)
        return Located(host, (), (_lookup_fault(fault, host, domain),))
    alias = answer.name if domain and answer.name != host else ""
    judged = _judged(host, list(answer.addresses), objection, domain)
    if not alias:
        return judged
    told = found("mx.alias", f"{host} → {alias}", host=host, alias=alias, domain=domain)
    return Located(host, judged.addresses, (told, *judged.findings))


def _judged(host: str, addresses: list[str], objection: Callable[[str], str], domain: str) -> Located:
    told: list[Finding] = []
    private = [one for one in addresses if not ip_address(one).is_global]
    if domain and private:
        told.append(found("mx.private", ", ".join(private[:4]), host=host, domain=domain, address=private[0]))
    objections = {one: objection(one) for one in addresses}
    good = [one for one in addresses if not objections[one]]
    if not good:
        seen = "; ".join(f"{one}: {words}" for one, words in list(objections.items())[:4])
        told.append(found("name.not-dialled", seen, host=host))
    return Located(host, tuple(_some(good)), tuple(told))


def _some(addresses: list[str]) -> list[str]:
    """One of each version first."""
    by_version = {one.count(":") > 0: one for one in reversed(addresses)}
    first = sorted(by_version.values(), key=addresses.index)
    rest = [one for one in addresses if one not in first]
    return [*first, *rest][:MAX_OF_ONE]


def _lookup_fault(fault: DnsError, host: str, domain: str) -> Finding:
    if isinstance(fault, DnsTemporary):
        return found("name.dns-failed", str(fault), host=host)
    if domain:
        return found("mx.no-address", str(fault), host=host, domain=domain)
    name = "name.no-address" if isinstance(fault, NoData) else "name.not-found"
    return found(name, str(fault), host=host, level=Level.ERROR)


async def _of_system(host: str, families: Sequence[int]) -> list[str]:
    """What the system knows beside the DNS: /etc/hosts, localhost."""
    try:
        endpoints = await endpoints_of(Target(host, 25), _SYSTEM_LOOKUP)
    except (OSError, UnicodeError):
        return []
    return [one.address for one in endpoints if (6 if ":" in one.address else 4) in families]


def endpoint(host: str, address: str, port: int) -> Endpoint:
    """What to connect to; nothing is looked up again."""
    return Endpoint(Target(host, port), address)


def _is_address(text: str) -> bool:
    try:
        return "%" not in text and ip_address(text) is not None
    except ValueError:
        return False
