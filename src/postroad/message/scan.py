"""What the octets of a message ask of the hosts that carry it: 8-bit, binary, UTF-8 headers; and can it be made 7-bit?

One pass in blocks of any size, bounded memory. RFC 5322 section 2.1.1 (998 octets a line), RFC 6152, RFC 3030, RFC 6531.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from postroad.message.part_header import UNENCODED, PartHeader
from postroad.message.parts import Body, Delimiter, Event, Header, PartWalker

#: RFC 5322 section 2.1.1, without CRLF.
MAX_LINE: Final = 998
_HELD: Final = 65_536
_DKIM: Final = b"\ndkim-signature:"
#: RFC 2046 sections 5.2.2 and 5.2.3: these are 7-bit by definition.
_NEVER_ENCODED: Final = frozenset(("message/partial", "message/external-body"))


@dataclass(frozen=True, slots=True)
class Scan:
    """What was found in a whole message."""

    eight_bit: bool = False
    """Octets above 127 somewhere."""
    binary: bool = False
    """NUL, CR or LF alone, or a line of more than 998 octets: only BINARYMIME can carry it as it is."""
    utf8_header: bool = False
    """Octets above 127 in the header of the message, of a part or of a message within."""
    recodable: bool = True
    """``SevenBitRecoder`` can make the bodies 7-bit; headers stay as they are."""
    longest_line: int = 0
    """Octets, without CRLF."""
    is_dkim_signed: bool = False
    """Recoding would break a signature."""
    reason: str = ""
    """Why it is not recodable, for people."""
    encode: frozenset[int] = frozenset()
    """The leaves that need an encoding, by their numbers (``parts.Header.leaf``)."""
    utf8: frozenset[int] = frozenset()
    """Those of them that are plain text in UTF-8 and have no Content-Type to say so."""


class ContentScan:
    """Feed it blocks, then ``finish``."""

    __slots__ = ("_all", "_dkim", "_encode", "_held", "_leaf", "_reason", "_utf8", "_utf8_header", "_walker")

    def __init__(self) -> None:
        self._walker = PartWalker()
        self._all = Octets()
        self._leaf: _Leaf | None = None
        self._encode: set[int] = set()
        self._utf8: set[int] = set()
        self._reason = ""
        self._dkim = self._utf8_header = False
        self._held: bytes | None = b""
        """A small message is looked at once, at its end."""

    def feed(self, block: bytes) -> None:
        """Take the next block of content."""
        self._all.feed(block)
        if self._held is None:
            self._take(self._walker.feed(block))
            return
        self._held = self._held + block if self._held else block
        if len(self._held) > _HELD:
            self._look_inside()

    def finish(self) -> Scan:
        """No more comes."""
        found = self._all
        found.finish()
        if self._held is not None:
            if not found.eight_bit and not found.is_binary:  # most mail: its parts do not matter
                end = self._held.find(b"\r\n\r\n")
                header = b"\n" + self._held[: end if end >= 0 else len(self._held)].lower()
                return Scan(longest_line=found.longest, is_dkim_signed=_DKIM in header)
            self._look_inside()
        self._take(self._walker.finish())
        self._close()
        if self._walker.fault and (found.eight_bit or found.is_binary):
            self._reason = self._reason or self._walker.fault
        return Scan(
            found.eight_bit,
            found.is_binary,
            self._utf8_header,
            not self._reason,
            found.longest,
            self._dkim,
            self._reason,
            frozenset(self._encode),
            frozenset(self._utf8),
        )

    def _look_inside(self) -> None:
        held, self._held = self._held, None
        self._take(self._walker.feed(held or b""))

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case Body(octets=octets, leaf=None):
                    self._outside(octets)
                case Body(octets=octets):
                    if self._leaf is not None:
                        self._leaf.feed(octets)
                case Header():
                    self._close()
                    self._begin(event)
                case Delimiter():
                    self._close()

    def _begin(self, event: Header) -> None:
        seen = Octets()
        seen.feed(event.section)
        seen.finish()
        self._utf8_header = self._utf8_header or seen.eight_bit
        self._dkim = self._dkim or (event.header.is_dkim_signed and event.of_message)
        if seen.is_binary:
            self._refuse("a header with NUL, CR or LF alone, or a line of more than 998 octets")
        if event.leaf is not None:
            self._leaf = _Leaf(event)

    def _close(self) -> None:
        """The body of a leaf has ended: what it needs."""
        leaf, self._leaf = self._leaf, None
        if leaf is None:
            return
        leaf.octets.finish()
        if not (leaf.octets.eight_bit or leaf.octets.is_binary):
            return
        if reason := leaf.objection():
            self._refuse(reason)
        self._encode.add(leaf.number)
        if leaf.is_utf8():
            self._utf8.add(leaf.number)

    def _outside(self, octets: bytes) -> None:
        if not self._walker.fault and (not octets.isascii() or b"\0" in octets):
            self._refuse("octets above 127 or NUL outside of all parts")

    def _refuse(self, reason: str) -> None:
        self._reason = self._reason or reason


class _Leaf:
    """One part without parts, as its body passes by."""

    __slots__ = ("_decoder", "_header", "_is_utf8", "_sealed", "number", "octets")

    def __init__(self, event: Header) -> None:
        self.number = event.leaf or 0
        self.octets = Octets()
        self._header: PartHeader = event.header
        self._sealed = event.sealed
        self._is_utf8 = event.of_message and not event.header.has_type
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def feed(self, octets: bytes) -> None:
        self.octets.feed(octets)
        if self._is_utf8 and self.octets.eight_bit:
            self._decode(octets, final=False)

    def is_utf8(self) -> bool:
        self._decode(b"", final=True)
        return self._is_utf8

    def _decode(self, octets: bytes, final: bool) -> None:
        try:
            if self._is_utf8:
                self._decoder.decode(octets, final)
        except UnicodeDecodeError:
            self._is_utf8 = False

    def objection(self) -> str:
        """Why this part must not be given an encoding, though it needs one."""
        if self._sealed:
            return "a part that needs an encoding is signed or encrypted"
        if self._header.encoding not in UNENCODED:
            return "a part that says it is encoded, and is not"
        if self._header.kind in _NEVER_ENCODED:
            return f"a {self._header.kind} that is not 7-bit"
        return ""


class Octets:
    """Counts what kinds of octets and lines pass by."""

    __slots__ = ("_bare", "_carry", "_cr", "_nul", "eight_bit", "longest")

    def __init__(self) -> None:
        self.eight_bit = False
        self.longest = 0
        self._nul = self._bare = self._cr = False
        self._carry = 0  # octets of the line that has begun

    @property
    def is_binary(self) -> bool:
        """NUL, CR or LF alone, a line that is too long."""
        return self._nul or self._bare or self.longest > MAX_LINE

    def feed(self, octets: bytes) -> None:
        """Take the next octets."""
        if not octets:
            return
        self.eight_bit = self.eight_bit or not octets.isascii()
        self._nul = self._nul or b"\0" in octets
        if self._cr:
            octets = b"\r" + octets
        self._cr = octets.endswith(b"\r")
        if self._cr:
            octets = octets[:-1]
        lines = octets.split(b"\r\n")
        pairs = len(lines) - 1
        self._bare = self._bare or octets.count(b"\r") != pairs or octets.count(b"\n") != pairs
        if pairs:
            self.longest = max(self.longest, self._carry + len(lines[0]), *map(len, lines[1:]))
            self._carry = len(lines[-1])
        else:
            self._carry += len(octets)
            self.longest = max(self.longest, self._carry)

    def finish(self) -> None:
        """No more comes."""
        self._bare = self._bare or self._cr
