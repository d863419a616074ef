"""What a report takes from the message it is about: a few fields of its header, its writer's language, and what goes back.

The header is a stranger's: its fields are found by plain search within a bounded section, and never copied raw.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from postroad.message.encoding import ContentScan, SevenBitRecoder
from postroad.message.report_facts import Original, Returned
from postroad.message.report_octets import base64, cleansed, has_good_lines, is_seven_bit, quoted_printable

#: Octets of a header that are read; of a field that are understood.
MAX_HEADER: Final = 64 * 1024
_MAX_FIELD: Final = 4096

_WORD: Final = re.compile(r"=\?([A-Za-z0-9_.:-]{1,40})(?:\*[A-Za-z0-9-]{1,40})?\?([BbQq])\?([!->@-~]{0,1000})\?=")
_BETWEEN: Final = re.compile(r"(?<=\?=)[ \t]{1,100}(?==\?)")
_HEX: Final = re.compile(r"=([0-9A-Fa-f]{2})")
_MESSAGE_ID: Final = re.compile(r"<[!-;=?A-~]{1,200}+@[!-;=?A-~]{1,200}+>")
_TAG: Final = re.compile(
    r"[ \t]{0,10}([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,40})?[ \t]{0,10}(?:;[ \t]{0,10}q=([01](?:\.[0-9]{1,3})?))?"
)
_ZONE: Final = re.compile(r"[ \t]([+-])([01][0-9])([0-5][0-9])(?:[ \t(]|\Z)")
_KANA: Final = re.compile(r"[\u3041-\u30ff]")
_JAPANESE_CHARSET: Final = re.compile(r"iso-2022-jp|shift_jis|euc-jp", re.IGNORECASE)

#: Charsets that are decoded for people; Python knows stranger ones that cost time or raise.
_CHARSETS: Final = frozenset(
    "utf-8 us-ascii iso-8859-1 iso-8859-2 iso-8859-15 windows-1252 iso-2022-jp shift_jis euc-jp cp932".split()
)


def field(header: bytes, name: str) -> str:
    """The first field of that name, unfolded, as text; empty when there is none. Octets that are no UTF-8 become U+FFFD."""
    lowered, wanted = header.lower(), f"{name.lower()}:".encode("ascii")
    at = 0 if lowered.startswith(wanted) else lowered.find(b"\n" + wanted) + 1
    if at == 0 and not lowered.startswith(wanted):
        return ""
    at += len(wanted)
    value = bytearray()
    for line in header[at : at + _MAX_FIELD].split(b"\n"):
        if value and line[:1] not in (b" ", b"\t"):
            break
        value += line.rstrip(b"\r") or b" "
    return bytes(value).decode("utf-8", "replace").strip(" \t")


def text_field(header: bytes, name: str, limit: int = 150) -> str:
    """The same for people: encoded words decoded (RFC 2047), on one line, cleansed, at most ``limit`` characters."""
    joined = _BETWEEN.sub("", field(header, name))
    return cleansed(_WORD.sub(_decoded, joined), limit).strip(" ")


def _decoded(found: re.Match[str]) -> str:
    charset, encoding, text = found[1].lower(), found[2].upper(), found[3]
    if charset not in _CHARSETS:
        return found[0]
    try:
        octets = a2b_base64(text) if encoding == "B" else _from_q(text)
        return octets.decode(charset, "replace")
    except (Error, ValueError):
        return found[0]


def _from_q(text: str) -> bytes:
    return _HEX.sub(lambda found: chr(bytes.fromhex(found[1])[0]), text.replace("_", " ")).encode("latin-1")


def message_id(header: bytes) -> str:
    """The Message-ID with its brackets; empty when there is none that could be repeated safely."""
    found = _MESSAGE_ID.match(field(header, "Message-ID"))
    return found[0] if found is not None else ""


def zone_minutes(header: bytes) -> int:
    """Minutes east of UTC where the sender's clock stands, by the Date field; 0 when it does not tell."""
    found = _ZONE.search(field(header, "Date"))
    if found is None:
        return 0
    minutes = int(found[2]) * 60 + int(found[3])  # strict: _ZONE matched the digits
    return 0 if minutes > 14 * 60 else -minutes if found[1] == "-" else minutes


