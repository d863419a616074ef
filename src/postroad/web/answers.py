"""What API and pages answer alike: JSON, a mail's HTML in fetters, its octets, its parts, and what ends with the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from postroad.admin import Admin
from postroad.inbox.message_view import safe_type
from postroad.web.door.guard import FILE_POLICY, FRAME_POLICY
from postroad.web.problems import Refusal

T = TypeVar("T")

_HEADER_SAFE: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_ ()")


class Json(Response):
    """A value as JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Its octets."""
        return msgspec.json.encode(content)


async def html_response(admin: Admin, message_id: str) -> Response:
    """A mail's HTML, in fetters."""
    html = await admin.message_html(message_id)
    if html is None:
        raise Refusal(404, "this message has no HTML")
    headers = {
        "content-security-policy": FRAME_POLICY,
        "x-frame-options": "SAMEORIGIN",
        "referrer-policy": "no-referrer",
    }
    return Response(html.encode("utf-8", "replace"), 200, headers, "text/html; charset=utf-8")


async def raw_response(admin: Admin, message_id: str, download: bool) -> Response:
    """A mail's octets, as text to look at or as a file."""
    blocks = admin.message_raw(message_id)
    first = await anext(blocks, b"")  # before the headers go, so that a missing message is told as such

    async def stream() -> AsyncIterator[bytes]:
        yield first
        async for block in blocks:
            yield block

    headers = {"content-security-policy": FILE_POLICY}
    if download:
        headers["content-disposition"] = f'attachment; filename="{quote(message_id, safe="")}.eml"'
    media_type = "message/rfc822" if download else "text/plain; charset=utf-8"
    return StreamingResponse(stream(), 200, headers, media_type)


async def attachment_response(admin: Admin, message_id: str, text: str) -> Response:
    """A part of a mail, always as a file to save."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise Refusal(404, "parts are named by their number")
    name, content_type, octets = await admin.message_attachment(message_id, int(text))
    plain = "".join(character if character in _HEADER_SAFE else "_" for character in name).strip(". ") or "part"
    disposition = (
        f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name.encode('utf-8', 'replace'), safe='')}"
    )
    headers = {"content-security-policy": FILE_POLICY, "content-disposition": disposition}
    return Response(octets, 200, headers, safe_type(content_type))


async def while_connected(request: Request, work: Awaitable[T]) -> T | None:
    """The outcome of ``work``; None when the client leaves before, or the server stops."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_left(request))
    stopping = asyncio.ensure_future(request.app.state.stopping.wait())
    try:
        await asyncio.wait((working, leaving, stopping), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, leaving, stopping):
            task.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
