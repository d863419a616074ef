"""Every page of the house, as a walk through all of them that writes down what is seen; tests ask the notes.

A walk costs the time; what is asked of it costs nothing, so one walk serves all tests.
"""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
from playwright.async_api import Page

from tests import peers
from tests.web.acceptance.eyes import LANGUAGES, Eyes, Record, stopped
from tests.web.browser import SHOTS

WIDTHS = (1280, 768, 360)
SCHEMES: tuple[Literal["light"], Literal["dark"]] = ("light", "dark")
_LOOK = (Path(__file__).parent / "look.js").read_text("utf-8")
_LOCALES = Path(__file__).parents[3] / "src/postroad/web/locales/en"
_AXE = """async (rules) => { const only = rules.length ? { runOnly: { type: "rule", values: rules } } : {};
  const found = await axe.run({ exclude: [["iframe"]] }, { ...only, iframes: false, resultTypes: ["violations"], rules: rules.length ? {} : { "target-size": { enabled: true } } });
  return found.violations.filter((one) => ["serious", "critical"].includes(one.impact))
    .flatMap((one) => one.nodes.map((node) => `${one.id}: ${node.html.slice(0, 160)} (${(node.any[0] || node.all[0] || node.none[0] || {}).message})`)); }"""


#: Theme, width and rules (none: all) for axe: all of them in each language and each theme, colours once more.
_LOOKS: dict[str, list[tuple[Literal["light", "dark"], int, list[str]]]] = {
    "en": [("light", 1280, []), ("dark", 360, ["target-size", "color-contrast"])],
    "ja": [("dark", 1280, [])],
}


@dataclass
class Notes:
    """Of one page in one language."""

    status: int = 0
    facts: dict[str, Any] = field(default_factory=dict)
    """What look.js tells, at the widest."""
    layout: dict[int, dict[str, list[str]]] = field(default_factory=dict)
    """By width."""
    grave: dict[str, list[str]] = field(default_factory=dict)
    """What axe finds serious, by scheme."""
    record: Record = field(default_factory=Record)
    stopped: list[str] = field(default_factory=list)


@dataclass
class Tour:
    """Notes by path and language."""

    notes: dict[tuple[str, str], Notes] = field(default_factory=dict)
    links: dict[str, int] = field(default_factory=dict)
    """Every address that a page led to, and how it was answered."""

    def faults(self, find: Callable[[Notes], list[str]]) -> str:
        """One line for each that ``find`` finds, with the page."""
        lines = [f"{language} {path}: {fault}" for (path, language), one in self.notes.items() for fault in find(one)]
        return "\n".join(lines)


def places(eyes: Eyes, language: str) -> list[str]:
    """Every page: the menu, each detail, each view, each fault."""
    ids, session = eyes.flow.ids, eyes.flow.session
    inbox, html = ids["kana@ours.example"], ids["html@ours.example"]
    menu = ["/", "/queue", "/destinations", "/inbox", "/sessions", "/conditions", "/setup", "/diagnose", "/settings"]
    queue = ["/queue?by=destination", "/queue?by=reply", "/queue/shape", "/queue?to=later.example&code=4.2.*"]
    queue += ["/queue?code=x&older=y&state=z", "/queue?to=nobody-of-that-name"]
    sites = [f"/destinations/{name}" for name in ("later.example", "dead.example", "words.example")]
    mails = [f"/message/{ids[name]}" for name in _MESSAGES]
    views = [f"/inbox/{html}{view}" for view in ("/html", "/headers", "/source", "/session")]
    kept = [f"/inbox/{inbox}", *views, "/inbox/clear"]
    book = ["codes", "codes/450", "codes/455", "codes/4.7.1", "compare", "compare/220-vs-455", "compare/450-vs-451"]
    others = [f"/sessions/{session}", "/message", "/message/nothing-like-this", "/nowhere"]
    return [*menu, *queue, *sites, *mails, *kept, *others, *(f"/{language}/{one}" for one in (*book, "explain"))]


#: One in each state.
_MESSAGES = (
    "kana@later.example", "user0@later.example", "kana@good.example", "kana@no.example", "kana@dead.example",
    "bidi@words.example", "kana@parameters.example",
)  # fmt: skip


async def walk(eyes: Eyes) -> Tour:
    """Look at all of them in both languages."""
    tour = Tour()
    async with asyncio.TaskGroup() as group:
        for language in LANGUAGES:
            group.create_task(_walk(eyes, tour, language))
    return tour


async def _walk(eyes: Eyes, tour: Tour, language: str) -> None:
    async with eyes.context("operator", language) as context:
        await context.add_init_script(path=peers.axe_script())
        await context.add_init_script(_LOOK)
        await context.add_init_script(f"globalThis.keys = {json.dumps(_keys())}")
        page = await context.new_page()
        record = Record()
        record.follow(page)
        for path in places(eyes, language):
            tour.notes[path, language] = await _see(page, record, path, language)
        seen = [href for (_, tag), one in tour.notes.items() if tag == language for href in one.facts["links"]]
        wanted = [href for href in dict.fromkeys(seen) if "lang=" not in href and href not in tour.links]
        tour.links.update(dict.fromkeys(wanted, 0))
        cookies = {one["name"]: one["value"] for one in await context.cookies()}
    async with httpx.AsyncClient(base_url=eyes.base, cookies=cookies, follow_redirects=True) as client:
        for href in wanted:
            tour.links[href] = (await client.get(href)).status_code


async def _see(page: Page, record: Record, path: str, language: str) -> Notes:
    answer = await page.goto(path)
    notes = Notes(answer.status if answer else 0)
    notes.facts = await page.evaluate("look.facts(keys)")
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 800})
        notes.layout[width] = await page.evaluate("look.layout()")
        for scheme in SCHEMES if SHOTS else ():
            await page.emulate_media(color_scheme=scheme)
            await _keep(page, path, language, width, scheme)
    for scheme, width, rules in _LOOKS[language]:
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size({"width": width, "height": 800})
        notes.grave[scheme] = await page.evaluate(_AXE, rules)
    notes.stopped = await stopped(page)
    await page.set_viewport_size({"width": 1280, "height": 800})
    await page.emulate_media(color_scheme="light")
    notes.record = record.taken()
    return notes


async def _keep(page: Page, path: str, language: str, width: int, scheme: str) -> None:
    if SHOTS:
        name = "".join(letter if letter.isalnum() else "_" for letter in path)[:80]
        await page.screenshot(path=f"{SHOTS}/{name}-{language}-{width}-{scheme}.png", full_page=True)


def _keys() -> list[str]:
    """Every key of the texts, as one would see it where a text is missing."""
    files = sorted(_LOCALES.glob("*.toml"))
    return [f"{file.stem}.{key}" for file in files for key in tomllib.loads(file.read_text("utf-8"))]
