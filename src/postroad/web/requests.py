"""What a request asks, read strictly: query words, JSON bodies, forms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from postroad.web.problems import Refusal

MAX_WORD: Final = 1_000
#: Octets of a body.
MAX_BODY: Final = 256 * 1024
#: Fields of a form.
MAX_FIELDS: Final = 1_200

_DIGITS = re.compile(r"[0-9]{1,18}\Z")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?\Z")


def check_query(request: Request, *known: str) -> None:
    """Refuse query words that would be ignored."""
    for name in request.query_params:
        if name not in known:
            raise Refusal(400, f"there is no query word `{name[:40]}`", "known here: " + (", ".join(known) or "none"))


def word(request: Request, name: str) -> str:
    """A query word, ``""`` when absent."""
    value = request.query_params.get(name, "")
    if len(value) > MAX_WORD:
        raise Refusal(400, f"`{name}` is longer than {MAX_WORD} characters")
    return value


def number(request: Request, name: str, usual: int, most: int = 10**18) -> int:
    """A whole number in the query, from 0 to ``most``."""
    text = word(request, name)
    if not text:
        return usual
    if _DIGITS.match(text) is None or int(text) > most:
        raise Refusal(400, f"`{name}` must be a whole number from 0 to {most}")
    return int(text)


def seconds(request: Request, name: str, usual: float, most: float) -> float:
    """A time in the query, in seconds."""
    text = word(request, name)
    if not text:
        return usual
    if _SECONDS.match(text) is None or float(text) > most:
        raise Refusal(400, f"`{name}` must be a number of seconds from 0 to {most:g}")
    return float(text)


def flag(request: Request, name: str) -> bool:
    """``true``/``1`` or ``false``/``0`` in the query."""
    text = word(request, name).lower()
    if text not in ("", "0", "1", "true", "false"):
        raise Refusal(400, f"`{name}` must be true or false")
    return text in ("1", "true")


async def body(request: Request, most: int = MAX_BODY) -> bytes:
    """The whole body, never more than ``most`` octets of it."""
    octets = bytearray()
    async for block in request.stream():
        octets += block
        if len(octets) > most:
            raise Refusal(413, f"the body is longer than {most} octets")
    return bytes(octets)


async def json_body(request: Request, most: int = MAX_BODY) -> dict[str, Any]:
    """The body as a JSON object."""
    try:
        read = msgspec.json.decode(await body(request, most))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as fault:
        raise Refusal(400, f"the body is not JSON: {fault}") from fault
    if not isinstance(read, dict):
        raise Refusal(400, "the body must be a JSON object")
    return read


class Form(Mapping[str, str]):
    """The fields of an HTML form; of several with one name the first, unless all are asked for."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._all: dict[str, list[str]] = {}
        for name, value in pairs:
            self._all.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return self._all[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def all(self, name: str) -> list[str]:
        """Every value under a name (boxes that are ticked), in their order."""
        return self._all.get(name, [])


async def form_body(request: Request, most: int = MAX_BODY) -> Form:
    """The body as fields of an HTML form."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise Refusal(415, "the body must be a form", "Content-Type: application/x-www-form-urlencoded")
    try:
        text = (await body(request, most)).decode("utf-8")
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=bool(text), max_num_fields=MAX_FIELDS, errors="strict"
        )
    except ValueError as fault:
        raise Refusal(400, f"the body is not a form: {fault}") from fault
    return Form(pairs)
