"""Content as DATA sends it: dots doubled at the start of lines, ended by CRLF.CRLF, and never a bare CR, LF or NUL.

RFC 5321 section 4.5.2 (transparency) and section 2.3.8 (CRLF only). Works on blocks of any size in linear time and
keeps one octet between two of them. What the spool keeps is strict already; the check here is the last one before
another host, because a bare LF that goes on is how one message becomes two there.
"""

from __future__ import annotations

from postroad.errors import LocalProtocolError


class ContentStuffer:
    """One content on its way out: ``write`` every block, then ``finish``."""

    __slots__ = ("_at_line_start", "_held_cr")

    def __init__(self) -> None:
        self._at_line_start = True
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
        pairs = block.count(b"\r\n")
        if block.count(b"\n") != pairs or block.count(b"\r") != pairs:
            raise LocalProtocolError("the content holds a bare CR or LF, which is never passed on")
        if b"\x00" in block:
            raise LocalProtocolError("the content holds a NUL, which is never passed on")
        stuffed = block.replace(b"\r\n.", b"\r\n..")
        if self._at_line_start and block.startswith(b"."):
            stuffed = b"." + stuffed
        self._at_line_start = block.endswith(b"\r\n")
        return stuffed

    def finish(self) -> bytes:
        """What ends the content: the last line's CRLF when it has none, then the dot."""
        if self._held_cr:
            raise LocalProtocolError("the content ends with a bare CR, which is never passed on")
        return b".\r\n" if self._at_line_start else b"\r\n.\r\n"
