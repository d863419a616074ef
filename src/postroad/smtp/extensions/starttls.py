"""STARTTLS (RFC 3207): offered until TLS is active, never inside it."""

from postroad.smtp.parameters import Extension, Traits
from postroad.smtp.states import Verb


def _announce(traits: Traits) -> str | None:
    return None if traits.tls else "STARTTLS"


STARTTLS = Extension(keyword="STARTTLS", rfc="RFC 3207", verbs=(Verb.STARTTLS,), announce=_announce)
