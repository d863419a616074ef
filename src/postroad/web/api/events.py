"""Events over the JSON API: what just happened, as server-sent events (the topics are told in ``observe.events``).

| method and path | query | answer |
|---|---|---|
| GET /api/v1/events | topics (``accepted,queue``; all), last | ``text/event-stream`` |

Each event has an id, a topic for its name, and JSON for its data. ``Last-Event-ID``, or ``last`` in the first request,
goes on behind an event without gap or repetition; who asks for something that is not known any more, or comes back after
a restart, gets one ``resync`` and should look at everything again. A slow reader misses nothing either: what it has not
taken waits, and when that was too long, it gets ``resync``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from postroad.admin import Admin
from postroad.observe.events import RESYNC, TOPICS, Event
from postroad.web.door.people import Role, is_still_in, must_be
from postroad.web.problems import Refusal
from postroad.web.requests import check_query, word

#: Streams of one process.
MAX_STREAMS: Final = 100
#: Seconds after which a comment keeps a silent stream open.
ALIVE: Final = 15.0
#: Seconds between two writes to one reader.
_PACE: Final = 0.1
#: Milliseconds after which a browser comes back.
_RETRY: Final = 2_000
_HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}


class EventsApi:
    """See the module; ``close`` ends all streams of this application."""

    def __init__(self, admin: Admin) -> None:
        self._events = admin.events
        self._stopping = False

    def close(self) -> None:
        """The server stops."""
        self._stopping = True
        self._events.wake()

    async def stream(self, request: Request) -> Response:
        """Follow what happens."""
        must_be(request, Role.VIEWER)
        check_query(request, "topics", "last")
        topics = _topics(word(request, "topics"))
        last = request.headers.get("last-event-id", "") or word(request, "last")
        if request.method == "HEAD":
            return Response(None, 200, _HEADERS, "text/event-stream")
        if self._events.followers >= MAX_STREAMS or self._stopping:
            raise Refusal(503, f"{MAX_STREAMS} others follow the events already", "close some", {"retry-after": "10"})
        lines = self._lines(request, topics, last)
        return StreamingResponse(lines, 200, _HEADERS, "text/event-stream")

    async def _lines(self, request: Request, topics: frozenset[str], last: str) -> AsyncIterator[bytes]:
        """The stream, until the reader goes (it is closed then), may no more, or the server stops."""
        events = self._events
        events.followers += 1
        try:
            yield b"retry: %d\n\n" % _RETRY
            while not self._stopping and is_still_in(request):
                changed = events.changed  # in hand before looking: nothing is missed
                found, last = events.behind(last)
                text = b"".join(_event(one) for one in found if one.topic in topics)
                if text:
                    yield text
                    await asyncio.sleep(_PACE)
                elif not await _happened(changed):
                    yield b": still here\nid: %s\n\n" % last.encode("ascii")
        finally:
            events.followers -= 1


async def _happened(changed: asyncio.Event) -> bool:
    try:
        async with asyncio.timeout(ALIVE):
            await changed.wait()
    except TimeoutError:
        return False
    return True


def _topics(text: str) -> frozenset[str]:
    asked = frozenset(one for one in text.split(",") if one) or frozenset(TOPICS)
    if unknown := asked.difference(TOPICS):
        raise Refusal(400, f"there is no topic `{min(unknown)[:40]}`", "known here: " + ", ".join(TOPICS))
    return asked | {RESYNC}


def _event(event: Event) -> bytes:
    data = msgspec.json.encode(event.data)
    return b"id: %s\nevent: %s\ndata: %s\n\n" % (event.id.encode("ascii"), event.topic.encode("ascii"), data)
