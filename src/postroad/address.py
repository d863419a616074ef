"""Mailboxes and paths: read, write, compare (RFC 5321 section 4.1.2 and 4.1.3, RFC 6531 section 3.3).

The local part is opaque and case-sensitive; it is kept without its quotes and quoted again only where it must be.
A domain is compared as lower-case A-labels (RFC 5890), an address literal as it stands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final

import idna

from postroad.errors import AddressSyntaxError

#: RFC 5321 section 4.5.3.1: octets, the path's brackets included.
MAX_LOCAL_PART: Final = 64
MAX_DOMAIN: Final = 255
MAX_PATH: Final = 256

# Possessive and atomic throughout: none of these can backtrack. U+0080 and above stand for UTF8-non-ascii
# (RFC 6531 section 3.3); C1 controls and separators among them are refused by _check_utf8.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]++"
_LABEL = r"[A-Za-z0-9\u0080-\U0010ffff]++(?>(?:-++[A-Za-z0-9\u0080-\U0010ffff]++)*)"
_DOT_STRING = rf"{_ATOM}(?>(?:\.{_ATOM})*)"
_QUOTED_STRING = r'"(?>(?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*)"'
_DOMAIN = rf"{_LABEL}(?>(?:\.{_LABEL})*)"
_LITERAL = r"\[[!-Z^-~]++\]"
_MAILBOX = re.compile(rf"(?:({_DOT_STRING})|({_QUOTED_STRING}))@({_DOMAIN}|{_LITERAL})")
_SOURCE_ROUTE = re.compile(rf"@{_DOMAIN}(?>(?:,@{_DOMAIN})*):")
_PLAIN_LOCAL = re.compile(rf"{_DOT_STRING}\Z")
_DOMAIN_ONLY = re.compile(rf"(?:{_DOMAIN}|{_LITERAL})\Z")
_TAGGED = re.compile(r"[A-Za-z0-9](?>(?:-*+[A-Za-z0-9]++)*):[!-Z^-~]++\Z")
_QUOTED_PAIR = re.compile(r"\\([ -~])")
_TO_QUOTE = re.compile(r'(["\\])')


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox. ``domain`` is empty only for the bare ``<Postmaster>`` of RFC 5321 section 4.5.1."""

    local_part: str
    domain: str

    @property
    def destination(self) -> str:
        """The domain as it is compared and routed: lower-case A-labels, or the literal in lower case."""
        return normal_domain(self.domain)

    @property
    def is_ascii(self) -> bool:
        """False when the path may travel only with SMTPUTF8."""
        return self.local_part.isascii() and self.domain.isascii()

    @property
    def is_postmaster(self) -> bool:
        """True for the local part ``postmaster`` in any case (RFC 5321 section 4.5.1)."""
        return self.local_part.isascii() and self.local_part.lower() == "postmaster"

    def __str__(self) -> str:
        local = self.local_part
        if _PLAIN_LOCAL.match(local) is None:
            local = '"' + _TO_QUOTE.sub(r"\\\1", local) + '"'
        return f"{local}@{self.domain}" if self.domain else local


def normal_domain(domain: str) -> str:
    """A domain as it is compared: lower-case A-labels; a domain that IDNA refuses is only lowered."""
    if domain.isascii():
        return domain.lower()
    try:
        return idna.encode(domain, uts46=True).decode("ascii").lower()
    except idna.IDNAError:
        return domain.lower()


def parse_mailbox(text: str) -> Mailbox:
    """Read ``local@domain`` without brackets, UTF-8 allowed; raises AddressSyntaxError."""
    found = _MAILBOX.match(text)
    if found is None or found.end() != len(text):
        raise AddressSyntaxError(f"not a mailbox: {text[:80]!r}", _diagnose(text))
    return _mailbox(*found.groups())


def parse_domain(text: str) -> str:
    """Read a domain or an address literal; gives it back as it stands; raises AddressSyntaxError."""
    if _DOMAIN_ONLY.match(text) is None:
        raise AddressSyntaxError(f"not a domain or address literal: {text[:80]!r}")
    _check_domain(text)
    return text


