"""The status reference over HTTP: pages in every language, their JSON and Markdown, and the API over them.

All of it is public: it tells of SMTP and nothing of this server, and it needs no password.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote, urlencode

from markupsafe import Markup
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from postroad.reference import markdown
from postroad.reference.book import CHOOSER, EXPLAIN, INDEX, Book, Leaf, Moved
from postroad.reference.links import ServerLinks
from postroad.reference.rendering import Renderer
from postroad.reference.site import llms_text
from postroad.replies.catalogue import catalogue
from postroad.replies.documents import Document
from postroad.web.assets import asset_url
from postroad.web.door.people import Role, person_of
from postroad.web.language import COOKIE, asked_language, preferred
from postroad.web.pages import pasted
from postroad.web.pages.house import House
from postroad.web.problems import Refusal
from postroad.web.requests import check_query, form_body, json_body, word
from postroad.web.texts import LANGUAGES

#: Octets of a text that is to be explained.
MAX_PASTE: Final = 64 * 1024
#: Folders and pages below each language.
PLACES: Final = ("codes", "keywords", "verbs", "compare", "explain")
API: Final = "/api/v1"

_OUR_PAGE = re.compile(r"https?://(?P<host>[^/?#]{1,300})/(?P<tag>[A-Za-z-]{2,20})/(?P<path>[^?#]{0,500})")


def public_paths(languages: Iterable[str] = ()) -> tuple[str, ...]:
    """Paths that are open without a password, each with all below it."""
    tags = tuple(languages) or catalogue().languages
    folders = (*PLACES, *tags, "static/reference", "llms.txt")
    return (*(f"/{name}" for name in folders), *(f"{API}/{name}" for name in ("codes", "compare", "explain")))


class Reference:
    """All routes of the reference."""

    def __init__(self, house: House, public_url: str = "") -> None:
        """``public_url`` is where browsers find the server; without it, the address by which each came."""
        self._house = house
        self._book = Book(catalogue())
        self._renderer = Renderer(self._book)
        self._public_url = public_url.rstrip("/")

    def routes(self) -> list[BaseRoute]:
        """Pages, twins, redirects and API."""
        found: list[BaseRoute] = [
            Route("/llms.txt", self.llms, methods=["GET"]),
            Route(f"{API}/codes", self.api_codes, methods=["GET"]),
            Route(f"{API}/codes/{{code}}", self.api_code, methods=["GET"]),
            Route(f"{API}/compare", self.api_compare, methods=["GET"]),
            Route(f"{API}/explain", self.api_explain, methods=["GET", "POST"]),
        ]
        for place in PLACES:
            found.append(Route(f"/{place}", self.redirect, methods=["GET"]))
            if place != EXPLAIN:
                found.append(Route(f"/{place}/{{name:path}}", self.redirect, methods=["GET"]))
        for tag in self._book.languages:
            found.append(Route(f"/{tag}", self.home, methods=["GET"]))
            found.append(Route(f"/{tag}/{EXPLAIN}", self.explain, methods=["GET", "POST"]))
            found.append(Route(f"/{tag}/{{path:path}}", self.page, methods=["GET"]))
        return found

    # Pages

    async def redirect(self, request: Request) -> Response:
        """From an address without a language to the reader's."""
        kept = request.cookies.get("lang", "")
        asked = request.headers.get("accept-language", "")
        tag = kept if kept in self._book.languages else preferred(asked, self._book.languages)
        headers = {"vary": "Accept-Language, Cookie", "content-language": tag}
        return _moved(f"/{tag}{request.url.path}", request, 302, headers)

    async def home(self, request: Request) -> Response:
        """The list of all codes is where a language begins."""
        return _moved(f"/{_language(request)}/{INDEX}", request, 308)

    async def page(self, request: Request) -> Response:
        """A page, or the same document as JSON or Markdown."""
        language, path = _language(request), request.path_params["path"]
        ending = next((one for one in (".json", ".md") if path.endswith(one)), "")
        path = path.removesuffix(ending)
        if path.rstrip("/") != path or path in ("", "keywords", "verbs"):  # parts of the list of all codes
            stripped = path.rstrip("/")
            return _moved(f"/{language}/{INDEX if stripped in ('', 'keywords', 'verbs') else stripped}", request, 308)
        if path == CHOOSER and not ending:
            a, b = (self._book.known_code(word(request, name)) for name in ("a", "b"))
            if a is not None and b is not None:
                return RedirectResponse(f"/{language}/{CHOOSER}/{a}-vs-{b}", 302)
        if path == EXPLAIN and ending:
            return self._missing(request, language, path + ending)
        try:
            leaf = await run_in_threadpool(self._book.leaf, language, path)
        except Moved as moved:
            return _moved(f"/{language}/{moved.path}{ending}", request, 308)
        except KeyError:
            return self._elsewhere(request, language, path + ending)
        if ending:
            return self._twin(leaf, language, ending)
        return self._shown(request, leaf, language)

    def _elsewhere(self, request: Request, language: str, path: str) -> Response:
        """A page of the server behind a language goes to the page, in that language."""
        head = path.partition("/")[0]
        if language in LANGUAGES and head in self._house.places:
            query = urlencode([*request.query_params.multi_items(), (COOKIE, language)])
            return RedirectResponse(f"/{quote(path)}?{query}", 302)
        return self._missing(request, language, path)

    async def explain(self, request: Request) -> Response:
        """The form for pasting, and the answer to it; nothing is kept."""
        posted = await form_body(request, MAX_PASTE) if request.method == "POST" else {}
        text = posted.get("q", "") or word(request, "q")
        language = _language(request)
        found = await run_in_threadpool(pasted.read, text, language)  # the loop belongs to the mail
        if found is None:
            leaf = await run_in_threadpool(self._book.explained, language, text)
            return self._shown(request, leaf, language, pasted=text)
        template, values = found
        answer = self._house.part(template, language, **values)
        leaf = replace(self._book.explained(language, ""), indexed=False)
        return self._shown(request, leaf, language, pasted=text, answer=answer)

    async def llms(self, request: Request) -> Response:
        """What there is, for programs that read text."""
        return Response(llms_text(self._book, self._links(request)), media_type="text/plain; charset=utf-8")

    def _seen(self, request: Request, leaf: Leaf, language: str) -> Markup:
        """How often the code of a page was said and heard here; not for strangers."""
        if leaf.kind != "code" or person_of(request).role < Role.VIEWER:
            return Markup()
        code = leaf.document["code"]
        return self._house.part("reference_seen.html", language, code=code, seen=self._house.admin.traffic.code(code))

    def _top(self, request: Request, language: str, path: str) -> Markup:
        """The head of this server's pages, with the same page in other languages."""
        others = [(tag, name, f"/{tag}/{path}") for tag, name in self._renderer.names.items()]
        return self._house.top(request, language, others)

    def _links(self, request: Request) -> ServerLinks:
        return ServerLinks(self._public_url or str(request.base_url), lambda name: asset_url(f"reference/{name}"))

    def _shown(self, request: Request, leaf: Leaf, language: str, **more: Any) -> Response:
        more = {"top": self._top(request, language, leaf.path), "answer": self._seen(request, leaf, language), **more}
        html = self._renderer.page(leaf, language, self._links(request), **more)
        answer = HTMLResponse(html.encode("utf-8", "replace"), headers={"content-language": language})
        if self._switched(request):
            answer.set_cookie("lang", language, max_age=365 * 86_400, path="/", samesite="lax", httponly=True)
        return answer

    def _switched(self, request: Request) -> bool:
        """True when the reader came from the same page in another language: that is a choice, and it is kept."""
        came = _OUR_PAGE.match(request.headers.get("referer", ""))
        if came is None or came["host"].lower() != request.headers.get("host", "").lower():
            return False
        _, tag, path = request.url.path.split("/", 2)
        return came["tag"] in self._book.languages and came["tag"] != tag and came["path"] == path

    def _twin(self, leaf: Leaf, language: str, ending: str) -> Response:
        headers = {"content-language": leaf.document["language"], "x-robots-tag": "noindex"}
        if ending == ".json":
            return _json(leaf.document, headers)
        text = markdown.page(leaf.kind, leaf.document, self._book.catalogue.vocabulary(language))
        return Response(text.encode(), headers=headers, media_type="text/markdown; charset=utf-8")

    def _missing(self, request: Request, language: str, path: str) -> Response:
        say = self._book.catalogue.vocabulary(language)
        name = path.rpartition("/")[2]
        message = ""
        if re.fullmatch(r"[1-5][0-9]{2}", name):
            words = {"code": name, "class": say["classes"][name[0]]}
            message = say["sentences"]["first_digit"].format(**words)
        top = self._top(request, language, INDEX)
        html = self._renderer.missing(path[:200], language, self._links(request), message, top)
        return HTMLResponse(html.encode("utf-8", "replace"), 404, {"content-language": language})

    # API

    async def api_codes(self, request: Request) -> Response:
        """All codes, short."""
        check_query(request, "lang")
        language = asked_language(request)
        document = self._book.index(language)
        codes = {"schema": "postroad.codes/1", "language": language, "codes": document["codes"]}
        return _json(codes, {"content-language": language})

    async def api_code(self, request: Request) -> Response:
        """One code, or an enhanced status code."""
        check_query(request, "lang")
        language, name = asked_language(request), request.path_params["code"]
        try:
            return self._document(language, f"codes/{name}")
        except KeyError as fault:
            raise _unknown(name) from fault

    async def api_compare(self, request: Request) -> Response:
        """Two codes, in either order."""
        check_query(request, "lang", "a", "b")
        a, b = sorted((self._code(word(request, "a")), self._code(word(request, "b"))))
        if a == b:
            raise Refusal(400, f"{a} cannot be compared with itself", f"GET {API}/codes/{a}")
        return self._document(asked_language(request), f"{CHOOSER}/{a}-vs-{b}")

    async def api_explain(self, request: Request) -> Response:
        """A reply, a line of a log or a transcript: from the query, or for a long one from a JSON body."""
        check_query(request, "lang", "text", "command", "provider")
        given: dict[str, Any] = {name: word(request, name) for name in ("text", "command", "provider")}
        if request.method == "POST":
            given |= await json_body(request, MAX_PASTE)
        if unknown := sorted(set(given) - {"text", "command", "provider"}):
            raise Refusal(400, f"there is no field `{unknown[0][:40]}`", "known here: text, command, provider")
        if not all(isinstance(value, str) for value in given.values()) or not given["text"].strip():
            raise Refusal(400, "there is nothing to explain", 'give `text`, such as "550 5.1.1 No such user"')
        language = asked_language(request)
        command, provider = given["command"][:40].upper(), given["provider"][:100]
        leaf = await run_in_threadpool(self._book.explained, language, given["text"], command, provider)
        return _json(leaf.document, {"content-language": language})

    def _code(self, text: str) -> int:
        found = self._book.known_code(text)
        if found is None:
            raise _unknown(text)
        return found

    def _document(self, language: str, path: str) -> Response:
        document = self._book.leaf(language, path).document
        return _json(document, {"content-language": document["language"]})


def _json(document: Document, headers: dict[str, str]) -> Response:
    text = json.dumps(document, ensure_ascii=False, indent=1)
    return Response(text.encode("utf-8", "replace"), headers=headers, media_type="application/json")


def _unknown(code: str) -> Refusal:
    return Refusal(404, f"nothing is known of a reply code `{code[:40]}`", f"GET {API}/codes lists what is")


def _language(request: Request) -> str:
    return request.url.path.split("/")[1]


def _moved(path: str, request: Request, status: int, headers: dict[str, str] | None = None) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"/{quote(path.lstrip('/'))}{query}", status, headers)
