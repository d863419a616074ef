"""What a client says: each command as a value, and its one line of octets.

No argument can smuggle a second command: controls are refused in every argument, paths must read back whole as one
path, parameters must follow the grammar of RFC 5321 section 4.1.2; all of it before the first octet is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from postroad.address import Mailbox, parse_domain, take_path
from postroad.errors import AddressSyntaxError, LocalProtocolError
from postroad.smtp.parameters import NOTHING_GIVEN, Given
from postroad.smtp.states import Verb

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
#: esmtp-param of RFC 5321 section 4.1.2; values beyond ASCII (RFC 6533) are sent encoded.
_PARAMETER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*+(?:=[!-<>-~]++)?\Z")
_MECHANISM: Final = re.compile(r"[A-Z0-9_-]{1,20}\Z")


@dataclass(frozen=True, slots=True)
class Hello:
    """EHLO (LHLO in LMTP), and HELO when the host does not know it; our own name or address literal."""

    name: str


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS (RFC 3207)."""


@dataclass(frozen=True, slots=True)
class Auth:
    """AUTH (RFC 4954) with PLAIN, or with LOGIN when that is all the host offers."""

    account: str
    password: str = field(repr=False)
    mechanism: str = ""
    """Empty: the first of PLAIN and LOGIN that is announced."""


@dataclass(frozen=True, slots=True)
class Mail:
    """MAIL; ``reverse_path`` None is the null reverse-path."""

    reverse_path: Mailbox | None
    parameters: Given = NOTHING_GIVEN


@dataclass(frozen=True, slots=True)
class Rcpt:
    """RCPT."""

    forward_path: Mailbox
    parameters: Given = NOTHING_GIVEN


@dataclass(frozen=True, slots=True)
class Data:
    """DATA; the content follows once the host asks for it."""


@dataclass(frozen=True, slots=True)
class Bdat:
    """BDAT (RFC 3030) with the octets of its chunk; without BODY=BINARYMIME they are text whose lines end in CRLF."""

    octets: bytes = field(repr=False)
    last: bool


@dataclass(frozen=True, slots=True)
class Rset:
    """RSET."""


@dataclass(frozen=True, slots=True)
class Noop:
    """NOOP."""


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT."""


Command = Hello | StartTls | Auth | Mail | Rcpt | Data | Bdat | Rset | Noop | Quit

#: RFC 2920 section 3.1: nothing may be sent behind these before they are answered. (EHLO, DATA, VRFY, EXPN, TURN, QUIT,
#: NOOP there; STARTTLS and AUTH by RFC 3207 and RFC 4954.)
ENDS_GROUP: Final = frozenset(
    {Verb.EHLO, Verb.HELO, Verb.LHLO, Verb.STARTTLS, Verb.AUTH, Verb.DATA, Verb.NOOP, Verb.QUIT}
)

#: Hello is EHLO, HELO or LHLO.
VERBS: Final[dict[type[Command], Verb]] = {
    StartTls: Verb.STARTTLS,
    Auth: Verb.AUTH,
    Mail: Verb.MAIL,
    Rcpt: Verb.RCPT,
    Data: Verb.DATA,
    Bdat: Verb.BDAT,
    Rset: Verb.RSET,
    Noop: Verb.NOOP,
    Quit: Verb.QUIT,
}


def hello_line(verb: Verb, name: str) -> bytes:
    """EHLO, HELO or LHLO with our name; raises LocalProtocolError."""
    try:
        if not name.isascii():  # RFC 6531 section 3.7.1: our own name goes as A-labels
            raise AddressSyntaxError("beyond ASCII", "write the name as A-labels (xn--…)")
        parse_domain(name)
    except AddressSyntaxError as fault:
        raise LocalProtocolError(f"no name to greet with: {name[:80]!r}", fault.hint) from fault
    return _line(verb, name)


def mail_line(command: Mail) -> bytes:
    """MAIL; raises LocalProtocolError."""
    path = "" if command.reverse_path is None else str(command.reverse_path)
    return _line(Verb.MAIL, f"FROM:<{_whole(path)}>", *_checked(command.parameters))


def rcpt_line(command: Rcpt) -> bytes:
    """RCPT; raises LocalProtocolError."""
    return _line(Verb.RCPT, f"TO:<{_whole(str(command.forward_path))}>", *_checked(command.parameters))


def bare_line(command: StartTls | Data | Rset | Noop | Quit) -> bytes:
    """A command that has no argument here."""
    return _line(VERBS[type(command)])


def bdat_line(octets: int, *, last: bool) -> bytes:
    """BDAT for a chunk of so many octets, which follow at once."""
    return _line(Verb.BDAT, str(octets), *(("LAST",) if last else ()))


def auth_line(mechanism: str, initial_response: str | None) -> bytes:
    """AUTH with a base64 response, ``None`` for none; raises LocalProtocolError."""
    if _MECHANISM.match(mechanism) is None:
        raise LocalProtocolError(f"no SASL mechanism: {mechanism[:40]!r}")
    return _line(Verb.AUTH, mechanism, *(() if initial_response is None else (initial_response or "=",)))


def check_secret(text: str) -> str:
    """An account or password: no control of any kind (RFC 4616 forbids NUL, the rest no host needs)."""
    if _CONTROL.search(text) is not None or not _is_encodable(text):
        raise LocalProtocolError("a control character in an account or password")
    return text


@lru_cache(maxsize=1024)  # the same people write and are written to
def _whole(path: str) -> str:
    """The path, once it reads back as exactly one path."""
    if not _is_encodable(path):
        raise LocalProtocolError(f"no Unicode: {path[:80]!r}")
    try:
        rest = take_path(f"<{path}>")[1]
    except AddressSyntaxError as fault:
        raise LocalProtocolError(f"no path: {path[:80]!r}", fault.hint) from fault
    if rest:
        raise LocalProtocolError(f"more than one path: {path[:80]!r}")
    return path


def _checked(parameters: Given) -> tuple[str, ...]:
    pairs = ((parameter.keyword, parameter.encode(value)) for parameter, value in parameters)
    words = tuple(keyword if text is None else f"{keyword}={text}" for keyword, text in pairs)
    for word in words:
        if _PARAMETER.match(word) is None:
            raise LocalProtocolError(f"no parameter: {word[:80]!r}")
    return words


def _line(verb: Verb, *words: str) -> bytes:
    text = " ".join((verb.value, *words))
    if _CONTROL.search(text) is not None or not _is_encodable(text):
        raise LocalProtocolError(f"a control character in a command: {text[:80]!r}")
    return text.encode("utf-8") + b"\r\n"


def _is_encodable(text: str) -> bool:
    """False for half of a surrogate pair, which stands for no character."""
    return text.isascii() or not any("\ud800" <= c <= "\udfff" for c in text)
