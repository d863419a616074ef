"""Tokens of programs over the JSON API; for operators.

| method and path | body | answer |
|---|---|---|
| GET /api/v1/tokens | | ``{"tokens": [token]}`` |
| POST /api/v1/tokens | ``{"name", "role", "days"}`` | 201, token with its ``secret``, told this once |
| DELETE /api/v1/tokens/{name} | | 204 |

Who comes with a token makes no tokens: what was stolen could not be taken back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from postroad.admin import Admin
from postroad.admin.tokens import Token
from postroad.observe.log import get_logger
from postroad.web.answers import Json
from postroad.web.api.message_shapes import stamp
from postroad.web.door.people import Role, must_be, person_of
from postroad.web.problems import Refusal
from postroad.web.requests import check_query, json_body

log = get_logger("web.door")


class TokensApi:
    """Answers."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def table(self) -> list[tuple[str, str, Callable[[Request], Awaitable[Response]]]]:
        """(path below /api/v1, method, who answers)"""
        return [
            ("/tokens", "GET", self.tokens),
            ("/tokens", "POST", self.add),
            ("/tokens/{name}", "DELETE", self.remove),
        ]

    async def tokens(self, request: Request) -> Response:
        """All, without their secrets."""
        must_be(request, Role.OPERATOR)
        check_query(request)
        return Json({"tokens": [shape(one) for one in self._admin.access.tokens.list()]})

    async def add(self, request: Request) -> Response:
        """A new one."""
        must_be(request, Role.OPERATOR)
        if person_of(request).session.startswith("token:"):
            raise Refusal(403, "a token makes no tokens", "sign in, or: postroad token add NAME")
        given = await json_body(request)
        name, role, days = given.pop("name", None), given.pop("role", None), given.pop("days", None)
        if given:
            raise Refusal(400, f"there is no `{next(iter(given))[:40]}`", "known here: name, role, days")
        if not isinstance(name, str) or not isinstance(role, str):
            raise Refusal(400, "`name` and `role` must be texts", '{"name": "ci", "role": "viewer", "days": 90}')
        if days is not None and (isinstance(days, bool) or not isinstance(days, int)):
            raise Refusal(400, "`days` must be a whole number", "leave it out for a token that does not end by itself")
        made, secret = self._admin.access.tokens.add(name, role, days)
        log.info("token made", token=made.name, role=made.role, by=person_of(request).name)
        return Json({**shape(made), "secret": secret}, 201)

    async def remove(self, request: Request) -> Response:
        """One fewer, at once."""
        must_be(request, Role.OPERATOR)
        name = request.path_params["name"]
        self._admin.access.tokens.remove(name)
        log.info("token removed", token=name[:64], by=person_of(request).name)
        return Response(status_code=204)


def shape(token: Token) -> dict[str, Any]:
    """One of them."""
    return {
        "name": token.name,
        "role": token.role,
        "created": stamp(token.created_at),
        "last_used": None if token.used_at is None else stamp(token.used_at),
        "ends": None if token.ends_at is None else stamp(token.ends_at),
    }
