"""SASL mechanisms: a challenge out, a response in, no I/O (RFC 4954, RFC 4422)."""

from postroad.smtp.sasl.login import Login
from postroad.smtp.sasl.mechanism import Credentials, Mechanism, SaslFault
from postroad.smtp.sasl.plain import Plain

#: Mechanisms a server may offer, by name, in order of preference. Both need TLS or a loopback peer.
MECHANISMS: dict[str, type[Mechanism]] = {"PLAIN": Plain, "LOGIN": Login}

__all__ = ["MECHANISMS", "Credentials", "Login", "Mechanism", "Plain", "SaslFault"]
