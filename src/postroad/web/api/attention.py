"""What needs the operator over the JSON API, for whoever watches: the list of the first page.

| method and path | query | answer |
|---|---|---|
| GET /api/v1/attention | lang (en, ja) | ``postroad.attention/1``: ``{"schema", "at", "needs": [need], "more"}`` |

A need: ``{"kind", "severity", "subject", "count", "since", "until", "reply", "note", "octets", "href", "words"}``.
``kind`` is one of ``admin.attention.KINDS``; ``severity`` is ``urgent``, ``soon`` or ``note``, and lists go in that
order; ``words`` is the sentence in the language that is asked for. What does not apply is null. ``more``: needs beside
these. An empty list: nothing needs anybody.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from postroad.admin import Admin
from postroad.admin.attention import Need
from postroad.replies.shape import reply_shape
from postroad.web.answers import Json
from postroad.web.api.message_shapes import stamp
from postroad.web.language import asked_language
from postroad.web.pages import needs
from postroad.web.pages.wording import Wording
from postroad.web.requests import check_query
from postroad.web.texts import LANGUAGES


class AttentionApi:
    """Answers."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    async def attention(self, request: Request) -> Response:
        """What needs somebody, the most urgent first."""
        check_query(request, "lang")
        language = asked_language(request)
        say = Wording(language if language in LANGUAGES else "en", self._admin.now)
        found = await self._admin.attention.now()
        shape: dict[str, Any] = {"schema": "postroad.attention/1", "at": stamp(found.at)}
        return Json(shape | {"needs": [_need(one, say) for one in found.needs], "more": found.more})


def _need(one: Need, say: Wording) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "severity": one.severity,
        "subject": one.subject or None,
        "count": one.count,
        "since": None if one.since is None else stamp(one.since),
        "until": None if one.until is None else stamp(one.until),
        "reply": None if one.reply is None else reply_shape(one.reply),
        "note": one.note or None,
        "octets": one.octets,
        "href": one.href,
        "words": needs.words(one, say),
    }
