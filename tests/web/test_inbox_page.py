"""The inbox in the browser's eyes: the search box, deleting, and who may read what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.web.house import House, token_of

Client = httpx.AsyncClient
Run = Callable[..., None]

WORDS = '"><img src=x onerror=alert(1)><script>alert(2)</script>\u202e'


def shown(page: httpx.Response, *subjects: str) -> list[str]:
    return [one for one in subjects if one in page.text]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("invoice", ["Invoice 4711"]),
        ("invoice 4711", ["Invoice 4711"]),
        ("invoice nothing", []),
        ('"It works"', ["Invoice 4711", "Welcome"]),
        ("to:bob@", ["Welcome"]),
        ("from:shop", ["Invoice 4711"]),
        ("subject:welc", ["Welcome"]),
        ("has:attachment", []),
        ("after:2020-01-01", ["Invoice 4711", "Welcome"]),
        ("before:2020-01-01", []),
    ],
)
def test_the_search_box(in_house: Run, query: str, found: list[str]) -> None:
    async def work(house: House, client: Client) -> None:
        await house.put(subject="Invoice 4711", sender="shop@example.com")
        await house.put(subject="Welcome", to=("bob@example.org",))
        page = await client.get("/inbox", params={"q": query})
        assert page.status_code == 200
        assert shown(page, "Invoice 4711", "Welcome") == found

    in_house(work)


@pytest.mark.parametrize("query", ["has:legs", "after:soon", "from:a from:b", " ".join(f"w{n}" for n in range(13))])
def test_a_search_that_makes_no_sense_is_explained(in_house: Run, query: str) -> None:
    async def work(house: House, client: Client) -> None:
        page = await client.get("/inbox", params={"q": query + WORDS if query == "has:legs" else query})
        assert page.status_code == 400
        assert 'role="alert"' in page.text
        assert "<img src=x" not in page.text

    in_house(work)


def test_several_are_deleted_and_only_with_the_token(in_house: Run) -> None:
    async def work(house: House, client: Client) -> None:
        names = [await house.put(subject=f"number {number}") for number in range(3)]
        assert (await client.post("/inbox/delete", data={"id": names})).status_code == 403
        token = token_of(await client.get("/inbox"))
        answer = await client.post("/inbox/delete", data={"token": token, "id": names[:2]})
        assert answer.headers["location"] == "/inbox?removed=2"
        page = await client.get("/inbox")
        assert shown(page, "number 0", "number 1", "number 2") == ["number 2"]

    in_house(work)


@pytest.mark.parametrize("language", ["en", "ja"])
def test_clearing_asks_first_and_takes_what_was_found(in_house: Run, language: str) -> None:
    async def work(house: House, client: Client) -> None:
        await house.put(subject="stays")
        await house.put(subject="goes")
        asked = await client.get("/inbox/clear", params={"q": "subject:goes", "lang": language})
        assert f'<html lang="{language}"' in asked.text
        assert (await client.get("/inbox/clear", params={"q": WORDS})).text.count("<img src=x") == 0
        assert len(shown(await client.get("/inbox"), "stays", "goes")) == 2
        answer = await client.post("/inbox/clear", data={"token": token_of(asked), "q": "subject:goes"})
        assert answer.headers["location"] == "/inbox?removed=1"
        assert shown(await client.get("/inbox"), "stays", "goes") == ["stays"]

    in_house(work)


def test_in_production_only_operators_read(in_house: Run) -> None:
    async def work(house: House, client: Client) -> None:
        name = await house.put(subject="strictly personal", hold="operator")
        await house.sign_in(client, "vera")
        assert "strictly personal" not in (await client.get("/inbox")).text
        assert (await client.get("/inbox", params={"q": "personal"})).text.count(f"/inbox/{name}") == 0
        for path in ("", "/text", "/headers", "/source", "/session", "/raw", "/frame", "/release"):
            page = await client.get(f"/inbox/{name}{path}")
            assert page.status_code in (403, 404), path
            assert "strictly personal" not in page.text
        assert (await client.get("/inbox", params={"q": "subject:personal"})).status_code == 400
        assert (await client.get("/api/v1/inbox", params={"q": "subject:personal"})).status_code == 403
        async with house.client() as other:
            await house.sign_in(other, "otto")
            assert "strictly personal" in (await other.get(f"/inbox/{name}")).text

    people: dict[str, Any] = {"vera": ("look at it", "viewer"), "otto": ("change it", "operator")}
    in_house(work, dev=False, people=people)
