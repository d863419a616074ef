"""Sessions that ended, refused ones too, each with what was said."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.replies import Reply, ReplySyntaxError
from postroad.web.pages.house import House
from postroad.web.pages.talking import Talking
from postroad.web.requests import flag, word

PAGE: Final = 50
#: Refusals that are shown as replies above a transcript.
MAX_SHOWN: Final = 20


class Sessions:
    """The pages below /sessions."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._talking = Talking(house)

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        return [
            Route("/sessions", self._house.open(self.sessions), methods=["GET"]),
            Route("/sessions/{id}", self._house.open(self.session), methods=["GET"]),
        ]

    async def sessions(self, request: Request) -> Response:
        """Ended sessions, newest first."""
        refused, peer, code = flag(request, "refused"), word(request, "peer").strip(), word(request, "code").strip()
        before = word(request, "before")
        found = await self._house.admin.sessions_list(refused, PAGE + 1, before, peer, code)
        query = {**({"refused": "true"} if refused else {}), "peer": peer, "code": code}
        query = {name: value for name, value in query.items() if value}
        return self._house.page(
            request,
            "sessions.html",
            rows=[(record, _reply(record.refusals[0]) if record.refusals else None) for record in found[:PAGE]],
            refused=refused,
            peer=peer,
            code=code,
            paged=bool(before),
            here=urlencode(query),
            filters=urlencode({name: value for name, value in query.items() if name != "refused"}),
            older=urlencode({**query, "before": found[PAGE - 1].id}) if len(found) > PAGE else "",
        )

    async def session(self, request: Request) -> Response:
        """One session and what was said."""
        record = await self._house.admin.session(request.path_params["id"])
        replies = dict.fromkeys(record.refusals)
        return self._house.page(
            request,
            "sessions_one.html",
            session=record,
            refusals=[(text, _reply(text)) for text in list(replies)[:MAX_SHOWN]],
            **self._talking.values(request, record.transcript),
        )


def _reply(line: str) -> Reply | None:
    """A refusal as a reply; None where it is none."""
    try:
        return Reply.parse([line.encode("utf-8", "replace")])
    except ReplySyntaxError:
        return None
