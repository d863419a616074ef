"""Signing in and out.

A sign-in form carries a token of the browser that got it (a cookie of its own), so that nobody can be signed in as
somebody else from another site. Every sign-in has a new cookie, whatever the browser brought.
"""

from __future__ import annotations

import math
import re
import secrets
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.observe.log import get_logger
from postroad.web.door.entry import COOKIE, MAX_NAME, MAX_PASSWORD, Busy, Entry
from postroad.web.door.guard import SIGN_IN
from postroad.web.door.limiter import Limiter
from postroad.web.door.people import Person, Role, person_of
from postroad.web.door.visitors import peer_of, way_on
from postroad.web.pages.house import House, see
from postroad.web.problems import Refusal
from postroad.web.requests import Form, form_body

#: Holds what ties a sign-in form to its browser.
DOOR_COOKIE: Final = "postroad_door"
#: Seconds after which somebody may try again for whom there was no time.
_BUSY_WAIT: Final = 5
_DOOR = re.compile(r"[A-Za-z0-9_-]{22}\Z")

log = get_logger("web.door")


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the form holds when it is shown again; never the password."""

    to: str
    name: str = ""


class SignIn:
    """``/sign-in`` and ``/sign-out``."""

    def __init__(self, house: House, entry: Entry, limiter: Limiter, *, secure: bool) -> None:
        """``secure``: browsers come by https, and our cookies go by nothing else."""
        self._house = house
        self._entry = entry
        self._limiter = limiter
        self._secure = secure

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        return [
            Route(SIGN_IN, self.form, methods=["GET"]),
            Route(SIGN_IN, self.sign_in, methods=["POST"]),
            Route("/sign-out", self._house.form(self.sign_out, Role.VIEWER), methods=["POST"]),
        ]

    async def form(self, request: Request) -> Response:
        """The page that asks; who is in already goes on."""
        asked = request.query_params.get("to", "")
        if person_of(request).role > Role.NOBODY:
            return see(way_on(asked))
        told = "out" if request.query_params.get("out") else ""
        return self._page(request, 200, told=told, shown=_Shown(asked))

    async def sign_in(self, request: Request) -> Response:
        """The form, sent."""
        fields = await form_body(request)
        name, password = fields.get("name", "").strip(), fields.get("password", "")
        shown = _Shown(fields.get("to", ""), name[:MAX_NAME])
        if not self._entry.signs_in:
            return see(way_on(shown.to))
        if not self._is_ours(request, fields):
            return self._page(request, 403, told="stale", shown=shown)
        peer = peer_of(request)
        attempt = self._limiter.begin(peer, name, self._entry.knows(name, peer))
        if isinstance(attempt, float):
            return self._wait(request, peer, name, attempt, shown)
        try:
            fits = 0 < len(name) <= MAX_NAME and 0 < len(password) <= MAX_PASSWORD
            found = await self._entry.sign_in(name, password, peer) if fits else None
        except Busy:
            attempt.was_right()  # nobody knows whether it was
            return self._page(request, 503, {"retry-after": str(_BUSY_WAIT)}, told="busy", shown=shown)
        if found is None:
            log.warning("sign-in failed", peer=peer, name=name[:100])
            return self._page(request, 403, told="wrong", shown=shown)
        attempt.was_right()
        person, cookie = found
        self._entry.sign_out(person_of(request))
        log.info("signed in", peer=peer, name=person.name, role=person.role.name.lower())
        answer = see(way_on(shown.to))
        answer.set_cookie(COOKIE, cookie, path="/", secure=self._secure, httponly=True, samesite="lax")
        answer.delete_cookie(DOOR_COOKIE, path=SIGN_IN, secure=self._secure, httponly=True, samesite="strict")
        return answer

    async def sign_out(self, request: Request, fields: Form) -> Response:
        """The button: the cookie is worth nothing from now on, here and everywhere."""
        person = person_of(request)
        self._entry.sign_out(person)
        log.info("signed out", peer=peer_of(request), name=person.name)
        answer = see(f"{SIGN_IN}?out=1")
        answer.delete_cookie(COOKIE, path="/", secure=self._secure, httponly=True, samesite="lax")
        return answer

    def _wait(self, request: Request, peer: str, name: str, seconds: float, shown: _Shown) -> Response:
        whole = max(math.ceil(seconds), 1)
        log.warning("sign-in refused", peer=peer, name=name[:100], wait=whole)
        headers = {"retry-after": str(whole)}
        return self._page(request, 429, headers, told="wait", until=self._house.admin.now() + whole, shown=shown)

    def _page(
        self,
        request: Request,
        status: int,
        headers: dict[str, str] | None = None,
        *,
        told: str,
        shown: _Shown,
        until: float = 0.0,
    ) -> Response:
        """The form with what there is to tell, and the cookie that its token belongs to."""
        kept = _door_of(request)
        door = kept or secrets.token_urlsafe(16)
        token = self._house.token(_visitor(door))
        values = {"to": way_on(shown.to), "told": told, "name": shown.name, "until": until, "form_token": token}
        answer = self._house.page(request, "sign_in.html", status, any_name=self._entry.asks_basic, **values)
        answer.headers.update(headers or {})
        if not kept:
            answer.set_cookie(DOOR_COOKIE, door, path=SIGN_IN, secure=self._secure, httponly=True, samesite="strict")
        return answer

    def _is_ours(self, request: Request, fields: Form) -> bool:
        """Whether this browser got this form from us."""
        door = _door_of(request)
        try:
            self._house.check_token(_visitor(door), fields.get("token", ""))
        except Refusal:
            return False
        return bool(door)


def _door_of(request: Request) -> str:
    found = request.cookies.get(DOOR_COOKIE, "")
    return found if _DOOR.match(found) else ""


def _visitor(door: str) -> Person:
    return Person("", Role.NOBODY, f"door:{door}")
