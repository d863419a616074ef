"""SIZE (RFC 1870): the client says how large the message is, before it is sent."""

from __future__ import annotations

import re

from postroad.errors import ParameterSyntaxError
from postroad.replies import Reply
from postroad.smtp.parameters import Conditions, Extension, OnRefusal, Parameter, Traits
from postroad.smtp.states import Verb

_NUMBER = re.compile(r"[0-9]{1,20}\Z")

TOO_LARGE = Reply(552, "Message size exceeds fixed maximum message size", "5.3.4")
NO_ROOM_NOW = Reply(452, "Insufficient system storage for a message of this size, try again later", "4.3.1")


def _parse(text: str | None) -> int:
    if text is None or _NUMBER.match(text) is None:
        raise ParameterSyntaxError("a number of octets, 1 to 20 digits")
    return int(text)  # strict: _NUMBER matched


def _accommodate(octets: int, conditions: Conditions) -> Reply | None:
    """RFC 1870 section 6.1: 552 when never, 452 when only now there is no room."""
    if conditions.size_limit and octets > conditions.size_limit:
        return TOO_LARGE
    if conditions.free_octets is not None and octets > conditions.free_octets:
        return NO_ROOM_NOW
    return None


SIZE = Parameter(
    keyword="SIZE",
    command=Verb.MAIL,
    parse=_parse,
    encode=str,
    accommodate=_accommodate,
    not_now=NO_ROOM_NOW,
    on_refusal=OnRefusal.OMIT,
    octets=26,
)


def size(limit: int) -> Extension:
    """The extension as announced with ``limit`` octets (0: no fixed limit)."""
    line = f"SIZE {limit}"

    def announce(traits: Traits) -> str:
        return line

    return Extension(keyword="SIZE", rfc="RFC 1870", parameters=(SIZE,), announce=announce)
