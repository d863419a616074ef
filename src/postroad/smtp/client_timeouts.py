"""How long a client waits for each thing (RFC 5321 section 4.5.3.2); seconds as data, the driver has the clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from postroad.smtp.states import State, Verb


@dataclass(frozen=True, slots=True)
class Patience:
    """What is waited for, in words for people, and for how many seconds at most."""

    what: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ClientTimeouts:
    """Seconds; the defaults are the least that RFC 5321 section 4.5.3.2 names, and ours where it names none."""

    greeting: float = 300.0
    hello: float = 300.0
    starttls: float = 120.0
    handshake: float = 60.0
    auth: float = 120.0
    mail: float = 300.0
    rcpt: float = 300.0
    data: float = 120.0
    block: float = 180.0
    """For the host to take the next block of content."""
    chunk: float = 300.0
    """For the answer to a chunk of BDAT that is not the last."""
    content: float = 600.0
    """For the answer to the final dot or the last chunk: giving up early is what makes duplicates (RFC 1047)."""
    transaction: float = 14_400.0
    """For one whole transaction up to the final dot, however willingly the host answers now and then."""
    other: float = 60.0
    quit: float = 10.0

    def for_reply(self, verb: Verb | None) -> Patience:
        """For the answer to a command; None: to the content."""
        if verb is None:
            return Patience("the reply to the content", self.content)
        return Patience(f"the reply to {verb.value}", getattr(self, _FIELDS.get(verb, "other")))

    def for_chunk(self) -> Patience:
        """For the answer to a chunk that is not the last."""
        return Patience("the reply to BDAT", self.chunk)

    def for_state(self, state: State) -> Patience | None:
        """For what is due when no reply is."""
        match state:
            case State.CONNECTED:
                return Patience("the greeting", self.greeting)
            case State.HANDSHAKE:
                return Patience("the TLS handshake", self.handshake)
            case State.CONTENT | State.CHUNKS:
                return Patience("the host to take content", self.block)
            case _:
                return None


_FIELDS: Final = {
    Verb.EHLO: "hello",
    Verb.HELO: "hello",
    Verb.LHLO: "hello",
    Verb.STARTTLS: "starttls",
    Verb.AUTH: "auth",
    Verb.MAIL: "mail",
    Verb.RCPT: "rcpt",
    Verb.DATA: "data",
    Verb.QUIT: "quit",
}