def languages_of(header: bytes, known: Sequence[str]) -> tuple[str, ...]:
    """The languages that the sender reads, best first, out of ``known``; empty when the header does not tell.

    Who names only languages that are not known is written to in the first that is.
    """
    fields = [field(header, name) for name in ("Content-Language", "Accept-Language")]
    for value in fields:
        if tags := _tags(value, known):
            return tags
    if "ja" in known and _is_japanese(header):
        return ("ja",)
    return tuple(known[:1]) if any(_TAG.match(value) for value in fields) else ()


def _tags(value: str, known: Sequence[str]) -> tuple[str, ...]:
    weighed = []
    for index, piece in enumerate(value.split(",")[:20]):
        found = _TAG.match(piece)
        if found is not None and found.end() == len(piece) and found[1].lower() in known:
            weight = found[2] or "1"
            if weight.strip("0."):
                weighed.append((-float(weight), index, found[1].lower()))
    return tuple(dict.fromkeys(tag for _, _, tag in sorted(weighed)))


def _is_japanese(header: bytes) -> bool:
    if _JAPANESE_CHARSET.search(field(header, "Content-Type")) or _JAPANESE_CHARSET.search(field(header, "Subject")):
        return True
    return any(_KANA.search(text_field(header, name)) for name in ("Subject", "From"))


def cut_header(header: bytes) -> bytes:
    """At most MAX_HEADER octets, whole lines."""
    if len(header) <= MAX_HEADER:
        return header
    end = header.rfind(b"\r\n", 0, MAX_HEADER)
    return header[: end + 2] if end >= 0 else header[: MAX_HEADER - 2] + b"\r\n"


def returned_part(original: Original, utf8: bool) -> tuple[str, str, bytes]:
    """What goes back as (media type, transfer encoding, octets); ``utf8``: the report travels with SMTPUTF8."""
    eight_bit_header = not original.header.isascii()
    is_global = original.utf8 and eight_bit_header
    if original.body is None or original.returned is not Returned.FULL:
        kind = "message/global-headers" if is_global else "text/rfc822-headers"
        return kind, *_encoded(original.header, utf8)
    octets = original.header + b"\r\n" + original.body
    if is_global and utf8 and has_good_lines(octets):
        return "message/global", "8bit", octets
    if is_global:  # RFC 6532 section 3.7: message/global may be encoded
        return "message/global", "base64", base64(octets)
    return "message/rfc822", "7bit" if is_seven_bit(octets) else "8bit", octets


def may_return_all(original: Original, utf8: bool) -> bool:
    """Whether the whole message can stand in a report that travels with SMTPUTF8 or in 7-bit."""
    octets = original.header + b"\r\n" + (original.body or b"")
    if original.utf8 and not original.header.isascii():
        return True
    return is_seven_bit(octets) or (utf8 and has_good_lines(octets))


def seven_bit(original: Original) -> Original | None:
    """The original with its parts encoded for 7-bit (RFC 6522 section 3); None when that cannot be done."""
    octets = original.header + b"\r\n" + (original.body or b"")
    scan = ContentScan()
    scan.feed(octets)
    found = scan.finish()
    if not found.recodable:
        return None
    recoder = SevenBitRecoder(found)
    recoded = recoder.feed(octets) + recoder.finish()
    end = recoded.find(b"\r\n\r\n")
    if end < 0 or not is_seven_bit(recoded):  # octets above 127 in the header stay
        return None
    return replace(original, header=recoded[: end + 2], body=recoded[end + 4 :])


def _encoded(octets: bytes, utf8: bool) -> tuple[str, bytes]:
    if is_seven_bit(octets):
        return "7bit", octets
    if utf8 and has_good_lines(octets):
        return "8bit", octets
    return "quoted-printable", quoted_printable(octets)
