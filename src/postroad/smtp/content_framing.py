"""Content in blocks, never line by line: where it ends, dots undone, newlines and sizes checked in linear time.

Content ends at CRLF.CRLF and nowhere else (RFC 5321 section 4.1.1.4); that strictness is what keeps a second
envelope from being smuggled in. At most four octets are held back between two blocks.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

_END: Final = b"\r\n.\r\n"
_ANY_NEWLINE: Final = re.compile(rb"\r\n|\r|\n")
#: Everything but CR, LF and NUL: what sound text leaves without these is as long as its CRLFs.
_PLAIN: Final = bytes(octet for octet in range(256) if octet not in (0, 10, 13))
_CRLF: Final = b"\r\n"


def is_sound(block: bytes) -> bool:
    """Whether text holds no NUL, and CR and LF only as CRLF; a CR at its end counts as bare."""
    return len(block.translate(None, _PLAIN)) == 2 * block.count(_CRLF)


class ContentFault(IntEnum):
    """Why content is refused; of several the greatest is reported, so that no split of the octets matters."""

    LINE_TOO_LONG = 1
    UNSOUND = 2
    """A bare CR, a bare LF or a NUL."""
    TOO_LARGE = 3


class DotFramer:
    """Finds the end of DATA content and undoes the dots (RFC 5321 section 4.5.2)."""

    __slots__ = ("_held", "_virtual")

    def __init__(self) -> None:
        # The CRLF that ended the DATA line also begins the content's first line, so a dot may follow at once.
        self._held = b"\r\n"
        self._virtual = 2

    def feed(self, data: bytes) -> tuple[bytes, bytes | None]:
        """Take octets; gives content octets, and what follows the final dot (None: not reached)."""
        octets = self._held + data
        dot = octets.find(b"\r\n.")
        # In most content the first line that begins with a dot is the last: then one search was enough.
        end = dot if dot < 0 or octets[dot + 3 : dot + 5] == _CRLF else octets.find(_END, dot)
        if end >= 0:
            block, rest = octets[: end + 2], octets[end + 5 :]
            self._held = b""
        else:
            keep = _held_back(octets)
            block, rest = octets[: len(octets) - keep], None
            self._held = octets[len(octets) - keep :]
            if not block:
                return b"", None
        if 0 <= dot != end:
            block = block.replace(b"\r\n.", b"\r\n")
        if self._virtual:
            block, self._virtual = block[self._virtual :], 0
        return block, rest


def _held_back(octets: bytes) -> int:
    """How many octets at the end may begin CRLF.CRLF; the longest such suffix, at most four."""
    last = octets[-1]
    if last == 13:  # CR: perhaps of the CRLF before or behind the dot
        return 4 if octets.endswith(b"\r\n.\r") else 1
    if last == 10:
        return 2 if octets.endswith(b"\r\n") else 0
    if last == 46:
        return 3 if octets.endswith(b"\r\n.") else 0
    return 0


class ContentChecker:
    """Watches content pass: newlines, NUL, line length, size; normalises newlines when it may.

    After the first fault nothing is handed on any more; the caller drains the rest and refuses.
    """

    __slots__ = ("_binary", "_carry", "_line", "_line_limit", "_normalize", "_size_limit", "fault", "size")

    def __init__(self, size_limit: int, line_limit: int, normalize: bool = False, binary: bool = False) -> None:
        self.size = 0
        self.fault: ContentFault | None = None
        self._size_limit = size_limit
        self._line_limit = line_limit
        self._normalize = normalize
        self._binary = binary
        self._line = 0
        self._carry = False

    @property
    def sound(self) -> bool:
        """Whether no fault was found so far."""
        return self.fault is None

    def check(self, block: bytes) -> bytes | None:
        """The block as it may be handed on, None once a fault is found. A CR at its very end waits for what follows."""
        if self.fault is ContentFault.TOO_LARGE:
            return None
        if not self._binary and self.fault is not ContentFault.UNSOUND:
            block = self._check_text(block)
        self.size += len(block)
        if self._size_limit and self.size > self._size_limit:
            self._note(ContentFault.TOO_LARGE)
        return block if self.fault is None else None

    def finish(self) -> bytes:
        """What was held back when the content has ended: a bare CR, which is a fault unless it is normalised."""
        if not self._carry:
            return b""
        self._carry = False
        if not self._normalize:
            self._note(ContentFault.UNSOUND)
            return b""
        self.size += 2
        return b"\r\n"

    def _note(self, fault: ContentFault) -> None:
        if self.fault is None or fault > self.fault:
            self.fault = fault

    def _check_text(self, block: bytes) -> bytes:
        if self._carry:
            block, self._carry = b"\r" + block, False
        if block.endswith(b"\r"):
            block, self._carry = block[:-1], True
        if not is_sound(block):
            if not self._normalize:
                self._note(ContentFault.UNSOUND)
                return block
            block = _ANY_NEWLINE.sub(_CRLF, block).replace(b"\0", b"")
        if self._has_long_line(block):
            self._note(ContentFault.LINE_TOO_LONG)
        return block

    def _has_long_line(self, block: bytes) -> bool:
        """Lines are counted with their CRLF; the interior is looked at in strides of the limit, not line by line."""
        limit = self._line_limit
        end = block.find(b"\n")
        if end < 0:
            self._line += len(block)
            return self._line > limit
        if self._line + end + 1 > limit:
            return True
        last = block.rfind(b"\n")
        while last - end > limit:
            end = block.rfind(b"\n", end + 1, end + 1 + limit)
            if end < 0:
                return True
        self._line = len(block) - last - 1
        return self._line > limit
