"""LOGIN: two questions, user name and password; never standardised, asked for by many clients."""

from __future__ import annotations

from postroad.smtp.sasl.mechanism import Credentials, SaslFault, text_of


class Login:
    """The server's side of LOGIN."""

    __slots__ = ("_name",)

    def __init__(self) -> None:
        self._name: str | None = None

    def first_challenge(self) -> bytes:
        """The words that clients look for."""
        return b"Username:"

    def respond(self, response: bytes) -> bytes | Credentials:
        """The first response (or the initial one) is the name, the second the password."""
        text = text_of(response)
        if self._name is not None:
            return Credentials("", self._name, text)
        if not text:
            raise SaslFault("an empty user name")
        self._name = text
        return b"Password:"
