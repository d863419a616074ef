"""Setup: whether this host is what the world expects of a mail host, and the exact records that make it so."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.admin.setup.leaving import read_targets
from postroad.web import setup_words
from postroad.web.pages.house import House, see
from postroad.web.requests import Form

#: Seconds that a request waits, so that most readers see the whole at once.
_PATIENCE: Final = 2.0
#: Seconds after which a page of a run that goes on asks again.
_AGAIN: Final = "2"
#: Seconds that hosts to call wait for a run that goes on.
_RUN: Final = 30.0


class Setup:
    """The pages below /setup."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        house = self._house
        return [
            Route("/setup/check", house.form(self.check), methods=["POST"]),
            Route("/setup", house.open(self.setup), methods=["GET"]),
        ]

    async def setup(self, request: Request) -> Response:
        """Every row that is known; looks again when nobody did lately."""
        desk = self._house.admin.setup
        desk.refresh()
        await desk.wait(_PATIENCE)
        report = desk.report()
        texts = self._house.wording(request).texts
        values: dict[str, Any] = {
            "report": report,
            "groups": setup_words.groups(report, texts),
            "counted": setup_words.counted(report, texts),
            "sizes": setup_words.SIZES,
            "moments": setup_words.MOMENTS,
        }
        answer = self._house.page(request, "setup.html", **values)
        if report.is_running:
            answer.headers["refresh"] = _AGAIN
        return answer

    async def check(self, request: Request, fields: Form) -> Response:
        """The buttons "check again" and "call them"."""
        desk = self._house.admin.setup
        targets = read_targets(fields.get("targets", ""))
        if targets:
            await desk.wait(_RUN)
        desk.begin(targets)
        await desk.wait(_PATIENCE)
        return see("/setup#port25" if targets else "/setup")
