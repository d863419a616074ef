"""The parts of a message as it passes by: headers, bodies and delimiters in their order, octet for octet (RFC 2046).

Promise: the octets of all events, put together, are what was fed, whatever it was; memory and work are bounded (one
header section, one delimiter line, so many open multiparts); what cannot be told apart with certainty ends in a
``fault``, from which on everything is a body of nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from postroad.message.part_header import PartHeader, read_part_header

MAX_HEADER: Final = 1024 * 1024
MAX_DEPTH: Final = 50
MAX_PARTS: Final = 10_000
#: Lines that begin with ``--`` and are looked at.
MAX_DELIMITERS: Final = 100_000
_MAX_LINE: Final = 300
_MARK: Final = b"\r\n--"

#: Nothing in them may be changed (RFC 1847 section 2).
_SEALED: Final = frozenset(("multipart/signed", "multipart/encrypted"))


@dataclass(frozen=True, slots=True)
class Header:
    """A header section; ``end`` is the empty line behind it, or ``b""`` at the end of the content."""

    section: bytes
    end: bytes
    header: PartHeader
    leaf: int | None
    """The number of the part without parts that begins here, from 0; None: a multipart, or a message in a message."""
    sealed: bool
    """Within a multipart/signed or multipart/encrypted."""
    of_message: bool
    """The header of a message, not of a part."""


@dataclass(frozen=True, slots=True)
class Body:
    """Octets of a part's body; ``leaf`` None: between parts, or after a fault."""

    octets: bytes
    leaf: int | None


@dataclass(frozen=True, slots=True)
class Delimiter:
    """A boundary's line, with the CRLF before it (RFC 2046 section 5.1.1: it belongs to the delimiter)."""

    octets: bytes


Event = Header | Body | Delimiter


@dataclass(frozen=True, slots=True)
class _Open:
    boundary: bytes
    default: str
    sealed: bool


class _State(Enum):
    HEADER = 1
    BODY = 2
    OPAQUE = 3


