"""A message as a person reads it: decoded header, text, HTML, attachments, links, and what is wrong with it.

Pure and bounded, so that it may run in a thread for large messages; see ``mime`` for the bounds.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import unescape
from typing import Final

from postroad.errors import NotFound
from postroad.message.header_text import MAX_VALUE, decode_value
from postroad.message.mime import Field, Part, first_field, read_fields, scan

#: Characters of text and of HTML that are shown.
MAX_SHOWN: Final = 1024 * 1024
#: Octets of pictures that are put into the HTML.
MAX_PICTURES: Final = 4 * 1024 * 1024
MAX_LINKS: Final = 200

#: Never given out under their own type, for a browser might run them.
_ACTIVE = ("html", "xml", "svg", "script", "xhtml", "x-shockwave", "multipart")
_PICTURES: Final = frozenset(("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp"))
_READABLE: Final = frozenset(
    ("text/plain", "message/delivery-status", "message/disposition-notification", "text/rfc822-headers")
)

_CID = re.compile(r"""cid:([^"'\s<>()]{1,200})""", re.IGNORECASE)
_CONNECTING = re.compile(r"<(link|iframe|frame|object|embed|portal|fencedframe)", re.IGNORECASE)
_HREF = re.compile(r"""\bhref\s{0,8}=\s{0,8}(?:"([^"<>]{1,2000})"|'([^'<>]{1,2000})')""", re.IGNORECASE)
_URL = re.compile(r"""\bhttps?://[^\s<>"'\\^`{|}]{1,2000}""", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a list shows of a message; all of it is the sender's word."""

    subject: str
    from_: str
    to: str
    date: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part that is offered as a file."""

    number: int
    """Position among the leaves of the message, from 0."""
    name: str
    content_type: str
    """As declared; see ``safe_type`` for what to send it as."""
    size: int
    """Octets of decoded content."""
    content_id: str


@dataclass(frozen=True, slots=True)
class MessageView:
    """A message for display."""

    summary: Summary
    headers: tuple[tuple[str, str], ...]
    """Name and decoded value, in their order."""
    text: str | None
    """Plain text parts; None when there is none."""
    html: str | None
    """The first HTML part as sent: hostile, for a sandboxed frame only."""
    attachments: tuple[Attachment, ...]
    links: tuple[str, ...]
    """http and https addresses found in text and HTML, each once."""
    defects: tuple[str, ...]
    """What is malformed or left out, in words."""


def summarize(header: bytes) -> Summary:
    """From the first octets of a message."""
    fields, _, _ = read_fields(header)
    return _summary(fields)


def view(message: bytes) -> MessageView:
    """All of it, whatever ``message`` is."""
    found = scan(message)
    defects = list(found.defects)
    texts, html, attached = _sort(found.parts)
    text = _join(message, texts, defects) if texts else None
    markup = _bounded(html.text(message, MAX_SHOWN + 1), "HTML", defects) if html is not None else None
    return MessageView(
        _summary(found.fields),
        tuple((field.name, decode_value(field.octets)) for field in found.fields),
        text,
        markup,
        tuple(_attachment(message, number, part) for number, part in attached),
        _links(markup, text),
        tuple(defects),
    )


def readable(message: bytes) -> tuple[str, str, tuple[str, ...]]:
    """Text, HTML as sent and the names of its files, for who looks for words in it."""
    parts = scan(message).parts
    texts, html, attached = _sort(parts)
    text = _join(message, texts, [])
    markup = html.text(message, MAX_SHOWN) if html is not None else ""
    return text, markup, tuple(_name(number, part) for number, part in attached)


def attachment(message: bytes, number: int) -> tuple[str, str, bytes]:
    """Name, declared type and decoded octets of leaf ``number``; raises NotFound."""
    parts = scan(message).parts
    if not 0 <= number < len(parts):
        raise NotFound(f"the message has no part {number}", f"it has {len(parts)}, counted from 0")
    part = parts[number]
    return _name(number, part), part.content_type, part.decode(message)


def framed_html(message: bytes) -> str | None:
    """The HTML for a frame that loads nothing; still hostile, to be sent under a policy that lets it run nothing.

    Its own pictures stand in place of their ``cid:`` addresses. Elements for which browsers open connections before they
    ask the policy (preconnect links, inner frames) get names that mean nothing; ``<basefont>`` may stand where ``<link>``
    may, and does nothing.
    """
    found = scan(message)
    _, html, _ = _sort(found.parts)
    if html is None:
        return None
    pictures = {part.content_id: part for part in found.parts if part.content_id and part.content_type in _PICTURES}
    room = MAX_PICTURES

    def replace(match: re.Match[str]) -> str:
        nonlocal room
        part = pictures.get(match[1])
        if part is None or part.end - part.start > 2 * room:
            return match[0]
        octets = part.decode(message)
        if len(octets) > room:
            return match[0]
        room -= len(octets) + 100
        return f"data:{part.content_type};base64,{base64.b64encode(octets).decode('ascii')}"

    return _CID.sub(replace, _CONNECTING.sub(_rename, html.text(message, MAX_SHOWN)))


def _rename(found: re.Match[str]) -> str:
    return "<basefont" if found[1].lower() == "link" else f"<x-{found[1]}"


def safe_type(content_type: str) -> str:
    """The type under which an attachment may be given to a browser."""
    active = any(word in content_type for word in _ACTIVE)
    return "application/octet-stream" if active or content_type.startswith("text/") else content_type


def _summary(fields: tuple[Field, ...]) -> Summary:
    def value(name: str) -> str:
        octets = first_field(fields, name)
        return "" if octets is None else decode_value(octets)[:MAX_VALUE]

    return Summary(value("subject"), value("from"), value("to"), value("date"))


def _sort(parts: list[Part]) -> tuple[list[Part], Part | None, list[tuple[int, Part]]]:
    """Which leaves are the text, which is the HTML, and which are files."""
    texts: list[Part] = []
    html: Part | None = None
    attached: list[tuple[int, Part]] = []
    for number, part in enumerate(parts):
        inline = part.disposition != "attachment" and not (part.filename and part.disposition)
        if inline and part.content_type in _READABLE:
            texts.append(part)
        elif inline and part.content_type == "text/html" and html is None:
            html = part
        else:
            attached.append((number, part))
    return texts, html, attached


def _join(message: bytes, texts: Iterable[Part], defects: list[str]) -> str:
    pieces: list[str] = []
    room = MAX_SHOWN + 1
    for part in texts:
        if room <= 0:
            break
        pieces.append(part.text(message, room))
        room -= len(pieces[-1])
    return _bounded("\n".join(pieces), "text", defects)


def _bounded(text: str, what: str, defects: list[str]) -> str:
    if len(text) <= MAX_SHOWN:
        return text
    defects.append(f"the {what} is longer than {MAX_SHOWN // 1024} KiB; its beginning is shown")
    return text[:MAX_SHOWN]


def _attachment(message: bytes, number: int, part: Part) -> Attachment:
    encoded = part.end - part.start
    size = len(part.decode(message)) if part.encoding in ("base64", "quoted-printable") else encoded
    return Attachment(number, _name(number, part), part.content_type, size, part.content_id)


def _name(number: int, part: Part) -> str:
    if part.filename:
        return part.filename
    return f"part-{number}" + (".eml" if part.content_type == "message/rfc822" else "")


def _links(html: str | None, text: str | None) -> tuple[str, ...]:
    """Addresses to follow by hand, for links in the frame are dead."""
    links: dict[str, None] = {}
    for found in _HREF.finditer(html or ""):
        link = unescape((found[1] or found[2]).strip())
        if _URL.fullmatch(link):
            links.setdefault(link, None)
        if len(links) >= MAX_LINKS:
            break
    for found in _URL.finditer(text or ""):
        if len(links) >= MAX_LINKS:
            break
        links.setdefault(found[0].rstrip(".,;:!?)]"), None)
    return tuple(links)
