"""How a report is put into octets: whatever came from a stranger, the result is 7-bit, has short lines and cannot break out.

RFC 2045 section 6 (quoted-printable, base64), RFC 2047 (words of a header field), RFC 5322 section 2.1.1 (998 octets).
"""

from __future__ import annotations

import re
import unicodedata
from binascii import b2a_base64
from typing import Final

#: RFC 5322 section 2.1.1: a line has at most 998 octets without CRLF.
MAX_LINE: Final = 998
#: RFC 2045 section 6.7: an encoded line has at most 76 characters.
_ENCODED_LINE: Final = 76
#: RFC 2047 section 2: an encoded word has at most 75 characters; this many octets of UTF-8 fit into one.
_WORD_OCTETS: Final = 45

_NOT_7BIT: Final = re.compile(rb"[\x00\x80-\xff]")
_LONG_LINE: Final = re.compile(rb"[^\r\n]{999}")
_BARE: Final = re.compile(rb"\r(?!\n)|(?<!\r)\n")
_ASCII: Final = bytes(range(128))
_QUOTED: Final = tuple(
    bytes([octet]) if (33 <= octet <= 126 and octet != 61) or octet in (9, 32) else b"=%02X" % octet
    for octet in range(256)
)


def cleansed(text: str, limit: int = 1000) -> str:
    """A stranger's text on one line: white space as blanks, what is not printable (controls, bidi, …) as ``?``.

    At most ``limit`` characters; a cut is shown by ``…``.
    """
    cut = text[: limit + 1]
    if not cut.isprintable():
        cut = "".join(c if c.isprintable() else _replaced(c) for c in cut)
    return cut if len(cut) <= limit else cut[: limit - 1] + "…"


def _replaced(character: str) -> str:
    return " " if character in "\t\r\n" or unicodedata.category(character) == "Zs" else "?"


def plain(text: str, limit: int = 1000) -> str:
    """The same in ASCII, for fields of machines: other characters as ``?``, a cut shown by ``...``."""
    cut = text[: limit + 1]
    ascii_only = "".join(c if " " <= c <= "~" else " " if c in "\t\r\n" else "?" for c in cut)
    return ascii_only if len(ascii_only) <= limit else ascii_only[: limit - 3] + "..."


def is_seven_bit(octets: bytes) -> bool:
    """Whether octets may stand in a 7-bit part as they are (RFC 2045 section 2.7)."""
    return not _NOT_7BIT.search(octets) and has_good_lines(octets)


def has_good_lines(octets: bytes) -> bool:
    """Whether all lines end with CRLF and are short enough, with no NUL (RFC 2045 section 2.8)."""
    return not (_BARE.search(octets) or _LONG_LINE.search(octets) or b"\x00" in octets)


def quoted_printable(octets: bytes) -> bytes:
    """Octets in quoted-printable: CRLF stays a line's end, everything else comes back as it was."""
    return b"\r\n".join(_quoted_line(line) for line in octets.split(b"\r\n"))


def _quoted_line(line: bytes) -> bytes:
    pieces = [_QUOTED[octet] for octet in line]
    if pieces and pieces[-1] in (b" ", b"\t"):
        pieces[-1] = b"=%02X" % line[-1]
    if line[:5] == b"From " or line[:1] == b".":  # what old relays and mailboxes would touch
        pieces[0] = b"=%02X" % line[0]
    rows: list[bytes] = []
    row: list[bytes] = []
    room = _ENCODED_LINE - 1
    for piece in pieces:
        if len(piece) > room:
            rows.append(b"".join(row) + b"=")
            row, room = [], _ENCODED_LINE - 1
        row.append(piece)
        room -= len(piece)
    rows.append(b"".join(row))
    return b"\r\n".join(rows)


def base64(octets: bytes) -> bytes:
    """Octets in base64, lines of 76 characters with CRLF between them."""
    rows = (b2a_base64(octets[at : at + 57], newline=False) for at in range(0, len(octets), 57))
    return b"\r\n".join(rows)


def text_part(text: str) -> tuple[str, str, bytes]:
    """A text (lines separated by ``\\n``) as (charset, transfer encoding, octets), whichever is shortest."""
    octets = text.replace("\n", "\r\n").encode("utf-8", "replace")
    if text.isascii() and is_seven_bit(octets):
        return "us-ascii", "7bit", octets
    foreign = len(octets.translate(None, _ASCII))
    if foreign * 6 < len(octets):  # quoted, each takes two octets more; base64 makes a third more of all
        return "utf-8", "quoted-printable", quoted_printable(octets)
    return "utf-8", "base64", base64(octets)


def header_text(name: str, text: str) -> str:
    """An unstructured field with CRLF, folded; encoded by RFC 2047 unless it is plain ASCII."""
    if text.isascii() and "=?" not in text:
        return _folded(name, text)
    words = (f"=?utf-8?B?{b2a_base64(piece, newline=False).decode('ascii')}?=" for piece in _pieces(text))
    return f"{name}: " + "\r\n ".join(words) + "\r\n"


def _folded(name: str, text: str) -> str:
    line, lines = f"{name}:", []
    for word in text.split():
        if len(line) + 1 + len(word) > 78 and line != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {word[: MAX_LINE - 100]}"
    return "\r\n".join([*lines, line]) + "\r\n"


def _pieces(text: str) -> list[bytes]:
    """UTF-8 cut between characters, each short enough for an encoded word (RFC 2047 section 5)."""
    pieces, piece = [], b""
    for character in text:
        octets = character.encode("utf-8", "replace")
        if len(piece) + len(octets) > _WORD_OCTETS:
            pieces.append(piece)
            piece = b""
        piece += octets
    return [*pieces, piece]
