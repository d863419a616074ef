"""8-bit and binary messages made 7-bit for hosts that take no other (RFC 6152 section 3, RFC 2045 section 6).

Each part that needs it is encoded: text as quoted-printable, all else as base64; its Content-Transfer-Encoding says so, and
containers that were called 8bit or binary are called 7bit. Nothing else is touched: all other header fields, parts that
are 7-bit, preambles and delimiters stay octet for octet. What comes out has lines of at most 76 octets where it was encoded.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterable
from typing import Final

from postroad.errors import LocalProtocolError
from postroad.message.part_header import UNENCODED, with_encoding
from postroad.message.parts import Body, Delimiter, Event, Header, PartWalker
from postroad.message.scan import ContentScan, Scan

__all__ = ["ContentScan", "Scan", "SevenBitRecoder"]

_SEVEN_BIT: Final = frozenset(("", "7bit"))
_LINE_OF_BASE64: Final = 57  # octets, which become 76
#: A line without end is written down piece by piece; a piece ends in a soft line break.
_PIECE: Final = 4096
_MAX_LINE: Final = 76
_SOFT: Final = b"=\r\n"


class SevenBitRecoder:
    """Feed it the blocks of a message that was scanned, then ``finish``; raises LocalProtocolError if not recodable."""

    __slots__ = ("_encoder", "_scan", "_walker")

    def __init__(self, scan: Scan) -> None:
        if not scan.recodable:
            raise LocalProtocolError(f"this message cannot be made 7-bit: {scan.reason}")
        self._scan = scan
        self._walker = PartWalker()
        self._encoder: _QuotedPrintable | _Base64 | None = None

    def feed(self, block: bytes) -> bytes:
        """The next block of content; what of the 7-bit form can be said so far."""
        return self._take(self._walker.feed(block))

    def finish(self) -> bytes:
        """No more comes: the rest."""
        rest = self._take(self._walker.finish())
        return rest + self._close(at_end=True)

    def _take(self, events: Iterable[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            match event:
                case Header():
                    out += (self._close(), self._begin(event), event.end)
                case Body(octets=octets):
                    out.append(octets if self._encoder is None else self._encoder.feed(octets))
                case Delimiter(octets=octets):
                    out += (self._close(), octets)
        return b"".join(out)

    def _begin(self, event: Header) -> bytes:
        """The header section of what comes next."""
        header = event.header
        if event.leaf is None or event.leaf not in self._scan.encode:
            foreign = header.encoding in UNENCODED - _SEVEN_BIT
            section = with_encoding(event.section, "7bit") if foreign and not event.sealed else event.section
            is_container = event.leaf is None and event.of_message and bool(self._scan.encode)
            return self._versioned(section, event) if is_container else section
        is_text = header.kind.startswith("text/")
        self._encoder = _QuotedPrintable() if is_text else _Base64()
        return with_encoding(event.section, "quoted-printable" if is_text else "base64", self._added(event))

    def _versioned(self, section: bytes, event: Header) -> bytes:
        """Encodings count only in what says it is MIME (RFC 2045 section 4)."""
        return section if event.header.has_version or event.sealed else section + b"MIME-Version: 1.0\r\n"

    def _added(self, event: Header) -> list[bytes]:
        if not event.of_message:
            return []
        more = [] if event.header.has_version else [b"MIME-Version: 1.0\r\n"]
        if not event.header.has_type:
            # RFC 1428 section 3: unknown-8bit, for 8-bit text of which nobody said what it is.
            charset = b"utf-8" if event.leaf in self._scan.utf8 else b"unknown-8bit"
            more.append(b"Content-Type: text/plain; charset=" + charset + b"\r\n")
        return more

    def _close(self, at_end: bool = False) -> bytes:
        encoder, self._encoder = self._encoder, None
        return b"" if encoder is None else encoder.finish(at_end)


class _Base64:
    """RFC 2045 section 6.8."""

    __slots__ = ("_pending", "_wrote")

    def __init__(self) -> None:
        self._pending = b""
        self._wrote = False

    def feed(self, octets: bytes) -> bytes:
        octets = self._pending + octets
        whole = len(octets) - len(octets) % _LINE_OF_BASE64
        self._pending = octets[whole:]
        return self._write(octets[:whole])

    def finish(self, at_end: bool) -> bytes:
        """The line break behind the last line is the delimiter's own, except at the end of the message."""
        last, self._pending = self._write(self._pending), b""
        return last + b"\r\n" if at_end else last

    def _write(self, octets: bytes) -> bytes:
        starts = range(0, len(octets), _LINE_OF_BASE64)
        lines = [binascii.b2a_base64(octets[at : at + _LINE_OF_BASE64], newline=False) for at in starts]
        if not lines:
            return b""
        text = b"\r\n".join(lines)
        text, self._wrote = (b"\r\n" + text if self._wrote else text), True
        return text


class _QuotedPrintable:
    """RFC 2045 section 6.7; CRLF is a line break, CR and LF alone are octets like others."""

    __slots__ = ("_begun", "_pending")

    def __init__(self) -> None:
        self._pending = b""
        self._begun = False
        """Whether the beginning of the pending line is written down already, with a soft line break behind it."""

    def feed(self, octets: bytes) -> bytes:
        *lines, last = (self._pending + octets).split(b"\r\n")
        out: list[bytes] = []
        for line in lines:
            out.append(_quoted(line, begun=self._begun) + b"\r\n")
            self._begun = False
        while len(last) > _PIECE:
            size = min(_PIECE, len(last) - 1)  # a CR at the end may be half of a CRLF
            out.append(_broken_softly(_quoted(last[:size], begun=self._begun)))
            self._begun, last = True, last[size:]
        self._pending = last
        return b"".join(out)

    def finish(self, at_end: bool) -> bytes:
        """At the end of the message a line that has not ended is broken softly, so that nothing is added to it."""
        last, self._pending = _quoted(self._pending, begun=self._begun), b""
        return _broken_softly(last) if at_end and last else last


def _quoted(line: bytes, *, begun: bool) -> bytes:
    """A line, or a piece of one, without the CRLF at its end; ``begun``: behind a soft line break.

    No line that a soft break begins looks like a delimiter, which only the text in the middle of a line was (RFC 2045
    section 6.7): else a part would end here.
    """
    text = binascii.b2a_qp(line, istext=False).replace(b"=\n", _SOFT)
    text = _SOFT + text if begun else text
    while _SOFT + b"--" in text:
        text = text.replace(_SOFT + b"--", _SOFT + b"=2D=2D" + _SOFT)
    return text.removeprefix(_SOFT) if begun else text


def _broken_softly(text: bytes) -> bytes:
    """With a soft line break at the end; the last letter goes to the next line where there is no room for it."""
    if len(text) - (text.rfind(b"\n") + 1) < _MAX_LINE:
        return text + _SOFT
    letter = 3 if text[-3:-2] == b"=" else 1
    return text[:-letter] + _SOFT + text[-letter:] + _SOFT
