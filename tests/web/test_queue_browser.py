"""The queue's page in a browser: by keyboard alone, without scripts, on a narrow window, and live."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page, expect

from postroad.net.listener import listen
from postroad.web.serving import WebServer
from tests import peers
from tests.web.browser import Visit, Window
from tests.web.queue_house import GREYLISTED, HOUR, QueueHouse
from tests.web.queue_pages import Desk

Work = Callable[[QueueHouse, Visit], Awaitable[None]]


def visit(window: Window, work: Work, **options: Any) -> None:
    """Run ``work`` before a queue of its own."""

    async def inside() -> None:
        house = QueueHouse(**options)
        server = WebServer(house.app, listen("127.0.0.1", 0))
        await server.start()
        assert isinstance(server.address, tuple)
        visiting = Visit(house, window.browser, f"http://127.0.0.1:{server.address[1]}")  # type: ignore[arg-type]
        try:
            await work(house, visiting)
        finally:
            await server.close()
        assert visiting.complaints == []

    window.runner.run(inside())


async def _filled(house: QueueHouse) -> None:
    for number in range(3):
        await house.tried(await house.put(f"u{number}@example.net", ago=HOUR), GREYLISTED)
    await house.put("other@example.org")


async def _tab_to(page: Page, selector: str) -> None:
    """Press Tab until it has the focus, and see that it shows."""
    for _ in range(80):
        await page.keyboard.press("Tab")
        if await page.evaluate("s => document.activeElement.matches(s)", selector):
            break
    else:
        raise AssertionError(f"no Tab leads to {selector}")
    shown = "getComputedStyle(document.activeElement).outlineStyle"
    assert await page.evaluate(shown) != "none"
    covered = """() => {
      const one = document.activeElement, box = one.getBoundingClientRect();
      const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
      return !(top && (one.contains(top) || top.contains(one)));
    }"""
    assert not await page.evaluate(covered), f"{selector} has the focus behind something"


async def _focused(page: Page) -> str:
    return str(await page.evaluate("document.activeElement.id || document.activeElement.tagName"))


def test_with_the_keyboard_alone(window: Window) -> None:
    async def work(house: QueueHouse, visiting: Visit) -> None:
        await _filled(house)
        async with visiting.page() as page:
            await page.goto(f"{visiting.base}/queue?lang=en")
            await page.keyboard.press("Tab")
            await page.keyboard.press("Enter")  # the skip link
            await _tab_to(page, "#f-destination")
            await page.keyboard.type("example.net")
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/queue?destination=example.net")
            await _tab_to(page, "#queue-rows input[type=checkbox]")
            await page.keyboard.press("Space")
            await _tab_to(page, "#act select")
            await _tab_to(page, "#act button")
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/queue/actions")
            await expect(page.locator("h1")).to_have_text("Try 1 recipient now?")
            assert await _focused(page) == "H1"
            await _tab_to(page, ".sure button")
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/queue?destination=example.net&done=retry&changed=1")
            await expect(page.locator("#result")).to_have_text("1 recipient is tried now.")
            assert await _focused(page) == "result"
        assert await Desk(house, None).due() == {"u0@example.net"}  # type: ignore[arg-type]

    visit(window, work)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_without_scripts(window: Window, language: str) -> None:
    async def work(house: QueueHouse, visiting: Visit) -> None:
        await _filled(house)
        async with visiting.page(java_script_enabled=False) as page:
            await page.goto(f"{visiting.base}/queue?lang={language}&to=example.net")
            await page.locator("#queue-rows input[type=checkbox]").nth(1).check()
            await page.locator("#action").select_option("hold")
            await page.locator("#act button").click()
            await page.locator("#note").fill("not today")
            await page.locator(".sure button").click()
            await expect(page.locator("#result")).to_be_visible()
            assert await page.locator("[data-copy]").is_hidden()
            await expect(page.locator("#command")).to_have_text("postroad queue list --to example.net")
        states = await Desk(house, None).states()  # type: ignore[arg-type]
        assert [name for name, state in states.items() if state == "held"] == ["u1@example.net"]

    visit(window, work)


@pytest.mark.parametrize("language", ["en", "ja"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(window: Window, width: int, language: str) -> None:
    async def work(house: QueueHouse, visiting: Visit) -> None:
        await _filled(house)
        long = f"{'a' * 60}@{'b' * 60}.{'c' * 60}.example"
        await house.tried(await house.put(long, sender=long), GREYLISTED)
        async with visiting.page(viewport={"width": width, "height": 800}) as page:
            paths = (
                "/queue?",
                "/queue?code=x&older=y&state=z&",
                "/queue?by=destination&",
                "/queue?by=reply&",
                "/queue/shape?",
            )
            for path in paths:
                await page.goto(f"{visiting.base}{path}lang={language}")
                wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                assert await page.evaluate(wide) <= 0, path
                small = """() => [...document.querySelectorAll('main button, main input:not([type=hidden]), main select')]
                  .filter(one => one.checkVisibility()).map(one => one.closest('label') || one)
                  .filter(one => one.getBoundingClientRect().height < 24).map(one => one.outerHTML)"""
                assert await page.evaluate(small) == [], path

    visit(window, work)


def test_the_copy_button_copies_the_command(window: Window) -> None:
    async def work(house: QueueHouse, visiting: Visit) -> None:
        async with visiting.page(permissions=["clipboard-read", "clipboard-write"]) as page:
            await page.goto(f"{visiting.base}/queue?lang=en&code=4.7.*")
            await page.locator("[data-copy]").click()
            await expect(page.locator(".command [role=status]")).to_have_text("Copied")
            copied = await page.evaluate("navigator.clipboard.readText()")
            assert copied == "postroad queue list --code '4.7.*'"

    visit(window, work)


def test_what_is_ticked_stays_so_when_mail_comes(window: Window) -> None:
    async def work(house: QueueHouse, visiting: Visit) -> None:
        await _filled(house)
        async with visiting.page() as page:
            await page.goto(f"{visiting.base}/queue?lang=en")
            await expect(page.locator("#live-state")).not_to_be_empty()
            second = page.locator("#queue-rows input[type=checkbox]").nth(1)
            await second.check()
            await house.put("late@example.org")
            await expect(page.get_by_text("late@example.org")).to_be_visible()
            await expect(page.locator("#queue-count")).to_contain_text("5 of 5")
            assert await page.locator("#queue-rows input:checked").count() == 1
            assert await second.is_checked()
            assert await page.locator("[name=shown]").count() == 5
            await page.locator("[name=scope][value=page]").check()
            await page.locator("#act button").click()
            await expect(page.locator("h1")).to_have_text("Try 5 recipients now?")

    visit(window, work)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(window: Window, scheme: str) -> None:
    async def work(house: QueueHouse, visiting: Visit) -> None:
        await _filled(house)
        await house.put("held@example.org", hold="no route")
        async with visiting.page(color_scheme=scheme, bypass_csp=True) as page:
            for path in (
                "/queue?done=retry&changed=2",
                "/queue?code=x",
                "/queue?by=destination",
                "/queue?by=reply",
                "/queue/shape",
            ):
                await page.goto(f"{visiting.base}{path}")
                assert await _complaints(page) == [], path
            await page.goto(f"{visiting.base}/queue")
            await page.locator("[name=scope][value=filter]").check()
            await page.locator("#action").select_option("drop")
            await page.locator("#act button").click()
            assert await _complaints(page) == []

    visit(window, work)


async def _complaints(page: Page) -> list[str]:
    await page.add_script_tag(path=peers.axe_script())
    result: dict[str, Any] = await page.evaluate("() => axe.run()")
    grave = (one for one in result["violations"] if one["impact"] in ("serious", "critical"))
    return [f"{one['id']}: {node['html'][:200]}" for one in grave for node in one["nodes"]]
