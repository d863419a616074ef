"""The API: what it answers, and that every error says how to mend it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

Run = Callable[..., None]
API = "/api/v1"


def test_status_and_health(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        await house.put()
        status = (await client.get(f"{API}/status")).json()
        assert (status["name"], status["mode"], status["ready"]) == ("postroad", "dev", True)
        assert (status["messages"], status["recipients"]["held"]) == (1, 1)
        assert status["listeners"] == [{"name": "dev", "host": "127.0.0.1", "port": 1025, "tls": "none", "auth": "any"}]
        assert (await client.get("/livez")).text == "alive\n"
        assert (await client.get("/readyz")).status_code == 200
        house.why_unready = "the disk is full"
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.text) == (503, "not ready: the disk is full\n")
        assert "the disk is full" in (await client.get("/")).text

    in_house(work)


def test_list_filter_and_page(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        ids = [await house.put(to=(f"u{n}@example.net",), subject=f"Mail {n}") for n in range(5)]
        found = (await client.get(f"{API}/inbox")).json()
        assert [each["id"] for each in found["messages"]] == ids[::-1]
        assert found["before"] is None
        row = found["messages"][0]
        assert (row["from"], row["to"], row["subject"]) == ("me@example.com", ["u4@example.net"], "Mail 4")
        assert row["header_from"] == "Me <me@example.com>"
        assert row["recipients"][0]["state"] == "held"
        page = (await client.get(f"{API}/inbox", params={"limit": 2})).json()
        page = (await client.get(f"{API}/inbox", params={"limit": 2, "before": page["before"]})).json()
        assert [each["id"] for each in page["messages"]] == [ids[2], ids[1]]
        narrowed = await client.get(f"{API}/inbox", params={"to": "U3@", "subject": "mail", "from": "me@"})
        assert [each["id"] for each in narrowed.json()["messages"]] == [ids[3]]

    in_house(work)


def test_one_message_from_all_sides(in_house: Run) -> None:
    message = (
        b"From: a@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\n\r\nplain \xe2\x82\xac\r\n--b\r\nContent-Type: text/html\r\n\r\n<b>bold</b>\r\n"
        b'--b\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename="../\xc3\xbc.html"\r\n\r\n'
        b"<script>1</script>\r\n--b--\r\n"
    )

    async def work(house: Any, client: httpx.AsyncClient) -> None:
        path = f"{API}/inbox/{await house.put(message)}"
        detail = (await client.get(path)).json()
        assert (detail["subject"], detail["text"], detail["html"]) == ("Grüße", "plain €", "<b>bold</b>")
        assert detail["headers"][0] == ["From", "a@example.com"]
        (file,) = detail["attachments"]
        assert (file["name"], file["content_type"], file["size"]) == ("../ü.html", "text/html", 18)
        raw = await client.get(f"{path}/raw")
        assert (raw.content, raw.headers["content-type"]) == (message, "text/plain; charset=utf-8")
        saved = await client.get(f"{path}/raw?download=true")
        assert saved.headers["content-type"] == "message/rfc822"
        assert saved.headers["content-disposition"].startswith("attachment")
        assert (await client.get(f"{path}/text")).text == "plain €"
        html = await client.get(f"{path}/html")
        assert html.text == "<b>bold</b>"
        assert html.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        part = await client.get(file["url"])
        assert (part.content, part.headers["content-type"]) == (b"<script>1</script>", "application/octet-stream")
        saved_as = part.headers["content-disposition"]
        assert saved_as == "attachment; filename=\"__.html\"; filename*=UTF-8''..%2F%C3%BC.html"
        assert (await client.get(f"{path}/transcript")).text.startswith("S: 220 ")
        assert (await client.get(f"{path}/journal")).json() == {"attempts": []}
        assert (await client.get(f"{path}/attachments/9")).status_code == 404
        assert (await client.get(f"{path}/attachments/x")).status_code == 404
        assert (await client.head(path)).status_code == 200

    in_house(work)


def test_deleting(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        first = await house.put(to=("a@example.net",))
        await house.put(to=("b@example.net",))
        await house.put(to=("c@example.net",))
        assert (await client.delete(f"{API}/inbox/{first}")).status_code == 204
        assert (await client.delete(f"{API}/inbox/{first}")).status_code == 404
        assert (await client.delete(f"{API}/inbox", params={"to": "b@"})).json() == {"removed": 1}
        assert (await client.delete(f"{API}/inbox")).json() == {"removed": 1}

    in_house(work)


def test_waiting(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        first = await house.put(subject="first")
        asked = {"to": "kana@", "timeout": "60"}
        assert (await client.get(f"{API}/inbox/wait", params=asked)).json()["id"] == first
        for after in (first, "1"):
            waiting = asyncio.create_task(client.get(f"{API}/inbox/wait", params={**asked, "after": after}))
            for _ in range(5):
                await asyncio.sleep(0)
            assert not waiting.done()
            second = await house.put(subject="second")
            found = (await waiting).json()
            assert (found["id"], found["text"][:8]) == (second, "It works")
            await client.delete(f"{API}/inbox/{second}")
        late = await client.get(f"{API}/inbox/wait", params={"subject": "never", "timeout": "0"})
        assert (late.status_code, late.json()["title"]) == (404, "Not Found")
        assert "came within 0 seconds" in late.json()["detail"]
        assert (await client.get(f"{API}/inbox/wait", params={"after": "0-gone"})).status_code == 404

    in_house(work)


def test_a_waiter_that_leaves_is_let_go(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        left = asyncio.Event()
        sent: list[dict[str, Any]] = []
        scope = {
            "type": "http",
            "method": "GET",
            "path": f"{API}/inbox/wait",
            "raw_path": b"",
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "query_string": b"timeout=300",
            "headers": [(b"host", b"localhost")],
            "server": ("localhost", 80),
            "client": ("127.0.0.1", 1),
        }
        first = True

        async def receive() -> dict[str, Any]:
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": b"", "more_body": False}
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        asking = asyncio.create_task(house.app(scope, receive, send))
        for _ in range(20):
            await asyncio.sleep(0)
        assert house.inbox._waiters == 1
        left.set()
        await asking
        assert house.inbox._waiters == 0

    in_house(work)


def test_chaos(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        made = await client.post(f"{API}/chaos", json={"to": "*@example.com", "reply": 455, "times": 2})
        assert made.status_code == 201
        assert made.json()["id"] == "r1"
        (rule,) = (await client.get(f"{API}/chaos")).json()["rules"]
        assert (rule["reply"], rule["times"], rule["used"], rule["spent"], rule["at"]) == (455, 2, 0, False, "rcpt")
        put = await client.put(f"{API}/chaos", json={"rules": [{"delay": 1.5, "at": "dot"}, {"disconnect": True}]})
        assert [each["at"] for each in put.json()["rules"]] == ["message", "rcpt"]
        name = put.json()["rules"][0]["id"]
        assert (await client.delete(f"{API}/chaos/{name}")).json() == {"removed": 1}
        assert (await client.delete(f"{API}/chaos/{name}")).status_code == 404
        assert (await client.delete(f"{API}/chaos")).json() == {"removed": 1}
        wrong = await client.post(f"{API}/chaos", json={"repply": 455})
        assert (wrong.status_code, wrong.json()["hint"]) == (400, "did you mean `reply`?")
        assert (await client.put(f"{API}/chaos", json={"rules": 7})).status_code == 400

    in_house(work)


def test_chaos_exists_in_dev_mode_only(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        assert (await client.get(f"{API}/chaos")).status_code == 404
        assert (await client.get("/chaos")).status_code == 404

    in_house(work, dev=False, control=True)


def test_conditions(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        path = f"{API}/conditions"
        assert (await client.get(path)).json()["known"] == sorted(
            ["SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "NOTIFY", "AUTH"]
        )
        off = await client.put(
            f"{path}/smtputf8", json={"available": False, "seconds": 600, "why": "the next hop moved"}
        )
        assert (off.json()["parameter"], off.json()["available"], off.json()["why"]) == (
            "SMTPUTF8",
            False,
            "the next hop moved",
        )
        await client.put(f"{path}/BODY=BINARYMIME", json={"available": False})
        assert set(house.conditions.unavailable()) == {"SMTPUTF8", "BODY=BINARYMIME"}
        listed = (await client.get(path)).json()["conditions"]
        assert [(each["parameter"], each["until"] is None) for each in listed] == [
            ("BODY=BINARYMIME", True),
            ("SMTPUTF8", False),
        ]
        assert (await client.put(f"{path}/SMTPUTF8", json={"available": True})).json() == {"removed": 1}
        assert (await client.delete(f"{path}/BODY=BINARYMIME")).json() == {"removed": 1}
        assert (await client.delete(path)).json() == {"removed": 0}
        wrong = await client.put(f"{path}/SMTPUTF", json={"available": False})
        assert (wrong.status_code, wrong.json()["hint"]) == (404, "did you mean `SMTPUTF8`?")

    in_house(work)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"available": "no"},
        {"available": False, "seconds": "600"},
        {"available": False, "seconds": -1},
        {"available": False, "seconds": True},
        {"available": False, "why": 7},
        {"available": False, "second": 600},
    ],
)
def test_a_condition_that_makes_no_sense(in_house: Run, given: dict[str, Any]) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        refused = await client.put(f"{API}/conditions/SIZE", json=given)
        assert refused.status_code == 400
        assert not house.conditions.unavailable()

    in_house(work)


def test_sessions(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        for number in range(4):
            house.session(f"s{number}", refusals=("550 5.1.1 no",) if number % 2 else ())
        listed = (await client.get(f"{API}/sessions")).json()
        assert [each["id"] for each in listed["sessions"]] == ["s3", "s2", "s1", "s0"]
        assert "transcript" not in listed["sessions"][0]
        page = (await client.get(f"{API}/sessions?refused=true&limit=1")).json()
        assert (page["sessions"][0]["refusals"], page["before"]) == (["550 5.1.1 no"], "s3")
        page = (await client.get(f"{API}/sessions?refused=true&limit=1&before=s3")).json()
        assert ([each["id"] for each in page["sessions"]], page["before"]) == (["s1"], None)
        assert (await client.get(f"{API}/sessions/s1")).json()["transcript"].startswith("S: 220")
        assert (await client.get(f"{API}/sessions/none")).status_code == 404

    in_house(work)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/inbox?limit=x", 400),
        ("GET", "/inbox?limit=501", 400),
        ("GET", "/inbox?limit=-1", 400),
        ("GET", "/inbox?limit=١", 400),
        ("GET", "/inbox?sender=me", 400),
        ("GET", "/inbox/wait?timeout=1e9", 400),
        ("GET", "/inbox/wait?timeout=301", 400),
        ("GET", "/inbox?to=" + "x" * 2_000, 400),
        ("GET", "/sessions?refused=maybe", 400),
        ("GET", "/inbox/..%2f..%2fetc", 404),
        ("GET", "/inbox/none", 404),
        ("GET", "/inbox/none/raw", 404),
        ("GET", "/nothing", 404),
        ("DELETE", "/status", 405),
        ("GET", "/inbox/none/nothing", 404),
    ],
)
def test_every_error_is_a_problem(in_house: Run, method: str, path: str, status: int) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        refused = await client.request(method, API + path)
        assert refused.status_code == status
        assert refused.headers["content-type"] == "application/problem+json"
        problem = refused.json()
        assert problem["status"] == status
        assert problem["detail"]
        assert set(problem) == {"type", "title", "status", "detail", "hint"}

    in_house(work)


@pytest.mark.parametrize(
    "octets", [b"", b"{", b"[]", b"7", b'"x"', b"\xff", b"[" * 100_000, b'{"to": "' + b"x" * 300_000]
)
def test_a_body_that_is_no_object(in_house: Run, octets: bytes) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        refused = await client.post(f"{API}/chaos", content=octets, headers={"content-type": "application/json"})
        assert refused.status_code in (400, 413)
        assert json.loads(refused.content)["detail"]

    in_house(work)


def test_a_body_without_a_length_is_bounded_too(in_house: Run) -> None:
    async def blocks() -> Any:
        for _ in range(100):
            yield b" " * 10_000

    async def work(house: Any, client: httpx.AsyncClient) -> None:
        refused = await client.post(f"{API}/chaos", content=blocks(), headers={"content-type": "application/json"})
        assert refused.status_code == 413

    in_house(work)


def test_a_bug_is_told_by_an_incident_id_only(in_house: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        async def broken() -> None:
            raise ZeroDivisionError("secret path /etc/x")

        house.admin.status = broken
        for path in (f"{API}/status", "/"):
            transport = httpx.ASGITransport(house.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as quiet:
                answer = await quiet.get(path)
            assert answer.status_code == 500
            assert "secret" not in answer.text
            assert "incident" in answer.text

    in_house(work)
    assert "secret path" in caplog.text
