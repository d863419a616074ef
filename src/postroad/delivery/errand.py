"""One message on its way to one site: what is settled, what is still to be tried at the next host, and what was seen.

A refusal that speaks about the host (greeting, EHLO, TLS, AUTH, 421, x.3.z and x.4.z at MAIL) or its silence sends the
rest to the next one; who finds no host is tried again another time. What the EHLO of a host lacks is the last word only if
no host before it was away: the one that takes over for a while may be a lesser one (RFC 6531 section 3.7.2).
"""

from __future__ import annotations

import errno
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from typing import Final

from postroad.delivery.transport import Consignment, Fate, Handed, Health, Report
from postroad.envelope import Step
from postroad.errors import RemoteProtocolError
from postroad.net.client_options import ConnectFault, TlsFault
from postroad.net.smtp_client import SmtpClient
from postroad.replies import Reply
from postroad.smtp import reactions, undeliverable
from postroad.smtp.mail_transaction import Stage
from postroad.smtp.negotiation import Negotiation
from postroad.smtp.wanted import Form, Settled, Verdict, Wanted

#: Faults of this machine when it connects: files, ports and memory that are used up.
_OURS: Final = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL))

#: Characters of a journal's transcript.
_TRANSCRIPT: Final = 64 * 1024

_FATES: Final = {
    Verdict.DELIVERED: Fate.DELIVERED,
    Verdict.FAILED: Fate.NEVER,
    Verdict.RETRY: Fate.NOT_NOW,
    Verdict.RETRY_CHANGED: Fate.NOT_NOW,
    Verdict.NEXT_HOST: Fate.NOT_NOW,
}

Content = Callable[[Form], AsyncIterator[bytes]]


class Errand:
    """The state of one ``deliver``."""

    def __init__(self, consignment: Consignment, wanted: Wanted, unable: list[Settled], content: Content) -> None:
        self.content = content
        self.host = ""
        self.security = ""
        self._wanted = wanted
        self._all = [one.number for one in consignment.message.recipients]
        self._settled = {one.number: one for one in unable}
        self._pending = set(wanted.recipients)
        self._steps: list[Step] = []
        self._transcripts: list[str] = []
        self._was_let_in = self._was_passed_over = False
        self._health = Health.UNKNOWN
        self.goes_on_here = False
        """Whether the host asked last took as much as it said it takes in one session (MAILMAX of RFC 9422)."""

    @property
    def is_over(self) -> bool:
        """Whether nobody is left to try for."""
        return not self._pending

    def wanted(self) -> Wanted:
        """What the next host is asked for."""
        before = self._wanted
        if len(self._pending) == len(before.recipients):
            return before
        left = {number: one for number, one in before.recipients.items() if number in self._pending}
        return Wanted(before.reverse_path, before.parameters, left, before.size, before.needs)

    def heard(self, client: SmtpClient, negotiation: Negotiation, *, reused: bool) -> None:
        """A host was asked; ``reused``: over a kept connection, before any host in turn."""
        self.host, self.security = client.host, client.security
        self._was_let_in = True
        self._steps += negotiation.steps
        self._transcripts.append(client.take_transcript())
        self._health = _health(negotiation.settled.values())
        self.goes_on_here = client.is_spent and any(
            one.verdict is Verdict.DELIVERED for one in negotiation.settled.values()
        )
        for number, settled in negotiation.settled.items():
            lacks = settled.stage == "" and settled.reply in undeliverable.ABOUT_HOST
            if lacks and (reused or self._was_passed_over):
                settled = replace(settled, verdict=Verdict.NEXT_HOST)
            self._settled[number] = settled
            if settled.verdict is not Verdict.NEXT_HOST:
                self._pending.discard(number)
        self._was_passed_over = self._was_passed_over or not (reused or self.is_over)

    def unreachable(self, fault: ConnectFault) -> None:
        """A host let nobody in."""
        self.host, self.security = fault.host, ""
        self._transcripts.append(fault.transcript)
        self._was_passed_over = True
        if not self._was_let_in:
            self._health = _health_of(fault)
        reply, stage = _words_of(fault)
        for number in self._pending:
            self._settled[number] = Settled(number, Verdict.NEXT_HOST, reply, stage, fault.message)

    def abandon(self, why: str) -> None:
        """We break off ourselves."""
        self._health = Health.UNKNOWN
        for number in self._pending:
            self._settled[number] = Settled(number, Verdict.RETRY, None, "", why)
        self._pending.clear()

    def report(self) -> Report:
        """What came of it."""
        transcript = "\n".join(filter(None, self._transcripts))
        if len(transcript) > _TRANSCRIPT:
            half = _TRANSCRIPT // 2
            transcript = f"{transcript[:half]}\n-- part of it is left out\n{transcript[-half:]}"
        handed = tuple(_handed(self._settled[number]) for number in self._all)
        return Report(handed, self.host, transcript, self.security, tuple(self._steps), self._health)


def is_dead(negotiation: Negotiation) -> bool:
    """Whether a kept connection turned out to be closed: nothing but silence, or 421, and nobody has the message."""
    return bool(negotiation.settled) and all(
        one.verdict is Verdict.NEXT_HOST and (one.reply is None or reactions.closes_channel(one.reply))
        for one in negotiation.settled.values()
    )


def _health(settled: Iterable[Settled]) -> Health:
    ends = list(settled)
    if any(one.verdict is Verdict.DELIVERED for one in ends):
        return Health.FINE
    return Health.OVERLOADED if any(map(_is_too_much, ends)) else Health.FINE


def _health_of(fault: ConnectFault) -> Health:
    """What is short here says nothing about the host."""
    if fault.reply is not None:
        return Health.REFUSED
    cause: BaseException | None = fault
    for _ in range(5):
        if isinstance(cause, OSError) and cause.errno in _OURS:
            return Health.UNKNOWN
        cause = cause.__cause__ if cause is not None else None
    return Health.AWAY


def _is_too_much(one: Settled) -> bool:
    """421 or silence anywhere, 4yz at MAIL: about the host and not about a recipient."""
    if one.reply is None:
        return one.stage == Stage.CONNECTION.name or one.uncertain
    if reactions.closes_channel(one.reply):
        return True
    return one.reply.is_transient and one.stage == Stage.MAIL.name


def _words_of(fault: ConnectFault) -> tuple[Reply | None, str]:
    """The host's reply and the stage that it answers; for TLS that is owed and not had, words of ours.

    A host that breaks the protocol at STARTTLS (octets behind its 220) is left alone whoever owes what to whom.
    """
    last = fault.__cause__ if isinstance(fault.__cause__, ConnectFault) else fault
    out_of_step = isinstance(last.__cause__, RemoteProtocolError)
    if fault.reply is None and fault.stage == "STARTTLS" and not out_of_step:
        broken = isinstance(fault.__cause__, TlsFault) or isinstance(fault, TlsFault)
        return (undeliverable.TLS_FAILED if broken else undeliverable.TLS_NOT_OFFERED), ""
    return fault.reply, fault.stage


def _handed(one: Settled) -> Handed:
    return Handed(one.number, _FATES[one.verdict], one.reply, one.note, one.uncertain, one.stage, one.relayed)
