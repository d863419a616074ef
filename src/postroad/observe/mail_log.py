"""Log lines for each message that was accepted or settled, written a batch at a time: a hot path without a call a line.

Where the log is not JSON lines (a terminal, a test, somebody's own handlers), the lines go the ordinary way.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any, Final

import msgspec

from postroad.envelope import Attempt, Draft, Result, StoredMessage
from postroad.observe.log import MAX_VALUE, JsonLines, get_logger

#: Recipients that are named; the others are counted.
_NAMED: Final = 20

_log = get_logger("mail")
_delivery = get_logger("delivery")
_encode = msgspec.json.Encoder().encode


def log_accepted(drafts: Sequence[Draft]) -> None:
    """Write ``accepted`` lines for messages that became durable together."""
    _write("mail", _log, [("accepted", _fields(draft)) for draft in drafts])


def log_settled(settled: Sequence[tuple[StoredMessage, Attempt]]) -> None:
    """Write a line for each recipient of attempts that became durable: ``delivered``, ``deferred``, ``failed``, ``held``."""
    lines = [
        (result.outcome.value, _outcome(message, attempt, result))
        for message, attempt in settled
        for result in attempt.results
    ]
    _write("delivery", _delivery, lines)


def _write(name: str, logger: Any, lines: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """All at once where the log is JSON lines."""
    if not logging.getLogger(f"postroad.{name}").isEnabledFor(logging.INFO):
        return
    stream = _json_stream()
    if stream is not None and (written := _plain_lines(name, lines)):
        with suppress(OSError, ValueError):  # a log that cannot be written is no reason to fail
            stream.write("\n".join(written) + "\n")
            stream.flush()
        return
    for event, fields in lines:  # somebody else's log, or a stranger's text: the careful way
        logger.info(event, **fields)


def _plain_lines(name: str, lines: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """The lines as JSON; empty when one of them holds more than printable ASCII."""
    at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    room = f"postroad.{name}"
    try:
        written = [
            _encode({"at": at, "level": "info", "event": event, "logger": room, **fields}).decode("utf-8")
            for event, fields in lines
        ]
    except UnicodeEncodeError:  # half of a surrogate pair, which is no character
        return []
    return written if all(line.isascii() and "\x7f" not in line for line in written) else []


def _outcome(message: StoredMessage, attempt: Attempt, result: Result) -> dict[str, Any]:
    recipient = next((one for one in message.recipients if one.number == result.number), None)
    fields: dict[str, Any] = {
        "message": message.id,
        "recipient": "" if recipient is None else recipient.forward_path,
        "route": attempt.route,
        "host": attempt.host,
        "reply": "" if result.reply is None else _shortened(str(result.reply)),
        "note": _shortened(result.note),
        "seconds": round(attempt.seconds, 3),
    }
    if attempt.security:
        fields["security"] = _shortened(attempt.security)
    for name in ("expired", "uncertain", "relayed"):
        if getattr(result, name):
            fields[name] = True
    return fields


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


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"


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
