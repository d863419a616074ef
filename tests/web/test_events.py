"""Server-sent events over a real server: order, going on after a break without gap or repetition, restart, the end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from postroad.net.listener import listen
from postroad.observe.events import GAP, KEPT
from postroad.web.api import events as api
from postroad.web.app import create_app
from postroad.web.door.entry import Everybody
from postroad.web.door.people import Role
from postroad.web.serving import WebServer
from tests.web.house import House, token_of


@dataclass
class Heard:
    id: str = ""
    topic: str = ""
    data: Any = None


class Stream:
    """What a reader of the stream sees."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self.lines = lines
        self.comments = 0
        self.retry = ""
        self.last = ""

    async def next(self) -> Heard:
        """The next event; raises StopAsyncIteration when the server has ended it."""
        heard = Heard()
        async for line in self.lines:
            name, _, value = line.partition(": ")
            match name:
                case "id":
                    heard.id = self.last = value
                case "event":
                    heard.topic = value
                case "data":
                    heard.data = json.loads(value)
                case "retry":
                    self.retry = value
                case "" if line:
                    self.comments += 1
                case "" if heard.topic:
                    return heard
        raise StopAsyncIteration

    async def soon(self) -> Heard:
        return await asyncio.wait_for(self.next(), 10)


class Served:
    def __init__(self, house: House) -> None:
        self.house = house
        self.base = ""

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[WebServer]:
        server = WebServer(create_app(self.house.admin, dev=True, **options), listen("127.0.0.1", 0))
        await server.start()
        self.base = f"http://127.0.0.1:{server.address[1]}"
        try:
            yield server
        finally:
            await server.close()

    @asynccontextmanager
    async def stream(self, query: str = "", last: str = "") -> AsyncIterator[Stream]:
        headers = {"last-event-id": last} if last else {}
        async with httpx.AsyncClient(base_url=self.base, timeout=30) as client:
            async with client.stream("GET", f"/api/v1/events{query}", headers=headers) as answer:
                assert answer.status_code == 200
                assert answer.headers["content-type"].startswith("text/event-stream")
                assert "content-encoding" not in answer.headers
                assert answer.headers["cache-control"] == "no-store"
                stream = Stream(answer.aiter_lines())
                await self.followed()
                yield stream

    async def followed(self, streams: int = 1) -> None:
        async with asyncio.timeout(10):
            while self.house.admin.events.followers < streams:
                await asyncio.sleep(0.005)

    async def left(self) -> None:
        async with asyncio.timeout(10):
            while self.house.admin.events.followers:
                await asyncio.sleep(0.005)


def serve(work: Callable[[Served], Awaitable[None]]) -> None:
    async def inside() -> None:
        house = House()
        await work(Served(house))
        house.inbox.close()

    asyncio.run(inside())


def test_mail_is_told_as_it_comes() -> None:
    async def work(served: Served) -> None:
        async with served.running(), served.stream() as stream:
            first = await served.house.put(subject="a secret")
            heard = await stream.soon()
            assert (heard.topic, heard.data) == ("accepted", {"messages": 1, "ids": [first]})
            served.house.session("s7", refusals=("550 no",))
            heard = await stream.soon()
            assert (heard.topic, heard.data) == ("session", {"sessions": 1, "id": "s7", "refused": 1})
            assert stream.retry == "2000"

    serve(work)


def test_topics_choose() -> None:
    async def work(served: Served) -> None:
        async with served.running(), served.stream("?topics=conditions,session") as stream:
            await served.house.put()
            await served.house.admin.conditions_set("SIZE")
            assert (await stream.soon()).topic == "conditions"

    serve(work)


def test_after_a_break_nothing_is_missed_and_nothing_comes_twice() -> None:
    async def work(served: Served) -> None:
        ids: list[str] = []
        heard: list[str] = []

        async def put(count: int) -> None:
            for _ in range(count):
                ids.append(await served.house.put())
                await asyncio.sleep(GAP * 1.5)  # each an event of its own

        async with served.running():
            async with served.stream() as stream:
                await put(3)
                while len(heard) < 2:
                    heard += (await stream.soon()).data["ids"]
                last = stream.last
            await served.left()
            await put(3)
            async with served.stream(last=last) as stream:
                await put(2)
                while len(heard) < len(ids):
                    heard += (await stream.soon()).data["ids"]
            assert heard == ids

    serve(work)


def test_a_page_goes_on_from_its_own_number() -> None:
    async def work(served: Served) -> None:
        async with served.running():
            seen = served.house.admin.events.last
            first = await served.house.put()
            async with served.stream(f"?last={seen}") as stream:
                assert (await stream.soon()).data["ids"] == [first]
                last = stream.last
            async with served.stream(f"?last={seen}", last=last) as stream:  # the browser knows better
                await asyncio.sleep(GAP * 1.5)
                second = await served.house.put()
                assert (await stream.soon()).data["ids"] == [second]

    serve(work)


