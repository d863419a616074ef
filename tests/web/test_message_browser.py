"""The page of one message in a real browser: by keyboard, in both languages, on paper, on a telephone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Page

from postroad.envelope import MessageId, Outcome
from postroad.net.listener import listen
from postroad.replies import Reply
from postroad.web.serving import WebServer
from postroad.web.texts import LANGUAGES, Texts
from tests.web.browser import Visit, Window
from tests.web.queue_house import UNKNOWN, QueueHouse
from tests.web.test_message import SCRIPT, TALK

NASTY = Reply(450, f"{SCRIPT} \u202eevil " + "A" * 5_000, "4.2.0")


@asynccontextmanager
async def queue_of(visit: Visit, house: QueueHouse | None = None) -> AsyncIterator[tuple[str, str]]:
    """Where a message is that was put off five times, and one that met with a hostile host."""
    house = house or QueueHouse(dev=False)
    waiting = await house.put("kana@example.net", ago=5 * 3_600.0)
    for _ in range(5):
        await house.tried(waiting, transcript=TALK)
        house.clock.now += 1_800
    nasty = await house.put(f"{'x' * 200}@{'y' * 60}.example", f'"{SCRIPT}"@example.net', sender=SCRIPT)
    await house.tried(nasty, NASTY, host=f"\u202e{SCRIPT}", transcript=f"{TALK}\nC: {SCRIPT}\nS: {NASTY}")
    server = WebServer(house.app, listen("127.0.0.1", 0))
    await server.start()
    assert isinstance(server.address, tuple)
    base = f"http://127.0.0.1:{server.address[1]}/message/"
    try:
        yield base + waiting, base + nasty
    finally:
        await server.close()


async def wide(page: Page) -> int:
    """How far the page is wider than its window."""
    return int(await page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_reply_is_explained_in_place_by_keyboard(window: Window, lang: str) -> None:
    async def work(visit: Visit) -> None:
        async with queue_of(visit) as (address, _), visit.page(java_script_enabled=False) as page:
            await page.goto(f"{address}?lang={lang}")
            refused = page.locator("#try-5 .talk .later")
            assert await refused.locator(".meaning").is_visible()
            assert Texts(lang)("message.mean.what", code=451) in await refused.inner_text()
            greeting = page.locator("#try-5 .talk details").first
            assert not await greeting.locator(".meaning").is_visible()
            await greeting.locator("summary").focus()
            await page.keyboard.press("Enter")
            assert await greeting.locator(".meaning").is_visible()
            same = page.locator("#same-5")
            await same.locator("summary").first.focus()
            await page.keyboard.press("Enter")
            await same.locator("#try-2 a").click()
            assert page.url.endswith("?try=2#try-2")
            assert await page.locator("#try-2 .talk").is_visible()

    window.visit(work)


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("lang", LANGUAGES)
def test_nothing_is_wider_than_the_window(window: Window, lang: str, width: int) -> None:
    async def work(visit: Visit) -> None:
        size = {"width": width, "height": 800}
        async with queue_of(visit) as addresses, visit.page(viewport=size) as page:
            for address in addresses:
                await page.goto(f"{address}?lang={lang}")
                assert await wide(page) <= 0
                assert await page.locator("main img").count() == 0

    window.visit(work)


def test_the_meaning_stands_beside_the_line_where_there_is_room(window: Window) -> None:
    async def work(visit: Visit) -> None:
        for width, beside in ((768, True), (360, False)):
            size = {"width": width, "height": 800}
            async with queue_of(visit) as (address, _), visit.page(viewport=size) as page:
                await page.goto(address)
                line = page.locator("#try-5 .talk summary").first
                said = await line.locator("code").bounding_box()
                meant = await line.locator(".meant").bounding_box()
                assert said is not None
                assert meant is not None
                assert (meant["x"] >= said["x"] + said["width"]) is beside

    window.visit(work)


def test_everything_is_open_on_paper(window: Window) -> None:
    async def work(visit: Visit) -> None:
        async with queue_of(visit) as (address, _), visit.page(java_script_enabled=False) as page:
            await page.goto(f"{address}?lang=en")
            assert not await page.locator("#try-1 .tried").is_visible()
            await page.emulate_media(media="print")
            assert await page.locator("#try-1 .tried").is_visible()
            meanings = page.locator("#try-5 .meaning")
            assert [await one.is_visible() for one in await meanings.all()] == [True] * await meanings.count()
            assert not await page.locator(".menu").is_visible()
            assert not await page.locator(".acts").is_visible()
            printed = await page.locator("#try-5 .later .ways a").first.evaluate(
                "a => getComputedStyle(a, '::after').content"
            )
            assert "/en/codes/451" in str(printed)

    window.visit(work)


def test_what_happens_appears_and_what_was_opened_stays_open(window: Window) -> None:
    async def work(visit: Visit) -> None:
        house = QueueHouse(dev=False)
        async with queue_of(visit, house) as (address, _), visit.page() as page:
            await page.goto(f"{address}?lang=en")
            greeting = page.locator("#try-5 .talk details").first
            await greeting.locator("summary").click()
            message_id = MessageId(address.rpartition("/")[2])
            await house.tried(message_id, UNKNOWN, Outcome.FAILED, transcript=TALK)
            await page.locator("#try-6").wait_for()
            await page.get_by_role("heading", level=1).filter(has_text="Failed").wait_for()
            assert await greeting.locator(".meaning").is_visible()

    window.visit(work)


def test_targets_are_large_enough(window: Window) -> None:
    async def work(visit: Visit) -> None:
        async with queue_of(visit) as (address, _), visit.page() as page:
            await page.goto(address)
            for one in await page.locator(".message summary, .message button, .message .ways a").all():
                if await one.is_visible():
                    box = await one.bounding_box()
                    assert box is not None
                    assert box["height"] >= 23.5, await one.inner_text()

    window.visit(work)