class PartWalker:
    """Feed it blocks, then ``finish``."""

    __slots__ = (
        "_delimiters", "_leaf", "_leaves", "_levels", "_of_message", "_open", "_parts", "_rest", "_searched", "_state", "_virtual",
        "fault",
    )  # fmt: skip

    def __init__(self) -> None:
        self.fault = ""
        """Why the parts are not known from some place on, for people."""
        self._state = _State.HEADER
        self._rest = b""
        self._searched = 0
        self._open: list[_Open] = []
        self._levels: dict[bytes, int] = {}  # delimiter line -> its place in _open; the innermost of equals
        self._virtual = False  # a CRLF that was put before the body, for the sake of a delimiter that begins it
        self._of_message = True
        self._leaf: int | None = None
        self._leaves = self._parts = self._delimiters = 0

    def feed(self, block: bytes) -> Iterator[Event]:
        """Take the next block; must be run to its end."""
        self._rest = self._rest + block if self._rest else block
        return self._run(final=False)

    def finish(self) -> Iterator[Event]:
        """No more comes."""
        return self._run(final=True)

    def _run(self, final: bool) -> Iterator[Event]:
        going = True
        while going:
            going = False
            match self._state:
                case _State.HEADER:
                    event, going = self._take_header(final)
                    if event is not None:
                        yield event
                case _State.BODY if self._open:
                    body, delimiter = self._take_body(final)
                    if body is not None:
                        yield body
                    if delimiter is not None:
                        yield delimiter
                        going = True
                case _:
                    yield from self._drain()

    def _drain(self) -> Iterator[Event]:
        """No boundary is looked for: everything belongs to the only part, or to nobody."""
        if self._rest:
            yield Body(self._rest, self._leaf)
            self._rest = b""

    # --- header sections

    def _take_header(self, final: bool) -> tuple[Event | None, bool]:
        rest = self._rest
        if rest.startswith(b"\r\n"):
            return self._begin(b"", b"\r\n", 2), True
        end = rest.find(b"\r\n\r\n", self._searched)
        if end >= 0:
            return self._begin(rest[: end + 2], b"\r\n", end + 4), True
        if final:
            return (self._begin(rest, b"", len(rest)), True) if rest else (None, False)
        if len(rest) > MAX_HEADER:
            return self._give_up("a header of more than a megabyte"), True
        self._searched = max(0, len(rest) - 3)
        return None, False

    def _begin(self, section: bytes, end: bytes, size: int) -> Event:
        """A header is known: what follows it."""
        if self._open and self._holds_delimiter(section):
            return self._give_up("a part without an empty line behind its header")
        self._rest, self._searched = self._rest[size:], 0
        default = "text/plain" if self._of_message or not self._open else self._open[-1].default
        header = read_part_header(section, default)
        of_message, sealed = self._of_message, any(each.sealed for each in self._open)
        self._parts += 1
        if header.fault or self._parts > MAX_PARTS or len(self._open) >= MAX_DEPTH:
            self.fault = header.fault or "more parts than can be looked at"
            self._state, self._leaf = _State.OPAQUE, None
            return Header(section, end, header, None, sealed, of_message)
        leaf = self._enter(header)
        return Header(section, end, header, leaf, sealed, of_message)

    def _enter(self, header: PartHeader) -> int | None:
        self._leaf = None
        if header.is_message:
            self._state, self._of_message = _State.HEADER, True
            return None
        if header.is_multipart:
            default = "message/rfc822" if header.kind == "multipart/digest" else "text/plain"
            self._levels[b"--" + header.boundary] = len(self._open)
            self._open.append(_Open(b"--" + header.boundary, default, header.kind in _SEALED))
        else:
            self._leaf, self._leaves = self._leaves, self._leaves + 1
        self._state = _State.BODY
        if self._open:
            self._rest, self._virtual = b"\r\n" + self._rest, True
        return self._leaf

    def _holds_delimiter(self, section: bytes) -> bool:
        lines = section.split(b"\r\n") if section.startswith(b"--") or _MARK in section else ()
        return any(self._level_of(line) is not None for line in lines)

    # --- bodies and delimiters

    def _take_body(self, final: bool) -> tuple[Body | None, Delimiter | None]:
        rest, start = self._rest, 0
        while True:
            mark = rest.find(_MARK, start)
            if mark < 0:
                return self._body(len(rest) if final else len(rest) - _begun(rest)), None
            end = rest.find(b"\r\n", mark + 4, mark + 4 + _MAX_LINE)
            if end < 0 and len(rest) - mark < _MAX_LINE:
                if not final:
                    return self._body(mark), None
                end = len(rest)
            self._delimiters += 1
            if self._delimiters > MAX_DELIMITERS:
                return self._opaque("more lines like delimiters than can be looked at"), None
            level = self._level_of(rest[mark + 2 : end]) if end >= 0 else None
            if level is not None:
                body = self._body(mark)
                return body, self._delimiter(level, end - mark)
            start = mark + 2

    def _level_of(self, line: bytes) -> tuple[int, bool] | None:
        """Which open multipart's delimiter this line is, and whether the last."""
        line = line.rstrip(b" \t")
        if not line.startswith(b"--"):
            return None
        if (level := self._levels.get(line)) is not None:
            return level, False
        level = self._levels.get(line[:-2]) if line.endswith(b"--") else None
        return None if level is None else (level, True)

    def _body(self, size: int) -> Body | None:
        """Let go of the first octets of the rest."""
        octets, self._rest = self._rest[:size], self._rest[size:]
        if self._virtual and octets:
            octets, self._virtual = octets[2:], False
        return Body(octets, self._leaf) if octets else None

    def _delimiter(self, level: tuple[int, bool], size: int) -> Delimiter:
        """The rest begins with the CRLF and the ``size - 2`` octets of its line."""
        size += 2 if self._rest[size : size + 2] == b"\r\n" else 0
        octets, self._rest = self._rest[:size], self._rest[size:]
        if self._virtual:
            octets, self._virtual = octets[2:], False
        number, is_last = level
        del self._open[number if is_last else number + 1 :]
        self._levels = {each.boundary: place for place, each in enumerate(self._open)}
        self._leaf = None
        if is_last:
            self._state = _State.BODY  # what follows is nobody's
            if self._open and octets.endswith(b"\r\n"):
                self._rest, self._virtual = b"\r\n" + self._rest, True
        else:
            self._state, self._of_message = _State.HEADER, False
        return Delimiter(octets)

    # --- faults

    def _give_up(self, why: str) -> Body:
        """In a header: all that is held is a body of nobody."""
        self.fault, self._state, self._leaf = why, _State.OPAQUE, None
        octets, self._rest = self._rest, b""
        return Body(octets, None)

    def _opaque(self, why: str) -> Body | None:
        self.fault, self._state, self._leaf = why, _State.OPAQUE, None
        return self._body(len(self._rest))


def _begun(octets: bytes) -> int:
    """How many octets at the end may be the beginning of a mark."""
    return next((size for size in (3, 2, 1) if octets.endswith(_MARK[:size])), 0)
