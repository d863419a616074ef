"""The Received field that we put in front of every message (RFC 5321 section 4.4, RFC 3848, RFC 6531 section 4.3)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from postroad.address import parse_domain
from postroad.errors import AddressSyntaxError

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_NOT_COMMENT: Final = re.compile(r"[^A-Za-z0-9._:@+=\[\]-]")


def date_time(seconds: float) -> str:
    """A date and time in UTC as RFC 5322 section 3.3 writes it; ``seconds`` since the epoch."""
    return _date_time(int(seconds))  # strict: a number of ours, not wire text


@lru_cache(maxsize=4)  # many messages arrive within one second
def _date_time(seconds: int) -> str:
    days, rest = divmod(seconds, 86_400)
    year, month, day = _civil(days)
    hour, minute, second = rest // 3600, rest // 60 % 60, rest % 60
    name = _DAYS[(days + 3) % 7]
    return f"{name}, {day} {_MONTHS[month - 1]} {year} {hour:02}:{minute:02}:{second:02} +0000"


def _civil(days: int) -> tuple[int, int, int]:
    """Days since 1970-01-01 to year, month and day (proleptic Gregorian), without asking the system."""
    days += 719_468
    era, day_of_era = divmod(days, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day


def protocol(*, esmtp: bool, utf8: bool, tls: bool, authenticated: bool) -> str:
    """The ``with`` keyword: SMTP, ESMTP, ESMTPS, ESMTPSA, UTF8SMTP … (RFC 3848, RFC 6531 section 4.3)."""
    if not esmtp:
        return "SMTP"
    return ("UTF8SMTP" if utf8 else "ESMTP") + ("S" if tls else "") + ("A" if authenticated else "")


@lru_cache(maxsize=256)
def client(hello: str, address: str) -> str:
    """The ``from`` clause: the name the client gave, and in the comment the address it came from.

    A name that is no domain or literal moves into the comment with everything odd replaced: it is a stranger's text.
    """
    literal = f"[IPv6:{address}]" if ":" in address else f"[{address}]"
    try:
        if hello.isascii():
            return f"{parse_domain(hello)} ({literal})"
    except AddressSyntaxError:
        pass
    return f"{literal} (helo={_NOT_COMMENT.sub('?', hello[:255])})" if hello else literal


def received(
    *, source: str, host: str, with_protocol: str, message_id: str, tls: str, only_recipient: str, date: str
) -> bytes:
    """The field with CRLF. ``tls`` is ours (version and cipher) or empty; ``only_recipient`` is named when there is one.

    An address that would need UTF-8 or folding is left out: the clause is optional.
    """
    secured = f"\r\n (using {tls.replace(' ', ' with cipher ', 1)})" if tls else ""
    named = (
        f"\r\n for <{only_recipient}>"
        if only_recipient and only_recipient.isascii() and len(only_recipient) < 256
        else ""
    )
    text = f"Received: from {source}{secured}\r\n by {host} (Postroad) with {with_protocol} id {message_id}{named};\r\n {date}\r\n"
    return text.encode("ascii", "replace")
