"""How tests ask for the pages of the queue, and fill in their forms."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from postroad.envelope import RecipientState
from postroad.spool.interface import MessageQuery
from tests.web.queue_house import QueueHouse

_ROW = re.compile(r'name="row" value="([^"]+)"')
_HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


@dataclass
class Desk:
    """Somebody before the pages of a house."""

    house: QueueHouse
    client: httpx.AsyncClient

    async def open(self, path: str = "/queue", status: int = 200, **headers: str) -> str:
        """The page, entities and all."""
        answer = await self.client.get(path, headers=headers)
        self.client.cookies.clear()  # of the language
        assert answer.status_code == status, (answer.status_code, answer.text)
        return answer.text

    async def ask(self, page: str, action: str, scope: str, rows: Sequence[str] = (), **more: str) -> httpx.Response:
        """Send the form below a list."""
        form = page[page.index('<form id="act"') :]
        form = form[: form.index("</form>")]
        fields = [*hidden(form), ("action", action), ("scope", scope), *(("row", one) for one in rows)]
        fields += [("shown", one) for one in re.findall(r'name="shown" value="([^"]+)"', page)]
        return await self.send("/queue/actions", [*fields, *more.items()])

    async def sure(self, page: str, **more: str) -> httpx.Response:
        """Say yes."""
        form = page[page.index('<form class="sure"') :]
        return await self.send("/queue/actions/sure", [*hidden(form[: form.index("</form>")]), *more.items()])

    async def send(self, path: str, fields: Sequence[tuple[str, str]]) -> httpx.Response:
        """A form as a browser sends it."""
        content = httpx.QueryParams(list(fields)).__str__()
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return await self.client.post(path, content=content, headers=kind)

    async def states(self) -> dict[str, str]:
        """Address -> state of everybody who is there."""
        found = await self.house.spool.messages(MessageQuery(limit=1_000))
        return {one.forward_path: one.state.value for message in found for one in message.recipients}

    async def due(self) -> set[str]:
        """Addresses that are to be tried now."""
        found = await self.house.spool.messages(MessageQuery(limit=1_000))
        waiting = (one for message in found for one in message.recipients if one.state is RecipientState.QUEUED)
        return {one.forward_path for one in waiting if (one.next_due or 0) <= self.house.clock.now and one.attempts}


def hidden(form: str) -> list[tuple[str, str]]:
    """The hidden fields of a form."""
    return [(name, html.unescape(value)) for name, value in _HIDDEN.findall(form)]


def rows(page: str) -> list[str]:
    """What the boxes of a list say."""
    return _ROW.findall(page)


def command_of(page: str) -> str:
    """The command that a page offers."""
    found = re.search(r'<code id="command"[^>]*>(.*?)</code>', page)
    return "" if found is None else html.unescape(found[1])


def at_the_desk(work: Callable[[Desk], Awaitable[None]], **options: Any) -> None:
    """Run ``work`` before a house of its own."""

    async def inside() -> None:
        house = QueueHouse(**options)
        transport = httpx.ASGITransport(house.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8025") as client:
            await work(Desk(house, client))

    asyncio.run(inside())
