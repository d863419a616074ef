"""Replies out of octets: whole, of one code, ended by CRLF and nothing else, and never more than the bounds below.

RFC 5321 section 4.2 gives the grammar and section 4.5.3.1.5 asks for lines of at most 512 octets; hosts that explain
themselves exceed that, so that a line may have MAX_LINE octets here. Whatever breaks a bound or the grammar raises
RemoteProtocolError: a reply that was guessed could be paired with the wrong command.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from postroad.errors import RemoteProtocolError
from postroad.replies import Reply, ReplySyntaxError

#: Octets of one line, CRLF included.
MAX_LINE: Final = 4096
#: Lines and octets of one reply.
MAX_LINES: Final = 512
MAX_OCTETS: Final = 64 * 1024
#: Octets that may wait while nobody reads replies: a host that floods an idle connection is not remembered.
MAX_WAITING: Final = 1024 * 1024

#: What is kept of a reply that is stored once for each recipient.
KEPT_LINES: Final = 20
KEPT_CHARACTERS: Final = 2000

#: Octets of a reply that is remembered as it was read.
_SHORT: Final = 64

_CODE: Final = re.compile(rb"[2-5][0-9]{2}")
_WHOLE: Final = re.compile(rb"[2-5][0-9]{2}(?: [^\r\n\x00]*+)?\r")


def shortened(reply: Reply) -> Reply:
    """The reply as it is worth keeping: a host may explain itself, but not fill our disk, a recipient at a time."""
    if len(reply.text) <= KEPT_CHARACTERS and reply.text.count("\n") < KEPT_LINES:
        return reply
    return with_texts(reply, [*reply.text[:KEPT_CHARACTERS].split("\n")[:KEPT_LINES], "(cut)"])


def with_texts(reply: Reply, texts: Sequence[str]) -> Reply:
    """The reply with other words, a line each."""
    status = "" if reply.enhanced is None else f"{reply.enhanced} "
    lines = [f"{reply.code}-{status}{text}" for text in texts[:-1]] + [f"{reply.code} {status}{texts[-1]}"]
    return Reply.parse([line.encode("utf-8", "replace") for line in lines])


class ReplyFramer:
    """The octets of a peer, handed out as replies; at most MAX_OCTETS of one reply and MAX_WAITING of all are kept."""

    __slots__ = ("_buffer", "_flooded", "_lines", "_octets", "_searched")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._lines: list[bytes] = []
        self._octets = 0
        self._flooded = False

    @property
    def is_empty(self) -> bool:
        """True when nothing is there that was not handed out, not even part of a reply."""
        return not self._buffer and not self._lines

    def receive(self, data: bytes) -> None:
        """Add what arrived; what exceeds MAX_WAITING is dropped, and told once the replies before it were read."""
        if self._flooded or len(self._buffer) + len(data) > MAX_WAITING:
            self._flooded = True
        else:
            self._buffer += data

    def clear(self) -> None:
        """Forget everything that was not handed out."""
        self._buffer.clear()
        self._lines = []
        self._searched = self._octets = 0

    def next_reply(self) -> Reply | None:
        """The next whole reply, None when more octets are needed; raises RemoteProtocolError."""
        while (line := self._next_line()) is not None:
            if len(line) <= _SHORT and not self._lines and (reply := _short_reply(line)) is not None:
                return reply
            line = _without_end(line)
            self._octets += len(line) + 2
            self._lines.append(line)
            if _CODE.match(line) is None:
                raise RemoteProtocolError(f"no reply line: {line[:60]!r}")
            if line[:3] != self._lines[0][:3]:
                raise RemoteProtocolError(f"a reply with lines of two codes: {self._lines[0][:3]!r} and {line[:3]!r}")
            if line[3:4] != b"-":
                return self._finish()
            if len(self._lines) >= MAX_LINES:
                raise RemoteProtocolError(f"a reply of more than {MAX_LINES} lines")
            if self._octets > MAX_OCTETS:
                raise RemoteProtocolError(f"a reply of more than {MAX_OCTETS} octets")
        return None

    def _finish(self) -> Reply:
        lines, self._lines, self._octets = self._lines, [], 0
        try:
            return Reply.parse(lines)
        except ReplySyntaxError as fault:
            raise RemoteProtocolError(str(fault)) from fault

    def _next_line(self) -> bytes | None:
        """The next line with its CR, which may not be there, and without its LF."""
        buffer = self._buffer
        end = buffer.find(b"\n", self._searched)
        if end < 0:
            if self._flooded:
                raise RemoteProtocolError(f"more than {MAX_WAITING} octets that nothing asked for")
            self._searched = len(buffer)
            if len(buffer) >= MAX_LINE:
                raise RemoteProtocolError(f"a reply line of more than {MAX_LINE} octets")
            if buffer and not 0x32 <= buffer[0] <= 0x35:  # no digit from 2 to 5: why wait for the rest
                raise RemoteProtocolError(f"no reply line: {bytes(buffer[:60])!r}")
            return None
        if end >= MAX_LINE:
            raise RemoteProtocolError(f"a reply line of more than {MAX_LINE} octets")
        line = bytes(buffer[:end])
        del buffer[: end + 1]
        self._searched = 0
        return line


def _without_end(line: bytes) -> bytes:
    """A line without its CR; raises RemoteProtocolError for octets that no line may hold."""
    if not line.endswith(b"\r") or line.find(b"\r") != len(line) - 1:
        raise RemoteProtocolError(f"a bare CR or LF in a reply: {line[:60]!r}")
    if b"\x00" in line:
        raise RemoteProtocolError(f"a NUL in a reply: {line[:60]!r}")
    return line[:-1]


@lru_cache(maxsize=1024)
def _short_reply(line: bytes) -> Reply | None:
    """A whole reply of one line; hosts say the same few words to every message. None: there is more to it."""
    if _WHOLE.fullmatch(line) is None:
        return None
    try:
        return Reply.parse([line[:-1]])
    except ReplySyntaxError:
        return None
