"""What somebody piped in: a mail, the log of a mail server, the transcript of a session, or a mere reply.

Promise: any octets have a kind; only the first ``MAX_LOOK`` are looked at; nothing raises.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from postroad.diagnosis.bounce_tables import tables
from postroad.message.mime import read_fields

Input = Literal["mail", "log", "transcript", "reply"]

MAX_LOOK: Final = 64 * 1024

#: Fields that begin a mail; a log or a transcript has none of them at the begin of its lines.
_FIELDS: Final = frozenset(
    "from to subject date received message-id mime-version content-type return-path delivered-to auto-submitted "
    "reporting-mta final-recipient x-failed-recipients".split()
)
_MARKED = re.compile(r"[ \t]{0,80}(?:[SC]:|<<<|>>>|<--|-->|<-|->|<~\*|<~|~>|<\*\*)[ \t]")
_ADDRESS = re.compile(r"[^\s@<>]{1,64}@[A-Za-z0-9-]{1,63}\.")


def kind_of(octets: bytes) -> Input:
    """What the octets are taken for."""
    head = octets[:MAX_LOOK]
    if _is_mail(head):
        return "mail"
    from postroad.diagnosis.logs import format_of

    if format_of(head):
        return "log"
    text = head.decode("utf-8", "replace")
    if _is_bounce_text(text):
        return "mail"
    return "transcript" if any(_MARKED.match(line) for line in text.split("\n")[:500]) else "reply"


def as_mail(octets: bytes) -> bytes:
    """The octets, with a header before them where somebody copied only the text of a bounce."""
    if _is_mail(octets[:MAX_LOOK]):
        return octets
    return b"From: MAILER-DAEMON\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + octets


def _is_mail(head: bytes) -> bool:
    begin = head.lstrip(b"\r\n")
    if begin[:5] in (b"From ", b">From"):
        begin = begin[begin.find(b"\n") + 1 :]
    fields, _, _ = read_fields(begin)
    names = [field.name.lower() for field in fields]
    return len(_FIELDS.intersection(names)) >= 2 or names[:1] in (["final-recipient"], ["reporting-mta"])


def _is_bounce_text(text: str) -> bool:
    """The words of a mail program about an address, without the header of a mail."""
    folded = text.casefold()
    known = tables()
    return _ADDRESS.search(text) is not None and (
        any(phrase in folded for family in known.families for phrase in family.text if len(phrase) > 20)
        or any(phrase in folded for phrase in known.surely)
    )
