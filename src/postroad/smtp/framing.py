"""Command lines out of octets: they end at LF, every oddity is named, and nothing grows without bound.

RFC 5321 section 2.3.8: a line ends with CRLF and nothing else. A line that ends with a bare LF, or holds a bare CR or
NUL, is handed out with its fault, so that it is answered (once) and never obeyed.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class LineFault(Enum):
    """Why a line cannot be a command."""

    TOO_LONG = "line too long"
    BARE_NEWLINE = "lines end with CR LF; a bare CR or LF was received"
    CONTROL = "control character in command"


class ReceiveBuffer:
    """The octets that have arrived and are not used up."""

    __slots__ = ("_buffer", "_overlong", "_position", "_searched", "discarded")

    def __init__(self) -> None:
        self._buffer = b""
        self._position = 0
        self._searched = 0
        self._overlong = False
        #: Octets of the present overlong line that were thrown away.
        self.discarded = 0

    def __len__(self) -> int:
        return len(self._buffer) - self._position

    @property
    def is_spent(self) -> bool:
        """Whether every octet was used up, and none of an overlong line is being thrown away."""
        return self._position == len(self._buffer) and not self._overlong

    def append(self, data: bytes) -> None:
        """Add what arrived."""
        if self._position < len(self._buffer):
            self._buffer = self._buffer[self._position :] + data
            self._searched -= self._position
        else:
            self._buffer = data
            self._searched = 0
        self._position = 0

    def take(self, octets: int | None = None) -> bytes:
        """The next octets, at most so many (None: all that are there)."""
        end = len(self._buffer) if octets is None else min(self._position + octets, len(self._buffer))
        data = self._buffer[self._position : end]
        self._position = self._searched = end
        return data

    def put_back(self, data: bytes) -> None:
        """Return what was taken too much by ``take()``; only to an empty buffer."""
        self._buffer, self._position, self._searched = data, 0, 0

    def starts_with(self, prefix: bytes) -> bool:
        """Whether the unused octets begin with ``prefix``."""
        return self._buffer.startswith(prefix, self._position)

    def next_line(self, limit: int) -> tuple[bytes, LineFault | None] | None:
        """The next line without its end, and what is wrong with it; None when more octets are needed.

        A line of more than ``limit`` octets, CRLF included, comes as TOO_LONG with what was kept of it; its octets are
        thrown away as they arrive.
        """
        start = self._position
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
            if self._overlong or len(self._buffer) - start > limit:
                self.discarded += len(self._buffer) - start
                self._buffer, self._position, self._searched, self._overlong = b"", 0, 0, True
            return None
        line = self._buffer[start:end]
        self._position = self._searched = end + 1
        if self._overlong or len(line) >= limit:
            self._overlong, self.discarded = False, 0
            return line[:80], LineFault.TOO_LONG
        if not line.endswith(b"\r"):
            return line, LineFault.BARE_NEWLINE
        line = line[:-1]
        if _CONTROL.search(line) is not None:
            return line, LineFault.BARE_NEWLINE if b"\r" in line else LineFault.CONTROL
        return line, None
