"""The key that a domain publishes for one selector of DKIM: read, not used (RFC 6376 section 3.6.1, RFC 8301, RFC 8463)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from postroad.diagnosis.findings import Finding, Level, found
from postroad.diagnosis.ptr import Dns
from postroad.diagnosis.spf_record import published
from postroad.diagnosis.tags import read_tags
from postroad.net.dns_errors import DnsError, DnsTemporary

#: RFC 8301 section 3.2: less is not verified at all; less than the second is not recommended.
LEAST_BITS: Final = 1024
GOOD_BITS: Final = 2048
_ED25519_OCTETS: Final = 32
_SPACES: Final = re.compile(r"[ \t\r\n]+")


@dataclass(frozen=True, slots=True)
class DkimKey:
    """A key record read; ``wrong`` says what no verifier accepts."""

    kind: str = "rsa"
    bits: int = 0
    """Of an RSA key; 256 of Ed25519; 0 when it was revoked or could not be read."""
    is_revoked: bool = False
    is_testing: bool = False
    wrong: str = ""


def read_dkim(text: str) -> DkimKey:
    """Read it; never raises."""
    tags, bad = read_tags(text)
    if bad:
        return DkimKey(wrong=bad[0])
    if tags.get("v", "DKIM1") != "DKIM1" or ("v" in tags and next(iter(tags)) != "v"):
        return DkimKey(wrong=f"v={tags['v'][:40]}")
    kind = tags.get("k", "rsa").lower()
    if "p" not in tags or kind not in ("rsa", "ed25519"):
        return DkimKey(wrong=f"k={kind[:40]}" if "p" in tags else "p=")
    testing = "y" in tags.get("t", "").lower().replace(" ", "").split(":")
    key = _SPACES.sub("", tags["p"])
    if not key:
        return DkimKey(kind, is_revoked=True, is_testing=testing)
    bits = _bits(kind, key)
    return DkimKey(kind, bits, is_testing=testing, wrong="" if bits else f"p={key[:40]}…")


def _bits(kind: str, key: str) -> int:
    """0 when it is no such key."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        octets = base64.b64decode(key, validate=True)
        if kind == "ed25519":
            return 256 if len(octets) == _ED25519_OCTETS else 0
        read = load_der_public_key(octets)
    except (binascii.Error, ValueError, UnsupportedAlgorithm):
        return 0
    return read.key_size if isinstance(read, rsa.RSAPublicKey) else 0


def judge_dkim(domain: str, selector: str, records: Sequence[str]) -> list[Finding]:
    """What is to be said of the records of ``SELECTOR._domainkey.DOMAIN``."""
    name = f"{selector}._domainkey.{domain}"
    named: dict[str, Any] = {"name": name, "domain": domain, "selector": selector}
    proposal = (published(name, "v=DKIM1; k=rsa; p=PUBLIC-KEY-IN-BASE64"),)
    if not records:
        return [found("dkim.missing", records=proposal, **named)]
    if len(records) > 1:
        return [found("dkim.many", " | ".join(one[:80] for one in records[:4]), **named)]
    text, read = records[0], read_dkim(records[0])
    if read.wrong:
        return [found("dkim.syntax", text, records=proposal, wrong=read.wrong, **named)]
    if read.is_revoked:
        return [found("dkim.revoked", text, **named)]
    told = [found("dkim.testing", text, **named)] if read.is_testing else []
    if read.kind == "rsa" and read.bits < GOOD_BITS:
        level = Level.ERROR if read.bits < LEAST_BITS else Level.WARN
        return [*told, found("dkim.short", text, level=level, bits=read.bits, records=proposal, **named)]
    return [*told, found("dkim.ok", text, bits=read.bits, key=f"{read.kind} {read.bits}", **named)]


async def examine_dkim(dns: Dns, domain: str, selectors: Sequence[str]) -> list[Finding]:
    """Ask for each selector; without any it is told that none was given, since they cannot be listed."""
    if not selectors:
        return [found("dkim.skipped", domain=domain)]
    told: list[Finding] = []
    for selector in selectors:
        name = f"{selector}._domainkey.{domain}"
        try:
            answer = await dns.txt(name)
        except DnsTemporary as fault:
            told.append(found("dkim.failed", str(fault), name=name, domain=domain, selector=selector))
        except DnsError:
            told += judge_dkim(domain, selector, ())
        else:
            told += judge_dkim(domain, selector, [one.decode("ascii", "backslashreplace") for one in answer.records])
    return told
