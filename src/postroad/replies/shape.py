"""A reply as JSON has it, the same in every document: API, journal, `postroad send`."""

from __future__ import annotations

from typing import Any

from postroad.replies.reply import Reply


def reply_shape(reply: Reply | None) -> dict[str, Any] | None:
    """``{"code", "enhanced", "text"}``, one text for each line; None stays None."""
    if reply is None:
        return None
    return {
        "code": reply.code,
        "enhanced": None if reply.enhanced is None else str(reply.enhanced),
        "text": list(reply.lines),
    }
