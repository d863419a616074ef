"""A reply is a value: code, enhanced status and text, read from octets and written to octets.

It is made once by whoever refuses or accepts, and goes unharmed to the wire, the spool, the log and the page.
Sources: RFC 5321 section 4.2 (codes and lines), RFC 3463 and RFC 2034 (enhanced status codes).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import IntEnum
from typing import Final

#: RFC 5321 section 4.5.3.1.5: a reply line has at most 512 octets, CRLF included.
MAX_LINE_OCTETS: Final = 512

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?\Z", re.DOTALL)
_ENHANCED = re.compile(r"([245])\.(0|[1-9][0-9]{0,2})\.(0|[1-9][0-9]{0,2})\Z")


class ReplySyntaxError(ValueError):
    """Octets that should be a reply are none; the message says what is wrong."""


class Severity(IntEnum):
    """The first digit of a reply code (RFC 5321 section 4.2.1)."""

    COMPLETION = 2
    INTERMEDIATE = 3
    TRANSIENT = 4
    PERMANENT = 5


_SEVERITIES = tuple(Severity)


class EnhancedStatus(tuple[int, int, int]):
    """An enhanced status code ``class.subject.detail`` (RFC 3463 section 2)."""

    __slots__ = ()

    def __new__(cls, severity: int, subject: int, detail: int) -> EnhancedStatus:
        """Make one from its three numbers; raises ValueError when a number is out of range."""
        if severity not in (2, 4, 5) or not 0 <= subject <= 999 or not 0 <= detail <= 999:
            raise ValueError(f"no enhanced status code: {severity}.{subject}.{detail}")
        return tuple.__new__(cls, (severity, subject, detail))

    @classmethod
    def parse(cls, text: str) -> EnhancedStatus:
        """Read ``"4.7.1"``; raises ReplySyntaxError when the text is anything else."""
        found = _ENHANCED.match(text)
        if found is None:
            raise ReplySyntaxError(f"no enhanced status code: {text[:40]!r}")
        severity, subject, detail = found.groups()
        return cls(int(severity), int(subject), int(detail))  # strict: _ENHANCED matched the digits

    def __getnewargs__(self) -> tuple[int, int, int]:  # copies are made of three numbers
        return self[0], self[1], self[2]

    @property
    def severity(self) -> int:
        """The class digit: 2 success, 4 persistent transient failure, 5 permanent failure."""
        return self[0]

    @property
    def subject(self) -> int:
        """What the status is about: 1 address, 2 mailbox, 3 system, 4 network, 5 protocol, 6 content, 7 policy."""
        return self[1]

    @property
    def detail(self) -> int:
        """The particular condition within the subject."""
        return self[2]

    def __str__(self) -> str:
        return f"{self[0]}.{self[1]}.{self[2]}"

    def __repr__(self) -> str:
        return f"EnhancedStatus({self[0]}, {self[1]}, {self[2]})"


class Reply:
    """One reply: immutable, hashable, with its octets made once.

    ``text`` may hold several lines separated by ``\\n``. ``enhanced`` is written in front of every line, as RFC 2034
    section 4 asks; it must be of the code's class, and is absent from greetings, EHLO answers and 3yz replies.
    Raises ValueError for a code, a status or a text that could not be sent.
    """

    __slots__ = ("_octets", "code", "enhanced", "is_permanent", "is_positive", "is_transient", "text")

    code: int
    enhanced: EnhancedStatus | None
    text: str
    is_positive: bool
    """True for 2yz and 3yz."""
    is_transient: bool
    """True for 4yz: the same request may succeed later."""
    is_permanent: bool
    """True for 5yz: the same request will fail again."""
    _octets: bytes | None

    def __init__(self, code: int, text: str, enhanced: str | EnhancedStatus | None = None) -> None:
        if not 200 <= code <= 599:
            raise ValueError(f"no reply code: {code}")
        status = EnhancedStatus.parse(enhanced) if isinstance(enhanced, str) else enhanced
        if status is not None and status.severity != code // 100:
            raise ValueError(f"enhanced status {status} is not of the class of {code}")
        put = object.__setattr__
        put(self, "code", code)
        put(self, "enhanced", status)
        put(self, "text", text)
        put(self, "is_positive", code < 400)
        put(self, "is_transient", 400 <= code < 500)
        put(self, "is_permanent", code >= 500)
        put(self, "_octets", None)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Reply is immutable: {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Reply is immutable: {name}")

    def __reduce__(self) -> tuple[type[Reply], tuple[int, str, EnhancedStatus | None]]:
        return type(self), (self.code, self.text, self.enhanced)

    @property
    def severity(self) -> Severity:
        """The class of the code."""
        return _SEVERITIES[self.code // 100 - 2]

    @property
    def lines(self) -> tuple[str, ...]:
        """The text, a line each, without code and enhanced status."""
        return tuple(self.text.split("\n"))

    def to_bytes(self) -> bytes:
        """The reply as sent, with CRLF; octets that a reply line must not hold are replaced by ``?``."""
        octets = self._octets
        if octets is None:
            octets = _write(self.code, self.enhanced, self.text)
            object.__setattr__(self, "_octets", octets)
        return octets

    @classmethod
    def parse(cls, octets: bytes | Iterable[bytes]) -> Reply:
        """Read a whole reply, as octets or as its lines without CRLF; raises ReplySyntaxError.

        Undecodable octets become U+FFFD; an enhanced status of another class than the code stays in the text,
        since it says nothing that can be trusted.
        """
        lines = octets.removesuffix(b"\r\n").split(b"\r\n") if isinstance(octets, bytes) else list(octets)
        return _read(cls, lines)

    def __str__(self) -> str:
        status = f"{self.enhanced} " if self.enhanced is not None else ""
        return f"{self.code} {status}{self.text}".rstrip().replace("\n", " / ")

    def __repr__(self) -> str:
        status = "" if self.enhanced is None else f", {str(self.enhanced)!r}"
        return f"Reply({self.code}, {self.text!r}{status})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Reply):
            return NotImplemented
        return self.code == other.code and self.enhanced == other.enhanced and self.text == other.text

    def __hash__(self) -> int:
        return hash((self.code, self.enhanced, self.text))


def _write(code: int, enhanced: EnhancedStatus | None, text: str) -> bytes:
    status = "" if enhanced is None else f"{enhanced} "
    room = MAX_LINE_OCTETS - 2 - 4 - len(status)
    if len(text) <= room and text.isascii() and text.isprintable():
        return f"{code} {status}{text}\r\n".encode("ascii")
    bodies: list[str] = []
    for line in text.split("\n"):
        # ASCII only: UTF-8 may stand in a reply only for a client that asked for SMTPUTF8 (RFC 6531 section 3.7.4).
        bodies.extend(_wrap("".join(c if " " <= c <= "~" else "?" for c in line), room))
    last = len(bodies) - 1
    written = (f"{code}{' ' if index == last else '-'}{status}{body}\r\n" for index, body in enumerate(bodies))
    return "".join(written).encode("ascii")


def _wrap(body: str, room: int) -> list[str]:
    """Cut a line that is too long, at a space where there is one."""
    pieces: list[str] = []
    while len(body) > room:
        cut = body.rfind(" ", room // 2, room)
        cut = room if cut < 0 else cut
        pieces.append(body[:cut])
        body = body[cut:].lstrip(" ")
    pieces.append(body)
    return pieces


def _read(cls: type[Reply], lines: list[bytes]) -> Reply:
    if not lines:
        raise ReplySyntaxError("an empty reply")
    code = b""
    texts: list[str] = []
    for index, line in enumerate(lines):
        found = _LINE.match(line)
        if found is None:
            raise ReplySyntaxError(f"no reply line: {line[:60]!r}")
        line_code, separator, body = found.groups()
        if index and line_code != code:
            raise ReplySyntaxError(f"reply lines of different codes: {code!r} and {line_code!r}")
        code = line_code
        if (separator == b"-") != (index < len(lines) - 1):
            raise ReplySyntaxError(f"reply line with a wrong continuation mark: {line[:60]!r}")
        texts.append((body or b"").decode("utf-8", "replace"))
    number = int(code)  # strict: _LINE matched three digits
    enhanced, texts = _take_enhanced(number, texts)
    return cls(number, "\n".join(texts), enhanced)


def _take_enhanced(code: int, texts: list[str]) -> tuple[EnhancedStatus | None, list[str]]:
    """Take the enhanced status off the lines, when the first has one of the code's class (RFC 2034 section 4)."""
    word = texts[0].partition(" ")[0]
    if _ENHANCED.match(word) is None or word[0] != str(code)[0]:
        return None, texts
    stripped = [t[len(word) :].lstrip(" ") if t.partition(" ")[0] == word else t for t in texts]
    return EnhancedStatus.parse(word), stripped
