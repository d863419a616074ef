"""The inbox in JSON: rows, messages from all sides, waiting, deleting, and sending on to real addresses.

In production, who may not read other people's mail gets the envelopes alone: rows have no subject and no header then, and
what shows content is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from postroad.admin import MAX_WAIT, Admin
from postroad.admin.releasing import Release, read_wish
from postroad.replies.shape import reply_shape
from postroad.sending import SendError, Sent
from postroad.web.answers import Json, attachment_response, html_response, raw_response, while_connected
from postroad.web.api import shapes
from postroad.web.api.message_shapes import Json as JsonShape
from postroad.web.api.message_shapes import message_shape
from postroad.web.door.people import Role, must_be
from postroad.web.problems import Refusal
from postroad.web.reading import may_read, must_read, wanted
from postroad.web.requests import check_query, flag, json_body, number, seconds, word

Row = tuple[str, str, Callable[[Request], Awaitable[Response]]]

_FILTER: Final = ("q", "to", "from", "subject")


class InboxApi:
    """What is below /api/v1/inbox."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def table(self) -> list[Row]:
        """Path below /api/v1, method, who answers."""
        return [
            ("/inbox", "GET", self.inbox),
            ("/inbox", "DELETE", self.clear),
            ("/inbox/wait", "GET", self.wait),
            ("/inbox/{id}", "GET", self.message),
            ("/inbox/{id}", "DELETE", self.remove),
            ("/inbox/{id}/raw", "GET", self.raw),
            ("/inbox/{id}/text", "GET", self.text),
            ("/inbox/{id}/html", "GET", self.html),
            ("/inbox/{id}/transcript", "GET", self.transcript),
            ("/inbox/{id}/journal", "GET", self.journal),
            ("/inbox/{id}/attachments/{number}", "GET", self.attachment),
            ("/inbox/{id}/release", "POST", self.release),
        ]

    async def inbox(self, request: Request) -> Response:
        """Rows newest first; give ``before`` of the answer back to get the next page, or to search further back."""
        check_query(request, *_FILTER, "after", "before", "limit")
        reads = may_read(request, self._admin)
        limit = number(request, "limit", 50, 500)
        after, before = number(request, "after", 0), number(request, "before", 0)
        page = await self._admin.inbox_list(wanted(request, reads), after, before, max(limit, 1))
        rows = [shapes.item_shape(item) if reads else message_shape(item.message) for item in page.items]
        return Json({"messages": rows, "before": page.before})

    async def wait(self, request: Request) -> Response:
        """The first match behind ``after``, or without it the newest that is there; waits ``timeout`` seconds (30)."""
        must_read(request, self._admin)
        check_query(request, *_FILTER, "after", "timeout")
        timeout = seconds(request, "timeout", 30.0, MAX_WAIT)
        after = await self._after(word(request, "after"))
        item = await while_connected(request, self._admin.inbox_wait(wanted(request, True), after, timeout))
        if item is None:
            raise Refusal(
                404,
                f"no such mail came within {timeout:g} seconds",
                "GET /api/v1/sessions?refused=true shows what was refused",
            )
        view = await self._admin.message_view(item.message.id)
        return Json(shapes.detail_shape(item.message, view))

    async def _after(self, text: str) -> int | None:
        """``after`` names a message by id or by sequence number; None when absent."""
        if not text:
            return None
        if text.isascii() and text.isdecimal() and len(text) <= 18:
            return int(text)
        return (await self._admin.message(text)).sequence

    async def clear(self, request: Request) -> Response:
        """Delete what matches, all without a filter."""
        must_be(request, Role.OPERATOR)
        check_query(request, *_FILTER)
        return Json({"removed": await self._admin.inbox_clear(wanted(request, True))})

    async def message(self, request: Request) -> Response:
        """One message, decoded."""
        must_read(request, self._admin)
        message = await self._admin.message(request.path_params["id"])
        return Json(shapes.detail_shape(message, await self._admin.message_view(message.id)))

    async def remove(self, request: Request) -> Response:
        """Delete one."""
        must_be(request, Role.OPERATOR)
        await self._admin.inbox_remove(request.path_params["id"])
        return Response(status_code=204)

    async def raw(self, request: Request) -> Response:
        """The octets as kept; ``download=true`` gives a file."""
        must_read(request, self._admin)
        check_query(request, "download")
        return await raw_response(self._admin, request.path_params["id"], flag(request, "download"))

    async def text(self, request: Request) -> Response:
        """The plain text; 404 when there is none."""
        must_read(request, self._admin)
        view = await self._admin.message_view(request.path_params["id"])
        if view.text is None:
            raise Refusal(404, "this message has no plain text", "its HTML is beside, at html")
        return Response(view.text.encode("utf-8", "replace"), media_type="text/plain; charset=utf-8")

    async def html(self, request: Request) -> Response:
        """The HTML under a policy that lets it run nothing and load nothing; 404 when there is none."""
        must_read(request, self._admin)
        return await html_response(self._admin, request.path_params["id"])

    async def transcript(self, request: Request) -> Response:
        """The SMTP session that brought it."""
        must_read(request, self._admin)
        text = await self._admin.message_transcript(request.path_params["id"])
        return Response(text.encode("utf-8", "replace"), media_type="text/plain; charset=utf-8")

    async def journal(self, request: Request) -> Response:
        """What was tried for it."""
        attempts = await self._admin.message_journal(request.path_params["id"])
        return Json({"attempts": [shapes.attempt_shape(attempt) for attempt in attempts]})

    async def attachment(self, request: Request) -> Response:
        """A part as a file."""
        must_read(request, self._admin)
        return await attachment_response(self._admin, request.path_params["id"], request.path_params["number"])

    async def release(self, request: Request) -> Response:
        """Send it on to real addresses, and answer when something has come of it.

        ``{"to": ["kana@example.net"], "server": "", "from": "me@example.com"}``; without ``from`` the envelope's own.
        """
        must_be(request, Role.OPERATOR)
        desk = self._admin.releases
        to, server, sender = _release_fields(await json_body(request))
        message = await self._admin.message(request.path_params["id"])
        wish = read_wish(to, server, message.reverse_path if sender is None else sender)
        release = await desk.begin(message.id, wish)
        await while_connected(request, desk.wait(release))
        return Json(release_shape(release))


