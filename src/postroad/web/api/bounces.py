"""Bounces over the JSON API; nothing of them is kept. The form is in schemas/bounce.json.

| method and path | query, body | answer |
|---|---|---|
| POST /api/v1/bounces/explain | lang; ``{"message": "…"}`` or ``{"base64": "…"}`` | ``postroad.bounce/1`` |
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from postroad.diagnosis.bounce_document import explain_bounce
from postroad.web.answers import Json
from postroad.web.language import asked_language
from postroad.web.problems import Refusal
from postroad.web.requests import check_query, json_body

_GIVEN = ("message", "base64")


async def explain(request: Request) -> Response:
    """One message, as it was received; ``base64`` is for one with octets that are no UTF-8."""
    check_query(request, "lang")
    octets = _octets(await json_body(request))
    document = await run_in_threadpool(explain_bounce, octets, asked_language(request))
    return Json(document, headers={"content-language": document["language"]})


def _octets(given: dict[str, Any]) -> bytes:
    if unknown := sorted(set(given) - set(_GIVEN)):
        raise Refusal(400, f"there is no field `{unknown[0][:40]}`", f"known here: {', '.join(_GIVEN)}")
    text, encoded = (given.get(name) for name in _GIVEN)
    if isinstance(text, str) and text.strip() and encoded is None:
        return text.encode("utf-8", "surrogateescape")
    if not isinstance(encoded, str) or not encoded.strip() or text is not None:
        raise Refusal(400, "there is nothing to explain", "give `message`, the whole mail as text, or `base64` of it")
    try:
        return base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError) as fault:
        raise Refusal(400, "`base64` is not base64", "RFC 4648 section 4, with padding") from fault
