"""From what a program has (octets, text, a file, an EmailMessage) to what goes over the wire, and to whom.

Line ends become CRLF; Bcc fields go, their addresses stay in the envelope; Date and Message-ID are added where they
are missing (RFC 5321 section 6.4, RFC 6409 section 8). Nothing else of the message changes. Addresses are taken from
the header only as they stand there: what an encoded word or a comment hides is asked for, not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.generator import BytesGenerator
from email.headerregistry import HeaderRegistry
from email.message import EmailMessage, Message
from email.utils import format_datetime, make_msgid
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Final, TypeAlias

from postroad.address import Mailbox, normal_domain, parse_mailbox
from postroad.errors import AddressSyntaxError, PostroadError

#: What a message may be given as; a text or octets are the message itself, a Path or an open file holds it.
Composable: TypeAlias = "bytes | bytearray | memoryview | str | Path | IO[bytes] | IO[str] | Message[Any, Any]"

_LINE_END: Final = re.compile(rb"\r\n|\r|\n")
#: A field name (RFC 5322 section 2.2), its colon, and the value up to its last line.
_FIELD: Final = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\n]*\n)(?:[ \t][^\n]*\n)*)")
_ENCODED_WORD: Final = "=?"
_REGISTRY: Final = HeaderRegistry()


class MessageError(PostroadError):
    """A message that cannot be sent as it is: what is wrong, and how to mend it."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a header, as it stands."""

    name: str
    """In small letters."""
    octets: bytes
    """With its name and the CRLF of its last line."""
    value: str
    """Unfolded, without white space around it."""


@dataclass(frozen=True, slots=True)
class Composed:
    """A message that is ready to be sent."""

    content: bytes = b""
    sender: Mailbox | None = None
    """The reverse-path; None: the null one."""
    recipients: tuple[Mailbox, ...] = ()
    """Each once, in order."""
    message_id: str = ""


def compose(
    message: Composable, sender: str | None, to: Sequence[str] | None, hidden: Sequence[str] = (), *, now: datetime
) -> Composed:
    """Make a message ready. ``sender`` and ``to`` None: from its header; ``""`` is the null reverse-path.

    ``hidden`` are further recipients who stand nowhere in the message; ``now`` is an aware datetime for a missing
    Date. Raises MessageError and AddressSyntaxError.
    """
    octets = _LINE_END.sub(b"\r\n", _octets_of(message))
    if octets and not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    fields, body = _split(octets)
    path = _sender_of(fields) if sender is None else None if sender == "" else read_address(sender)
    people = _recipients_of(fields) if to is None else [read_address(one) for one in to]
    people = _once([*people, *map(read_address, hidden)])
    if not people:
        raise MessageError("the message has no recipient", "name them, or write a To, Cc or Bcc field")
    kept = [field for field in fields if field.name not in ("bcc", "resent-bcc")]
    added, message_id = _missing(kept, path, now)
    head = b"".join(field.octets for field in kept)
    return Composed(added + head + b"\r\n" + body, path, tuple(people), message_id)


def read_address(text: str) -> Mailbox:
    """``kana@example.net`` or ``<kana@example.net>``, white space around it forgiven; raises AddressSyntaxError."""
    plain = text.strip(" \t")
    if plain.startswith("<") and plain.endswith(">"):
        plain = plain[1:-1]
    return parse_mailbox(plain)


def _once(people: Sequence[Mailbox]) -> list[Mailbox]:
    """Each mailbox once; domains are compared as they are routed."""
    return list({(one.local_part, one.destination): one for one in reversed(people)}.values())[::-1]


# --- what it is given as


def _octets_of(message: Composable) -> bytes:
    match message:
        case bytes():
            return message
        case bytearray() | memoryview():
            return bytes(message)
        case str():
            return _encoded(message)
        case Path():
            return message.read_bytes()
        case Message():
            return _written(message)
    read = getattr(message, "read", None)
    if read is None:
        raise TypeError(f"a message is bytes, str, a Path, a file or an EmailMessage, not {type(message).__name__}")
    found = read()
    return _encoded(found) if isinstance(found, str) else bytes(found)


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as fault:
        raise MessageError("the message holds half of a surrogate pair, which no octets stand for") from fault


def _written(message: Message[Any, Any]) -> bytes:
    """The octets of a message object; headers in UTF-8 only where an address needs it (RFC 6532)."""
    chosen = message.policy.clone(linesep="\r\n")
    if isinstance(message, EmailMessage) and _needs_utf8(message):
        chosen = policy.SMTPUTF8.clone(cte_type="8bit")
    out = BytesIO()
    try:
        BytesGenerator(out, mangle_from_=False, policy=chosen).flatten(message)
    except (UnicodeError, LookupError, ValueError) as fault:
        raise MessageError(f"the message object cannot be written: {fault}") from fault
    return out.getvalue()


