"""Bounces over the API."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

import postroad.reference
from tests.web.house import House

SAMPLES = Path(__file__).parent.parent / "diagnosis" / "bounces"
SCHEMA = json.loads((Path(postroad.reference.__file__).parent / "schemas" / "bounce.json").read_text())
FORM = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
URL = "/api/v1/bounces/explain"


def test_a_bounce_is_explained_in_the_readers_language(in_house: Callable[..., None]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        body = {"message": (SAMPLES / "exim/07-dsn-user.eml").read_bytes().decode()}
        answer = await client.post(URL, json=body, params={"lang": "ja"})
        assert answer.status_code == 200, answer.text
        document = answer.json()
        FORM.validate(document)
        assert answer.headers["content-language"] == document["language"] == "ja"
        assert [(one["address"], one["reason"], one["hard"]) for one in document["recipients"]] == [
            ("nobody@example.jp", "user-unknown", True)
        ]
        answer = await client.post(URL, json=body, headers={"accept-language": "ja, en;q=0.5"})
        assert answer.json()["language"] == "ja"

    in_house(work)


def test_octets_that_are_no_text(in_house: Callable[..., None]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        octets = (SAMPLES / "japanese-isp/07-suspended-eucjp.eml").read_bytes()
        answer = await client.post(URL, json={"base64": base64.b64encode(octets).decode()})
        assert answer.json()["recipients"][0]["reason"] == "suspended"

    in_house(work)


@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        ({}, {}, "nothing to explain"),
        ({}, {"message": " "}, "nothing to explain"),
        ({}, {"message": 7}, "nothing to explain"),
        ({}, {"message": "x", "base64": "eA=="}, "nothing to explain"),
        ({}, {"base64": "%"}, "not base64"),
        ({}, {"message": "x", "more": 1}, "no field `more`"),
        ({"lang": "xx"}, {"message": "x"}, "no language"),
        ({"eggs": "1"}, {"message": "x"}, "eggs"),
    ],
)
def test_what_cannot_be_done_is_told(
    query: dict[str, str], body: dict[str, Any], words: str, in_house: Callable[..., None]
) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        answer = await client.post(URL, json=body, params=query)
        assert answer.status_code == 400
        assert words in answer.json()["detail"]

    in_house(work)
