"""The door: who may ask at all, and what every answer tells the browser.

- Host: a name that we do not bear is refused, so that no foreign name can be bound to this address (DNS rebinding). An IP
  address is no name and needs no list.
- Writes: from our own pages or from programs, never from another site (Origin, Sec-Fetch-Site); bodies of the API must be
  JSON, which no form of another site can send.
- Who asks is told by the entry; nobody gets further than to what tells nothing of this server. Browsers are led to the
  sign-in, programs get 401.
- Answers: a content security policy that permits nothing but our own files, no sniffing, no framing, no referrer
  to other sites.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postroad.policy.clients import address_of
from postroad.web.door.entry import Entry
from postroad.web.door.people import Role
from postroad.web.problems import Refusal, problem
from postroad.web.requests import MAX_BODY

PAGE_POLICY: Final = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; connect-src 'self'; frame-src 'self'; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)
#: For a mail's HTML: no script, no network, no links; only what the mail itself brought.
FRAME_POLICY: Final = (
    "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'; frame-ancestors 'self'; form-action 'none'; "
    "base-uri 'none'"
)
#: For files that a mail brought.
FILE_POLICY: Final = "sandbox; default-src 'none'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'"

_HEADERS: Final = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    # Not no-referrer: under it, browsers send our own forms with "Origin: null", which could not be told from a foreign one.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "x-frame-options": "DENY",
    "x-dns-prefetch-control": "off",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-store",
}

_LOOPBACK_NAMES: Final = frozenset(("localhost", "localhost.localdomain", "ip6-localhost"))
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253})(?::([0-9]{1,5}))?\Z")
SIGN_IN: Final = "/sign-in"
_METRICS: Final = "/metrics"
_OPEN_PATHS: Final = frozenset(("/livez", "/readyz", SIGN_IN, "/static", "/api/docs", "/api/v1/openapi.json"))
#: What a proxy adds when it asks for somebody else.
_FORWARDED: Final = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "via")
_BASIC: Final = 'Basic realm="Postroad", charset="UTF-8"'
_BEARER: Final = 'Bearer realm="Postroad"'
#: Longer addresses are not remembered for the way back.
_MAX_BACK: Final = 2_000
_SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))


class Guard:
    """ASGI middleware; see the module."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        entry: Entry,
        hosts: Iterable[str] = (),
        public_url: str = "",
        control: bool = False,
        public: Iterable[str] = (),
    ) -> None:
        """See the module.

        ``control``: behind a socket that only the operator may open; then every Host will do.
        ``public``: paths that are open to everybody, each with all below it.
        """
        self._app = app
        self._entry = entry
        named = urlsplit(public_url).hostname
        self._hosts = _LOOPBACK_NAMES | {host.lower() for host in hosts} | ({named} if named else set())
        self._public = origin_of(public_url)
        self._control = control
        self._public_paths = frozenset(public) | _OPEN_PATHS
        self._public_folders = tuple(f"{path}/" for path in self._public_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on and add the headers."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(raw=message["headers"])
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                message["headers"] = headers.raw
            await send(message)

        headers = Headers(scope=scope)
        try:
            self._check(scope, headers)
        except Refusal as refusal:
            await problem(refusal)(scope, receive, send_guarded)
            return
        person = self._entry.person(headers)
        state = scope.setdefault("state", {})
        state["person"] = person
        state["still"] = lambda: self._entry.person(headers) == person
        app = self._app if person.role > Role.NOBODY or self._is_open(scope, headers) else self._ask_to_sign_in(scope)
        await app(scope, receive, send_guarded)

    def _check(self, scope: Scope, headers: Headers) -> None:
        if not self._control:
            self._check_host(headers.getlist("host"))
        if scope["method"] not in _SAFE_METHODS:
            self._check_write(scope, headers, headers.get("host", "").lower())

    def _check_host(self, given: list[str]) -> None:
        found = _AUTHORITY.match(given[0].lower()) if len(given) == 1 else None
        if found is None:
            raise Refusal(400, "the request names no host, or not one", "HTTP/1.1 needs one Host header")
        name = found[1].removesuffix(".")
        if name in self._hosts or name.endswith(".localhost") or _is_address(name.strip("[]")):
            return
        raise Refusal(
            421,
            f"this server does not answer to the name `{name}`",
            "open it by its address or as localhost, or name the host in [web] public_url",
        )

    def _is_open(self, scope: Scope, headers: Headers) -> bool:
        """Whether nobody may have this, too."""
        path = scope["path"]
        if path in self._public_paths or path.startswith(self._public_folders):
            return True
        return path == _METRICS and self._entry.scrape_near and is_near(scope, headers)

    def _ask_to_sign_in(self, scope: Scope) -> ASGIApp:
        """For a browser the way to the sign-in and back, for a program 401."""
        headers = Headers(scope=scope)
        wants_page = "text/html" in headers.get("accept", "") and not _is_for_programs(scope["path"])
        if wants_page:
            back = asked_address(scope) if scope["method"] in _SAFE_METHODS else ""
            query = f"?to={quote(back, safe='/')}" if back not in ("", "/") else ""
            return RedirectResponse(f"{SIGN_IN}{query}", 303)
        # A browser that hears of Basic opens a window of its own, also for what a page of ours fetches.
        basic = self._entry.asks_basic and "sec-fetch-mode" not in headers
        return problem(
            Refusal(
                401,
                "this needs a sign-in",
                "any user name, and the password that the server printed at its start"
                if self._entry.asks_basic
                else f"open {SIGN_IN}, or send a token (postroad token add): Authorization: Bearer …",
                {"www-authenticate": _BASIC if basic else _BEARER},
            )
        )

    def _check_write(self, scope: Scope, headers: Headers, host: str) -> None:
        origin = headers.get("origin")
        if origin is not None:
            found = origin_of(origin)
            authority = found[1]
            # Where people come by https, a page that anybody on the way could have forged is another site.
            forged = self._public[0] == "https" and authority == self._public[1]
            ours = found == self._public or (authority == host and not forged)
            if not authority or not ours:
                raise Refusal(
                    403, "another site may not change anything here", f"the request came from {origin[:200]!r}"
                )
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refusal(403, "another site may not change anything here", "open this server's own page")
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdecimal() or len(length) > 9 or int(length) > MAX_BODY:
            raise Refusal(413, f"the body is longer than {MAX_BODY} octets")
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Refusal(415, "bodies must not be compressed", "leave Content-Encoding out")
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if scope["path"].startswith("/api/") and scope["method"] != "DELETE" and kind != "application/json":
            raise Refusal(415, "the body must be JSON", "Content-Type: application/json")


def origin_of(url: str) -> tuple[str, str]:
    """Scheme and authority of an address as browsers say them, in lower case and without the port that goes without saying."""
    scheme, _, rest = url.strip().lower().partition("://")
    authority = rest.partition("/")[0]
    return scheme, authority.removesuffix({"http": ":80", "https": ":443"}.get(scheme, "\0"))


def is_near(scope: Scope, headers: Headers) -> bool:
    """Whether a program of this machine asks for itself, and not for somebody behind it."""
    client = scope.get("client")
    found = address_of(client[0]) if client else None
    return found is not None and found.is_loopback and not any(name in headers for name in _FORWARDED)


def asked_address(scope: Scope) -> str:
    """Path and query of a request, as they were sent."""
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    query = scope.get("query_string", b"")
    return (raw + (b"?" + query if query else b"")).decode("latin-1")[:_MAX_BACK]


def _is_for_programs(path: str) -> bool:
    return path == _METRICS or path.startswith("/api/v")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
