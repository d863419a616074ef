"""The queue as operators read it: rows, groups, one message from all sides, and the journal.

Works on the spool of a running server and on the read-only shards of a stopped one; nothing here changes anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from postroad.admin.others import MAX_GROUPS, By
from postroad.admin.queue_filter import QueueFilter, Reasons, fitting
from postroad.admin.queue_shape import Shape, shape
from postroad.clock import Clock, SystemClock
from postroad.envelope import Attempt, JournalEntry, MessageId, Recipient, RecipientState, StoredMessage
from postroad.errors import NotFound, PostroadError
from postroad.replies.classify import Rules
from postroad.spool.interface import JournalQuery, MessageQuery, QueueGroup, SpoolView

#: Messages that one question to the spool asks for.
_PAGE: Final = 200
_MAX_CANDIDATES: Final = 10


@dataclass(frozen=True, slots=True)
class Row:
    """One recipient in a listing."""

    message: StoredMessage
    recipient: Recipient
    reason: str
    """A slug of reasons.toml, or ``""``."""


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in the order of arrival, oldest first."""

    rows: tuple[Row, ...]
    next: str
    """Give it back to get what follows; ``""``: this was all."""
    recipients: int | None
    """How many match in all; None: not counted."""
    destinations: int | None


@dataclass(frozen=True, slots=True)
class Case:
    """A message that is asked about, or what the journal remembers of one that is gone."""

    id: MessageId
    reverse_path: str
    message: StoredMessage | None
    """None: it is gone."""
    forward_paths: dict[int, str]
    attempts: tuple[Attempt, ...]
    """Oldest first."""


class Ambiguous(PostroadError):
    """A part of an id that fits several messages."""

    def __init__(self, part: str, candidates: tuple[MessageId, ...], are_more: bool) -> None:
        """``candidates`` are some of them, ``are_more`` says whether there are others."""
        said = ", ".join(candidates) + (" and others" if are_more else "")
        super().__init__(f"`{part}` may be any of {len(candidates)}{'+' if are_more else ''} messages", said)
        self.candidates = candidates
        self.are_more = are_more


