"""Whether an SPF record lets an address send: enough of RFC 7208 section 4 for a person's own record, with its bounds.

What depends on the single message (macros, ``exists``, ``ptr``) is not guessed: the outcome is then unknown.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Final, Literal

from postroad.diagnosis.ptr import Dns
from postroad.diagnosis.spf_record import MAX_LOOKUPS, Term, is_spf, read_spf
from postroad.net.dns_errors import DnsError, DnsTemporary

Outcome = Literal["pass", "fail", "softfail", "neutral", "none", "unknown"]

_QUALIFIERS: Final[dict[str, Outcome]] = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}


class _Unknown(Exception):
    """It cannot be told from here."""


class Covering:
    """One question; asks the DNS at most as often as a receiver does."""

    def __init__(self, dns: Dns, address: str) -> None:
        self._dns = dns
        self._address = ip_address(address)
        self._left = MAX_LOOKUPS

    async def outcome(self, domain: str) -> Outcome:
        """What a receiver makes of mail in the name of ``domain`` from the address; never raises."""
        try:
            return await self._of(domain)
        except (_Unknown, DnsTemporary):
            return "unknown"

    async def _of(self, domain: str) -> Outcome:
        try:
            found = [one for one in (await self._dns.txt(domain)).records if is_spf(one)]
        except DnsTemporary:
            raise
        except DnsError:
            return "none"
        if len(found) != 1:
            return "none"
        read = read_spf(found[0].decode("ascii", "backslashreplace"))
        if read.wrong:
            raise _Unknown
        for term in read.terms:
            if term.qualifier and await self._matches(term, domain):
                return _QUALIFIERS[term.qualifier]
        other = next((term.value for term in read.terms if term.name == "redirect"), "")
        if not other:
            return "neutral"
        self._spend(other)
        return await self._of(other.lower().rstrip("."))

    async def _matches(self, term: Term, domain: str) -> bool:
        name, _, prefix = term.value.partition("/") if term.name in ("a", "mx") else (term.value, "", "")
        match term.name:
            case "all":
                return True
            case "ip4" | "ip6":
                return self._address in ip_network(term.value, strict=False)
            case "include":
                self._spend(name)
                return await self._of(name.lower().rstrip(".")) == "pass"
            case "a":
                self._spend(name)
                return await self._leads_here(name or domain, prefix)
            case "mx":
                self._spend(name)
                return await self._mx_leads_here(name or domain, prefix)
        raise _Unknown  # exists, ptr

    def _spend(self, name: str) -> None:
        self._left -= 1
        if self._left < 0 or "%" in name:
            raise _Unknown

    async def _mx_leads_here(self, domain: str, prefix: str) -> bool:
        try:
            hosts = (await self._dns.mx(domain)).records[:MAX_LOOKUPS]
        except DnsTemporary:
            raise
        except DnsError:
            return False
        for one in hosts:
            if one.host and await self._leads_here(one.host, prefix):
                return True
        return False

    async def _leads_here(self, host: str, prefix: str) -> bool:
        version = self._address.version
        try:
            found = (await self._dns.addresses(host.lower().rstrip("."), (version,))).addresses
        except DnsTemporary:
            raise
        except DnsError:
            return False
        short, _, long = prefix.partition("//") if "/" in prefix else (prefix, "", "")
        bits = (long if version == 6 else short) or str(self._address.max_prefixlen)
        try:
            return any(self._address in ip_network(f"{one}/{bits}", strict=False) for one in found)
        except ValueError:
            raise _Unknown from None
