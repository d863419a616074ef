"""DELIVERBY (RFC 2852): deliver within a time, or return (R) or notify (N). Its RFC names 455 in section 4."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from postroad.errors import ParameterSyntaxError
from postroad.smtp.parameters import Extension, OnRefusal, Parameter, Traits
from postroad.smtp.states import Verb

_BY = re.compile(r"([+-]?[0-9]{1,9});([NR])(T?)\Z", re.IGNORECASE)

#: Section 4: the range of a by-time ends at so many seconds ago.
LEAST_TIME: Final = -999_999_999


@dataclass(frozen=True, slots=True)
class DeliverBy:
    """A value of BY."""

    seconds: int
    """From now; may be negative with mode N."""
    must_return: bool
    """Mode R: return when late. Mode N: notify and go on."""
    trace: bool


def _parse(text: str | None) -> DeliverBy:
    found = _BY.match(text or "")
    if found is None:
        raise ParameterSyntaxError("seconds;N or seconds;R, then perhaps T")
    seconds = int(found.group(1))  # strict: _BY matched
    must_return = found.group(2).upper() == "R"
    if must_return and seconds <= 0:
        raise ParameterSyntaxError("mode R needs a time above zero")
    return DeliverBy(seconds, must_return, found.group(3) != "")


def _encode(value: DeliverBy) -> str:
    return f"{value.seconds};{'R' if value.must_return else 'N'}{'T' if value.trace else ''}"


#: Mode N may be dropped with a report, mode R never: the value decides, so a client asks ``may_drop``.
BY = Parameter(keyword="BY", command=Verb.MAIL, parse=_parse, encode=_encode, on_refusal=OnRefusal.KEEP, octets=17)


def may_drop(value: DeliverBy) -> bool:
    """Whether a client may send without BY when it is refused."""
    return not value.must_return


def deliver_by(minimum: int = 0) -> Extension:
    """The extension as announced with the least by-time in seconds for mode R (0: none)."""
    line = f"DELIVERBY {minimum}" if minimum else "DELIVERBY"

    def announce(traits: Traits) -> str:
        return line

    return Extension(keyword="DELIVERBY", rfc="RFC 2852", parameters=(BY,), announce=announce)
