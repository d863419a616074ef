"""MT-PRIORITY (RFC 6710): how urgent the message is to the transfer agents, -9 to 9."""

from __future__ import annotations

import re

from postroad.errors import ParameterSyntaxError
from postroad.smtp.parameters import Extension, OnRefusal, Parameter
from postroad.smtp.states import Verb

_PRIORITY = re.compile(r"(?:-?[1-9]|0)\Z")


def _parse(text: str | None) -> int:
    if text is None or _PRIORITY.match(text) is None:
        raise ParameterSyntaxError("a number from -9 to 9")
    return int(text)  # strict: _PRIORITY matched


PRIORITY = Parameter(
    keyword="MT-PRIORITY", command=Verb.MAIL, parse=_parse, encode=str, on_refusal=OnRefusal.OMIT, octets=15
)

MT_PRIORITY = Extension(keyword="MT-PRIORITY", rfc="RFC 6710", parameters=(PRIORITY,))
