"""One address of a mail server looked at: connect, 220, EHLO, TLS, AUTH, MAIL and RCPT; never DATA.

Promise: polite and bounded. At most four connections to an address, one after the other; each wait and the whole have a
deadline; nothing is sent that a host would have to keep, and QUIT is said wherever a host still listens. Whatever the
host does comes out as findings, never as an exception.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, Literal

from postroad.address import Mailbox
from postroad.diagnosis import certificate, greeting
from postroad.diagnosis.connecting import connect_fault
from postroad.diagnosis.envelope_steps import ask_envelope, auth_in_clear, log_in
from postroad.diagnosis.findings import Finding, Level, found
from postroad.diagnosis.looks import looks_like, other_protocol
from postroad.diagnosis.ptr import Dns, examine_ptr
from postroad.diagnosis.tls_trial import try_tls
from postroad.diagnosis.watching import Waits, Watched, connected
from postroad.errors import PostroadError, RemoteProtocolError
from postroad.net.connecting import Endpoint, reason_of
from postroad.net.conversation import Fault
from postroad.net.tls import TlsFacts, client_context, facts_of
from postroad.replies import Reply
from postroad.smtp.client_commands import Hello, Quit, StartTls
from postroad.smtp.client_events import ConnectionEnded, Greeted, Replied, TlsReady

Role = Literal["mx", "submission", "lmtp"]

#: Characters of the transcript that are kept of one address.
_MAX_TRANSCRIPT: Final = 32 * 1024


@dataclass(frozen=True, slots=True)
class Contexts:
    """For TLS: whose chain is checked (the name is read from the certificate), and any certificate."""

    checking: ssl.SSLContext
    any: ssl.SSLContext


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of every address."""

    role: Role
    contexts: Contexts
    dns: Dns
    hello: str = ""
    """Our name for EHLO; empty: the literal of the address we speak from."""
    rcpt: Mailbox | None = None
    sender: Mailbox | None = None
    relay: bool = False
    account: str = ""
    password: str = field(default="", repr=False)
    waits: Waits = field(default_factory=Waits)


@dataclass(frozen=True, slots=True)
class Place:
    """One address of one host."""

    endpoint: Endpoint
    implicit_tls: bool = False
    preference: int | None = None
    """Of the MX record that led here."""

    @property
    def label(self) -> str:
        """``mx.example.net [192.0.2.1]:25``."""
        return str(self.endpoint)


@dataclass(frozen=True, slots=True)
class HostReport:
    """What was found at one address."""

    place: Place
    findings: tuple[Finding, ...]
    source: str = ""
    """The address we spoke from."""
    seconds: float = 0.0
    transcript: str = ""

    @property
    def level(self) -> Level:
        """The gravest."""
        return max((one.level for one in self.findings), default=Level.OK)


class Over(Exception):
    """Nothing more can be learnt on this way; what there is to say was said."""


