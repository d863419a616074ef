"""Errors over HTTP: problem details (RFC 9457) that say what is wrong and how to mend it."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from postroad.errors import NotFound, PostroadError, SpoolError

_log = logging.getLogger("postroad.web")


class Refusal(PostroadError):
    """A request that is refused with a status of its own."""

    def __init__(self, status: int, message: str, hint: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message, hint)
        self.status = status
        self.headers = dict(headers or {})


def status_of(fault: Exception) -> int:
    """The HTTP status that tells of ``fault``."""
    match fault:
        case Refusal():
            return fault.status
        case NotFound():
            return 404
        case SpoolError():
            return 503
        case PostroadError():
            return 400
        case _:
            return 500


def problem(fault: Exception) -> Response:
    """``application/problem+json`` with type, title, status, detail and hint."""
    status = status_of(fault)
    message, hint = words(fault)
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "hint": hint,
    }
    headers = fault.headers if isinstance(fault, Refusal) else {}
    return Response(msgspec.json.encode(body), status, headers, "application/problem+json")


def words(fault: Exception) -> tuple[str, str]:
    """What is said of ``fault``: a message and a hint; a bug is logged and named by an incident id only."""
    if isinstance(fault, PostroadError):
        return fault.message, fault.hint
    incident = secrets.token_hex(4)
    _log.error("incident %s in a web request", incident, exc_info=fault)
    return f"something went wrong here; incident {incident}", "the log of the server has the rest under this id"
