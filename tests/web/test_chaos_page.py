"""Replies on demand: presets, a rule and its change."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from postroad.inbox.chaos import read_rule
from postroad.web.pages.chaos import PRESETS
from tests.web.house import House, token_of

Client = httpx.AsyncClient
Run = Callable[..., None]

WORDS = '"><img src=x onerror=alert(1)>\u202e'


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_makes_its_rule(in_house: Run, name: str) -> None:
    async def work(house: House, client: Client) -> None:
        assert house.chaos is not None
        assert (await client.post("/chaos/preset", data={"name": name})).status_code == 403
        token = token_of(await client.get("/chaos"))
        assert (await client.post("/chaos/preset", data={"token": token, "name": name})).status_code == 303
        (state,) = house.chaos.list()
        assert state.rule.at == PRESETS[name]["at"]
        assert (await client.post("/chaos/preset", data={"token": token, "name": WORDS})).status_code == 404

    in_house(work)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_rule_is_changed_and_keeps_what_the_form_does_not_show(in_house: Run, language: str) -> None:
    async def work(house: House, client: Client) -> None:
        assert house.chaos is not None
        given = {"to": WORDS, "reply": 550, "text": WORDS, "probability": 0.5}
        house.chaos.add(read_rule(given))
        name = house.chaos.list()[0].rule.id
        page = await client.get("/chaos", params={"edit": name, "lang": language})
        assert f'<html lang="{language}"' in page.text
        assert "<img src=x" not in page.text
        fields = {"token": token_of(page), "id": name, "to": "*@example.com", "at": "rcpt", "reply": "451"}
        assert (await client.post("/chaos/add", data=fields)).status_code == 303
        (state,) = house.chaos.list()
        assert (state.rule.reply, state.rule.to, state.rule.probability) == (451, "*@example.com", 0.5)

    in_house(work)


def test_there_is_none_in_production(in_house: Run) -> None:
    async def work(house: House, client: Client) -> None:
        assert (await client.get("/chaos")).status_code >= 400

    in_house(work, dev=False)
