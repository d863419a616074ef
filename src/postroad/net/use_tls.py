"""What to do about TLS on the way out: a name alone, so that settings can say it without any machinery of connections."""

from __future__ import annotations

from enum import Enum


class UseTls(Enum):
    """What to do about STARTTLS (with TLS from the first octet: which certificates are good)."""

    NEVER = "never"
    OPPORTUNISTIC = "opportunistic"
    """When offered, with any certificate; in clear when the handshake fails. For a password to another machine: VERIFIED."""
    REQUIRED = "required"
    """Or no mail; any certificate."""
    VERIFIED = "verified"
    """Or no mail; the certificate must carry the host's name and lead to a trusted authority."""
