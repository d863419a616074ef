"""What a first visit costs over the wire, and that an open page asks for nothing again and again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from playwright.async_api import expect

from tests.web.acceptance.eyes import Eyes, Record
from tests.web.acceptance.pages import Tour

MOST = 100_000


@pytest.mark.parametrize("path", ["/", "/queue", "/en/codes/455", "/ja/codes/455", "/ja"])
def test_the_first_load_is_light(eyes: Eyes, path: str) -> None:
    async def work() -> None:
        async with eyes.page() as page:
            session = await page.context.new_cdp_session(page)
            await session.send("Network.enable")
            sizes: list[float] = []
            session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
            await page.goto(path, wait_until="load")
            await page.wait_for_function("document.readyState === 'complete'")
            assert sizes
            assert sum(sizes) < MOST, sizes

    eyes.look(work)


def test_no_page_asks_twice_for_the_same(tour: Tour) -> None:
    def twice(one: Any) -> list[str]:
        asked = one.record.requests
        return sorted({url for url in asked if asked.count(url) > 1 and "/static/" not in url})

    assert tour.faults(twice) == ""


def test_pages_at_rest_rest(eyes: Eyes) -> None:
    record = Record()

    async def work() -> None:
        async with eyes.context() as context:
            for path in ("/", "/queue", "/setup", "/destinations/later.example", "/inbox"):
                page = await context.new_page()
                record.follow(page)
                await page.goto(path)
                if await page.locator("#live").count():
                    await expect(page.locator("#live-state")).not_to_be_empty()
            await asyncio.sleep(1.5)  # whatever was under way
            before = list(record.requests)
            await asyncio.sleep(2)
            assert record.requests == before

    eyes.look(work)
