"""Diagnosis over the JSON API: a job, whose steps can be followed as server-sent events.

| method and path | body or query | answer |
|---|---|---|
| POST /api/v1/diagnose | ``{"target", "as", "port", "implicit_tls", "host", "rcpt", "from", "probe_relay", "dkim", "ehlo", "timeout"}`` | 202, ``postroad.diagnosis.job/1`` |
| GET /api/v1/diagnose/{id} | lang | ``postroad.diagnosis.job/1`` with the diagnosis once it is done |
| GET /api/v1/diagnose/{id}/events | lang | server-sent events ``step``, ``finding``, ``done``; Last-Event-ID resumes |
| DELETE /api/v1/diagnose/{id} | | 204; a job under way is ended |

Whoever may not change anything here may not make this server dial either. At most ``diagnosing.MAX_RUNNING`` jobs run at
once. Where strangers might reach the API, only public addresses and the ports of mail are dialled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from postroad.web.answers import Json
from postroad.web.diagnosing import Diagnoses, Job, teller
from postroad.web.door.people import Role, must_be
from postroad.web.language import asked_language
from postroad.web.problems import Refusal
from postroad.web.requests import check_query, json_body

if TYPE_CHECKING:
    from postroad.diagnosis.diagnosing import Progress
    from postroad.diagnosis.telling import Teller

#: Seconds after which a comment keeps a silent stream open.
_ALIVE: Final = 15.0
_MAX_TIMEOUT: Final = 300.0
_TEXTS: Final = {"as": "role", "rcpt": "rcpt", "from": "sender", "ehlo": "hello"}
_FLAGS: Final = {"implicit_tls": "implicit_tls", "host": "host_only", "probe_relay": "probe_relay"}
_BODY: Final = (
    "target",
    "as",
    "port",
    "implicit_tls",
    "host",
    "rcpt",
    "from",
    "probe_relay",
    "dkim",
    "ehlo",
    "timeout",
)


class DiagnoseApi:
    """Answers."""

    def __init__(self, diagnoses: Diagnoses) -> None:
        self._diagnoses = diagnoses

    async def begin(self, request: Request) -> Response:
        """Start a job."""
        must_be(request, Role.OPERATOR)
        check_query(request, "lang")
        language = asked_language(request)
        job = self._diagnoses.begin(*_read(await json_body(request)))
        shape = _shape(job, language)
        return Response(msgspec.json.encode(shape), 202, {"location": shape["self"]}, "application/json")

    async def job(self, request: Request) -> Response:
        """How it stands."""
        check_query(request, "lang")
        return Json(_shape(self._known(request), asked_language(request)))

    async def end(self, request: Request) -> Response:
        """End and forget it."""
        must_be(request, Role.OPERATOR)
        check_query(request)
        self._diagnoses.end(request.path_params["id"])
        return Response(status_code=204)

    async def events(self, request: Request) -> Response:
        """Follow it."""
        check_query(request, "lang")
        job = self._known(request)
        teller_ = teller(asked_language(request))
        seen = request.headers.get("last-event-id", "")
        start = int(seen) + 1 if seen.isascii() and seen.isdecimal() and len(seen) < 9 else 0
        return StreamingResponse(_stream(job, start, teller_), 200, {"x-accel-buffering": "no"}, "text/event-stream")

    def _known(self, request: Request) -> Job:
        return self._diagnoses.job(request.path_params["id"])


def _read(given: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Target and keywords; raises Refusal."""
    if unknown := [name for name in given if name not in _BODY]:
        raise Refusal(400, f"there is no `{unknown[0][:40]}`", "known here: " + ", ".join(_BODY))
    target = given.get("target")
    if not isinstance(target, str) or not target or len(target) > 300:
        raise Refusal(400, "`target` must be a host or a domain", '"target": "example.com"')
    return target, _texts(given) | _numbers(given)


def _shape(job: Job, language: str) -> dict[str, Any]:
    place = f"/api/v1/diagnose/{job.id}"
    found = job.diagnosis
    return {
        "schema": "postroad.diagnosis.job/1",
        "id": job.id,
        "state": job.state,
        "target": job.target,
        "self": place,
        "events": f"{place}/events",
        "fault": job.fault,
        "diagnosis": None if found is None else teller(language).document(found, exit=int(found.level > 2)),
    }


def _texts(given: Mapping[str, Any]) -> dict[str, Any]:
    wishes: dict[str, Any] = {}
    for names, kind, what in ((_TEXTS, str, "a text"), (_FLAGS, bool, "true or false")):
        for name, keyword in names.items():
            if (value := given.get(name)) is None:
                continue
            if not isinstance(value, kind) or (isinstance(value, str) and len(value) > 300):
                raise Refusal(400, f"`{name}` must be {what}")
            wishes[keyword] = value
    if wishes.get("implicit_tls") is False:
        del wishes["implicit_tls"]  # port 465 has it all the same
    return wishes


def _numbers(given: Mapping[str, Any]) -> dict[str, Any]:
    from postroad.diagnosis.watching import Waits

    wishes: dict[str, Any] = {}
    if (port := given.get("port")) is not None:
        if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65_535:
            raise Refusal(400, "`port` must be a number from 1 to 65535")
        wishes["port"] = port
    if (timeout := given.get("timeout")) is not None:
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= _MAX_TIMEOUT:
            raise Refusal(400, f"`timeout` must be a number of seconds up to {_MAX_TIMEOUT:g}")
        wishes["waits"] = Waits.of(float(timeout))
    if (selectors := given.get("dkim")) is not None:
        if not isinstance(selectors, list) or not all(isinstance(one, str) for one in selectors):
            raise Refusal(400, "`dkim` must be a list of selectors", '"dkim": ["s1"]')
        wishes["dkim"] = tuple(selectors)
    return wishes


async def _stream(job: Job, start: int, teller: Teller) -> AsyncIterator[bytes]:
    """The events from ``start`` on, then what came of it all."""
    number = start
    while True:
        changed = job.changed
        while number < len(job.events):
            yield _event(number, *_told(job.events[number], teller))
            number += 1
        if job.state != "running":
            break
        try:
            await asyncio.wait_for(changed.wait(), _ALIVE)
        except TimeoutError:
            yield b": still at it\n\n"
    found = job.diagnosis
    if found is None:
        yield _event(number, "failed", {"fault": job.fault})
    else:
        yield _event(number, "done", teller.document(found, exit=int(found.level > 2)))


def _told(progress: Progress, teller: Teller) -> tuple[str, dict[str, Any]]:
    shape: dict[str, Any] = {"place": progress.place, "step": progress.step, "label": teller.step(progress.step)}
    shape |= {"done": progress.done, "of": progress.of}
    if progress.finding is None:
        return "step", shape
    return "finding", shape | {"finding": teller.finding(progress.finding)}


def _event(number: int, kind: str, data: Any) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, kind.encode("ascii"), msgspec.json.encode(data))
