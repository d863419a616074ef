"""Header octets to text for readers: character sets, encoded words (RFC 2047), parameters (RFC 2231).

Nothing here raises on hostile input; what cannot be decoded is shown as it stands. Every step is linear and bounded.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

#: Characters of one header value that are looked at.
MAX_VALUE: Final = 10_000
MAX_PARAMETERS: Final = 50

#: Only these; Python knows codecs that are slow, or are no character sets (idna, punycode, unicode_escape …).
_CHARSETS: Final = frozenset(
    "utf-8 utf-16 utf-16le utf-16be utf-32 utf-32le utf-32be utf-7 windows-1250 windows-1251 windows-1252 windows-1253 "
    "windows-1254 windows-1255 windows-1256 windows-1257 windows-1258 iso-8859-2 iso-8859-3 iso-8859-4 iso-8859-5 "
    "iso-8859-6 iso-8859-7 iso-8859-8 iso-8859-9 iso-8859-10 iso-8859-11 iso-8859-13 iso-8859-14 iso-8859-15 "
    "iso-8859-16 koi8-r koi8-u shift_jis cp932 euc-jp iso-2022-jp iso-2022-jp-1 iso-2022-jp-2 iso-2022-jp-3 "
    "iso-2022-jp-ext gb2312 gbk gb18030 big5 big5hkscs euc-kr iso-2022-kr cp949 johab tis-620 cp437 cp850 cp852 cp866 "
    "macroman".split()
)
#: As browsers read them (WHATWG): the names that senders use for their supersets.
_ALIASES: Final = {
    "utf8": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
    "us-ascii": "windows-1252",
    "ascii": "windows-1252",
    "iso-8859-1": "windows-1252",
    "iso8859-1": "windows-1252",
    "latin1": "windows-1252",
    "iso-8859-8-i": "iso-8859-8",
    "cp1250": "windows-1250",
    "cp1251": "windows-1251",
    "cp1252": "windows-1252",
    "shift-jis": "cp932",
    "shift_jis": "cp932",
    "sjis": "cp932",
    "windows-31j": "cp932",
    "ms_kanji": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "ks_c_5601-1987": "cp949",
    "euc-kr": "cp949",
    "cp1255": "windows-1255",
    "macintosh": "macroman",
}

_WORD = re.compile(r"=\?([!-<>@-~]{1,60})\?([BbQq])\?([!->@-~ ]*+)\?=")
_FOLD = re.compile(r"[\r\n]++[\r\n\t ]*+")
# A quoted value that is never closed reaches to the end, so that no start is tried twice over the same text.
_PARAMETER = re.compile(
    r";[ \t]*+([!#-)+-:<>-~]{1,60}+\*?[0-9]{0,3}\*?)[ \t]*+=[ \t]*+"
    r'(?:"((?>(?:[^"\\]|\\.|\\\Z)*))(?:"|\Z)|([^;\s"]*+))',
    re.DOTALL,
)
_SECTION = re.compile(r"([^*]+)(?:\*([0-9]{1,3}))?(\*)?\Z")
_PERCENT = re.compile(rb"%([0-9A-Fa-f]{2})")
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_NOT_BASE64: Final = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))


def decode_octets(octets: bytes, charset: str = "") -> str:
    """Text of these octets; the declared character set is a hint, UTF-8 the first guess where it says nothing."""
    name = charset.strip().lower().partition("*")[0]  # RFC 2231 section 5: a language may follow
    name = _ALIASES.get(name, name)
    if name in _CHARSETS and name != "windows-1252":
        return octets.decode(name, "replace")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("windows-1252" if name == "windows-1252" or _mostly_text(octets) else "utf-8", "replace")


def _mostly_text(octets: bytes) -> bool:
    """Whether at most half of the octets are 8-bit: then a Western guess shows more than question marks do."""
    sample = octets[:4096]
    return sum(octet >= 0x80 for octet in sample) * 2 <= len(sample)


def decode_base64(octets: bytes) -> bytes:
    """What base64 says, whatever stands in between or is missing at the end."""
    letters = octets.translate(None, _NOT_BASE64)
    end = letters.find(b"=")
    if end >= 0:
        letters = letters[:end]
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return binascii.a2b_base64(letters + b"=" * (-len(letters) % 4))


def decode_quoted_printable(octets: bytes, header: bool = False) -> bytes:
    """What quoted-printable says; a malformed escape stays as it stands."""
    return binascii.a2b_qp(octets, header=header)


def decode_value(octets: bytes) -> str:
    """A header value unfolded and with its encoded words decoded; at most MAX_VALUE characters."""
    return decode_words(unfold(decode_octets(octets[: 4 * MAX_VALUE])))


def unfold(text: str) -> str:
    """One line (RFC 5322 section 2.2.3), cut at MAX_VALUE characters."""
    line = _FOLD.sub(" ", text).strip(" \t")
    return line if len(line) <= MAX_VALUE else line[:MAX_VALUE] + " …"


def decode_words(text: str) -> str:
    """Encoded words as text; neighbours in one character set are decoded together, for some senders split characters."""
    if "=?" not in text:
        return text
    pieces: list[str] = []
    charset, pending, end = "", b"", 0
    for found in _WORD.finditer(text):
        between = text[end : found.start()]
        adjoining = end > 0 and between.strip(" \t") == ""
        if not (adjoining and pending and found[1].lower() == charset):
            pieces.append(decode_octets(pending, charset) if pending else "")
            pending = b""
            pieces.append("" if adjoining else between)
        charset = found[1].lower()
        octets = found[3].encode("ascii", "replace")
        pending += decode_base64(octets) if found[2] in "Bb" else decode_quoted_printable(octets, header=True)
        end = found.end()
    pieces.append(decode_octets(pending, charset) if pending else "")
    pieces.append(text[end:])
    return _FOLD.sub(" ", "".join(pieces))[: 2 * MAX_VALUE]


def split_value(text: str) -> tuple[str, dict[str, str]]:
    """``text/plain; charset=utf-8`` as its lower-case value and its decoded parameters (RFC 2231, RFC 2047 tolerated)."""
    text = text[:MAX_VALUE]
    value = text.partition(";")[0].strip().lower()
    plain: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bool, str]]] = {}
    for count, found in enumerate(_PARAMETER.finditer(text)):
        if count >= MAX_PARAMETERS:
            break
        quoted, bare = found[2], found[3]
        content = _QUOTED_PAIR.sub(r"\1", quoted) if quoted is not None else bare
        parts = _SECTION.match(found[1].lower())
        if parts is None or (parts[2] is None and parts[3] is None):
            plain.setdefault(found[1].lower(), decode_words(content))
            continue
        number = int(parts[2]) if parts[2] is not None else 0  # strict: _SECTION matched the digits
        sections.setdefault(parts[1], {}).setdefault(number, (parts[3] is not None, content))
    for name, numbered in sections.items():
        plain[name] = _join_sections(numbered)
    return value, plain


def _join_sections(numbered: dict[int, tuple[bool, str]]) -> str:
    """RFC 2231 section 3 and 4: pieces in their order, some percent-encoded; the first names the character set."""
    charset, octets = "", b""
    for number in sorted(numbered):
        extended, content = numbered[number]
        if extended and number == min(numbered) and content.count("'") >= 2:
            charset, _, content = content.split("'", 2)
        piece = content.encode("utf-8", "replace")
        octets += _PERCENT.sub(lambda found: binascii.a2b_hex(found[1]), piece) if extended else piece
    return decode_octets(octets, charset)