class QueueDesk:
    """Answers questions about what is queued; raises NotFound, and SpoolError for what cannot be read."""

    def __init__(self, spools: Sequence[SpoolView], rules: Callable[[], Rules], clock: Clock | None = None) -> None:
        """``rules`` of the catalogue are read when a reason is first asked for."""
        self.spools = tuple(spools)
        self.rules = rules
        self.clock = clock or SystemClock()
        self.reasons = Reasons(rules)

    # ── listing ─────────────────────────────────────────────────────────────

    async def page(self, wanted: QueueFilter, after: str = "", limit: int = 50, count: bool = True) -> Page:
        """``limit`` rows behind ``after`` (a page's ``next``); ``count``: say how many there are in all."""
        wanted = await self.named(wanted)
        rows: list[Row] = []
        following = ""
        async for row in self.rows(wanted, after):
            if len(rows) == limit:
                following = _cursor(rows[-1], self._shard_of(rows[-1].message.id))
                break
            rows.append(row)
        if wanted.looks_closer or not count:
            return Page(tuple(rows), following, None if following else len(rows), None)
        groups = await self.groups("destination", wanted, MAX_GROUPS)
        return Page(tuple(rows), following, sum(one.recipients for one in groups), len(groups))

    async def rows(self, wanted: QueueFilter, after: str = "") -> AsyncIterator[Row]:
        """The recipients that match, shard by shard in the order of arrival."""
        shard, sequence, number = _read_cursor(after)
        for spool in sorted(self.spools, key=lambda one: one.shard):
            if spool.shard < shard:
                continue
            at = (sequence, number) if spool.shard == shard else (0, -1)
            async for message in _matching(spool, wanted, max(at[0] - 1, 0)):
                for one in fitting(message, wanted, self.reasons):
                    if (message.sequence, one.number) > at:
                        yield Row(message, one, self.reasons.of(one))

    async def groups(self, by: By, wanted: QueueFilter, limit: int) -> list[QueueGroup]:
        """Recipients that match, counted by destination or by last reply; the largest group first."""
        if wanted.looks_closer:
            raise PostroadError("--reason and deferred cannot be counted in groups", "--code and --state queued can")
        wanted = await self.named(wanted)
        counted: dict[str, QueueGroup] = {}
        for spool in self.spools:
            for query in wanted.queries():
                for one in await spool.summary(by, query, limit):
                    counted[one.key] = _together(counted[one.key], one) if one.key in counted else one
        return sorted(counted.values(), key=lambda one: (-one.recipients, one.key))[:limit]

    async def shape(self, state: RecipientState = RecipientState.QUEUED, limit: int = 50) -> Shape:
        """How much waits for whom since when; ``limit`` destinations are told one by one."""
        return await shape(self.spools, state, self.clock.wall(), limit)

    # ── one message ─────────────────────────────────────────────────────────

    async def named(self, wanted: QueueFilter) -> QueueFilter:
        """The filter with its ids written out."""
        if not wanted.ids or wanted.recipients is not None:
            return wanted
        query = MessageQuery(ids=wanted.ids, limit=len(wanted.ids))
        whole = {message.id for spool in self.spools for message in await spool.messages(query)}
        return replace(wanted, ids=tuple([one if one in whole else await self.find(one) for one in wanted.ids]))

    async def find(self, part: str) -> MessageId:
        """The message whose id begins or ends with ``part``; raises NotFound, and names the candidates of several."""
        found: set[MessageId] = set()
        if part and len(part) <= 40:
            for spool in self.spools:
                found.update(await spool.find_ids(part, _MAX_CANDIDATES + 1))
        if part in found or len(found) == 1:
            return MessageId(part) if part in found else found.pop()
        if not found:
            raise NotFound(f"no message `{part[:60]}`", "postroad queue list and postroad log show ids")
        names = sorted(found)[:_MAX_CANDIDATES]
        raise Ambiguous(part, tuple(names), len(found) > len(names))

    async def case(self, part: str) -> Case:
        """All that is known of a message, there or gone; raises NotFound."""
        message_id = await self.find(part)
        spool = self._spool_of(message_id)
        try:
            message = await spool.message(message_id)
        except NotFound:
            return await self._gone(spool, message_id)
        paths = {one.number: one.forward_path for one in message.recipients}
        return Case(message_id, message.reverse_path, message, paths, tuple(await spool.attempts(message_id)))

    async def _gone(self, spool: SpoolView, message_id: MessageId) -> Case:
        entries = await spool.journal(JournalQuery(message=message_id, limit=1_000, oldest_first=True))
        if not entries:
            raise NotFound(f"no message `{message_id}`", "its journal is gone, too, or never was")
        paths = {number: path for entry in entries for number, path in entry.forward_paths.items()}
        return Case(message_id, entries[-1].reverse_path, None, paths, tuple(entry.attempt for entry in entries))

    # ── the journal ─────────────────────────────────────────────────────────

    async def journal(self, query: JournalQuery) -> list[JournalEntry]:
        """Lines of the journal, as the query orders them; of several shards one after the other."""
        if query.message:
            query = replace(query, message=await self.find(query.message))
        return [entry for spool in self.spools for entry in await spool.journal(query)]

    def _spool_of(self, message_id: MessageId) -> SpoolView:
        shard = self._shard_of(message_id)
        for spool in self.spools:
            if spool.shard == shard:
                return spool
        raise NotFound(f"no message `{message_id}`", f"shard {shard} is not here")

    @staticmethod
    def _shard_of(message_id: MessageId) -> int:
        shard = message_id.partition("-")[0]
        return int(shard) if shard.isascii() and shard.isdecimal() else -1


def _together(one: QueueGroup, other: QueueGroup) -> QueueGroup:
    due = [moment for moment in (one.next_due, other.next_due) if moment is not None]
    return replace(
        one,
        recipients=one.recipients + other.recipients,
        oldest=min(one.oldest, other.oldest),
        next_due=min(due) if due else None,
    )


def _cursor(row: Row, shard: int) -> str:
    return f"{shard}:{row.message.sequence}:{row.recipient.number}"


def _read_cursor(text: str) -> tuple[int, int, int]:
    parts = text.split(":") if text else ["0", "0", "-1"]
    if text and (len(parts) != 3 or not all(one.isascii() and one.isdecimal() and len(one) < 19 for one in parts)):
        raise PostroadError(f"`{text[:60]}` is no place in the queue", "give back the `next` of the page before")
    return int(parts[0]), int(parts[1]), int(parts[2])


async def _matching(spool: SpoolView, wanted: QueueFilter, after: int) -> AsyncIterator[StoredMessage]:
    """The messages that match one of the filter's queries, oldest first, each once."""
    streams = [_stream(spool, query, after) for query in wanted.queries()]
    heads: list[StoredMessage | None] = [await anext(stream, None) for stream in streams]
    while present := [one for one in heads if one is not None]:
        first = min(present, key=lambda one: one.sequence)
        yield first
        for index, head in enumerate(heads):
            if head is not None and head.sequence == first.sequence:
                heads[index] = await anext(streams[index], None)


async def _stream(spool: SpoolView, query: MessageQuery, after: int) -> AsyncIterator[StoredMessage]:
    size = 25
    while True:
        page = await spool.messages(replace(query, after=after, limit=size, oldest_first=True))
        for message in page:
            yield message
        if len(page) < size:
            return
        after, size = page[-1].sequence, min(2 * size, _PAGE)  # who wants a page is not made to read four
        await asyncio.sleep(0)
