"""The JSON of a message's envelope and of what became of its recipients: what inbox, queue and journal have in common."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from postroad.envelope import Recipient, StoredMessage
from postroad.replies.shape import reply_shape

Json = dict[str, Any]


def stamp(seconds: float) -> str:
    """``2026-11-23T14:31:00.250Z``."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return "1970-01-01T00:00:00Z"
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def recipient_shape(recipient: Recipient) -> Json:
    """``{"address", "state", "note", "attempts", "next_due", "reply"}``."""
    return {
        "address": recipient.forward_path,
        "state": recipient.state.value,
        "note": recipient.note,
        "attempts": recipient.attempts,
        "next_due": None if recipient.next_due is None else stamp(recipient.next_due),
        "reply": reply_shape(recipient.reply),
    }


def message_shape(message: StoredMessage) -> Json:
    """The envelope of a message."""
    return {
        "id": message.id,
        "sequence": message.sequence,
        "received_at": stamp(message.received_at),
        "size": message.size,
        "from": message.reverse_path,
        "to": [recipient.forward_path for recipient in message.recipients],
        "session": message.origin.session,
        "listener": message.origin.listener,
        "peer": message.origin.peer,
        "hello": message.origin.hello,
        "account": message.origin.account,
        "tls": message.origin.tls,
        "parameters": message.parameters,
        "recipients": [recipient_shape(recipient) for recipient in message.recipients],
    }
