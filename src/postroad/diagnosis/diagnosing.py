"""``diagnose`` and ``diagnose_sync``: from a name to findings about its domain and about every host that takes its mail.

Hosts are looked at side by side, at most MAX_AT_ONCE; each address sees its connections one after the other.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypedDict, Unpack

from postroad.address import Mailbox, parse_mailbox
from postroad.diagnosis.dkim_record import examine_dkim
from postroad.diagnosis.dmarc_record import examine_dmarc, is_dmarc
from postroad.diagnosis.findings import Finding, Level, found
from postroad.diagnosis.probe import Contexts, HostReport, Place, Probe, Role, Task
from postroad.diagnosis.ptr import Dns
from postroad.diagnosis.spf_record import examine_spf, is_spf
from postroad.diagnosis.targets import (
    MAX_PLACES,
    Located,
    MailHosts,
    Named,
    endpoint,
    judge_mx,
    locate,
    read_target,
)
from postroad.diagnosis.watching import Waits
from postroad.errors import LocalProtocolError, PostroadError
from postroad.net.connecting import Target
from postroad.net.dns_errors import BadName, DnsError, DnsTemporary, NameNotFound, NoData
from postroad.net.dns_names import is_host_name
from postroad.net.resolver import MxRecord, Resolver
from postroad.net.tls import client_context
from postroad.smtp.client_commands import check_secret, hello_line
from postroad.smtp.states import Verb

MAX_AT_ONCE: Final = 8
MAX_SELECTORS: Final = 10
IMPLICIT_TLS_PORT: Final = 465
PORTS: Final[dict[str, tuple[int, ...]]] = {"mx": (25,), "submission": (587, IMPLICIT_TLS_PORT), "lmtp": (24,)}


class InquiryError(PostroadError):
    """An argument of ``diagnose`` that cannot be obeyed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Something began or was found, for whoever watches."""

    place: str
    """``mx.example.net [192.0.2.1]:25``; ``""`` for the domain."""
    step: str
    """``connect``, ``greeting``, ``tls-trial``, ``ehlo``, ``starttls``, ``name``, ``rcpt``, ``done``, ``dns``, ``hosts``."""
    finding: Finding | None = None
    done: int = 0
    """Addresses that are done."""
    of: int = 0
    """Addresses in all; 0 while that is not known."""


Listener = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that was found."""

    target: str
    role: Role
    domain: str = ""
    """Whose records were read; empty when a host was looked at alone."""
    findings: tuple[Finding, ...] = ()
    """Of the name and the domain."""
    hosts: tuple[HostReport, ...] = ()
    seconds: float = 0.0

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Of the domain and of every host."""
        return (*self.findings, *(one for host in self.hosts for one in host.findings))

    @property
    def level(self) -> Level:
        """The gravest."""
        return max((one.level for one in self.all_findings), default=Level.OK)

    def count(self, level: Level) -> int:
        """How many findings are of a level."""
        return sum(one.level is level for one in self.all_findings)

    @property
    def transcript(self) -> str:
        """What was said, of every connection, secrets blanked, controls escaped."""
        return "\n".join(host.transcript for host in self.hosts if host.transcript)


class Wishes(TypedDict, total=False):
    """The keywords of ``diagnose``; see ``Inquiry``."""

    role: Role
    port: int
    implicit_tls: bool | None
    hello: str
    rcpt: str
    sender: str
    probe_relay: bool
    user: str
    password: str
    dkim: Sequence[str]
    host_only: bool
    family: int
    tls_ca: Path | str | None
    waits: Waits
    resolver: Dns | None
    objection: Callable[[str], str]
    listener: Listener | None


def _no_objection(_: str) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Inquiry:
    """What ``diagnose`` may be told beside the target."""

    role: Role = "mx"
    port: int = 0
    """0: 25 for mx, 587 and 465 for submission, 24 for lmtp."""
    implicit_tls: bool | None = None
    """TLS from the first octet; None: on port 465."""
    hello: str = ""
    rcpt: str = ""
    """Ask with MAIL and RCPT whether this mailbox takes mail."""
    sender: str = ""
    """Reverse-path for that; empty: the null reverse-path."""
    probe_relay: bool = False
    """Ask with MAIL and RCPT whether it relays from outside to outside: rude to strangers, so never by default."""
    user: str = ""
    password: str = field(default="", repr=False)
    dkim: Sequence[str] = ()
    """Selectors whose keys are read."""
    host_only: bool = False
    """Take the name for a host, whatever its MX records."""
    family: int = 0
    """4 or 6: only addresses of this version; 0: both."""
    tls_ca: Path | str | None = None
    """Authorities to trust; None: the system's."""
    waits: Waits = field(default_factory=Waits)
    resolver: Dns | None = None
    """None: the system's name servers."""
    objection: Callable[[str], str] = _no_objection
    """Why an address must not be dialled; ``""``: it may be."""
    listener: Listener | None = None


