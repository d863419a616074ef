"""What the tests of reports share: a report about one refusal, and a reading of it that looks at every octet."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass
from email.message import EmailMessage, Message
from typing import Any

from postroad.message.report import write
from postroad.message.report_facts import Kind, Original, Report, Reported, Returned
from postroad.replies import Reply

NOW = 1_795_520_000.0
HEADER = (
    b"Received: from laptop.example.net by mail.example.net; Tue, 24 Nov 2026 11:00:00 +0900\r\n"
    b"From: kana@example.net\r\nSubject: Meeting on Friday\r\nDate: Tue, 24 Nov 2026 11:00:00 +0900\r\n"
    b"Message-ID: <first@example.net>\r\n"
)
REFUSED = Reply(550, "<hanako@example.org>: User unknown", "5.1.1")


def refused(**changes: Any) -> Reported:
    facts: dict[str, Any] = {
        "address": "hanako@example.org",
        "status": "5.1.1",
        "reply": REFUSED,
        "host": "mx.example.org [192.0.2.1]:25",
        "stage": "RCPT",
        "attempted_at": NOW - 1,
    }
    return Reported(**(facts | changes))


def report(*recipients: Reported, **changes: Any) -> Report:
    facts: dict[str, Any] = {
        "kind": Kind.FAILED,
        "id": "0-report",
        "to": "kana@example.net",
        "hostname": "mail.example.net",
        "postmaster": "postmaster@mail.example.net",
        "now": NOW,
        "message_id": "0-message",
        "arrived_at": NOW - 5 * 3600,
        "recipients": recipients or (refused(),),
        "original": Original(HEADER, b"Hello\r\n", Returned.FULL, size=len(HEADER) + 9),
    }
    return Report(**(facts | changes))


@dataclass(frozen=True, slots=True)
class Read:
    """A report as the standard library's parser understands it."""

    octets: bytes
    message: EmailMessage
    text: str
    status: list[dict[str, str]]
    """Fields by their names in lower case: of the message, then of each recipient."""
    returned: Message | None

    @property
    def subject(self) -> str:
        return str(self.message["subject"])


def read(octets: bytes, utf8: bool = False) -> Read:
    """Read a report; fails when the octets are not what every report must be."""
    message = email.message_from_bytes(octets, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    check_octets(octets, utf8)
    assert not message.defects
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    parts = list(message.iter_parts())
    assert 2 <= len(parts) <= 3
    assert parts[0].get_content_type() == "text/plain"
    assert isinstance(parts[0], EmailMessage)
    for part in parts:
        assert not part.defects
    return Read(
        octets,
        message,
        parts[0].get_content().replace("\r\n", "\n"),
        _status(parts[1]),
        parts[2] if len(parts) > 2 else None,
    )


def check_octets(octets: bytes, utf8: bool = False) -> None:
    """7-bit unless it must be UTF-8, every line ends with CRLF and is short, no controls."""
    assert octets.endswith(b"--\r\n")
    if utf8:
        octets.decode("utf-8")
    else:
        assert octets.isascii()
    for line in octets.removesuffix(b"\r\n").split(b"\r\n"):
        assert len(line) <= 998
    for part in octets.split(b"\r\n--=_")[:3]:  # what goes back of the message is as it was
        assert not set(part.replace(b"\r\n", b"")) & (set(range(32)) - {9})


def _status(part: Message) -> list[dict[str, str]]:
    if part.get_content_type() == "message/delivery-status":
        blocks = [dict(block.items()) for block in part.get_payload()]  # type: ignore[union-attr]
    else:
        assert part.get_content_type() == "message/global-delivery-status"
        octets = part.get_payload(decode=True)
        if octets is None:  # the parser takes every message/* for a message
            octets = b"".join(one.as_bytes() for one in part.get_payload())  # type: ignore[union-attr]
        assert isinstance(octets, bytes)
        texts = octets.decode("utf-8").replace("\r\n", "\n").strip("\n").split("\n\n")
        blocks = [dict(line.split(": ", 1) for line in text.split("\n")) for text in texts]
    return [{name.lower(): str(value) for name, value in block.items()} for block in blocks]


def written(*recipients: Reported, **changes: Any) -> Read:
    made = report(*recipients, **changes)
    return read(write(made), made.utf8)