class _UnknownChain(Exception):
    """The chain was not accepted: once more, with any certificate."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Probe:
    """Looks at one place, once."""

    def __init__(self, place: Place, task: Task, tell: Callable[[str, Finding | None], None]) -> None:
        """``tell``: hears of each step as it begins (no finding) and of each finding."""
        self._place = place
        self._task = task
        self._tell = tell
        self._endpoint = place.endpoint
        self._findings: list[Finding] = []
        self._transcripts: list[str] = []
        self._source = ""
        self._is_quiet = False
        """In the second session, which goes the same way again: what was told is not told twice."""

    async def run(self) -> HostReport:
        """All of it."""
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._task.waits.total):
                with suppress(Over):
                    await self._walk()
        except TimeoutError:
            self._is_quiet = False
            self._note(found("probe.too-long", waited=self._task.waits.total))
        seconds = asyncio.get_running_loop().time() - started
        text = "\n".join(self._transcripts)
        return HostReport(self._place, tuple(self._findings), self._source, seconds, text[:_MAX_TRANSCRIPT])

    async def _walk(self) -> None:
        contexts = self._task.contexts
        code, message = None, ""
        try:
            await self._session(contexts.checking, None, "")
        except _UnknownChain as fault:
            code, message = fault.code, fault.message
        else:
            return
        self._is_quiet = True
        await self._session(contexts.any, code, message)

    # --- one session

    async def _session(self, context: ssl.SSLContext, code: int | None, message: str) -> None:
        line = await self._connect()
        try:
            await self._talk(line, context, code, message)
        except (Fault, RemoteProtocolError) as fault:  # where a step did not expect it
            self._note(found("envelope.lost", str(fault)))
            raise Over from fault
        finally:
            await self._leave(line)

    async def _talk(self, line: Watched, context: ssl.SSLContext, code: int | None, message: str) -> None:
        if self._place.implicit_tls:
            facts = await self._handshake(line, context)
            self._secured(facts, code, message)
            line.restart()
        greeted = await self._greeting(line)
        hello = await self._hello(line, greeted)
        in_clear = "" if line.engine.tls else line.engine.announced.get("AUTH", "")
        if not self._place.implicit_tls and self._task.role != "lmtp":
            hello = await self._starttls(line, context, hello, (code, message))
        self._is_quiet = False
        await self._names(line, greeted, hello)
        self._auth(line, in_clear)
        await log_in(line, self._task.account, self._task.password, self._note)
        task = self._task
        self._step("rcpt")
        await ask_envelope(line, self._note, rcpt=task.rcpt, sender=task.sender, relay=task.relay, role=task.role)

    async def _leave(self, line: Watched) -> None:
        engine = line.engine
        with suppress(PostroadError, OSError):
            if not line.is_lost and engine.may_send and engine.is_answered:
                event = await line.ask(Quit())
                if isinstance(event, Replied) and not event.reply.is_positive:
                    self._note(found("quit.odd", str(event.reply)))
        line.abort()
        if text := engine.transcript.text():
            self._transcripts.append(f"-- {self._place.label}\n{text}")

    # --- connect and greeting

    async def _connect(self) -> Watched:
        self._step("connect")
        loop = asyncio.get_running_loop()
        started = loop.time()
        try:
            line = await connected(self._endpoint, self._task.waits, lmtp=self._task.role == "lmtp")
        except OSError as fault:
            waited = loop.time() - started
            self._note(connect_fault(fault, waited, self._endpoint.address))
            raise Over from fault
        waited = loop.time() - started
        self._source = line.own_address
        self._note(found("connect.ok", waited=waited))
        line.restart()
        return line

    async def _greeting(self, line: Watched) -> Reply:
        self._step("greeting")
        try:
            event = await line.event()
        except Fault as fault:
            await self._unheard(line)
            raise Over from fault
        except RemoteProtocolError as fault:
            self._note(greeting.in_place_of_220(line.head, line.received, line.seconds))
            raise Over from fault
        waited = line.seconds
        match event:
            case Greeted(reply, True):
                slow = waited > self._task.waits.slow
                self._note(found("greeting.slow" if slow else "greeting.ok", str(reply), waited=waited))
                return reply
            case Greeted(reply, _):
                self._note(greeting.refused(reply, waited))
            case _:
                self._note(greeting.ended(line.head, line.lost is not None, waited))
        raise Over

    async def _unheard(self, line: Watched) -> None:
        """The wait for the greeting was in vain; of a port that says nothing at all TLS is tried."""
        waited, head = line.seconds, line.head
        line.abort()
        if head:
            kind = looks_like(head)
            self._note(
                greeting.not_smtp(kind, head, waited)
                if kind and b"\n" in head
                else found("greeting.unfinished", greeting.shown(head), waited=waited, octets=line.received)
            )
            return
        if self._place.implicit_tls:
            self._note(found("greeting.silent", "TLS", waited=waited))
            return
        self._step("tls-trial")
        trial = await try_tls(self._endpoint, self._task.contexts.any, self._task.waits)
        said = greeting.shown(trial.said)
        if trial.facts is not None and looks_like(trial.said) == "" and trial.said:
            self._note(found("greeting.tls-only", f"{trial.facts.version}, {said}", waited=waited))
        elif trial.facts is not None:
            self._note(found("greeting.tls-other", f"{trial.facts.version} {said}".strip(), waited=waited))
        elif trial.raw and (kind := looks_like(trial.raw)) not in ("", "TLS"):
            self._note(greeting.not_smtp(kind, trial.raw, waited))
        else:
            self._note(found("greeting.silent", f"TLS: {trial.reason}", waited=waited))

    # --- EHLO

    async def _hello(self, line: Watched, greeted: Reply, *, inside: bool = False) -> Reply:
        self._step("ehlo")
        line.restart()
        try:
            event = await line.ask(Hello(self._task.hello or _literal(line.own_address)))
        except Fault as fault:
            self._note(found("tls.dead-after" if inside else "ehlo.silent", waited=line.seconds))
            raise Over from fault
        except RemoteProtocolError as fault:
            self._note(found("ehlo.garbled", greeting.shown(line.head), waited=line.seconds))
            raise Over from fault
        if isinstance(event, Replied) and event.reply.is_positive:
            self._announced(line, event.reply, inside)
            return event.reply
        one = self._hello_fault(line, greeted, getattr(event, "reply", None), inside)
        self._note(one)
        if one.id != "ehlo.not-smtp":  # an FTP server need not name itself as SMTP wants it
            self._note_all(greeting.of_name(greeted))
        raise Over

    def _hello_fault(self, line: Watched, greeted: Reply, reply: Reply | None, inside: bool) -> Finding:
        if reply is None:
            return found("tls.dead-after" if inside else "ehlo.closed", greeting.shown(line.head), waited=line.seconds)
        if other := other_protocol(greeted.text, reply.text):
            return found("ehlo.not-smtp", f"{other}: {greeted}; {reply}", protocol=other)
        if reply.is_permanent and "unknown command" in reply.text.lower():
            return found("ehlo.not-smtp", f"LMTP? {greeted}; {reply}", protocol="LMTP")
        level = Level.WARN if reply.is_transient else Level.ERROR
        return found("ehlo.refused", str(reply), level=level, reply=reply, command="EHLO", waited=line.seconds)

    def _announced(self, line: Watched, hello: Reply, inside: bool) -> None:
        if not line.engine.announced and b"-" not in line.head[:4] and len(hello.lines) == 1 and _said_helo(line):
            self._note(found("ehlo.unknown", str(hello), waited=line.seconds))
            return
        text = greeting.extensions(hello)
        faults = list(greeting.of_extensions(hello, inside=inside))
        self._note(found("ehlo.inside" if inside else "ehlo.ok", text, waited=line.seconds))
        self._note_all(faults)

    # --- TLS

    async def _starttls(
        self, line: Watched, context: ssl.SSLContext, hello: Reply, unknown: tuple[int | None, str]
    ) -> Reply:
        self._step("starttls")
        if not line.engine.offers("STARTTLS"):
            level = Level.ERROR if self._task.role == "submission" else None
            self._note(found("starttls.missing", greeting.extensions(hello), level=level))
            return hello
        line.restart()
        try:
            event = await line.ask(StartTls())
        except Fault as fault:
            self._note(found("tls.failed", str(fault), waited=line.seconds))
            raise Over from fault
        except RemoteProtocolError as fault:
            injected = line.head.startswith(b"220") and line.head.count(b"\n") > 1
            name = "starttls.injection" if injected else "starttls.garbled"
            self._note(found(name, greeting.shown(line.head), waited=line.seconds))
            raise Over from fault
        match event:
            case TlsReady():
                self._secured(await self._handshake(line, context), *unknown)
                greeted = line.engine.greeting
                return await self._hello(line, greeted if greeted is not None else hello, inside=True)
            case Replied(_, reply):
                self._note(found("starttls.refused", str(reply), reply=reply, command="STARTTLS"))
                return hello
            case ConnectionEnded(reason, reply):
                self._note(found("tls.failed", str(reply or reason), waited=line.seconds))
        raise Over

    async def _handshake(self, line: Watched, context: ssl.SSLContext) -> TlsFacts:
        self._step("starttls")
        line.restart()
        host = self._endpoint.tls_name
        try:
            connection = await line.start_tls(context, host)
        except ssl.SSLCertVerificationError as fault:
            raise _UnknownChain(fault.verify_code, fault.verify_message) from fault
        except (OSError, ValueError) as fault:
            await self._no_handshake(line, fault)
            raise Over from fault
        facts = facts_of(connection, context)
        line.engine.tls_started(str(replace(facts, verified=False)).partition(",")[0])
        return facts

    async def _no_handshake(self, line: Watched, fault: OSError | ValueError) -> None:
        waited = line.seconds
        reason = reason_of(fault)
        line.abort()
        late = isinstance(fault, TimeoutError) or waited >= self._task.waits.answer
        if not late and (version := await self._old_version()):
            self._note(found("tls.old", f"{reason}; {version}", waited=waited, version=version))
        elif self._place.implicit_tls and (text := await self._in_clear()):
            self._note(found("tls.plain", text, waited=waited))
        else:
            self._note(found("tls.failed", reason, waited=waited))

    async def _old_version(self) -> str:
        """The version that the host speaks when one is permitted that nobody should speak any more; else ``""``."""
        try:
            line = await connected(self._endpoint, self._task.waits)
        except OSError:
            return ""
        try:
            if not self._place.implicit_tls:
                await line.event()
                await line.ask(Hello(self._task.hello or _literal(line.own_address)))
                if not isinstance(await line.ask(StartTls()), TlsReady):
                    return ""
            connection = await line.start_tls(_any_version(), self._endpoint.tls_name)
            version = connection.version() or ""
            return version if version in _OLD else ""
        except (PostroadError, OSError, ValueError):
            return ""
        finally:
            line.abort()

    async def _in_clear(self) -> str:
        """The greeting of a port that was asked for TLS from the first octet, when it greets in clear."""
        waits = replace(self._task.waits, greeting=self._task.waits.tls_trial)
        try:
            line = await connected(self._endpoint, waits)
        except OSError:
            return ""
        try:
            event = await line.event()
            return str(event.reply) if isinstance(event, Greeted) and event.accepted else ""
        except PostroadError:
            return ""
        finally:
            await self._leave(line)

    def _secured(self, facts: TlsFacts, code: int | None, message: str) -> None:
        self._is_quiet = False
        self._note(found("tls.ok", f"{facts.version} {facts.cipher}", version=facts.version))
        named = self._endpoint.tls_name
        host = "" if certificate.is_address(named) else named
        strict = self._task.role == "submission"
        self._note_all(certificate.findings(facts.certificate, host, code=code, message=message, strict=strict))

    # --- names and AUTH

    async def _names(self, line: Watched, greeted: Reply, hello: Reply) -> None:
        if self._task.role != "lmtp":  # an LMTP host is somebody's own, and named for nobody else
            self._note_all((*greeting.of_name(greeted), *greeting.of_names(greeted, hello)))
        if self._task.role == "mx":
            self._step("name")
            name = greeting.name_in(greeted.lines[0])
            # an MX of somebody's domain may well take mail only; who names a host asks about that host
            level = None if self._place.preference is None else Level.INFO
            self._note(await examine_ptr(self._task.dns, self._endpoint.address, name, level=level))

    def _auth(self, line: Watched, in_clear: str) -> None:
        """``in_clear``: the mechanisms that were offered before TLS."""
        engine = line.engine
        logs_in = self._task.role == "submission"
        if in_clear:
            self._note(auth_in_clear(in_clear, self._endpoint.address, lacks_tls=logs_in and not engine.tls))
        if logs_in and not engine.offers("AUTH"):
            self._note(found("auth.missing", " ".join(engine.announced)))
        elif logs_in and engine.tls:
            self._note(found("auth.ok", engine.announced["AUTH"]))

    # --- telling

    def _step(self, name: str) -> None:
        self._tell(name, None)

    def _note(self, one: Finding) -> None:
        if self._is_quiet and one.level is Level.OK:
            return
        named = {"host": self._endpoint.target.host, "port": str(self._endpoint.target.port)}
        named |= {"address": self._endpoint.address, "target": _target(self._endpoint)}
        named["where"] = str(self._endpoint.target)
        if self._task.rcpt is not None:
            named["rcpt"] = str(self._task.rcpt)
        if one.reply is not None:
            named["reply"] = str(one.reply).replace("'", "’")[:160]
        one = replace(one, facts=named | dict(one.facts))
        if self._is_quiet and any(known.id == one.id for known in self._findings):
            return
        self._findings.append(one)
        self._tell(one.step, one)

    def _note_all(self, findings: Iterable[Finding]) -> None:
        for one in findings:
            self._note(one)


#: Versions that are no longer to be used (RFC 8996).
_OLD: Final = ("SSLv3", "TLSv1", "TLSv1.1")


@cache
def _any_version() -> ssl.SSLContext:
    """Nothing is said inside but the handshake itself, to learn which version it would be."""
    context = client_context(verify=False)
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _said_helo(line: Watched) -> bool:
    return "\nC: HELO " in f"\n{line.engine.transcript.text()}"


def _literal(address: str) -> str:
    if not address:
        return "localhost"
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"


def _target(endpoint: Endpoint) -> str:
    target = endpoint.target
    return target.host if target.port == 25 and ":" not in target.host else str(target)
