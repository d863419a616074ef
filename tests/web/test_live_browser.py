"""Live pages in a real browser: what is new appears by itself, and nothing that somebody does is taken away by it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from playwright.async_api import Page, expect
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from postroad.inbox.inbox import Filter
from postroad.net.listener import listen
from postroad.web.app import create_app
from postroad.web.pages.house import House as Pages
from postroad.web.serving import WebServer
from tests.web.browser import Visit, Window
from tests.web.house import House

BOARD = """\
{% extends "base.html" %}
{% block title %}Board {{ rows|length }}{% endblock %}
{% block content %}
<div class="head"><h1>Board</h1>{% include "live.html" %}</div>
<input id="outside" aria-label="outside">
<form id="board">
{% if rows %}<p id="count" data-live="accepted" data-news="{{ rows|length }} messages">{{ rows|length }}</p>{% endif %}
<ul id="rows" data-live="accepted">
{% for row in rows %}
<li id="row-{{ row }}"><input type="checkbox" name="pick" value="{{ row }}" aria-label="{{ row }}">
<a href="/board?row={{ row }}">{{ row }}</a>
<details><summary>more</summary>details</details></li>
{% endfor %}
</ul>
<div id="form" data-live="accepted conditions"><p>{{ rows|length }}</p><label>note <input id="note" name="note" value="{{ rows|length }}"></label>
<textarea id="text" aria-label="text">{{ rows|length }}</textarea>
<select id="choice" aria-label="choice"><option value="a" selected>a</option><option value="b">b</option></select>
<input type="hidden" id="secret" name="token" value="{{ rows|length }}"></div>
<div id="plot" data-live="accepted"><p>{{ rows|length }}</p><div id="kept" data-keep></div></div>
<p id="still" data-live="queue">{{ rows|length }}</p>
</form>
{% endblock %}
"""


class Board:
    """A page with live regions over a house, that can be stopped and started again."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.pages = Pages(house.admin)
        self.fetched = 0
        self.answer: Response | None = None
        self.server: WebServer | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/board"

    async def page(self, request: Request) -> Response:
        self.fetched += 1
        if self.answer is not None:
            return self.answer
        request.state.seen = self.house.admin.events.last
        page = await self.house.admin.inbox_list(Filter())
        rows = [item.message.id for item in page.items]
        template = self.pages._environments["en"].from_string(BOARD)
        return HTMLResponse(template.render(**self.pages.frame(request), rows=rows))

    async def start(self) -> None:
        app = create_app(self.house.admin)
        app.router.routes.insert(0, Route("/board", self.page))
        self.server = WebServer(app, listen("127.0.0.1", self.port))
        await self.server.start()
        assert isinstance(self.server.address, tuple)
        self.port = self.server.address[1]

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.close()
        self.server = None

    @asynccontextmanager
    async def open(self, visit: Visit, **options: Any) -> AsyncIterator[Page]:
        """The page, connected."""
        async with visit.page(**options) as page:
            await page.goto(self.url)
            await expect(page.locator("#live-state")).to_have_text("Live")
            await self.followed(page)
            yield page

    async def followed(self, page: Page, streams: int = 1) -> None:
        async with asyncio.timeout(20):
            while self.house.admin.events.followers != streams:
                await asyncio.sleep(0.01)

    async def quiet(self, page: Page) -> None:
        """Until nothing is fetched any more."""
        before = -1
        while before != self.fetched:
            before = self.fetched
            await asyncio.sleep(1.6)


def watch(window: Window, work: Callable[[Visit, Board], Awaitable[None]]) -> None:
    async def inside(visit: Visit) -> None:
        board = Board(visit.house)
        await board.start()
        try:
            await work(visit, board)
        finally:
            await board.stop()

    window.visit(inside)


def test_a_row_appears_without_a_reload(window: Window) -> None:
    async def work(visit: Visit, board: Board) -> None:
        await visit.house.put()
        async with board.open(visit) as page:
            await page.evaluate("window.mine = true")
            second = await visit.house.put()
            await expect(page.locator("#rows li").first).to_have_id(f"row-{second}")
            await expect(page.locator("#rows li")).to_have_count(2)
            await expect(page.locator("#count")).to_have_text("2")
            await expect(page.locator("#live-news")).to_have_text("2 messages")
            await expect(page).to_have_title("Board 2 · Postroad")
            await expect(page.locator("#still")).to_have_text("1")  # nothing happened to the queue
            assert await page.evaluate("window.mine")

    watch(window, work)


def test_the_first_row_brings_regions_that_were_not_there(window: Window) -> None:
    async def work(visit: Visit, board: Board) -> None:
        async with board.open(visit) as page:
            await page.locator("#outside").fill("typed before")
            await visit.house.put()
            await expect(page.locator("#count")).to_have_text("1")
            await expect(page.locator("#outside")).to_have_value("typed before")
            await visit.house.put()
            await expect(page.locator("#count")).to_have_text("2")

    watch(window, work)


