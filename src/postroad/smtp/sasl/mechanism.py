"""What a SASL mechanism is to the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class SaslFault(Exception):
    """The client's response does not fit the mechanism."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a finished exchange has brought."""

    authorization_id: str
    authentication_id: str
    password: str

    def __repr__(self) -> str:
        return f"Credentials(authentication_id={self.authentication_id!r})"


class Mechanism(Protocol):
    """One exchange, from the server's side."""

    def first_challenge(self) -> bytes:
        """The challenge when the client sent no initial response; ``b""`` for a client-first mechanism."""
        ...

    def respond(self, response: bytes) -> bytes | Credentials:
        """Take a response; gives the next challenge, or the credentials; raises SaslFault."""
        ...


def text_of(octets: bytes) -> str:
    """A string of a mechanism: UTF-8 without NUL; raises SaslFault."""
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise SaslFault("not UTF-8") from fault
    if "\0" in text:
        raise SaslFault("NUL inside a string")
    return text
