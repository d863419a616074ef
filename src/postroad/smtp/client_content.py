"""The content of one transaction as octets on the wire: stuffed behind DATA, or counted behind BDAT (RFC 3030)."""

from __future__ import annotations

from postroad.errors import LocalProtocolError
from postroad.smtp.client_commands import Bdat, bdat_line
from postroad.smtp.content_stuffing import ContentGuard, ContentStuffer


class OutgoingContent:
    """One transaction's content: its blocks by DATA, or its chunks by BDAT."""

    __slots__ = ("_guard", "_stuffer", "binary", "refused")

    def __init__(self, *, binary: bool = False) -> None:
        self._stuffer = ContentStuffer()
        self._guard = ContentGuard()
        self.binary = binary
        """BODY=BINARYMIME was said: any octets, by BDAT only."""
        self.refused = False
        """A chunk was, so that no more may follow."""

    def block(self, octets: bytes) -> bytes:
        """What DATA sends for a block; raises LocalProtocolError for what may not be passed on."""
        return self._stuffer.write(octets)

    def dot(self) -> bytes:
        """What ends DATA; raises LocalProtocolError when the content ends with half a newline."""
        return self._stuffer.finish()

    def check_data(self) -> None:
        """Whether DATA may carry it; raises LocalProtocolError (RFC 3030 section 3)."""
        if self.binary:
            raise LocalProtocolError("BODY=BINARYMIME goes by BDAT only")

    def chunk(self, chunk: Bdat) -> tuple[bytes, bytes]:
        """The line of BDAT and its octets; text is checked as for DATA, and its last line ended."""
        octets = chunk.octets
        if not self.binary:
            octets = self._guard.write(octets)
            if chunk.last:
                octets += self._guard.finish()
        return bdat_line(len(octets), last=chunk.last), octets
