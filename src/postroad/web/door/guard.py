"""The door: who may ask at all, and what every answer tells the browser.

- Host: a name that we do not bear is refused, so that no foreign name can be bound to this address (DNS rebinding). An IP
  address is no name and needs no list.
- Writes: from our own pages or from programs, never from another site (Origin, Sec-Fetch-Site); bodies of the API must be
  JSON, which no form of another site can send.
- A password, when one is set, is asked for by HTTP Basic; what tells nothing of this server is open without it.
- Answers: a content security policy that permits nothing but our own files, no sniffing, no framing, no referrer
  to other sites.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from postroad.web.door.people import Person, Role
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
_OPEN_PATHS: Final = frozenset(("/livez", "/readyz"))
_SAFE_METHODS: Final = frozenset(("GET", "HEAD", "OPTIONS"))


class Guard:
    """ASGI middleware; see the module."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Iterable[str] = (),
        public_url: str = "",
        password: str = "",
        control: bool = False,
        dev: bool = True,
        public: Iterable[str] = (),
    ) -> None:
        """See the module.

        ``control``: behind a socket that only the operator may open; then every Host will do, and no password.
        ``public``: paths that are open without the password, each with all below it.
        """
        self._app = app
        named = urlsplit(public_url).hostname
        self._hosts = _LOOPBACK_NAMES | {host.lower() for host in hosts} | ({named} if named else set())
        self._public = urlsplit(public_url).netloc.lower()
        self._password = password.encode()
        self._control = control
        self._public_paths = frozenset(public) | _OPEN_PATHS
        self._person = Person("", Role.OPERATOR if control or dev or password else Role.VIEWER)
        self._public_folders = tuple(f"{path}/" for path in public)

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

        try:
            self._check(scope, Headers(scope=scope))
        except Refusal as refusal:
            await problem(refusal)(scope, receive, send_guarded)
            return
        scope.setdefault("state", {})["person"] = self._person
        await self._app(scope, receive, send_guarded)

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "").lower()
        if not self._control:
            self._check_host(headers.getlist("host"))
            self._check_password(scope["path"], headers)
        if scope["method"] not in _SAFE_METHODS:
            self._check_write(scope, headers, host)

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

    def _check_password(self, path: str, headers: Headers) -> None:
        if not self._password or path in self._public_paths or path.startswith(self._public_folders):
            return
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                _, _, password = base64.b64decode(credentials, validate=True).partition(b":")
            except ValueError:
                password = b""
            if hmac.compare_digest(password, self._password):
                return
        raise Refusal(
            401,
            "this server asks for its password",
            "any user name, and the password that the server printed at its start",
            {"www-authenticate": 'Basic realm="Postroad", charset="UTF-8"'},
        )

    def _check_write(self, scope: Scope, headers: Headers, host: str) -> None:
        origin = headers.get("origin")
        if origin is not None:
            authority = origin.lower().partition("://")[2]
            if not authority or authority not in (host, self._public):
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


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
