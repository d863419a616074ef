"""The other language is one click away and changes nothing else."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.async_api import expect

from tests.web.acceptance.eyes import LANGUAGES, Eyes
from tests.web.acceptance.pages import Tour

OTHER = {"en": "ja", "ja": "en"}


@pytest.mark.parametrize(
    "path", ["/queue?to=later.example&code=4.2.*", "/queue?by=reply&state=queued", "MESSAGE", "/{}/codes/455"]
)
@pytest.mark.parametrize("language", LANGUAGES)
def test_the_switch_keeps_page_and_filter(eyes: Eyes, language: str, path: str) -> None:
    path = path.replace("MESSAGE", f"/message/{eyes.flow.ids['kana@later.example']}").format(language)
    other = OTHER[language]

    async def work() -> None:
        async with eyes.context(language=language) as context:
            page = await context.new_page()
            await page.goto(path)
            assert await page.locator("html").get_attribute("lang") == language
            await page.locator(f".tongues a[hreflang={other}]").click()
            await expect(page.locator("html")).to_have_attribute("lang", other)
            was, now = urlsplit(path), urlsplit(page.url)
            assert now.path == was.path.replace(f"/{language}/", f"/{other}/")
            asked = parse_qs(now.query)
            asked.pop("lang", None)
            assert asked == parse_qs(was.query)
            if "to=" in path:
                await expect(page.locator("#f-to")).to_have_value("later.example")
                await expect(page.locator("#f-code")).to_have_value("4.2.*")
            await page.goto("/queue")  # the cookie remembers
            await expect(page.locator("html")).to_have_attribute("lang", other)
            kept = {one["name"]: one for one in await context.cookies()}
            assert kept["lang"]["value"] == other
            assert kept["lang"]["sameSite"] == "Lax"

    eyes.look(work)


def test_each_language_names_the_other(tour: Tour) -> None:
    """hreflang goes both ways, and each page names itself."""
    faults = []
    for (path, language), notes in tour.notes.items():
        if path.startswith(f"/{language}/"):
            other = OTHER[language]
            twin = tour.notes[path.replace(f"/{language}/", f"/{other}/", 1), other]
            here, there = notes.facts["alternates"], twin.facts["alternates"]
            if here != there or not {*LANGUAGES, "x-default"} <= set(here) or not here[language].endswith(path):
                faults.append((path, here, there))
        elif notes.status == 200 and not set(LANGUAGES) <= set(notes.facts["alternates"]):
            faults.append((path, notes.facts["alternates"], {}))
    assert faults == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_codes_have_one_comparison(eyes: Eyes, language: str) -> None:
    async def work() -> None:
        async with eyes.page(language=language) as page:
            await page.goto(f"/{language}/compare/455-vs-220")
            assert urlsplit(page.url).path == f"/{language}/compare/220-vs-455"
            await page.goto("/compare/455-vs-220")
            assert urlsplit(page.url).path == f"/{language}/compare/220-vs-455"
            words = page.locator("code[lang=en][translate=no]")
            assert await words.count() > 0

    eyes.look(work)


def test_what_peers_said_stays_to_the_letter(eyes: Eyes) -> None:
    async def work() -> None:
        async with eyes.page(language="ja") as page:
            await page.goto(f"/message/{eyes.flow.ids['bob@later.example']}")
            said = page.locator("code[lang=en][translate=no]", has_text="Too much mail from you at once, slow down")
            assert await said.count() >= 2
            loose = """() => [...document.querySelectorAll("main *")].filter(one => [...one.childNodes].some(node =>
              node.nodeType === 3 && node.data.includes("Too much mail")) && !one.closest("code[lang=en][translate=no]")).map(one => one.outerHTML)"""
            assert await page.evaluate(loose) == []

    eyes.look(work)