def test_the_page_says_from_where_it_goes_on(in_house: Any) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        await house.put()
        text = (await client.get("/")).text
        if 'id="live"' in text:
            assert f'data-seen="{house.admin.events.last}"' in text

    in_house(work)


def test_after_a_restart_one_event_says_look_again() -> None:
    async def work(served: Served) -> None:
        async with served.running(), served.stream(last="0123abcd-7") as stream:
            heard = await stream.soon()
            assert (heard.topic, heard.data) == ("resync", {})
            await served.house.put()
            assert (await stream.soon()).topic == "accepted"

    serve(work)


def test_who_was_away_too_long_looks_again() -> None:
    async def work(served: Served) -> None:
        events = served.house.admin.events
        seen = events.last
        async with served.running():
            for _ in range(KEPT + 1):
                events._topics["conditions"].waiting = {}
                events._flush("conditions")
            async with served.stream("?topics=accepted", last=seen) as stream:
                assert (await stream.soon()).topic == "resync"

    serve(work)


def test_a_silent_stream_stays_open_and_goes_on_from_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "ALIVE", 0.05)

    async def work(served: Served) -> None:
        async with served.running(), served.stream("?topics=queue") as stream:
            await served.house.put()
            reading = asyncio.ensure_future(stream.next())
            async with asyncio.timeout(10):
                while stream.comments < 3:
                    await asyncio.sleep(0.01)
            assert stream.last == served.house.admin.events.last
            reading.cancel()

    serve(work)


def test_streams_end_with_the_server_and_with_the_reader() -> None:
    async def work(served: Served) -> None:
        async with served.running() as server:
            async with served.stream():
                assert served.house.admin.events.followers == 1
            await served.left()
            async with served.stream() as stream:
                ending = asyncio.ensure_future(server.close())
                with pytest.raises(StopAsyncIteration):
                    await stream.next()
                await ending
            assert served.house.admin.events.followers == 0

    serve(work)


def test_there_are_only_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "MAX_STREAMS", 1)

    async def work(served: Served) -> None:
        async with served.running():
            async with served.stream(), httpx.AsyncClient(base_url=served.base) as client:
                assert (await client.head("/api/v1/events")).status_code == 200
                refused = await client.get("/api/v1/events")
                assert refused.status_code == 503
                assert refused.headers["retry-after"] == "10"
            await served.left()
            async with served.stream():
                pass

    serve(work)


def test_what_is_asked_is_read_strictly_and_only_for_who_may_look(in_house: Any) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        assert (await client.get("/api/v1/events?topics=weather")).status_code == 400
        assert (await client.get("/api/v1/events?topic=queue")).status_code == 400
        assert (await client.get("/api/v1/events?last=" + "x" * 2000)).status_code == 400
        nobody = httpx.ASGITransport(create_app(house.admin, entry=Everybody(Role.NOBODY)))
        async with httpx.AsyncClient(transport=nobody, base_url="http://localhost") as stranger:
            assert (await stranger.get("/api/v1/events")).status_code == 401
            assert (await stranger.get("/api/v1/traffic")).status_code == 401

    in_house(work)


# --- traffic


def test_traffic_is_told_in_buckets(in_house: Any) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        await house.put()
        found = (await client.get("/api/v1/traffic?seconds=3600&step=60")).json()
        assert found["step"] == 60
        assert len(found["starts"]) == len(found["values"]["accepted"]) == 60
        assert sum(found["values"]["accepted"]) == found["totals"]["accepted"] == 1
        assert found["starts"][-1] <= found["now"]
        assert found["codes"] == {}
        assert len((await client.get("/api/v1/traffic")).json()["starts"]) == 24

    in_house(work)


def test_traffic_is_asked_strictly(in_house: Any) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        for query in ("seconds=0", "step=0", "seconds=691201", "seconds=86400&step=1", "seconds=-1", "x=1"):
            assert (await client.get(f"/api/v1/traffic?{query}")).status_code == 400

    in_house(work)


def test_who_signs_out_hears_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "ALIVE", 0.05)

    async def work() -> None:
        house = House(dev=False, people={"ann": ("correct horse", "viewer")})
        server = WebServer(house.app, listen("127.0.0.1", 0))
        await server.start()
        base = f"http://127.0.0.1:{server.address[1]}"
        async with httpx.AsyncClient(base_url=base) as client:
            await house.sign_in(client, "ann")
            page = await client.get("/conditions")
            async with client.stream("GET", "/api/v1/events") as answer:
                lines = answer.aiter_lines()
                assert (await anext(lines)).startswith("retry")
                out = await client.post("/sign-out", data={"token": token_of(page)})
                assert out.status_code == 303
                async with asyncio.timeout(10):
                    assert [line async for line in lines if line.startswith("data")] == []
            assert (await client.get("/api/v1/events")).status_code == 401
        house.inbox.close()
        await server.close()

    asyncio.run(work())
