"""Sessions that ended, refused ones too, each with what was said."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.errors import NotFound
from postroad.web.pages.house import House
from postroad.web.requests import flag, word

PAGE: Final = 50


class Sessions:
    """The pages below /sessions."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        return [
            Route("/sessions", self._house.open(self.sessions), methods=["GET"]),
            Route("/sessions/{id}", self._house.open(self.session), methods=["GET"]),
        ]

    async def sessions(self, request: Request) -> Response:
        """Ended sessions, newest first."""
        refused = flag(request, "refused")
        found = await self._house.admin.sessions_list(refused, PAGE + 1, word(request, "before"))
        query = {"before": found[PAGE - 1].id, **({"refused": "true"} if refused else {})} if len(found) > PAGE else {}
        return self._house.page(
            request, "sessions.html", sessions=found[:PAGE], refused=refused, older=urlencode(query) if query else ""
        )

    async def session(self, request: Request) -> Response:
        """One session and what was said."""
        record = await self._house.admin.session(request.path_params["id"])
        kept = [each for each in record.messages if await self._is_kept(each)]
        return self._house.page(request, "session.html", session=record, kept=kept)

    async def _is_kept(self, message_id: str) -> bool:
        try:
            await self._house.admin.message(message_id)
        except NotFound:
            return False
        return True
