"""One log line for each message that was accepted, written a batch at a time: a hot path without a call for each line.

Where the log is not JSON lines (a terminal, a test, somebody's own handlers), the lines go the ordinary way.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any, Final

import msgspec

from postroad.envelope import Draft
from postroad.observe.log import JsonLines, get_logger

_NAME: Final = "postroad.mail"
#: Recipients that are named; the others are counted.
_NAMED: Final = 20

_log = get_logger("mail")
_encode = msgspec.json.Encoder().encode


def log_accepted(drafts: Sequence[Draft]) -> None:
    """Write ``accepted`` lines for messages that became durable together."""
    if not logging.getLogger(_NAME).isEnabledFor(logging.INFO):
        return
    stream = _json_stream()
    if stream is None:
        for draft in drafts:
            _log.info("accepted", **_fields(draft))
        return
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    start = {"at": at, "level": "info", "event": "accepted", "logger": _NAME}
    lines = [_encode(start | _fields(draft)).decode("utf-8") for draft in drafts]
    if not all(line.isascii() and "\x7f" not in line for line in lines):  # a stranger's text: the careful way
        for draft in drafts:
            _log.info("accepted", **_fields(draft))
        return
    with suppress(OSError, ValueError):  # a log that cannot be written is no reason to fail
        stream.write("\n".join(lines) + "\n")
        stream.flush()


def _fields(draft: Draft) -> dict[str, Any]:
    origin = draft.origin
    recipients = draft.recipients
    fields: dict[str, Any] = {
        "message": draft.id,
        "session": origin.session,
        "listener": origin.listener,
        "peer": origin.peer,
        "hello": origin.hello,
        "from": draft.reverse_path,
        "to": [recipient.forward_path for recipient in recipients[:_NAMED]],
    }
    if len(recipients) > _NAMED:
        fields["recipients"] = len(recipients)
    if origin.account:
        fields["account"] = origin.account
    if origin.tls:
        fields["tls"] = origin.tls
    return fields


def _json_stream() -> IO[str] | None:
    """The stream of the one handler that writes JSON lines; None when the log is arranged in any other way."""
    handlers = logging.getLogger().handlers
    if len(handlers) != 1 or not isinstance(handlers[0], logging.StreamHandler):
        return None
    handler = handlers[0]
    if not isinstance(handler.formatter, JsonLines) or logging.getLogger("postroad").handlers:
        return None
    stream: IO[str] = handler.stream
    return stream
