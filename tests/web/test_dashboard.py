"""The first page: in dev mode, in production, in both languages; its numbers are those of the desks behind it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from postroad.admin.attention import KINDS, Need
from postroad.admin.health import Health, HealthDesk
from postroad.envelope import Outcome
from postroad.replies import EnhancedStatus, Reply
from postroad.web.door.entry import Everybody
from postroad.web.door.people import Role
from postroad.web.pages import needs
from postroad.web.pages.wording import Wording
from tests.web.house import House
from tests.web.queue_house import DAY, HOUR, NOW, TAKEN, UNKNOWN, QueueHouse

HOSTILE = "<img src=x onerror=alert(1)>\u202e.example"
LANGUAGES = pytest.mark.parametrize("lang", ["en", "ja"])
InHouse = Callable[..., None]


def in_production(work: Callable[[QueueHouse, httpx.AsyncClient], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        house = QueueHouse(**options)
        transport = httpx.ASGITransport(house.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await work(house, client)

    asyncio.run(run())


def figures(page: httpx.Response) -> dict[str, int]:
    """Address -> number."""
    found = re.search(r'<dl class="figures">(.*?)</dl>', page.text, re.DOTALL)
    assert found is not None
    links = re.findall(r'<a href="([^"]+)"[^>]*>([\d,]+)</a>', found[1])
    return {href: int(number.replace(",", "")) for href, number in links}  # strict: our own page


@LANGUAGES
def test_dev_mode_before_and_after_the_first_mail(in_house: InHouse, lang: str) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        first = await client.get("/", params={"lang": lang})
        assert "1025" in first.text  # how to send
        assert 'id="overview"' in first.text
        name = await house.put(subject="<b>one</b>", sender="me@example.com")
        page = await client.get("/", params={"lang": lang})
        assert f'href="/inbox/{name}"' in page.text
        assert "&lt;b&gt;one&lt;/b&gt;" in page.text
        assert page.text.count("<h1") == 1
        assert figures(page)["/inbox"] == house.admin.traffic.totals(DAY).accepted == 1
        assert "plot-said" in page.text

    in_house(work)


@LANGUAGES
def test_production_with_nothing_and_with_mail(lang: str) -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        empty = await client.get("/", params={"lang": lang})
        assert {"en": "Nothing needs you.", "ja": "対応が必要なことはありません。"}[lang] in empty.text
        assert "plot-deliveries" in empty.text
        await house.tried(await house.put("a@slow.example", "b@slow.example", ago=60))
        await house.tried(await house.put("c@well.example"), TAKEN, Outcome.DELIVERED)
        await house.tried(await house.put("d@no.example"), UNKNOWN, Outcome.FAILED)
        await house.put("e@held.example", hold="wait")
        page = await client.get("/", params={"lang": lang})
        totals, counted = house.admin.traffic.totals(DAY), figures(page)
        assert counted["/destinations"] == totals.delivered == 1
        assert counted["/queue?state=deferred"] == totals.deferred == 2
        assert counted["/inbox"] == totals.accepted
        assert counted["/sessions?refused=true"] == totals.refused
        assert re.findall(r'href="/queue\?state=(queued|held)">([\d,]+)</a>', page.text) == [
            ("queued", "2"),
            ("held", "1"),
        ]
        assert 'href="/destinations/slow.example"' in page.text
        for column, total in zip(("delivered", "deferred", "failed"), (1, 2, 1), strict=True):
            assert sum(house.admin.traffic.series(DAY, 900).values[column]) == total
        for href in re.findall(r'<a[^>]* href="(/[^"]*)"', page.text[page.text.index('id="overview"') :]):
            assert (await client.get(href.replace("&amp;", "&"))).status_code == 200, href

    in_production(work)


def test_a_hostile_destination_and_what_it_says_are_text() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        said = Reply(451, "<script>alert(1)</script>\u202e" + "x" * 400, EnhancedStatus(4, 7, 0))
        await house.tried(await house.put(f"a@{HOSTILE}", ago=60), said)
        await house.tried(await house.put("a@away.example", ago=60), None, host="", note="<svg onload=alert(1)>")
        await house.put("b@held.example", hold="<i>wait</i>")
        house.clock.now += HOUR
        for lang in ("en", "ja"):
            page = (await client.get("/", params={"lang": lang})).text
            for wrong in ("<img src=x", "<script>alert", "<svg onload", "<i>wait", "\u202e", "style="):
                assert wrong not in page
            for there in ("&lt;img src=x", "&lt;script&gt;alert", "&lt;svg onload", "&lt;i&gt;wait"):
                assert there in page
            assert "x" * 200 not in page  # the rest is where it leads to

    in_production(work)


@LANGUAGES
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [0, 1, 2_000])
def test_every_need_has_one_whole_sentence(kind: str, count: int, lang: str) -> None:
    say = Wording(lang, lambda: NOW)
    need = Need(kind, "soon", "/", HOSTILE, count, NOW - HOUR, NOW + HOUR, octets=300 << 20)
    markup, words = str(needs.sentence(need, say)), needs.words(need, say)
    assert "<img" not in markup
    assert "\u202e" not in markup + words
    for text in (markup, words):
        assert not re.search(r"[{}]|None", text)
        assert text.count({"en": ". ", "ja": "。"}[lang]) <= 2
    if count == 2_000 and kind not in ("unready", "storage", "certificate", "certificate_ended"):
        assert "2,000" in words
    assert needs.action(need, say)


def test_what_needs_somebody_stands_with_its_link() -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        health = Health(100 << 20, 40 << 30, NOW + DAY)
        house.admin.health = HealthDesk(lambda: health, house.clock)
        await house.put("b@held.example", hold="wait")
        page = (await client.get("/")).text
        items = re.findall(r"<li><span class=\"chip.*?</li>", page, re.DOTALL)
        assert len(items) == 3
        assert "Only 100" in items[0]
        assert "The TLS certificate ends" in items[1]
        assert 'href="/queue?state=held"' in items[2]
        house.clock.now += 6
        health = Health()
        assert "Only 100" not in (await client.get("/")).text

    in_production(work)


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_whoever_may_look_sees_it_and_nothing_is_changed_here(role: Role) -> None:
    async def work(house: QueueHouse, client: httpx.AsyncClient) -> None:
        page = await client.get("/")
        assert page.status_code == 200
        assert 'method="post"' not in page.text[page.text.index('id="overview"') :]

    in_production(work, control=False, entry=Everybody(role))
