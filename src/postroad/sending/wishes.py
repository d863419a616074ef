"""What ``send`` may be told, with its defaults; the same names as keywords of the call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict

from postroad.delivery.mx import MxRouting
from postroad.sending.dialogue import DialogueListener

TlsMode = Literal["auto", "never", "opportunistic", "require", "verify", "implicit"]
Stage = Literal["", "connect", "ehlo", "tls", "auth", "mail", "rcpt", "data"]
Family = Literal[0, 4, 6]


class SendOptions(TypedDict, total=False):
    """The keywords of ``send``; what each means, and its default, stands at ``Wishes``."""

    sender: str | None
    to: Sequence[str] | str | None
    bcc: Sequence[str]
    server: str
    lmtp: bool
    tls: TlsMode
    tls_ca: Path | str | None
    user: str
    password: str
    mechanism: str
    parameters: Sequence[str]
    adapt: bool
    retry: float
    pause: float
    hello: str
    source: str
    family: Family
    timeout: float | None
    pipelining: bool
    bdat: bool
    stop_after: Stage
    listener: DialogueListener | None
    routing: MxRouting | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """How a message is to be sent."""

    sender: str | None = None
    """The reverse-path; None: from the header; ``""``: the null one."""
    to: Sequence[str] | str | None = None
    """The recipients; None: from the header."""
    bcc: Sequence[str] = ()
    """Further recipients, who stand nowhere in the message."""
    server: str = ""
    """``HOST[:PORT]``, ``smtps:HOST``, ``lmtp:HOST:PORT``, ``lmtp:/socket``; empty: by the MX of each recipient's domain."""
    lmtp: bool = False
    tls: TlsMode = "auto"
    """``auto``: verified with ``user`` (but for this machine) or ``tls_ca``, else opportunistic. ``implicit``: from the
    first octet, verified."""
    tls_ca: Path | str | None = None
    """A PEM file of the authorities to trust; None: the system's."""
    user: str = ""
    """The account for AUTH; empty: none."""
    password: str = field(default="", repr=False)
    mechanism: str = ""
    """Of SASL; empty: PLAIN, else LOGIN."""
    parameters: Sequence[str] = ()
    """``RET=HDRS``, ``NOTIFY=NEVER``, …, each put on its command; ``mail:X=1`` and ``rcpt:X=1`` go as they are."""
    adapt: bool = True
    """Leave out a refused parameter where that is safe, and try again at once."""
    retry: float = 0.0
    """Seconds for which temporary results are tried again."""
    pause: float = 5.0
    """Seconds before the second try; doubled each time, to 300 at most."""
    hello: str = ""
    """Our name for EHLO; empty: this machine's, else the address that we speak from."""
    source: str = ""
    """The address to connect from; empty: the system chooses."""
    family: Family = 0
    """4 or 6: only IP addresses of this version."""
    timeout: float | None = None
    """Seconds for every single wait; None: those of RFC 5321 section 4.5.3.2, and 30 for a connection."""
    pipelining: bool = True
    bdat: bool = False
    """Content by BDAT where the host announces CHUNKING."""
    stop_after: Stage = ""
    """End the session politely after this stage; nothing is sent."""
    listener: DialogueListener | None = field(default=None, repr=False)
    """Hears the dialogue as it happens."""
    routing: MxRouting | None = None
    """Finds mail hosts; None: through the system's resolvers."""

    @property
    def people(self) -> Sequence[str] | None:
        """The recipients as a list; one address alone is one."""
        return [self.to] if isinstance(self.to, str) else self.to
