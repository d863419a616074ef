"""The header section of content that passes by: found once, bounded, never parsed as a whole."""

from __future__ import annotations

_END = b"\r\n\r\n"
_RECEIVED = b"\r\nreceived:"


class HeaderTap:
    """Watches content blocks until the header section has ended; keeps it, at most ``limit`` octets."""

    __slots__ = ("_limit", "complete", "section", "too_large")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        #: The header section with the CRLF of its last field; what has come of it so far until ``complete``.
        self.section = b""
        self.complete = False
        self.too_large = False

    def feed(self, block: bytes) -> None:
        """Take the next block of content."""
        if self.complete:
            return
        # The empty line may stand across two blocks: look at the last three octets again.
        before = len(self.section)
        section = self.section + block if before else block
        if section.startswith(b"\r\n"):
            self.section, self.complete = b"", True
            return
        end = section.find(_END, max(0, before - 3))
        if end >= 0:
            self.section, self.complete = section[: end + 2], True
        else:
            self.section = section
        if len(self.section) > self._limit:
            self.section, self.complete, self.too_large = self.section[: self._limit], True, True


def count_received(section: bytes) -> int:
    """How many Received fields a header section has: the hops so far (RFC 5321 section 6.3)."""
    lowered = section.lower()
    return lowered.count(_RECEIVED) + lowered.startswith(_RECEIVED[2:])
