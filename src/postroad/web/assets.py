"""Our own files for browsers: read once, compressed once, named by what they hold so that they are fetched once.

``/static/house.css?v=1a2b3c4d`` never changes; without ``v``, or with another, a browser must ask each time.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from postroad.reference.rendering import STATIC as REFERENCE
from postroad.web.problems import Refusal

_HERE: Final = Path(__file__).parent / "static"
#: Folder of files -> where it stands below /static.
_FOLDERS: Final = ((_HERE, ""), (REFERENCE, "reference/"))
_TYPES: Final = {".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css"}
#: Types of files that are compressed here, and not once more behind.
MEDIA_TYPES: Final = tuple(_TYPES.values())
_FOREVER: Final = "public, max-age=31536000, immutable"
#: Below this, compressing saves nothing.
_WORTH_IT: Final = 500


@dataclass(frozen=True, slots=True)
class Asset:
    """One file."""

    octets: bytes
    compressed: bytes | None
    media_type: str
    mark: str
    """The beginning of its SHA-256."""


@cache
def assets() -> Mapping[str, Asset]:
    """All files by their path below /static."""
    return {
        prefix + path.relative_to(folder).as_posix(): _read(path)
        for folder, prefix in _FOLDERS
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _read(path: Path) -> Asset:
    octets = path.read_bytes()
    kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
    smaller = gzip.compress(octets, 9, mtime=0) if len(octets) > _WORTH_IT else None
    media_type = f"{kind}; charset=utf-8" if kind.startswith(("text/", "image/svg")) else kind
    return Asset(octets, smaller, media_type, hashlib.sha256(octets).hexdigest()[:8])


def asset_url(name: str) -> str:
    """The lasting address of a file; raises KeyError for one that we do not have."""
    return f"/static/{name}?v={assets()[name].mark}"


async def _serve(request: Request) -> Response:
    found = assets().get(request.path_params["name"])
    if found is None:
        raise Refusal(404, "there is no such file")
    lasting = request.query_params.get("v") == found.mark
    headers = {
        "etag": f'"{found.mark}"',
        "cache-control": _FOREVER if lasting else "no-cache",
        "vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    if found.compressed is not None and _takes_gzip(request.headers.get("accept-encoding", "")):
        return Response(found.compressed, 200, headers | {"content-encoding": "gzip"}, found.media_type)
    return Response(found.octets, 200, headers, found.media_type)


def _takes_gzip(accepted: str) -> bool:
    codings = {name.strip().lower(): weight.replace(" ", "") for name, _, weight in _parts(accepted)}
    return "gzip" in codings and codings["gzip"] not in ("q=0", "q=0.0", "q=0.00", "q=0.000")


def _parts(accepted: str) -> list[tuple[str, str, str]]:
    return [part.partition(";") for part in accepted[:1_000].split(",")]


def routes() -> list[Route]:
    """The route below /static."""
    return [Route("/static/{name:path}", _serve, methods=["GET"])]
