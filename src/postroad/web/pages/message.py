"""One message: where it stands, each recipient, and its timeline with every reply explained where it was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from postroad.admin.queue import Ambiguous
from postroad.admin.queue_actions import ACTIONS
from postroad.admin.why import Standing, Why
from postroad.envelope import RecipientState, StoredMessage
from postroad.errors import NotFound
from postroad.replies import Reply
from postroad.web.api.queue_shapes import step_shape
from postroad.web.door.people import Role, person_of
from postroad.web.pages.dialogue import Dialogue, read_dialogue
from postroad.web.pages.house import House
from postroad.web.pages.meaning import Meanings
from postroad.web.pages.standing import GROUPS, Group, alike, sentence, speaker, told, tone
from postroad.web.pages.timeline import Came, Event, Stretch, entries, stretch
from postroad.web.pages.wording import Wording
from postroad.web.requests import check_query, flag, number, word

#: Lines of dialogues on a page; tries beyond them show theirs on demand.
_TURNS: Final = 320
#: Tries whose dialogue is shown at once, however short they are.
_DIALOGUES: Final = 16
#: Addresses on a page of all of them.
ADDRESSES: Final = 500
_ACTS: Final = ("retry", "release", "hold", "bounce", "drop")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What part of the page is wanted."""

    before: int | None
    number: int
    groups: int
    addresses: int | None
    inbound: bool


@dataclass(frozen=True, slots=True)
class _Shown:
    """Everything that takes work, done in a thread."""

    sentence: str
    groups: list[Group]
    all_groups: int
    stretch: Stretch
    dialogues: dict[int, Dialogue]
    """Event.number -> what was said."""
    inbound: Dialogue | None


