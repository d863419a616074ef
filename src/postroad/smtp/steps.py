"""What one step of the server engine comes to: an event, a reply to say, or the end of the connection."""

from __future__ import annotations

from dataclasses import dataclass

from postroad.replies import Reply
from postroad.smtp.events import ServerEvent


@dataclass(frozen=True, slots=True)
class HangUp:
    """Say the reply and close: the peer broke the protocol in a way that cannot be gone on from."""

    reply: Reply


#: None: nothing to say and nothing to tell, the next step may follow.
Step = ServerEvent | Reply | HangUp | None
