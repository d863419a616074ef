"""Sessions: found by peer and code, and explained."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest

from tests.web.house import House

Client = httpx.AsyncClient
Run = Callable[..., None]

WORDS = '"><img src=x onerror=alert(1)>\u202e'
REFUSED = "550 5.1.1 No such user here"


def test_found_by_peer_and_by_code(in_house: Run) -> None:
    async def work(house: House, client: Client) -> None:
        house.session("first", peer="192.0.2.7:40000", refusals=(REFUSED,))
        house.session("second", peer="198.51.100.9:40000")
        for query, found in (
            ({"peer": "192.0.2."}, {"first"}),
            ({"code": "550"}, {"first"}),
            ({"code": "451"}, set()),
            ({"refused": "true"}, {"first"}),
            ({}, {"first", "second"}),
        ):
            page = await client.get("/sessions", params=query)
            assert {name for name in ("first", "second") if f'href="/sessions/{name}"' in page.text} == found, query
        assert "<img src=x" not in (await client.get("/sessions", params={"peer": WORDS, "code": WORDS})).text

    in_house(work)


@pytest.mark.parametrize(("language", "word"), [("en", "Sessions"), ("ja", "セッション")])
def test_what_was_said_is_explained(in_house: Run, language: str, word: str) -> None:
    async def work(house: House, client: Client) -> None:
        said = f"S: 220 dev.example\nC: EHLO {WORDS}\nS: 250 dev.example\nC: RCPT TO:<x@example.com>\nS: {REFUSED}"
        house.session("one", refusals=(REFUSED, f"550 {WORDS}"), hello=WORDS, peer=WORDS, transcript=said)
        page = await client.get("/sessions/one", params={"lang": language})
        assert word in page.text
        assert "<i>550</i>" in page.text
        assert '<span class="meant">' in page.text
        assert f'href="/{language}/codes/550' in page.text
        assert "<img src=x" not in page.text
        assert "\u202e" not in page.text

    in_house(work)
