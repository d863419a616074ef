"""Who may send to whom through this server: everything that would make an open relay is decided in ``decide``.

A recipient is accepted when it is in one of our domains and exists there, when it is the postmaster, or when the client
has authenticated or is trusted; nothing else is. The local part is opaque: ``a%b@ours``, ``b!a@ours`` and
``"a@b"@ours`` are mailboxes of ours, never another host's (RFC 5321 section 2.3.11). A source route is gone before we
look (appendix C). The domain that counts is the last one, as lower-case A-labels.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from postroad.address import Mailbox, normal_domain, parse_mailbox
from postroad.envelope import NewRecipient
from postroad.policy.stages import SessionFacts, Transaction
from postroad.replies import Reply
from postroad.smtp.events import RecipientGiven, SenderGiven

RELAYING_DENIED: Final = Reply(550, "Relaying denied", "5.7.1")
UNKNOWN_USER: Final = Reply(550, "No such user here", "5.1.1")
AUTHENTICATION_REQUIRED: Final = Reply(530, "Authentication required", "5.7.0")
SENDER_NOT_YOURS: Final = Reply(553, "This account may not send with this reverse-path", "5.7.1")

NO_ROUTE: Final = "no route"
ROUTE_IS_HOLD: Final = "the route is hold"
INBOX: Final = "inbox"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an accepted recipient goes."""

    domain: str
    """What deliveries are batched by."""
    hold: str = ""
    """Why it does not go now; empty: it goes."""
    mailbox: Mailbox | None = None
    """Who gets it; None: the mailbox that was named."""


@dataclass(frozen=True, slots=True)
class LocalDomain:
    """A domain of ours."""

    name: str
    """Lower-case A-labels or an address literal."""
    recipients: Mapping[str, str] | None
    """A local part as ``fold`` gives it -> as the operator wrote it; None: every local part exists."""
    postmaster: Mailbox | None
    """Who gets the mail for postmaster; None: the domain's own postmaster."""
    destination: Destination
    """Where its mail goes; held until the operator releases it when the domain is on hold."""
    is_final: bool = False
    """The mailboxes are on this host, so that ``Kana`` and ``kana`` are one even where every local part exists."""

    @classmethod
    def of(
        cls,
        name: str,
        recipients: Iterable[str] | None = None,
        postmaster: str = "",
        on_hold: bool = False,
        is_final: bool = False,
    ) -> LocalDomain:
        """Make one from the texts of settings; raises AddressSyntaxError."""
        own = normal_domain(name)
        return cls(
            name=own,
            recipients=None if recipients is None else {fold(one): one for one in recipients},
            postmaster=parse_mailbox(postmaster) if postmaster else None,
            destination=Destination(own, ROUTE_IS_HOLD if on_hold else ""),
            is_final=is_final,
        )

    def spelling(self, local_part: str) -> str | None:
        """The mailbox that ``local_part`` names, None when there is none.

        Case does not matter here, and only here: the host of a mailbox may say so (RFC 5321 section 2.4).
        """
        if self.recipients is not None:
            return self.recipients.get(fold(local_part))
        return fold(local_part) if self.is_final else local_part


def fold(local_part: str) -> str:
    """A local part as our own domains compare it."""
    return local_part.lower() if local_part.isascii() else unicodedata.normalize("NFC", local_part).casefold()


Domains = Mapping[str, LocalDomain]
#: A domain that is not ours (normal form) -> why its mail is held, ``""``: it goes.
Elsewhere = Callable[[str], str]


def _nowhere(domain: str) -> str:
    return NO_ROUTE


def decide(
    mailbox: Mailbox, domains: Domains, hostname: str, may_relay: bool, elsewhere: Elsewhere = _nowhere
) -> Destination | Reply:
    """The relay decision, all of it: where ``mailbox`` goes, or why it is refused.

    ``domains`` are ours by name, ``hostname`` is this host's name in normal form, ``may_relay`` says that the client
    has authenticated or is in a trusted network, ``elsewhere`` knows of domains that are not ours.
    """
    name = mailbox.destination
    domain = domains.get(name)
    if len(mailbox.local_part) == 10 and mailbox.is_postmaster and (domain is not None or name in ("", hostname)):
        return _to_postmaster(domain or next(iter(domains.values()), None), domains, hostname, elsewhere)
    if domain is not None:
        return _within(mailbox, domain)
    return Destination(name, elsewhere(name)) if may_relay else RELAYING_DENIED


