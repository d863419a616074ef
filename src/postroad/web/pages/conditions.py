"""Conditions: which parameters are answered "not now", why, and what a client would be told at this moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.admin.trying import Tried, example_of, keyword_of
from postroad.errors import PostroadError
from postroad.policy.conditions import Condition
from postroad.replies.catalogue import catalogue
from postroad.web.pages import display
from postroad.web.pages.house import House, see
from postroad.web.pages.talking import Talking
from postroad.web.problems import words
from postroad.web.requests import Form, word

#: Minutes for which a parameter may be switched off; 0: until somebody switches it on again.
SPANS: Final = (10, 60, 480, 1440, 0)


@dataclass(frozen=True, slots=True)
class Known:
    """A parameter that this server knows."""

    name: str
    keyword: str
    """The extension whose page explains it; ``""``: no page does."""
    is_off: bool


class Conditions:
    """The pages below /conditions."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._talking = Talking(house)

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        house = self._house
        return [
            Route("/conditions/set", house.form(self.set), methods=["POST"]),
            Route("/conditions/clear", house.form(self.clear), methods=["POST"]),
            Route("/conditions", house.open(self.conditions), methods=["GET"]),
        ]

    async def conditions(self, request: Request) -> Response:
        """What is refused now, what a client would be answered, and a form to switch a parameter off."""
        found = await self._house.admin.conditions_list()
        known = await self._house.admin.conditions_known()
        asked = word(request, "try").strip()
        tried, trouble = await self._try(asked or _sample(found))
        return self._house.page(
            request,
            "conditions.html",
            400 if trouble else 200,
            conditions=found,
            known=_known(known, found),
            spans=SPANS,
            asked=asked,
            tried=tried,
            trouble=trouble,
            switched=sum(each.source == "operator" for each in found),
            **self._talking.values(request, tried.transcript if tried is not None else ""),
        )

    async def _try(self, parameters: str) -> tuple[Tried | None, tuple[str, str] | None]:
        try:
            return await self._house.admin.conditions_try(parameters), None
        except PostroadError as fault:
            return None, words(fault)

    async def set(self, request: Request, fields: Form) -> Response:
        """The form "refuse for now"."""
        minutes = display.decimal(fields.get("minutes", ""), "minutes")
        await self._house.admin.conditions_set(
            fields.get("parameter", ""), fields.get("why", ""), minutes * 60 if minutes else None
        )
        return see("/conditions")

    async def clear(self, request: Request, fields: Form) -> Response:
        """The button "take it again" of a condition; without its name, of all."""
        await self._house.admin.conditions_clear(fields.get("parameter") or None)
        return see("/conditions")


def _sample(conditions: Sequence[Condition]) -> str:
    """What is tried when nobody asks for anything: the first that is refused, or the most usual parameter."""
    return example_of(conditions[0].parameter if conditions else "SIZE")


def _known(names: Sequence[str], conditions: Sequence[Condition]) -> list[Known]:
    off = {each.parameter for each in conditions}
    explained = catalogue().keywords
    rows = []
    for name in names:
        keyword = keyword_of(name)
        rows.append(Known(name, keyword if keyword in explained else "", name in off))
    return rows
