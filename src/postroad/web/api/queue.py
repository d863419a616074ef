"""The queue over the JSON API. Forms are in schemas/queue.json, the filters are those of ``postroad queue``.

| method and path | query or body | answer |
|---|---|---|
| GET /api/v1/queue | filters, id, after, limit | ``postroad.queue/1`` |
| GET /api/v1/queue/groups | filters, by (destination, reply), limit | ``postroad.queue.groups/1`` |
| POST /api/v1/queue/actions | ``{"action", "ids", "filter": {…}, "all", "dry_run", "as_of", "at_most", "note"}`` | ``postroad.queue.action/1`` |
| GET /api/v1/queue/{id} | transcripts | ``postroad.queue.message/1`` |
| GET /api/v1/queue/{id}/raw | download | the message itself |
| GET /api/v1/queue/{id}/why | lang | ``postroad.queue.why/1`` |
| GET /api/v1/log | message, to, code, since (seconds ago), after, limit, wait | ``{"schema", "entries": [postroad.log/1], "next"}`` |

Filters: to, from, destination, code, reason, state, older. An id may be a part: its beginning or its end. ``as_of`` is
the ``at`` of a dry run: mail that came later is left alone, and ages are those of that moment.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from postroad.admin import MAX_WAIT, Admin
from postroad.admin.journal import LogPage, LogQuery
from postroad.admin.others import By
from postroad.admin.queue import QueueDesk
from postroad.admin.queue_actions import TooMany
from postroad.admin.queue_filter import FIELDS, QueueFilter, read_code, read_filter
from postroad.web.answers import Json, raw_response, while_connected
from postroad.web.api import queue_shapes as shapes
from postroad.web.door.people import Role, must_be
from postroad.web.language import asked_language
from postroad.web.problems import Refusal
from postroad.web.reading import must_read
from postroad.web.requests import check_query, flag, json_body, number, seconds, word

_MAX_ROWS: Final = 1_000
_MAX_IDS: Final = 1_000
_YEAR: Final = 366 * 86_400.0
_BODY: Final = ("action", "ids", "filter", "all", "dry_run", "as_of", "at_most", "note")


class QueueApi:
    """Answers."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    @property
    def _desk(self) -> QueueDesk:
        return self._admin.queue

    async def queue(self, request: Request) -> Response:
        """Who waits, oldest first."""
        check_query(request, *FIELDS, "id", "after", "limit")
        limit = max(number(request, "limit", 50, _MAX_ROWS), 1)
        page = await self._desk.page(self._wanted(request), word(request, "after"), limit)
        return Json(shapes.page_shape(page, self._desk.clock.wall(), self._admin.outlook.rests_until))

    async def groups(self, request: Request) -> Response:
        """How many wait for what."""
        check_query(request, *FIELDS, "id", "by", "limit")
        by = read_by(word(request, "by"))
        found = await self._desk.groups(by, self._wanted(request), max(number(request, "limit", 50, _MAX_ROWS), 1))
        return Json(shapes.groups_shape(by, found, self._desk.clock.wall()))

    async def actions(self, request: Request) -> Response:
        """Change what waits."""
        must_be(request, Role.OPERATOR)
        given = await json_body(request)
        ids, filter_, at_most = _read_body(given)
        as_of = _read_moment(given["as_of"]) if "as_of" in given else None
        now = self._desk.clock.wall()
        wanted = read_filter(filter_, ids, now if as_of is None else min(as_of, now), self._desk.rules)
        if not wanted.narrows and given.get("all") is not True:
            raise Refusal(400, "nothing says which messages are meant", "give ids, a filter, or all (--all)")
        wanted = wanted if as_of is None else wanted.as_of(as_of)
        try:
            done = await self._admin.queue_actions.act(
                given.get("action", ""),
                wanted,
                dry_run=given.get("dry_run", False),
                note=given.get("note", ""),
                at_most=at_most,
            )
        except TooMany as fault:
            raise Refusal(409, fault.message, fault.hint) from fault
        return Json(shapes.done_shape(done))

    async def message(self, request: Request) -> Response:
        """One, there or gone, with its attempts."""
        check_query(request, "transcripts")
        case = await self._desk.case(request.path_params["id"])
        return Json(shapes.case_shape(case, self._desk.clock.wall(), flag(request, "transcripts")))

    async def raw(self, request: Request) -> Response:
        """Its octets, for who may read mail here."""
        must_read(request, self._admin)
        check_query(request, "download")
        message_id = await self._desk.find(request.path_params["id"])
        return await raw_response(self._admin, message_id, flag(request, "download"))

    async def why(self, request: Request) -> Response:
        """Why it is where it is, as far as words are of the catalogue in the language ``lang``."""
        check_query(request, "lang")
        why = await self._admin.why(request.path_params["id"])
        return Json(shapes.why_shape(why, asked_language(request)))

    async def log(self, request: Request) -> Response:
        """The journal; ``wait``: seconds to wait for a line behind ``after``."""
        check_query(request, "message", "to", "code", "since", "after", "limit", "wait")
        since = word(request, "since")
        wanted = LogQuery(
            message=word(request, "message"),
            to=word(request, "to"),
            code=read_code(word(request, "code")),
            since=self._desk.clock.wall() - seconds(request, "since", 0.0, 100 * _YEAR) if since else None,
            after=number(request, "after", 0) if word(request, "after") else None,
            limit=max(number(request, "limit", 100, _MAX_ROWS), 1),
        )
        wait = seconds(request, "wait", 0.0, MAX_WAIT)
        page = await while_connected(request, self._admin.journal.page(wanted, wait))
        return Json(shapes.log_page_shape(page if page is not None else LogPage((), wanted.after or 0)))

    def _wanted(self, request: Request) -> QueueFilter:
        given = {name: word(request, name) for name in FIELDS}
        ids = [one for one in request.query_params.getlist("id") if one]
        return read_filter(given, ids[:_MAX_IDS], self._desk.clock.wall(), self._desk.rules)


