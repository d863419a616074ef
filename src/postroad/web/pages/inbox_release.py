"""Sending caught mail on to a real address: what is asked, the question whether it is meant so, and what came of it."""

from __future__ import annotations

import re
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.admin.releasing import Release, Wish, read_wish
from postroad.errors import PostroadError
from postroad.sending import Explanation, SendError
from postroad.web.door.people import Role
from postroad.web.pages.house import House, see
from postroad.web.pages.talking import Talking
from postroad.web.problems import words
from postroad.web.requests import Form, flag, word

_BETWEEN: Final = re.compile(r"[,;\s]+")
#: What came of a recipient, as a tone.
TONES: Final = {"delivered": "good", "failed": "never"}


class InboxRelease:
    """The pages below /inbox/{id}/release."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._talking = Talking(house)

    def routes(self) -> list[BaseRoute]:
        """The routes; they stand before those of the inbox, whose views have one word."""
        house = self._house
        return [
            Route("/inbox/{id}/release", house.open(self.ask, Role.OPERATOR), methods=["GET"]),
            Route("/inbox/{id}/release", house.form(self.send), methods=["POST"]),
            Route("/inbox/{id}/release/{job}", house.open(self.job, Role.OPERATOR), methods=["GET"]),
        ]

    async def ask(self, request: Request) -> Response:
        """The form, or with its fields filled in, the question whether all of it is meant."""
        _ = self._house.admin.releases  # none in production
        message = await self._house.admin.message(request.path_params["id"])
        view = await self._house.admin.message_view(message.id)
        asked = {"to": word(request, "to"), "server": word(request, "server"), "from": word(request, "from")}
        fields = asked if "to" in request.query_params else {**asked, "from": message.reverse_path}
        wish: Wish | None = None
        trouble: tuple[str, str] | None = None
        if "to" in request.query_params and not flag(request, "edit"):
            try:
                wish = read_wish(_addresses(asked["to"]), asked["server"], asked["from"])
            except PostroadError as fault:
                trouble = words(fault)
        values: dict[str, Any] = {"message": message, "mail": view, "fields": fields, "trouble": trouble, "wish": wish}
        values["domains"] = dict.fromkeys(path.rpartition("@")[2] for path in wish.to) if wish is not None else ()
        return self._house.page(request, "inbox_release.html", 400 if trouble else 200, **values)

    async def send(self, request: Request, fields: Form) -> Response:
        """The button "send it" of that question."""
        wish = read_wish(_addresses(fields.get("to", "")), fields.get("server", ""), fields.get("from", ""))
        release = await self._house.admin.releases.begin(request.path_params["id"], wish)
        return see(f"/inbox/{release.message_id}/release/{release.id}")

    async def job(self, request: Request) -> Response:
        """What has come of it."""
        release = self._house.admin.releases.get(request.path_params["id"], request.path_params["job"])
        return self._house.page(
            request,
            "inbox_released.html",
            release=release,
            tones=TONES,
            why=self._why(request, release),
            secured=self._secured(request, release),
            trouble=words(release.fault) if release.fault is not None else None,
            **self._talking.values(request, _said(release)),
        )

    def _secured(self, request: Request, release: Release) -> str:
        """How the session was secured, in the reader's language; ``""`` where that is not known."""
        return "" if release.result is None else self._house.wording(request).security(release.result.security)

    def _why(self, request: Request, release: Release) -> dict[str, Explanation]:
        """What each outcome means, by address; under ``""`` why there is none at all."""
        language = self._house.language(request)
        if isinstance(release.fault, SendError):
            return {"": release.fault.explanation(language)}
        sent = release.result.recipients if release.result is not None else ()
        return {one.address: one.explanation(language) for one in sent if not one.accepted}


def _said(release: Release) -> str:
    if release.result is not None:
        return release.result.transcript
    return release.fault.transcript if isinstance(release.fault, SendError) else ""


def _addresses(text: str) -> list[str]:
    return [one for one in _BETWEEN.split(text) if one]
