"""How ``postroad send`` ends: its exit code and its document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from postroad.cli.outcome import Exit
from postroad.replies import Reply
from postroad.replies.shape import reply_shape
from postroad.sending import Explanation, FaultKind, SendError, SendOutcome, SendResult, Sent

Document = dict[str, Any]

_REASONS: Final = {
    "user-unknown": Exit.NO_USER,
    "host-unknown": Exit.NO_HOST,
    "login-required": Exit.NO_PERMISSION,
    "login-failed": Exit.NO_PERMISSION,
}
_KINDS: Final = {
    FaultKind.NAME: Exit.NO_HOST,
    FaultKind.GARBLED: Exit.PROTOCOL,
    FaultKind.TLS: Exit.PROTOCOL,
}


def exit_of(found: SendResult | SendError) -> Exit:
    """The row of the table in ``outcome`` for what came of it."""
    if isinstance(found, SendError):
        return _of_one(found.reply, found.kind, found.stage, found.temporary, found.explanation())
    if not found.refused:
        return Exit.OK
    if len(found.refused) < len(found.recipients):
        return Exit.FINDINGS
    each = {_of(one) for one in found.refused}
    if Exit.TRY_AGAIN in each:
        return Exit.TRY_AGAIN
    return each.pop() if len(each) == 1 else Exit.UNAVAILABLE


def _of(one: Sent) -> Exit:
    return _of_one(one.reply, one.kind, one.stage, one.temporary or one.uncertain, one.explanation())


def _of_one(reply: Reply | None, kind: FaultKind, stage: str, temporary: bool, said: Explanation) -> Exit:
    if temporary:
        return Exit.TRY_AGAIN
    if kind in _KINDS:
        return _KINDS[kind]
    if stage == "AUTH":
        return Exit.NO_PERMISSION
    return _REASONS.get(said.reason, Exit.UNAVAILABLE) if reply is not None else Exit.UNAVAILABLE


def document(found: SendResult | SendError, language: str, code: Exit) -> Document:
    """All of it (``postroad.send/1``)."""
    start: Document = {
        "schema": "postroad.send/1",
        "language": language,
        "exit": int(code),
        "accepted": code == Exit.OK,
    }
    if isinstance(found, SendError):
        return start | {
            "error": _error(found, language),
            "recipients": [],
            "host": found.host,
            "seconds": round(found.seconds, 3),
            "transcript": found.transcript,
        }
    return start | {
        "error": None,
        "sender": found.sender,
        "message_id": found.message_id,
        "size": found.size,
        "host": found.host,
        "security": found.security,
        "seconds": round(found.seconds, 3),
        "recipients": [_recipient(one, language) for one in found.recipients],
        "dropped_parameters": list(found.dropped_parameters),
        "steps": [
            {
                "action": step.action,
                "command": step.command,
                "parameters": list(step.parameters),
                "recipients": _named(found, step.recipients),
                "waited": step.waited,
                "reply": reply_shape(step.reply),
            }
            for step in found.steps
        ],
        "transcript": found.transcript,
    }


def _named(found: SendResult, numbers: Iterable[int]) -> list[str]:
    return [found.recipients[number].address for number in numbers]


def _error(error: SendError, language: str) -> Document:
    return {
        "message": error.message,
        "stage": error.stage,
        "kind": error.kind.value,
        "temporary": error.temporary,
        "reply": reply_shape(error.reply),
        "explanation": _explanation(error.explanation(language)),
    }


def _recipient(one: Sent, language: str) -> Document:
    explains = one.outcome not in (SendOutcome.DELIVERED, SendOutcome.STOPPED)
    return {
        "address": one.address,
        "outcome": one.outcome.value,
        "accepted": one.accepted,
        "temporary": one.temporary,
        "uncertain": one.uncertain,
        "reply": reply_shape(one.reply),
        "stage": one.stage,
        "fault": one.fault,
        "kind": one.kind.value,
        "host": one.host,
        "security": one.security,
        "dropped": list(one.dropped),
        "tries": one.tries,
        "explanation": _explanation(one.explanation(language)) if explains else None,
    }


def _explanation(said: Explanation) -> Document:
    return {
        "title": said.title,
        "summary": said.summary,
        "reason": said.reason,
        "actor": said.actor,
        "remedy": said.remedy,
        "temporary": said.temporary,
        "checks": list(said.steps),
    }
