"""Diagnosis as a job: begun, followed step by step, read, ended; bounded, and no way to make us dial what we must not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

import postroad.reference
from postroad.net.listener import listen
from postroad.web.diagnosing import MAX_RUNNING
from postroad.web.serving import WebServer
from tests.diagnosis.faulty_servers import Talk, says, serving
from tests.web.house import House

SCHEMA = json.loads((Path(postroad.reference.__file__).parent / "schemas" / "diagnosis.json").read_text())
VALID = jsonschema.Draft202012Validator(SCHEMA)
JOB = jsonschema.Draft202012Validator({"$ref": "#/$defs/job", "$defs": SCHEMA["$defs"]})
URL = "/api/v1/diagnose"


def events(text: str) -> list[tuple[str, Any]]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


async def over(client: httpx.AsyncClient, place: str, lang: str = "en") -> dict[str, Any]:
    for _ in range(2000):
        job: dict[str, Any] = (await client.get(place, params={"lang": lang})).json()
        JOB.validate(job)
        if job["state"] != "running":
            return job
        await asyncio.sleep(0.01)
    raise AssertionError("not over")


def test_a_job_from_beginning_to_end(in_house: Callable[..., None]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        async with serving(Talk(tls="self-signed")) as port:
            answer = await client.post(URL, json={"target": f"127.0.0.1:{port}", "timeout": 5, "probe_relay": True})
            assert answer.status_code == 202
            job = answer.json()
            assert answer.headers["location"] == job["self"]
            followed = await client.get(job["events"], params={"lang": "ja"})
        assert followed.headers["content-type"].startswith("text/event-stream")
        told = events(followed.text)
        kinds = [kind for kind, _ in told]
        assert kinds[0] == "step"
        assert kinds[-1] == "done"
        assert {"step", "finding"} <= set(kinds)
        done = told[-1][1]
        VALID.validate(done)
        assert done["language"] == "ja"
        ids = [data["finding"]["id"] for kind, data in told if kind == "finding"]
        assert ids == [one["id"] for host in done["hosts"] for one in host["findings"]]
        assert {"cert.self-signed", "relay.ok"} <= set(ids)
        read = await over(client, job["self"])
        assert read["state"] == "done"
        VALID.validate(read["diagnosis"])
        resumed = await client.get(job["events"], headers={"last-event-id": str(len(told) - 2)})
        assert [kind for kind, _ in events(resumed.text)] == ["done"]

    in_house(work)


def test_a_strangers_text_stays_data(in_house: Callable[..., None]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        async with serving(says(b"554 <script>\x1b[2J\xe2\x80\xae\r\n", 0)) as port:
            job = (await client.post(URL, json={"target": f"127.0.0.1:{port}"})).json()
            followed = await client.get(job["events"])
        assert followed.headers["x-content-type-options"] == "nosniff"
        finding = next(
            data["finding"] for kind, data in events(followed.text) if kind == "finding" and data["finding"]["reply"]
        )
        assert finding["id"] == "greeting.554"
        assert finding["verdict"].isprintable()
        assert "\x1b" not in followed.text

    in_house(work)


def test_jobs_are_bounded_and_can_be_ended(in_house: Callable[..., None]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        async with serving(says(b"")) as port:
            asked = {"target": f"127.0.0.1:{port}", "timeout": 60}
            jobs = [(await client.post(URL, json=asked)).json() for _ in range(MAX_RUNNING)]
            refused = await client.post(URL, json=asked)
            assert refused.status_code == 429
            following = asyncio.ensure_future(client.get(jobs[0]["events"]))
            await asyncio.sleep(0.05)
            assert (await client.delete(jobs[0]["self"])).status_code == 204
            assert events((await following).text)[-1][0] == "failed"
            assert (await client.get(jobs[0]["self"])).status_code == 404
            assert (await client.post(URL, json=asked)).status_code == 202
            for job in jobs[1:]:
                await client.delete(job["self"])

    in_house(work)


def test_what_is_asked_is_read_strictly(in_house: Callable[..., None]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        for body in (
            {},
            {"target": 5},
            {"target": "a b"},
            {"target": "example.test", "as": "pop3"},
            {"target": "example.test", "port": 0},
            {"target": "example.test", "port": True},
            {"target": "example.test", "timeout": 1e9},
            {"target": "example.test", "dkim": "s1"},
            {"target": "example.test", "dkim": ["a b"]},
            {"target": "example.test", "rcpt": "nobody"},
            {"target": "example.test", "host": "yes"},
            {"target": "example.test", "password": "x"},
        ):
            answer = await client.post(URL, json=body)
            assert answer.status_code == 400, body
            assert answer.headers["content-type"] == "application/problem+json"
        assert (await client.get(f"{URL}/nothing")).status_code == 404

    in_house(work)


@pytest.mark.parametrize("dev", [False, True])
def test_no_dialling_of_what_is_near_for_others(in_house: Callable[..., None], dev: bool) -> None:
    """Behind a password the API is for the operator's colleagues: public addresses and ports of mail only."""

    async def work(house: House, client: httpx.AsyncClient) -> None:
        client.auth = httpx.BasicAuth("any", "secret")
        odd = await client.post(URL, json={"target": "127.0.0.1:6379"})
        assert odd.status_code == 403
        for target in ("127.0.0.1", "169.254.169.254", "[::1]:25", "[::ffff:10.0.0.1]:25"):
            job = (await client.post(URL, json={"target": target})).json()
            found = (await over(client, job["self"]))["diagnosis"]
            assert [one["id"] for one in found["findings"]] == ["name.not-dialled"]
            assert found["hosts"] == []

    in_house(work, dev=dev, password="secret")


def test_nothing_is_dialled_where_nothing_may_be_changed(in_house: Callable[..., None]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        assert (await client.post(URL, json={"target": "127.0.0.1"})).status_code == 403

    in_house(work, dev=False)


def test_streams_end_when_the_server_stops(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        house = House()
        server = WebServer(house.app, listen("127.0.0.1", 0))
        await server.start()
        assert isinstance(server.address, tuple)
        async with (
            serving(says(b"")) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.address[1]}") as client,
        ):
            job = (await client.post(URL, json={"target": f"127.0.0.1:{port}", "timeout": 60})).json()
            following = asyncio.ensure_future(client.get(job["events"], timeout=60))
            for _ in range(500):
                if (await client.get(job["self"])).json()["state"] == "running":
                    break
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # the stream has begun
            house.inbox.close()
            await server.close()
            assert events((await following).text)[-1] == ("failed", {"fault": "the server stops"})

    asyncio.run(asyncio.wait_for(work(), 60))
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_bug_is_told_by_an_incident_only(in_house: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(self: object) -> None:
        raise RuntimeError("secret of ours")

    monkeypatch.setattr("postroad.diagnosis.diagnosing.Diagnosing.run", broken)

    async def work(house: House, client: httpx.AsyncClient) -> None:
        job = await over(client, (await client.post(URL, json={"target": "127.0.0.1:25"})).json()["self"])
        assert job["state"] == "failed"
        assert "incident" in job["fault"]
        assert "secret" not in job["fault"]

    in_house(work)
