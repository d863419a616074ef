"""Acts on the queue: what would be touched is shown first, and only that is touched once somebody has said yes."""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from postroad.admin.queue_actions import ACTIONS, Done, TooMany
from postroad.admin.queue_filter import FIELDS, QueueFilter, picked
from postroad.web.pages.house import House, see
from postroad.web.pages.queue_asked import Asked, command, read_asked, read_picked
from postroad.web.problems import Refusal
from postroad.web.requests import Form

#: Which of the rows are meant.
SCOPES: Final = ("ticked", "page", "filter")
_MOMENT: Final = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,9})?\Z")
_COUNT: Final = re.compile(r"[0-9]{1,12}\Z")


class Meant:
    """Whom an act is about, and how that was said."""

    def __init__(self, fields: Form, asked: Asked) -> None:
        self.asked = asked
        self.scope = fields.get("scope", "ticked")
        if self.scope not in SCOPES:
            raise Refusal(400, f"there is no scope `{self.scope[:40]}`", "scope: " + ", ".join(SCOPES))
        self.rows = [] if self.scope == "filter" else fields.all("shown" if self.scope == "page" else "row")

    @property
    def nobody(self) -> bool:
        """Whether no row was chosen."""
        return self.scope != "filter" and not self.rows

    def filter(self, as_of: float | None) -> QueueFilter:
        """Who is meant, without what came after ``as_of`` (rows that were chosen one by one are older anyway)."""
        if self.scope != "filter":
            return picked(read_picked(self.rows))
        if self.asked.wanted is None:
            raise Refusal(400, "this filter cannot be understood", "mend it on the page of the queue")
        return self.asked.wanted if as_of is None else self.asked.wanted.as_of(as_of)


class QueueForms:
    """What the forms of the queue's page do."""

    def __init__(self, house: House) -> None:
        self._house = house

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        house = self._house
        return [
            Route("/queue/actions", house.open(self.back), methods=["GET"]),
            Route("/queue/actions", house.form(self.ask), methods=["POST"]),
            Route("/queue/actions/sure", house.open(self.back), methods=["GET"]),
            Route("/queue/actions/sure", house.form(self.act), methods=["POST"]),
        ]

    async def back(self, request: Request) -> Response:
        """Nothing is asked here without a form."""
        return see("/queue")

    async def ask(self, request: Request, fields: Form) -> Response:
        """Show what would be touched."""
        action, meant = _action(fields), self._meant(fields, None)
        if meant.nobody:
            return see(meant.asked.path(done="none"))
        return await self._confirm(request, action, meant, fields.get("note", ""))

    async def act(self, request: Request, fields: Form) -> Response:
        """Do it, to those that were shown."""
        action = _action(fields)
        as_of, at_most = _moment(fields.get("as_of", ""), self._house.admin.now()), _count(fields.get("at_most", ""))
        meant = self._meant(fields, as_of)
        note = fields.get("note", "")
        try:
            done = await self._house.admin.queue_actions.act(action, meant.filter(as_of), note=note, at_most=at_most)
        except TooMany:
            return await self._confirm(request, action, self._meant(fields, None), note, before=at_most)
        return see(meant.asked.path(done=action, changed=done.recipients, busy=done.busy or ""))

    def _meant(self, fields: Form, as_of: float | None) -> Meant:
        desk = self._house.admin.queue
        now = desk.clock.wall() if as_of is None else as_of
        words = {name: fields.get(name, "") for name in FIELDS}
        return Meant(fields, read_asked(words, fields.all("id"), now, desk.rules))

    async def _confirm(
        self, request: Request, action: str, meant: Meant, note: str, before: int | None = None
    ) -> Response:
        """``before``: how many somebody had said yes to, when there are more now."""
        done = await self._house.admin.queue_actions.act(action, meant.filter(None), dry_run=True)
        line, exact = await self._command(action, meant, done)
        return self._house.page(
            request,
            "queue_confirm.html",
            200 if before is None else 409,
            action=action,
            meant=meant,
            done=done,
            note=note,
            before=before,
            as_of=f"{done.at:.6f}",
            command=line,
            exact=exact,
        )

    async def _command(self, action: str, meant: Meant, done: Done) -> tuple[str, bool]:
        """The same for a terminal, and whether it touches these recipients and no others."""
        if meant.scope == "filter":
            everything = () if meant.asked.words or meant.asked.ids else ("--all",)
            return command(action, meant.asked.words, meant.asked.ids, *everything, "--dry-run"), True
        desk = self._house.admin.queue
        touched = meant.filter(None).within(ACTIONS[action])
        ids = list(dict.fromkeys([row.message.id async for row in desk.rows(touched)]))
        if not ids:
            return "", True
        narrower = {"to": done.examples[0][1].forward_path} if done.recipients == 1 else {}
        for tried in ({}, narrower):
            wanted = read_asked(tried, ids, desk.clock.wall(), desk.rules).wanted
            if wanted is not None and await self._touched(action, wanted) == done.recipients:
                return command(action, tried, ids, "--dry-run"), True
        return command(action, {}, ids, "--dry-run"), False

    async def _touched(self, action: str, wanted: QueueFilter) -> int:
        """How many an act on this filter would touch."""
        return (await self._house.admin.queue_actions.act(action, wanted, dry_run=True)).recipients


def _action(fields: Form) -> str:
    action = fields.get("action", "")
    if action not in ACTIONS:
        raise Refusal(400, f"there is no action `{action[:40]}`", "known: " + ", ".join(ACTIONS))
    return action


def _moment(text: str, now: float) -> float:
    if _MOMENT.match(text) is None:
        raise Refusal(400, "this form does not say when its recipients were counted", "open the queue and repeat")
    return min(float(text), now)


def _count(text: str) -> int:
    if _COUNT.match(text) is None:
        raise Refusal(400, "this form does not say how many were counted", "open the queue and repeat")
    return int(text)
