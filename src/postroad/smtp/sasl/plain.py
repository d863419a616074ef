"""PLAIN (RFC 4616): one message, ``authzid NUL authcid NUL password``."""

from __future__ import annotations

from postroad.smtp.sasl.mechanism import Credentials, SaslFault, text_of


class Plain:
    """The server's side of PLAIN."""

    __slots__ = ()

    def first_challenge(self) -> bytes:
        """Client-first: the challenge is empty."""
        return b""

    def respond(self, response: bytes) -> bytes | Credentials:
        """Read the one message."""
        parts = response.split(b"\0")
        if len(parts) != 3 or not parts[1]:
            raise SaslFault("PLAIN needs three parts")
        authorization_id, authentication_id, password = (text_of(part) for part in parts)
        return Credentials(authorization_id, authentication_id, password)
