"""The parts of a message, found in one pass without recursion (RFC 2045, RFC 2046), for reading only.

A relay never looks inside a message; the inbox and whoever reads a bounce must, and what they look at may be hostile.
So: depth, parts, header octets and delimiter lines are bounded, a bound that is reached is told as a defect, and there
is no input for which nothing is shown. The standard library's ``email`` package recurses and takes quadratic time, so it is not used.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from postroad.message.header_text import decode_base64, decode_octets, decode_quoted_printable, split_value, unfold

MAX_DEPTH: Final = 50
MAX_PARTS: Final = 1_000
#: Of one header section, and of all but the first together.
MAX_HEADER: Final = 100 * 1024
MAX_INNER_HEADERS: Final = 1024 * 1024
MAX_FIELDS: Final = 1_000
#: Lines beginning with ``--`` that are looked at.
MAX_DELIMITERS: Final = 100_000
MAX_BOUNDARY: Final = 250

_TYPE = re.compile(r"[!#$&^_.+a-z0-9-]{1,60}/[!#$&^_.+a-z0-9-]{1,100}\Z")
_NAME = re.compile(rb"([!-9;-~]{1,200})[ \t]*+:")


@dataclass(frozen=True, slots=True)
class Field:
    """One header field as it stands: the value is not decoded, folds included."""

    name: str
    octets: bytes


@dataclass(slots=True)
class Part:
    """One leaf of a message: its header and where its encoded content lies."""

    fields: tuple[Field, ...]
    content_type: str = "text/plain"
    parameters: dict[str, str] = field(default_factory=dict)
    disposition: str = ""
    filename: str = ""
    content_id: str = ""
    encoding: str = ""
    start: int = 0
    end: int = 0
    """Octets ``start`` to ``end`` of the message."""

    def decode(self, message: bytes, limit: int | None = None) -> bytes:
        """The content, at most about ``limit`` octets of it."""
        encoded = message[self.start : self.end]
        if self.encoding == "base64":
            octets = decode_base64(encoded if limit is None else encoded[: limit * 2])
        elif self.encoding == "quoted-printable":
            octets = decode_quoted_printable(encoded if limit is None else encoded[: limit * 4])
        else:
            octets = encoded
        return octets if limit is None else octets[:limit]

    def text(self, message: bytes, limit: int) -> str:
        """The content as text with ``\\n`` between lines."""
        text = decode_octets(self.decode(message, limit), self.parameters.get("charset", ""))
        return text.replace("\r\n", "\n").replace("\r", "\n")


@dataclass(slots=True)
class Scan:
    """What was found."""

    fields: tuple[Field, ...] = ()
    """The header of the message."""
    parts: list[Part] = field(default_factory=list)
    """The leaves in their order; at least one."""
    defects: list[str] = field(default_factory=list)
    """What is malformed or was left out, for people."""


def scan(message: bytes) -> Scan:
    """Find the parts of ``message``, whatever it is."""
    scanner = _Scanner(message)
    scanner.run()
    return scanner.found


def read_fields(message: bytes, start: int = 0, limit: int = MAX_HEADER) -> tuple[tuple[Field, ...], int, bool]:
    """The header section that begins at ``start``; gives its fields, where the body begins, and if it was whole.

    It ends at the first empty line, or before the first line that is no field (RFC 5322 section 2.2).
    """
    fields: list[Field] = []
    names: list[str] = []
    begin = position = start
    stop = min(len(message), start + limit)
    while position < stop and len(fields) < MAX_FIELDS:
        end = message.find(b"\n", position, stop)
        end = stop if end < 0 else end + 1
        line = message[position:end]
        if line in (b"\r\n", b"\n"):
            _close(fields, names, message, begin, position)
            return tuple(fields), end, True
        if line[:1] not in (b" ", b"\t") or not names:
            found = _NAME.match(line)
            _close(fields, names, message, begin, position)
            if found is None:
                return tuple(fields), position, False
            names.append(found[1].decode("ascii"))
            begin = position + found.end()
        position = end
    _close(fields, names, message, begin, position)
    return tuple(fields), position, position >= len(message)


def _close(fields: list[Field], names: list[str], message: bytes, begin: int, end: int) -> None:
    """The open field, if any, reaches to ``end``."""
    if names:
        fields.append(Field(names.pop(), message[begin:end]))


def first_field(fields: tuple[Field, ...], name: str) -> bytes | None:
    """The octets of the first field of this name (any case)."""
    return next((each.octets for each in fields if each.name.lower() == name), None)


class _Scanner:
    def __init__(self, message: bytes) -> None:
        self.found = Scan()
        self._message = message
        self._open: list[bytes] = []  # the boundaries of the multiparts that have not ended
        self._levels: dict[bytes, int] = {}
        self._leaf: Part | None = None
        self._inner_headers = 0

    def run(self) -> None:
        fields, body, whole = read_fields(self._message)
        self.found.fields = fields
        if not whole:
            self._defect("the header section does not end as it should")
        self._begin(fields, body)
        position = max(body - 1, 0)
        for _ in range(MAX_DELIMITERS):
            if not self._open:
                break
            line = self._message.find(b"\n--", position)
            if line < 0:
                break
            position = self._delimiter(line + 1)
        else:
            self._defect(f"more than {MAX_DELIMITERS} lines begin with --: the rest is one part")
        if self._open:
            self._defect("a multipart has no closing delimiter")
        self._end_leaf(len(self._message))
        self._never_nothing(fields, body)

    def _delimiter(self, start: int) -> int:
        """Look at the line at ``start``; gives where to look on."""
        end = self._message.find(b"\n", start, start + MAX_BOUNDARY + 80)
        stop = len(self._message) if end < 0 else end
        line = self._message[start + 2 : min(stop, start + MAX_BOUNDARY + 80)].rstrip(b" \t\r")
        level = self._levels.get(line)
        closing = False
        if level is None and line.endswith(b"--"):
            level = self._levels.get(line[:-2])
            closing = True
        if level is None or (end < 0 and len(self._message) > start + MAX_BOUNDARY + 80):
            return start
        self._end_leaf(self._before(start))
        self._close_levels(level if closing else level + 1)
        if closing or end < 0:
            return stop
        return self._next_part(end + 1)

    def _next_part(self, start: int) -> int:
        limit = min(MAX_HEADER, MAX_INNER_HEADERS - self._inner_headers)
        end = start + limit
        delimiter = self._message.find(b"\n--", max(start - 1, 0), end)
        # A delimiter is no header field; without this, a part without header would swallow the next one.
        bound = limit if delimiter < 0 else delimiter + 1 - start
        fields, body, whole = read_fields(self._message, start, max(bound, 0))
        if not whole and delimiter < 0:
            self._defect("the header of a part does not end as it should")
        self._inner_headers += body - start
        self._begin(fields, body)
        return max(body - 1, 0)

    def _begin(self, fields: tuple[Field, ...], body: int) -> None:
        """A part with this header begins; its body at ``body``."""
        part = _describe(fields)
        if part.content_type.startswith("multipart/"):
            boundary = part.parameters.get("boundary", "").encode("utf-8", "replace").rstrip(b" ")
            if self._may_open(boundary):
                self._levels[boundary] = len(self._open)
                self._open.append(boundary)
                return
            part.content_type = "text/plain"
        if len(self.found.parts) >= MAX_PARTS:
            self._defect(f"more than {MAX_PARTS} parts: the rest is left out")
            return
        part.start = part.end = body
        self.found.parts.append(part)
        self._leaf = part

    def _may_open(self, boundary: bytes) -> bool:
        if not boundary or len(boundary) > MAX_BOUNDARY or b"\n" in boundary:
            self._defect("a multipart without a usable boundary is shown as text")
        elif boundary in self._levels:
            self._defect("two nested multiparts share a boundary: the inner one is shown as text")
        elif len(self._open) >= MAX_DEPTH:
            self._defect(f"parts are nested deeper than {MAX_DEPTH}: what is deeper is shown as text")
        else:
            return True
        return False

    def _close_levels(self, level: int) -> None:
        for boundary in self._open[level:]:
            del self._levels[boundary]
        del self._open[level:]

    def _end_leaf(self, end: int) -> None:
        if self._leaf is not None:
            self._leaf.end = max(end, self._leaf.start)
            self._leaf = None

    def _before(self, start: int) -> int:
        """The line end before a delimiter belongs to the delimiter (RFC 2046 section 5.1.1)."""
        end = start - 1 if self._message[start - 1 : start] == b"\n" else start
        return end - 1 if self._message[end - 1 : end] == b"\r" and end else end

    def _never_nothing(self, fields: tuple[Field, ...], body: int) -> None:
        if not self.found.parts:
            whole = Part(fields, start=body, end=len(self._message))
            self.found.parts.append(whole)
            if body < len(self._message):
                self._defect("the multipart holds no part; it is shown as text")

    def _defect(self, text: str) -> None:
        if text not in self.found.defects:
            self.found.defects.append(text)


def _describe(fields: tuple[Field, ...]) -> Part:
    """What the header says of the part."""
    part = Part(fields)
    declared = first_field(fields, "content-type")
    if declared is not None:
        kind, part.parameters = split_value(_line(declared))
        part.content_type = kind if _TYPE.match(kind) else "application/octet-stream" if "/" in kind else "text/plain"
    disposition = first_field(fields, "content-disposition")
    if disposition is not None:
        part.disposition, parameters = split_value(_line(disposition))
        part.filename = parameters.get("filename", "")
    part.filename = (part.filename or part.parameters.get("name", ""))[:200]
    part.encoding = _line(first_field(fields, "content-transfer-encoding") or b"").lower()[:40]
    part.content_id = _line(first_field(fields, "content-id") or b"").strip("<> \t")[:200]
    return part


def _line(octets: bytes) -> str:
    return unfold(decode_octets(octets[:40_000]))
