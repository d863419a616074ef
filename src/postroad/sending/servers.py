"""Where to send, as a person writes it: ``mx.example.net:25``, ``[2001:db8::1]:587``, ``smtps:HOST``, ``lmtp:/socket``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final

from postroad.address import normal_domain, parse_domain
from postroad.errors import AddressSyntaxError, PostroadError
from postroad.net.connecting import Target

#: RFC 5321, RFC 6409, RFC 8314; LMTP has no port of its own, and 24 (RFC 2033 section 5: never 25) is what hosts use.
SMTP_PORT: Final = 25
SUBMISSION_PORT: Final = 587
SUBMISSIONS_PORT: Final = 465
LMTP_PORT: Final = 24

_FORM: Final = re.compile(r"(?:(smtps?|lmtp)://|(smtps?|lmtp):(?![0-9]+\Z))?(.*)\Z", re.IGNORECASE | re.DOTALL)
_HOST_PORT: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:/@\s]+))(?::([0-9]{1,5}))?/?\Z")
_HINT: Final = "write HOST, HOST:PORT, [IPv6]:PORT, smtps:HOST, lmtp:HOST:PORT or lmtp:/path/of/socket"


class ServerError(PostroadError):
    """A server that cannot be understood: what was written, and what may be written."""


@dataclass(frozen=True, slots=True)
class Server:
    """One host to talk to."""

    target: Target
    implicit_tls: bool = False
    """TLS from the first octet, by its port or by the word ``smtps``."""

    @property
    def is_near(self) -> bool:
        """A socket, or an address of this machine: nobody listens on the way."""
        host = self.target.host
        if self.target.path or host.lower().rstrip(".") == "localhost":
            return True
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return False


def read_server(text: str, *, lmtp: bool = False, implicit: bool = False, authenticates: bool = False) -> Server:
    """The server that ``text`` names; raises ServerError.

    Without a port: 24 for LMTP, 465 with implicit TLS, 587 to authenticate, else 25.
    """
    found = _FORM.match(text.strip())
    scheme = ((found[1] or found[2] or "") if found is not None else "").lower()
    rest = found[3] if found is not None else text
    lmtp = lmtp or scheme == "lmtp"
    implicit = implicit or scheme == "smtps"
    if rest.startswith("/"):
        return Server(Target(path=_path(rest), lmtp=lmtp))
    parts = _HOST_PORT.match(rest)
    if parts is None:
        if _is_address(rest):  # a bare IPv6 address
            return _server(rest, None, lmtp, implicit, authenticates)
        raise ServerError(f"no server: {text[:80]!r}", _HINT)
    if parts[1] is not None and not _is_address(parts[1]):
        raise ServerError(f"no address between the brackets: {text[:80]!r}", _HINT)
    port = int(parts[3]) if parts[3] is not None else None
    if port is not None and not 0 < port < 65_536:
        raise ServerError(f"no port: {parts[3]}", "a port is a number from 1 to 65535")
    return _server(parts[1] or _name(parts[2], text), port, lmtp, implicit, authenticates)


def _server(host: str, port: int | None, lmtp: bool, implicit: bool, authenticates: bool) -> Server:
    implicit = implicit or (port == SUBMISSIONS_PORT and not lmtp)
    if port is None:
        port = SUBMISSION_PORT if authenticates else SMTP_PORT
        port = LMTP_PORT if lmtp else SUBMISSIONS_PORT if implicit else port
    return Server(Target(host, port, lmtp=lmtp), implicit)


def _path(path: str) -> str:
    if "\x00" in path:
        raise ServerError("a socket's path has no NUL", _HINT)
    return path


def _name(name: str, text: str) -> str:
    """The host's name in A-labels; raises ServerError."""
    if _is_address(name):
        return name
    try:
        return normal_domain(parse_domain(name.removesuffix(".")))
    except AddressSyntaxError as fault:
        raise ServerError(f"no host name: {text[:80]!r}", fault.hint or _HINT) from fault


def _is_address(text: str) -> bool:
    try:
        return "%" not in text and ip_address(text) is not None
    except ValueError:
        return False
