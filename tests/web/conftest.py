"""How the tests of the web house begin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.web.house import House


@pytest.fixture
def in_house() -> Callable[..., None]:
    """Run ``work(house, client)`` in a loop of its own; further words go to House."""

    def run(work: Callable[[House, httpx.AsyncClient], Awaitable[None]], **options: Any) -> None:
        async def inside() -> None:
            house = House(**options)
            async with house.client() as client:
                await work(house, client)
            house.inbox.close()

        asyncio.run(inside())

    return run
