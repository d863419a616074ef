"""What a message needs of every host: found by reading it, and said as parameters of MAIL."""

from __future__ import annotations

import re
from typing import Any, Final

from postroad.sending.composing import Composed
from postroad.smtp.extensions.body import BODY, Body
from postroad.smtp.extensions.smtputf8 import UTF8
from postroad.smtp.negotiation import ContentNeeds
from postroad.smtp.parameters import Given, Parameter

#: RFC 5322 section 2.1.1: octets of a line without its CRLF.
_LONGEST: Final = 998
_LONG_LINE: Final = re.compile(rb"[^\n]{%d}" % (_LONGEST + 2))


def needs_of(content: bytes) -> ContentNeeds:
    """Read the octets, whose lines all end in CRLF."""
    head = content.partition(b"\r\n\r\n")[0]
    return ContentNeeds(
        eight_bit=not content.isascii(),
        binary=b"\x00" in content or _LONG_LINE.search(content) is not None,
        utf8_header=not head.isascii(),
        recodable=False,
    )


def parameters_for(composed: Composed, needs: ContentNeeds, given: Given) -> Given:
    """The parameters of MAIL: what the content and the addresses need, then what was asked for, which wins.

    SIZE is not among them: whether a host is told it is between the negotiation and the host.
    """
    people = (*composed.recipients, composed.sender)
    values: dict[Parameter[Any], Any] = {}
    if needs.binary:
        values[BODY] = Body.BINARYMIME
    elif needs.eight_bit:
        values[BODY] = Body.EIGHTBITMIME
    if needs.utf8_header or not all(one.is_ascii for one in people if one is not None):
        values[UTF8] = True
    named = {parameter.keyword for parameter, _ in given}
    return Given({key: value for key, value in values.items() if key.keyword not in named} | dict(given))
