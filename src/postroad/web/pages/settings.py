"""Settings: every value that runs, where it comes from and what it means; who may come in. Read only, but for tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.errors import NotFound
from postroad.web.pages.house import House, see
from postroad.web.problems import Refusal
from postroad.web.requests import Form
from postroad.web.texts import Texts

_LISTENERS: Final = frozenset(("mx", "submission", "submissions"))
#: What a domain or a destination may have otherwise than all other mail.
_TERMS: Final = frozenset(("tls", "schedule", "expire", "connections", "rate"))
_SECONDS: Final = frozenset(
    ("greet_delay", "hold_for", "schedule", "expire", "delay_notice", "keep", "command_timeout", "content_timeout")
)
_OCTETS: Final = frozenset(("size", "message_size", "min_free", "header_size", "line_octets"))
_NUMBER: Final = re.compile(r"[0-9]{1,15}\Z")
#: Names of limits whose number is explained elsewhere: the reply that tells of it.
_REPLY: Final = re.compile(r"\b([245][0-9]{2}) [245]\.[0-9]\.[0-9]\b")


class _Value(Protocol):
    """As the desk gives it."""

    @property
    def key(self) -> str: ...
    @property
    def value(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def place(self) -> str: ...
    @property
    def default(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Row:
    """One value on the page."""

    key: str
    """Within its table."""
    value: str
    gloss: str
    """The same in units, or ``""``."""
    source: str
    place: str
    default: str
    means: str
    code: str
    """The reply that tells of it, or ``""``."""

    @property
    def is_set(self) -> bool:
        """Somebody said it."""
        return self.source != "default"


@dataclass(frozen=True, slots=True)
class Group:
    """One table of the file."""

    name: str
    """``[limits]``, ``[[domain]]``; ``""`` for what stands above all tables."""
    anchor: str
    rows: tuple[Row, ...]


class Settings:
    """The pages below /settings."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        house = self._house
        return [
            Route("/settings/tokens/remove", house.form(self.token_remove), methods=["POST"]),
            Route("/settings", house.open(self.settings), methods=["GET"]),
        ]

    async def settings(self, request: Request) -> Response:
        """What runs."""
        wanted = request.query_params.get("show", "all")
        if wanted not in ("all", "set"):
            raise Refusal(400, f"`show` is all or set, not {wanted[:40]!r}")
        admin = self._house.admin
        try:
            found = await admin.settings()
        except NotFound:
            found = None
        texts = self._house.wording(request).texts
        groups = _groups(found.settings, texts, only_set=wanted == "set") if found is not None else []
        return self._house.page(
            request,
            "settings.html",
            found=found,
            groups=groups,
            show=wanted,
            people=admin.access.people(),
            tokens=admin.access.tokens.list(),
        )

    async def token_remove(self, request: Request, fields: Form) -> Response:
        """The button "remove" of a token."""
        self._house.admin.access.tokens.remove(fields.get("name", ""))
        return see("/settings#tokens")


def _groups(values: Sequence[_Value], texts: Texts, *, only_set: bool) -> list[Group]:
    tables: dict[str, list[Row]] = {}
    for one in values:
        table, _, key = one.key.rpartition(".")
        row = _row(one, table, key, texts)
        if row.is_set or not only_set:
            tables.setdefault(table, []).append(row)
    return [Group(_header(table), table.replace(".", "-") or "top", tuple(rows)) for table, rows in tables.items()]


def _row(one: _Value, table: str, key: str, texts: Texts) -> Row:
    means = f"settings.is.{_meaning(table, key)}"
    words = texts(means) if means in texts else ""
    code = _REPLY.search(words)
    gloss = _gloss(key, one.value, texts)
    return Row(key, one.value, gloss, one.source, one.place, one.default, words, code[1] if code else "")


def _meaning(table: str, key: str) -> str:
    """The end of the key under which its meaning stands."""
    room = table.partition(".")[0]
    if ".chaos." in f"{table}.":
        return "chaos"
    if room in _LISTENERS:
        return f"listener.{key}"
    if room in ("domain", "destination") and key in _TERMS:
        return f"terms.{key}"
    room = "account" if room == "user" else room
    return f"{room}.{key}" if room else key


def _header(table: str) -> str:
    """As the file writes it: ``[limits]``, and ``[[domain]]`` for one of several."""
    if not table:
        return ""
    plain = ".".join(part for part in table.split(".") if not part.isdecimal())
    return f"[[{plain}]]" if table.rpartition(".")[2].isdecimal() else f"[{plain}]"


def _gloss(key: str, value: str, texts: Texts) -> str:
    """Seconds and octets in units."""
    numbers = value.strip("[]").split(", ")
    if not all(map(_NUMBER.match, numbers)) or numbers == ["0"]:
        return ""
    if key in _OCTETS:
        return ", ".join(texts.size(int(one)) for one in numbers)  # strict: digits
    if key in _SECONDS and (key != "keep" or numbers[0] > "9999"):
        return ", ".join(texts.span(int(one)) for one in numbers)  # strict: digits
    return ""
