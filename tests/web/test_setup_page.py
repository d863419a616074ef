"""The page and the API of the look at the own house: verdicts, records to copy, roles, hostile answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from postroad.admin.setup import Facts
from postroad.web.door.people import Role
from postroad.web.setup_words import told
from postroad.web.texts import LANGUAGES, Texts
from tests.dns_stub import DnsStub, Zone
from tests.web.browser import Visit, Window
from tests.web.house import House, token_of
from tests.web.setup_house import DOMAIN, NAME, desk, facts, good_zone

InHouse = Callable[..., None]
SERVED: dict[str, Any] = {"dev": False, "role": Role.OPERATOR}


def broken() -> Zone:
    """No MX, an SPF record that permits another host, no DMARC record."""
    return {**good_zone(), DOMAIN: {"TXT": ['"v=spf1 ip4:8.8.8.8 -all"']}, f"_dmarc.{DOMAIN}": {"A": ["9.9.9.9"]}}


def furnish(house: House, stub: DnsStub, found: Facts | None = None) -> None:
    from dataclasses import replace

    house.admin.setup = desk(house.admin, replace(found or facts(), resolver=(stub.address,)))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_page_gives_verdicts_and_records(in_house: InHouse, lang: str) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        async with DnsStub(broken()) as stub:
            furnish(house, stub)
            house.admin.setup.begin()
            await house.admin.setup.wait(60)
            page = await client.get("/setup", params={"lang": lang})
        assert page.status_code == 200
        assert "refresh" not in page.headers
        text = page.text
        assert f"{DOMAIN}. MX 10 {NAME}." in text
        assert "v=spf1 ip4:9.9.9.9 ip4:8.8.8.8 -all" in text
        assert f"v=DMARC1; p=none; rua=mailto:dmarc-reports@{DOMAIN}" in text
        assert text.count("<h1") == 1
        for copied in re.findall(r'data-copy="([^"]+)"', text):
            assert text.count(f'id="{copied}"') == 1
        for word in ("fail", "ok"):
            assert Texts(lang)(f"setup.level.{word}") in text

    in_house(work, **SERVED)


def test_in_dev_mode_the_page_says_what_does_not_apply(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        house.admin.setup.begin()
        await house.admin.setup.wait(60)
        page = await client.get("/setup")
        assert "do not apply" in page.text
        assert "example.org" not in page.text.partition("<h2>")[2]

    in_house(work)


def test_a_viewer_looks_and_an_operator_has_it_looked_at_again(in_house: InHouse) -> None:
    async def viewer(house: House, client: httpx.AsyncClient) -> None:
        async with DnsStub(good_zone()) as stub:
            furnish(house, stub)
            page = await client.get("/setup")
            assert page.status_code == 200
            assert "/setup/check" not in page.text
            made = {"token": token_of(page)} if 'name="token"' in page.text else {"token": ""}
            assert (await client.post("/setup/check", data=made)).status_code == 403
            assert (await client.post("/api/v1/setup/check", json={})).status_code == 403
            assert (await client.get("/api/v1/setup")).status_code == 200

    async def operator(house: House, client: httpx.AsyncClient) -> None:
        async with DnsStub(good_zone()) as stub:
            furnish(house, stub)
            house.admin.setup.begin()
            await house.admin.setup.wait(60)
            page = await client.get("/setup")
            before = stub.count(DOMAIN, "MX")
            assert (await client.post("/setup/check", data={"token": "x"})).status_code == 403
            answer = await client.post("/setup/check", data={"token": token_of(page)})
            assert (answer.status_code, answer.headers["location"]) == (303, "/setup")
            await house.admin.setup.wait(60)
            assert stub.count(DOMAIN, "MX") == before + 1
            bad = await client.post("/setup/check", data={"token": token_of(page), "targets": "a b c d e"})
            assert bad.status_code == 400

    in_house(viewer, dev=False, role=Role.VIEWER)
    in_house(operator, **SERVED)


HOSTILE: Zone = {
    "9.9.9.9.in-addr.arpa": {"PTR": ["h9.isp.net."]},
    DOMAIN: {
        "MX": [r"10 \060script\062alert\0401\041.net."],
        "TXT": [r'"v=spf1 <img/src=x/onerror=alert(1)> \027[31m -all"'],
    },
    f"_dmarc.{DOMAIN}": {"TXT": [r'"v=DMARC1; p=<script>alert(1)</script>; rua=mailto:x\226\128\174@y"']},
}


@pytest.mark.parametrize("lang", LANGUAGES)
def test_hostile_answers_are_shown_as_text(in_house: InHouse, lang: str) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        async with DnsStub({**good_zone(), **HOSTILE}) as stub:
            furnish(house, stub)
            house.admin.setup.begin()
            await house.admin.setup.wait(60)
            page = await client.get("/setup", params={"lang": lang})
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "<img/src" not in page.text
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u202e]", page.text)

    in_house(work, **SERVED)


def test_the_api_gives_the_same_in_the_wanted_language(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        async with DnsStub(broken()) as stub:
            furnish(house, stub)
            begun = await client.post("/api/v1/setup/check", json={})
            assert begun.status_code == 202
            assert begun.json()["running"] is True
            await house.admin.setup.wait(60)
            found = (await client.get("/api/v1/setup", params={"lang": "ja"})).json()
            odd = await client.post("/api/v1/setup/check", json={"hosts": []})
            assert odd.status_code == 400
            assert (await client.post("/api/v1/setup/check", json={"targets": "x"})).status_code == 400
        assert (found["schema"], found["running"], found["level"]) == ("postroad.setup/1", False, "fail")
        mx = next(one for one in found["checks"] if one["check"] == "mx")
        assert mx["records"] == [{"name": f"{DOMAIN}.", "type": "MX", "value": f"10 {NAME}."}]
        assert mx["label"] == Texts("ja")("setup.row.mx")
        assert mx["said"][0]["verdict"] == Texts("ja")("setup.said.mx.missing", domain=DOMAIN)

    in_house(work, **SERVED)


def test_every_row_has_words_in_every_language(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        for zone in (good_zone(), broken(), {}):
            async with DnsStub(zone) as stub:
                furnish(house, stub)
                house.admin.setup.begin()
                await house.admin.setup.wait(60)
            for one in house.admin.setup.report().checks:
                for tag in LANGUAGES:
                    row = told(one, Texts(tag))
                    assert row.label
                    assert row.said
                    assert all(each.verdict and "{" not in each.verdict for each in row.said)

    in_house(work, **SERVED)


def test_copying_a_record_and_no_scrolling_aside(window: Window) -> None:
    async def work(visit: Visit) -> None:
        async with DnsStub(broken()) as stub:
            furnish(visit.house, stub)
            visit.house.admin.setup.begin()
            await visit.house.admin.setup.wait(60)
            for width in (360, 1280):
                async with visit.page(viewport={"width": width, "height": 800}) as page:
                    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
                    await page.goto(f"{visit.base}/setup")
                    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
                    row = page.locator("#mx-example-org")
                    await row.get_by_role("button").first.click()
                    await row.get_by_role("status").get_by_text("Copied").wait_for()
                    assert await page.evaluate("navigator.clipboard.readText()") == f"{DOMAIN}. MX 10 {NAME}."

    window.visit(work, **SERVED)


def test_without_scripts_there_are_no_dead_buttons(window: Window) -> None:
    async def work(visit: Visit) -> None:
        async with DnsStub(broken()) as stub:
            furnish(visit.house, stub)
            visit.house.admin.setup.begin()
            await visit.house.admin.setup.wait(60)
            async with visit.page(java_script_enabled=False) as page:
                await page.goto(f"{visit.base}/setup")
                assert await page.locator("[data-copy]:visible").count() == 0
                await page.get_by_role("button", name="Check again").click()
                await page.wait_for_url("**/setup")

    window.visit(work, **SERVED)
