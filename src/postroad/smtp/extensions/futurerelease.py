"""FUTURERELEASE (RFC 4865): hold the message for a time or until a moment; submission only."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from postroad.errors import ParameterSyntaxError
from postroad.replies import Reply
from postroad.smtp.extensions.deliverby import BY
from postroad.smtp.parameters import Extension, Given, OnRefusal, Parameter, Traits
from postroad.smtp.states import Verb

_SECONDS = re.compile(r"[1-9][0-9]{0,8}\Z")
_DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})\Z"
)

#: RFC 4865 section 4: one of the two, once.
BOTH_GIVEN = Reply(501, "HOLDFOR and HOLDUNTIL exclude each other", "5.5.4")
#: RFC 4865 section 4.2, points 7 and 8.
TOO_LATE = Reply(501, "The message would be held longer than FUTURERELEASE announces", "5.5.4")
#: RFC 4865 section 5.2.2.
AFTER_BY = Reply(501, "The message would be held until after its BY time", "5.5.4")


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


def held_for(given: Given, now: datetime) -> timedelta:
    """How long a message that came ``now`` with these parameters of MAIL is to be held; zero: not at all."""
    interval, moment = given.get(HOLDFOR), given.get(HOLDUNTIL)
    if interval is not None:
        return interval
    return max(moment - now, timedelta()) if moment is not None else timedelta()


def future_release(max_interval: timedelta, now: Callable[[], datetime]) -> Extension:
    """The extension for holding at most ``max_interval``, which is announced as interval and as moment (RFC 4865 section 4).

    A set of extensions keeps the line of its first session: the moment in it only grows older, so that a client who
    heeds it is never refused.
    """

    def announce(traits: Traits) -> str | None:
        if not traits.submission:
            return None
        return f"FUTURERELEASE {_encode_holdfor(max_interval)} {_encode_holduntil(now() + max_interval)}"

    def check(given: Given) -> Reply | None:
        if HOLDFOR not in given and HOLDUNTIL not in given:
            return None
        if HOLDFOR in given and HOLDUNTIL in given:
            return BOTH_GIVEN
        held = held_for(given, now())
        by = given.get(BY)
        if held > max_interval:
            return TOO_LATE
        return AFTER_BY if by is not None and held.total_seconds() > by.seconds else None

    return Extension(
        keyword="FUTURERELEASE",
        rfc="RFC 4865",
        parameters=(HOLDFOR, HOLDUNTIL),
        announce=announce,
        check=check,
    )
