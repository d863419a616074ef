"""Reads a bounce: who was not reached, what was said of it and by whom, as facts.

Promise: any octets give a ``Bounce``; nothing raises; time and memory are bounded by ``bounce_mail.MAX_OCTETS``. First
the structure (RFC 3464 and its relatives), then the shapes that programs are known for, then the words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, cast

from postroad.diagnosis import bounce_status as status
from postroad.diagnosis.bounce_facts import Action, Bounce, Feedback, Form, Kind, Said
from postroad.diagnosis.bounce_kinds import form_of, is_daemon, is_doubtful
from postroad.diagnosis.bounce_mail import Mail, inner_of, take_apart
from postroad.diagnosis.bounce_tables import Tables, tables
from postroad.diagnosis.bounce_text import (
    MAX_NAMED,
    BounceText,
    Named,
    Quoted,
    addresses_in,
    command_in,
    flat,
    host_in,
    reply_in,
    status_in,
)

_KINDS: Final[dict[Form, Kind]] = {
    "dsn": "bounce",
    "text": "bounce",
    "arf": "feedback",
    "auto-reply": "vacation",
    "mdn": "other",
    "challenge": "other",
    "mail": "other",
}
_ACTIONS: Final = ("failed", "delayed", "delivered", "relayed", "expanded")
_MAX_WORDS: Final = 1_500
_ORIGINAL_RCPT = re.compile(r"^Original-Rcpt-To[ \t]*:(.*)", re.IGNORECASE | re.MULTILINE)
_GOOD_CODE = re.compile(r"2[0-9][0-9]\Z")


def read_bounce(octets: bytes) -> Bounce:
    """What this mail is and says."""
    known = tables()
    mail = take_apart(octets)
    form = form_of(mail, known)
    found = _read(mail, form, known)
    if form == "text" and not found.recipients and not mail.report_type and is_doubtful(mail.header, known):
        form = "mail"  # its words sound like a bounce, but it names nobody, and no mail program wrote it
        found = _read(mail, form, known)
    if (form in ("mail", "auto-reply") and not is_daemon(mail.header, known)) or (
        form == "text" and not found.recipients
    ):
        for inner in inner_of(mail):  # somebody forwards a bounce as an attachment, or wraps it
            if (inside := form_of(inner, known)) in ("dsn", "arf"):
                return _read(inner, inside, known)
    return found


def _read(mail: Mail, form: Form, known: Tables) -> Bounce:
    folded_text, folded_status = mail.text.casefold(), mail.status.casefold()
    family = ""
    if form in ("dsn", "text"):
        family = next((one.id for one in known.families if one.fits(mail.header, folded_text, folded_status)), "")
    at = status.moment_of(mail.header.get("date", ""))
    bounce = Bounce(
        kind=_KINDS[form],
        form=form,
        family=family,
        at=at,
        sender=mail.header.get("from", "")[:500],
        subject=mail.header.get("subject", "")[:500],
        returned=mail.returned,
        defects=tuple(mail.defects),
    )
    match form:
        case "dsn":
            return _report(mail, bounce, known)
        case "text":
            return replace(bounce, recipients=tuple(_in_words(mail, bounce, known)))
        case "arf":
            return replace(bounce, feedback=_feedback(mail, at))
    return bounce


# Reports


def _report(mail: Mail, bounce: Bounce, known: Tables) -> Bounce:
    message, groups = status.read_groups(mail.status.strip() or mail.receipt)
    reporter = status.host_of(message.get("reporting-mta", ""))
    text = BounceText(mail.text, known)
    addresses = [_address(group) for group in groups]
    named = {one.address.casefold(): one for one in text.named([one for one in addresses if one], frozenset())}
    spare = _spare(mail, text, known) if not all(addresses) else []
    recipients: list[Said] = []
    for group, address in zip(groups, addresses, strict=True):
        if not address and not spare:
            continue
        beside = named.get(address.casefold()) if address else spare.pop(0)
        about = beside if beside is not None else Named(address, [])
        whole = text.text if len(groups) == 1 else ""
        said = _of_group(group, address or about.address, about, whole, reporter, known)
        expired = _expired(said, known, said.text.casefold(), about.folded)
        recipients.append(replace(said, at=said.at or bounce.at, expired=expired))
    if not recipients:
        recipients = [one if one.host else replace(one, host=reporter) for one in _in_words(mail, bounce, known)]
    return replace(bounce, reporter=reporter, recipients=tuple(recipients))


def _spare(mail: Mail, text: BounceText, known: Tables) -> list[Named]:
    """Whom the text names, for a report whose fields name nobody."""
    listed = addresses_in(mail.header.get("x-failed-recipients", ""))
    return text.named(listed, _never(mail)) or [Named(one, []) for one in addresses_in(mail.returned.get("to", ""))]


def _address(group: status.Group) -> str:
    """As the sender gave it, where that is known (RFC 3464 section 2.3.1)."""
    final, original = group.get("final-recipient", ""), group.get("original-recipient", "")
    return status.address_of(original if status.is_of_mail(original) else final)


def _of_group(group: status.Group, address: str, about: Named, whole: str, reporter: str, known: Tables) -> Said:
    """One recipient: its fields, and what the text for people adds."""
    quoted, diagnostic = status.diagnostic_of(group.get("diagnostic-code") or group.get("x-supplementary-info", ""))
    enhanced = status.status_of(group.get("status", ""))
    action = _action(group.get("action", ""), enhanced)
    reply = reply_in(diagnostic) if action in ("failed", "delayed") else _good_reply(diagnostic)
    words, beside = diagnostic, ""
    if reply is None and action in ("failed", "delayed"):
        reply = about.reply or (reply_in(whole) if not words.strip() else None)
    if reply is None and not words.strip():
        words = beside = about.own(known) or whole
    code, text = (reply.code, reply.text) if reply is not None else (status.code_of(group.get("status", "")), words)
    finer = status_in(text if code else diagnostic)
    if finer and (not enhanced or enhanced.endswith(".0.0") or (code and finer[0] == enhanced[0])):
        enhanced = finer
    remote = status.host_of(group.get("remote-mta", ""))
    final = status.address_of(group.get("final-recipient", ""))
    return Said(
        address=address,
        action=action,
        status=enhanced,
        code=code,
        text=text.strip()[:_MAX_WORDS] if quoted or code else flat(text, _MAX_WORDS),
        host=remote or host_in(diagnostic) or about.host or host_in(whole) or reporter,
        command=about.command or command_in(diagnostic),
        expired=group.get("action", "").strip().lower() == "expired",  # SendGrid's own word
        at=status.moment_of(group.get("last-attempt-date", "")),
        final=final if final.casefold() != address.casefold() else "",
        evidence="status+text" if beside else "status",
    )


def _good_reply(diagnostic: str) -> Quoted | None:
    """What a host said when it took the mail."""
    code, _, text = diagnostic.partition(" ")
    return Quoted(code, text) if _GOOD_CODE.match(code) else None


def _action(value: str, enhanced: str) -> Action:
    word = value.strip().lower().partition(" ")[0].rstrip(";,.")
    if word in _ACTIONS:
        return cast("Action", word)
    return "delivered" if enhanced.startswith("2.") else "failed"


def _expired(said: Said, known: Tables, *folded: str) -> bool:
    """Whether it was given up because time was over: by the status, or by words of texts in lower case."""
    if said.action != "failed":
        return False
    if said.expired or said.status.endswith(".4.7"):
        return True
    return any(phrase in text for text in folded for phrase in known.expired)


# Words


def _never(mail: Mail) -> frozenset[str]:
    """Who takes part otherwise: who writes, who reads, who sent."""
    names = ("from", "to", "reply-to", "delivered-to", "x-original-to", "return-path", "sender")
    taking_part = [mail.header.get(name, "") for name in names] + [mail.returned.get("from", "")]
    return frozenset(address.casefold() for value in taking_part for address in addresses_in(value))


def _in_words(mail: Mail, bounce: Bounce, known: Tables) -> list[Said]:
    text = BounceText(mail.text, known)
    listed = addresses_in(mail.header.get("x-failed-recipients", ""))
    surely = not is_doubtful(mail.header, known)
    named = text.named(listed, _never(mail), loosely=surely)
    if surely and not named:  # somebody wrote to himself
        named = text.named([], frozenset(addresses_in(mail.header.get("from", ""))))
    alone = len(named) == 1
    context = text.text if alone else text.preamble(named)
    folded = text.text.casefold()
    late = any(phrase in folded for phrase in known.delayed)
    about = _Around(text.text if alone else "", flat(context, _MAX_WORDS), context.casefold(), late)
    return [_of_words(one, about, text.text, bounce, known) for one in named]


@dataclass(frozen=True, slots=True)
class _Around:
    """What a text says to all whom it names."""

    alone: str
    """All of it, where there is one recipient alone."""
    context: str
    folded: str
    late: bool


def _of_words(named: Named, around: _Around, whole: str, bounce: Bounce, known: Tables) -> Said:
    reply = named.reply or _reply_beside(named.address, whole) or reply_in(around.alone)
    own = named.own(known)
    words = reply.text if reply is not None else flat(own or around.alone, _MAX_WORDS)
    said = Said(
        address=named.address,
        action="delayed" if around.late else "failed",
        status=status_in(words if reply is not None else own),
        code=reply.code if reply is not None else "",
        text=words[:_MAX_WORDS],
        context=around.context,
        host=named.host or host_in(around.alone),
        command=named.command or command_in(around.alone),
        at=bounce.at,
        evidence="text",
    )
    return replace(said, expired=_expired(said, known, named.folded, around.folded))


def _reply_beside(address: str, whole: str) -> Quoted | None:
    """A reply in lines that name the recipient, wherever they stand."""
    sought = address.casefold()
    return reply_in("\n".join(line for line in whole.split("\n") if sought in line.casefold()))


# Complaints


def _feedback(mail: Mail, at: str) -> Feedback:
    """RFC 5965 section 3."""
    message, groups = status.read_groups(mail.feedback)
    fields = {**(groups[0] if groups else {}), **message}
    listed = "\n".join(_ORIGINAL_RCPT.findall(mail.feedback)) or mail.returned.get("x-hmxmroriginalrecipient", "")
    return Feedback(
        type=flat(fields.get("feedback-type", "abuse").lower(), 60),
        recipients=tuple(dict.fromkeys(addresses_in(listed)))[:MAX_NAMED],
        sender=next(iter(addresses_in(fields.get("original-mail-from", ""))), ""),
        source=flat(fields.get("source-ip", ""), 100),
        reporter=flat(fields.get("user-agent", ""), 200),
        at=status.moment_of(fields.get("arrival-date", "") or fields.get("received-date", "")) or at,
    )
