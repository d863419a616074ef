"""The attempt journal as operators read and follow it: the newest lines, those behind a place, and waiting for more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from postroad.admin.queue import QueueDesk
from postroad.envelope import JournalEntry
from postroad.spool.interface import JournalQuery, Spool
from postroad.spool.transitions import contains, reply_fits

_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which lines; every field that is set narrows."""

    message: str = ""
    """An id, its beginning or its end."""
    to: str = ""
    code: str = ""
    since: float | None = None
    """Seconds since the epoch."""
    after: int | None = None
    """Only lines behind this one, oldest first; None: the newest that there are."""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class LogPage:
    """Lines oldest first, each with only those results that were asked for."""

    entries: tuple[JournalEntry, ...]
    next: int
    """Give it back as ``after`` to go on behind them."""


class JournalDesk:
    """Reads the journal; ``spool`` None: of a stopped server, where nothing is ever added."""

    def __init__(self, desk: QueueDesk, spool: Spool | None = None) -> None:
        """Hears of new lines from now on."""
        self._desk = desk
        self._news = asyncio.Event()
        if spool is not None:
            spool.on_settled(self._settled)

    def _settled(self, entries: Sequence[JournalEntry]) -> None:
        self._news.set()
        self._news = asyncio.Event()  # who waits has the old one

    async def page(self, wanted: LogQuery, seconds: float = 0.0) -> LogPage:
        """The lines; with ``after`` and ``seconds``, waits for the first. Raises NotFound for an unknown message."""
        if wanted.message:
            wanted = replace(wanted, message=await self._desk.find(wanted.message))
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            news = self._news  # before looking, so that nothing is missed
            page = await (self._newest(wanted) if wanted.after is None else self._behind(wanted, wanted.after))
            left = end - loop.time()
            if page.entries or wanted.after is None or left <= 0:
                return page
            wanted = replace(wanted, after=page.next)
            try:
                async with asyncio.timeout(left):
                    await news.wait()
            except TimeoutError:
                return page

    async def _behind(self, wanted: LogQuery, after: int) -> LogPage:
        tip = await self._tip()
        entries = await self._desk.journal(replace(_query(wanted), after=after, limit=wanted.limit, oldest_first=True))
        seen = tip if len(entries) < wanted.limit else 0  # so that no line is looked at again each time
        return LogPage(tuple(_narrowed(entries, wanted)), max([after, seen, *(one.line for one in entries)]))

    async def _tip(self) -> int:
        """The newest line."""
        return max((one.line for one in await self._desk.journal(JournalQuery(limit=1))), default=0)

    async def _newest(self, wanted: LogQuery) -> LogPage:
        tip = await self._tip()
        found: list[JournalEntry] = []
        before = 0
        while len(found) < wanted.limit:
            page = await self._desk.journal(replace(_query(wanted), before=before, limit=min(wanted.limit, _PAGE)))
            found += _narrowed(page, wanted)
            late_enough = wanted.since is None or any(one.attempt.at >= wanted.since for one in page)
            if len(page) < min(wanted.limit, _PAGE) or not late_enough or len(self._desk.spools) > 1:
                break
            before = min(one.line for one in page)
        found.sort(key=lambda one: (one.line, one.attempt.at) if len(self._desk.spools) == 1 else (0, one.attempt.at))
        return LogPage(tuple(found[-wanted.limit :]), max([tip, *(one.line for one in found)]))


def _query(wanted: LogQuery) -> JournalQuery:
    return JournalQuery(message=wanted.message, to=wanted.to, code=wanted.code)


def _narrowed(entries: Sequence[JournalEntry], wanted: LogQuery) -> list[JournalEntry]:
    """The entries with the results that fit; those without any are left out."""
    narrowed = []
    for one in entries:
        if wanted.since is not None and one.attempt.at < wanted.since:
            continue
        results = tuple(
            result
            for result in one.attempt.results
            if contains(one.forward_paths.get(result.number, ""), wanted.to) and reply_fits(wanted.code, result.reply)
        )
        if results:
            narrowed.append(replace(one, attempt=replace(one.attempt, results=results)))
    return narrowed
