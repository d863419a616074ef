"""The inbox: what was caught or is kept, and each message from all its sides; what strangers wrote is never trusted."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from postroad.errors import NotFound
from postroad.inbox.inbox import Filter
from postroad.message.header_text import decode_octets
from postroad.web.answers import attachment_response, html_response, raw_response, while_connected
from postroad.web.pages import display
from postroad.web.pages.house import House, see
from postroad.web.pages.visible import visible_plain
from postroad.web.requests import Form, flag, number, wanted

PAGE: Final = 50
#: How long one question of the live script is kept open.
LIVE_SECONDS: Final = 25.0
#: Octets of source on a page.
MAX_SOURCE: Final = 512 * 1024
VIEWS: Final = ("html", "text", "headers", "source", "session")


class Inbox:
    """The pages below /inbox."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        house = self._house
        return [
            Route("/inbox/clear", house.form(self.clear), methods=["POST"]),
            Route("/inbox/{id}/delete", house.form(self.delete), methods=["POST"]),
            Route("/inbox", house.open(self.inbox), methods=["GET"]),
            Route("/inbox/live", house.open(self.live), methods=["GET"]),
            Route("/inbox/{id}", house.open(self.message), methods=["GET"]),
            Route("/inbox/{id}/frame", house.open(self.frame), methods=["GET"]),
            Route("/inbox/{id}/raw", house.open(self.raw), methods=["GET"]),
            Route("/inbox/{id}/attachments/{number}", house.open(self.attachment), methods=["GET"]),
            Route("/inbox/{id}/{view}", house.open(self.message), methods=["GET"]),
        ]

    # ── inbox ───────────────────────────────────────────────────────────────

    async def inbox(self, request: Request) -> Response:
        """The list, or what to do for the first mail."""
        asked = wanted(request)
        page = await self._house.admin.inbox_list(asked, 0, number(request, "before", 0), PAGE)
        status = await self._house.admin.status()
        newest = page.items[0].message.sequence if page.items else 0
        query = {"to": asked.to, "from": asked.from_, "subject": asked.subject}
        return self._house.page(
            request,
            "inbox.html",
            page=page,
            wanted=asked,
            filtered=asked != Filter(),
            paged="before" in request.query_params,
            total=status.stats.messages,
            newest=newest,
            older=urlencode({**{k: v for k, v in query.items() if v}, "before": page.before}) if page.before else "",
            first=display.first_listener(status.about.listeners, request.url.hostname or "localhost"),
        )

    async def live(self, request: Request) -> Response:
        """For the script: 200 once mail has come behind ``after``, 204 when none came for a while."""
        work = self._house.admin.inbox_wait(wanted(request), number(request, "after", 0), LIVE_SECONDS)
        item = await while_connected(request, work)
        if item is None:
            return Response(status_code=204)
        return JSONResponse({"subject": visible_plain(item.summary.subject[:200])})

    async def clear(self, request: Request, fields: Form) -> Response:
        """The form "clear inbox"."""
        await self._house.admin.inbox_clear(Filter())
        return see("/inbox")

    async def delete(self, request: Request, fields: Form) -> Response:
        """The form "delete" of a message."""
        await self._house.admin.inbox_remove(request.path_params["id"])
        return see("/inbox")

    # ── one message ─────────────────────────────────────────────────────────

    async def message(self, request: Request) -> Response:
        """One message, seen from one side."""
        message = await self._house.admin.message(request.path_params["id"])
        view = await self._house.admin.message_view(message.id)
        shown = request.path_params.get("view") or ("html" if view.html is not None and view.text is None else "text")
        if shown not in VIEWS:
            raise NotFound(f"a message has no view `{shown[:40]}`", "it has " + ", ".join(VIEWS))
        more = await self._more(message.id, shown)
        has_session = await self._has_session(message.origin.session)
        return self._house.page(
            request,
            "inbox_message.html",
            message=message,
            seen=view,
            shown=shown,
            views=VIEWS,
            has_session=has_session,
            **more,
        )

    async def _more(self, message_id: str, shown: str) -> dict[str, Any]:
        if shown == "source":
            octets, whole = await self._house.admin.message_source(message_id, MAX_SOURCE)
            return {"source": decode_octets(octets).replace("\r\n", "\n"), "whole": whole, "limit": MAX_SOURCE}
        if shown == "session":
            return {"transcript": await self._house.admin.message_transcript(message_id)}
        return {}

    async def _has_session(self, session_id: str) -> bool:
        try:
            await self._house.admin.session(session_id)
        except NotFound:
            return False
        return True

    async def frame(self, request: Request) -> Response:
        """The mail's HTML, for the sandboxed frame."""
        return await html_response(self._house.admin, request.path_params["id"])

    async def raw(self, request: Request) -> Response:
        """The octets."""
        return await raw_response(self._house.admin, request.path_params["id"], flag(request, "download"))

    async def attachment(self, request: Request) -> Response:
        """A part as a file."""
        return await attachment_response(self._house.admin, request.path_params["id"], request.path_params["number"])
