"""Carries one order out: to each site, over its hosts, again while there is time; collects what came of everybody."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from postroad import codes
from postroad.address import Mailbox
from postroad.delivery.content import needs_of
from postroad.delivery.mx import MxRouting, Unroutable
from postroad.envelope import Step
from postroad.message.scan import Scan
from postroad.net.carrying import carry
from postroad.net.connecting import Endpoint, Target, endpoints_of, reason_of
from postroad.net.smtp_client import ClientOptions, ConnectFault, SmtpClient
from postroad.replies import Reply
from postroad.sending.composing import Composed
from postroad.sending.dialogue import Dialogue, DialogueListener, Heard
from postroad.sending.faults import kind_in_session, kind_of
from postroad.sending.hello import own_name
from postroad.sending.needs import blocks
from postroad.sending.results import FaultKind, SendError, SendOutcome, SendResult, Sent
from postroad.sending.servers import Server
from postroad.sending.stages import UNTIL, Reached, leave, walk
from postroad.smtp.negotiation import Form, Negotiation, Plan, Settled, Verdict, Wanted
from postroad.smtp.parameters import Given

#: Seconds between two tries, from the third on and at most.
_SHORTEST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 300.0


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done, checked."""

    composed: Composed
    options: ClientOptions
    """``hello`` empty: by the address we speak from."""
    server: Server | None = None
    """None: by ``routing``."""
    routing: MxRouting | None = None
    mail: Given = field(default_factory=Given)
    rcpt: Given = field(default_factory=Given)
    scan: Scan = field(default_factory=Scan)
    adapt: bool = True
    pipelining: bool = True
    bdat: bool = False
    family: int = 0
    """4 or 6: only addresses of this version; 0: both."""
    retry: float = 0.0
    """Seconds for which temporary results are tried again."""
    pause: float = 5.0
    """Seconds before the second try; doubled each time."""
    stop_after: str = ""
    """``connect``, ``ehlo``, ``tls``, ``auth``, ``mail``, ``rcpt``, ``data``; ``""``: send it."""


