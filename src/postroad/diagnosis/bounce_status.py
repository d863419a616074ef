"""Delivery reports by the book and beside it: fields of message/delivery-status (RFC 3464), leniently read.

Promise: any text gives groups of fields; the number of fields, groups and characters is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from postroad.message.header_text import decode_words

MAX_GROUPS: Final = 1_000
_MAX_FIELDS: Final = 20_000
_MAX_VALUE: Final = 4_000

_FIELD = re.compile(r"([!-9;-~]{1,60})[ \t]{0,10}:(.*)\Z", re.DOTALL)
_STATUS = re.compile(r"\(?([245])\.([0-9]{1,3})\.([0-9]{1,3})(?![0-9])")
_CODE = re.compile(r"[45][0-9][0-9](?![0-9.])")
_HOST = re.compile(
    r"\[?([A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63}){1,20}|[0-9a-fA-F:]{0,40}::?[0-9a-fA-F:.]{1,40})\.?"
)
_MONTHS: Final = "jan feb mar apr may jun jul aug sep oct nov dec".split()
_DATE = re.compile(
    r"([0-3]?[0-9])[ -]([A-Za-z]{3})[ -]((?:19|20)[0-9]{2}) +([0-2]?[0-9]):([0-5][0-9])(?::([0-6][0-9]))? *([+-][0-9]{4})?"
)
#: Names that make a group one of a recipient.
_OF_RECIPIENT: Final = (
    "final-recipient",
    "original-recipient",
    "action",
    "status",
    "diagnostic-code",
    "x-actual-recipient",
)

Group = Mapping[str, str]


def read_groups(text: str) -> tuple[Group, list[Group]]:
    """The fields of the message, and those of each recipient (RFC 3464 section 2.1).

    An empty line too many does not begin a recipient: fields that name nobody belong to the one before.
    """
    message: dict[str, str] = {}
    recipients: list[dict[str, str]] = []
    for group in _groups(text):
        if not any(name in group for name in _OF_RECIPIENT):
            target = recipients[-1] if recipients and not message.keys() & group.keys() else message
            target.update({name: value for name, value in group.items() if name not in target})
        elif recipients and not _names_somebody(group) and not group.keys() & recipients[-1].keys():
            recipients[-1].update(group)
        elif len(recipients) < MAX_GROUPS:
            recipients.append(group)
    return message, list(recipients)


def _names_somebody(group: Group) -> bool:
    return "final-recipient" in group or "original-recipient" in group


def _groups(text: str) -> list[dict[str, str]]:
    groups: list[dict[str, str]] = [{}]
    name = ""
    for count, line in enumerate(text.split("\n")):
        if count >= _MAX_FIELDS:
            break
        if not line.strip():
            if groups[-1]:
                groups.append({})
            name = ""
        elif line[0] in " \t" and name:
            groups[-1][name] = f"{groups[-1][name]}\n{line.strip()}"[:_MAX_VALUE]
        elif (found := _FIELD.match(line)) is not None:
            name = found[1].lower()
            if name in _OF_RECIPIENT[:2] and (name in groups[-1] or "reporting-mta" in groups[-1]):  # no empty line
                groups.append({})
            if name in groups[-1]:
                name = ""
            else:
                groups[-1][name] = found[2].strip()[:_MAX_VALUE]
        elif name:  # a fold that lost its blank
            groups[-1][name] = f"{groups[-1][name]}\n{line.strip()}"[:_MAX_VALUE]
    return [group for group in groups if group]


def address_of(value: str) -> str:
    """``kana@example.jp`` of ``rfc822; kana@example.jp``; what is no address of mail stays as it is."""
    kind, semicolon, rest = value.partition(";")
    address = " ".join((rest if semicolon and "@" not in kind else value).split())
    if address.startswith("<") and ">" in address:
        address = address[1 : address.index(">")]
    address = address.strip("<> ").removeprefix("mailto:")[:320]
    return address.replace("+2B", "+").replace("+3D", "=")  # RFC 3461 section 4: what somebody did not decode


def is_of_mail(value: str) -> bool:
    """Whether the address is one of the Internet, or at least no X.400 or other one (RFC 3464 section 2.1.2)."""
    kind, semicolon, rest = value.partition(";")
    return (
        "@" in value
        and (not semicolon or kind.strip().lower() in ("rfc822", "utf-8", "system", ""))
        and rest[:1] != "/"
    )


def diagnostic_of(value: str) -> tuple[bool, str]:
    """Whether a host's reply is quoted, and the text, one line a line (RFC 3464 section 2.3.6)."""
    kind, semicolon, rest = value.partition(";")
    kind = kind.strip().lower()
    if not semicolon or not re.fullmatch(r"[a-z0-9-]{1,40}", kind):
        return True, decode_words(value.strip())
    if kind == "smtp" and rest.lstrip().lower().startswith("smtp;"):
        rest = rest.lstrip()[5:]
    return kind == "smtp", decode_words(rest.strip())


def status_of(value: str) -> str:
    """``5.1.1`` of ``5.1.1 (bad mailbox)``; ``""`` for what is none."""
    found = _STATUS.match(value.strip())
    return f"{found[1]}.{found[2].lstrip('0') or '0'}.{found[3].lstrip('0') or '0'}" if found else ""


def code_of(value: str) -> str:
    """Some write a reply code where the status belongs."""
    found = _CODE.match(value.strip())
    return found[0] if found else ""


def host_of(value: str) -> str:
    """The host of ``dns; mx.example.jp (192.0.2.1)``; ``""`` when none is named."""
    kind, semicolon, rest = value.partition(";")
    found = _HOST.search(rest if semicolon else kind)
    return found[1].lower() if found else ""


def moment_of(value: str) -> str:
    """A date of a header in RFC 3339; ``""`` for what is none."""
    found = _DATE.search(value[:200])
    if found is None or found[2].lower() not in _MONTHS or not 1 <= int(found[1]) <= 31 or int(found[4]) > 23:
        return ""
    month = _MONTHS.index(found[2].lower()) + 1
    zone = found[7] or "+0000"
    offset = "Z" if zone in ("+0000", "-0000") else f"{zone[:3]}:{zone[3:]}"
    return f"{found[3]}-{month:02d}-{int(found[1]):02d}T{int(found[4]):02d}:{found[5]}:{found[6] or '00'}{offset}"