def _needs_utf8(message: EmailMessage) -> bool:
    """Whether an address in the header is beyond ASCII (a name beside it would be an encoded word)."""
    return any(
        not address.addr_spec.isascii() for value in message.values() for address in getattr(value, "addresses", ())
    )


# --- the header


def _split(octets: bytes) -> tuple[list[Field], bytes]:
    """The fields of the header, and the body; a message that begins with no field is all body."""
    fields: list[Field] = []
    at = _behind_mbox_line(octets)
    while (found := _FIELD.match(octets, at)) is not None:
        value = " ".join(part.strip(b" \t\r\n").decode("utf-8", "surrogateescape") for part in found[2].split(b"\n"))
        fields.append(Field(found[1].decode("ascii").lower(), found[0], value.strip()))
        at = found.end()
    rest = octets[at:]
    if rest.startswith(b"\r\n"):
        return fields, rest[2:]
    if rest and fields:
        line = rest.partition(b"\r\n")[0][:60].decode("utf-8", "replace")
        raise MessageError(f"the header has a line that is no field: {line!r}", "an empty line ends the header")
    return fields, rest


def _behind_mbox_line(octets: bytes) -> int:
    """Where the header begins: an mbox keeps the reverse-path and a time in a line before it (RFC 4155)."""
    first = octets.find(b"\r\n") + 2
    return first if octets.startswith(b"From ") and _FIELD.match(octets, first) is not None else 0


def _missing(fields: Sequence[Field], sender: Mailbox | None, now: datetime) -> tuple[bytes, str]:
    """The fields to add, and the Message-ID that the message has in the end."""
    has = {field.name: field.value for field in fields}
    added = b"" if "date" in has else b"Date: " + format_datetime(now).encode("ascii") + b"\r\n"
    if "message-id" in has:
        return added, has["message-id"]
    domain = normal_domain(sender.domain) if sender is not None and not sender.domain.startswith("[") else "localhost"
    made = make_msgid(domain=domain if domain.isascii() else "localhost")
    return added + b"Message-ID: " + made.encode("ascii") + b"\r\n", made


# --- the envelope


def _sender_of(fields: Sequence[Field]) -> Mailbox:
    resent = _resent(fields)
    for name in ("resent-sender", "resent-from") if resent else ("sender", "from"):
        for field in fields:
            if field.name == name and (found := addresses_of(field)):
                return found[0]
    raise MessageError("nobody is named as the sender", "name one, or write a From field")


def _recipients_of(fields: Sequence[Field]) -> list[Mailbox]:
    prefix = "resent-" if _resent(fields) else ""
    names = [prefix + name for name in ("to", "cc", "bcc")]
    return [address for field in fields if field.name in names for address in addresses_of(field)]


def _resent(fields: Sequence[Field]) -> bool:
    """Whether the message was sent on by somebody; which of several blocks counts is not for us to guess."""
    blocks = sum(field.name == "resent-date" for field in fields)
    if blocks > 1:
        raise MessageError("the message was resent more than once", "name the sender and the recipients")
    return blocks == 1 or any(field.name in ("resent-to", "resent-from") for field in fields)


def addresses_of(field: Field) -> list[Mailbox]:
    """The mailboxes of an address field, as they stand there; raises MessageError for one that only seems to be."""
    try:
        header: Any = _REGISTRY(field.name.title(), field.value)
        specs = [address.addr_spec for address in getattr(header, "addresses", ())]
    except Exception as fault:  # whatever the email package stumbles over: it has many ways
        raise MessageError(
            f"{field.name.title()}: no addresses: {field.value[:60]!r}", "mend the field, or name them"
        ) from fault
    return [_standing(spec, field) for spec in specs if spec not in ("", "<>")]


def _standing(text: str, field: Field) -> Mailbox:
    """The address, when it stands in the field letter by letter: RFC 2047 section 5 allows no encoded word in it."""
    shown = field.name.title()
    if text not in field.value or _ENCODED_WORD in text:
        raise MessageError(f"{shown}: the address {text[:80]!r} is hidden in an encoded word or a comment", "name it")
    try:
        return parse_mailbox(text)
    except AddressSyntaxError as fault:
        raise MessageError(f"{shown}: {fault.message}", fault.hint or "mend the field, or name the address") from fault
