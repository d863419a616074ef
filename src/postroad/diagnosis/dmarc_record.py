"""The DMARC policy of a domain as it is published: found by the tree walk and read, not applied (RFC 9989, RFC 9990 section 3)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from postroad.address import parse_mailbox
from postroad.diagnosis.findings import Finding, Level, found
from postroad.diagnosis.ptr import Dns
from postroad.diagnosis.spf_record import published
from postroad.diagnosis.tags import read_tags
from postroad.errors import AddressSyntaxError
from postroad.net.dns_errors import DnsError, DnsTemporary

#: RFC 9989 section 4.10: a name of more labels goes on at this many, so that a walk asks at most eight questions.
MAX_LABELS: Final = 7
#: Foreign report addresses whose consent is looked up.
_MAX_REPORTS: Final = 4
_VERSION: Final = re.compile(rb"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_POLICIES: Final = ("none", "quarantine", "reject")
_VALUES: Final = {
    "p": _POLICIES,
    "sp": _POLICIES,
    "np": _POLICIES,
    "adkim": ("r", "s"),
    "aspf": ("r", "s"),
    "psd": ("y", "n", "u"),
    "t": ("y", "n"),
}


@dataclass(frozen=True, slots=True)
class DmarcRecord:
    """A record read; ``wrong`` are the parts that receivers do not understand."""

    tags: dict[str, str]
    wrong: tuple[str, ...]

    @property
    def reports(self) -> tuple[str, ...]:
        """The domains of ``rua`` and ``ruf``, each once."""
        uris = [one.strip() for name in ("rua", "ruf") for one in self.tags.get(name, "").split(",")]
        return tuple(dict.fromkeys(domain for one in uris if (domain := _domain_of(one))))


def is_dmarc(octets: bytes) -> bool:
    """Whether a TXT record is DMARC's."""
    return _VERSION.match(octets) is not None


def read_dmarc(text: str) -> DmarcRecord:
    """Read it; never raises."""
    tags, wrong = read_tags(text)
    bad = [
        f"{name}={tags[name][:40]}" for name, known in _VALUES.items() if tags.get(name, known[0]).lower() not in known
    ]
    uris = [one.strip() for name in ("rua", "ruf") if tags.get(name) for one in tags[name].split(",")]
    bad += [one[:60] for one in uris if one.lower().startswith("mailto:") and not _domain_of(one)]
    bad += [one[:60] or "rua=" for one in uris if ":" not in one]
    return DmarcRecord(tags, (*wrong, *bad))


def _domain_of(uri: str) -> str:
    """Of a ``mailto:`` address, the size limit behind ``!`` left out; ``""`` for what is none."""
    if not uri.lower().startswith("mailto:"):
        return ""
    try:
        return parse_mailbox(uri[7:].partition("!")[0].partition("?")[0]).domain.lower()
    except AddressSyntaxError:
        return ""


def walk(domain: str) -> Iterator[str]:
    """The domain and those above it that may hold its policy (RFC 9989 section 4.10)."""
    labels = domain.split(".")
    yield domain
    above = labels[1:]
    if len(above) > MAX_LABELS:
        above = above[-MAX_LABELS:]
    for start in range(len(above)):
        yield ".".join(above[start:])


async def examine_dmarc(dns: Dns, domain: str) -> list[Finding]:
    """Find it and judge it."""
    for place in walk(domain):
        name = f"_dmarc.{place}"
        try:
            answer = await dns.txt(name)
        except DnsTemporary as fault:
            return [found("dmarc.failed", str(fault), name=name, domain=domain)]
        except DnsError:
            continue
        texts = [one.decode("ascii", "backslashreplace") for one in answer.records if is_dmarc(one)]
        if not texts:
            continue
        if len(texts) > 1:
            return [found("dmarc.many", " | ".join(one[:80] for one in texts[:4]), name=name, domain=domain)]
        told = judge_dmarc(domain, place, texts[0])
        return [*told, *await _consents(dns, place, read_dmarc(texts[0]).reports)]
    return [_missing(domain)]


def judge_dmarc(domain: str, place: str, text: str) -> list[Finding]:
    """What is to be said of the record that was found at ``place``."""
    read = read_dmarc(text)
    named: dict[str, Any] = {"name": f"_dmarc.{place}", "domain": domain, "place": place}
    if read.wrong:
        return [found("dmarc.syntax", text, wrong="; ".join(read.wrong[:4]), **named)]
    if "p" not in read.tags and not read.tags.get("rua"):
        return [found("dmarc.syntax", text, wrong="p=", records=(_proposal(place),), **named)]
    told: list[Finding] = []
    inherited = place != domain
    policy = read.tags.get("p", "none").lower()
    if inherited:
        policy = read.tags.get("sp", policy).lower()
    if policy == "none":
        stricter = "; ".join(("v=DMARC1", "p=quarantine", *_rest(read)))
        told.append(found("dmarc.none", text, records=(published(f"_dmarc.{place}", stricter),), **named))
    if not read.tags.get("rua"):
        told.append(found("dmarc.no-reports", text, **named))
    told.append(found("dmarc.inherited" if inherited else "dmarc.ok", text, policy=policy, **named))
    return told


def _rest(read: DmarcRecord) -> list[str]:
    return [f"{name}={value}" for name, value in read.tags.items() if name not in ("v", "p")]


def _missing(domain: str) -> Finding:
    return found("dmarc.missing", name=f"_dmarc.{domain}", domain=domain, records=(_proposal(domain),))


def _proposal(domain: str) -> str:
    return published(f"_dmarc.{domain}", f"v=DMARC1; p=none; rua=mailto:dmarc-reports@{domain}")


async def _consents(dns: Dns, place: str, reports: tuple[str, ...]) -> list[Finding]:
    """RFC 9990 section 3: reports go to another organisation only when that publishes its consent."""
    told: list[Finding] = []
    foreign = [one for one in reports if not (one == place or one.endswith(f".{place}") or place.endswith(f".{one}"))]
    for one in foreign[:_MAX_REPORTS]:
        name = f"{place}._report._dmarc.{one}"
        try:
            answer = await dns.txt(name)
            consents = any(map(is_dmarc, answer.records))
        except DnsTemporary:
            continue
        except DnsError:
            consents = False
        if not consents:
            proposal = published(name, "v=DMARC1;")
            told.append(
                found("dmarc.reports-refused", one, level=Level.WARN, domain=place, permit=name, records=(proposal,))
            )
    return told
