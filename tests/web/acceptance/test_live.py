"""Mail that a real program sends appears on a page that is open; a connection that was cut is found again."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, expect

from tests.web.acceptance.eyes import Eyes, Record


class Cable:
    """Between browser and server; ``pull`` cuts it, and what comes then is cut too, until ``plug``."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._there = (parts.hostname or "", parts.port or 0)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._plugged = True
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """Where the browser goes."""
        return f"http://127.0.0.1:{self._listening.getsockname()[1]}"

    def pull(self) -> None:
        """Cut."""
        self._plugged = False
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def plug(self) -> None:
        """As before."""
        self._plugged = True

    def lead_to(self, url: str) -> None:
        """To another place from now on."""
        parts = urlsplit(url)
        self._there = (parts.hostname or "", parts.port or 0)

    def close(self) -> None:
        """No more."""
        self.pull()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                if not self._plugged:
                    near.close()
                    continue
                try:
                    far = socket.create_connection(self._there)
                except OSError:
                    near.close()
                    continue
                for one, other in ((near, far), (far, near)):
                    self._open.add(one)
                    threading.Thread(target=self._pass_on, args=(one, other), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while octets := one.recv(65536):
                other.sendall(octets)
        with suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)
        self._open.discard(one)


@contextmanager
def cable(url: str) -> Iterator[Cable]:
    made = Cable(url)
    try:
        yield made
    finally:
        made.close()


async def _connected(page: Page) -> None:
    """The page says that it is live; and marked, so that a reload would be seen."""
    await expect(page.locator("#live-state")).not_to_be_empty()
    await page.evaluate("window.mine = true")


def test_a_mail_appears_on_every_page_that_is_open(eyes: Eyes) -> None:
    flow = eyes.flow

    async def work() -> None:
        async with eyes.context() as context:
            record = Record()
            pages = {
                path: await context.new_page() for path in ("/queue", "/inbox", "/", "/destinations/later.example")
            }
            for path, page in pages.items():
                record.follow(page)
                await page.goto(path)
                await _connected(page)
            rows = await pages["/queue"].locator("#queue-rows tbody tr").count()
            waiting = await pages["/"].locator("table.waiting tr", has_text="later.example").inner_text()
            await asyncio.to_thread(flow.by_swaks, "user7@later.example", "Comes by itself")
            await pages["/queue"].bring_to_front()
            row = pages["/queue"].locator("#queue-rows tr", has_text="user7@later.example")
            await expect(row).to_contain_text("450 4.2.0")
            await expect(pages["/queue"].locator("#queue-rows tbody tr")).to_have_count(rows + 1)
            await pages["/inbox"].bring_to_front()
            await expect(pages["/inbox"].locator(".mail li", has_text="Comes by itself")).to_have_count(1)
            await pages["/"].bring_to_front()
            changed = pages["/"].locator("table.waiting tr", has_text="later.example")
            await expect(changed).not_to_have_text(waiting, use_inner_text=True)
            for path, page in pages.items():
                assert await page.evaluate("window.mine"), f"{path} was loaded anew"
            assert record.console == []

    eyes.look(work)


def test_a_retry_appears_on_the_page_of_its_message(eyes: Eyes) -> None:
    flow = eyes.flow
    id = flow.ids["kana@later.example"]

    async def work() -> None:
        async with eyes.page() as page:
            await page.goto(f"/message/{id}")
            await _connected(page)
            before = await page.locator(".timeline .same li, .timeline > li.try").count()
            await asyncio.to_thread(flow.server.cli, "queue", "retry", id)
            await expect(page.locator(".timeline .same li, .timeline > li.try")).to_have_count(before + 1)
            assert await page.evaluate("window.mine")

    eyes.look(work)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_cut_connection_is_said_and_found_again(eyes: Eyes, language: str) -> None:
    flow = eyes.flow
    lost = {"en": "Connection lost; trying again", "ja": "再接続"}[language]

    async def work() -> None:
        with cable(eyes.base) as between:
            async with eyes.page(language=language, base=between.url) as page:
                await page.goto("/queue?to=cut.later.example")
                await page.goto("/queue")
                await _connected(page)
                between.pull()
                await expect(page.locator("#live-news")).to_contain_text(lost)
                to = f"cut-{language}@later.example"
                await asyncio.to_thread(flow.by_msmtp, to, "while nobody looked")
                between.plug()
                await expect(page.locator("#queue-rows tr", has_text=to)).to_have_count(1, timeout=30_000)
                await expect(page.locator("#live-state")).not_to_be_empty()
                await expect(page.locator("#live-news")).not_to_contain_text(lost)
                again = f"again-{language}@later.example"
                await asyncio.to_thread(flow.by_msmtp, again, "and then")
                await expect(page.locator("#queue-rows tr", has_text=again)).to_have_count(1)
                await expect(page.locator("#queue-rows tr", has_text=to)).to_have_count(1)
                assert await page.evaluate("window.mine")
                ids = await page.locator("#queue-rows tr[id]").evaluate_all("all => all.map(one => one.id)")
                assert len(ids) == len(set(ids))

    eyes.look(work)
