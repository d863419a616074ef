"""Caught mail is sent on to a real server: form, question, what came of it; and the same through the API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from postroad.admin import releasing
from postroad.admin.releasing import MAX_KEPT, MAX_RUNNING, ReleaseDesk, Wish, as_given
from postroad.clock import SystemClock
from postroad.errors import NotFound, PostroadError
from tests.service.sink import Sink
from tests.web.house import House, token_of

Client = httpx.AsyncClient
Run = Callable[..., None]

WORDS = '"><img src=x onerror=alert(1)>\u202e'


def answer(subject: str) -> str:
    return "550 5.1.1 nobody of that name" if "nobody" in subject else ""


async def followed(client: Client, name: str, fields: dict[str, str], language: str = "en") -> httpx.Response:
    """The question, its button, and the page of the job when something has come of it."""
    asked = await client.get(f"/inbox/{name}/release", params={**fields, "lang": language})
    assert asked.status_code == 200
    sent = await client.post(f"/inbox/{name}/release", data={**fields, "token": token_of(asked)})
    assert sent.status_code == 303, sent.text
    async with asyncio.timeout(20):
        while True:
            page = await client.get(sent.headers["location"], params={"lang": language})
            if 'http-equiv="refresh"' not in page.text:
                return page
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_it_arrives_and_the_refused_recipient_is_explained(in_house: Run, language: str) -> None:
    async def work(house: House, client: Client) -> None:
        with Sink(answer) as sink:
            name = await house.put(subject=f"on it goes {WORDS}")
            fields = {
                "to": "kana@example.net, nobody@example.net",
                "server": f"127.0.0.1:{sink.port}",
                "from": "me@example.com",
            }
            page = await followed(client, name, fields, language)
            assert "<i>550</i>" in page.text
            assert '<span class="chip good">' in page.text
            assert '<span class="chip never">' in page.text
            assert ("in clear" in page.text) == (language == "en")
            assert "<img src=x" not in page.text
            (arrived,) = sink.arrived
            assert arrived.recipients == ["kana@example.net"]
            assert b"It works" in arrived.content

    in_house(work)


def test_the_same_through_the_api(in_house: Run) -> None:
    async def work(house: House, client: Client) -> None:
        with Sink(answer) as sink:
            name = await house.put()
            body: dict[str, Any] = {"to": ["kana@example.net"], "server": f"127.0.0.1:{sink.port}"}
            token = token_of(await client.get("/inbox"))
            headers = {"X-Postroad-Token": token}
            done = await client.post(f"/api/v1/inbox/{name}/release", json=body, headers=headers)
            assert done.status_code == 200, done.text
            shape = done.json()
            assert (shape["done"], shape["accepted"], shape["error"]) == (True, True, None)
            assert [one["outcome"] for one in shape["recipients"]] == ["delivered"]
            assert sink.arrived[0].reverse_path == "me@example.com"
            bad = await client.post(f"/api/v1/inbox/{name}/release", json={**body, "bcc": 1}, headers=headers)
            assert bad.status_code == 400

    in_house(work)


@pytest.mark.parametrize(
    "fields",
    [{"to": ""}, {"to": WORDS}, {"to": "a@example.net", "server": "/run/x"}, {"to": "a@b.example", "from": "x"}],
)
def test_what_cannot_be_meant_is_said_at_the_form(in_house: Run, fields: dict[str, str]) -> None:
    async def work(house: House, client: Client) -> None:
        name = await house.put()
        page = await client.get(f"/inbox/{name}/release", params=fields)
        assert page.status_code == 400
        assert 'role="alert"' in page.text
        assert "<img src=x" not in page.text
        assert (await client.post(f"/inbox/{name}/release", data={"to": "a@example.net"})).status_code == 403

    in_house(work)


def test_there_is_none_in_production(in_house: Run) -> None:
    async def work(house: House, client: Client) -> None:
        name = await house.put(hold="operator")
        await house.sign_in(client, "otto")
        for path in (f"/inbox/{name}/release", f"/inbox/{name}/release/some"):
            assert (await client.get(path)).status_code == 404

    people: dict[str, Any] = {"otto": ("change it", "operator")}
    in_house(work, dev=False, people=people)


def test_few_run_at_a_time_few_are_remembered_and_the_end_stops_them(in_house: Run) -> None:
    async def work(house: House, client: Client) -> None:
        gate = asyncio.Event()

        async def sending(*_: Any, **__: Any) -> Any:
            await gate.wait()
            raise PostroadError("no", "no")

        desk = ReleaseDesk(house.inbox, SystemClock(), sending)
        name, wish = await house.put(), Wish(("a@example.net",), "", "")
        running = [await desk.begin(name, wish) for _ in range(MAX_RUNNING)]
        with pytest.raises(PostroadError, match="already"):
            await desk.begin(name, wish)
        gate.set()
        for one in running:
            await desk.wait(one)
        for _ in range(MAX_KEPT):
            await desk.wait(await desk.begin(name, wish))
        with pytest.raises(NotFound):
            desk.get(name, running[0].id)
        gate.clear()
        last = await desk.begin(name, wish)
        await asyncio.sleep(0)
        desk.close()
        await desk.wait(last)
        assert last.fault is not None
        assert "stopped" in last.fault.message

    in_house(work)


def test_the_house_stops_its_releases_when_it_closes(in_house: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[bool] = []
    monkeypatch.setattr(releasing.ReleaseDesk, "close", lambda _: stopped.append(True))

    async def work(house: House, client: Client) -> None:
        house.admin.close()

    in_house(work)
    assert stopped == [True]


def test_only_our_own_trace_field_is_taken_off() -> None:
    ours = b"Received: from x\r\n\tby y (Postroad) id abc\r\n"
    assert as_given(ours + b"Subject: x\r\n\r\n", "abc") == b"Subject: x\r\n\r\n"
    assert as_given(b"Received: from z\r\n" + b"Subject: x\r\n\r\n", "abc").startswith(b"Received: from z")
