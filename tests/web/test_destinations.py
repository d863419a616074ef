"""Destinations: values, JSON and pages; hostile names, both languages, roles."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import httpx
import pytest

from postroad.admin.destinations import DestinationDesk, State
from postroad.admin.heard import HeardDesk
from postroad.delivery.routing import Maildir, Smtp
from postroad.envelope import Outcome
from postroad.errors import NotFound, PostroadError
from postroad.web.door.entry import Everybody
from postroad.web.door.people import Role
from tests.diagnosis.faulty_servers import Talk, serving
from tests.web.destination_house import HOSTILE, DestinationHouse
from tests.web.house import token_of
from tests.web.queue_house import GREYLISTED, NO_RET, TAKEN

URL = "http://localhost"


def inside(work: Callable[[DestinationHouse, httpx.AsyncClient], Awaitable[None]], **options: object) -> None:
    async def run() -> None:
        house = DestinationHouse(**options)
        await house.fill()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(house.app), base_url=URL) as client:
            await work(house, client)

    asyncio.run(run())


def test_how_each_stands_trouble_first() -> None:
    async def work(house: DestinationHouse, client: httpx.AsyncClient) -> None:
        page = await house.admin.destinations.page()
        states = {one.name: one.state for one in page.rows}
        assert states == {
            "slow.example": State.DEFERRING,
            HOSTILE: State.DEFERRING,
            "away.example": State.RESTING,
            "no.example": State.REFUSING,
            "held.example": State.QUIET,
            "xn--wgv71a119e.example": State.QUIET,
            "well.example": State.WELL,
        }
        assert page.rows[0].name == "slow.example"
        assert (page.matching, page.trouble) == (7, 4)
        slow = page.rows[0]
        assert (slow.waiting, slow.rate) == (3, 0.0)
        assert slow.present is not None
        assert slow.present.reply == GREYLISTED
        only = await house.admin.destinations.page(trouble=True)
        assert {one.name for one in only.rows} == {"slow.example", HOSTILE, "away.example", "no.example"}
        for part in ("日本", "xn--wgv", "WGV"):
            assert [one.name for one in (await house.admin.destinations.page(part)).rows] == ["xn--wgv71a119e.example"]

    inside(work)


def test_pages_lose_and_repeat_nothing() -> None:
    async def work(house: DestinationHouse, client: httpx.AsyncClient) -> None:
        names: list[str] = []
        after = ""
        while True:
            page = await house.admin.destinations.page(after=after, limit=2)
            names += [one.name for one in page.rows]
            if not (after := page.next):
                break
        assert names == [one.name for one in (await house.admin.destinations.page()).rows]
        for wrong in ("x", "1:2:3", "a:b:c:d", "1:2:99999999999999999999:n"):
            with pytest.raises(PostroadError):
                await house.admin.destinations.page(after=wrong)

    inside(work)


def test_a_success_ends_the_row_of_failures() -> None:
    async def work(house: DestinationHouse, client: httpx.AsyncClient) -> None:
        one = await house.admin.destinations.find("slow.example")
        assert one.heard.run is not None
        assert (one.heard.run.tries, one.heard.run.top.count) == (3, 3)
        message = await house.put("new@slow.example")
        await house.tried(message, NO_RET)
        run = (await house.admin.destinations.find("slow.example")).heard.run
        assert run is not None
        assert (run.tries, run.top.key, run.top.count) == (4, "451 4.7.1", 3)
        await house.tried(message, TAKEN, Outcome.DELIVERED)
        found = await house.admin.destinations.find("slow.example")
        assert found.heard.run is None
        assert [answer.count for answer in found.heard.answers] == [3, 1, 1]

    inside(work)


def test_what_was_written_before_is_read_back() -> None:
    async def work(house: DestinationHouse, client: httpx.AsyncClient) -> None:
        later = HeardDesk(house.spool)
        await house.tried(await house.put("new@slow.example"))
        read = await later.of("slow.example")
        told = await house.admin.destinations.find("slow.example")
        assert read == told.heard
        assert (await later.of("well.example")).delivered_at is not None

    inside(work)


def test_a_star_is_no_name_that_stands_for_others() -> None:
    async def work(house: DestinationHouse, client: httpx.AsyncClient) -> None:
        for name in ("*", "*.example", ""):
            found = await house.admin.destinations.find(name)
            assert not found.is_known
            assert found.rows == ()

    inside(work)


def test_only_who_rests_is_resumed() -> None:
    async def work(house: DestinationHouse, client: httpx.AsyncClient) -> None:
        await house.admin.destinations.resume("away.example")
        assert house.delivery.resumed == ["away.example"]
        with pytest.raises(NotFound):
            await house.admin.destinations.resume("well.example")
        nothing = DestinationDesk(house.admin.queue, HeardDesk(house.spool))
        assert (await nothing.page()).matching == 5  # those for whom somebody waits: nothing is counted

    inside(work)


def test_the_api() -> None:
    async def work(house: DestinationHouse, client: httpx.AsyncClient) -> None:
        found = (await client.get("/api/v1/destinations", params={"limit": 3})).json()
        assert found["schema"] == "postroad.destinations/1"
        assert len(found["destinations"]) == 3
        rest = (await client.get("/api/v1/destinations", params={"after": found["next"]})).json()
        assert len(rest["destinations"]) == 4
        assert rest["next"] is None
        one = (await client.get(found["destinations"][0]["self"])).json()
        assert one["failing"]["tries"] == 3
        assert one["hosts"][0]["refused"] == {"RET": 1800}
        hostile = (await client.get(f"/api/v1/destinations/{quote(HOSTILE, safe='')}")).json()
        assert hostile["name"] == HOSTILE
        for wrong, status in (("/nobody.example", 404), ("?after=x", 400), ("?nothing=x", 400)):
            answer = await client.get(f"/api/v1/destinations{wrong}")
            assert answer.status_code == status
            assert answer.headers["content-type"] == "application/problem+json"

    inside(work)


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_pages_in_both_languages(lang: str) -> None:
    async def work(house: DestinationHouse, client: httpx.AsyncClient) -> None:
        page = await client.get("/destinations", params={"lang": lang})
        assert page.status_code == 200
        assert "<img src=x" not in page.text
        assert "\u202e" not in page.text
        assert "日本語.example" in page.text
        links = re.findall(r'<a href="(/destinations/[^"]+)"', page.text)
        assert len(links) == 7
        for link in [*links, "/destinations/", "/destinations/nobody.example", "/destinations/a%2Fb%3Fc"]:
            one = await client.get(link, params={"lang": lang})
            assert one.status_code == 200, link
            assert "<img src=x" not in one.text
            shown = re.sub(
                r'<input type="hidden"[^>]*>', "", one.text
            )  # what a form gives back must be the name itself
            assert "\u202e" not in shown
            assert "<script> [" not in one.text
        slow = await client.get("/destinations/slow.example", params={"lang": lang})
        assert "451 4.7.1 Greylisting in action" in slow.text
        assert len(re.findall(r'href="/message/', slow.text)) == 3

    inside(work)


def test_who_only_reads_is_offered_nothing() -> None:
    async def work(house: DestinationHouse, client: httpx.AsyncClient) -> None:
        page = await client.get("/destinations/slow.example")
        assert page.status_code == 200
        assert "/destinations/diagnose" not in page.text
        assert (await client.get("/diagnose")).status_code == 403
        for place in ("/destinations/diagnose", "/destinations/resume", "/diagnose"):
            answer = await client.post(place, data={"destination": "slow.example", "target": "127.0.0.1"})
            assert answer.status_code == 403

    inside(work, control=False, entry=Everybody(Role.VIEWER))


def test_the_fixed_way_is_looked_at() -> None:
    async def work(house: DestinationHouse, client: httpx.AsyncClient) -> None:
        async with serving(Talk(tls="self-signed")) as port:
            house.delivery.routes["slow.example"] = Smtp("127.0.0.1", port)
            token = token_of(await client.get("/destinations/slow.example"))
            assert (
                await client.post("/destinations/diagnose", data={"destination": "slow.example"})
            ).status_code == 403
            begun = await client.post("/destinations/diagnose", data={"destination": "slow.example", "token": token})
            assert begun.status_code == 303
            place = begun.headers["location"]
            for _ in range(1000):
                page = await client.get(place)
                if 'data-state="done"' in page.text:
                    break
                await asyncio.sleep(0.01)
            assert f"127.0.0.1:{port}" in page.text
            assert "the certificate vouches for itself" in page.text
            assert '<meta http-equiv="refresh"' not in page.text
        house.delivery.routes["slow.example"] = Maildir("/srv/{user}")
        refused = await client.post("/destinations/diagnose", data={"destination": "slow.example", "token": token})
        assert refused.status_code == 400

    inside(work)


def test_the_form_says_what_is_wrong_and_keeps_what_was_written() -> None:
    async def work(house: DestinationHouse, client: httpx.AsyncClient) -> None:
        token = token_of(await client.get("/diagnose"))
        for target, port in (("a b", ""), ("<script>alert(1)</script>", ""), ("127.0.0.1", "99999"), ("", "")):
            answer = await client.post("/diagnose", data={"target": target, "port": port, "token": token})
            assert answer.status_code == 400
            assert 'role="alert"' in answer.text
            assert "<script>alert" not in answer.text
        assert (await client.get("/diagnoses/nothing")).status_code == 404

    inside(work)
