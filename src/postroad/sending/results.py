"""What came of sending: one Sent for each recipient, whatever happened; a SendError only when nobody has any outcome.

A refusal is a result, never an exception. Every text in here that a host said is a stranger's; shown on a terminal it
goes through ``observe.printable``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from postroad import codes
from postroad.envelope import Step
from postroad.errors import PostroadError
from postroad.replies import Reply


class SendOutcome(StrEnum):
    """What came of one recipient."""

    DELIVERED = "delivered"
    """The host has taken responsibility."""
    RETRY = "retry"
    """Not now; the same later may succeed."""
    RETRY_CHANGED = "retry changed"
    """Not like this; something about the message or its parameters must change first."""
    NEXT_HOST = "next host"
    """This host will not, another one of the domain may."""
    FAILED = "failed"
    """Never."""
    STOPPED = "stopped"
    """Nothing was refused up to the stage where we were to stop; nothing was sent."""


class FaultKind(StrEnum):
    """Why there was no session, or no answer in it."""

    NONE = ""
    NAME = "name"
    """The name has no address, or the domain takes no mail."""
    LOOKUP = "lookup"
    """The name could not be looked up just now."""
    REFUSED = "refused"
    """Nothing listens there, or a firewall rejects: the connection was refused."""
    UNREACHABLE = "unreachable"
    """The network knows no way, or this machine could not open the connection."""
    TIMED_OUT = "timed out"
    """No connection in time: a firewall drops, or the host is down."""
    SILENT = "silent"
    """Connected, but nothing was said in time."""
    CLOSED = "closed"
    """The host closed the connection before its answer."""
    GARBLED = "garbled"
    """What came is no SMTP."""
    TLS = "tls"
    """TLS did not come about, or the certificate is not accepted."""
    LOCAL = "local"
    """We may not say it: the host announced no extension for it, or no mechanism that we know."""
    REPLY = "reply"
    """The host said why: see the reply."""


#: What the same try later would meet again.
LASTING: Final = frozenset((FaultKind.NAME, FaultKind.TLS, FaultKind.GARBLED, FaultKind.LOCAL))


@dataclass(frozen=True, slots=True)
class Explanation:
    """A reply or a fault in words, from the catalogue."""

    title: str
    summary: str
    reason: str
    """A slug of the catalogue, ``greylisted``; ``""`` when there was no reply."""
    actor: str
    """Who must act, in words; ``""`` when there was no reply."""
    remedy: str
    """What to do, in words."""
    temporary: bool | None
    steps: tuple[str, ...] = ()
    """What to check, in order."""
    document: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """All that is known (``postroad.explanation/1``); empty when there was no reply."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one recipient."""

    address: str
    outcome: SendOutcome
    reply: Reply | None = None
    """The host's, or what Postroad itself says where no host could be asked (no MX, no SMTPUTF8 there)."""
    stage: str = ""
    """Where it was decided: ``CONNECT``, ``GREETING``, ``EHLO``, ``STARTTLS``, ``AUTH``, ``MAIL``, ``RCPT``, ``DATA``,
    ``CONTENT``."""
    fault: str = ""
    """Why there is no reply, or a word beside it."""
    kind: FaultKind = FaultKind.NONE
    host: str = ""
    """Who was asked: ``mx.example.net [192.0.2.1]:25``."""
    security: str = ""
    """TLS as it was had, or ``in clear`` and why."""
    uncertain: bool = False
    """The whole message went out and the answer was lost: the host may have it (RFC 1047)."""
    dropped: tuple[str, ...] = ()
    """Parameters that the message went without."""
    tries: int = 1

    @property
    def accepted(self) -> bool:
        """Whether a host has taken responsibility."""
        return self.outcome is SendOutcome.DELIVERED

    @property
    def temporary(self) -> bool:
        """Whether a later try may succeed."""
        if self.outcome in (SendOutcome.RETRY, SendOutcome.RETRY_CHANGED):
            return True
        lasting = self.kind in LASTING if self.reply is None else self.reply.is_permanent
        return self.outcome is SendOutcome.NEXT_HOST and not lasting

    def explanation(self, lang: str = "en") -> Explanation:
        """What the reply means, or why there is none, in a language of the catalogue (else in English)."""
        return explained(self.reply, self.stage, self.kind, self.fault, lang)


