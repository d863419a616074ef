"""What looks at the pages: a browser with somebody signed in, and all that it does while nobody watches written down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, async_playwright

from tests import peers
from tests.web.acceptance.flow import OPERATOR, PASSWORD, VIEWER, Flow
from tests.web.browser import ARGUMENTS

LANGUAGES = ("en", "ja")
_LOCALES = {"en": "en-GB", "ja": "ja-JP"}
_NAMES = {"operator": OPERATOR, "viewer": VIEWER}

#: Counts what the content security policy stopped; runs before every page's own scripts.
_WATCH = """document.addEventListener("securitypolicyviolation", (event) => {
  (window.stopped ||= []).push(`${event.violatedDirective} ${event.blockedURI}`); });"""


@dataclass
class Record:
    """What a page did beside being shown."""

    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def follow(self, page: Page) -> None:
        """Write down all of this page from now on."""
        page.on("request", self._request)
        page.on("requestfailed", self._failed)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("dialog", lambda dialog: self.dialogs.append(dialog.message))

    def _request(self, request: Request) -> None:
        self.requests.append(request.url)

    def _failed(self, request: Request) -> None:
        """What the policy stopped did not go."""
        if request.failure == "csp" and request.url in self.requests:
            self.requests.remove(request.url)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "/frame" not in message.location.get("url", "") + message.text:
            self.console.append(message.text)  # what a mail's own document is denied is no fault of the page

    def taken(self) -> Record:
        """What is written so far; a new sheet begins."""
        found = Record(list(self.requests), list(self.console), list(self.dialogs))
        for sheet in (self.requests, self.console, self.dialogs):
            sheet.clear()
        return found

    def strangers(self, base: str) -> list[str]:
        """Requests that went anywhere but to our server."""
        own = urlsplit(base).netloc
        return [url for url in self.requests if urlsplit(url).scheme != "data" and urlsplit(url).netloc != own]


@dataclass
class Eyes:
    """One browser before one server, for all tests here."""

    flow: Flow
    runner: asyncio.Runner
    browser: Browser
    _signed_in: dict[str, Any] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """The address of the pages."""
        return self.flow.base

    def look(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work`` in the browser's loop."""
        self.runner.run(_awaited(work))

    @asynccontextmanager
    async def context(
        self, who: str = "operator", language: str = "en", base: str = "", **options: Any
    ) -> AsyncIterator[BrowserContext]:
        """A browser of its own; ``who``: ``operator``, ``viewer`` or ``""`` for nobody. Languages come by the browser's."""
        given = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", "locale": _LOCALES[language]}
        state = await self._state(who) if who else None
        context = await self.browser.new_context(
            storage_state=state, base_url=base or self.base, **{**given, **options}
        )
        context.set_default_timeout(15_000)
        await context.add_init_script(_WATCH)
        try:
            yield context
        finally:
            await context.close()

    @asynccontextmanager
    async def page(
        self, who: str = "operator", language: str = "en", record: Record | None = None, **options: Any
    ) -> AsyncIterator[Page]:
        """A page in a browser of its own."""
        async with self.context(who, language, **options) as context:
            page = await context.new_page()
            (record or Record()).follow(page)
            yield page

    async def _state(self, who: str) -> Any:
        """The cookies of somebody who has signed in by the form."""
        if who not in self._signed_in:
            async with self.context("") as context:
                page = await context.new_page()
                await sign_in(page, who)
                state = await context.storage_state()
                state["cookies"] = [one for one in state["cookies"] if one.get("name") != "lang"]
                self._signed_in[who] = state
        return self._signed_in[who]


async def sign_in(page: Page, who: str, to: str = "/") -> None:
    """By the form, as everybody."""
    await page.goto(to)
    await page.locator("input[name=name]").fill(_NAMES[who])
    await page.locator("input[name=password]").fill(PASSWORD)
    await page.locator("main form button").click()
    await page.locator("form.person").wait_for()


async def stopped(page: Page) -> list[str]:
    """What the content security policy had to stop on this page."""
    found: list[str] = await page.evaluate("window.stopped || []")
    return found


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    async with asyncio.timeout(150):
        await work()


def open_eyes(flow: Flow, runner: asyncio.Runner) -> tuple[Eyes, Callable[[], None]]:
    """The browser, and how it is closed."""
    playwright = runner.run(async_playwright().start())
    chromium = peers.program("chromium")
    browser = runner.run(playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS))

    def close() -> None:
        runner.run(browser.close())
        runner.run(playwright.stop())

    return Eyes(flow, runner, browser), close
