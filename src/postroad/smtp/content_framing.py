"""Content in blocks, never line by line: where it ends, dots undone, newlines and sizes checked in linear time.

Content ends at CRLF.CRLF and nowhere else (RFC 5321 section 4.1.1.4); that strictness is what keeps a second
envelope from being smuggled in. At most four octets are held back between two blocks.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

_END: Final = b"\r\n.\r\n"
_ANY_NEWLINE: Final = re.compile(rb"\r\n|\r|\n")


class ContentFault(Enum):
    """Why content is refused; the first fault found is the one that is reported."""

    BARE_NEWLINE = "bare CR or LF"
    NUL = "NUL octet"
    LINE_TOO_LONG = "line too long"
    TOO_LARGE = "too large"


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
        end = octets.find(_END)
        if end >= 0:
            block, rest = octets[: end + 2], octets[end + 5 :]
            self._held = b""
        else:
            keep = _held_back(octets)
            block, rest = octets[: len(octets) - keep], None
            self._held = octets[len(octets) - keep :]
            if not block:
                return b"", None
        if b"\r\n." in block:
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
        if self.fault is not None:
            return None
        if not self._binary:
            block = self._check_text(block)
        self.size += len(block)
        if self._size_limit and self.size > self._size_limit:
            self.fault = self.fault or ContentFault.TOO_LARGE
        return block if self.fault is None else None

    def finish(self) -> bytes:
        """What was held back when the content has ended: a bare CR, which is a fault unless it is normalised."""
        if not self._carry:
            return b""
        self._carry = False
        if not self._normalize:
            self.fault = self.fault or ContentFault.BARE_NEWLINE
            return b""
        self.size += 2
        return b"\r\n"

    def _check_text(self, block: bytes) -> bytes:
        if self._carry:
            block, self._carry = b"\r" + block, False
        if block.endswith(b"\r"):
            block, self._carry = block[:-1], True
        newlines = block.count(b"\n")
        if block.count(b"\r") != newlines or block.count(b"\r\n") != newlines:
            if not self._normalize:
                self.fault = ContentFault.BARE_NEWLINE
                return b""
            block = _ANY_NEWLINE.sub(b"\r\n", block)
        if b"\0" in block:
            if not self._normalize:
                self.fault = ContentFault.NUL
                return b""
            block = block.replace(b"\0", b"")
        self._measure_lines(block)
        return block

    def _measure_lines(self, block: bytes) -> None:
        """Lines are counted with their CRLF; interior lines of a short block need no look."""
        first = block.find(b"\n")
        if first < 0:
            self._line += len(block)
            longest = self._line
        else:
            longest = self._line + first + 1
            if len(block) > self._line_limit:
                longest = max(longest, *(len(line) + 1 for line in block[first + 1 :].split(b"\n")))
            self._line = len(block) - block.rfind(b"\n") - 1
        if longest > self._line_limit:
            self.fault = self.fault or ContentFault.LINE_TOO_LONG
