"""The DNS records of a domain whose mail we take: where its mail goes, who may send for it, and what receivers are told."""

from __future__ import annotations

from ipaddress import ip_address

from postroad.admin.setup.checks import Check, Facts, Level, Record, check, level_of, of_findings
from postroad.admin.setup.covering import Covering, Outcome
from postroad.admin.setup.names import Own
from postroad.diagnosis.dmarc_record import examine_dmarc
from postroad.diagnosis.findings import Finding, found
from postroad.diagnosis.ptr import Dns
from postroad.diagnosis.spf_record import examine_spf, is_spf, published
from postroad.diagnosis.targets import judge_mx
from postroad.net.dns_errors import DnsError, DnsTemporary

#: Mail hosts of a domain that are looked up.
_MAX_HOSTS = 8


async def look_at_mx(dns: Dns, facts: Facts, mine: Own, domain: str) -> Check:
    """Whether mail for the domain comes here."""
    proposed = [Record(f"{domain}.", "MX", f"10 {facts.hostname}.")] if facts.has_name else []
    try:
        records = (await dns.mx(domain)).records
    except DnsTemporary as fault:
        return check("mx", Level.UNKNOWN, "dns-silent", domain, evidence=[("dns", str(fault))])
    except DnsError as fault:
        seen = [("dns", str(fault))]
        return check("mx", Level.FAIL, "mx.missing", domain, records=proposed, evidence=seen, domain=domain)
    judged = judge_mx(domain, records)
    evidence = [("mx", f"{one.preference} {one.host or '.'}") for one in records[:_MAX_HOSTS]]
    if not judged.records:
        row = of_findings("mx", domain, judged.findings, evidence)
        return check("mx", Level.FAIL, "mx.nobody", domain, records=proposed, evidence=evidence, findings=row.findings)
    here, told, silent = [], [one for one in judged.findings if level_of([one]) > Level.OK], False
    for one in judged.records[:_MAX_HOSTS]:
        leads, finding = await _leads_here(dns, facts, mine, one.host, domain)
        here += [one.host] if leads else []
        told += [finding] if finding is not None else []
        silent |= finding is not None and finding.id == "name.dns-failed"
    hosts = ", ".join(one.host for one in judged.records)
    if here:
        level = max(Level.OK, level_of(told))
        return check("mx", level, "mx.here", domain, evidence=evidence, findings=told, hosts=", ".join(here))
    if silent:
        return check("mx", Level.UNKNOWN, "dns-silent", domain, evidence=evidence)
    return check(
        "mx", Level.WARN, "mx.elsewhere", domain, records=proposed, evidence=evidence, findings=told, hosts=hosts
    )


async def _leads_here(dns: Dns, facts: Facts, mine: Own, host: str, domain: str) -> tuple[bool, Finding | None]:
    try:
        answer = await dns.addresses(host, (4, 6))
    except DnsTemporary as fault:
        return host == facts.hostname, found("name.dns-failed", str(fault), host=host)
    except DnsError as fault:
        return False, found("mx.no-address", str(fault), host=host, domain=domain)
    told = None
    if answer.name != host:
        told = found("mx.alias", f"{host} → {answer.name}", host=host, alias=answer.name, domain=domain)
    return host == facts.hostname or bool({*mine.public, *mine.outgoing} & {*answer.addresses}), told


async def look_at_spf(dns: Dns, facts: Facts, mine: Own, domain: str) -> Check:
    """Whether receivers may take mail of the domain from us."""
    findings = await examine_spf(dns, domain)
    row = of_findings("spf", domain, findings)
    if row.level is Level.UNKNOWN:
        return check("spf", Level.UNKNOWN, "dns-silent", domain, evidence=row.evidence)
    if any(one.id == "spf.missing" for one in findings):
        first = Record.read(published(domain, " ".join(("v=spf1", "mx", *_terms(facts, mine.public), "~all"))))
        return check("spf", Level.FAIL, "", domain, records=[first], evidence=row.evidence, findings=findings)
    if row.level >= Level.FAIL or not facts.sends_itself:
        return row
    if not mine.public:
        told = [one for one in findings if level_of([one]) > Level.OK]
        return check("spf", Level.UNKNOWN, "spf.address-unknown", domain, evidence=row.evidence, findings=told)
    return await _covered(dns, mine, domain, row)


async def _covered(dns: Dns, mine: Own, domain: str, row: Check) -> Check:
    outcomes: dict[str, Outcome] = {one: await Covering(dns, one).outcome(domain) for one in mine.public}
    evidence = [*row.evidence, *(("spf-outcome", f"{one}: {outcome}") for one, outcome in outcomes.items())]
    told = [one for one in row.findings if level_of([one]) > Level.OK]
    bad = [one for one, outcome in outcomes.items() if outcome not in ("pass", "unknown")]
    if bad:
        text = await _text(dns, domain)
        words = text.split(" ")
        better = published(domain, " ".join((words[0], *map(_term, bad), *words[1:])))
        records = [Record.read(better)] if text else []
        missing = ", ".join(bad)
        return check(
            "spf",
            Level.FAIL,
            "spf.not-covered",
            domain,
            records=records,
            evidence=evidence,
            findings=told,
            missing=missing,
        )
    if "unknown" in outcomes.values():
        return check("spf", Level.UNKNOWN, "spf.undecided", domain, evidence=evidence, findings=told)
    covered = ", ".join(outcomes)
    level = max(Level.OK, level_of(told))
    return check(
        "spf", level, "spf.covered", domain, records=row.records, evidence=evidence, findings=told, covered=covered
    )


async def _text(dns: Dns, domain: str) -> str:
    """The record as it is published; ``""`` when it is not one of printable ASCII."""
    try:
        octets = next(one for one in (await dns.txt(domain)).records if is_spf(one))
    except (DnsError, StopIteration):
        return ""
    text = octets.decode("ascii", "replace")
    return text if text.isprintable() and text.isascii() else ""


def _terms(facts: Facts, public: tuple[str, ...]) -> list[str]:
    return [_term(one) for one in public] if facts.sends_itself else []


def _term(address: str) -> str:
    return f"ip{ip_address(address).version}:{address}"


def look_at_dkim(domain: str) -> Check:
    """Said as it is: there is no key, for nothing is signed."""
    return check("dkim", Level.NOTE, "dkim.none", domain)


async def look_at_dmarc(dns: Dns, domain: str) -> Check:
    """What receivers are asked to do with mail that fails."""
    row = of_findings("dmarc", domain, await examine_dmarc(dns, domain))
    if row.level is Level.UNKNOWN:
        return check("dmarc", Level.UNKNOWN, "dns-silent", domain, evidence=row.evidence)
    return row
