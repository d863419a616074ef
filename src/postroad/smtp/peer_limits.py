"""What a host said about its own limits (LIMITS, RFC 9422), read strictly: what is malformed says nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

#: RFC 9422 section 4: no zero, six digits at most.
_LIMIT: Final = re.compile(r"(MAILMAX|RCPTMAX|RCPTDOMAINMAX)=([1-9][0-9]{0,5})\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """None: not said, so no limit is known."""

    mailmax: int | None = None
    """Transactions in one session."""
    rcptmax: int | None = None
    """RCPT commands in one transaction."""
    rcptdomainmax: int | None = None
    """Different domains among the recipients of one session's transaction."""


def read_limits(text: str) -> PeerLimits:
    """The parameters of the LIMITS keyword; of a limit that is said twice the smaller one holds."""
    found: dict[str, int] = {}
    for word in text.split(" "):
        limit = _LIMIT.match(word)
        if limit is not None:
            keyword, value = limit[1].lower(), int(limit[2])  # strict: _LIMIT matched the digits
            found[keyword] = min(value, found.get(keyword, value))
    return PeerLimits(found.get("mailmax"), found.get("rcptmax"), found.get("rcptdomainmax"))
