"""The door: foreign names, foreign sites, foreign forms and foreign text get nothing done."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from postroad.inbox.chaos import read_rule
from postroad.web.pages.visible import visible, visible_plain

Run = Callable[..., None]
API = "/api/v1"
PAGES = (
    "/",
    "/sessions",
    "/chaos",
    "/conditions",
    "/nothing",
    "/livez",
    f"{API}/status",
    f"{API}/nothing",
    "/static/house.css",
)


def test_every_answer_carries_the_headers(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        for path in PAGES:
            headers = (await client.get(path)).headers
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'")
            assert "unsafe" not in policy
            for part in ("frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'", "script-src 'self'"):
                assert part in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert headers["cross-origin-resource-policy"] == "same-origin"
            assert "access-control-allow-origin" not in headers
            assert "server" not in headers

    in_house(work)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8025",
        "127.0.0.1:8025",
        "[::1]:8025",
        "192.0.2.1",
        "postroad.localhost",
        "mail.example",
        "web.example",
    ],
)
def test_hosts_that_are_answered(in_house: Run, host: str) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        assert (await client.get(f"{API}/status", headers={"host": host})).status_code == 200

    in_house(work, hosts=("Mail.example",), public_url="https://web.example/")


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1:x",
        "",
        "a b",
        "evil.example#localhost",
        "[::1",
        "mail.example@evil.example",
    ],
)
def test_hosts_that_are_not_answered(in_house: Run, host: str) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        for path in ("/", f"{API}/status", "/static/house.css"):
            refused = await client.get(path, headers={"host": host})
            assert refused.status_code in (400, 421)
            assert refused.json()["hint"]

    in_house(work, hosts=("mail.example",))


def test_the_control_socket_asks_for_no_host(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        assert (await client.get(f"{API}/status", headers={"host": "postroad"})).status_code == 200

    in_house(work, dev=False, control=True, password="secret")


WRITES = [
    ("DELETE", f"{API}/inbox", None),
    ("POST", f"{API}/chaos", {"reply": 455}),
    ("PUT", f"{API}/conditions/SIZE", {"available": False}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": ""},
        {"origin": "http://localhost:9999"},
        {"origin": "http://localhost.evil.example:8025"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_other_sites_change_nothing(in_house: Run, method: str, path: str, body: Any, headers: dict[str, str]) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        await house.put()
        refused = await client.request(method, path, json=body, headers=headers)
        assert refused.status_code == 403
        await untouched(house)

    in_house(work)


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "http://localhost:8025", "sec-fetch-site": "same-origin"}, {"origin": "https://web.example"}],
)
def test_our_own_pages_and_programs_may(
    in_house: Run, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        done = await client.request(method, path, json=body, headers=headers)
        assert done.status_code in (200, 201)

    in_house(work, public_url="https://web.example")


async def untouched(house: Any) -> None:
    assert len((await house.inbox.list()).items) == 1
    assert house.chaos is None or not house.chaos.list()
    assert not house.conditions.unavailable()


@pytest.mark.parametrize("kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_only_json_is_taken(in_house: Run, kind: str) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        headers = {"content-type": kind} if kind else {}
        refused = await client.post(f"{API}/chaos", content=b'{"reply": 455}', headers=headers)
        assert refused.status_code == 415
        assert not house.chaos.list()

    in_house(work)


def test_compressed_bodies_are_refused(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        assert (await client.post(f"{API}/chaos", content=b"x", headers=headers)).status_code == 415

    in_house(work)


#: What would go on for ever.
STREAMS = {f"{API}/events", f"{API}/diagnose/{{id}}/events"}


def test_looking_changes_nothing(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        await house.put()
        for path in sorted({route.path for route in house.app.routes} - STREAMS):
            for method in ("GET", "HEAD"):
                await client.request(
                    method, re.sub(r"\{.*?\}", "1", path), params={"timeout": "0"} if "wait" in path else {}
                )
        await untouched(house)

    in_house(work)


FORMS = [("/inbox/clear", {}), ("/chaos/add", {"reply": "455"}), ("/conditions/set", {"parameter": "SIZE"})]


@pytest.mark.parametrize(("path", "fields"), FORMS)
def test_forms_need_the_token_of_our_page(in_house: Run, path: str, fields: dict[str, str]) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        await house.put()
        for token in ({}, {"token": ""}, {"token": "guess"}, {"token": "ü"}):
            refused = await client.post(path, data={**fields, **token})
            assert refused.status_code in (403, 415)
        assert (await client.post(path, json=fields)).status_code == 415
        await untouched(house)
        found = re.search(r'name="token" value="([^"]+)"', (await client.get("/conditions")).text)
        assert found is not None
        evil = await client.post(path, data={**fields, "token": found[1]}, headers={"origin": "https://evil.example"})
        assert evil.status_code == 403
        await untouched(house)
        done = await client.post(path, data={**fields, "token": found[1]})
        assert done.status_code == 303

    in_house(work)


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_production_without_a_password_is_read_only(in_house: Run, method: str, path: str, body: Any) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        await house.put()
        assert (await client.request(method, path, json=body)).status_code == 403
        assert 'name="token"' not in (await client.get("/conditions")).text
        await untouched(house)

    in_house(work, dev=False)


OPEN = (
    "/api/docs",
    "/codes",
    "/compare",
    "/explain",
    "/keywords",
    "/verbs",
    "/llms.txt",
    "/livez",
    "/readyz",
    "/sign-in",
    "/static/",
)


def is_public(path: str) -> bool:
    return path.startswith((*OPEN, *(f"{API}{one}" for one in ("/codes", "/compare", "/explain", "/openapi")))) or bool(
        re.match(r"/(en|ja|de)(/|\Z)", path)
    )


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_nobody_gets_further_than_to_the_reference(in_house: Run, accept: str) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        closed = 0
        for route in house.app.routes:
            path = re.sub(r"\{.*?\}", "1", route.path)
            for method in sorted(route.methods - {"HEAD"}):
                if is_public(path) or path == "/sign-out":
                    continue
                answer = await client.request(
                    method, path, headers={"accept": accept}, json={} if method != "GET" else None
                )
                led = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
                assert led or answer.status_code == 401, (method, path, answer.status_code)
                closed += 1
        assert closed > 60

    in_house(work, dev=False, people={"ann": ("correct horse", "operator")})


def test_who_only_looks_changes_nothing(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        await house.put()
        await house.sign_in(client, "vic")
        found = re.search(r'name="token" value="([^"]+)"', (await client.get("/conditions")).text)
        assert found is not None
        fields = {"token": found[1], "reply": "455", "parameter": "SIZE", "action": "drop", "scope": "filter"}
        refused = 0
        for route in house.app.routes:
            path = re.sub(r"\{.*?\}", "1", route.path)
            for method in sorted(route.methods & {"POST", "PUT", "DELETE", "PATCH"}):
                if path in ("/sign-out", "/sign-in") or is_public(path) or path in ASKS:
                    continue
                given: dict[str, Any] = {"json": {}} if path.startswith("/api/") else {"data": fields}
                answer = await client.request(method, path, **given)
                assert answer.status_code == 403, (method, path, answer.status_code)
                refused += 1
        assert refused > 25
        await untouched(house)

    in_house(work, dev=False, people={"vic": ("correct horse", "viewer")})


#: What changes nothing, though it is asked with a body.
ASKS = {f"{API}/bounces/explain", f"{API}/logs/explain"}


def test_nobody_drops_accepted_mail_in_production(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        message_id = await house.put()
        for path in (f"{API}/inbox", f"{API}/inbox/{message_id}"):
            refused = await client.delete(path)
            assert (refused.status_code, "never simply dropped" in refused.json()["hint"]) == (400, True)
        assert (await client.put(f"{API}/conditions/SIZE", json={"available": False})).status_code == 200

    in_house(work, dev=False, control=True)


def test_a_password_is_asked_for(in_house: Run) -> None:
    def basic(text: str) -> dict[str, str]:
        return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    async def work(house: Any, client: httpx.AsyncClient) -> None:
        for headers in (
            {},
            basic("x:wrong"),
            basic("secret"),
            {"authorization": "Basic !!"},
            {"authorization": "Bearer secret"},
        ):
            for path in ("/", f"{API}/status", "/queue", "/settings"):
                refused = await client.get(path, headers=headers)
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"].startswith("Basic")
        assert (await client.get("/", headers=basic("anyone:secret"))).status_code == 200
        assert (await client.get("/livez")).status_code == 200

    in_house(work, password="secret")


# ── other people's text ─────────────────────────────────────────────────────

XSS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</title><script>alert(1)</script>",
    "--><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\u202egnp.exe",
    "a\x00b\x1b[31mred\x07\x9b0m",
    "\u2066left\u2069 zero\u200bwidth \ufeffmark",
]


@pytest.mark.parametrize("text", XSS)
def test_hostile_text_is_escaped_and_made_visible_everywhere(in_house: Run, text: str) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        octets = text.encode()
        message = (
            b"Subject: "
            + octets
            + b"\r\nFrom: "
            + octets
            + b"\r\nTo: "
            + octets
            + b"\r\nX-"
            + b"Note: "
            + octets
            + b"\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n"
            + octets
            + b'\r\n--b\r\nContent-Type: a/b\r\nContent-Disposition: attachment; filename="'
            + octets.replace(b'"', b"")
            + b'"\r\n\r\nx\r\n--b--\r\n'
        )
        message_id = await house.put(
            message,
            to=(f'"{text}"@example.net',),
            sender=f'"{text}"@example.com',
            hello=text,
            account=text,
            tls=text,
            peer=text,
        )
        house.session(
            "s1",
            hello=text,
            account=text,
            refusals=(f"550 {text}",),
            transcript=f"C: EHLO {text}\nS: 550 {text}\n{text}",
            ended=text,
            peer=text,
        )
        house.chaos.add(read_rule({"to": text, "reply": 550, "text": text}))
        house.conditions.set("SIZE", text or "x")
        views = [f"/inbox/{message_id}/{view}" for view in ("text", "headers", "source", "session")]
        asked = urlencode(
            {"subject": text, "to": text, "q": text, "code": text, "peer": text, "from": text, "id": text}
        )
        odd = quote(text, safe="")
        searched = [
            f"{path}?{asked}"
            for path in ("/", "/inbox", "/queue", "/sessions", "/destinations", "/message", "/diagnose")
        ]
        missing = [
            f"/{place}/{odd}"
            for place in ("inbox", "message", "destinations", "sessions", "diagnoses", "en/codes", odd)
        ]
        plain = (
            "/",
            "/sessions",
            "/sessions/s1",
            "/chaos",
            "/conditions",
            f"/message/{message_id}",
            "/setup",
            "/settings",
        )
        for path in (*plain, *searched, *views, *missing):
            page = await client.get(path)
            assert page.headers["content-type"] == "text/html; charset=utf-8"
            assert harmless(page.text, text), path
        shown = (await client.get(f"/inbox/{message_id}/text")).text
        assert str(visible(text)) in shown

    in_house(work)


class Tags(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def harmless(page: str, text: str) -> bool:
    """Whether nothing of ``text`` became markup and no hidden character is left."""
    tags = Tags(page).found
    loaded = [
        (tag, attributes.get("src"))
        for tag, attributes in tags
        if tag in ("script", "img", "object", "embed", "iframe")
    ]
    ours = all((source or "").startswith(("/static/", "/inbox/")) for _, source in loaded)
    handlers = [name for _, attributes in tags for name in attributes if name.startswith("on")]
    scripts = [attributes for _, attributes in tags if (attributes.get("href") or "").lower().startswith("javascript")]
    hidden = re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff]", page)
    return ours and not handlers and not scripts and not hidden


def test_visible() -> None:
    assert (
        visible("a<b\u202e\x00\n\tc")
        == 'a&lt;b<span class="hidden-character">U+202E</span><span class="hidden-character">U+0000</span>\n\tc'
    )
    assert visible_plain("a\u202eb") == "a[U+202E]b"
    assert str(visible("😀👨\u200d👩 ü 日本")) == "😀👨\u200d👩 ü 日本"


def test_a_lone_surrogate_breaks_no_page(in_house: Run) -> None:
    async def work(house: Any, client: httpx.AsyncClient) -> None:
        house.session("s1", hello="a\ud800b")
        assert (await client.get("/sessions")).status_code == 200
        assert (await client.get("/sessions/s1")).status_code == 200

    in_house(work)
