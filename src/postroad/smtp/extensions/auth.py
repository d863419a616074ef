"""AUTH (RFC 4954): offered inside TLS, in clear to loopback peers only; and the AUTH= parameter of MAIL."""

from __future__ import annotations

import re

from postroad.address import parse_mailbox
from postroad.errors import AddressSyntaxError, ParameterSyntaxError
from postroad.smtp.extensions.xtext import decode_xtext, encode_xtext
from postroad.smtp.parameters import Extension, OnRefusal, Parameter, Traits
from postroad.smtp.states import Verb

_NULL = re.compile(r"<>\Z")


def _parse(text: str | None) -> str:
    """``<>`` or a mailbox as xtext (RFC 4954 section 5); gives ``""`` or the mailbox."""
    if text is None:
        raise ParameterSyntaxError("<> or a mailbox as xtext")
    if _NULL.match(text):
        return ""
    try:
        mailbox = decode_xtext(text)
        parse_mailbox(mailbox)
    except AddressSyntaxError:
        raise ParameterSyntaxError("<> or a mailbox as xtext") from None
    return mailbox


def _encode(value: str) -> str:
    return encode_xtext(value) if value else "<>"


#: Accepted from anybody and trusted from nobody (RFC 4954 section 5).
AUTH = Parameter(keyword="AUTH", command=Verb.MAIL, parse=_parse, encode=_encode, on_refusal=OnRefusal.OMIT, octets=500)


def may_authenticate(traits: Traits) -> bool:
    """Whether passwords may travel in such a session."""
    return traits.tls or traits.auth_in_clear


def auth(mechanisms: tuple[str, ...]) -> Extension:
    """The extension as announced with these mechanisms."""
    line = " ".join(("AUTH", *mechanisms))

    def announce(traits: Traits) -> str | None:
        return line if may_authenticate(traits) else None

    return Extension(keyword="AUTH", rfc="RFC 4954", parameters=(AUTH,), verbs=(Verb.AUTH,), announce=announce)
