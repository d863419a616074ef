"""The API described for people, of the same tables as the OpenAPI document; and the document itself."""

from __future__ import annotations

import hashlib
import shlex
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.web.api import openapi
from postroad.web.door.people import Role
from postroad.web.pages.house import House
from postroad.web.requests import check_query
from postroad.web.texts import LANGUAGES

#: What stands for a name in a path, in examples.
_EXAMPLES: Final = {"id": "ID", "code": "455", "number": "1", "name": "example.net", "parameter": "SIZE"}


class ApiDocs:
    """/api/docs and /api/v1/openapi.json."""

    def __init__(self, house: House, public_url: str = "") -> None:
        """``public_url``: where programs find the server; without it, where the reader did."""
        self._house = house
        self._public_url = public_url.rstrip("/")

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        return [
            Route("/api/docs", self._house.open(self.docs, Role.NOBODY), methods=["GET"]),
            Route("/api/v1/openapi.json", self.description, methods=["GET"]),
        ]

    async def docs(self, request: Request) -> Response:
        """All operations by their tags."""
        base = self._public_url or str(request.base_url).rstrip("/")
        groups: dict[str, list[openapi.Operation]] = {}
        for one in openapi.operations():
            groups.setdefault(one.tag, []).append(one)
        return self._house.page(
            request,
            "api_docs.html",
            groups=groups,
            words=openapi.parameter_words,
            fields=openapi.fields,
            curl=lambda one: _curl(base, one),
        )

    async def description(self, request: Request) -> Response:
        """The OpenAPI document."""
        check_query(request, "lang")
        language = request.query_params.get("lang", "en")
        octets = openapi.as_json(language if language in LANGUAGES else "en")
        etag = f'"{hashlib.sha256(octets).hexdigest()[:16]}"'
        headers = {"etag": etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == etag:
            return Response(status_code=304, headers=headers)
        return Response(octets, 200, headers, "application/json")


def _curl(base: str, one: openapi.Operation) -> str:
    """A line for the shell that asks it."""
    path = one.path
    for name in one.in_path:
        path = path.replace("{" + name + "}", quote(_EXAMPLES[name]))
    words = ["curl"] + ([] if one.method == "GET" else ["-X", one.method])
    if one.role != "nobody":
        words += ["-H", "Authorization: Bearer $TOKEN"]
    if one.body:
        words += ["-H", "Content-Type: application/json", "-d", openapi.example(one.body)]
    line = " ".join(_quoted(word) for word in words)
    return f"{line} {shlex.quote(base + path)}"


def _quoted(word: str) -> str:
    """In double quotes where the shell is to put the token in."""
    return f'"{word}"' if "$TOKEN" in word else shlex.quote(word)
