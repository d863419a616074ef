"""What all sessions of a listener have in common, and what a session can wait for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from postroad.replies import Reply
from postroad.smtp import refusals
from postroad.smtp.parameters import ExtensionSet, Traits


class Waiting(Enum):
    """What the engine waits for, hence which deadline the driver keeps."""

    GREETING = "our own greeting"
    COMMAND = "a command"
    CONTENT = "content"
    HANDSHAKE = "the TLS handshake"
    ANSWER = "our own decision"
    NOTHING = "nothing: the session has ended"


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """What all sessions of a listener have in common."""

    hostname: str
    extensions: ExtensionSet
    software: str = "Postroad"
    max_recipients: int = 1000
    max_errors: int = 20
    """So many 5yz replies are answered; after the next one the session is closed with 421."""
    max_junk: int = 100
    """So many commands that bring no mail (RSET, NOOP, VRFY …) are answered between two messages."""
    line_octets: int = 65_536
    """The longest line of content, CRLF included."""
    normalize: bool = False
    """Turn bare CR and bare LF in content into CRLF and drop NUL, instead of refusing."""
    expn: bool = False
    tls_available: bool = False
    mechanisms: tuple[str, ...] = ()
    """SASL mechanisms that AUTH may use."""
    help_url: str = ""
    """Refusals carry this link, ``{code}`` replaced by theirs; empty: none."""
    explain: Callable[[str], str | None] | None = None
    """What HELP says of a topic, in ASCII lines; None for one that is not known."""
    count: Callable[[str, Reply], None] | None = None
    """Told of each reply and of the command that it answers (``CONNECT``: none, ``CONTENT``: the end of content)."""
    _hello: dict[Traits, Reply] = field(default_factory=dict, repr=False, compare=False)

    def hello(self, traits: Traits) -> Reply:
        """The answer to EHLO in such a session."""
        reply = self._hello.get(traits)
        if reply is None:
            reply = self._hello[traits] = refusals.hello(self.hostname, self.extensions.lines(traits))
        return reply
