"""Logs over the API."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest

import postroad.reference
from tests.web.house import House

LOGS = Path(__file__).parent.parent / "diagnosis" / "logs"
SCHEMA = json.loads((Path(postroad.reference.__file__).parent / "schemas" / "logs.json").read_text())
FORMS = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
URL = "/api/v1/logs/explain"


def test_a_log_is_explained_in_the_readers_language(in_house: Callable[..., None]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        for name in ("postfix-recorded", "exim-recorded", "opensmtpd-new", "postroad-json"):
            body = {"log": (LOGS / f"{name}.log").read_text()}
            answer = await client.post(URL, json=body, params={"lang": "ja", "limit": 3})
            assert answer.status_code == 200, answer.text
            document = answer.json()
            FORMS.validate(document)
            assert document["formats"] == [name.partition("-")[0]]
            assert document["language"] == "ja"
            assert len(document["groups"]) <= 3
            assert answer.headers["content-language"] == "ja"

    in_house(work)


def test_filters(in_house: Callable[..., None]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        body = {"log": (LOGS / "postfix-recorded.log").read_text()}
        answer = await client.post(URL, json=body, params={"destination": "rude", "format": "postfix"})
        assert [one["destination"] for one in answer.json()["groups"]] == ["rude.example"]
        answer = await client.post(URL, json=body, params={"format": "exim"})
        assert answer.json()["events"] == 0

    in_house(work)


@pytest.mark.parametrize(
    ("query", "body", "words"),
    [
        ({}, {"log": "nothing known\n"}, "no line of it"),
        ({}, {"log": " "}, "nothing to explain"),
        ({}, {"log": 7}, "nothing to explain"),
        ({}, {}, "nothing to explain"),
        ({}, {"log": "x", "more": 1}, "no field `more`"),
        ({"lang": "xx"}, {"log": "x"}, "no language"),
        ({"format": "sendmail"}, {"log": "x"}, "no format"),
        ({"since": "soon"}, {"log": "x"}, "since"),
        ({"eggs": "1"}, {"log": "x"}, "eggs"),
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


def test_a_log_that_is_too_long_is_refused(in_house: Callable[..., None]) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        assert (await client.post(URL, json={"log": "x" * 300_000})).status_code == 413

    in_house(work)