@lru_cache(maxsize=1024)  # the same people write and are written to
def stored_path(text: str) -> Mailbox | None:
    """The mailbox of a path that is kept without brackets; None when it cannot be read."""
    try:
        path, rest = take_path(f"<{text}>")
    except AddressSyntaxError:
        return None
    return path if not rest else None


def take_path(text: str) -> tuple[Mailbox | None, str]:
    """Read the path that ``text`` begins with; gives it with what follows; raises AddressSyntaxError.

    ``<>`` gives None. A source route is read and dropped (RFC 5321 appendix C). ``<Postmaster>`` gives a mailbox
    without domain.
    """
    if not text.startswith("<"):
        raise AddressSyntaxError("the path must stand between < and >")
    if text.startswith("<>"):
        return None, text[2:]
    start = 1
    if text.startswith("<@"):
        route = _SOURCE_ROUTE.match(text, 1)
        if route is None:
            raise AddressSyntaxError("malformed source route")
        start = route.end()
    found = _MAILBOX.match(text, start)
    if found is None:
        if text[start : start + 11].lower() == "postmaster>":
            return Mailbox(text[start : start + 10], ""), text[start + 11 :]
        raise AddressSyntaxError("malformed mailbox", _diagnose(text[1:].partition(">")[0]))
    end = found.end()
    if text[end : end + 1] != ">":
        raise AddressSyntaxError("malformed mailbox", _diagnose(text[1:].partition(">")[0]))
    if _octets(text[: end + 1]) > MAX_PATH:
        raise AddressSyntaxError(f"the path is longer than {MAX_PATH} octets")
    return _mailbox(*found.groups()), text[end + 1 :]


@lru_cache(maxsize=1024)  # the same people write and are written to
def _mailbox(plain: str | None, quoted: str | None, domain: str) -> Mailbox:
    local = plain if plain is not None else _QUOTED_PAIR.sub(r"\1", (quoted or "")[1:-1])
    written = plain if plain is not None else quoted or ""
    if not written.isascii():
        _check_utf8(written)
    if _octets(written) > MAX_LOCAL_PART:
        raise AddressSyntaxError(f"the local part is longer than {MAX_LOCAL_PART} octets")
    _check_domain(domain)
    return Mailbox(local, domain)


def _check_domain(domain: str) -> None:
    if domain.startswith("["):
        _check_literal(domain[1:-1])
    elif not domain.isascii():
        _check_utf8(domain)
        try:
            idna.encode(domain, uts46=True)
        except idna.IDNAError as fault:
            raise AddressSyntaxError("the domain is no valid internationalized domain name") from fault
    if _octets(domain) > MAX_DOMAIN:
        raise AddressSyntaxError(f"the domain is longer than {MAX_DOMAIN} octets")
    if len(domain) > 63 and any(len(label) > 63 for label in domain.split(".")) and not domain.startswith("["):
        raise AddressSyntaxError("a label of the domain is longer than 63 octets")


def _octets(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _check_literal(text: str) -> None:
    """IPv4, ``IPv6:`` or a tagged literal (RFC 5321 section 4.1.3); IPv6 without a zone."""
    try:
        if text[:5].lower() == "ipv6:":
            if "%" in text:
                raise AddressSyntaxError("an address literal has no zone")
            IPv6Address(text[5:])
        elif _TAGGED.match(text) is None:
            IPv4Address(text)
    except AddressValueError as fault:
        raise AddressSyntaxError("malformed address literal") from fault


def _check_utf8(text: str) -> None:
    """Refuse what no address needs and every log fears: C1 controls, line and paragraph separators, surrogates."""
    if not all(c <= "~" or (c.isprintable() and not "\ufff9" <= c <= "\uffff") for c in text):
        raise AddressSyntaxError("the address holds control or unassigned characters")


def _diagnose(text: str) -> str:
    """Say what a human would look at first."""
    local, at, domain = text.rpartition("@")
    if not at:
        return "there is no @"
    if local.startswith(".") or local.endswith(".") or ".." in local:
        return "a dot must stand between two characters of the local part"
    if any(c < " " or c == "\x7f" for c in text):
        return "control characters are not allowed"
    if not domain or domain.startswith(".") or domain.endswith(".") or ".." in domain:
        return "the domain has an empty label"
    return ""
