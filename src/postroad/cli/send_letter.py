"""From the options of ``postroad send`` to a message: a file as it is, or one that is made here."""

from __future__ import annotations

import mimetypes
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Final

from postroad.cli.outcome import Exit, Failure

_FIELD: Final = re.compile(r"([!-9;-~]+):[ \t]*(.*)\Z", re.DOTALL)
_SUBJECT: Final = "Test by postroad send"
_BODY: Final = "This is a test mail by postroad send."
#: What belongs to the structure that is made here.
_OURS: Final = ("mime-version", "content-")


def addresses(words: Iterable[str]) -> list[str]:
    """The addresses of repeated options, each perhaps a list with commas; a comma within quotes separates nothing."""
    found: list[str] = []
    for word in words:
        piece, quoted, escaped = "", False, False
        for character in word:
            if character == "," and not quoted:
                found.append(piece)
                piece = ""
                continue
            quoted ^= character == '"' and not escaped
            escaped = character == "\\" and not escaped
            piece += character
        found.append(piece)
    return [address.strip() for address in found if address.strip()]


def letter(given: Mapping[str, Any], sender: str, to: Sequence[str], cc: Sequence[str]) -> bytes | EmailMessage:
    """The message; raises Failure for a file that cannot be read and a field that is none."""
    if given["data"] is None:
        return _made(given, sender, to, cc)
    for name in ("subject", "body", "header", "attach", "cc"):
        if given[name]:
            raise Failure(Exit.USAGE, f"--data is the whole message, so there is no --{name}", "leave one of them out")
    return _read(given["data"])


def _read(path: str) -> bytes:
    if path == "-":
        if sys.stdin is None or sys.stdin.closed:
            raise Failure(Exit.NO_INPUT, "standard input is closed")
        return sys.stdin.buffer.read()
    return octets(Path(path))


def octets(path: Path) -> bytes:
    """A file; raises Failure."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or str(fault)
        raise Failure(Exit.NO_INPUT, f"{path} cannot be read: {reason}") from fault


def _made(given: Mapping[str, Any], sender: str, to: Sequence[str], cc: Sequence[str]) -> EmailMessage:
    message = EmailMessage()
    fields = [_field(text) for text in given["header"]]
    chosen = {name.lower() for name, _ in fields}
    usual = (("From", sender), ("To", ", ".join(to)), ("Cc", ", ".join(cc)), ("Subject", given["subject"] or _SUBJECT))
    try:
        for name, value in (*((n, v) for n, v in usual if v and n.lower() not in chosen), *fields):
            message[name] = value
        message.set_content(_BODY if given["body"] is None else given["body"])
        for path in given["attach"]:
            main, sub = _type_of(path)
            message.add_attachment(octets(path), maintype=main, subtype=sub, filename=path.name)
    except (ValueError, UnicodeError) as fault:
        raise Failure(Exit.USAGE, f"the message cannot be made: {fault}") from fault
    return message


def _field(text: str) -> tuple[str, str]:
    found = _FIELD.match(text)
    if found is None:
        raise Failure(Exit.USAGE, f"--header: no field: {text[:60]!r}", "write --header 'Name: value'")
    name, value = found.groups()
    if any(c in value for c in "\r\n\0"):
        raise Failure(Exit.USAGE, f"--header: {name} holds the end of a line", "one option for each field")
    if name.lower().startswith(_OURS):
        raise Failure(
            Exit.USAGE, f"--header: {name} is made from --body and --attach", "give the whole message by --data"
        )
    if name.lower() == "bcc":
        raise Failure(Exit.USAGE, "--header: a Bcc field would be seen by nobody", "use --bcc")
    return name, value


def _type_of(path: Path) -> tuple[str, str]:
    kind, encoding = mimetypes.guess_type(path.name)
    main, _, sub = (kind or "application/octet-stream").partition("/")
    if encoding is not None or main in ("message", "multipart"):
        return "application", "octet-stream"
    return main, sub
