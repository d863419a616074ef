"""The inbox: what was caught or is kept, and each message from all its sides; what strangers wrote is never trusted."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.errors import NotFound, PostroadError
from postroad.inbox.inbox import Filter
from postroad.inbox.search import read_query
from postroad.message.header_text import decode_octets
from postroad.web.answers import attachment_response, html_response, raw_response
from postroad.web.door.people import Role, must_be
from postroad.web.pages import display
from postroad.web.pages.house import Call, House, see
from postroad.web.pages.talking import Talking
from postroad.web.problems import words
from postroad.web.reading import may_read, must_read, wanted
from postroad.web.requests import Form, flag, number, word

PAGE: Final = 50
#: Octets of source on a page.
MAX_SOURCE: Final = 512 * 1024
VIEWS: Final = ("html", "text", "headers", "source", "session")
#: How wide the frame of a mail's HTML is: as wide as the page, as a phone, as a window of usual mail programs.
WIDTHS: Final = ("full", "phone", "desktop")
_ASKED: Final = ("q", "to", "from", "subject")


class Inbox:
    """The pages below /inbox."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._talking = Talking(house)

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        house = self._house
        return [
            Route("/inbox", house.open(self.inbox), methods=["GET"]),
            Route("/inbox/clear", house.open(self.clearing, Role.OPERATOR), methods=["GET"]),
            Route("/inbox/clear", house.form(self.clear), methods=["POST"]),
            Route("/inbox/delete", house.form(self.delete_several), methods=["POST"]),
            Route("/inbox/{id}/delete", house.form(self.delete), methods=["POST"]),
            Route("/inbox/{id}", self._content(self.message), methods=["GET"]),
            Route("/inbox/{id}/frame", self._content(self.frame), methods=["GET"]),
            Route("/inbox/{id}/raw", self._content(self.raw), methods=["GET"]),
            Route("/inbox/{id}/attachments/{number}", self._content(self.attachment), methods=["GET"]),
            Route("/inbox/{id}/{view}", self._content(self.message), methods=["GET"]),
        ]

    def _content(self, call: Call) -> Call:
        """``call``, for who may read the mail that is here."""

        async def checked(request: Request) -> Response:
            must_be(request, Role.VIEWER)
            must_read(request, self._house.admin)
            return await call(request)

        return checked

    # ── the list ────────────────────────────────────────────────────────────

    async def inbox(self, request: Request) -> Response:
        """The list, or what to do for the first mail."""
        admin = self._house.admin
        reads = may_read(request, admin)
        trouble: tuple[str, str] | None = None
        try:
            asked = wanted(request, reads)
        except PostroadError as fault:
            asked, trouble = Filter(), words(fault)
        page = await admin.inbox_list(asked, 0, number(request, "before", 0), PAGE)
        status = await admin.status()
        query = _query(request)
        older = urlencode({**query, "before": page.before}) if page.before else ""
        return self._house.page(
            request,
            "inbox.html",
            400 if trouble else 200,
            items=() if trouble else page.items,
            reads=reads,
            trouble=trouble,
            box=_box(request),
            query=urlencode(query),
            filtered=bool(query),
            paged="before" in request.query_params,
            total=status.stats.messages,
            older="" if trouble else older,
            full=len(page.items) >= PAGE,
            removed=number(request, "removed", 0, 10**6),
            first=display.first_listener(status.about.listeners, request.url.hostname or "localhost"),
        )

    # ── deleting ────────────────────────────────────────────────────────────

    async def clearing(self, request: Request) -> Response:
        """Asks whether all that is shown shall really go."""
        _ = wanted(request, True)
        status = await self._house.admin.status()
        return self._house.page(
            request, "inbox_clear.html", query=_query(request), box=_box(request), total=status.stats.messages
        )

    async def clear(self, request: Request, fields: Form) -> Response:
        """The form "delete all of them", which the question before has made."""
        old = Filter(fields.get("to", ""), fields.get("from", ""), fields.get("subject", ""))
        removed = await self._house.admin.inbox_clear(read_query(fields.get("q", ""), old))
        return see(f"/inbox?removed={removed}")

    async def delete_several(self, request: Request, fields: Form) -> Response:
        """The form "delete" of the messages that are ticked."""
        removed = await self._house.admin.inbox_remove_several(fields.all("id"))
        return see(f"/inbox?removed={removed}")

    async def delete(self, request: Request, fields: Form) -> Response:
        """The form "delete" of a message."""
        await self._house.admin.inbox_remove(request.path_params["id"])
        return see("/inbox?removed=1")

    # ── one message ─────────────────────────────────────────────────────────

    async def message(self, request: Request) -> Response:
        """One message, seen from one side."""
        message = await self._house.admin.message(request.path_params["id"])
        view = await self._house.admin.message_view(message.id)
        shown = request.path_params.get("view") or ("html" if view.html is not None and view.text is None else "text")
        if shown not in VIEWS:
            raise NotFound(f"a message has no view `{shown[:40]}`", "it has " + ", ".join(VIEWS))
        width = word(request, "width")
        more = await self._more(request, message.id, shown)
        return self._house.page(
            request,
            "inbox_message.html",
            message=message,
            mail=view,
            shown=shown,
            views=VIEWS,
            widths=WIDTHS,
            width=width if width in WIDTHS else WIDTHS[0],
            has_session=await self._has_session(message.origin.session),
            **more,
        )

    async def _more(self, request: Request, message_id: str, shown: str) -> dict[str, Any]:
        if shown == "source":
            octets, whole = await self._house.admin.message_source(message_id, MAX_SOURCE)
            return {"source": decode_octets(octets).replace("\r\n", "\n"), "whole": whole, "limit": MAX_SOURCE}
        if shown == "session":
            transcript = await self._house.admin.message_transcript(message_id)
            return self._talking.values(request, transcript)
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


def _query(request: Request) -> dict[str, str]:
    """What was looked for, for further pages of it."""
    return {name: value for name in _ASKED if (value := word(request, name))}


def _box(request: Request) -> str:
    """What was looked for, as it would stand in the search box; old addresses have fields of their own."""
    olds = {name: word(request, name).replace('"', " ") for name in ("to", "from", "subject")}
    terms = [f'{name}:"{text}"' if " " in text else f"{name}:{text}" for name, text in olds.items() if text]
    return " ".join(filter(None, [word(request, "q"), *terms]))
