"""Chaos: the rules that answer on demand."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.inbox.chaos import STAGES, read_rule
from postroad.web.pages import display
from postroad.web.pages.house import House, see
from postroad.web.requests import Form


class Chaos:
    """The pages below /chaos."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        house = self._house
        return [
            Route("/chaos/add", house.form(self.chaos_add), methods=["POST"]),
            Route("/chaos/remove", house.form(self.chaos_remove), methods=["POST"]),
            Route("/chaos", house.open(self.chaos), methods=["GET"]),
        ]

    async def chaos(self, request: Request) -> Response:
        """The rules, and a form for one more."""
        return self._house.page(request, "chaos.html", rules=await self._house.admin.chaos_list(), stages=STAGES)

    async def chaos_add(self, request: Request, fields: Form) -> Response:
        """The form "add a rule"."""
        await self._house.admin.chaos_add(read_rule(display.rule_fields(fields)))
        return see("/chaos")

    async def chaos_remove(self, request: Request, fields: Form) -> Response:
        """The button "remove" of a rule."""
        await self._house.admin.chaos_remove(fields.get("id", ""))
        return see("/chaos")
