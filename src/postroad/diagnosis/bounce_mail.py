"""A mail that may be a bounce, taken apart: its header, its text for people, its machine-readable part, what it returns.

Promise: any octets give a ``Mail``; only the first ``MAX_OCTETS`` are read; work is linear and bounded; nothing raises.
Non-standard mail is met with the same eyes: a status part that is declared as text, or nested in a forwarded message,
is still found. Sources: RFC 3462 and RFC 6522 (multipart/report), RFC 3464, RFC 5965, RFC 8098, RFC 6533.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from postroad.message.header_text import decode_value
from postroad.message.mime import Field, Part, read_fields, scan

MAX_OCTETS: Final = 2 * 1024 * 1024
#: Characters of text, and of a machine-readable part, that are looked at.
MAX_TEXT: Final = 64 * 1024
MAX_STATUS: Final = 512 * 1024
#: Parts that are looked into, and messages within messages.
_MAX_PARTS: Final = 60
_MAX_DEPTH: Final = 3

_STATUS_KINDS: Final = frozenset(("message/delivery-status", "message/global-delivery-status"))
_RECEIPT_KINDS: Final = frozenset(("message/disposition-notification", "message/global-disposition-notification"))
_MESSAGES: Final = frozenset(("message/rfc822", "message/global"))
_HEADERS: Final = frozenset(("text/rfc822-headers", "message/global-headers", "message/rfc822-headers"))

_LOOKS_LIKE_STATUS = re.compile(r"(?:\A|\n)(?:Final|Original)-Recipient[ \t]*:", re.IGNORECASE)
_REPORTING = re.compile(r"(?:\A|\n)Reporting-MTA[ \t]*:", re.IGNORECASE)
_LOOKS_LIKE_HEADER = re.compile(r"(?:\A|\n)(?:Received|From|Message-ID|Subject)[ \t]*:", re.IGNORECASE)
_INVISIBLE: Final = ("style", "script", "head")
_BREAK = re.compile(r"<(?:br|/?p|/?div|/?tr|/?li|/?h[1-6]|/?table)\b[^<>]{0,1000}>", re.IGNORECASE)
#: More digits than a letter's number has; the standard library would raise for some thousand of them.
_NO_LETTER = re.compile(r"&#[0-9]{8,}+;?")
_TAG = re.compile(r"<[!/A-Za-z][^<>]{0,2000}>")


@dataclass(slots=True)
class Mail:
    """What was found; texts are decoded, with ``\\n`` between lines."""

    header: Mapping[str, str] = field(default_factory=dict)
    """Name in lower case -> decoded value of the first such field."""
    kind: str = ""
    """Content-Type of the whole."""
    report_type: str = ""
    text: str = ""
    """What people are told."""
    status: str = ""
    """The fields of delivery reports, one text."""
    feedback: str = ""
    receipt: str = ""
    returned: Mapping[str, str] = field(default_factory=dict)
    """The header of the message that it is about."""
    inner: bytes = b""
    """A message that is carried along, whole: it may be the bounce that is asked about."""
    defects: list[str] = field(default_factory=list)


def take_apart(octets: bytes) -> Mail:
    """Read a mail, whatever it is."""
    mail = Mail()
    if len(octets) > MAX_OCTETS:
        mail.defects.append(f"only the first {MAX_OCTETS} octets were read")
        octets = octets[:MAX_OCTETS]
    octets = _without_envelope_line(octets)
    found = scan(octets)
    mail.defects += found.defects
    mail.header = _header(found.fields)
    declared = mail.header.get("content-type", "").lower()
    mail.kind = declared.partition(";")[0].strip()
    mail.report_type = _parameter(declared, "report-type")
    other: list[str] = []
    for part in found.parts[:_MAX_PARTS]:
        _take(mail, part, octets, other)
    if not mail.text:
        mail.text = "\n\n".join(other)[:MAX_TEXT]
    if not mail.status.strip():
        mail.status = _status_within(mail.text)
    return mail


def _status_within(text: str) -> str:
    """The fields of a report that stand in the text, since a gateway took the parts apart."""
    begin, found = _REPORTING.search(text), _LOOKS_LIKE_STATUS.search(text)
    return text[begin.start() :] if begin is not None and found is not None and begin.start() < found.start() else ""


def inner_of(mail: Mail) -> Iterator[Mail]:
    """The messages that are carried within it, outermost first."""
    for _ in range(_MAX_DEPTH):
        if not mail.inner:
            return
        mail = take_apart(mail.inner)
        yield mail


def _without_envelope_line(octets: bytes) -> bytes:
    """Mailboxes put a line before a message that is no field of it (RFC 4155)."""
    if b"\n" not in octets:  # lines of an old Macintosh
        octets = octets.replace(b"\r", b"\n")
    if octets[:5] in (b"From ", b">From"):
        return octets[octets.find(b"\n") + 1 :]
    return octets.lstrip(b"\r\n")


def _take(mail: Mail, part: Part, octets: bytes, other: list[str]) -> None:
    kind = part.content_type
    if kind in _STATUS_KINDS:
        mail.status += "\n\n" + _machine_text(part, octets)
    elif kind == "message/feedback-report":
        mail.feedback = mail.feedback or _machine_text(part, octets)
    elif kind in _RECEIPT_KINDS:
        mail.receipt = mail.receipt or _machine_text(part, octets)
    elif kind in _MESSAGES:
        inner = part.decode(octets, MAX_OCTETS)
        mail.inner = mail.inner or inner
        mail.returned = mail.returned or _header(read_fields(inner)[0])
    elif kind in _HEADERS:
        mail.returned = mail.returned or _header(read_fields(part.decode(octets, MAX_STATUS))[0])
    elif kind.startswith("text/"):
        limit = MAX_STATUS if kind == "text/html" else MAX_TEXT  # half of such a text is styles
        _take_text(mail, part, part.text(octets, limit), other)


def _take_text(mail: Mail, part: Part, text: str, other: list[str]) -> None:
    """Text for people; a status that goes by the name of text; a returned header that does."""
    attached = part.disposition == "attachment" or bool(part.filename) or bool(mail.text)
    if attached and _LOOKS_LIKE_STATUS.search(text):
        mail.status += "\n\n" + text
    elif part.content_type == "text/html":
        other.append(without_tags(text))
    elif not mail.text:
        mail.text = text
    elif attached and not mail.returned and _LOOKS_LIKE_HEADER.search(text):
        mail.returned = _header(read_fields(text.encode("utf-8", "replace"))[0])
    elif len(mail.text) < MAX_TEXT:
        mail.text = f"{mail.text}\n\n{text}"[:MAX_TEXT]


def _machine_text(part: Part, octets: bytes) -> str:
    return part.text(octets, MAX_STATUS)


def without_tags(text: str) -> str:
    """HTML as the text that is seen, roughly: for finding words and addresses, never for showing a page."""
    for name in _INVISIBLE:
        text = _without_element(text, name)
    return html.unescape(_NO_LETTER.sub("", _TAG.sub("", _BREAK.sub("\n", text))))


def _without_element(text: str, name: str) -> str:
    """Without what stands between ``<name`` and ``</name``; an element without end stays."""
    lowered, kept, position = text.lower(), [], 0
    if len(lowered) != len(text):  # a few letters change their length
        return text
    while (begin := lowered.find(f"<{name}", position)) >= 0 and (end := lowered.find(f"</{name}", begin)) >= 0:
        kept.append(text[position:begin])
        position = end
    return "".join(kept) + text[position:]


def _header(fields: tuple[Field, ...]) -> dict[str, str]:
    header: dict[str, str] = {}
    for one in fields:
        name = one.name.lower()
        if name not in header:
            header[name] = decode_value(one.octets)
    return header


def _parameter(value: str, name: str) -> str:
    _, found, rest = value.partition(f"{name}=")
    return rest.partition(";")[0].strip(' "') if found else ""