async def diagnose(target: str, **wishes: Unpack[Wishes]) -> Diagnosis:
    """Look at a host, or at a domain with all its mail hosts; the keywords are explained at ``Inquiry``.

    Whatever is found is a finding. Raises TargetError, InquiryError and AddressSyntaxError, before anything is said, for
    what cannot be asked.
    """
    return await Diagnosing(read_target(target), Inquiry(**wishes)).run()


def diagnose_sync(target: str, **wishes: Unpack[Wishes]) -> Diagnosis:
    """``diagnose`` for programs that have no loop of their own."""
    return asyncio.run(diagnose(target, **wishes))


class Diagnosing:
    """One run."""

    def __init__(self, named: Named, inquiry: Inquiry) -> None:
        """Raises InquiryError, AddressSyntaxError."""
        _check(inquiry)
        self._named = named
        self._inquiry = inquiry
        self._own_resolver = Resolver() if inquiry.resolver is None else None
        self._dns: Dns = inquiry.resolver or self._own_resolver or Resolver()
        self._task = self._made_task()
        self._findings: list[Finding] = []
        self._done = self._of = 0

    async def run(self) -> Diagnosis:
        """All of it."""
        started = asyncio.get_running_loop().time()
        try:
            domain, hosts = await self._look()
        finally:
            if self._own_resolver is not None:
                await self._own_resolver.close()
        seconds = asyncio.get_running_loop().time() - started
        return Diagnosis(self._target, self._inquiry.role, domain, tuple(self._findings), tuple(hosts), seconds)

    @property
    def _target(self) -> str:
        named = self._named
        return str(Target(named.host, named.port)) if named.port else named.host

    async def _look(self) -> tuple[str, list[HostReport]]:
        self._tell(Progress("", "dns"))
        mail_hosts = await self._mail_hosts()
        if mail_hosts is None:
            return "", await self._probe([(await self._locate(self._named.host, ""), None)])
        domain = self._named.host
        self._note_all(mail_hosts.findings)
        records = asyncio.ensure_future(self._domain_records(domain, bool(mail_hosts.records)))
        try:
            located = await asyncio.gather(*(self._locate(one.host, domain) for one in mail_hosts.records))
            places = [(one, record.preference) for one, record in zip(located, mail_hosts.records, strict=True)]
            hosts = await self._probe(places)
            self._note_all(await records)
        finally:
            records.cancel()
        return domain, hosts

    # --- the domain

    async def _mail_hosts(self) -> MailHosts | None:
        """None: the name is to be looked at as a host."""
        named, inquiry = self._named, self._inquiry
        if named.is_address or named.port or inquiry.host_only or inquiry.role != "mx":
            return None
        try:
            answer = await self._dns.mx(named.host)
        except NoData:
            return self._implicit() if inquiry.dkim or await self._publishes() else None
        except (NameNotFound, BadName):
            return None
        except DnsTemporary as fault:
            self._note(found("mx.failed", str(fault), domain=named.host))
            return None
        return judge_mx(named.host, answer.records)

    async def _publishes(self) -> bool:
        """Whether a name without MX records publishes what only a domain of mail does: SPF or DMARC."""
        for name, is_one in ((self._named.host, is_spf), (f"_dmarc.{self._named.host}", is_dmarc)):
            try:
                if any(map(is_one, (await self._dns.txt(name)).records)):
                    return True
            except DnsError:
                continue
        return False

    def _implicit(self) -> MailHosts:
        name = self._named.host
        return MailHosts((MxRecord(0, name),), (found("mx.implicit", domain=name),))

    async def _domain_records(self, domain: str, takes_mail: bool) -> list[Finding]:
        spf, dkim, dmarc = await asyncio.gather(
            examine_spf(self._dns, domain, takes_mail=takes_mail),
            examine_dkim(self._dns, domain, self._inquiry.dkim),
            examine_dmarc(self._dns, domain),
        )
        return [*spf, *dkim, *dmarc]

    async def _locate(self, host: str, domain: str) -> Located:
        inquiry = self._inquiry
        families = (inquiry.family,) if inquiry.family else (4, 6)
        named = Named(host) if domain else self._named
        return await locate(self._dns, named, families, objection=inquiry.objection, domain=domain)

    # --- the hosts

    async def _probe(self, located: Sequence[tuple[Located, int | None]]) -> list[HostReport]:
        places: list[Place] = []
        for one, preference in located:
            self._note_all(one.findings)
            places += [
                Place(endpoint(one.host, address, port), self._is_implicit(port), preference)
                for port in self._ports()
                for address in one.addresses
            ]
        places = places[:MAX_PLACES]
        self._of = len(places)
        self._tell(Progress("", "hosts", None, 0, self._of))
        room = asyncio.Semaphore(MAX_AT_ONCE)
        reports = await asyncio.gather(*(self._probe_one(place, room) for place in places))
        self._note_all(_blocked_here(reports))
        return list(_set_right(reports))

    async def _probe_one(self, place: Place, room: asyncio.Semaphore) -> HostReport:
        async with room:
            tell = self._teller(place.label)
            report = await Probe(place, self._task, tell).run()
        self._done += 1
        self._tell(Progress(place.label, "done", None, self._done, self._of))
        return report

    def _teller(self, label: str) -> Callable[[str, Finding | None], None]:
        return lambda step, finding: self._tell(Progress(label, step, finding, self._done, self._of))

    def _ports(self) -> tuple[int, ...]:
        port = self._named.port or self._inquiry.port
        return (port,) if port else PORTS[self._inquiry.role]

    def _is_implicit(self, port: int) -> bool:
        wanted = self._inquiry.implicit_tls
        return port == IMPLICIT_TLS_PORT if wanted is None else wanted

    def _made_task(self) -> Task:
        inquiry = self._inquiry
        return Task(
            role=inquiry.role,
            contexts=_contexts(inquiry.tls_ca),
            dns=self._dns,
            hello=inquiry.hello,
            rcpt=_mailbox(inquiry.rcpt),
            sender=_mailbox(inquiry.sender),
            relay=inquiry.probe_relay,
            account=inquiry.user,
            password=inquiry.password,
            waits=inquiry.waits,
        )

    # --- telling

    def _note(self, one: Finding) -> None:
        one = replace(one, facts={"target": self._target, "host": self._named.host} | dict(one.facts))
        self._findings.append(one)
        self._tell(Progress("", one.step, one, self._done, self._of))

    def _note_all(self, findings: Sequence[Finding]) -> None:
        for one in findings:
            self._note(one)

    def _tell(self, progress: Progress) -> None:
        if self._inquiry.listener is not None:
            self._inquiry.listener(progress)


