"""What all pages share: templates, the reader's language, the frame with its ways, forms that only our pages can send.

A part of the house is a file beside this one: a class over House that answers requests, and ``routes()``.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from postroad.admin import About, Admin
from postroad.errors import PostroadError
from postroad.reference.rendering import TEMPLATES as FRAME
from postroad.reference.rendering import marked
from postroad.web.assets import asset_url
from postroad.web.door.people import Person, Role, must_be, person_of
from postroad.web.language import COOKIE, readers_language
from postroad.web.pages import display
from postroad.web.pages.visible import visible, visible_plain
from postroad.web.pages.wording import Wording
from postroad.web.problems import Refusal, status_of, words
from postroad.web.requests import Form, form_body
from postroad.web.texts import LANGUAGES

Call = Callable[[Request], Awaitable[Response]]
Act = Callable[[Request, Form], Awaitable[Response]]

_HERE: Final = Path(__file__).parent.parent
#: Each language by its own name.
_NAMES: Final = {"en": "English", "ja": "日本語"}
_YEAR: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Way:
    """An entry of the main menu."""

    href: str
    name: str
    """The end of its key, ``nav.…``."""
    role: Role = Role.VIEWER
    """Shown to who may go there."""
    where: str = ""
    """``dev``: only in dev mode; ``served``: not in dev mode; ``""``: everywhere."""


_MENU: Final = (
    ("mail", (
        Way("/", "overview"), Way("/queue", "queue"), Way("/destinations", "destinations"),
        Way("/inbox", "inbox"), Way("/sessions", "sessions"),
    )),
    ("server", (
        Way("/conditions", "conditions"), Way("/chaos", "chaos", where="dev"), Way("/setup", "setup"),
        Way("/diagnose", "diagnose", Role.OPERATOR),
        Way("/settings", "settings"), Way("/api/docs", "api"),
    )),
    ("replies", (
        Way("/codes", "codes", Role.NOBODY), Way("/compare", "compare", Role.NOBODY),
        Way("/explain", "explain", Role.NOBODY),
    )),
)  # fmt: skip


class House:
    """See the module; one for an application."""

    def __init__(self, admin: Admin, *, language: str = "en", signs_in: bool = False) -> None:
        """``language`` for readers whose browser likes none of ours; ``signs_in``: people have to sign in here."""
        self.admin = admin
        self._language = language
        self._signs_in = signs_in
        # What forms carry is made with it: another site cannot read our pages, so it cannot make one that is obeyed.
        self._key = secrets.token_bytes(32)
        self._wordings = {tag: Wording(tag, admin.now) for tag in LANGUAGES}
        self._environments = {tag: self._environment(say) for tag, say in self._wordings.items()}

    def _environment(self, say: Wording) -> Environment:
        made = Environment(
            loader=FileSystemLoader([_HERE / "templates", FRAME]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.filters.update(
            marked=marked,
            visible=visible,
            plain=visible_plain,
            size=say.texts.size,
            span=say.texts.span,
            age=say.age,
            clock=say.clock,
            short_clock=say.short_clock,
            iso=display.iso,
            lasted=display.lasted,
            wire=display.wire_lines,
            host_of=display.host_of,
            whole=lambda number: f"{number:,}",
        )
        made.globals.update(t=say.texts, say=say, lang=say.language, asset=asset_url)
        return made

    @property
    def places(self) -> frozenset[str]:
        """The first words of the menu's addresses, without the reference's."""
        return frozenset(way.href.strip("/") for group, ways in _MENU if group != "replies" for way in ways) - {""}

    # ── who asks, and how ───────────────────────────────────────────────────

    def language(self, request: Request) -> str:
        """In which language this request is answered."""
        return readers_language(request, LANGUAGES, self._language)

    def wording(self, request: Request) -> Wording:
        """The voice that answers this request."""
        return self._wordings[self.language(request)]

    def token(self, person: Person) -> str:
        """What a form must carry to be obeyed: of this person's session, and never twice the same."""
        nonce = secrets.token_hex(8)
        return nonce + self._mark(person, nonce)

    def _mark(self, person: Person, nonce: str) -> str:
        return hmac.new(self._key, f"{person.session}\0{nonce}".encode(), hashlib.sha256).hexdigest()

    def check_token(self, person: Person, token: str) -> None:
        """Raise Refusal for a form that no page of ours, of this session, has made."""
        nonce, mark = token[:16], token[16:]
        if not hmac.compare_digest(mark.encode(), self._mark(person, nonce).encode()):
            raise Refusal(403, "this form is out of date", "open the page again and repeat")

    # ── answers ─────────────────────────────────────────────────────────────

    def page(self, request: Request, template: str, status: int = 200, /, **values: Any) -> Response:
        """A page in the reader's language."""
        tag = self.language(request)
        html = self._environments[tag].get_template(template).render(**self.frame(request), **values)
        answer = HTMLResponse(html.encode("utf-8", "replace"), status)
        answer.headers["content-language"] = tag
        answer.headers["vary"] = "Accept-Language, Cookie"
        if request.query_params.get("lang") == tag:
            answer.set_cookie(COOKIE, tag, max_age=_YEAR, path="/", samesite="lax", httponly=True)
        return answer

    def frame(self, request: Request, language: str = "") -> dict[str, Any]:
        """What the frame of every page shows; ``language``: that of the page, when its address says it."""
        person = person_of(request)
        usual = self.language(request)
        try:
            about, unready = self.admin.about, self.admin.unready()
        except PostroadError:
            about, unready = None, ""
        known = person.role >= Role.VIEWER
        return {
            "about": about if known else None,
            "unready": unready if known else "",
            "person": person,
            "is_operator": person.role >= Role.OPERATOR,
            "signs_in": self._signs_in,
            "token": self.token(person),
            "path": request.url.path,
            "seen": getattr(request.state, "seen", "") or self.admin.events.last,
            "menu": _menu(person, about, language or usual, told=language not in ("", usual)),
            "tongues": [(tag, name, _switched(request, tag)) for tag, name in _NAMES.items()],
        }

    def top(self, request: Request, language: str, tongues: list[tuple[str, str, str]]) -> Markup:
        """The head of a page that is made elsewhere; ``tongues``: tag, name and address of the page in each language."""
        return self.part("top.html", language, **self.frame(request, language) | {"tongues": tongues})

    def part(self, template: str, language: str, /, **values: Any) -> Markup:
        """A part of a page that is made elsewhere, such as the reference's."""
        spoken = language if language in LANGUAGES else "en"
        html = self._environments[spoken].get_template(template).render(**values)
        return Markup(html)  # noqa: S704  # the templates escape

    async def fault(self, request: Request, fault: Exception) -> Response:
        """A page that says what is wrong and what to do."""
        message, hint = words(fault)
        status = status_of(fault)
        return self.page(request, "error.html", status, message=message, hint=hint, status=status)

    def form(self, act: Act, role: Role = Role.OPERATOR) -> Call:
        """``act`` on the fields of a form that one of our pages made for somebody who may."""

        async def call(request: Request) -> Response:
            fields = await form_body(request)
            self.check_token(person_of(request), fields.get("token", ""))
            must_be(request, role)
            return await act(request, fields)

        return call

    def open(self, call: Call, role: Role = Role.VIEWER) -> Call:
        """``call``, for who may see it."""

        async def checked(request: Request) -> Response:
            must_be(request, role)
            request.state.seen = self.admin.events.last  # before anything is looked at: a live page goes on from here
            return await call(request)

        return checked


def see(path: str) -> Response:
    """Go on there, with GET."""
    return RedirectResponse(path, 303)


def _menu(person: Person, about: About | None, language: str, told: bool) -> list[tuple[str, list[Way]]]:
    """The groups of the menu with what this person may see of each; ``told``: the ways have to say the language."""
    dev = about is not None and about.dev
    where = ("", "dev" if dev else "served")
    shown = []
    for group, ways in _MENU:
        found = [way for way in ways if person.role >= way.role and way.where in where]
        if group == "replies":
            found = [replace(way, href=f"/{language}{way.href}") for way in found]
        elif told and language in LANGUAGES:
            found = [replace(way, href=f"{way.href}?lang={language}") for way in found]
        shown.append((group, found))
    return [(group, ways) for group, ways in shown if ways]


def _switched(request: Request, tag: str) -> str:
    """The same page, with its query, in another language."""
    query = [(name, value) for name, value in request.query_params.multi_items() if name != "lang"]
    return f"{quote(request.url.path)}?{urlencode([*query, ('lang', tag)])}"