def test_what_somebody_does_stays(window: Window) -> None:
    async def work(visit: Visit, board: Board) -> None:
        for _ in range(30):
            await visit.house.put()
        async with board.open(visit, viewport={"width": 800, "height": 500}) as page:
            row = page.locator("#rows li").nth(4)
            name = await row.get_attribute("id")
            await row.locator("input").check()
            await row.locator("summary").click()
            await page.locator("#note").fill("half a sent")
            await page.locator("#text").fill("more words")
            await page.locator("#choice").select_option("b")
            await page.evaluate("document.getElementById('kept').append(document.createElement('canvas'))")
            await row.locator("a").focus()
            await page.evaluate("scrollTo(0, 200)")
            top = (await row.bounding_box() or {})["y"]
            await visit.house.put()
            await expect(page.locator("#rows li")).to_have_count(31)
            moved = page.locator(f"#{name}")
            await expect(moved.locator("input")).to_be_checked()
            await expect(page.locator("#rows input:checked")).to_have_count(1)
            await expect(moved.locator("details")).to_have_attribute("open", "")
            await expect(page.locator("#rows details[open]")).to_have_count(1)
            await expect(moved.locator("a")).to_be_focused()
            assert await page.evaluate("document.activeElement.id") == ""
            await expect(page.locator("#note")).to_have_value("half a sent")
            await expect(page.locator("#text")).to_have_value("more words")
            await expect(page.locator("#choice")).to_have_value("b")
            await expect(page.locator("#secret")).to_have_value("31")  # nobody's but ours
            await expect(page.locator("#kept canvas")).to_have_count(1)
            assert abs((await moved.bounding_box() or {})["y"] - top) < 2

    watch(window, work)


def test_what_is_being_typed_goes_on(window: Window) -> None:
    async def work(visit: Visit, board: Board) -> None:
        async with board.open(visit) as page:
            await page.locator("#note").focus()
            await page.keyboard.type("ab")
            await visit.house.put()
            await expect(page.locator("#secret")).to_have_value("1")
            await page.keyboard.type("cd")
            await expect(page.locator("#note")).to_have_value("abcd0")
            await expect(page.locator("#note")).to_be_focused()

    watch(window, work)


def test_a_lost_connection_is_said_and_found_again(window: Window) -> None:
    async def work(visit: Visit, board: Board) -> None:
        async with board.open(visit) as page:
            await visit.house.put()
            await expect(page.locator("#rows li")).to_have_count(1)
            await board.stop()
            await expect(page.locator("#live-news")).to_have_text("Connection lost; trying again")
            missed = await visit.house.put()
            await board.start()
            await expect(page.locator("#rows li")).to_have_count(2)
            await expect(page.locator(f"#row-{missed}")).to_have_count(1)
            await expect(page.locator("#live-state")).to_have_text("Live")
            await expect(page.locator("#live-news")).not_to_contain_text("lost")
            await board.followed(page)
            await visit.house.put()
            await expect(page.locator("#rows li")).to_have_count(3)

    watch(window, work)


def test_paused_it_stays_as_it_is_even_on_the_next_page(window: Window) -> None:
    async def work(visit: Visit, board: Board) -> None:
        async with board.open(visit) as page:
            pause = page.get_by_role("button", name="Pause")
            await expect(pause).to_have_attribute("aria-pressed", "false")
            await pause.click()
            await expect(pause).to_have_attribute("aria-pressed", "true")
            await expect(page.locator("#live-state")).to_have_text("Paused")
            await board.followed(page, 0)
            fetched = board.fetched
            await visit.house.put()
            await page.reload()
            await expect(page.locator("#live-state")).to_have_text("Paused")
            await expect(page.locator("#rows li")).to_have_count(1)
            await visit.house.put()
            await asyncio.sleep(1)
            assert board.fetched == fetched + 1
            assert visit.house.admin.events.followers == 0
            await page.get_by_role("button", name="Pause").click()
            await expect(page.locator("#rows li")).to_have_count(2)
            await board.followed(page)

    watch(window, work)


def test_a_flood_makes_few_fetches(window: Window) -> None:
    async def work(visit: Visit, board: Board) -> None:
        async with board.open(visit) as page:
            fetched = board.fetched
            for _ in range(45):
                await visit.house.put()
            await expect(page.locator("#count")).to_have_text("45")
            await board.quiet(page)
            assert board.fetched <= fetched + 4

    watch(window, work)


def test_who_is_signed_out_is_told(window: Window) -> None:
    async def work(visit: Visit, board: Board) -> None:
        for answer, said in (
            (RedirectResponse("/sign-in", 303), "You are signed out; open the page again"),
            (Response("", 401), "You are signed out; open the page again"),
            (Response("", 404), "This is not here any more"),
        ):
            board.answer = None
            async with board.open(visit) as page:
                await page.locator("#note").fill("still mine")
                board.answer = answer
                await visit.house.put()
                await expect(page.locator("#live-news")).to_have_text(said)
                await expect(page.locator("#note")).to_have_value("still mine")
                await board.followed(page, 0)
                fetched = board.fetched
                await visit.house.put()
                await asyncio.sleep(1)
                assert board.fetched == fetched

    watch(window, work)


def test_a_fault_is_tried_again(window: Window) -> None:
    async def work(visit: Visit, board: Board) -> None:
        async with board.open(visit) as page:
            board.answer = Response("", 500)
            await visit.house.put()
            async with asyncio.timeout(20):
                while board.fetched < 2:
                    await asyncio.sleep(0.05)
            board.answer = None
            await expect(page.locator("#rows li")).to_have_count(1, timeout=20_000)

    watch(window, work)


def test_a_hidden_page_rests(window: Window) -> None:
    async def work(visit: Visit, board: Board) -> None:
        async with board.open(visit) as page:
            await hide(page, True)
            await board.followed(page, 0)
            fetched = board.fetched
            await visit.house.put()
            await asyncio.sleep(1)
            assert board.fetched == fetched
            await hide(page, False)
            await expect(page.locator("#rows li")).to_have_count(1)
            await board.followed(page)

    watch(window, work)


async def hide(page: Page, hidden: bool) -> None:
    word = "true" if hidden else "false"
    await page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{value: {word}, configurable: true}});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


def test_without_live_regions_nothing_is_asked(window: Window) -> None:
    async def work(visit: Visit, board: Board) -> None:
        async with visit.page() as page:
            await page.goto(board.url.replace("/board", "/nowhere"))
            assert visit.house.admin.events.followers == 0

    watch(window, work)
