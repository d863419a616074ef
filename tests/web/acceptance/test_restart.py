"""The server is restarted under an open page: the page says so and goes on, and no mail is missing or there twice."""

from __future__ import annotations

import asyncio

from playwright.async_api import expect

from tests.web.acceptance.eyes import Eyes
from tests.web.acceptance.test_live import cable


def test_a_restart_under_an_open_page(eyes: Eyes) -> None:
    flow = eyes.flow
    rows = (
        "all => all.map(one => one.querySelector('a.code').title + one.querySelector('.to').textContent.trim()).sort()"
    )

    async def work() -> None:
        with cable(eyes.base) as between:
            async with eyes.page(base=between.url) as page:
                await page.goto("/queue")
                await expect(page.locator("#live-state")).to_have_text("Live")
                await page.evaluate("window.mine = true")
                before = await page.locator("#queue-rows tbody tr").evaluate_all(rows)
                assert await asyncio.to_thread(flow.server.stop) == 0
                await expect(page.locator("#live-news")).to_contain_text("Connection lost")
                assert await page.locator("#queue-rows tbody tr").evaluate_all(rows) == before
                flow.server.forget_log()
                await asyncio.to_thread(flow.server.start)
                between.lead_to(eyes.base)
                await expect(page.locator("#live-news")).not_to_contain_text("Connection lost", timeout=40_000)
                await expect(page.locator("#live-state")).to_have_text("Live")
                await asyncio.to_thread(flow.by_swaks, "restarted@later.example", "After the restart")
                new = page.locator("#queue-rows tr", has_text="restarted@later.example")
                await expect(new).to_have_count(1, timeout=30_000)
                found = await page.locator("#queue-rows tbody tr").evaluate_all(rows)
                assert [one for one in found if "restarted@" not in one] == before
                assert await page.evaluate("window.mine")

    eyes.look(work)
