"""Logs of mail servers over the JSON API; nothing of them is kept. Forms are in schemas/logs.json.

| method and path | query, body | answer |
|---|---|---|
| POST /api/v1/logs/explain | lang, destination, since (seconds ago), format, limit; ``{"log": "…"}`` | ``postroad.log.explanation/1`` |
"""

from __future__ import annotations

import time
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from postroad.diagnosis.logs import LIMIT, explain_log
from postroad.diagnosis.logs_reading import FORMATS
from postroad.web.answers import Json
from postroad.web.language import asked_language
from postroad.web.problems import Refusal
from postroad.web.requests import check_query, json_body, number, seconds, word

_MOST: Final = 1_000
_YEARS: Final = 10 * 366 * 86_400.0


async def explain(request: Request) -> Response:
    """An excerpt; a log longer than a body may be is for ``postroad log explain``."""
    check_query(request, "lang", "destination", "since", "format", "limit")
    log = _log(await json_body(request))
    document = await run_in_threadpool(
        explain_log,
        log,
        language=asked_language(request),
        destination=word(request, "destination"),
        since=_since(request),
        format=_format(request),
        limit=max(number(request, "limit", LIMIT, _MOST), 1),
    )
    if not document["formats"]:
        raise Refusal(400, "no line of it is of a log that is known", f"known: {', '.join(FORMATS)}")
    return Json(document, headers={"content-language": document["language"]})


def _log(given: dict[str, Any]) -> str:
    if unknown := sorted(set(given) - {"log"}):
        raise Refusal(400, f"there is no field `{unknown[0][:40]}`", "known here: log")
    log = given.get("log")
    if not isinstance(log, str) or not log.strip():
        raise Refusal(400, "there is nothing to explain", "give `log`, lines of a mail server's log")
    return log


def _since(request: Request) -> float:
    ago = seconds(request, "since", 0.0, _YEARS)
    return time.time() - ago if ago else 0.0


def _format(request: Request) -> str:
    kind = word(request, "format")
    if kind not in ("", "auto", *FORMATS):
        raise Refusal(400, f"there is no format `{kind[:40]}`", f"there are: {', '.join(FORMATS)}")
    return "" if kind == "auto" else kind
