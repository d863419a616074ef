"""The first page in a browser: it fits, its plots are drawn, and they follow new mail."""

from __future__ import annotations

import pytest

from tests.web.browser import Visit, Window


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize("width", [360, 768, 1280])
def test_the_page_fits_and_its_plots_are_drawn(window: Window, width: int, lang: str) -> None:
    async def work(visit: Visit) -> None:
        await visit.house.put(subject="a subject that is long enough to be cut off where there is no room for it")
        async with visit.page(viewport={"width": width, "height": 800}) as tab:
            await tab.goto(f"{visit.base}/?lang={lang}")
            await tab.locator(".plot.drawn canvas").first.wait_for()
            assert await tab.locator(".plot canvas").count() == await tab.locator(".plot").count() == 2
            assert await tab.evaluate("document.documentElement.scrollWidth <= innerWidth") is True

    window.visit(work)


def test_new_mail_is_drawn_without_a_reload(window: Window) -> None:
    async def work(visit: Visit) -> None:
        await visit.house.put()
        async with visit.page() as tab:
            await tab.goto(visit.base + "/?lang=en")
            accepted = tab.locator("#plot-accepted .legend .number").first
            assert await accepted.inner_text() == "1"
            await tab.locator("#plot-accepted summary").click()
            await tab.locator("#live-pause").wait_for()
            await visit.house.put(subject="the second")
            await tab.get_by_text("the second").wait_for()
            assert await accepted.inner_text() == "2"
            assert await tab.locator("#plot-accepted table").is_visible()
            assert await tab.locator("#plot-accepted canvas").count() == 1

    window.visit(work)
