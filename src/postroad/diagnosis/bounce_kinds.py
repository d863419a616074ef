"""What a mail is before it is read further: a report, a complaint, an automatic answer, a question, or a letter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from postroad.diagnosis.bounce_facts import Form
from postroad.diagnosis.bounce_mail import Mail
from postroad.diagnosis.bounce_tables import Tables, has_field

_FIRST_WORDS: Final = 700
#: How people begin the subject of an answer or of something passed on.
_ANSWERS: Final = ("re:", "aw:", "sv:", "fwd:", "fw:", "wg:")

#: Fields that a person's mail program does not write.
_OF_PROGRAMS: Final = ("auto-submitted", "x-failed-recipients")


def form_of(mail: Mail, known: Tables) -> Form:
    """What it is by its structure first, then by who writes, then by its words."""
    if mail.receipt or mail.report_type == "disposition-notification":
        return "dsn" if _is_refusal(mail) else "mdn"
    if mail.feedback or mail.report_type == "feedback-report" or _is_complaint(mail, known):
        return "arf"
    if mail.status.strip():
        return "dsn"
    text = mail.text.casefold()
    if _fits(known.challenge, mail.header, text):
        return "challenge"
    if is_daemon(mail.header, known) and _tells_of_failure(mail, text, known):
        return "text"
    if mail.report_type == "delivery-status":  # the report proper was lost
        return "text"
    if _surely_failed(mail, text, known):
        return "text"
    return "auto-reply" if _is_automatic(mail, text, known) else "mail"


def _is_refusal(mail: Mail) -> bool:
    """Some refuse by a receipt that says "deleted" (RFC 5429 section 2.1.1)."""
    words = f"{mail.header.get('auto-submitted', '')} {mail.header.get('subject', '')}".casefold()
    return "reject" in words and "deleted" in mail.receipt.casefold()


def _surely_failed(mail: Mail, text: str, known: Tables) -> bool:
    """A report of somebody whose name says nothing: its subject and its first lines do."""
    subject = mail.header.get("subject", "").casefold()
    if subject.startswith(_ANSWERS) or text.lstrip().startswith(">") or _is_of_list(mail.header):
        return False
    first = text[:_FIRST_WORDS].partition("forwarded message")[0]
    announced = bool(mail.inner) or any(phrase in subject for phrase in known.subjects)
    return announced and any(phrase in first for phrase in known.surely)


def is_daemon(header: Mapping[str, str], known: Tables) -> bool:
    """Whether a mail program wrote it, by its sender."""
    if "x-failed-recipients" in header:
        return True
    sender = header.get("from", "").casefold()
    if any(word in sender for word in known.daemons):
        return True
    named = ("mail delivery", "mail administrator", "mailer daemon", "mail system", "courier mail server")
    returned = header.get("return-path", "-").strip()
    return any(word in sender for word in named) or (
        returned in ("<>", "") and any(phrase in header.get("subject", "").casefold() for phrase in known.subjects)
    )


def is_doubtful(header: Mapping[str, str], known: Tables) -> bool:
    """Whether a person, or somebody who pretends, may have written what sounds like a bounce.

    A postmaster is a program in one house and somebody in the next; "Mail Delivery System" may stand before any address.
    """
    if not is_daemon(header, known):
        return True
    if header.get("return-path", "-").strip() in ("<>", "") or any(name in header for name in _OF_PROGRAMS):
        return False
    name, _, address = header.get("from", "").casefold().rpartition("<")
    if name and not any(word in address for word in known.daemons):
        return True
    subject = header.get("subject", "").casefold()
    return "postmaster" in address and "daemon" not in name and not any(one in subject for one in known.subjects)


def _tells_of_failure(mail: Mail, text: str, known: Tables) -> bool:
    subject = mail.header.get("subject", "").casefold()
    phrases = (*known.failure, *known.delayed)
    if mail.header.get("return-path", "-").strip() in ("<>", ""):
        phrases += known.hints
    return (
        "x-failed-recipients" in mail.header
        or "mailer-daemon" in mail.header.get("from", "").casefold()
        or any(phrase in subject for phrase in known.subjects)
        or any(phrase in text for phrase in phrases)
        or any(family.fits(mail.header, text, "") for family in known.families)
    )


def _is_complaint(mail: Mail, known: Tables) -> bool:
    """Some complain without a report: the mail itself comes back with a field of theirs."""
    return any(has_field(mail.returned, mark) for mark in known.feedback["header"])


def _is_automatic(mail: Mail, text: str, known: Tables) -> bool:
    """RFC 3834 section 5, and what came before it. What a program writes unasked is no answer (auto-generated)."""
    header, marks = mail.header, known.vacation
    subject = header.get("subject", "").casefold()
    if any(has_field(header, mark) for mark in marks["header"]):
        return True
    if subject.startswith(_ANSWERS) or _is_of_list(header):
        return False
    if any(phrase in subject for phrase in marks["subject"]):
        return True
    written = any(has_field(header, mark) for mark in marks["answer"])
    answered = "in-reply-to" in header or any(phrase in subject for phrase in marks["generic"])
    said = any(phrase in text[:2_000] for phrase in marks["text"])  # people say so of themselves, too
    return (written or answered) and (said or (written and answered and mail.kind != "text/calendar"))


def _is_of_list(header: Mapping[str, str]) -> bool:
    """What goes to many (RFC 2369, RFC 2919) is no answer to one."""
    return "list-unsubscribe" in header or "list-id" in header


def _fits(marks: Mapping[str, tuple[str, ...]], header: Mapping[str, str], text: str) -> bool:
    subject = header.get("subject", "").casefold()
    return (
        any(has_field(header, mark) for mark in marks.get("header", ()))
        or any(phrase in subject for phrase in marks.get("subject", ()))
        or any(phrase in text for phrase in marks.get("text", ()))
    )
