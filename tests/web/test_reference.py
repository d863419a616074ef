"""The status reference over HTTP: languages, redirects, twins, and that a hostile paste stays text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from postroad.reference.rendering import STATIC
from postroad.web.pages.reference import preferred, public_paths

Run = Callable[..., None]
Client = httpx.AsyncClient
API = "/api/v1"
HERE = "http://localhost:8025"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/en/codes", 200),
        ("/ja/codes", 200),
        ("/en/codes/455", 200),
        ("/ja/codes/220", 200),
        ("/en/compare", 200),
        ("/ja/compare/220-vs-455", 200),
        ("/en/explain", 200),
        ("/en/codes/999", 404),
        ("/en/codes/0455", 404),
        ("/en/compare/220-vs-999", 404),
        ("/en/keywords/NO-SUCH", 404),
        ("/en/codes/4.7.1", 200),
        ("/ja/codes/X.7.1", 200),
        ("/en/codes/9.9.9", 404),
        ("/en/codes/x", 404),
        ("/en/compare?a=455", 200),
        ("/en/compare?a=../../..//evil&b=1", 200),
        ("/en/explain.json", 404),
        ("/en/explain.md", 404),
        ("/en/nothing.json", 404),
    ],
)
def test_pages(in_house: Run, path: str, status: int) -> None:
    async def work(house: Any, client: Client) -> None:
        answer = await client.get(path)
        assert answer.status_code == status
        language = path.split("/")[1]
        assert answer.headers["content-language"] == language
        assert f'<html lang="{language}">' in answer.text
        assert ("noindex" in answer.text) == (status == 404)
        assert answer.text.count("<h1") == 1

    in_house(work)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("ja", "ja"),
        ("fr, ja-JP;q=0.8, en;q=0.5", "ja"),
        ("ja;q=0.2, en;q=0.9", "en"),
        ("ja;q=0", "en"),
        ("*", "en"),
        ("ja;q=2", "en"),
        ("jaja" * 5000, "en"),
    ],
)
def test_the_language_of_the_reader(in_house: Run, accepted: str, language: str) -> None:
    assert preferred(accepted, ("en", "ja")) == language

    async def work(house: Any, client: Client) -> None:
        for path in ("/codes", "/codes/455", "/compare/220-vs-455", "/explain"):
            answer = await client.get(path, headers={"accept-language": accepted})
            assert (answer.status_code, answer.headers["location"]) == (302, f"/{language}{path}")
            assert answer.headers["vary"] == "Accept-Language, Cookie"
            assert answer.headers["content-language"] == language

    in_house(work)


def test_the_language_once_chosen_is_kept(in_house: Run) -> None:
    async def work(house: Any, client: Client) -> None:
        assert "set-cookie" not in (await client.get("/ja/codes/455")).headers
        for elsewhere in (
            "https://evil.example/en/codes/455",
            f"{HERE}/en/codes/220",
            f"{HERE}/ja/codes/455",
            "http://[",
        ):
            answer = await client.get("/ja/codes/455", headers={"referer": elsewhere})
            assert (answer.status_code, "set-cookie" in answer.headers) == (200, False), elsewhere
        answer = await client.get("/ja/codes/455", headers={"referer": f"{HERE}/en/codes/455"})
        assert "lang=ja" in answer.headers["set-cookie"]
        answer = await client.get("/codes/220", headers={"accept-language": "en"})
        assert answer.headers["location"] == "/ja/codes/220"
        hostile = {"cookie": "lang=../evil"}
        assert (await client.get("/codes", headers=hostile)).headers["location"] in ("/en/codes", "/ja/codes")

    in_house(work)


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/en/compare/455-vs-220", "/en/compare/220-vs-455"),
        ("/ja/compare/455-vs-455", "/ja/codes/455"),
        ("/en/compare/455-vs-220.json", "/en/compare/220-vs-455.json"),
        ("/ja", "/ja/codes"),
        ("/ja/", "/ja/codes"),
        ("/en/keywords", "/en/codes"),
        ("/en/verbs/", "/en/codes"),
        ("/en/codes/", "/en/codes"),
        ("/en/codes/455/", "/en/codes/455"),
    ],
)
def test_each_page_has_one_address(in_house: Run, path: str, target: str) -> None:
    async def work(house: Any, client: Client) -> None:
        answer = await client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (308, target)

    in_house(work)


def test_choosing_two_codes(in_house: Run) -> None:
    async def work(house: Any, client: Client) -> None:
        answer = await client.get("/en/compare?a=455&b=220")
        assert answer.headers["location"] == "/en/compare/455-vs-220"
        answer = await client.get("/en/compare", params={"a": "//evil.example", "b": "\r\nX: y"})
        assert answer.status_code == 200  # no such pair: the form again
        assert not {"x", "location"} & set(answer.headers)

    in_house(work)


def test_languages_point_at_each_other(in_house: Run) -> None:
    async def alternates(client: Client, path: str) -> dict[str, str]:
        text = (await client.get(path)).text
        assert f'<link rel="canonical" href="http://localhost:8025{path}">' in text
        return dict(re.findall(r'<link rel="alternate" hreflang="([^"]+)" href="([^"]+)">', text))

    async def work(house: Any, client: Client) -> None:
        for path in ("codes", "codes/455", "compare/220-vs-455"):
            english = await alternates(client, f"/en/{path}")
            assert english == await alternates(client, f"/ja/{path}")
            assert english["ja"] == f"http://localhost:8025/ja/{path}"
            assert english["x-default"] == f"http://localhost:8025/{path}"

    in_house(work)


def test_only_pairs_that_are_confused_are_for_search_engines(in_house: Run) -> None:
    async def work(house: Any, client: Client) -> None:
        for path, noindex in (("/en/compare/220-vs-455", False), ("/en/compare/455-vs-550", True)):
            assert ('<meta name="robots" content="noindex">' in (await client.get(path)).text) == noindex

    in_house(work)


def test_twins_are_the_same_document(in_house: Run) -> None:
    async def work(house: Any, client: Client) -> None:
        for path in ("codes/455", "compare/220-vs-455", "codes"):
            twin = await client.get(f"/ja/{path}.json")
            assert twin.headers["content-type"] == "application/json"
            assert twin.json()["language"] == "ja"
            text = await client.get(f"/ja/{path}.md")
            assert text.headers["content-type"] == "text/markdown; charset=utf-8"
            assert text.text.startswith("# ")
        document = (await client.get("/en/codes/455.json")).json()
        page, plain = (await client.get("/en/codes/455")).text, (await client.get("/en/codes/455.md")).text
        assert document == (await client.get(f"{API}/codes/455", params={"lang": "en"})).json()
        for said in (document["summary"], document["advice"]["choose"], document["commands"][0]["label"]):
            assert said in page and said in plain
        assert document["transcript"] and all(
            line.replace("<", "&lt;").replace(">", "&gt;") in page for line in document["transcript"]
        )
        data = re.search(r'<script type="application/ld\+json">(.*?)</script>', page)
        assert data and json.loads(data[1])["termCode"] == "455"
        assert (await client.get("/llms.txt")).text.startswith("# ")

    in_house(work)


def test_no_sentence_twice_on_a_page(in_house: Run) -> None:
    async def work(house: Any, client: Client) -> None:
        for path in ("/en/codes/455", "/en/codes/220", "/en/compare/220-vs-455", "/en/compare/452-vs-455"):
            text = (await client.get(path)).text
            body = re.sub(r"<[^>]+>", "", re.sub(r"</(p|li|td|dd|dt|h.|span)>", "\n", text[text.index("<main") :]))
            lines = [line.strip() for line in body.splitlines() if len(line.strip()) > 50]
            assert len(lines) == len(set(lines)), path

    in_house(work)


HOSTILE = "550 5.1.1 <script>alert(1)</script> \u202e`<b onmouseover=x>` {{ 7*7 }} \x00\x1b[31m\"'>"


def test_a_hostile_paste_stays_text(in_house: Run) -> None:
    async def work(house: Any, client: Client) -> None:
        for answer in (
            await client.post("/en/explain", data={"q": HOSTILE}),
            await client.get("/en/explain", params={"q": HOSTILE}),
        ):
            assert answer.status_code == 200
            assert "<script>alert" not in answer.text and "<b onmouseover" not in answer.text
            assert "{{ 7*7 }}" in answer.text and "49" not in answer.text.partition("<main")[2].partition("</form>")[0]
            found = answer.text.partition("</form>")[2]
            assert "\u202e" not in found and "\x1b" not in found
            assert "noindex" in answer.text
        answer = await client.get("/en/codes/<script>alert(1)</script>")
        assert answer.status_code == 404 and "<script>alert" not in answer.text
        answer = await client.post("/en/explain", data={"q": "</textarea><script>alert(1)</script>"})
        assert answer.text.count("</textarea>") == 1

    in_house(work)


def test_a_paste_is_bounded_and_ours(in_house: Run) -> None:
    async def work(house: Any, client: Client) -> None:
        assert (await client.post("/en/explain", data={"q": "a" * 66_000})).status_code == 413
        assert (await client.post("/en/explain", json={"q": "a"})).status_code == 415
        foreign = {"origin": "https://evil.example"}
        assert (await client.post("/en/explain", data={"q": "a"}, headers=foreign)).status_code == 403
        assert (await client.post("/en/codes/455")).status_code == 405

    in_house(work)


def test_api(in_house: Run) -> None:
    async def work(house: Any, client: Client) -> None:
        codes = (await client.get(f"{API}/codes", params={"lang": "ja"})).json()
        assert {220, 455} <= {one["code"] for one in codes["codes"]}
        compared = (await client.get(f"{API}/compare", params={"a": "455", "b": "220"})).json()
        assert (compared["a"]["code"], compared["b"]["code"], compared["together"]) == (220, 455, [])
        asked = (await client.get(f"{API}/explain", params={"text": "455 4.5.4 RET not now", "command": "mail"})).json()
        posted = await client.post(f"{API}/explain", json={"text": "455 4.5.4 RET not now", "command": "MAIL"})
        assert posted.json() == asked
        assert asked["items"][0]["code"]["code"] == 455
        status = (await client.get(f"{API}/codes/4.7.1", params={"lang": "ja"})).json()
        assert (status["schema"], status["registered"], status["language"]) == ("postroad.enhanced/1", "X.7.1", "ja")
        for path, status in {
            "codes/999": 404,
            "codes/9.9.9": 404,
            "codes/4.7.1x": 404,
            "codes/455?lang=xx": 400,
            "codes?page=2": 400,
            "compare?a=455&b=455": 400,
            "compare?a=455": 404,
            "explain": 400,
        }.items():
            answer = await client.get(f"{API}/{path}")
            assert answer.status_code == status, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["hint"]
        assert (await client.post(f"{API}/explain", json={"text": 1})).status_code == 400
        assert (await client.post(f"{API}/explain", json={"text": "a", "more": 1})).status_code == 400
        assert (await client.post(f"{API}/explain", json={"text": "a" * 66_000})).status_code == 413

    in_house(work)


def test_no_password_is_asked_for_what_is_no_secret(in_house: Run) -> None:
    async def work(house: Any, client: Client) -> None:
        for path in ("/codes", "/en/codes/455", "/ja/explain", "/llms.txt", "/static/reference/reference.css"):
            assert (await client.get(path)).status_code in (200, 302), path
        assert (await client.get(f"{API}/codes/455")).status_code == 200
        for path in ("/", "/inbox", "/sessions", f"{API}/status", f"{API}/inbox", "/codes.json", "/english"):
            assert (await client.get(path)).status_code == 401, path
        for path in ("/en/../inbox", "/static/../inbox", "/static/..%2finbox", "/en//inbox"):
            assert (await client.get(path)).status_code in (401, 404), path

    in_house(work, dev=False, password="secret")
    assert all(path.startswith("/") and not path.endswith("/") for path in public_paths())


def test_the_inbox_leads_to_the_codes(in_house: Run) -> None:
    async def work(house: Any, client: Client) -> None:
        assert re.search(r'<a href="(/en)?/codes"', (await client.get("/inbox")).text)

    in_house(work)


def test_tokens_and_colours_are_set_in_one_sheet_only() -> None:
    web = STATIC.parents[1] / "web" / "static"
    for sheet in (STATIC / "reference.css", web / "house.css"):
        text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
        text = re.sub(r"@media print \{(?:[^{}]*\{[^{}]*\})*[^{}]*\}", "", text)  # paper is white
        assert re.findall(r"(?:^|[{;\s])--[a-z0-9-]+\s*:", text) == [], sheet.name
        assert re.findall(r":[^;{}]*(#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl|oklch)a?\()", text) == [], sheet.name
    assert re.search(r"--ink\s*:", (STATIC / "base.css").read_text(encoding="utf-8"))
