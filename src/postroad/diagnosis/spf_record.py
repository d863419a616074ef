"""The SPF record of a domain as it is published: read, not evaluated (RFC 7208 sections 4.5 to 4.6, 5 and 6).

Evaluating mail by it is another room's work; here a person learns whether receivers can use it, and what to publish.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Final

from postroad.diagnosis.findings import Finding, found
from postroad.diagnosis.ptr import Dns
from postroad.net.dns_errors import DnsError, DnsTemporary

#: RFC 7208 section 4.6.4: terms that need the DNS, of all records together; we count those of the first.
MAX_LOOKUPS: Final = 10
_VERSION: Final = re.compile(rb"v=spf1(?: |\Z)", re.IGNORECASE)
_MECHANISM: Final = re.compile(
    r"([+?~-]?)(all|include|a|mx|ptr|ip4|ip6|exists)((?::[^ /][^ ]*)?(?:/[0-9/]{1,8})?)\Z", re.IGNORECASE
)
_MODIFIER: Final = re.compile(r"([A-Za-z][A-Za-z0-9_.-]{0,63})=([^ ]*)\Z")
_NEEDS: Final = frozenset(("include", "ip4", "ip6", "exists"))
_LOOKS_UP: Final = frozenset(("include", "a", "mx", "ptr", "exists", "redirect"))


@dataclass(frozen=True, slots=True)
class Term:
    """One of its terms."""

    qualifier: str
    """``+``, ``?``, ``~``, ``-``; ``""`` for a modifier."""
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class SpfRecord:
    """A record read; ``wrong`` are terms that no receiver understands."""

    terms: tuple[Term, ...]
    wrong: tuple[str, ...]

    @property
    def lookups(self) -> int:
        """Questions to the DNS that the record itself costs."""
        return sum(term.name in _LOOKS_UP for term in self.terms)

    @property
    def end(self) -> str:
        """``-all``, ``~all`` …, ``redirect``, or ``""`` when it ends in nothing."""
        last = next((term for term in self.terms if term.name == "all"), None)
        if last is not None:
            return f"{last.qualifier}all"
        return "redirect" if any(term.name == "redirect" for term in self.terms) else ""


def read_spf(text: str) -> SpfRecord:
    """Read a record that begins with ``v=spf1``; never raises."""
    terms: list[Term] = []
    wrong: list[str] = []
    for word in text.split(" ")[1:]:
        if not word:
            continue
        term = _read_term(word)
        if term is None:
            wrong.append(word)
        else:
            terms.append(term)
    return SpfRecord(tuple(terms), tuple(wrong))


def _read_term(word: str) -> Term | None:
    if mechanism := _MECHANISM.match(word):
        name, value = mechanism[2].lower(), mechanism[3].lstrip(":")
        if (name in _NEEDS and not value) or (name == "all" and value):
            return None
        if name in ("ip4", "ip6") and not _is_network(value, 4 if name == "ip4" else 6):
            return None
        return Term(mechanism[1] or "+", name, value)
    if modifier := _MODIFIER.match(word):
        name = modifier[1].lower()
        return None if name in ("redirect", "exp") and not modifier[2] else Term("", name, modifier[2])
    return None


def _is_network(text: str, version: int) -> bool:
    try:
        return ip_network(text, strict=False).version == version and "%" not in text
    except ValueError:
        return False


def is_spf(octets: bytes) -> bool:
    """Whether a TXT record is SPF's (RFC 7208 section 4.5)."""
    return _VERSION.match(octets) is not None


def judge_spf(domain: str, records: Sequence[str], *, takes_mail: bool = True) -> list[Finding]:
    """What is to be said of the SPF records of a domain."""
    if not records:
        return [found("spf.missing", domain=domain, records=(_proposal(domain, takes_mail),))]
    if len(records) > 1:
        return [found("spf.many", " | ".join(records[:4]), domain=domain, records=(_merged(domain, records),))]
    told = list(_faults(domain, records[0], read_spf(records[0])))
    if any(one.level > 1 for one in told):
        return told
    return [*told, found("spf.ok", records[0], domain=domain, end=read_spf(records[0]).end)]


def _faults(domain: str, text: str, read: SpfRecord) -> Iterator[Finding]:
    if read.wrong:
        yield found("spf.syntax", text, domain=domain, wrong=" ".join(read.wrong[:5]))
        return
    if read.lookups > MAX_LOOKUPS:
        yield found("spf.lookups", text, domain=domain, count=read.lookups, most=MAX_LOOKUPS)
    if any(term.name == "ptr" for term in read.terms):
        yield found("spf.ptr", text, domain=domain)
    if read.end == "+all":
        closed = " ".join("~all" if word.lower() in ("all", "+all") else word for word in text.split(" "))
        yield found("spf.plus-all", text, domain=domain, records=(published(domain, closed),))
    elif read.end in ("", "?all"):
        closed = " ".join(word for word in text.split(" ") if word.lower() != "?all")
        yield found("spf.open-end", text, domain=domain, records=(published(domain, f"{closed.rstrip()} ~all"),))


def _proposal(domain: str, takes_mail: bool) -> str:
    return published(domain, "v=spf1 mx ~all" if takes_mail else "v=spf1 -all")


def _merged(domain: str, records: Sequence[str]) -> str:
    """All terms in one record, the strictest end last."""
    words = list(dict.fromkeys(word for text in records[:4] for word in text.split(" ")[1:] if word))
    ends = [word for word in words if word.lower().lstrip("+?~-") == "all"]
    end = next((word for word in ("-all", "~all", "?all") if word in [one.lower() for one in ends]), "~all")
    return published(domain, " ".join(("v=spf1", *(word for word in words if word not in ends), end)))


def published(name: str, text: str) -> str:
    """A TXT record as a zone file writes it, in strings of at most 250 octets (RFC 1035 section 3.3.14)."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    parts = [quoted[start : start + 250] for start in range(0, len(quoted), 250)]
    return f"{name}. TXT " + " ".join(f'"{part}"' for part in parts)


async def examine_spf(dns: Dns, domain: str, *, takes_mail: bool = True) -> list[Finding]:
    """Ask for it and judge it."""
    try:
        answer = await dns.txt(domain)
    except DnsTemporary as fault:
        return [found("spf.failed", str(fault), domain=domain)]
    except DnsError:
        return judge_spf(domain, (), takes_mail=takes_mail)
    texts = [octets.decode("ascii", "backslashreplace") for octets in answer.records if is_spf(octets)]
    return judge_spf(domain, texts, takes_mail=takes_mail)
