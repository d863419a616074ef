"""Conditions: which parameters are answered "not now", and why."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.web.pages import display
from postroad.web.pages.house import House, see
from postroad.web.requests import Form


class Conditions:
    """The pages below /conditions."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        house = self._house
        return [
            Route("/conditions/set", house.form(self.condition_set), methods=["POST"]),
            Route("/conditions/clear", house.form(self.condition_clear), methods=["POST"]),
            Route("/conditions", house.open(self.conditions), methods=["GET"]),
        ]

    async def conditions(self, request: Request) -> Response:
        """What is refused now, and a form to switch a parameter off."""
        found = await self._house.admin.conditions_list()
        return self._house.page(
            request, "conditions.html", conditions=found, known=await self._house.admin.conditions_known()
        )

    async def condition_set(self, request: Request, fields: Form) -> Response:
        """The form "refuse for now"."""
        minutes = display.decimal(fields.get("minutes", ""), "minutes")
        seconds = None if minutes is None else minutes * 60
        await self._house.admin.conditions_set(fields.get("parameter", ""), fields.get("why", ""), seconds)
        return see("/conditions")

    async def condition_clear(self, request: Request, fields: Form) -> Response:
        """The button "remove" of a condition."""
        await self._house.admin.conditions_clear(fields.get("parameter", ""))
        return see("/conditions")
