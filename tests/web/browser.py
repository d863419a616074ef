"""A browser before a house of its own.

POSTROAD_SHOTS=FOLDER keeps a picture of every page that is looked at.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Browser, Page

from postroad.net.listener import listen
from postroad.web.serving import WebServer
from tests.web.house import House

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SHOTS = os.environ.get("POSTROAD_SHOTS", "")


@dataclass
class Visit:
    """A running server with a browser in front of it."""

    house: House
    browser: Browser
    base: str
    complaints: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def page(self, **options: Any) -> AsyncIterator[Page]:
        context = await self.browser.new_context(
            **{"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **options}
        )
        page = await context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        yield page
        await context.close()


@dataclass
class Window:
    """One browser and one loop for all tests here."""

    runner: asyncio.Runner
    browser: Browser

    def visit(self, work: Callable[[Visit], Awaitable[None]], **options: Any) -> None:
        """Run ``work`` before a house of its own."""
        self.runner.run(self._visit(work, options))

    async def _visit(self, work: Callable[[Visit], Awaitable[None]], options: dict[str, Any]) -> None:
        house = House(**options)
        server = WebServer(house.app, listen("127.0.0.1", 0))
        await server.start()
        assert isinstance(server.address, tuple)
        visiting = Visit(house, self.browser, f"http://127.0.0.1:{server.address[1]}")
        try:
            await work(visiting)
        finally:
            house.inbox.close()
            await server.close()
        assert visiting.complaints == []
