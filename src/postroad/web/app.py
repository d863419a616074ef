"""The web application: pages for people, the API for programs, one door for both.

``create_app`` makes an ASGI application over ``Admin``; ``serving`` runs it in the loop of the mail server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from postroad.admin import Admin
from postroad.errors import PostroadError
from postroad.web import assets
from postroad.web.api import metrics, routes
from postroad.web.api.events import EventsApi
from postroad.web.diagnosing import Diagnoses
from postroad.web.door.entry import Entry, Everybody, OnePassword, People
from postroad.web.door.guard import Guard
from postroad.web.door.limiter import Limiter
from postroad.web.door.people import Role
from postroad.web.pages.api_docs import ApiDocs
from postroad.web.pages.chaos import Chaos
from postroad.web.pages.conditions import Conditions
from postroad.web.pages.dashboard import Dashboard
from postroad.web.pages.destinations import Destinations
from postroad.web.pages.diagnose import Diagnose
from postroad.web.pages.house import House
from postroad.web.pages.inbox import Inbox
from postroad.web.pages.inbox_release import InboxRelease
from postroad.web.pages.message import MessagePage
from postroad.web.pages.queue import Queue
from postroad.web.pages.reference import Reference, public_paths
from postroad.web.pages.sessions import Sessions
from postroad.web.pages.settings import Settings
from postroad.web.pages.setup import Setup
from postroad.web.pages.sign_in import SignIn
from postroad.web.problems import Refusal, problem

#: What is compressed already, and streams of events.
_UNCOMPRESSED: Final = (*DEFAULT_EXCLUDED_CONTENT_TYPES, *assets.MEDIA_TYPES)


def create_app(
    admin: Admin,
    *,
    hosts: Iterable[str] = (),
    public_url: str = "",
    dev: bool = True,
    control: bool = False,
    password: str = "",
    language: str = "en",
    exposition: metrics.Exposition | None = None,
    entry: Entry | None = None,
) -> Starlette:
    """The application.

    hosts       names by which browsers may call this server, beside loopback names and IP addresses
    public_url  where browsers find it, when something stands in front of it
    dev         anybody who can reach it may change things; else people sign in, and programs have tokens
    control     for the operator's own socket: no Host check, no sign-in, everything permitted
    password    with which everybody has to come in, under any name
    exposition  what ``/metrics`` shows; absent: there is no such address
    entry       who asks, when the words above do not say it
    """
    entry = entry or _entry(admin, dev, control, password)
    house = House(admin, language=language, signs_in=entry.signs_in)
    stopping = asyncio.Event()
    diagnoses = Diagnoses(near=control or (dev and not password))
    events = EventsApi(admin)
    endings: list[Callable[[], None]] = [stopping.set, diagnoses.close, events.close]
    app = Starlette(
        routes=_routes(house, entry, diagnoses, events, exposition, public_url),
        middleware=[
            Middleware(Guard, entry=entry, hosts=hosts, public_url=public_url, control=control, public=public_paths()),
            Middleware(GZipMiddleware, minimum_size=1_000, compresslevel=5, exclude_content_types=_UNCOMPRESSED),
        ],
        exception_handlers=dict.fromkeys((PostroadError, HTTPException, Exception), _on_fault(house)),
    )
    app.state.endings = endings
    app.state.stopping = stopping
    return app


def _routes(
    house: House,
    entry: Entry,
    diagnoses: Diagnoses,
    events: EventsApi,
    exposition: metrics.Exposition | None,
    public_url: str,
) -> list[BaseRoute]:
    """All that can be asked, in the order in which it is looked for."""
    secure = public_url.lower().startswith("https:")
    return [
        *_health(house.admin),
        *(metrics.routes(exposition) if exposition is not None else ()),
        *routes.routes(house.admin, diagnoses, events),
        *ApiDocs(house, public_url).routes(),
        *_pages(house, diagnoses),
        *SignIn(house, entry, Limiter(house.admin.access.clock), secure=secure).routes(),
        *Reference(house, public_url).routes(),
        *assets.routes(),
    ]


def _entry(admin: Admin, dev: bool, control: bool, password: str) -> Entry:
    """Who may come in, by the mode of the server."""
    if control or (dev and not password):
        return Everybody(Role.OPERATOR)
    return OnePassword(admin.access, password) if password else People(admin.access)


def _pages(house: House, diagnoses: Diagnoses) -> list[BaseRoute]:
    """Every part of the house."""
    parts = (
        Dashboard(house),
        InboxRelease(house),
        Inbox(house),
        Sessions(house),
        Chaos(house),
        Conditions(house),
        Setup(house),
        Settings(house),
        MessagePage(house),
        Queue(house),
        Destinations(house, diagnoses),
        Diagnose(house, diagnoses),
    )
    return [route for part in parts for route in part.routes()]


def _health(admin: Admin) -> list[Route]:
    """For whoever watches: the process lives, and mail is taken."""

    async def livez(request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(request: Request) -> Response:
        why = admin.unready()
        return PlainTextResponse(f"not ready: {why}\n" if why else "ready\n", 503 if why else 200)

    return [Route("/livez", livez), Route("/readyz", readyz)]


def _on_fault(house: House) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Below /api a problem, elsewhere a page."""

    async def on_fault(request: Request, fault: Exception) -> Response:
        refusal = _as_refusal(fault)
        wants_page = not request.url.path.startswith("/api/") and not isinstance(refusal, _Bare)
        return await house.fault(request, refusal) if wants_page else problem(refusal)

    return on_fault


class _Bare(Refusal):
    """A refusal for which there is no page."""


def _as_refusal(fault: Exception) -> Exception:
    """Starlette's own errors in our words."""
    if not isinstance(fault, HTTPException):
        return fault
    headers = dict(fault.headers or {})
    match fault.status_code:
        case 404:
            return Refusal(404, "there is nothing at this address", "GET /api/v1/status, or open /")
        case 405:
            return _Bare(
                405, "this address does not take this method", f"it takes {headers.get('Allow', 'others')}", headers
            )
        case status:
            return _Bare(status, fault.detail, "", headers)
