"""The BODY parameter, shared by 8BITMIME (RFC 6152) and BINARYMIME (RFC 3030): what octets the content may hold."""

from __future__ import annotations

from enum import Enum

from postroad.errors import ParameterSyntaxError
from postroad.smtp.parameters import OnRefusal, Parameter
from postroad.smtp.states import Verb


class Body(Enum):
    """A value of BODY."""

    SEVENBIT = "7BIT"
    EIGHTBITMIME = "8BITMIME"
    BINARYMIME = "BINARYMIME"


def _parse(text: str | None) -> Body:
    try:
        return Body((text or "").upper())
    except ValueError:
        raise ParameterSyntaxError("7BIT, 8BITMIME or BINARYMIME") from None


def _encode(value: Body) -> str:
    return value.value


BODY = Parameter(keyword="BODY", command=Verb.MAIL, parse=_parse, encode=_encode, on_refusal=OnRefusal.KEEP, octets=17)
