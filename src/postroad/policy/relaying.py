"""Who may send to whom through this server: everything that would make an open relay is decided in ``decide``.

A recipient is accepted when it is in one of our domains and exists there, when it is the postmaster, or when the client
has authenticated or is trusted; nothing else is. The local part is opaque: ``a%b@ours``, ``b!a@ours`` and
``"a@b"@ours`` are mailboxes of ours, never another host's (RFC 5321 section 2.3.11). A source route is gone before we
look (appendix C). The domain that counts is the last one, as lower-case A-labels.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
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
    recipients: frozenset[str] | None
    """Local parts as ``fold`` gives them; None: every local part exists."""
    postmaster: Mailbox | None
    """Who gets the mail for postmaster; None: the domain's own postmaster."""
    destination: Destination
    """Where its mail goes; held until the operator releases it when the domain is on hold."""

    @classmethod
    def of(
        cls, name: str, recipients: Iterable[str] | None = None, postmaster: str = "", on_hold: bool = False
    ) -> LocalDomain:
        """Make one from the texts of settings; raises AddressSyntaxError."""
        own = normal_domain(name)
        return cls(
            name=own,
            recipients=None if recipients is None else frozenset(map(fold, recipients)),
            postmaster=parse_mailbox(postmaster) if postmaster else None,
            destination=Destination(own, ROUTE_IS_HOLD if on_hold else ""),
        )

    def knows(self, local_part: str) -> bool:
        """Whether this mailbox exists; here, and only here, case does not matter (RFC 5321 section 2.4)."""
        return self.recipients is None or fold(local_part) in self.recipients


def fold(local_part: str) -> str:
    """A local part as our own domains compare it."""
    return local_part.lower() if local_part.isascii() else unicodedata.normalize("NFC", local_part).casefold()


Domains = Mapping[str, LocalDomain]


def decide(mailbox: Mailbox, domains: Domains, hostname: str, may_relay: bool) -> Destination | Reply:
    """The relay decision, all of it: where ``mailbox`` goes, or why it is refused.

    ``domains`` are ours by name, ``hostname`` is this host's name in normal form, ``may_relay`` says that the client
    has authenticated or is in a trusted network.
    """
    name = mailbox.destination
    domain = domains.get(name)
    if len(mailbox.local_part) == 10 and mailbox.is_postmaster and (domain is not None or name in ("", hostname)):
        return _to_postmaster(mailbox, domain or next(iter(domains.values()), None), domains, hostname)
    if domain is not None:
        return domain.destination if domain.knows(mailbox.local_part) else UNKNOWN_USER
    return Destination(name, NO_ROUTE) if may_relay else RELAYING_DENIED


def _to_postmaster(mailbox: Mailbox, domain: LocalDomain | None, domains: Domains, hostname: str) -> Destination:
    """Postmaster is always accepted (RFC 5321 section 4.5.1); without a domain of ours the operator finds it held."""
    if domain is None:
        return Destination(hostname, NO_ROUTE, Mailbox(mailbox.local_part, hostname))
    if domain.postmaster is None:
        if mailbox.destination == domain.name:
            return domain.destination
        return replace(domain.destination, mailbox=Mailbox(mailbox.local_part, domain.name))
    target = domain.postmaster
    home = domains.get(target.destination)
    return replace(home.destination if home else Destination(target.destination, NO_ROUTE), mailbox=target)


class Relaying:
    """The relay decision as a policy of the recipient stage."""

    def __init__(self, domains: Iterable[LocalDomain], hostname: str) -> None:
        self.domains: Domains = {domain.name: domain for domain in domains}
        self.hostname = normal_domain(hostname)

    def on_recipient(self, facts: SessionFacts, transaction: Transaction, recipient: RecipientGiven) -> Reply | None:
        """550 5.7.1 for a stranger's mail to strangers, 550 5.1.1 for a mailbox that we do not have."""
        found = decide(recipient.forward_path, self.domains, self.hostname, bool(facts.account) or facts.trusted)
        return found if isinstance(found, Reply) else None

    def new_recipient(self, recipient: RecipientGiven) -> NewRecipient:
        """An accepted recipient as the spool takes it."""
        found = decide(recipient.forward_path, self.domains, self.hostname, may_relay=True)
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
