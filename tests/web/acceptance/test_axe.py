"""What axe-core finds, on every page in both languages and both themes; and what a machine cannot see of it."""

from __future__ import annotations

import pytest

from tests.web.acceptance.eyes import LANGUAGES, Eyes
from tests.web.acceptance.pages import Tour

#: The plots of the first page and what the API calls their series.
SERIES = {
    "plot-deliveries": ("delivered", "deferred", "failed"),
    "plot-heard": ("heard_2", "heard_4", "heard_5"),
    "plot-said": ("said_2", "said_4", "said_5"),
}
_TABLES = """all => all.map((figure) => { const table = figure.querySelector("table");
  const number = (cell) => Number(cell.textContent.replaceAll(",", ""));
  const rows = [...table.tBodies[0].rows].map((row) => [...row.querySelectorAll("td")].map(number));
  return { id: figure.id, step: Number(table.dataset.step), rows: rows.length, totals: [...table.tFoot.querySelectorAll("td")].map(number),
    columns: rows.reduce((sums, row) => sums.map((sum, at) => sum + row[at]), rows[0].map(() => 0)),
    role: figure.querySelector(".canvas").getAttribute("role"), label: figure.querySelector(".canvas").getAttribute("aria-label") }; })"""


def test_nothing_grave_in_the_light(tour: Tour) -> None:
    assert tour.faults(lambda one: one.grave.get("light", [])) == ""


def test_nothing_grave_in_the_dark(tour: Tour) -> None:
    assert tour.faults(lambda one: one.grave.get("dark", [])) == ""


def test_what_renews_itself_says_so(tour: Tour) -> None:
    live = {path: one for (path, _), one in tour.notes.items() if one.facts["live"]}
    assert {"/", "/queue", "/destinations", "/inbox", "/sessions", "/conditions"} <= set(live)
    assert [path for path, one in live.items() if not one.facts["statuses"]] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_plot_says_its_numbers(eyes: Eyes, language: str) -> None:
    """The table behind a plot has the very numbers that the API tells."""

    async def work() -> None:
        async with eyes.page(language=language) as page:
            await page.goto("/")
            told = await page.locator("figure.plot").evaluate_all(_TABLES)
            assert {one["id"] for one in told} == set(SERIES)
            for one in told:
                assert one["role"] == "img"
                assert one["label"]
                seconds = one["step"] * one["rows"]
                answer = await page.request.get(f"/api/v1/traffic?seconds={seconds}&step={one['step']}")
                values = (await answer.json())["values"]
                assert one["totals"] == [sum(values[name]) for name in SERIES[one["id"]]], one["id"]
                assert one["columns"] == [sum(values[name]) for name in SERIES[one["id"]]], one["id"]

    eyes.look(work)
