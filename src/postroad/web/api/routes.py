"""The JSON API, version 1. Shapes are in ``shapes``; errors are problem details (RFC 9457) with a ``hint``.

| method and path | query or body | answer |
|---|---|---|
| GET /api/v1/status | | status |
| GET /api/v1/inbox | to, from, subject, after, before, limit | ``{"messages": [row], "before"}`` |
| GET /api/v1/inbox/wait | to, from, subject, after (id or sequence), timeout | message; 404 when none came in time |
| DELETE /api/v1/inbox | to, from, subject | ``{"removed"}`` |
| GET, DELETE /api/v1/inbox/{id} | | message; 204 |
| GET /api/v1/inbox/{id}/raw, text, html, transcript, journal, attachments/{n} | | the thing itself |
| GET /api/v1/chaos | | ``{"rules": [rule]}`` |
| POST /api/v1/chaos | rule | rule; it stands in front of the others |
| PUT /api/v1/chaos | ``{"rules": [rule]}`` | ``{"rules": [rule]}`` |
| DELETE /api/v1/chaos, /api/v1/chaos/{id} | | ``{"removed"}`` |
| GET /api/v1/conditions | | ``{"conditions": [condition], "known"}`` |
| PUT /api/v1/conditions/{PARAMETER} | ``{"available": false, "seconds": 600, "why": "…"}`` | condition |
| DELETE /api/v1/conditions, /api/v1/conditions/{PARAMETER} | | ``{"removed"}`` |
| GET /api/v1/sessions | refused, before, limit | ``{"sessions": [session], "before"}`` |
| GET /api/v1/sessions/{id} | | session with transcript |
| /api/v1/queue…, /api/v1/log | | see ``queue`` |
| GET /api/v1/events | topics, last | see ``events`` |
| GET /api/v1/traffic | seconds, step | see ``traffic`` |
| /api/v1/diagnose… | | see ``diagnose`` |
| POST /api/v1/bounces/explain | | see ``bounces`` |
| POST /api/v1/logs/explain | | see ``logs`` |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.admin import MAX_WAIT, Admin
from postroad.inbox.chaos import read_rule
from postroad.web.answers import Json, attachment_response, html_response, raw_response, while_connected
from postroad.web.api import bounces, logs, shapes
from postroad.web.api.diagnose import DiagnoseApi
from postroad.web.api.events import EventsApi
from postroad.web.api.queue import QueueApi
from postroad.web.api.traffic import TrafficApi
from postroad.web.door.people import Role, must_be
from postroad.web.problems import Refusal
from postroad.web.requests import check_query, flag, json_body, number, seconds, wanted, word

_BASE: Final = "/api/v1"
_FILTER: Final = ("to", "from", "subject")

#: (path below /api/v1, method, who answers)
_Row = tuple[str, str, Callable[[Request], Awaitable[Response]]]
#: What needs nothing of this server.
_DIAGNOSIS: Final[tuple[_Row, ...]] = (
    ("/bounces/explain", "POST", bounces.explain),
    ("/logs/explain", "POST", logs.explain),
)


def routes(admin: Admin, *, near: bool = False, endings: list[Callable[[], None]] | None = None) -> list[BaseRoute]:
    """The routes below /api/v1. ``near``: nobody but the operator reaches us.

    ``endings`` gets what is to be called when the server stops, so that no stream outlives it.
    """
    api = _Api(admin)
    diagnose = DiagnoseApi(near=near)
    events = EventsApi(admin)
    if endings is not None:
        endings += (diagnose.close, events.close)
    table: list[_Row] = [
        ("/status", "GET", api.status),
        ("/inbox", "GET", api.inbox),
        ("/inbox", "DELETE", api.inbox_clear),
        ("/inbox/wait", "GET", api.inbox_wait),
        ("/inbox/{id}", "GET", api.message),
        ("/inbox/{id}", "DELETE", api.message_remove),
        ("/inbox/{id}/raw", "GET", api.raw),
        ("/inbox/{id}/text", "GET", api.text),
        ("/inbox/{id}/html", "GET", api.html),
        ("/inbox/{id}/transcript", "GET", api.transcript),
        ("/inbox/{id}/journal", "GET", api.journal),
        ("/inbox/{id}/attachments/{number}", "GET", api.attachment),
        *_dev_mode(api),
        *_queue(QueueApi(admin)),
        ("/events", "GET", events.stream),
        ("/traffic", "GET", TrafficApi(admin).traffic),
        *_diagnose(diagnose),
        *_DIAGNOSIS,
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

    async def endpoint(request: Request) -> Response:
        return await by_method[request.method](request)

    return Route(_BASE + path, endpoint, methods=list(by_method))


class _Api:
    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    async def status(self, request: Request) -> Response:
        """How the server goes."""
        check_query(request)
        return Json(shapes.status_shape(await self._admin.status()))

    # ── inbox ───────────────────────────────────────────────────────────────

    async def inbox(self, request: Request) -> Response:
        """Rows newest first; give ``before`` of the answer back to get the next page."""
        check_query(request, *_FILTER, "after", "before", "limit")
        limit = number(request, "limit", 50, 500)
        after, before = number(request, "after", 0), number(request, "before", 0)
        page = await self._admin.inbox_list(wanted(request), after, before, max(limit, 1))
        return Json({"messages": [shapes.item_shape(item) for item in page.items], "before": page.before})

    async def inbox_wait(self, request: Request) -> Response:
        """The first match behind ``after``, or without it the newest that is there; waits ``timeout`` seconds (30)."""
        check_query(request, *_FILTER, "after", "timeout")
        timeout = seconds(request, "timeout", 30.0, MAX_WAIT)
        after = await self._after(word(request, "after"))
        item = await while_connected(request, self._admin.inbox_wait(wanted(request), after, timeout))
        if item is None:
            raise Refusal(
                404,
                f"no such mail came within {timeout:g} seconds",
                "GET /api/v1/sessions?refused=true shows what was refused",
            )
        view = await self._admin.message_view(item.message.id)
        return Json(shapes.detail_shape(item.message, view))

    async def _after(self, text: str) -> int | None:
        """``after`` names a message by id or by sequence number; None when absent."""
        if not text:
            return None
        if text.isascii() and text.isdecimal() and len(text) <= 18:
            return int(text)
        return (await self._admin.message(text)).sequence

    async def inbox_clear(self, request: Request) -> Response:
        """Delete what matches, all without a filter."""
        must_be(request, Role.OPERATOR)
        check_query(request, *_FILTER)
        return Json({"removed": await self._admin.inbox_clear(wanted(request))})

    async def message(self, request: Request) -> Response:
        """One message, decoded."""
        message = await self._admin.message(request.path_params["id"])
        return Json(shapes.detail_shape(message, await self._admin.message_view(message.id)))

    async def message_remove(self, request: Request) -> Response:
        """Delete one."""
        must_be(request, Role.OPERATOR)
        await self._admin.inbox_remove(request.path_params["id"])
        return Response(status_code=204)

    async def raw(self, request: Request) -> Response:
        """The octets as kept; ``download=true`` gives a file."""
        check_query(request, "download")
        return await raw_response(self._admin, request.path_params["id"], flag(request, "download"))

    async def text(self, request: Request) -> Response:
        """The plain text; 404 when there is none."""
        view = await self._admin.message_view(request.path_params["id"])
        if view.text is None:
            raise Refusal(404, "this message has no plain text", "its HTML is beside, at html")
        return Response(view.text.encode("utf-8", "replace"), media_type="text/plain; charset=utf-8")

    async def html(self, request: Request) -> Response:
        """The HTML under a policy that lets it run nothing and load nothing; 404 when there is none."""
        return await html_response(self._admin, request.path_params["id"])

    async def transcript(self, request: Request) -> Response:
        """The SMTP session that brought it."""
        text = await self._admin.message_transcript(request.path_params["id"])
        return Response(text.encode("utf-8", "replace"), media_type="text/plain; charset=utf-8")

    async def journal(self, request: Request) -> Response:
        """What was tried for it."""
        attempts = await self._admin.message_journal(request.path_params["id"])
        return Json({"attempts": [shapes.attempt_shape(attempt) for attempt in attempts]})

    async def attachment(self, request: Request) -> Response:
        """A part as a file."""
        return await attachment_response(self._admin, request.path_params["id"], request.path_params["number"])

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
        check_query(request, "refused", "before", "limit")
        limit = max(number(request, "limit", 50, 500), 1)
        found = await self._admin.sessions_list(flag(request, "refused"), limit + 1, word(request, "before"))
        shown = found[:limit]
        before = shown[-1].id if len(found) > limit else None
        return Json({"sessions": [shapes.session_shape(record) for record in shown], "before": before})

    async def session(self, request: Request) -> Response:
        """One, with its transcript."""
        return Json(shapes.session_shape(await self._admin.session(request.path_params["id"]), with_transcript=True))