def _set_right(reports: Sequence[HostReport]) -> Iterator[HostReport]:
    """What one address says is set right by the others of its host.

    No IPv6 here is no fault of a host whose other address was reached. Of the two ports for submission one is enough.
    """
    reached = {(one.place.endpoint.target.host, one.place.endpoint.target.port) for one in reports if _connected(one)}
    hosts = {host for host, _ in reached}
    for one in reports:
        target = one.place.endpoint.target
        is_reached = (target.host, target.port) in reached
        other_port = target.host in hosts and not is_reached
        yield replace(one, findings=tuple(_levelled(each, is_reached, other_port) for each in one.findings))


def _blocked_here(reports: Sequence[HostReport]) -> Sequence[Finding]:
    """Several hosts that all drop packets are likelier one network here that does."""
    dropped = [one for one in reports if any(each.id == "connect.timeout" for each in one.findings)]
    hosts = {one.place.endpoint.target.host for one in dropped}
    if len(hosts) < 2 or len(dropped) < len(reports):
        return ()
    return (found("connect.blocked-here", count=len(dropped), port=dropped[0].place.endpoint.target.port),)


def _connected(report: HostReport) -> bool:
    return any(one.id == "connect.ok" for one in report.findings)


def _levelled(one: Finding, reached: bool, other_port: bool) -> Finding:
    if one.id == "connect.no-family" and not reached and not other_port:
        return replace(one, level=Level.ERROR)
    if one.id in ("connect.refused", "connect.timeout") and other_port:
        return replace(one, level=Level.INFO)
    return one


def _contexts(tls_ca: Path | str | None) -> Contexts:
    try:
        checking = client_context(cafile=None if tls_ca is None else Path(tls_ca))
    except (OSError, ssl.SSLError) as fault:
        raise InquiryError(
            f"the certificates of {tls_ca} cannot be used", getattr(fault, "strerror", "") or ""
        ) from fault
    checking.check_hostname = False  # the name is read from the certificate, so that both can be told apart
    return Contexts(checking, client_context(verify=False))


def _mailbox(text: str) -> Mailbox | None:
    return parse_mailbox(text) if text and text != "<>" else None


def _check(inquiry: Inquiry) -> None:
    if inquiry.role not in PORTS:
        raise InquiryError(f"no such role: {inquiry.role[:20]!r}", "mx, submission or lmtp")
    if not 0 <= inquiry.port <= 65_535:
        raise InquiryError(f"no port: {inquiry.port}", "a port is a number from 1 to 65535")
    if len(inquiry.dkim) > MAX_SELECTORS:
        raise InquiryError(f"more than {MAX_SELECTORS} selectors")
    for selector in inquiry.dkim:
        read_selector(selector)
    try:
        _mailbox(inquiry.rcpt), _mailbox(inquiry.sender)
        check_secret(inquiry.user)
        check_secret(inquiry.password)
        if inquiry.hello:
            hello_line(Verb.EHLO, inquiry.hello)
    except LocalProtocolError as fault:
        raise InquiryError(fault.message, fault.hint) from fault


def read_selector(text: str) -> str:
    """A selector of DKIM; raises InquiryError."""
    if not is_host_name(f"{text.lower()}._domainkey"):
        raise InquiryError(f"no selector of DKIM: {text[:60]!r}", "it stands in `s=` of a DKIM-Signature field")
    return text
