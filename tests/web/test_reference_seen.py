"""A code's page says how often it was met here, to those who may know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from postroad.admin.traffic import Seen
from tests.web.house import House

InHouse = Callable[..., None]


def met(house: House, said: int, heard: int) -> None:
    def code(number: int, seconds: float = 0.0) -> Seen:
        return Seen(said, heard) if number == 455 else Seen(0, 0)

    desk: Any = house.admin.traffic
    desk.code = code


@pytest.mark.parametrize(
    ("said", "heard", "words"),
    [
        (30, 7, ("In your traffic: 37 times this week", "heard from other hosts 7 times", "/queue?code=455")),
        (1, 0, ("In your traffic: once this week", "said by this server once", "/sessions?code=455")),
        (0, 0, ("Not in your traffic this week.",)),
    ],
)
def test_how_often_it_was_met(in_house: InHouse, said: int, heard: int, words: tuple[str, ...]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        met(house, said, heard)
        page = (await client.get("/en/codes/455")).text
        for word in words:
            assert word in page
        assert "直近 1 週間" in (await client.get("/ja/codes/455")).text
        assert "In your traffic" not in (await client.get("/en/codes/4.7.1")).text

    in_house(work)


def test_strangers_are_not_told(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        met(house, 30, 7)
        page = await client.get("/en/codes/455")
        assert page.status_code == 200
        assert "your traffic" not in page.text

    in_house(work, dev=False, people={"ann": ("secret words", "viewer")})
