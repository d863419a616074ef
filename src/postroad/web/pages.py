"""The pages: server-rendered, complete without script; what they show of strangers is escaped and made visible."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from hmac import compare_digest
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from postroad.admin import Admin
from postroad.errors import NotFound, PostroadError
from postroad.inbox.chaos import STAGES, read_rule
from postroad.inbox.inbox import Filter
from postroad.message.header_text import decode_octets
from postroad.web import display
from postroad.web.answers import attachment_response, html_response, raw_response, while_connected
from postroad.web.problems import Refusal, status_of, words
from postroad.web.requests import flag, form_body, number, wanted, word
from postroad.web.texts import size_text, translator
from postroad.web.visible import visible, visible_plain

Call = Callable[[Request], Awaitable[Response]]

PAGE: Final = 50
#: How long one question of the live script is kept open.
LIVE_SECONDS: Final = 25.0
#: Octets of source on a page.
MAX_SOURCE: Final = 512 * 1024
VIEWS: Final = ("html", "text", "headers", "source", "session")


class Pages:
    """All pages of one application."""

    def __init__(self, admin: Admin, *, writable: bool, language: str) -> None:
        self._admin = admin
        self._writable = writable
        self._language = language
        self._text = translator(language)
        # In every form: another site cannot read it, so it cannot write one that is obeyed.
        self._token = secrets.token_urlsafe(24)
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        environment.filters.update(
            visible=visible,
            plain=visible_plain,
            size=lambda octets: size_text(self._text, octets),
            clock=display.clock,
            short_clock=display.short_clock,
            iso=display.iso,
            lasted=display.lasted,
            wire=display.wire_lines,
            host_of=display.host_of,
        )
        environment.globals.update(t=self._text, lang=language)
        self._environment = environment

    def routes(self) -> list[BaseRoute]:
        """The routes of all pages."""
        gets: list[tuple[str, Call]] = [
            ("/", self.inbox),
            ("/inbox", self.inbox),
            ("/inbox/live", self.live),
            ("/inbox/{id}", self.message),
            ("/inbox/{id}/frame", self.frame),
            ("/inbox/{id}/raw", self.raw),
            ("/inbox/{id}/attachments/{number}", self.attachment),
            ("/inbox/{id}/{view}", self.message),
            ("/sessions", self.sessions),
            ("/sessions/{id}", self.session),
            ("/chaos", self.chaos),
            ("/conditions", self.conditions),
        ]
        posts: list[tuple[str, Call]] = [
            ("/inbox/clear", self._form(self.clear)),
            ("/inbox/{id}/delete", self._form(self.delete)),
            ("/chaos/add", self._form(self.chaos_add)),
            ("/chaos/remove", self._form(self.chaos_remove)),
            ("/conditions/set", self._form(self.condition_set)),
            ("/conditions/clear", self._form(self.condition_clear)),
        ]
        return [
            *(Route(path, call, methods=["POST"]) for path, call in posts),
            *(Route(path, call, methods=["GET"]) for path, call in gets),
        ]

    # ── inbox ───────────────────────────────────────────────────────────────

    async def inbox(self, request: Request) -> Response:
        """The list, or what to do for the first mail."""
        asked = wanted(request)
        page = await self._admin.inbox_list(asked, 0, number(request, "before", 0), PAGE)
        status = await self._admin.status()
        newest = page.items[0].message.sequence if page.items else 0
        query = {"to": asked.to, "from": asked.from_, "subject": asked.subject}
        return self._page(
            request,
            "inbox.html",
            page=page,
            wanted=asked,
            filtered=asked != Filter(),
            paged="before" in request.query_params,
            total=status.stats.messages,
            newest=newest,
            older=urlencode({**{k: v for k, v in query.items() if v}, "before": page.before}) if page.before else "",
            first=display.first_listener(status.about.listeners, request.url.hostname or "localhost"),
        )

    async def live(self, request: Request) -> Response:
        """For the script: 200 once mail has come behind ``after``, 204 when none came for a while."""
        work = self._admin.inbox_wait(wanted(request), number(request, "after", 0), LIVE_SECONDS)
        item = await while_connected(request, work)
        if item is None:
            return Response(status_code=204)
        return JSONResponse({"subject": visible_plain(item.summary.subject[:200])})

    async def clear(self, request: Request, fields: Mapping[str, str]) -> Response:
        """The form "clear inbox"."""
        await self._admin.inbox_clear(Filter())
        return _see("/")

    async def delete(self, request: Request, fields: Mapping[str, str]) -> Response:
        """The form "delete" of a message."""
        await self._admin.inbox_remove(request.path_params["id"])
        return _see("/")

    # ── one message ─────────────────────────────────────────────────────────

    async def message(self, request: Request) -> Response:
        """One message, seen from one side."""
        message = await self._admin.message(request.path_params["id"])
        view = await self._admin.message_view(message.id)
        shown = request.path_params.get("view") or ("html" if view.html is not None and view.text is None else "text")
        if shown not in VIEWS:
            raise NotFound(f"a message has no view `{shown[:40]}`", "it has " + ", ".join(VIEWS))
        more = await self._more(message.id, shown)
        has_session = await self._has_session(message.origin.session)
        return self._page(
            request,
            "message.html",
            message=message,
            seen=view,
            shown=shown,
            views=VIEWS,
            has_session=has_session,
            **more,
        )

    async def _more(self, message_id: str, shown: str) -> dict[str, Any]:
        if shown == "source":
            octets, whole = await self._admin.message_source(message_id, MAX_SOURCE)
            return {"source": decode_octets(octets).replace("\r\n", "\n"), "whole": whole, "limit": MAX_SOURCE}
        if shown == "session":
            return {"transcript": await self._admin.message_transcript(message_id)}
        return {}

    async def _has_session(self, session_id: str) -> bool:
        try:
            await self._admin.session(session_id)
        except NotFound:
            return False
        return True

    async def frame(self, request: Request) -> Response:
        """The mail's HTML, for the sandboxed frame."""
        return await html_response(self._admin, request.path_params["id"])

    async def raw(self, request: Request) -> Response:
        """The octets."""
        return await raw_response(self._admin, request.path_params["id"], flag(request, "download"))

    async def attachment(self, request: Request) -> Response:
        """A part as a file."""
        return await attachment_response(self._admin, request.path_params["id"], request.path_params["number"])

    # ── sessions ────────────────────────────────────────────────────────────

    async def sessions(self, request: Request) -> Response:
        """Ended sessions, newest first."""
        refused = flag(request, "refused")
        found = await self._admin.sessions_list(refused, PAGE + 1, word(request, "before"))
        query = {"before": found[PAGE - 1].id, **({"refused": "true"} if refused else {})} if len(found) > PAGE else {}
        return self._page(
            request, "sessions.html", sessions=found[:PAGE], refused=refused, older=urlencode(query) if query else ""
        )

    async def session(self, request: Request) -> Response:
        """One session and what was said."""
        record = await self._admin.session(request.path_params["id"])
        kept = [each for each in record.messages if await self._is_kept(each)]
        return self._page(request, "session.html", session=record, kept=kept)

    async def _is_kept(self, message_id: str) -> bool:
        try:
            await self._admin.message(message_id)
        except NotFound:
            return False
        return True

    # ── chaos and conditions ────────────────────────────────────────────────

    async def chaos(self, request: Request) -> Response:
        """The rules, and a form for one more."""
        return self._page(request, "chaos.html", rules=await self._admin.chaos_list(), stages=STAGES)

    async def chaos_add(self, request: Request, fields: Mapping[str, str]) -> Response:
        """The form "add a rule"."""
        await self._admin.chaos_add(read_rule(display.rule_fields(fields)))
        return _see("/chaos")

    async def chaos_remove(self, request: Request, fields: Mapping[str, str]) -> Response:
        """The button "remove" of a rule."""
        await self._admin.chaos_remove(fields.get("id", ""))
        return _see("/chaos")

    async def conditions(self, request: Request) -> Response:
        """What is refused now, and a form to switch a parameter off."""
        found = await self._admin.conditions_list()
        return self._page(request, "conditions.html", conditions=found, known=await self._admin.conditions_known())

    async def condition_set(self, request: Request, fields: Mapping[str, str]) -> Response:
        """The form "refuse for now"."""
        minutes = display.decimal(fields.get("minutes", ""), "minutes")
        seconds = None if minutes is None else minutes * 60
        await self._admin.conditions_set(fields.get("parameter", ""), fields.get("why", ""), seconds)
        return _see("/conditions")

    async def condition_clear(self, request: Request, fields: Mapping[str, str]) -> Response:
        """The button "remove" of a condition."""
        await self._admin.conditions_clear(fields.get("parameter", ""))
        return _see("/conditions")

    # ── all pages ───────────────────────────────────────────────────────────

    async def fault(self, request: Request, fault: Exception) -> Response:
        """A page that says what is wrong and what to do."""
        message, hint = words(fault)
        return self._page(request, "error.html", status_of(fault), message=message, hint=hint)

    def _form(self, act: Callable[[Request, Mapping[str, str]], Awaitable[Response]]) -> Call:
        async def call(request: Request) -> Response:
            fields = await form_body(request)
            if not compare_digest(fields.get("token", "").encode(), self._token.encode()):
                raise Refusal(403, "this form is out of date", "open the page again and repeat")
            if not self._writable:
                raise Refusal(
                    403, "nothing can be changed from here", "use the `postroad` command on the server's own machine"
                )
            return await act(request, fields)

        return call

    def _page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        try:
            about, unready = self._admin.about, self._admin.unready()
        except PostroadError:
            about, unready = None, ""
        html = self._environment.get_template(template).render(
            about=about,
            unready=unready,
            path=request.url.path,
            has_chaos=self._admin.has_chaos,
            writable=self._writable,
            token=self._token,
            **values,
        )
        headers = {"content-language": self._language}
        return HTMLResponse(html.encode("utf-8", "replace"), status, headers)


def _see(path: str) -> Response:
    return RedirectResponse(path, 303)
