"""Chaos: the rules that answer on demand, in dev mode."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.errors import NotFound
from postroad.inbox.chaos import STAGES, ChaosRule, read_rule
from postroad.replies.catalogue import catalogue
from postroad.web.pages import display
from postroad.web.pages.house import House, see
from postroad.web.requests import Form, word

#: What is tried most often, each one button.
PRESETS: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType({
    "greylist": {"at": "rcpt", "reply": 451, "enhanced": "4.7.1", "times": 2,
                 "text": "Greylisted, please try again later"},
    "parameters": {"at": "mail", "reply": 455},
    "closing": {"at": "connect", "reply": 421},
    "slow": {"at": "rcpt", "delay": 5.0},
    "unknown": {"at": "rcpt", "reply": 550},
    "full": {"at": "message", "reply": 452, "times": 1},
})  # fmt: skip
#: Offered beside the field, each with its meaning.
COMMON: Final = (421, 450, 451, 452, 454, 455, 500, 501, 502, 503, 504, 530, 535, 550, 551, 552, 553, 554, 555, 556)


class Chaos:
    """The pages below /chaos."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        house = self._house
        return [
            Route("/chaos/add", house.form(self.add), methods=["POST"]),
            Route("/chaos/preset", house.form(self.preset), methods=["POST"]),
            Route("/chaos/remove", house.form(self.remove), methods=["POST"]),
            Route("/chaos", house.open(self.chaos), methods=["GET"]),
        ]

    async def chaos(self, request: Request) -> Response:
        """The rules, and a form for one more or for another form of one."""
        rules = await self._house.admin.chaos_list()
        wanted = word(request, "edit")
        edited = next((state.rule for state in rules if wanted and state.rule.id == wanted), None)
        language = self._house.language(request)
        return self._house.page(
            request,
            "chaos.html",
            rules=[(state, _next_step(state.rule, language)) for state in rules],
            edited=edited,
            fields=_as_fields(edited),
            stages=STAGES,
            presets=PRESETS,
            common=COMMON,
        )

    async def add(self, request: Request, fields: Form) -> Response:
        """The form "add a rule", and "change it" of one that is there."""
        rule = read_rule(display.rule_fields(fields), fields.get("id", ""))
        known = {state.rule.id: state.rule for state in await self._house.admin.chaos_list()}
        before = known.get(rule.id)
        if before is not None:  # what the form does not show stays
            rule = replace(rule, probability=before.probability, from_=before.from_)
        await self._house.admin.chaos_add(rule)
        return see("/chaos")

    async def preset(self, request: Request, fields: Form) -> Response:
        """One of the buttons that make a rule."""
        preset = PRESETS.get(fields.get("name", ""))
        if preset is None:
            raise NotFound(f"no such preset: `{fields.get('name', '')[:40]}`", ", ".join(PRESETS))
        await self._house.admin.chaos_add(read_rule(preset))
        return see("/chaos")

    async def remove(self, request: Request, fields: Form) -> Response:
        """The button "remove" of a rule; without a rule's name, of all."""
        await self._house.admin.chaos_remove(fields.get("id") or None)
        return see("/chaos")


def _next_step(rule: ChaosRule, language: str) -> str:
    """What a client should do about the answer; ``""`` where the catalogue says nothing of it."""
    known = catalogue()
    return known.code_words(rule.reply, language).next if rule.reply in known.codes else ""


def _as_fields(rule: ChaosRule | None) -> dict[str, str]:
    """A rule as the form shows it."""
    if rule is None:
        return {"id": "", "to": "", "at": "rcpt", "reply": "455", "enhanced": "", "times": "", "delay": "", "text": "",
                "disconnect": ""}  # fmt: skip
    numbers = {"reply": rule.reply, "times": rule.times, "delay": rule.delay or None}
    shown = {name: "" if value is None else f"{value:g}" for name, value in numbers.items()}
    words = {"id": rule.id, "to": "" if rule.to == "*" else rule.to, "at": rule.at, "enhanced": rule.enhanced}
    return {**words, **shown, "text": rule.text, "disconnect": "yes" if rule.disconnect else ""}