def _within(mailbox: Mailbox, domain: LocalDomain) -> Destination | Reply:
    spelling = domain.spelling(mailbox.local_part)
    if spelling is None:
        return UNKNOWN_USER
    if spelling == mailbox.local_part:
        return domain.destination
    return replace(domain.destination, mailbox=Mailbox(spelling, mailbox.domain))


def _to_postmaster(domain: LocalDomain | None, domains: Domains, hostname: str, elsewhere: Elsewhere) -> Destination:
    """Postmaster is always accepted (RFC 5321 section 4.5.1); without a domain of ours the operator finds it held."""
    if domain is None:
        return Destination(hostname, NO_ROUTE, Mailbox("postmaster", hostname))
    if domain.postmaster is None:
        return replace(domain.destination, mailbox=Mailbox("postmaster", domain.name))
    target = domain.postmaster
    home = domains.get(target.destination)
    return replace(
        home.destination if home else Destination(target.destination, elsewhere(target.destination)), mailbox=target
    )


class Relaying:
    """The relay decision as a policy of the recipient stage."""

    def __init__(self, domains: Iterable[LocalDomain], hostname: str, elsewhere: Elsewhere = _nowhere) -> None:
        self.domains: Domains = {domain.name: domain for domain in domains}
        self.elsewhere = elsewhere
        self.hostname = normal_domain(hostname)

    def on_recipient(self, facts: SessionFacts, transaction: Transaction, recipient: RecipientGiven) -> Reply | None:
        """550 5.7.1 for a stranger's mail to strangers, 550 5.1.1 for a mailbox that we do not have."""
        found = decide(recipient.forward_path, self.domains, self.hostname, bool(facts.account) or facts.trusted)
        return found if isinstance(found, Reply) else None

    def new_recipient(self, recipient: RecipientGiven) -> NewRecipient:
        """An accepted recipient as the spool takes it."""
        found = decide(recipient.forward_path, self.domains, self.hostname, True, self.elsewhere)
        if isinstance(found, Reply):  # settings changed between RCPT and now: accepted is accepted
            found = Destination(recipient.forward_path.destination, NO_ROUTE)
        path = recipient.forward_path if found.mailbox is None else found.mailbox
        return NewRecipient(str(path), found.domain, str(recipient.parameters), found.hold)


class Catching:
    """Dev mode: every recipient is taken and stays in the inbox; nothing can leave the machine."""

    def new_recipient(self, recipient: RecipientGiven) -> NewRecipient:
        """An accepted recipient as the spool takes it."""
        mailbox = recipient.forward_path
        return NewRecipient(str(mailbox), mailbox.destination or "localhost", str(recipient.parameters), INBOX)


class SubmittersOnly:
    """Submission: who has neither authenticated nor is trusted may not even begin (RFC 6409 section 4.3)."""

    def on_sender(self, facts: SessionFacts, sender: SenderGiven) -> Reply | None:
        """530 5.7.0 until the client has authenticated or is trusted."""
        return None if facts.account or facts.trusted else AUTHENTICATION_REQUIRED


class OwnSenders:
    """Accounts that may send with some reverse-paths only."""

    def __init__(self, senders: Mapping[str, Iterable[str] | None]) -> None:
        """Account -> ``local@domain`` or ``@domain``; None or absent: any. Raises AddressSyntaxError."""
        self._senders = {name: frozenset(map(_sender, own)) for name, own in senders.items() if own is not None}

    def on_sender(self, facts: SessionFacts, sender: SenderGiven) -> Reply | None:
        """553 5.7.1 for another's reverse-path; the null reverse-path is everybody's (RFC 6409 section 3.2)."""
        own = self._senders.get(facts.account) if facts.account else None
        path = sender.reverse_path
        if own is None or path is None:
            return None
        return None if f"@{path.destination}" in own or _compared(path) in own else SENDER_NOT_YOURS


def _sender(pattern: str) -> str:
    return f"@{normal_domain(pattern[1:])}" if pattern.startswith("@") else _compared(parse_mailbox(pattern))


def _compared(mailbox: Mailbox) -> str:
    return f"{fold(mailbox.local_part)}@{mailbox.destination}"