def _release_fields(given: Mapping[str, Any]) -> tuple[list[str], str, str | None]:
    fields = dict(given)
    to, server, sender = fields.pop("to", []), fields.pop("server", ""), fields.pop("from", None)
    if fields:
        raise Refusal(400, f"there is no `{next(iter(fields))[:40]}`", "known here: to, server, from")
    to = [to] if isinstance(to, str) else to
    if not isinstance(to, list) or not all(isinstance(each, str) for each in to):
        raise Refusal(400, "`to` must be a list of addresses", '{"to": ["kana@example.net"]}')
    if not isinstance(server, str) or not (sender is None or isinstance(sender, str)):
        raise Refusal(400, "`server` and `from` must be text", '{"server": "mx.example.net:25", "from": ""}')
    return to, server, sender


def release_shape(release: Release) -> JsonShape:
    """``{"id", "message", "to", "server", "from", "done", "accepted", "recipients": […], "error", "transcript"}``.

    ``error`` is null, or ``{"detail", "hint"}`` when nobody has any outcome.
    """
    result, fault = release.result, release.fault
    said = result.transcript if result is not None else fault.transcript if isinstance(fault, SendError) else ""
    return {
        "id": release.id,
        "message": release.message_id,
        "to": list(release.wish.to),
        "server": release.wish.server,
        "from": release.wish.sender,
        "done": not release.is_running,
        "accepted": result is not None and result.accepted,
        "recipients": [_sent_shape(one) for one in result.recipients] if result is not None else [],
        "error": {"detail": fault.message, "hint": fault.hint} if fault is not None else None,
        "transcript": said,
    }


def _sent_shape(sent: Sent) -> JsonShape:
    """``{"address", "outcome", "reply", "stage", "fault", "host", "security", "uncertain", "dropped"}``."""
    return {
        "address": sent.address,
        "outcome": sent.outcome.value,
        "reply": reply_shape(sent.reply),
        "stage": sent.stage,
        "fault": sent.fault,
        "host": sent.host,
        "security": sent.security,
        "uncertain": sent.uncertain,
        "dropped": list(sent.dropped),
    }
