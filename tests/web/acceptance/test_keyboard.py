"""With the keyboard alone: every step to a retry, the focus always in sight, and no way that ends in a trap."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.server_process import until
from tests.web.acceptance.eyes import Eyes
from tests.web.acceptance.flow import OPERATOR, PASSWORD

#: The element that has the focus, and whether one can see that it has: an outline, a shadow, or another border.
_SEEN = """() => { const one = document.activeElement;
  // In a frame it is the mail's own document that has the focus, and no rule of ours can tell.
  if (!one || one === document.body || one.tagName === "IFRAME") return null;
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const inside = box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
  return { what: one.outerHTML.slice(0, 150), id: one.id, seen: (outlined || style.boxShadow !== "none") && inside }; }"""


async def _tab_to(page: Page, selector: str, most: int = 120) -> None:
    """Press Tab until it stands there; everything on the way shows that it has the focus."""
    for _ in range(most):
        await page.keyboard.press("Tab")
        stop = await page.evaluate(_SEEN)
        assert stop is None or stop["seen"], stop["what"]
        if stop and await page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"{selector} is not reached by Tab")


def test_from_the_sign_in_to_a_retry(eyes: Eyes) -> None:
    flow = eyes.flow
    id = flow.ids["bob@later.example"]
    before = flow.tries(id)

    async def work() -> None:
        async with eyes.page("") as page:
            await page.goto("/queue")
            await expect(page.locator("input[name=name]")).to_be_focused()
            await page.keyboard.type(OPERATOR)
            await page.keyboard.press("Tab")
            await page.keyboard.type(PASSWORD)
            await page.keyboard.press("Enter")
            await page.wait_for_url(f"{eyes.base}/queue")
            await page.keyboard.press("Tab")
            await expect(page.locator(".skip")).to_be_focused()
            assert (await page.evaluate(_SEEN))["seen"]
            await page.keyboard.press("Enter")
            await expect(page.locator("#content")).to_be_focused()
            await _tab_to(page, "#f-to")
            await page.keyboard.type("bob@later.example")
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/queue?to=bob*")
            await _tab_to(page, f"#queue-rows a[href='/message/{id}']")
            await page.keyboard.press("Enter")
            await page.wait_for_url(f"**/message/{id}")
            await _tab_to(page, "#message-acts button[value=retry]")
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/queue/actions")
            await expect(page.locator("h1.asked")).to_be_focused()
            await _tab_to(page, ".sure a")
            await page.keyboard.press("Enter")  # no: nothing happens
            await page.wait_for_url("**/queue?id=*")
            assert flow.tries(id) == before
            await page.goto(f"/message/{id}")
            await _tab_to(page, "#message-acts button[value=retry]")
            await page.keyboard.press("Enter")
            await page.wait_for_url("**/queue/actions")
            await _tab_to(page, ".sure .buttons button")
            await page.keyboard.press("Enter")
            await expect(page.locator("#result")).to_be_focused()
            assert await page.locator("#result").get_attribute("role") == "status"

    eyes.look(work)
    until(lambda: flow.tries(id) > before, "the retry is tried")


def test_no_page_is_a_trap(eyes: Eyes) -> None:
    """Tab leaves every page at its end; everything on the way can be seen to have the focus."""
    flow = eyes.flow
    pages = [
        "/",
        "/queue",
        "/destinations/later.example",
        f"/message/{flow.ids['kana@later.example']}",
        "/en/codes/455",
    ]
    pages += [f"/inbox/{flow.ids['html@ours.example']}/html", "/en/explain", "/settings", "/setup"]

    async def work() -> None:
        async with eyes.page() as page:
            for path in pages:
                await page.goto(path)
                await page.evaluate(
                    "document.querySelector('main').append(Object.assign(document.createElement('button'), {id: 'the-end'}))"
                )
                await _tab_to(page, "#the-end", most=400)

    eyes.look(work)
