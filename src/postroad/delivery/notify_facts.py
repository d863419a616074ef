"""What the sender asked to be told of a recipient, and what an attempt's result says of it, as a report needs them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from postroad.envelope import Attempt, Recipient, Result, Step, StoredMessage
from postroad.message.report_facts import Kind, OriginalAddress, Reported
from postroad.replies import Reply
from postroad.smtp import undeliverable
from postroad.smtp.commands import read_parameters
from postroad.smtp.extensions import DSN, deliver_by
from postroad.smtp.extensions.deliverby import BY, DeliverBy
from postroad.smtp.extensions.dsn import ENVID, NOTIFY, ORCPT, RET, Notify, OriginalRecipient, Ret
from postroad.smtp.extensions.futurerelease import HOLDFOR, HOLDUNTIL, held_for
from postroad.smtp.parameters import Extension, ExtensionSet, Given, Traits
from postroad.smtp.states import Verb

_HELD: Final = Extension("FUTURERELEASE", "RFC 4865", (HOLDFOR, HOLDUNTIL))
_KNOWN: Final = ExtensionSet((DSN, deliver_by(), _HELD))
_ANYBODY: Final = Traits()
#: Parameters whose loss the sender is told of.
_TOLD: Final = ("RET", "ENVID", "NOTIFY", "ORCPT", "BY")
#: What no host has said.
_OURS: Final = {reply: name.lower() for name, reply in vars(undeliverable).items() if isinstance(reply, Reply)}
_WORD: Final = re.compile(r"[A-Z0-9-]{2,40}")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked with MAIL and RCPT for one recipient, and what of it was lost on the way."""

    notify: Notify | None
    """None: NOTIFY was not given."""
    original: OriginalRecipient | None
    ret: Ret | None
    envelope_id: str
    by: DeliverBy | None
    deliver_by: float | None
    """Seconds since the epoch."""
    future_release: str
    """What RFC 4865 section 5.1.2 repeats of HOLDFOR or HOLDUNTIL; empty when neither was given."""
    released_at: float
    """Seconds since the epoch: when it was first allowed to leave."""
    mail: tuple[str, ...]
    """Keywords that came with MAIL."""
    rcpt: tuple[str, ...]
    attempt: Attempt
    steps: tuple[Step, ...]
    """Those that concern this recipient."""

    def wants(self, flag: Notify, *, unasked: bool) -> bool:
        """Whether a report of this kind may be sent; ``unasked``: also when NOTIFY was not given."""
        return unasked if self.notify is None else flag in self.notify

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the sender had asked for and the message was sent on without, in a fixed order."""
        left_out = {name for step in self.steps for name in step.parameters}
        return tuple(name for name in _TOLD if name in left_out and name in (*self.mail, *self.rcpt))

    @property
    def refusal(self) -> Reply | None:
        """The last reply for which something that is told was left out."""
        replies = (step.reply for step in reversed(self.steps) if set(step.parameters) & set(_TOLD))
        return next((reply for reply in replies if reply is not None), None)

    def owes_for_time(self, lost: bool, at: float) -> bool:
        """Whether BY alone makes a "relayed" report due for a relay at ``at`` (RFC 2852 sections 4.1.4 and 4.1.4.2).

        ``lost``: the host behind knows nothing of the limit.
        """
        if self.by is None or self.deliver_by is None or self.notify == Notify.NEVER:
            return False
        return self.by.trace or (lost and at < self.deliver_by)


def wishes_of(message: StoredMessage, recipient: Recipient, attempt: Attempt) -> Wishes:
    """Read them; what cannot be read counts as not given, so that nobody goes without a report of a failure."""
    mail, rcpt = _given(message.parameters, Verb.MAIL), _given(recipient.parameters, Verb.RCPT)
    by = mail.get(BY)
    return Wishes(
        notify=rcpt.get(NOTIFY),
        original=rcpt.get(ORCPT),
        ret=mail.get(RET),
        envelope_id=mail.get(ENVID) or "",
        by=by,
        deliver_by=None if by is None else message.received_at + by.seconds,
        future_release=_future_release(mail),
        released_at=message.received_at + _held_for(mail, message.received_at),
        mail=_keywords(message.parameters),
        rcpt=_keywords(recipient.parameters),
        attempt=attempt,
        steps=tuple(s for s in attempt.steps if not s.recipients or recipient.number in s.recipients),
    )


def _future_release(mail: Given) -> str:
    interval, moment = mail.get(HOLDFOR), mail.get(HOLDUNTIL)
    if interval is not None:
        return f"for;{HOLDFOR.encode(interval)}"
    return "" if moment is None else f"until;{HOLDUNTIL.encode(moment)}"


def _held_for(mail: Given, received_at: float) -> float:
    """Seconds."""
    if HOLDFOR not in mail and HOLDUNTIL not in mail:
        return 0.0
    return held_for(mail, datetime.fromtimestamp(received_at, UTC)).total_seconds()


def _given(text: str, command: Verb) -> Given:
    """The parameters of this module out of a stored line, each read for itself."""
    values = {}
    for word in text.split():
        found = read_parameters(f" {word}", command, _KNOWN, _ANYBODY)
        if isinstance(found, Given):
            values.update(dict(found))
    return Given(values)


def _keywords(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.partition("=")[0].upper() for word in text.split()))


def reported(
    kind: Kind, recipient: Recipient, result: Result, wishes: Wishes, *, now: float, until: float | None = None
) -> Reported:
    """One recipient of a report of this kind, made at ``now``; ``until`` is when it will be given up."""
    attempt = wishes.attempt
    made = attempt.route != ""  # without a route the operator, or the time, has ended it
    earlier = not made and recipient.reply is not None and result.reply in (None, recipient.reply)
    reply = recipient.reply if earlier else result.reply
    own = reply in _OURS or (made and not attempt.host)
    local = attempt.route.startswith("maildir:")
    bad = kind in (Kind.FAILED, Kind.DELAYED)
    timed = kind is Kind.RELAYED and not wishes.wants(Notify.SUCCESS, unasked=False)
    late = kind is Kind.DELAYED and wishes.deliver_by is not None and wishes.deliver_by <= now
    return Reported(
        address=recipient.forward_path,
        status=_status(kind, reply, expired=result.expired or late, stage=result.stage, local=local),
        original=OriginalAddress(wishes.original.address_type, wishes.original.address) if wishes.original else None,
        reply=reply,
        host="" if earlier or local else attempt.host,
        own=own,
        cause=_OURS.get(reply, "") if reply is not None else "",
        stage=result.stage,
        note=result.note if bad and not local else "",  # a path of this machine is nobody's business
        local=local,
        earlier=earlier,
        ended=kind is Kind.FAILED and not made and not result.expired,
        expired=result.expired,
        uncertain=result.uncertain,
        attempted_at=attempt.at if made else None,
        retry_until=until,
        dropped=_dropped(wishes, timed and result.relayed) if kind is Kind.RELAYED else (),
        timed=timed,
        silenced=kind is Kind.RELAYED and wishes.notify is not None and Notify.FAILURE not in wishes.notify,
        refusal=wishes.refusal if kind is Kind.RELAYED else None,
        parameter=_parameter(wishes, result) if kind is Kind.DELAYED else "",
    )


def _status(kind: Kind, reply: Reply | None, *, expired: bool, stage: str, local: bool) -> str:
    """The Status field: of the reply when it has one, its class as the kind demands (RFC 3463 section 2)."""
    severity = {Kind.FAILED: 5, Kind.DELAYED: 4}.get(kind, 2)
    if expired:
        return f"{severity}.4.7"
    status = reply.enhanced if reply is not None else None
    if severity == 2:
        return str(status) if status is not None and status.severity == 2 else "2.0.0"
    if status is not None:
        return f"{severity}.{status.subject}.{status.detail}"
    if reply is not None:
        return f"{severity}.0.0"  # RFC 3461 section 6.3 (g)
    if local:
        return f"{severity}.3.0"
    return f"{severity}.4.1" if stage in ("CONNECT", "GREETING") else f"{severity}.4.2" if stage else f"{severity}.0.0"


def _dropped(wishes: Wishes, time_lost: bool) -> tuple[str, ...]:
    return (*wishes.dropped, "BY") if time_lost and "BY" not in wishes.dropped else wishes.dropped


def _parameter(wishes: Wishes, result: Result) -> str:
    """The parameter for whose sake a 455 lasts: the one that the reply names, else what could not be left out."""
    reply = result.reply
    # reply: 455 is about parameters, unless its status says "too many recipients" (RFC 5321 section 4.1.1.11)
    if reply is None or reply.code != 455 or (reply.enhanced is not None and reply.enhanced[1:] == (5, 3)):
        return ""
    given = wishes.rcpt if result.stage == "RCPT" and wishes.rcpt else (*wishes.mail, *wishes.rcpt)
    named = _named(reply.text, given)
    left_out = {name for step in wishes.steps for name in step.parameters}
    kept = [name for name in given if name not in left_out]
    return ", ".join(named or kept or given)


def _named(text: str, given: Iterable[str]) -> list[str]:
    words = set(_WORD.findall(text[:1000].upper()))
    return [name for name in given if name in words]
