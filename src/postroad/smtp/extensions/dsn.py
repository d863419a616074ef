"""DSN (RFC 3461): what reports the sender wants. RET and ENVID on MAIL, NOTIFY and ORCPT on RCPT."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, Flag

from postroad.errors import ParameterSyntaxError
from postroad.smtp.extensions.xtext import decode_xtext, encode_xtext
from postroad.smtp.parameters import Extension, OnRefusal, Parameter
from postroad.smtp.states import Verb

#: RFC 3461 section 4.4: an envelope id has at most 100 characters before encoding.
_MAX_ENVID = 100
#: RFC 3461 section 4.2: the ORCPT parameter has at most 500 characters.
_MAX_ORCPT = 500
_ADDRESS_TYPE = re.compile(r"[!-*,-:<>-~]{1,40}\Z")
_UTF8_ADDRESS = re.compile(r"(?>(?:[!-*,-<>-\[\]-~\u0080-\U0010ffff]|\\x\{[1-9A-F][0-9A-F]{1,5}+\}|\+[0-9A-F]{2})+)\Z")


class Ret(Enum):
    """How much of the message a failure report returns."""

    FULL = "FULL"
    HDRS = "HDRS"


class Notify(Flag):
    """When the sender wants a report; NEVER stands alone and is the empty flag."""

    NEVER = 0
    SUCCESS = 1
    FAILURE = 2
    DELAY = 4


@dataclass(frozen=True, slots=True)
class OriginalRecipient:
    """The recipient as the sender named it."""

    address_type: str
    address: str


def _parse_ret(text: str | None) -> Ret:
    try:
        return Ret((text or "").upper())
    except ValueError:
        raise ParameterSyntaxError("FULL or HDRS") from None


def _parse_envid(text: str | None) -> str:
    decoded = decode_xtext(text or "")
    if not 1 <= len(decoded) <= _MAX_ENVID:
        raise ParameterSyntaxError("1 to 100 characters as xtext")
    return decoded


def _parse_notify(text: str | None) -> Notify:
    words = (text or "").upper().split(",")
    if words == ["NEVER"]:
        return Notify.NEVER
    wanted = Notify.NEVER
    for word in words:
        if word not in ("SUCCESS", "FAILURE", "DELAY") or Notify[word] in wanted:
            raise ParameterSyntaxError("NEVER, or a list of SUCCESS, FAILURE, DELAY")
        wanted |= Notify[word]
    return wanted


def _encode_notify(value: Notify) -> str:
    named = [flag.name for flag in (Notify.SUCCESS, Notify.FAILURE, Notify.DELAY) if flag in value]
    return ",".join(name for name in named if name) or "NEVER"


def _parse_orcpt(text: str | None) -> OriginalRecipient:
    kind, separator, address = (text or "").partition(";")
    if not separator or _ADDRESS_TYPE.match(kind) is None or not address or len(text or "") > _MAX_ORCPT:
        raise ParameterSyntaxError("address-type;xtext")
    if kind.lower() == "utf-8":  # RFC 6533 section 3: utf-8-addr-xtext or utf-8-addr-unitext
        if _UTF8_ADDRESS.match(address) is None or not address.isprintable():
            raise ParameterSyntaxError("utf-8;address as RFC 6533 writes it")
        return OriginalRecipient(kind, address)
    return OriginalRecipient(kind, decode_xtext(address))


def _encode_orcpt(value: OriginalRecipient) -> str:
    address = value.address if value.address_type.lower() == "utf-8" else encode_xtext(value.address)
    return f"{value.address_type};{address}"


RET = Parameter(
    keyword="RET",
    command=Verb.MAIL,
    parse=_parse_ret,
    encode=lambda value: value.value,
    on_refusal=OnRefusal.OMIT_AND_REPORT,
    octets=9,
)
ENVID = Parameter(
    keyword="ENVID",
    command=Verb.MAIL,
    parse=_parse_envid,
    encode=encode_xtext,
    on_refusal=OnRefusal.OMIT_AND_REPORT,
    octets=107,
)
NOTIFY = Parameter(
    keyword="NOTIFY",
    command=Verb.RCPT,
    parse=_parse_notify,
    encode=_encode_notify,
    on_refusal=OnRefusal.OMIT_AND_REPORT,
    octets=29,
)
ORCPT = Parameter(
    keyword="ORCPT",
    command=Verb.RCPT,
    parse=_parse_orcpt,
    encode=_encode_orcpt,
    on_refusal=OnRefusal.OMIT_AND_REPORT,
    octets=507,
)

DSN = Extension(keyword="DSN", rfc="RFC 3461", parameters=(RET, ENVID, NOTIFY, ORCPT))
