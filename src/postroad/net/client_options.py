"""What a client is told: how it presents itself, what one letter carries, and the fault when no session came about."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from postroad.address import Mailbox
from postroad.errors import PostroadError
from postroad.net.use_tls import UseTls
from postroad.replies import Reply
from postroad.smtp.client_timeouts import ClientTimeouts
from postroad.smtp.parameters import NOTHING_GIVEN, Given

#: How far the beginning of a session came.
ConnectStage = Literal["CONNECT", "GREETING", "EHLO", "STARTTLS", "AUTH"]

#: Direction (``C`` we, ``S`` the host, ``*`` a remark) and text of one line, secrets blanked.
Listener = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How we present ourselves and how long we wait."""

    hello: str
    """Our name or address literal for EHLO."""
    tls: UseTls = UseTls.OPPORTUNISTIC
    context: ssl.SSLContext | None = None
    """For TLS with any certificate; None: one of our own."""
    timeouts: ClientTimeouts = field(default_factory=ClientTimeouts)
    connect_timeout: float = 30.0
    """Seconds for each address."""
    account: str = ""
    password: str = field(default="", repr=False)
    verifying: ssl.SSLContext | None = None
    """For VERIFIED; None: with the system's authorities."""
    implicit_tls: bool = False
    """TLS from the first octet (RFC 8314), with the certificates that ``tls`` asks for."""
    source: str = ""
    """The address to connect from; empty: the system chooses."""
    mechanisms: tuple[str, ...] = ()
    """SASL mechanisms in the order of preference; empty: PLAIN, LOGIN."""
    auth_in_clear: bool = False
    """Whether the password may go to another machine without TLS."""
    listener: Listener | None = None
    """Hears every line as it is said; see ``SmtpClient.on_line``."""
    until: ConnectStage = "AUTH"
    """Where the beginning of the session ends; before ``AUTH`` it is good for looking around only."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What one transaction carries."""

    reverse_path: Mailbox | None
    recipients: Sequence[tuple[Mailbox, Given]]
    content: Callable[[], AsyncIterator[bytes]]
    """The octets in blocks, CRLF everywhere (any octets with BODY=BINARYMIME); called once, when they are wanted."""
    parameters: Given = NOTHING_GIVEN
    bdat: bool = False
    """Content by BDAT (RFC 3030); the host must have announced CHUNKING."""
    pipelining: bool = True
    """Whether a group of commands goes out at once where the host announced PIPELINING."""


class ConnectFault(PostroadError):
    """No session came about: no connection, a refusal before MAIL, garbage, or a deadline passed."""

    def __init__(
        self,
        message: str,
        host: str = "",
        reply: Reply | None = None,
        transcript: str = "",
        stage: ConnectStage = "CONNECT",
        seconds: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.host = host
        self.reply = reply
        """The host's, when it refused in words."""
        self.transcript = transcript
        """Of every address that was tried, in turn."""
        self.stage: ConnectStage = stage
        """How far the last address came: no connection, no proper greeting, EHLO, TLS or AUTH not done."""
        self.seconds = seconds
        """How long all of it took."""


class TlsFault(ConnectFault):
    """TLS was begun and did not come about; in clear there might be a session."""
