"""Plots: one source for eye, pointer and screen reader, which is the table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Page
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from postroad.web.pages.house import House as Pages
from postroad.web.pages.plots import MAX_POINTS, Plot, Series
from tests.web.browser import Visit, Window
from tests.web.house import House

START = 1_800_000_000.0
PAGE = (
    '{% extends "base.html" %}{% from "plots.html" import figure with context %}{% block title %}x{% endblock %}'
    '{% block scripts %}{{ super() }}{% include "plots_scripts.html" %}{% endblock %}'
    "{% block content %}<h1>x</h1>{{ figure(lines) }}{{ figure(bars) }}{% endblock %}"
)


def plot(kind: str = "lines", values: tuple[int, ...] = (1, 2, 3_000, 0), name: str = "deferred") -> Plot:
    starts = [START + 900 * index for index in range(len(values))]
    series = [Series("delivered", "good", [one * 2 for one in values]), Series(name, "later", values)]
    return Plot(f"p-{kind}", "Mail <b>", "bars" if kind == "bars" else "lines", starts, 900, series, "per 15 minutes")


def rendered(language: str = "en", **options: str) -> str:
    environment = Pages(House().admin)._environments[language]
    template = environment.from_string('{% from "plots.html" import figure with context %}{{ figure(plot) }}')
    return template.render(plot=plot(**options))


def test_a_plot_with_too_many_points_or_too_few_is_none() -> None:
    many = [0] * (MAX_POINTS + 1)
    with pytest.raises(ValueError, match="longer step"):
        Plot("p", "t", "lines", many, 60, [Series("a", "good", many)])
    with pytest.raises(ValueError, match="one value"):
        Plot("p", "t", "lines", [0.0, 60.0], 60, [Series("a", "good", [1])])


def test_a_day_is_named_where_it_begins() -> None:
    starts = [START + 6 * 3600 * index for index in range(8)]
    days = [new for _, new, _ in Plot("p", "t", "lines", starts, 6 * 3600, []).rows()]
    assert days[0]
    assert sum(days) in (2, 3)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_table_has_every_number_and_the_picture_a_name(language: str) -> None:
    html = rendered(language)
    assert "<td>6,000</td><td>3,000</td>" in html
    assert "<td>6,006</td><td>3,003</td>" in html  # the totals
    assert 'role="img" aria-label="Mail &lt;b&gt;' in html
    assert '<th scope="col">delivered</th>' in html
    assert "style=" not in html


def test_a_name_in_a_plot_is_text() -> None:
    html = rendered(name="<img src=x onerror=alert(1)>")
    assert "<img" not in html


def _visit(window: Window, work: Callable[[Visit, Page], Awaitable[None]], **options: Any) -> None:
    async def page(request: Request) -> Response:
        pages = Pages(house.admin)
        environment = pages._environments[pages.language(request)]
        values = pages.frame(request) | {"lines": plot(), "bars": plot("bars")}
        return HTMLResponse(environment.from_string(PAGE).render(**values))

    house: House

    async def prepared(visit: Visit) -> None:
        nonlocal house
        house = visit.house
        house.app.router.routes.insert(0, Route("/plots", page))
        async with visit.page(**options) as tab:
            await tab.goto(visit.base + "/plots")
            await work(visit, tab)

    window.visit(prepared)


PIXELS = """(id) => {
  const canvas = document.querySelector(`#${id} canvas`);
  const seen = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let sum = 0;
  for (let at = 0; at < seen.length; at += 4) if (seen[at + 3]) sum = (sum * 31 + seen[at] + seen[at + 1] * 256) % 1000003;
  return sum;
}"""
CHANGED = f"([id, old]) => ![0, old].includes(({PIXELS})(id))"


def test_plots_are_drawn_and_drawn_anew_for_another_theme_and_other_numbers(window: Window) -> None:
    async def look(visit: Visit, tab: Page) -> None:
        before = {name: await tab.evaluate(PIXELS, name) for name in ("p-lines", "p-bars")}
        assert all(before.values())
        await tab.emulate_media(color_scheme="dark")
        for name, bright in before.items():
            await tab.wait_for_function(CHANGED, arg=[name, bright])
        dark = {name: await tab.evaluate(PIXELS, name) for name in before}
        await tab.evaluate(
            """() => {
              document.querySelector("#p-lines tbody tr:last-child td").textContent = "9,999";
              document.dispatchEvent(new CustomEvent("postroad:updated"));
            }"""
        )
        await tab.wait_for_function(CHANGED, arg=["p-lines", dark["p-lines"]])
        assert await tab.evaluate(PIXELS, "p-bars") == dark["p-bars"]

    _visit(window, look, color_scheme="light")


def test_the_pointer_reads_a_bucket(window: Window) -> None:
    async def look(visit: Visit, tab: Page) -> None:
        legend = tab.locator("#p-lines .legend .number")
        assert await legend.all_inner_texts() == ["6,006", "3,003"]
        box = await tab.locator("#p-lines .u-over").bounding_box()
        await tab.mouse.move(box["x"] + box["width"] * 0.62, box["y"] + 20)
        assert await legend.all_inner_texts() == ["6,000", "3,000"]
        assert "–" in await tab.locator("#p-lines .reading").inner_text()
        await tab.mouse.move(1, 1)
        assert await legend.all_inner_texts() == ["6,006", "3,003"]
        assert await tab.locator("#p-lines .reading").inner_text() == "per 15 minutes"

    _visit(window, look)


@pytest.mark.parametrize("scripts", [True, False])
def test_the_numbers_are_there_on_a_narrow_screen_without_scripts_too(window: Window, scripts: bool) -> None:
    async def look(visit: Visit, tab: Page) -> None:
        await tab.locator("#p-lines summary").click()
        assert await tab.locator("#p-lines table").is_visible()
        assert await tab.locator("#p-lines .canvas").is_visible() is scripts
        assert await tab.locator("html").evaluate("one => one.scrollWidth <= one.clientWidth") is True

    _visit(window, look, viewport={"width": 360, "height": 700}, java_script_enabled=scripts)
