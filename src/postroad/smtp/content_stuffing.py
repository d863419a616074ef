"""Content on its way out: never a bare CR, LF or NUL; dots doubled for DATA, octets as they are for BDAT.

RFC 5321 section 4.5.2 (transparency) and section 2.3.8 (CRLF only), RFC 3030 section 2 (BDAT asks the same of text).
Works on blocks of any size in linear time and keeps one octet between two of them. What the spool keeps is strict
already; the check here is the last one before another host, because a bare LF that goes on is how one message becomes
two there. Only BODY=BINARYMIME, which BDAT alone can carry, may hold any octets.
"""

from __future__ import annotations

from typing import Final

from postroad.errors import LocalProtocolError
from postroad.smtp.content_framing import is_sound

#: Where octets that break the rule come from, for whoever reads the message of the exception.
_HINT: Final = "give lines that end in CRLF, or send it as BODY=BINARYMIME to a host that takes it"


class ContentGuard:
    """Passes sound text on: ``write`` every block, then ``finish``. A CR at a block's end waits for the next block."""

    __slots__ = ("_held_cr", "at_line_start")

    def __init__(self) -> None:
        self.at_line_start = True
        """Whether what was passed on ends with a whole line (or nothing was)."""
        self._held_cr = False

    def write(self, block: bytes) -> bytes:
        """The octets to send for ``block``; raises LocalProtocolError before any octet of a bad block is given."""
        if self._held_cr:
            block = b"\r" + block
        self._held_cr = block.endswith(b"\r")
        if self._held_cr:
            block = block[:-1]  # whether it is bare shows the next block
        if not block:
            return b""
        if not is_sound(block):
            what = "NUL" if b"\x00" in block else "bare CR or LF"
            raise LocalProtocolError(f"the content holds a {what}, which is never passed on", _HINT)
        self.at_line_start = block.endswith(b"\r\n")
        return block

    def finish(self) -> bytes:
        """The last line's CRLF when it has none."""
        if self._held_cr:
            raise LocalProtocolError("the content ends with a bare CR, which is never passed on", _HINT)
        return b"" if self.at_line_start else b"\r\n"


class ContentStuffer:
    """One content as DATA sends it: ``write`` every block, then ``finish``."""

    __slots__ = ("_guard",)

    def __init__(self) -> None:
        self._guard = ContentGuard()

    def write(self, block: bytes) -> bytes:
        """The octets to send for ``block``; raises LocalProtocolError before any octet of a bad block is given."""
        began_line = self._guard.at_line_start
        block = self._guard.write(block)
        stuffed = block.replace(b"\r\n.", b"\r\n..")
        return b"." + stuffed if began_line and block.startswith(b".") else stuffed

    def finish(self) -> bytes:
        """What ends the content: the last line's CRLF when it has none, then the dot."""
        return self._guard.finish() + b".\r\n"
