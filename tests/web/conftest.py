"""How the tests of the web house begin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from playwright.async_api import async_playwright

from tests import peers
from tests.web.browser import ARGUMENTS, Window
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


@pytest.fixture(scope="package")
def window() -> Iterator[Window]:
    chromium = peers.program("chromium")
    with asyncio.Runner() as runner:
        playwright = runner.run(async_playwright().start())
        browser = runner.run(playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS))
        yield Window(runner, browser)
        runner.run(browser.close())
        runner.run(playwright.stop())