class Driver:
    """One order on its way."""

    def __init__(self, order: Order, listener: DialogueListener | None = None) -> None:
        self._order = order
        self._listener = listener or _nobody
        self._started = time.monotonic()
        self._people: dict[int, Mailbox] = dict(enumerate(order.composed.recipients))
        self._sent: dict[int, Sent] = {}
        self._tries: dict[int, int] = dict.fromkeys(self._people, 0)
        self._steps: list[Step] = []
        self._transcripts: list[str] = []
        self._host = ""
        self._security = ""
        self._fault: SendError | None = None

    async def run(self) -> SendResult:
        """Do it; raises SendError when nobody has any outcome."""
        pending = list(self._people)
        pause = self._order.pause
        while True:
            await self._round(pending)
            pending = [n for n in pending if self._sent[n].temporary and not self._sent[n].uncertain]
            left = self._order.retry - self._since()
            if not pending or left <= 0:
                break
            wait = min(pause * random.uniform(0.9, 1.1), left)
            self._remark("again", seconds=round(wait), left=len(pending), of=len(self._people))
            await asyncio.sleep(wait)
            pause = min(max(pause * 2, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        if self._fault is not None and all(_is_without_outcome(one) for one in self._sent.values()):
            self._fault.transcript = self._transcript
            self._fault.seconds = self._since()
            raise self._fault
        return self._result()

    def _result(self) -> SendResult:
        composed = self._order.composed
        return SendResult(
            recipients=tuple(replace(self._sent[n], tries=self._tries[n]) for n in self._people),
            steps=tuple(self._steps),
            transcript=self._transcript,
            host=self._host,
            security=self._security,
            sender="" if composed.sender is None else str(composed.sender),
            message_id=composed.message_id,
            size=len(composed.content),
            seconds=self._since(),
        )

    @property
    def _transcript(self) -> str:
        return "\n".join(text for text in self._transcripts if text)

    def _since(self) -> float:
        return time.monotonic() - self._started

    def _remark(self, what: str, **facts: str | int) -> None:
        words = codes.texts("send")["remarks"][what]
        self._listener(Heard("*", words.format(**facts), self._since(), what=what, facts=facts))

    # --- where to

    async def _round(self, numbers: Sequence[int]) -> None:
        """One try for each of these."""
        for number in numbers:
            self._tries[number] += 1
        if self._order.server is not None:
            await self._over(await self._endpoints_of(self._order.server.target, numbers), numbers)
            return
        for destination, group in self._by_destination(numbers):
            await self._over(await self._endpoints_by_mx(destination, group), group)

    def _by_destination(self, numbers: Iterable[int]) -> Iterable[tuple[str, list[int]]]:
        groups: dict[str, list[int]] = {}
        for number in numbers:
            groups.setdefault(self._people[number].destination, []).append(number)
        return groups.items()

    async def _endpoints_of(self, target: Target, numbers: Sequence[int]) -> list[Endpoint]:
        try:
            found = await endpoints_of(target, self._order.options.connect_timeout)
        except OSError as fault:
            cause = ConnectFault(f"no address of {target}: {reason_of(fault)}", str(target))
            cause.__cause__ = fault
            self._remark("fault", text=cause.message)
            self._failed(cause, numbers)
            return []
        return self._of_family(found, str(target), numbers)

    async def _endpoints_by_mx(self, destination: str, numbers: Sequence[int]) -> list[Endpoint]:
        routing = self._order.routing
        if routing is None:
            raise SendError("there is no server, and no way to find one")
        try:
            site = await routing.site_of(destination)
        except Unroutable as fault:
            self._unroutable(fault, numbers)
            return []
        hosts = ", ".join(exchange.host for exchange in site.exchanges)
        self._remark("hosts", domain=destination, hosts=hosts)
        found = [endpoint for exchange in site.exchanges for endpoint in exchange.endpoints]
        return self._of_family(found, destination, numbers)

    def _of_family(self, found: list[Endpoint], name: str, numbers: Sequence[int]) -> list[Endpoint]:
        family = self._order.family
        if not family:
            return found
        kept = [one for one in found if one.target.path or (6 if ":" in one.address else 4) == family]
        if not kept:
            self._remark("fault", text=f"{name} has no IPv{family} address")
            self._failed(ConnectFault(f"{name} has no IPv{family} address", name), numbers)
        return kept

    # --- one site

    async def _over(self, endpoints: Sequence[Endpoint], numbers: Sequence[int]) -> None:
        """The hosts in turn, as long as another one may help."""
        left = list(numbers)
        for endpoint in endpoints:
            while left:
                before, left = len(left), await self._at(endpoint, left)
                # A host that took some and then ended the session (LIMITS, RFC 9422) takes more in another one.
                if len(left) == before or not self._is_unsaid(left):
                    break

    def _is_unsaid(self, numbers: Iterable[int]) -> bool:
        """Whether the host has said nothing about any of these."""
        return all(
            self._sent[number].reply is None and self._sent[number].stage not in _BEFORE_MAIL for number in numbers
        )

    async def _at(self, endpoint: Endpoint, numbers: list[int]) -> list[int]:
        """One host; gives those for whom another one may help."""
        dialogue = Dialogue(self._listener, self._since, len(self._order.composed.content))
        options = self._order.options
        if not options.hello:
            options = replace(options, hello=own_name("" if endpoint.target.path else endpoint.address))
        options = replace(options, listener=dialogue.hear, until=UNTIL.get(self._order.stop_after, "AUTH"))
        try:
            client = await SmtpClient.connect_to([endpoint], options)
        except ConnectFault as fault:
            self._transcripts.append(fault.transcript)
            self._failed(fault, numbers)
            return [] if fault.stage == "AUTH" else numbers
        self._host, self._security = client.host, client.security
        try:
            if self._order.stop_after:
                return await self._look(client, dialogue, numbers)
            return await self._with(client, dialogue, numbers)
        finally:
            await leave(client)
            self._transcripts.append(f"-- {client.host}\n{client.take_transcript()}")

    async def _with(self, client: SmtpClient, dialogue: Dialogue, numbers: list[int]) -> list[int]:
        negotiation = _Told(self._order, self._wanted(numbers), client, dialogue)
        await carry(client, negotiation, self._content)
        self._steps.extend(negotiation.steps)
        for number in numbers:
            self._sent[number] = self._settled(negotiation.settled[number], client)
        return [n for n in numbers if self._sent[n].outcome is SendOutcome.NEXT_HOST]

    async def _look(self, client: SmtpClient, dialogue: Dialogue, numbers: list[int]) -> list[int]:
        """As far as was asked; the first plan is all that is said."""
        reached: Reached = {}
        if self._order.stop_after not in UNTIL:
            negotiation = _Told(self._order, self._wanted(numbers), client, dialogue)
            plan = negotiation.next_plan()
            reached = {} if plan is None else await walk(client, plan, self._order.stop_after)
            for number, settled in negotiation.settled.items():  # what cannot be asked for at all
                self._sent[number] = self._settled(settled, client)
            numbers = [number for number in numbers if number not in negotiation.settled]
        self._remark("stopped", stage=self._order.stop_after)
        for number in numbers:
            stage, reply = reached.get(number, (_STAGES.get(self._order.stop_after, "RCPT"), client.engine.greeting))
            self._sent[number] = self._stopped(number, stage, reply, client)
        return []

    def _wanted(self, numbers: Iterable[int]) -> Wanted:
        composed = self._order.composed
        people = {number: (self._people[number], self._order.rcpt) for number in numbers}
        forced = {parameter.keyword for parameter, _ in self._order.mail if parameter.forced}
        size = 0 if "SIZE" in forced else len(composed.content)
        needs = needs_of(self._order.scan)
        if "BODY" in forced:
            needs = replace(needs, eight_bit=False, binary=False)
        return Wanted(composed.sender, self._order.mail, people, size, needs)

    async def _content(self, form: Form) -> AsyncIterator[bytes]:
        content, scan = self._order.composed.content, self._order.scan
        for block in blocks(content, scan if form is Form.SEVEN_BIT else None):
            yield block

    # --- what came of it

    def _settled(self, settled: Settled, client: SmtpClient) -> Sent:
        return Sent(
            address=str(self._people[settled.number]),
            outcome=_OUTCOMES[settled.verdict],
            reply=settled.reply,
            stage=settled.stage,
            fault=settled.note,
            kind=FaultKind.NONE if settled.reply is not None else kind_in_session(settled.note),
            host=client.host,
            security=client.security,
            uncertain=settled.uncertain,
            dropped=settled.dropped,
        )

    def _stopped(self, number: int, stage: str, reply: Reply | None, client: SmtpClient) -> Sent:
        if reply is None:
            outcome, kind = SendOutcome.NEXT_HOST, FaultKind.CLOSED
        elif reply.is_positive:
            outcome, kind = SendOutcome.STOPPED, FaultKind.NONE
        else:
            outcome, kind = SendOutcome.FAILED if reply.is_permanent else SendOutcome.RETRY, FaultKind.NONE
        address = str(self._people[number])
        return Sent(address, outcome, reply, stage, "", kind, client.host, client.security)

    def _failed(self, fault: ConnectFault, numbers: Iterable[int]) -> None:
        """No session: the same for everybody."""
        kind = kind_of(fault)
        outcome = _outcome_of(fault, kind)
        self._host, self._security = fault.host, ""
        self._fault = SendError(fault.message, stage=fault.stage, kind=kind, host=fault.host, reply=fault.reply)
        self._fault.__cause__ = fault
        for number in numbers:
            self._sent[number] = Sent(
                str(self._people[number]), outcome, fault.reply, fault.stage, fault.message, kind, fault.host
            )

    def _unroutable(self, fault: Unroutable, numbers: Iterable[int]) -> None:
        self._remark("fault", text=fault.note)
        outcome = SendOutcome.FAILED if fault.permanent else SendOutcome.RETRY
        kind = FaultKind.NAME if fault.permanent else FaultKind.NONE
        for number in numbers:
            self._sent[number] = Sent(str(self._people[number]), outcome, fault.reply, "", fault.note, kind)


class _Told(Negotiation):
    """A negotiation that says what it changes, and holds to what the order insists on."""

    def __init__(self, order: Order, wanted: Wanted, client: SmtpClient, dialogue: Dialogue) -> None:
        super().__init__(
            wanted,
            client.engine.announced,
            lmtp=client.engine.lmtp,
            adapt=order.adapt,
            again_after=min(order.pause, 5.0),
            limits=client.engine.limits,
            chunking=order.bdat,
        )
        self._order = order
        self._dialogue = dialogue
        for step in self.steps:
            dialogue.change(step)

    def next_plan(self) -> Plan | None:
        plan = super().next_plan()
        return plan if plan is None or self._order.pipelining else replace(plan, pipelining=False)

    def hear(self, plan: Plan, answers: Sequence[Any]) -> None:
        before = len(self.steps)
        super().hear(plan, answers)
        for step in self.steps[before:]:
            self._dialogue.change(step)


_OUTCOMES: Final = {
    Verdict.DELIVERED: SendOutcome.DELIVERED,
    Verdict.RETRY: SendOutcome.RETRY,
    Verdict.RETRY_CHANGED: SendOutcome.RETRY_CHANGED,
    Verdict.NEXT_HOST: SendOutcome.NEXT_HOST,
    Verdict.FAILED: SendOutcome.FAILED,
}


def _outcome_of(fault: ConnectFault, kind: FaultKind) -> SendOutcome:
    """What it means that there was no session: other hosts do not know the password any better."""
    if kind in (FaultKind.NAME, FaultKind.LOCAL):
        return SendOutcome.FAILED
    if fault.stage == "AUTH" and fault.reply is not None:
        return SendOutcome.FAILED if fault.reply.is_permanent else SendOutcome.RETRY
    return SendOutcome.NEXT_HOST if kind in (FaultKind.TLS, FaultKind.GARBLED, FaultKind.REPLY) else SendOutcome.RETRY


def _is_without_outcome(one: Sent) -> bool:
    """No session came about, and nobody said why."""
    return one.reply is None and not one.accepted and one.kind is not FaultKind.NONE and one.stage in _BEFORE_MAIL


#: Stage of ``stop_after`` -> the command that was answered last.
_STAGES: Final = {"connect": "GREETING", "ehlo": "EHLO", "tls": "STARTTLS", "auth": "AUTH", "mail": "MAIL"}

_BEFORE_MAIL: Final = ("CONNECT", "GREETING", "EHLO", "STARTTLS", "AUTH")


def _nobody(_: Heard) -> None:
    """Nobody listens."""
