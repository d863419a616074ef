"""The description of the API is whole and true: of every route, and of what is really answered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from postroad.inbox.chaos import read_rule
from postroad.web.api import openapi
from postroad.web.door.people import Role
from tests.web.house import House
from tests.web.queue_house import GREYLISTED, QueueHouse

InHouse = Callable[..., None]
STREAMS = {"followEvents", "followDiagnosis"}


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": openapi.document()["components"]})


def described(operation: str) -> tuple[str, str, dict[str, Any]]:
    for path, methods in openapi.document()["paths"].items():
        for method, found in methods.items():
            if found["operationId"] == operation:
                return method.upper(), path, found
    raise AssertionError(operation)


def check(operation: str, answer: httpx.Response) -> None:
    """The answer is one of those that are described."""
    _, _, found = described(operation)
    response = found["responses"][str(answer.status_code)]
    if answer.status_code == 204:
        assert answer.content == b""
        return
    kind = answer.headers["content-type"].partition(";")[0]
    if answer.status_code < 300 and not kind.endswith("json"):
        return
    validator(response["content"][kind]["schema"]).validate(answer.json())


@pytest.mark.parametrize("language", ["en", "ja"])
def test_it_is_openapi(language: str) -> None:
    document = json.loads(openapi.as_json(language))
    assert document["openapi"] == "3.1.0"
    validate(document)
    ids = [found["operationId"] for methods in document["paths"].values() for found in methods.values()]
    assert len(ids) == len(set(ids)) > 55


def references(value: Any) -> Iterator[str]:
    match value:
        case dict():
            for key, inner in value.items():
                if key == "$ref":
                    yield inner
                else:
                    yield from references(inner)
        case list():
            for inner in value:
                yield from references(inner)


def test_every_reference_leads_somewhere() -> None:
    document = openapi.document()
    for reference in references(document):
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def test_every_route_is_described_and_nothing_else() -> None:
    routes = set()
    for route in House(exposition=exposition).app.routes:
        path = re.sub(r"\{([a-z]+):path\}", r"{\1}", route.path)  # type: ignore[attr-defined]
        if path.startswith("/api/v1") or path in ("/livez", "/readyz", "/metrics"):
            routes |= {(method, path) for method in route.methods - {"HEAD"}}  # type: ignore[attr-defined]
    assert routes == {(one.method, one.path) for one in openapi.operations()}


def test_words_of_the_query_are_those_that_are_taken(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        for one in openapi.operations():
            if one.tag == "server" and not one.path.startswith("/api/"):
                continue
            path = re.sub(r"\{.*?\}", "1", one.path)
            body = {} if one.body else None
            refused = await client.request(one.method, path, params={"surely_unknown": "1"}, json=body)
            assert (refused.status_code, "query word" in refused.text) == (400, True), (one.method, path)
            if one.id in STREAMS or one.method != "GET":
                continue
            known = {name: {"timeout": "0", "wait": "0"}.get(name, "1") for name in one.query}
            for name, value in known.items():
                patience = {"timeout": "0"} if "timeout" in known else {}
                answer = await client.get(path, params={**patience, name: value})
                assert "query word" not in answer.text, (path, name)

    in_house(work)


async def exposition() -> bytes:
    return b"# no metrics\n"


async def filled(house: House) -> str:
    message = await house.put()
    await house.put(
        b"Subject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/html\r\n"
        b"\r\n<p>hi</p>\r\n--b\r\nContent-Type: a/b\r\nContent-Disposition: attachment; filename=x\r\n\r\nx\r\n--b--\r\n"
    )
    house.session("s2", refusals=("550 5.7.1 no",), messages=(message,))
    assert house.chaos is not None
    house.chaos.add(read_rule({"to": "*@x", "reply": 455, "times": 2}))
    house.conditions.set("SIZE", "why", 60)
    return message


def test_answers_of_a_developers_house(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        message = await filled(house)
        names = {"{id}": message, "{code}": "455", "{number}": "0", "{name}": "example.net", "{parameter}": "SIZE"}
        params: dict[str, dict[str, str]] = {
            "compareCodes": {"a": "220", "b": "455"},
            "explainReply": {"text": "451 4.7.1 Greylisted"},
            "awaitMail": {"timeout": "0"},
        }
        for one in openapi.operations():
            if one.method != "GET" or one.id in STREAMS:
                continue
            path = one.path
            for name, value in names.items():
                path = path.replace(name, "s2" if one.id == "getSession" else value)
            answer = await client.get(path, params=params.get(one.id))
            check(one.id, answer)

    in_house(work, exposition=exposition)


def test_what_is_changed_answers_as_described(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        message = await filled(house)
        asked: list[tuple[str, str, Any]] = [
            ("addRule", "/api/v1/chaos", {"reply": 455}),
            ("addRule", "/api/v1/chaos", {"reply": "many"}),
            ("replaceRules", "/api/v1/chaos", {"rules": [{"reply": 451, "id": "r"}]}),
            ("removeRule", "/api/v1/chaos/r", None),
            ("clearRules", "/api/v1/chaos", None),
            ("switchCondition", "/api/v1/conditions/SIZE", {"available": False, "seconds": 5}),
            ("switchCondition", "/api/v1/conditions/SIZE", {}),
            ("clearCondition", "/api/v1/conditions/SIZE", None),
            ("clearConditions", "/api/v1/conditions", None),
            ("addToken", "/api/v1/tokens", {"name": "ci", "role": "viewer", "days": 1}),
            ("removeToken", "/api/v1/tokens/ci", None),
            ("removeToken", "/api/v1/tokens/ci", None),
            ("explainBounce", "/api/v1/bounces/explain", {"message": "From: a@b\nSubject: x\n\nUser unknown"}),
            ("explainLog", "/api/v1/logs/explain", {"log": "nothing that is a log"}),
            ("explainText", "/api/v1/explain", {"text": "455 4.5.4 no"}),
            ("checkSetup", "/api/v1/setup/check", {}),
            ("removeMail", f"/api/v1/inbox/{message}", None),
            ("clearInbox", "/api/v1/inbox", None),
        ]
        for operation, path, body in asked:
            method, _, found = described(operation)
            if body and "requestBody" in found and operation not in ("addRule", "explainLog"):
                schema = found["requestBody"]["content"]["application/json"]["schema"]
                validator(schema).validate(body)
            check(operation, await client.request(method, path, json=body))

    in_house(work)


def test_answers_about_a_queue() -> None:
    import asyncio

    async def work() -> None:
        house = QueueHouse()
        message = await house.put("kana@example.net")
        await house.tried(message, GREYLISTED)
        transport = httpx.ASGITransport(house.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for operation in ("listQueue", "countQueue", "getQueued", "explainQueued", "readLog", "listDestinations"):
                _, path, _ = described(operation)
                check(operation, await client.get(path.replace("{id}", message)))
            check("getDestination", await client.get("/api/v1/destinations/example.net"))
            for body in (
                {"action": "hold", "all": True, "dry_run": True},
                {"action": "hold"},
                {"action": "no", "all": True},
            ):
                check("actOnQueue", await client.post("/api/v1/queue/actions", json=body))

    asyncio.run(work())


@pytest.mark.parametrize("role", [None, Role.VIEWER])
def test_roles_are_those_that_are_asked_for(in_house: InHouse, role: Role | None) -> None:
    has = {None: 0, Role.VIEWER: 1}[role]

    async def work(house: House, client: httpx.AsyncClient) -> None:
        message = await house.put()
        names = {"{id}": message, "{code}": "455", "{number}": "0", "{name}": "example.net", "{parameter}": "SIZE"}
        for one in openapi.operations():
            if one.id in STREAMS or one.id == "getMetrics":  # the machine itself may scrape without a role
                continue
            path = one.path
            for name, value in names.items():
                path = path.replace(name, value)
            headers = {"origin": "http://localhost:8025"}
            answer = await client.request(one.method, path, headers=headers, json={} if one.body else None)
            is_closed = ("nobody", "viewer", "operator").index(one.role) > has
            assert (answer.status_code in (401, 403)) == is_closed, (one.id, answer.status_code)

    in_house(work, dev=False, role=role)


@pytest.mark.parametrize(("language", "word"), [("en", "Recipients that wait"), ("ja", "待機中の宛先")])
def test_the_page_for_people(in_house: InHouse, language: str, word: str) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        page = await client.get("/api/docs", params={"lang": language})
        assert page.status_code == 200
        assert word in page.text
        for one in openapi.operations():
            assert f'id="{one.id}"' in page.text
        assert "--unix-socket" in page.text and "Bearer $TOKEN" in page.text

    in_house(work)


def test_strangers_may_read_it(in_house: InHouse) -> None:
    async def work(house: House, client: httpx.AsyncClient) -> None:
        assert (await client.get("/api/docs")).status_code == 200
        described_here = await client.get("/api/v1/openapi.json")
        assert described_here.status_code == 200
        again = await client.get("/api/v1/openapi.json", headers={"if-none-match": described_here.headers["etag"]})
        assert again.status_code == 304

    in_house(work, dev=False, people={"ann": ("correct horse", "viewer")})
