"""Carries a negotiation out over a connection: plan after plan, until everybody is settled or the connection ends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from postroad.net.smtp_client import SmtpClient
from postroad.smtp.negotiation import Form, Negotiation


async def carry(client: SmtpClient, negotiation: Negotiation, content: Callable[[Form], AsyncIterator[bytes]]) -> None:
    """Say what the negotiation plans; ``content`` gives the octets in the form that is asked for, again and again."""
    raise NotImplementedError
