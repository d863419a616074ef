"""What a MIME header says about how its part is encoded (RFC 2045), and the same header with another encoding.

Everything but the fields that are named stays octet for octet. Nothing here raises on hostile input; what is doubtful
enough that two readers could see different parts is told as a fault.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Characters of a Content-Type field that are looked at, and of a boundary (RFC 2046 section 5.1.1 allows 70).
_MAX_VALUE: Final = 10_000
_MAX_BOUNDARY: Final = 200

_NAME: Final = re.compile(rb"([!-9;-~]{1,200})[ \t]*+:")
_TYPE: Final = re.compile(r"[ \t]*+([!#$&^_.+a-z0-9-]{1,60}/[!#$&^_.+a-z0-9-]{1,100})[ \t]*+(?:;|\Z)")
#: A boundary, or a quoted string in which none is looked for (one without end goes on to the end of the field): what one
#: of them has taken is not looked at again, so that a field is read in one go whatever it holds.
_BOUNDARY: Final = re.compile(
    r';[ \t]*+(boundary[*0-9]{0,5})[ \t]*+=[ \t]*+(?:"((?>(?:[^"\\]|\\.)*))"|([^;\s"]*+))|"(?>(?:[^"\\]|\\.?)*)"?+',
    re.IGNORECASE | re.DOTALL,
)
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_BCHARS: Final = re.compile(r"[ '()+_,./:=?0-9A-Za-z!#$%&*;<>@\[\]^`{|}~\"\\-]++\Z")

_VERSION: Final = b"mime-version"
_CONTENT_TYPE: Final = b"content-type"
_ENCODING: Final = b"content-transfer-encoding"


@dataclass(frozen=True, slots=True)
class PartHeader:
    """A header section, as far as it says how to read what follows."""

    kind: str
    """``text/plain``, in lower case; the default of its place without a Content-Type field."""
    encoding: str = ""
    """Content-Transfer-Encoding in lower case; ``""`` without the field."""
    boundary: bytes = b""
    has_version: bool = False
    has_type: bool = False
    is_dkim_signed: bool = False
    fault: str = ""
    """Why its parts cannot be told apart with certainty, for people."""

    @property
    def is_multipart(self) -> bool:
        """Whether parts follow, between boundaries."""
        return self.kind.startswith("multipart/") and bool(self.boundary)

    @property
    def is_message(self) -> bool:
        """Whether another message follows, with a header of its own, unencoded."""
        return self.kind == "message/rfc822" and self.encoding in UNENCODED


#: The encodings that leave the octets as they are (RFC 2045 section 6.2).
UNENCODED: Final = frozenset(("", "7bit", "8bit", "binary"))


def split_fields(section: bytes) -> list[tuple[bytes, bytes]]:
    """(lower-case name, the field's octets with its folds and CRLF); a line that is no field has the name ``b""``."""
    fields: list[tuple[bytes, list[bytes]]] = []
    lines = section.split(b"\r\n")
    last = lines.pop()
    for line in [each + b"\r\n" for each in lines] + ([last] if last else []):
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1][1].append(line)
            continue
        found = _NAME.match(line)
        fields.append((found[1].lower() if found is not None else b"", [line]))
    return [(name, b"".join(parts)) for name, parts in fields]


def read_part_header(section: bytes, default: str = "text/plain") -> PartHeader:
    """Read a header section (without the empty line behind it)."""
    fields = split_fields(section)
    types = [octets for name, octets in fields if name == _CONTENT_TYPE]
    encodings = [octets for name, octets in fields if name == _ENCODING]
    names = {name for name, _ in fields}
    kind, boundary, fault = _read_type(types[0]) if types else (default, b"", "")
    if len(types) > 1 or len(encodings) > 1:
        fault = "a header with two Content-Type or Content-Transfer-Encoding fields"
    encoding = _value(encodings[0]).strip(" \t").lower()[:100] if encodings else ""
    if kind.startswith("multipart/") and encoding not in UNENCODED:
        fault = "a multipart that is encoded as a whole"
    return PartHeader(kind, encoding, boundary, _VERSION in names, bool(types), b"dkim-signature" in names, fault)


def with_encoding(section: bytes, encoding: str, more: Sequence[bytes] = ()) -> bytes:
    """The section with this Content-Transfer-Encoding, in the place of the old one; ``more`` fields at its end."""
    line = b"Content-Transfer-Encoding: " + encoding.encode("ascii") + b"\r\n"
    fields = split_fields(section)
    if fields and not fields[-1][1].endswith(b"\r\n"):
        fields[-1] = (fields[-1][0], fields[-1][1] + b"\r\n")
    replaced = [line if name == _ENCODING else octets for name, octets in fields]
    if not any(name == _ENCODING for name, _ in fields):
        replaced.append(line)
    return b"".join([*replaced, *more])


def _read_type(field: bytes) -> tuple[str, bytes, str]:
    """Kind, boundary, fault."""
    text = _value(field)
    found = _TYPE.match(text.lower())
    if found is None:
        return "application/octet-stream", b"", "a Content-Type field that cannot be read"
    kind = found[1]
    if not kind.startswith("multipart/"):
        return kind, b"", ""
    given = [each for each in _BOUNDARY.finditer(text) if each[1] is not None]
    if len(given) != 1 or given[0][1].lower() != "boundary":
        return kind, b"", "a multipart without one plain boundary"
    quoted, plain = given[0][2], given[0][3]
    boundary = (plain if quoted is None else _QUOTED_PAIR.sub(r"\1", quoted)).rstrip(" ")
    if not boundary or len(boundary) > _MAX_BOUNDARY or _BCHARS.match(boundary) is None:
        return kind, b"", "a multipart with a boundary that is none"
    return kind, boundary.encode("ascii"), ""


def _value(field: bytes) -> str:
    """A field's value on one line, without comments (RFC 5322 section 3.2.2)."""
    text = field.partition(b":")[2][:_MAX_VALUE].decode("latin-1").replace("\r\n", "")
    return _without_comments(text) if "(" in text else text


def _without_comments(text: str) -> str:
    kept: list[str] = []
    depth, quoted, escaped = 0, False, False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == '"' and not depth:
            quoted = not quoted
        elif character == "(" and not quoted:
            depth += 1
            continue
        elif character == ")" and depth:
            depth -= 1
            continue
        if not depth:
            kept.append(character)
    return "".join(kept)
