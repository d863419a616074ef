"""In which language a request is answered: ``lang`` in the query, the cookie, the browser's wish, the server's own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from starlette.requests import Request

from postroad.replies.catalogue import catalogue
from postroad.web.problems import Refusal
from postroad.web.requests import word

COOKIE: Final = "lang"

_TAG = re.compile(r"[ \t]*([A-Za-z]{1,8})(?:-[A-Za-z0-9-]{1,40})?[ \t]*(?:;[ \t]*q=([01](?:\.[0-9]{0,3})?)[ \t]*)?\Z")


def preferred(accepted: str, known: Iterable[str], usual: str = "en") -> str:
    """The language of ``known`` that an Accept-Language header likes best; ``usual`` when it likes none."""
    best, weight = usual, 0.0
    for part in accepted[:1_000].split(","):
        found = _TAG.match(part)
        tag = found[1].lower() if found else ""
        if found is None or tag not in known:
            continue
        likes = float(found[2] or "1")  # strict: matched as a number
        if likes > weight:
            best, weight = tag, likes
    return best


def readers_language(request: Request, known: Iterable[str], usual: str = "en") -> str:
    """For a page: what the query says, else what the reader chose before, else what the browser likes."""
    known = tuple(known)
    for tag in (request.query_params.get("lang", ""), request.cookies.get(COOKIE, "")):
        if tag in known:
            return tag
    return preferred(request.headers.get("accept-language", ""), known, usual)


def asked_language(request: Request) -> str:
    """For the API: the catalogue's language that ``lang`` names, else the one that is preferred. Raises Refusal."""
    known = catalogue().languages
    tag = word(request, "lang") or preferred(request.headers.get("accept-language", ""), known)
    if tag not in known:
        raise Refusal(400, f"there is no language `{tag[:40]}`", f"there are: {', '.join(known)}")
    return tag
