"""``GET /metrics``: what Prometheus scrapes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from postroad.observe.metrics import CONTENT_TYPE

#: Gives the text in Prometheus' format.
Exposition = Callable[[], Awaitable[bytes]]


def routes(exposition: Exposition) -> list[Route]:
    """The one address."""

    async def metrics(request: Request) -> Response:
        return Response(await exposition(), headers={"Content-Type": CONTENT_TYPE})

    return [Route("/metrics", metrics)]
