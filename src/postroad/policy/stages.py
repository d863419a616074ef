"""The stages of a session at which people decide; one small Protocol each (RFC 5321 leaves policy to the site).

A stage answers with a Verdict: None to pass, a Reply to refuse, an Act for what dev mode does besides. The first
verdict that is not None wins, in the order in which settings name the policies. A stage that needs to wait returns an
awaitable of a Verdict; one that does not costs no task.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from postroad.address import Mailbox
from postroad.replies import Reply
from postroad.smtp.events import AuthGiven, HelloGiven, RecipientGiven, SenderGiven


@dataclass(frozen=True, slots=True)
class Act:
    """A verdict with side effects on the connection: wait ``delay`` seconds, say ``reply`` (None: pass), then close."""

    reply: Reply | None = None
    delay: float = 0.0
    close: bool = False


Verdict = Reply | Act | None
Decision = Verdict | Awaitable[Verdict]


class SessionFacts:
    """What is known about a session; the driver fills it as the session goes on."""

    __slots__ = (
        "account",
        "esmtp",
        "hello",
        "id",
        "listener",
        "local_host",
        "local_port",
        "peer_host",
        "peer_port",
        "tls",
        "trusted",
    )

    def __init__(self, id: str, listener: str, peer: tuple[str, int], local: tuple[str, int]) -> None:
        self.id = id
        self.listener = listener  # "mx", "submission", "submissions" or "dev"
        self.peer_host, self.peer_port = peer
        self.local_host, self.local_port = local
        self.hello = ""
        self.esmtp = False
        self.account = ""  # the authenticated account
        self.trusted = False  # the peer is in the listener's trusted_networks
        self.tls = ""  # "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" in clear


@dataclass(slots=True)
class Transaction:
    """One message on its way in, between MAIL and the end of its content."""

    sender: SenderGiven
    recipients: list[RecipientGiven]
    header: bytes = b""
    """The header section of the content, at most ``[limits] header_size`` octets; known at the message stage."""
    size: int = 0
    """Octets of content; known at the message stage."""

    @property
    def reverse_path(self) -> Mailbox | None:
        """The sender, None for ``<>``."""
        return self.sender.reverse_path


@runtime_checkable
class OnConnect(Protocol):
    """Before the greeting."""

    def on_connect(self, facts: SessionFacts) -> Decision: ...


@runtime_checkable
class OnHello(Protocol):
    """At EHLO or HELO."""

    def on_hello(self, facts: SessionFacts, hello: HelloGiven) -> Decision: ...


@runtime_checkable
class OnAuth(Protocol):
    """At the end of a SASL exchange, before the password is checked."""

    def on_auth(self, facts: SessionFacts, auth: AuthGiven) -> Decision: ...


@runtime_checkable
class OnSender(Protocol):
    """At MAIL."""

    def on_sender(self, facts: SessionFacts, sender: SenderGiven) -> Decision: ...


@runtime_checkable
class OnRecipient(Protocol):
    """At each RCPT."""

    def on_recipient(self, facts: SessionFacts, transaction: Transaction, recipient: RecipientGiven) -> Decision: ...


@runtime_checkable
class OnContent(Protocol):
    """At DATA or the first BDAT."""

    def on_content(self, facts: SessionFacts, transaction: Transaction) -> Decision: ...


@runtime_checkable
class OnMessage(Protocol):
    """After the content, before it is accepted."""

    def on_message(self, facts: SessionFacts, transaction: Transaction) -> Decision: ...


Policy = OnConnect | OnHello | OnAuth | OnSender | OnRecipient | OnContent | OnMessage


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of a listener, a tuple a stage, in the order in which they are asked."""

    connect: tuple[OnConnect, ...] = ()
    hello: tuple[OnHello, ...] = ()
    auth: tuple[OnAuth, ...] = ()
    sender: tuple[OnSender, ...] = ()
    recipient: tuple[OnRecipient, ...] = ()
    content: tuple[OnContent, ...] = ()
    message: tuple[OnMessage, ...] = ()

    @classmethod
    def of(cls, *policies: Policy) -> Policies:
        """Sort policies into the stages for which they have a method, keeping their order."""

        return cls(
            connect=tuple(policy for policy in policies if isinstance(policy, OnConnect)),
            hello=tuple(policy for policy in policies if isinstance(policy, OnHello)),
            auth=tuple(policy for policy in policies if isinstance(policy, OnAuth)),
            sender=tuple(policy for policy in policies if isinstance(policy, OnSender)),
            recipient=tuple(policy for policy in policies if isinstance(policy, OnRecipient)),
            content=tuple(policy for policy in policies if isinstance(policy, OnContent)),
            message=tuple(policy for policy in policies if isinstance(policy, OnMessage)),
        )
