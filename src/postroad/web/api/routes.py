"""The JSON API, version 1. Shapes are in ``shapes``; errors are problem details (RFC 9457) with a ``hint``.

| method and path | query or body | answer |
|---|---|---|
| GET /api/v1/status | | status |
| GET /api/v1/inbox | q, to, from, subject, after, before, limit | ``{"messages": [row], "before"}`` |
| GET /api/v1/inbox/wait | q, to, from, subject, after (id or sequence), timeout | message; 404 when none came in time |
| DELETE /api/v1/inbox | q, to, from, subject | ``{"removed"}`` |
| GET, DELETE /api/v1/inbox/{id} | | message; 204 |
| GET /api/v1/inbox/{id}/raw, text, html, transcript, journal, attachments/{n} | | the thing itself |
| POST /api/v1/inbox/{id}/release | ``{"to": [], "server", "from"}`` | what came of it; dev mode only |
| GET /api/v1/chaos | | ``{"rules": [rule]}`` |
| POST /api/v1/chaos | rule | rule; it stands in front of the others |
| PUT /api/v1/chaos | ``{"rules": [rule]}`` | ``{"rules": [rule]}`` |
| DELETE /api/v1/chaos, /api/v1/chaos/{id} | | ``{"removed"}`` |
| GET /api/v1/conditions | | ``{"conditions": [condition], "known"}`` |
| PUT /api/v1/conditions/{PARAMETER} | ``{"available": false, "seconds": 600, "why": "…"}`` | condition |
| DELETE /api/v1/conditions, /api/v1/conditions/{PARAMETER} | | ``{"removed"}`` |
| GET /api/v1/sessions | refused, peer, code, before, limit | ``{"sessions": [session], "before"}`` |
| GET /api/v1/sessions/{id} | | session with transcript |
| /api/v1/queue…, /api/v1/log | | see ``queue`` |
| /api/v1/destinations… | | see ``destinations`` |
| GET /api/v1/attention | lang | see ``attention`` |
| GET /api/v1/events | topics, last | see ``events`` |
| GET /api/v1/traffic | seconds, step | see ``traffic`` |
| /api/v1/diagnose… | | see ``diagnose`` |
| GET, POST /api/v1/tokens, DELETE /api/v1/tokens/{name} | | see ``tokens`` |
| POST /api/v1/bounces/explain | | see ``bounces`` |
| POST /api/v1/logs/explain | | see ``logs`` |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.admin import Admin
from postroad.inbox.chaos import read_rule
from postroad.web.answers import Json
from postroad.web.api import bounces, logs, openapi, shapes
from postroad.web.api.attention import AttentionApi
from postroad.web.api.destinations import DestinationsApi
from postroad.web.api.diagnose import DiagnoseApi
from postroad.web.api.events import EventsApi
from postroad.web.api.inbox import InboxApi
from postroad.web.api.queue import QueueApi
from postroad.web.api.setup import SetupApi
from postroad.web.api.tokens import TokensApi
from postroad.web.api.traffic import TrafficApi
from postroad.web.diagnosing import Diagnoses
from postroad.web.door.people import Role, must_be
from postroad.web.problems import Refusal
from postroad.web.requests import check_query, flag, json_body, number, word

_BASE: Final = "/api/v1"

#: (path below /api/v1, method, who answers)
_Row = tuple[str, str, Callable[[Request], Awaitable[Response]]]
#: What needs nothing of this server.
_DIAGNOSIS: Final[tuple[_Row, ...]] = (
    ("/bounces/explain", "POST", bounces.explain),
    ("/logs/explain", "POST", logs.explain),
)


def routes(admin: Admin, diagnoses: Diagnoses, events: EventsApi) -> list[BaseRoute]:
    """The routes below /api/v1; ``diagnoses`` are those of the pages, too; ``events`` end with the server."""
    api = _Api(admin)
    destinations = DestinationsApi(admin)
    table: list[_Row] = [
        ("/status", "GET", api.status),
        *InboxApi(admin).table(),
        *_dev_mode(api),
        *_queue(QueueApi(admin)),
        ("/destinations", "GET", destinations.list),
        ("/destinations/{name:path}", "GET", destinations.one),
        ("/attention", "GET", AttentionApi(admin).attention),
        ("/events", "GET", events.stream),
        ("/traffic", "GET", TrafficApi(admin).traffic),
        *_diagnose(DiagnoseApi(diagnoses)),
        *TokensApi(admin).table(),
        *_DIAGNOSIS,
        *SetupApi(admin).table(),
    ]
    return [
        _route(path, [(method, call) for p, method, call in table if p == path])
        for path in dict.fromkeys(p for p, _, _ in table)
    ]


def _dev_mode(api: _Api) -> list[_Row]:
    return [
        ("/chaos", "GET", api.chaos),
        ("/chaos", "POST", api.chaos_add),
        ("/chaos", "PUT", api.chaos_replace),
        ("/chaos", "DELETE", api.chaos_clear),
        ("/chaos/{id}", "DELETE", api.chaos_remove),
        ("/conditions", "GET", api.conditions),
        ("/conditions", "DELETE", api.conditions_clear),
        ("/conditions/{parameter}", "PUT", api.condition_set),
        ("/conditions/{parameter}", "DELETE", api.condition_clear),
        ("/sessions", "GET", api.sessions),
        ("/sessions/{id}", "GET", api.session),
    ]


def _diagnose(diagnose: DiagnoseApi) -> list[_Row]:
    return [
        ("/diagnose", "POST", diagnose.begin),
        ("/diagnose/{id}", "GET", diagnose.job),
        ("/diagnose/{id}", "DELETE", diagnose.end),
        ("/diagnose/{id}/events", "GET", diagnose.events),
    ]


def _queue(queue: QueueApi) -> list[_Row]:
    return [
        ("/queue", "GET", queue.queue),
        ("/queue/groups", "GET", queue.groups),
        ("/queue/actions", "POST", queue.actions),
        ("/queue/{id}", "GET", queue.message),
        ("/queue/{id}/raw", "GET", queue.raw),
        ("/queue/{id}/why", "GET", queue.why),
        ("/log", "GET", queue.log),
    ]


def _route(path: str, calls: list[tuple[str, Callable[[Request], Awaitable[Response]]]]) -> Route:
    by_method = dict(calls)
    if "GET" in by_method:
        by_method["HEAD"] = by_method["GET"]

    known = openapi.known_words(_BASE + path)

    async def endpoint(request: Request) -> Response:
        check_query(request, *known["GET" if request.method == "HEAD" else request.method])
        return await by_method[request.method](request)

    return Route(_BASE + path, endpoint, methods=list(by_method))


class _Api:
    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    async def status(self, request: Request) -> Response:
        """How the server goes."""
        check_query(request)
        return Json(shapes.status_shape(await self._admin.status()))

    # ── chaos ───────────────────────────────────────────────────────────────

    async def chaos(self, request: Request) -> Response:
        """The rules."""
        return Json({"rules": [shapes.rule_shape(state) for state in await self._admin.chaos_list()]})

    async def chaos_add(self, request: Request) -> Response:
        """One more, in front."""
        must_be(request, Role.OPERATOR)
        rule = await self._admin.chaos_add(read_rule(await json_body(request)))
        return Json(rule.fields(), 201)

    async def chaos_replace(self, request: Request) -> Response:
        """These and no others."""
        must_be(request, Role.OPERATOR)
        given = (await json_body(request)).get("rules")
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise Refusal(400, "`rules` must be a list of rules", '{"rules": [{"to": "*@example.com", "reply": 455}]}')
        states = await self._admin.chaos_replace([read_rule(each) for each in given])
        return Json({"rules": [shapes.rule_shape(state) for state in states]})

    async def chaos_clear(self, request: Request) -> Response:
        """None any more."""
        must_be(request, Role.OPERATOR)
        return Json({"removed": await self._admin.chaos_remove()})

    async def chaos_remove(self, request: Request) -> Response:
        """One fewer."""
        must_be(request, Role.OPERATOR)
        return Json({"removed": await self._admin.chaos_remove(request.path_params["id"])})

    # ── conditions ──────────────────────────────────────────────────────────

    async def conditions(self, request: Request) -> Response:
        """What is refused now."""
        found = await self._admin.conditions_list()
        known = list(await self._admin.conditions_known())
        return Json({"conditions": [shapes.condition_shape(each) for each in found], "known": known})

    async def condition_set(self, request: Request) -> Response:
        """Switch a parameter off for a time, or on again."""
        must_be(request, Role.OPERATOR)
        given = await json_body(request)
        parameter = request.path_params["parameter"]
        available, span, why = given.pop("available", None), given.pop("seconds", None), given.pop("why", "")
        if given:
            raise Refusal(400, f"there is no `{next(iter(given))[:40]}`", "known here: available, seconds, why")
        if not isinstance(available, bool) or not isinstance(why, str):
            raise Refusal(
                400,
                "`available` must be true or false, `why` a text",
                '{"available": false, "seconds": 600, "why": "…"}',
            )
        if span is not None and (isinstance(span, bool) or not isinstance(span, int | float)):
            raise Refusal(400, "`seconds` must be a number", "leave it out to switch off until it is cleared")
        if available:
            return Json({"removed": await self._admin.conditions_clear(parameter)})
        return Json(shapes.condition_shape(await self._admin.conditions_set(parameter, why, span)))

    async def condition_clear(self, request: Request) -> Response:
        """Switch one on again."""
        must_be(request, Role.OPERATOR)
        return Json({"removed": await self._admin.conditions_clear(request.path_params["parameter"])})

    async def conditions_clear(self, request: Request) -> Response:
        """Switch all on again."""
        must_be(request, Role.OPERATOR)
        return Json({"removed": await self._admin.conditions_clear()})

    # ── sessions ────────────────────────────────────────────────────────────

    async def sessions(self, request: Request) -> Response:
        """Ended sessions, newest first; ``refused=true`` for those in which something was."""
        check_query(request, "refused", "peer", "code", "before", "limit")
        limit = max(number(request, "limit", 50, 500), 1)
        before, peer, code = word(request, "before"), word(request, "peer"), word(request, "code")
        found = await self._admin.sessions_list(flag(request, "refused"), limit + 1, before, peer, code)
        shown = found[:limit]
        older = shown[-1].id if len(found) > limit else None
        return Json({"sessions": [shapes.session_shape(record) for record in shown], "before": older})

    async def session(self, request: Request) -> Response:
        """One, with its transcript."""
        return Json(shapes.session_shape(await self._admin.session(request.path_params["id"]), with_transcript=True))
