"""Parameters that are refused for now: the form, and what a client would be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.web.house import House, token_of

Client = httpx.AsyncClient
Run = Callable[..., None]

WORDS = '"><img src=x onerror=alert(1)>\u202e'


@pytest.mark.parametrize("language", ["en", "ja"])
def test_what_is_off_is_answered_455_and_the_rest_250(in_house: Run, language: str) -> None:
    async def work(house: House, client: Client) -> None:
        house.conditions.set("RET", WORDS)
        page = await client.get("/conditions", params={"try": "RET=HDRS", "lang": language})
        assert f'<html lang="{language}"' in page.text
        assert "<i>455</i>" in page.text
        assert "<img src=x" not in page.text
        page = await client.get("/conditions", params={"try": "BODY=8BITMIME", "lang": language})
        assert "<i>455</i>" not in page.text
        assert "<i>250</i>" in page.text
        bad = await client.get("/conditions", params={"try": "SIZE=1\r\nQUIT"})
        assert bad.status_code == 400
        assert 'role="alert"' in bad.text

    in_house(work)


@pytest.mark.parametrize("minutes", ["10", "60", "480", "1440", "0"])
def test_a_parameter_is_switched_off_for_a_span(in_house: Run, minutes: str) -> None:
    async def work(house: House, client: Client) -> None:
        fields = {"parameter": "smtputf8", "why": WORDS, "minutes": minutes}
        assert (await client.post("/conditions/set", data=fields)).status_code == 403
        fields["token"] = token_of(await client.get("/conditions"))
        assert (await client.post("/conditions/set", data=fields)).status_code == 303
        (one,) = house.conditions.list()
        assert (one.parameter, one.until is None) == ("SMTPUTF8", minutes == "0")
        assert "<img src=x" not in (await client.get("/conditions")).text

    in_house(work)


def test_one_and_all_are_cleared(in_house: Run) -> None:
    async def work(house: House, client: Client) -> None:
        for name in ("RET", "ENVID", "NOTIFY"):
            house.conditions.set(name, "")
        token = token_of(await client.get("/conditions"))
        await client.post("/conditions/clear", data={"token": token, "parameter": "RET"})
        assert set(house.conditions.unavailable()) == {"ENVID", "NOTIFY"}
        await client.post("/conditions/clear", data={"token": token})
        assert set(house.conditions.unavailable()) == set()

    in_house(work)


def test_a_viewer_looks_and_tries_and_changes_nothing(in_house: Run) -> None:
    async def work(house: House, client: Client) -> None:
        house.conditions.set("RET", "")
        await house.sign_in(client, "vera")
        page = await client.get("/conditions", params={"try": "RET=HDRS"})
        assert "<i>455</i>" in page.text
        assert "/conditions/set" not in page.text
        for path in ("set", "clear"):
            fields = {"token": token_of(page), "parameter": "RET", "minutes": "10"}
            assert (await client.post(f"/conditions/{path}", data=fields)).status_code == 403
        assert set(house.conditions.unavailable()) == {"RET"}

    people: dict[str, Any] = {"vera": ("look at it", "viewer")}
    in_house(work, dev=False, people=people)