class MessagePage:
    """The pages below /message."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._meanings: dict[str, Meanings] = {}

    def routes(self) -> list[BaseRoute]:
        """The routes."""
        return [
            Route("/message", self._house.open(self.find), methods=["GET"]),
            Route("/message/{id}", self._house.open(self.message), methods=["GET"]),
        ]

    async def find(self, request: Request) -> Response:
        """The form for a part of an id, and what it leads to."""
        part = word(request, "id").strip().strip("<>")
        if not part:
            return self._found(request, "")
        return await self._named(request, part) or RedirectResponse(_path(part), 303)

    async def message(self, request: Request) -> Response:
        """One message, by its whole id."""
        check_query(request, "before", "try", "recipients", "addresses", "inbound", "lang")
        part = request.path_params["id"]
        if (elsewhere := await self._named(request, part)) is not None:
            return elsewhere
        why = await self._house.admin.why(part)
        transcript = await self._transcript(why) if flag(request, "inbound") else ""
        say, asked = self._house.wording(request), _asked(request)
        shown = await run_in_threadpool(_shown, why, asked, transcript, say)  # the loop belongs to the mail
        return self._house.page(
            request,
            "message.html",
            why=why,
            case=why.case,
            message=why.case.message,
            tone=tone(why),
            shown=shown,
            asked=asked,
            voice=speaker(say, why),
            meaning=self._meanings.setdefault(say.language, Meanings(say)).of,
            acts=self._acts(why.standings),
            acts_on=lambda group: self._acts([group.one]),
            decided=_decided,
            waits=_waits(shown.groups),
            address_of=lambda index: why.case.forward_paths.get(index, ""),
            step_shape=step_shape,
            addresses=_addresses(why, asked),
            page_size=ADDRESSES,
            has_session=await self._has_session(why.case.message),
            reads_content=_reads_content(request, why),
        )

    async def _named(self, request: Request, part: str) -> Response | None:
        """Where to go, or what to say, when ``part`` is not the whole id of one message; None: it is."""
        try:
            whole = await self._house.admin.queue.find(part)
        except Ambiguous as fault:
            return self._found(request, part, 300, candidates=fault.candidates, are_more=fault.are_more)
        except NotFound:
            return self._found(request, part, 404, missing=True)
        here = request.path_params.get("id") == whole
        return None if here else RedirectResponse(_path(whole), 303)

    def _found(self, request: Request, part: str, status: int = 200, **more: Any) -> Response:
        values: dict[str, Any] = {"candidates": (), "are_more": False, "missing": False, **more}
        return self._house.page(request, "message_find.html", status, part=part, **values)

    async def _transcript(self, why: Why) -> str:
        if why.case.message is None:
            return ""
        try:
            return await self._house.admin.message_transcript(why.case.id)
        except NotFound:  # it went meanwhile
            return ""

    async def _has_session(self, message: StoredMessage | None) -> bool:
        if message is None or not message.origin.session:
            return False
        try:
            await self._house.admin.session(message.origin.session)
        except NotFound:
            return False
        return True

    def _acts(self, standings: Sequence[Standing]) -> list[str]:
        """What an operator may do to any of these."""
        states = {RecipientState(one.state) for one in standings if one.state in ("queued", "held")}
        tells = self._house.admin.queue_actions.tells
        return [name for name in _ACTS if states & ACTIONS[name] and (name != "bounce" or tells)]


def _path(message_id: str) -> str:
    return f"/message/{quote(message_id, safe='')}"


def _asked(request: Request) -> _Asked:
    given = request.query_params
    return _Asked(
        before=number(request, "before", 0) if "before" in given else None,
        number=number(request, "try", 0),
        groups=number(request, "recipients", 0),
        addresses=number(request, "addresses", 0) if "addresses" in given else None,
        inbound=flag(request, "inbound"),
    )


def _reads_content(request: Request, why: Why) -> bool:
    return why.case.message is not None and person_of(request).role >= Role.OPERATOR


def _shown(why: Why, asked: _Asked, transcript: str, say: Wording) -> _Shown:
    groups = alike(why.standings)
    asks_success = frozenset(
        one.number
        for one in (why.case.message.recipients if why.case.message is not None else ())
        if "SUCCESS" in one.parameters.upper()
    )
    found = entries(why.case, {one.number: one.told for one in why.standings}, asks_success)
    page = stretch(found, asked.before, asked.number)
    return _Shown(
        sentence=sentence(why, say),
        groups=told(why, groups[asked.groups : asked.groups + GROUPS], say),
        all_groups=len(groups),
        stretch=page,
        dialogues=_dialogues(page, asked.number),
        inbound=read_dialogue(transcript) if asked.inbound else None,
    )


def _dialogues(page: Stretch, number: int) -> dict[int, Dialogue]:
    """What was said in the newest tries of a page, and in the one that is asked for."""
    found: dict[int, Dialogue] = {}
    left = _TURNS
    for event in (entry.event for entry in page.entries if entry.event.kind == "try"):
        if left <= 0 or len(found) == _DIALOGUES:
            break
        dialogue = found[event.number] = _said(event)
        left -= len(dialogue.turns)
    events = (event for entry in page.entries for event in (entry.event, *entry.same))
    for event in events:
        if event.kind == "try" and event.number == number and number not in found:
            found[number] = _said(event)
    return found


def _said(event: Event) -> Dialogue:
    return read_dialogue(event.attempt.transcript if event.attempt is not None else "")


def _decided(reply: Reply, came: Sequence[Came]) -> bool:
    """Whether a refusal in a dialogue is what it came to for somebody; where that is not known, every one may be."""
    said = {(one.result.reply.code, one.result.reply.enhanced) for one in came if one.result.reply is not None}
    return not said or (reply.code, reply.enhanced) in said


def _waits(groups: Sequence[Group]) -> dict[object, Group]:
    """Reply -> the group that waits with it, where others do, too."""
    return {group.one.reply: group for group in groups if group.waiting and group.one.reply is not None}


def _addresses(why: Why, asked: _Asked) -> Sequence[Standing]:
    """The addresses that are asked for, in the order of the transaction."""
    if asked.addresses is None:
        return ()
    return why.standings[asked.addresses : asked.addresses + ADDRESSES]
