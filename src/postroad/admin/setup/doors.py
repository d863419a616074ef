"""Our own listeners, called from this machine: what listens where, what it answers, and the certificate it shows."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from postroad.admin.setup.checks import Check, Door, Facts, Level, check, level_of, of_findings
from postroad.diagnosis import certificate
from postroad.diagnosis.findings import Finding
from postroad.diagnosis.probe import Contexts, Place, Probe, Role, Task
from postroad.diagnosis.ptr import Dns
from postroad.diagnosis.targets import endpoint
from postroad.diagnosis.watching import Waits
from postroad.net.tls import client_context

#: Short: nobody is between us.
WAITS: Final = Waits(connect=5, greeting=8, answer=5, tls_trial=2, quit=1, total=20, slow=30)
#: What the rows of the host name and of the certificate say.
_ELSEWHERE: Final = frozenset(("greeting.odd-name", "cert.name", "cert.expired", "cert.soon", "cert.not-yet"))
_STEPS: Final = frozenset(("connect", "greeting", "ehlo", "starttls", "cert"))
_USUAL: Final = {"mx": 25, "submission": 587, "submissions": 465}

Trust = Callable[[], ssl.SSLContext]


def system_trust() -> ssl.SSLContext:
    """The authorities of this machine; the name is read from the certificate."""
    context = client_context()
    context.check_hostname = False
    return context


def look_at_listening(facts: Facts) -> Check:
    """What listens where, and whether others can come to it."""
    evidence = [("listening", f"{one.role} {_shown(one)} {one.tls}") for one in facts.doors]
    if not facts.doors:
        return check("listening", Level.FAIL, "listening.nothing")
    where = ", ".join(f"{one.role} {one.port}" for one in facts.doors)
    open_doors = [one for one in facts.doors if not ip_address(one.host).is_loopback]
    if facts.dev:
        said = "listening.dev-open" if open_doors else "listening.dev"
        return check("listening", Level.NOTE if open_doors else Level.OK, said, evidence=evidence, where=where)
    if not open_doors:
        return check("listening", Level.NOTE, "listening.loopback", evidence=evidence, where=where)
    if facts.domains and not any(one.role == "mx" and one.port == _USUAL["mx"] for one in open_doors):
        return check("listening", Level.WARN, "listening.no-25", evidence=evidence, where=where)
    return check("listening", Level.OK, "listening.ok", evidence=evidence, where=where)


def _shown(one: Door) -> str:
    return f"[{one.host}]:{one.port}" if ":" in one.host else f"{one.host}:{one.port}"


async def look_at_door(dns: Dns, facts: Facts, door: Door, trust: Trust) -> Check:
    """Call it as a client does: greeting, EHLO, TLS."""
    role: Role = "mx" if door.role in ("mx", "dev") else "submission"
    contexts = Contexts(trust(), client_context(verify=False))
    place = Place(endpoint(facts.hostname, door.from_here, door.port), door.tls == "implicit")
    task = Task(role=role, contexts=contexts, dns=dns, hello=facts.hostname, waits=WAITS)
    report = await Probe(place, task, lambda step, finding: None).run()
    subject = f"{door.role} {_shown(door)}"
    told = [one for one in report.findings if one.step in _STEPS and one.id not in _ELSEWHERE]
    if door.tls == "none":
        told = [one for one in told if one.id != "starttls.missing"]
    row = of_findings("door", subject, told)
    if row.level in (Level.OK, Level.NOTE, Level.SKIP):
        version = next((one.facts.get("version", "") for one in report.findings if one.id == "tls.ok"), "")
        said = "door.tls" if version else "door.clear"
        return check("door", Level.OK, said, subject, evidence=row.evidence, version=version)
    grave = [one for one in row.findings if level_of([one]) > Level.NOTE]
    return check("door", row.level, "", subject, evidence=row.evidence, findings=grave)


async def look_at_certificate(facts: Facts, now: float) -> Check:
    """The file that listeners show: for our name, and for how long."""
    path = facts.certificate
    if path is None:
        return check("certificate", Level.WARN, "certificate.none")
    try:
        octets, renewed = await asyncio.get_running_loop().run_in_executor(None, _read, path)
    except (OSError, ValueError) as fault:
        why = getattr(fault, "strerror", None) or "PEM"
        return check("certificate", Level.FAIL, "certificate.unreadable", path=path, why=why)
    moment = datetime.fromtimestamp(now, UTC)
    findings = list(certificate.findings(octets, facts.hostname, code=None, message="", strict=True, now=moment))
    return of_findings("certificate", "", _sure(findings), _evidence(octets, path, renewed))


def _sure(findings: list[Finding]) -> list[Finding]:
    """Whether somebody vouches for it is seen at the listeners."""
    return [one for one in findings if one.id not in ("cert.self-signed", "cert.unknown-issuer")]


def _read(path: Path) -> tuple[bytes, float]:
    """The first certificate of a PEM file in DER, and when the file was written."""
    text = path.read_text("ascii")
    begin, end = text.index("-----BEGIN CERTIFICATE-----"), text.index("-----END CERTIFICATE-----")
    return ssl.PEM_cert_to_DER_cert(f"{text[begin:end]}-----END CERTIFICATE-----\n"), path.stat().st_mtime


def _evidence(octets: bytes, path: Path, renewed: float) -> list[tuple[str, str]]:
    evidence = [("cert-file", str(path)), ("cert-renewed", str(renewed))]
    read = certificate.read_certificate(octets)
    if read is None:
        return evidence
    return [
        *evidence,
        ("cert-names", ", ".join(read.names) or read.subject),
        ("cert-issuer", read.issuer),
        ("cert-key", read.key),
        ("cert-ends", str(read.ends.timestamp())),
    ]
