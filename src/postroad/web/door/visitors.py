"""What a request says of who sends it, where that is no secret: the address it comes from, and where to go on."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import Request

from postroad.policy.clients import address_of
from postroad.web.door.guard import SIGN_IN

_MAX_WAY: Final = 2_000
#: A path of this server: one slash, and nothing that a browser could read as another server or leave out.
_WAY: Final = re.compile(r"/(?![/\\])[!-\[\]-~]{0,1999}\Z")


def peer_of(request: Request) -> str:
    """The address that asks; behind a proxy of this machine, the last one that the proxy names.

    What a peer from elsewhere says of itself is never believed.
    """
    peer = request.client.host if request.client else ""
    address = address_of(peer)
    if address is not None and address.is_loopback:
        told = ",".join(request.headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
        found = address_of(told.strip("[]")) if told else None
        return str(found) if found is not None else peer
    return peer


def way_on(asked: str) -> str:
    """Where somebody goes who has signed in: what was asked when it is a page of this server, else the first page."""
    if _WAY.match(asked) is None:
        return "/"
    try:
        parts = urlsplit(asked)
    except ValueError:
        return "/"
    ours = not parts.scheme and not parts.netloc and parts.path not in (SIGN_IN, "/sign-out")
    return asked if ours else "/"
