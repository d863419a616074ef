"""The queue: who waits, since when and why; counted by destination and reply; its shape. Acts are in queue_forms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.admin.others import By
from postroad.admin.queue import Page, Row
from postroad.admin.queue_actions import ACTIONS
from postroad.admin.queue_filter import FIELDS, STATES, QueueFilter, read_code
from postroad.admin.queue_shape import AGES, Line
from postroad.envelope import RecipientState
from postroad.errors import PostroadError
from postroad.replies.catalogue import catalogue
from postroad.spool.interface import QueueGroup
from postroad.web.pages.house import House, see
from postroad.web.pages.queue_asked import Asked, command, read_asked
from postroad.web.pages.queue_forms import QueueForms
from postroad.web.pages.wording import Wording
from postroad.web.problems import Refusal
from postroad.web.requests import check_query, number, word

#: Recipients, and groups, on a page.
PAGE: Final = 50
GROUPS: Final = 200
_SHORT: Final = 8
_SHAPES: Final = ("queued", "held")
_RESULT: Final = ("done", "changed", "busy")


@dataclass(frozen=True, slots=True)
class Shown:
    """A recipient as a row."""

    row: Row
    key: str
    """``<id>:<number>``, what its box says."""
    mark: str
    """The id of its element."""
    short: str
    state: str
    rests_until: float | None
    """When its host is left alone, longer than it waits itself."""
    note: str
    """What is said in place of a reply, in words."""
    reason: str


@dataclass(frozen=True, slots=True)
class Group:
    """A group as a row."""

    counted: QueueGroup
    href: str
    """The recipients in it; ``""``: no filter narrows to them."""
    code: int | None
    """Of the reply that they have in common."""
    note: str


class Queue:
    """The pages below /queue."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._forms = QueueForms(house)

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        house = self._house
        return [
            Route("/queue", house.open(self.queue), methods=["GET"]),
            Route("/queue/shape", house.open(self.shape), methods=["GET"]),
            *self._forms.routes(),
        ]

    # ── recipients ──────────────────────────────────────────────────────────

    async def queue(self, request: Request) -> Response:
        """Who waits; ``by``: counted."""
        check_query(request, *FIELDS, "id", "after", "by", "lang", *_RESULT)
        if not all(text for _, text in request.query_params.multi_items()):
            return see(_without_blanks(request))
        desk = self._house.admin.queue
        given = {name: word(request, name) for name in FIELDS}
        asked = read_asked(given, request.query_params.getlist("id"), desk.clock.wall(), desk.rules)
        by = _by(request)
        if asked.wanted is None:
            return self._page(request, asked, 400, by=by)
        if by is not None:
            return await self._grouped(request, asked, asked.wanted, by)
        after = word(request, "after")
        found = await desk.page(asked.wanted, after, PAGE)
        rows = [self._shown(request, row) for row in found.rows]
        return self._page(request, asked, found=found, rows=rows, after=after)

    def _page(self, request: Request, asked: Asked, status: int = 200, **more: Any) -> Response:
        by: str | None = more.pop("by", None)
        values = {"found": Page((), "", None, None), "rows": [], "groups": None, "after": "", "uncountable": False}
        extra = ("--by", by) if by else ()
        return self._house.page(
            request,
            "queue.html",
            status,
            **{**values, **more},
            asked=asked,
            by=by or "",
            reasons=_reasons(self._house.language(request)),
            states=STATES,
            command="" if asked.faults else command("list", asked.words, asked.ids, *extra),
            actions=[name for name in ACTIONS if name != "bounce" or self._house.admin.queue_actions.tells],
            tells=self._house.admin.queue_actions.tells,
            result=_result(request),
            now=self._house.admin.now(),
        )

    def _shown(self, request: Request, row: Row) -> Shown:
        one, now = row.recipient, self._house.admin.now()
        language = self._house.language(request)
        rests = self._house.admin.outlook.rests_until(one.destination) or 0.0
        waits = one.state is RecipientState.QUEUED
        return Shown(
            row=row,
            key=f"{row.message.id}:{one.number}",
            mark=f"r-{row.message.id}-{one.number}",
            short=row.message.id[-_SHORT:],
            state="deferred" if waits and one.attempts else one.state.value,
            rests_until=rests if waits and rests > max(now, one.next_due or 0.0) else None,
            note=self._house.wording(request).note(one.note) if one.reply is None else "",
            reason=_reasons(language).get(row.reason, ""),
        )

    # ── groups ──────────────────────────────────────────────────────────────

    async def _grouped(self, request: Request, asked: Asked, wanted: QueueFilter, by: By) -> Response:
        if wanted.looks_closer:
            return self._page(request, asked, 400, by=by, uncountable=True)
        found = await self._house.admin.queue.groups(by, wanted, GROUPS + 1)
        say = self._house.wording(request)
        groups = [_group(one, by, asked, say) for one in found[:GROUPS]]
        return self._page(request, asked, by=by, groups=groups, more_groups=len(found) > GROUPS, most=GROUPS)

    # ── shape ───────────────────────────────────────────────────────────────

    async def shape(self, request: Request) -> Response:
        """How much waits for whom since when."""
        check_query(request, "state", "lang")
        state = word(request, "state") or "queued"
        if state not in _SHAPES:
            raise Refusal(400, f"there is no shape of `{state[:40]}`", "state: " + ", ".join(_SHAPES))
        shape = await self._house.admin.queue.shape(RecipientState(state), PAGE)
        lines = [shape.whole, *shape.lines, *([shape.rest] if shape.rest is not None else [])]
        most = max((count for line in shape.lines for count in line.columns), default=0)
        return self._house.page(
            request,
            "queue_shape.html",
            shape=shape,
            state=state,
            ages=AGES,
            heat=lambda count: _heat(count, most),
            links=[_links(line, state) for line in lines],
            lines=lines,
        )


