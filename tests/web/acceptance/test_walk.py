"""From the first page to the explained reply of mail that a real server deferred, in three clicks; and without scripts."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.server_process import until
from tests.web.acceptance.eyes import LANGUAGES, Eyes, sign_in

MEANT = {"en": "Greylisted", "ja": "グレイリスティング"}


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no-scripts"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_three_clicks_to_the_reason(eyes: Eyes, language: str, scripts: bool) -> None:
    id = eyes.flow.ids["kana@later.example"]

    async def work() -> None:
        async with eyes.page(language=language, java_script_enabled=scripts) as page:
            await page.goto("/")
            await page.locator("table.waiting").get_by_role("link", name="later.example").click()
            await page.wait_for_url("**/destinations/later.example")
            await expect(page.locator("#destination-messages")).to_contain_text("kana@later.example")
            await page.locator(f"#destination-messages a[href='/message/{id}']").click()
            await page.wait_for_url(f"**/message/{id}")
            reply = page.locator(".timeline .talk li.S.later").first
            await expect(reply).to_contain_text(
                "450 4.2.0 <kana@later.example>: Recipient address rejected: Greylisted"
            )
            await expect(reply).to_contain_text(MEANT[language])
            await expect(reply.locator(".meaning")).to_be_visible()
            await reply.locator(".meaning a[href$='/codes/450']").click()
            await page.wait_for_url(f"**/{language}/codes/450")
            await expect(page.locator("h1")).to_contain_text("450")
            assert await page.locator("html").get_attribute("lang") == language

    eyes.look(work)


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_scripts_everything_but_the_news(eyes: Eyes, language: str) -> None:
    flow = eyes.flow
    id = flow.ids["unable@words.example"]
    before = flow.tries(id)

    async def work() -> None:
        async with eyes.page("", language, java_script_enabled=False) as page:
            await sign_in(page, "operator", "/queue")
            await page.wait_for_url(f"{eyes.base}/queue")
            assert await page.locator("#live").is_hidden()
            await page.locator("#f-code").fill("455")
            await page.locator("form.filter button").first.click()
            await page.locator(f"#queue-rows a[href='/message/{id}']").click()
            await page.locator("#message-acts button[value=retry]").click()
            await page.locator(".sure .buttons button").click()
            await expect(page.locator("#result")).to_be_visible()
            await _explains(page, language)
            await page.goto(f"/{language}/compare")
            await page.goto(f"/{language}/compare/450-vs-451")
            await expect(page.locator("main table").first).to_be_visible()
            await page.goto("/")
            figure = page.locator("main figure, main .plot").first
            await expect(figure.locator("table, details").first).to_be_visible()
            await page.locator("form.person button").click()
            await page.wait_for_url("**/sign-in*")

    eyes.look(work)
    until(lambda: flow.tries(id) > before, "the retry is tried")


async def _explains(page: Page, language: str) -> None:
    await page.goto(f"/{language}/explain")
    await page.locator("main textarea").first.fill(
        "450 4.2.0 <kana@later.example>: Recipient address rejected: Greylisted"
    )
    await page.locator("main form button").first.click()
    await expect(page.locator("main")).to_contain_text(MEANT[language])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("what", ["message", "code"])
def test_on_paper(eyes: Eyes, language: str, what: str) -> None:
    """Without the ways around, with the addresses of links, and nothing folded."""
    path = f"/message/{eyes.flow.ids['kana@later.example']}" if what == "message" else f"/{language}/codes/450"

    async def work() -> None:
        async with eyes.page(language=language) as page:
            await page.goto(path)
            await page.emulate_media(media="print")
            for away in (".menu", ".tongues", ".skip", "#live", "form.acts"):
                for one in await page.locator(away).all():
                    assert not await one.is_visible(), away
            folded = "all => all.filter(one => !one.checkVisibility({contentVisibilityAuto: true})).map(one => one.textContent.trim().slice(0, 80))"
            inside = (
                "details > :not(summary)"
                if what == "code"
                else ".timeline details > :not(summary), .stands details > :not(summary)"
            )
            assert await page.locator(f"main :is({inside})").evaluate_all(folded) == []
            shown = """all => all.filter(one => one.checkVisibility() && !getComputedStyle(one, "::after").content.includes(one.getAttribute("href"))
              && !getComputedStyle(one, "::after").content.includes("attr")).map(one => one.outerHTML.slice(0, 120))"""
            outer = page.locator("main a[href^='http']" if what == "code" else "main .timeline a[href]")
            assert await outer.evaluate_all(shown) == []
            assert len(await page.pdf()) > 5_000

    eyes.look(work)
