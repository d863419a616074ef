"""A stored message as a request to the next hop: its paths and parameters read back from the spool."""

from __future__ import annotations

from postroad.envelope import StoredMessage
from postroad.smtp.negotiation import ContentNeeds, Settled, Wanted


def wanted_from(message: StoredMessage, needs: ContentNeeds, now: float | None = None) -> tuple[Wanted, list[Settled]]:
    """What can be asked for, and whom nothing can be asked for: their stored text cannot be read (all FAILED).

    ``now`` (seconds since the epoch) takes what has passed since the message arrived from the time of BY (RFC 2852
    section 4.1.4); None: nothing has.
    """
    raise NotImplementedError
