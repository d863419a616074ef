"""Destinations and diagnoses in a real browser: steps come by themselves; without a script all is there by a link."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import expect

from tests.diagnosis.faulty_servers import GREETING, Reader, Talk, Writer, say, serving
from tests.web.browser import Visit, Window
from tests.web.test_reference_browser import audit, unfit


def test_steps_appear_as_they_are_taken(window: Window) -> None:
    async def work(visiting: Visit) -> None:
        goes_on = asyncio.Event()

        async def slow(reader: Reader, writer: Writer) -> None:
            await say(writer, GREETING)
            await reader.readline()
            await goes_on.wait()
            await say(writer, b"250 mx.example.test\r\n")
            await Talk()(reader, writer)

        async with serving(slow) as port, visiting.page() as page:
            await page.goto(f"{visiting.base}/diagnose")
            await page.fill("[name=target]", f"127.0.0.1:{port}")
            await page.click("form.add button")
            await expect(page.locator(".finding.ok").nth(1)).to_contain_text("220 mx.example.test")
            await expect(page.locator("#diagnosis")).to_have_attribute("data-state", "running")
            goes_on.set()
            await expect(page.locator("#diagnosis")).to_have_attribute("data-state", "done")
            await expect(page.locator(".finding.now")).to_have_count(0)

    window.visit(work)


def test_without_a_script(window: Window) -> None:
    async def work(visiting: Visit) -> None:
        async with serving(Talk(tls="self-signed")) as port, visiting.page(java_script_enabled=False) as page:
            await page.goto(f"{visiting.base}/diagnose")
            await page.fill("[name=target]", f"127.0.0.1:{port}")
            await page.click("form.add button")
            for _ in range(200):
                if await page.locator('#diagnosis[data-state="done"]').count():
                    break
                await asyncio.sleep(0.05)
                await page.goto(page.url)
            await expect(page.locator(".finding.warn")).to_have_count(1)

    window.visit(work)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_page_fits_and_can_be_read(window: Window, lang: str) -> None:
    async def work(visiting: Visit) -> None:
        await visiting.house.put(hold="")
        async with serving(Talk(tls="self-signed")) as port, visiting.page(bypass_csp=True) as page:
            await page.goto(f"{visiting.base}/diagnose")
            await page.fill("[name=target]", f"127.0.0.1:{port}")
            await page.click("form.add button")
            await expect(page.locator("#diagnosis")).to_have_attribute("data-state", "done")
            job = page.url.removeprefix(visiting.base)
            for path in ("/destinations", "/destinations/example.net", "/diagnose", job):
                for width in (360, 1280):
                    await page.set_viewport_size({"width": width, "height": 800})
                    await page.goto(f"{visiting.base}{path}?lang={lang}")
                    assert await unfit(page) == [], path
                assert await audit(page) == [], path

    window.visit(work)
