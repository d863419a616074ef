"""What a message gets on its way in because of who sends it: fields that a submission server adds, its time, its rank.

Relayed mail is not touched but for its Received field (RFC 5321 section 6.4); a submission server may complete what
the author's program left out (RFC 6409 sections 8.2 and 8.3).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from postroad.message import trace
from postroad.smtp.extensions.futurerelease import held_for
from postroad.smtp.extensions.mtpriority import PRIORITY
from postroad.smtp.parameters import Given

_DATE: Final = re.compile(rb"^date[ \t]*:", re.IGNORECASE | re.MULTILINE)
_MESSAGE_ID: Final = re.compile(rb"^message-id[ \t]*:", re.IGNORECASE | re.MULTILINE)


def missing_fields(header: bytes, message_id: str, host: str, now: float) -> bytes:
    """The Date and Message-ID fields that ``header`` lacks, with CRLF; ``now`` in seconds since the epoch."""
    fields = b""
    if _DATE.search(header) is None:
        fields += b"Date: %s\r\n" % trace.date_time(now).encode("ascii")
    if _MESSAGE_ID.search(header) is None:
        fields += b"Message-ID: <%s@%s>\r\n" % (message_id.encode("ascii"), host.encode("ascii"))
    return fields


def release_at(parameters: Given, now: float) -> float | None:
    """When a message that came ``now`` may leave (RFC 4865), seconds since the epoch; None: at once."""
    held = held_for(parameters, datetime.fromtimestamp(now, UTC)).total_seconds()
    return now + held if held > 0 else None


def priority(parameters: Given, entitled: bool) -> int:
    """The rank of a message; strangers cannot put theirs before others' (RFC 6710 section 5.1)."""
    asked = parameters.get(PRIORITY) or 0
    return asked if entitled else min(asked, 0)
