"""The reference in a real browser: it fits narrow windows, reads well to a screen reader, and needs no script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests import peers
from tests.web.browser import SHOTS, Visit, Window

PAGES = (
    "/{lang}/codes",
    "/{lang}/codes/220",
    "/{lang}/codes/455",
    "/{lang}/codes/550",
    "/{lang}/codes/431",
    "/{lang}/codes/4.7.1",
    "/{lang}/compare/220-vs-455",
    "/{lang}/compare/455-vs-555",
    "/{lang}/explain",
)
WIDTHS = (360, 768, 1280)
HOSTILE = "550 5.7.1 <img src=x onerror=alert(1)>\u202e \x1b[31m User unknown"


async def unfit(page: Page) -> list[str]:
    """What reaches beyond the window, unless it scrolls by itself."""
    found: list[str] = await page.evaluate(
        """() => document.documentElement.scrollWidth <= innerWidth ? []
           : [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)
             .map(e => e.tagName + ' ' + e.className + ' ' + e.textContent.slice(0, 40)).slice(0, 5)"""
    )
    return found


async def audit(page: Page) -> list[str]:
    """What axe-core finds serious."""
    await page.add_script_tag(path=peers.axe_script())
    result: dict[str, Any] = await page.evaluate("() => axe.run()")
    return [
        f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:120]}"
        for one in result["violations"]
        if one["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "ja"])
def test_every_page_fits_and_can_be_read(window: Window, lang: str, scheme: str) -> None:
    async def work(visiting: Visit) -> None:
        for path in PAGES:
            url = path.format(lang=lang)
            async with visiting.page(color_scheme=scheme, bypass_csp=True) as page:
                for width in WIDTHS:
                    await page.set_viewport_size({"width": width, "height": 800})
                    response = await page.goto(visiting.base + url)
                    assert response is not None
                    assert response.status == 200, url
                    assert await unfit(page) == [], (url, width)
                    if SHOTS:
                        name = f"{url.strip('/').replace('/', '_')}-{scheme}-{width}.png"
                        await page.screenshot(path=Path(SHOTS) / name, full_page=True)
                assert await page.get_attribute("html", "lang") == lang
                assert await audit(page) == [], url

    window.visit(work)


def test_a_reply_is_pasted_without_script_and_by_keyboard(window: Window) -> None:
    async def work(visiting: Visit) -> None:
        async with visiting.page(java_script_enabled=False) as page:
            await page.goto(visiting.base + "/ja/explain")
            await page.keyboard.press("Tab")
            assert "#" in str(await page.locator(":focus").get_attribute("href"))
            box = page.locator("main textarea")
            await box.fill("450 4.7.1 Greylisting in action, please come back later")
            await page.locator("main form button").first.click()
            await expect(page.locator("main")).to_contain_text("グレイリスティング")
            await expect(page.locator("main")).to_contain_text("450 4.7.1 Greylisting in action")

    window.visit(work)


def test_a_hostile_reply_gets_nothing_done(window: Window) -> None:
    async def work(visiting: Visit) -> None:
        async with visiting.page() as page:
            await page.goto(visiting.base + "/en/explain")
            await page.locator("main textarea").fill(HOSTILE)
            await page.locator("main form button").first.click()
            await expect(page.locator("main")).to_contain_text("<img src=x onerror=alert(1)>")
            assert await page.locator("main img").count() == 0
            text = await page.locator("main").inner_text()
            assert "\u202e" not in text
            assert "\x1b" not in text

    window.visit(work)


def test_from_one_language_to_the_other_and_from_a_code_to_a_pair(window: Window) -> None:
    async def work(visiting: Visit) -> None:
        async with visiting.page(locale="ja-JP") as page:
            await page.goto(visiting.base + "/codes/455")
            await page.wait_for_url("**/ja/codes/455")
            await page.locator("a[hreflang=en]").first.click()
            await page.wait_for_url("**/en/codes/455")
            await page.locator("main a[href*='455-vs-555']").first.click()
            await page.wait_for_url("**/en/compare/455-vs-555*")
            await expect(page.get_by_role("heading", level=1)).to_contain_text("455")

    window.visit(work)


def test_print_shows_the_text_without_the_navigation(window: Window) -> None:
    async def work(visiting: Visit) -> None:
        async with visiting.page() as page:
            await page.goto(visiting.base + "/en/codes/455")
            await page.emulate_media(media="print")
            assert not await page.locator("nav").first.is_visible()
            assert await page.locator("main h1").is_visible()
            if SHOTS:
                await page.pdf(path=Path(SHOTS) / "code-455.pdf")

    window.visit(work)


def test_the_first_load_is_small(window: Window) -> None:
    async def work(visiting: Visit) -> None:
        octets: list[int] = []
        async with visiting.page() as page:
            page.on("requestfinished", lambda request: sizes.append(request))
            sizes: list[Any] = []
            await page.goto(visiting.base + "/ja/compare/220-vs-455", wait_until="networkidle")
            for request in sizes:
                octets.append((await request.sizes())["responseBodySize"])
            assert all(request.url.startswith(visiting.base) for request in sizes)
        assert 0 < sum(octets) < 100_000

    window.visit(work)
