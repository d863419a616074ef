"""FUTURERELEASE (RFC 4865): hold the message for a time or until a moment; submission only."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from postroad.errors import ParameterSyntaxError
from postroad.replies import Reply
from postroad.smtp.parameters import Extension, Given, OnRefusal, Parameter, Traits
from postroad.smtp.states import Verb

_SECONDS = re.compile(r"[1-9][0-9]{0,8}\Z")
_DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})\Z"
)

#: RFC 4865 section 4: one of the two, once.
BOTH_GIVEN = Reply(501, "HOLDFOR and HOLDUNTIL exclude each other", "5.5.4")


def _parse_holdfor(text: str | None) -> timedelta:
    if text is None or _SECONDS.match(text) is None:
        raise ParameterSyntaxError("seconds, 1 to 999999999")
    return timedelta(seconds=int(text))  # strict: _SECONDS matched


def _parse_holduntil(text: str | None) -> datetime:
    """A date-time of RFC 3339 (RFC 4865, erratum 2040)."""
    found = _DATE_TIME.match(text or "")
    if found is None:
        raise ParameterSyntaxError("a date and time as RFC 3339 writes it")
    day, hour, zone = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{hour}{'+00:00' if zone in 'Zz' else zone}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ParameterSyntaxError("a date and time as RFC 3339 writes it") from None


def _encode_holdfor(value: timedelta) -> str:
    return str(value.days * 86400 + value.seconds)


def _encode_holduntil(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


HOLDFOR = Parameter(
    keyword="HOLDFOR",
    command=Verb.MAIL,
    parse=_parse_holdfor,
    encode=_encode_holdfor,
    on_refusal=OnRefusal.KEEP,
    octets=18,
)
HOLDUNTIL = Parameter(
    keyword="HOLDUNTIL",
    command=Verb.MAIL,
    parse=_parse_holduntil,
    encode=_encode_holduntil,
    on_refusal=OnRefusal.KEEP,
    octets=46,
)


def _check(given: Given) -> Reply | None:
    return BOTH_GIVEN if HOLDFOR in given and HOLDUNTIL in given else None


def future_release(max_interval: timedelta, max_date_time: datetime) -> Extension:
    """The extension as announced: the longest interval and the latest moment (RFC 4865 section 4)."""
    line = f"FUTURERELEASE {_encode_holdfor(max_interval)} {_encode_holduntil(max_date_time)}"

    def announce(traits: Traits) -> str | None:
        return line if traits.submission else None

    return Extension(
        keyword="FUTURERELEASE",
        rfc="RFC 4865",
        parameters=(HOLDFOR, HOLDUNTIL),
        announce=announce,
        check=_check,
    )