def read_by(text: str) -> By:
    """What to group by; raises Refusal."""
    match text or "destination":
        case "destination":
            return "destination"
        case "reply":
            return "reply"
    raise Refusal(400, f"the queue is not grouped by `{text[:40]}`", "by: destination, reply")


def _read_body(given: Mapping[str, Any]) -> tuple[list[str], dict[str, str], int | None]:
    """Ids, filter and bound of an action; raises Refusal for what would be ignored or is none."""
    if unknown := [name for name in given if name not in _BODY]:
        raise Refusal(400, f"there is no `{unknown[0][:40]}`", "known here: " + ", ".join(_BODY))
    ids, filter_, at_most = given.get("ids", []), given.get("filter", {}), given.get("at_most")
    if not isinstance(ids, list) or not all(isinstance(one, str) and one for one in ids) or len(ids) > _MAX_IDS:
        raise Refusal(400, f"`ids` must be a list of at most {_MAX_IDS} ids", '"ids": ["0-…"]')
    if not isinstance(filter_, dict) or not all(isinstance(one, str) for one in filter_.values()):
        raise Refusal(400, "`filter` must be an object of texts", '"filter": {"to": "@example.net", "code": "4.7.*"}')
    if at_most is not None and (isinstance(at_most, bool) or not isinstance(at_most, int)):
        raise Refusal(400, "`at_most` must be a whole number")
    for name, kind in (("action", str), ("note", str), ("dry_run", bool), ("all", bool)):
        if name in given and not isinstance(given[name], kind):
            raise Refusal(400, f"`{name}` must be {'a text' if kind is str else 'true or false'}")
    return ids, filter_, at_most


def _read_moment(value: object) -> float:
    """A moment as the API writes them, in seconds since the epoch; raises Refusal."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Refusal(
            400, "`as_of` must be a moment with its zone", '"2026-11-24T05:31:46.123Z", the `at` of a dry run'
        )
    return moment.timestamp()
