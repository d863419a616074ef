"""Destinations over the JSON API.

| method and path | query | answer |
|---|---|---|
| GET /api/v1/destinations | part, trouble, after, limit | ``postroad.destinations/1``: ``{"schema", "now", "destinations": [standing], "next", "matching", "trouble"}`` |
| GET /api/v1/destinations/{name} | | ``postroad.destination/1``: a standing with ``answers``, ``hosts``, ``waiting_for``, ``route``, ``limits``, ``week`` |

A standing: ``{"name", "unicode", "state", "waiting", "held", "oldest", "next_due", "rests_until", "rate", "tally",
"present", "self"}``. ``state`` is ``resting``, ``refusing``, ``deferring``, ``well`` or ``quiet``; ``rate`` is the part of the tries of 24
hours that got through, null when nothing was tried. Lists begin with trouble; give ``next`` back as ``after``.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from postroad.admin import Admin
from postroad.admin.destinations import Destination, Host, Standing, as_written
from postroad.admin.heard import Answer, Run
from postroad.admin.traffic import Span, Tally
from postroad.delivery.routing import Mx, Route, Smtp
from postroad.errors import NotFound
from postroad.replies.shape import reply_shape
from postroad.web.answers import Json
from postroad.web.api.message_shapes import stamp
from postroad.web.requests import check_query, flag, number, word

_MAX_ROWS: Final = 1_000

_Json = dict[str, Any]


class DestinationsApi:
    """Answers."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    async def list(self, request: Request) -> Response:
        """How they stand, trouble first."""
        check_query(request, "part", "trouble", "after", "limit")
        limit = max(number(request, "limit", 50, _MAX_ROWS), 1)
        page = await self._admin.destinations.page(
            word(request, "part"), trouble=flag(request, "trouble"), after=word(request, "after"), limit=limit
        )
        return Json(
            {
                "schema": "postroad.destinations/1",
                "now": stamp(self._admin.now()),
                "destinations": [standing_shape(one) for one in page.rows],
                "next": page.next or None,
                "matching": page.matching,
                "trouble": page.trouble,
            }
        )

    async def one(self, request: Request) -> Response:
        """All that is known of one."""
        check_query(request)
        name = request.path_params["name"]
        found = await self._admin.destinations.find(name)
        if not found.is_known:
            raise NotFound(f"nothing is known of a destination `{name[:80]}`", "GET /api/v1/destinations lists them")
        return Json({"schema": "postroad.destination/1", "now": stamp(self._admin.now()), **destination_shape(found)})


def standing_shape(one: Standing) -> _Json:
    """A row; see the module."""
    return {
        "name": one.name,
        "unicode": as_written(one.name) or None,
        "state": one.state.value,
        "waiting": one.waiting,
        "held": one.held,
        "oldest": _moment(one.oldest),
        "next_due": _moment(one.next_due),
        "rests_until": _moment(one.rests_until),
        "rate": None if one.rate is None else round(one.rate, 4),
        "tally": _tally(one.tally),
        "present": None if one.present is None else _answer(one.present),
        "self": f"/api/v1/destinations/{quote(one.name, safe='')}",
    }


def destination_shape(found: Destination) -> _Json:
    """All of it; see the module."""
    site, rule = found.site, found.rule
    return {
        **standing_shape(found.standing),
        "failing": None if found.heard.run is None else _run(found.heard.run),
        "answers": [_answer(one) for one in found.heard.answers],
        "hosts": [_host(one) for one in found.hosts],
        "waiting_for": [{"key": one.key, "recipients": one.recipients} for one in found.causes],
        "messages": [{"id": row.message.id, "to": row.recipient.forward_path} for row in found.rows],
        "route": _route(found.route),
        "limits": {
            "running": None if site is None else site.running,
            "at_once": None if site is None else site.at_once,
            "failures": 0 if site is None else site.failures,
            "last_fault": "" if site is None else site.last_fault,
            "per_site": rule.per_site or None,
            "rate": rule.rate or None,
        },
        "week": _tally(found.week) | ({} if found.span is None else {"series": _span(found.span)}),
    }


def _host(one: Host) -> _Json:
    last = one.last
    return {
        "host": last.host,
        "at": stamp(last.at),
        "seconds": round(last.seconds, 3),
        "outcome": last.outcome.value,
        "reply": reply_shape(last.reply),
        "note": last.note,
        "stage": last.stage,
        "security": last.security,
        "tries": last.tries,
        "delivered": last.delivered,
        "offers": list(one.remembered.offers),
        "refused": {keyword: round(left) for keyword, left in one.remembered.refused.items()},
    }


def _answer(one: Answer) -> _Json:
    times = {"first": stamp(one.first), "last": stamp(one.last)} if one.last else {"first": None, "last": None}
    return {
        "reply": reply_shape(one.reply),
        "note": one.note,
        "outcome": one.outcome.value,
        "count": one.count,
        **times,
    }


def _run(run: Run) -> _Json:
    return {"since": stamp(run.since), "tries": run.tries, "top": _answer(run.top)}


def _route(route: Route | None) -> _Json | None:
    if route is None:
        return None
    tls = route.tls.value if isinstance(route, (Mx, Smtp)) else None
    return {"way": str(route), "tls": tls}


def _tally(tally: Tally) -> _Json:
    counts = {"delivered": tally.delivered, "deferred": tally.deferred, "failed": tally.failed}
    return counts | {"last_delivered_at": _moment(tally.last_delivered_at)}


def _span(span: Span) -> _Json:
    return {"starts": [stamp(one) for one in span.starts], "step": span.step, "values": dict(span.values)}


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else stamp(seconds)