@dataclass(frozen=True, slots=True)
class SendResult:
    """What came of one call of ``send``."""

    recipients: tuple[Sent, ...]
    steps: tuple[Step, ...] = ()
    """What was changed on the way after a refusal, in order."""
    transcript: str = ""
    """All that was said, ``C: ``, ``S: `` and ``-- `` lines, secrets blanked."""
    host: str = ""
    """Who answered last."""
    security: str = ""
    """TLS as it was had with that host, or ``in clear`` and why."""
    sender: str = ""
    """The reverse-path; ``""`` is the null one."""
    message_id: str = ""
    """The Message-ID, as in the header."""
    size: int = 0
    """Octets of the message."""
    seconds: float = 0.0

    @property
    def accepted(self) -> bool:
        """Whether every recipient was accepted by a host."""
        return all(one.accepted for one in self.recipients)

    @property
    def refused(self) -> tuple[Sent, ...]:
        """Who was not accepted, for now or for good."""
        return tuple(one for one in self.recipients if one.outcome not in (SendOutcome.DELIVERED, SendOutcome.STOPPED))

    @property
    def dropped_parameters(self) -> tuple[str, ...]:
        """The keywords that were left out for anybody, each once."""
        return tuple(dict.fromkeys(word for one in self.recipients for word in one.dropped))


class SendError(PostroadError):
    """Nobody has any outcome: no host said anything about any recipient."""

    def __init__(
        self,
        message: str,
        hint: str = "",
        *,
        stage: str = "",
        kind: FaultKind = FaultKind.NONE,
        host: str = "",
        reply: Reply | None = None,
        transcript: str = "",
        seconds: float = 0.0,
    ) -> None:
        super().__init__(message, hint)
        self.stage = stage
        self.kind = kind
        self.host = host
        self.reply = reply
        self.transcript = transcript
        self.seconds = seconds

    @property
    def temporary(self) -> bool:
        """Whether the same may succeed later."""
        return self.kind not in LASTING

    def explanation(self, lang: str = "en") -> Explanation:
        """Why nothing came about and what to check, in a language of the catalogue (else in English)."""
        return explained(self.reply, self.stage, self.kind, self.message, lang)


def explained(reply: Reply | None, stage: str, kind: FaultKind, fault: str, lang: str) -> Explanation:
    """A reply by the catalogue; a fault by the words of ``send.toml`` and what to check when 220 does not come."""
    if reply is not None:
        return _of_reply(reply, "CONNECT" if stage == "GREETING" else stage, lang)
    say = codes.texts("send", lang)
    words = say["faults"].get(kind.value, {})
    steps: Iterable[str] = words.get("checks", ())
    return Explanation(
        title=str(words.get("title", fault)),
        summary=str(words.get("summary", fault)),
        reason="",
        actor="",
        remedy=next(iter(steps), ""),
        temporary=None,
        steps=tuple(steps),
    )


def _of_reply(reply: Reply, command: str, lang: str) -> Explanation:
    document = codes.explain_reply(reply, lang, command=command)
    item = document["items"][0]
    found = item["classification"]
    known = item.get("code") if found["confidence"]["id"] == "low" else None  # else the reason says more than the code
    return Explanation(
        title=known["title"] if known else found["reason"]["label"],
        summary=known["summary"] if known else found["reason"]["text"],
        reason=found["reason"]["id"],
        actor=found["actor"]["label"],
        remedy=found["remedy"]["text"],
        temporary=found["temporary"],
        steps=(),
        document=document,
    )