def _without_blanks(request: Request) -> str:
    """The same address without the fields that were left empty, so that it can be given to others."""
    query = urlencode([(name, text) for name, text in request.query_params.multi_items() if text])
    return f"/queue?{query}" if query else "/queue"


def _by(request: Request) -> By | None:
    match word(request, "by"):
        case "":
            return None
        case "destination":
            return "destination"
        case "reply":
            return "reply"
        case other:
            raise Refusal(400, f"the queue is not counted by `{other[:40]}`", "by: destination, reply")


def _result(request: Request) -> dict[str, Any] | None:
    """What an act came to, told once behind it."""
    done = word(request, "done")
    if done not in (*ACTIONS, "none"):
        return None
    return {"action": done, "changed": number(request, "changed", 0), "busy": number(request, "busy", 0)}


def _reasons(language: str) -> Mapping[str, str]:
    """Every reason by its slug: its title, in the order of the titles."""
    known = catalogue()
    titles = {slug: known.term_words("reasons", slug, language).title for slug in known.rules.reasons}
    return dict(sorted(titles.items(), key=lambda pair: pair[1]))


def _group(one: QueueGroup, by: By, asked: Asked, say: Wording) -> Group:
    if by == "destination":
        named = one.key and "*" not in one.key  # which would stand for others, too
        return Group(one, asked.path(destination=one.key) if named else "", None, "")
    try:
        pattern = read_code(one.key)
    except PostroadError:
        return Group(one, "", None, say.note(one.key))
    return Group(one, asked.path(code=pattern), int(pattern[:3]), "")


def _heat(count: int, most: int) -> int:
    """How warm a cell is, 0 to 5; each step is a quarter of the one above."""
    warmth = 5
    while warmth and count * 4 ** (5 - warmth) < most:
        warmth -= 1
    return max(warmth, 1) if count else 0


def _links(line: Line, state: str) -> list[str]:
    """Where the name and each cell of a line lead; ``""``: nowhere."""
    if not line.destination or "*" in line.destination:
        return [""] * (len(line.columns) + 1)
    asked = Asked({"destination": line.destination, "state": state}, (), None, frozenset())
    columns = ["", *(f"{minutes}m" for minutes in AGES)]
    return [asked.path(), *(asked.path(older=age) for age in columns)]
