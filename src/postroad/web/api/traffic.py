"""Traffic over the JSON API: how much mail and how many replies, in time.

| method and path | query | answer |
|---|---|---|
| GET /api/v1/traffic | seconds (86400), step (3600) | ``{"now", "step", "starts", "values", "totals", "codes"}`` |

``values`` has a list for each name that ``observe.traffic`` tells, a number for each of ``starts`` (seconds since the
epoch); the last bucket is the one that fills. ``totals`` are of the same time, ``codes`` count replies by their code.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from postroad.admin import Admin
from postroad.admin.traffic import MAX_BUCKETS
from postroad.web.answers import Json
from postroad.web.door.people import Role, must_be
from postroad.web.problems import Refusal
from postroad.web.requests import check_query, number

#: Seconds that are known at most.
LONGEST: Final = 8 * 86_400


class TrafficApi:
    """Answers."""

    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    async def traffic(self, request: Request) -> Response:
        """All of it for a time."""
        must_be(request, Role.VIEWER)
        check_query(request, "seconds", "step")
        seconds, step = number(request, "seconds", 86_400, LONGEST), number(request, "step", 3600, LONGEST)
        if not seconds or not step or seconds > step * MAX_BUCKETS:
            raise Refusal(
                400, f"`seconds` in steps of `step` must be 1 to {MAX_BUCKETS} buckets", "seconds=3600&step=60"
            )
        desk = self._admin.traffic
        span = desk.series(seconds, step)
        shape = {"now": self._admin.now(), "step": span.step, "starts": span.starts, "values": span.values}
        shape["totals"] = asdict(desk.totals(seconds))
        shape["codes"] = {str(code): asdict(seen) for code, seen in desk.codes(seconds).items()}
        return Json(shape)
