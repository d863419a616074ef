"""The inbox: list, wait for, show and clear the mail that a spool keeps, and keep no more than asked.

Works over any Spool. Waiting has no race: the inbox listens to acceptances from its construction on, and a waiter takes
the next signal in hand before it looks.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from postroad.envelope import Draft, MessageId, StoredMessage
from postroad.errors import NotFound, PostroadError
from postroad.inbox.message_view import MessageView, Summary, attachment, framed_html, summarize, view
from postroad.inbox.search import Filter, fits_content, fits_summary, missing_words
from postroad.message.mime import MAX_HEADER
from postroad.spool.interface import MessageQuery, Spool

__all__ = ["Filter", "Inbox", "InboxItem", "InboxPage"]

T = TypeVar("T")

KEEP_MESSAGES: Final = 500
KEEP_OCTETS: Final = 1 << 30
#: Octets of one message that are read for display.
MAX_READ: Final = 32 * 1024 * 1024
#: Above this, a message is taken apart in a thread.
MAX_INLINE: Final = 64 * 1024
#: Messages that one look goes through in search of something that the spool does not know.
MAX_LOOKED_AT: Final = 2_000
#: Octets of one message that are read in search of words.
MAX_SEARCHED: Final = 1024 * 1024
#: Seconds that one look reads messages in search of words.
SEARCH_SECONDS: Final = 1.0
MAX_WAITERS: Final = 200
MAX_SUMMARIES: Final = 2_000
_PAGE: Final = 200

_log = logging.getLogger("postroad.inbox")


@dataclass(frozen=True, slots=True)
class InboxItem:
    """A row of the list."""

    message: StoredMessage
    summary: Summary


@dataclass(frozen=True, slots=True)
class InboxPage:
    """Newest first."""

    items: tuple[InboxItem, ...]
    before: int | None
    """Where the next page begins, or the search goes on; None: this is the last."""


class Inbox:
    """See the module. Make it inside the event loop that uses the spool."""

    def __init__(
        self,
        spool: Spool,
        keep: int | None = KEEP_MESSAGES,
        keep_octets: int = KEEP_OCTETS,
        trim_delay: float = 1.0,
    ) -> None:
        """``keep``: newest messages to keep (None: never trim); ``trim_delay``: seconds between two trims."""
        self._spool = spool
        self._keep = keep
        self._keep_octets = keep_octets
        self._trim_delay = trim_delay
        self._trim_timer: asyncio.TimerHandle | None = None
        self._trimming: asyncio.Task[None] | None = None
        self._signal = asyncio.Event()
        self._waiters = 0
        self._closed = False
        self._summaries: OrderedDict[MessageId, Summary] = OrderedDict()
        spool.on_accepted(self._on_accepted)

    # ── list and wait ───────────────────────────────────────────────────────

    async def list(self, wanted: Filter | None = None, after: int = 0, before: int = 0, limit: int = 50) -> InboxPage:
        """Messages newest first; ``after`` and ``before`` are sequence numbers, exclusive, 0 for no bound.

        A search by subject or words looks at no more than MAX_LOOKED_AT messages a page, and at the text of mail for
        no longer than SEARCH_SECONDS; ``before`` of the page goes on.
        """
        wanted = wanted or Filter()
        items: list[InboxItem] = []
        looked_at, size = 0, _PAGE if wanted.narrows else limit + 1
        time = asyncio.get_running_loop().time
        ends = time() + SEARCH_SECONDS
        while looked_at < MAX_LOOKED_AT:
            batch = await self._spool.messages(_query(wanted, after, before, size))
            for message in batch:
                if len(items) >= limit:
                    return InboxPage(tuple(items), items[-1].message.sequence)
                looked_at += 1
                before = message.sequence
                item = await self._found(message, wanted)
                if item is not None:
                    items.append(item)
                if wanted.asks_content and time() >= ends:
                    return InboxPage(tuple(items), before)
            if len(batch) < size:
                return InboxPage(tuple(items), None)
        return InboxPage(tuple(items), before)

    async def wait(self, wanted: Filter, after: int | None, seconds: float) -> InboxItem | None:
        """The first matching message that came after ``after``, or the newest there is when it is None.

        Waits ``seconds`` for one; None when none came or the inbox was closed.
        """
        if self._waiters >= MAX_WAITERS:
            raise PostroadError(f"{MAX_WAITERS} others wait for mail already", "try again in a moment")
        self._waiters += 1
        try:
            async with asyncio.timeout(seconds):
                return await self._wait(wanted, after)
        except TimeoutError:
            return None
        finally:
            self._waiters -= 1

    async def _wait(self, wanted: Filter, after: int | None) -> InboxItem | None:
        if after is None:
            newest = await self._spool.messages(MessageQuery(limit=1))  # before the list, which thus misses nothing
            page = await self.list(wanted, limit=1)
            if page.items:
                return page.items[0]
            after = newest[0].sequence if newest else 0
        while True:
            signal = self._signal  # in hand before looking: what arrives from here on sets it
            found, after = await self._first_after(wanted, after)
            if found is not None or self._closed:
                return found
            await signal.wait()

    async def _first_after(self, wanted: Filter, after: int) -> tuple[InboxItem | None, int]:
        """The oldest match behind ``after``, and how far was looked."""
        while True:
            query = _query(wanted, after, 0, _PAGE, oldest_first=True)
            batch = await self._spool.messages(query)
            for message in batch:
                after = message.sequence
                item = await self._found(message, wanted)
                if item is not None:
                    return item, after
            if len(batch) < _PAGE:
                return None, after

    async def sequence_of(self, message_id: str) -> int:
        """The sequence number of a message that is kept; raises NotFound."""
        return (await self._spool.message(MessageId(message_id))).sequence

    async def _found(self, message: StoredMessage, wanted: Filter) -> InboxItem | None:
        """The message as a row when it is what is wanted; its text is read only when the rest of it does not decide."""
        item = await self._item(message)
        if item is None or not fits_summary(wanted, message, item.summary):
            return None
        missing = missing_words(wanted, message, item.summary)
        if not missing and not wanted.attachment:
            return item
        if not wanted.asks_content:
            return None
        try:
            octets, _ = await self.source(message.id, MAX_SEARCHED)
        except NotFound:
            return None
        fits = await self._aside(len(octets), lambda: fits_content(octets, missing, wanted.attachment))
        return item if fits else None

    async def _item(self, message: StoredMessage) -> InboxItem | None:
        """With its summary; None when it was removed meanwhile."""
        summary = self._summaries.get(message.id)
        if summary is None:
            try:
                summary = summarize(await self._head(message.id))
            except NotFound:
                return None
            self._summaries[message.id] = summary
            if len(self._summaries) > MAX_SUMMARIES:
                self._summaries.popitem(last=False)
        return InboxItem(message, summary)

    async def _head(self, message_id: MessageId) -> bytes:
        """The octets up to the end of the header section, MAX_HEADER at most."""
        head = b""
        async for block in self._spool.read(message_id):
            start = max(len(head) - 3, 0)
            head += block
            if head.find(b"\r\n\r\n", start) >= 0 or len(head) >= MAX_HEADER:
                break
        return head[:MAX_HEADER]

    # ── show ────────────────────────────────────────────────────────────────

    async def message(self, message_id: str) -> StoredMessage:
        """One message's envelope; raises NotFound."""
        return await self._spool.message(MessageId(message_id))

    async def view(self, message_id: str) -> MessageView:
        """One message for display; raises NotFound."""
        return await self._take_apart(message_id, view)

    async def html(self, message_id: str) -> str | None:
        """Its HTML with its pictures inside, hostile; None when it has none; raises NotFound."""
        return await self._take_apart(message_id, framed_html)

    async def attachment(self, message_id: str, number: int) -> tuple[str, str, bytes]:
        """Name, declared type and octets of one part; raises NotFound."""
        return await self._take_apart(message_id, lambda message: attachment(message, number))

    def raw(self, message_id: str) -> AsyncIterator[bytes]:
        """The message as kept, trace lines included; raises NotFound at the first step."""
        return self._spool.read(MessageId(message_id))

    async def source(self, message_id: str, limit: int) -> tuple[bytes, bool]:
        """Its first ``limit`` octets, and whether that is all; raises NotFound."""
        octets = bytearray()
        async for block in self._spool.read(MessageId(message_id)):
            octets += block
            if len(octets) > limit:
                return bytes(octets[:limit]), False
        return bytes(octets), True

    async def transcript(self, message_id: str) -> str:
        """The SMTP session that brought it; raises NotFound."""
        return await self._spool.transcript(MessageId(message_id))

    async def _take_apart(self, message_id: str, work: Callable[[bytes], T]) -> T:
        octets, _ = await self.source(message_id, MAX_READ)
        return await self._aside(len(octets), lambda: work(octets))

    @staticmethod
    async def _aside(size: int, work: Callable[[], T]) -> T:
        """Small work at once, large work in a thread; either way others get their turn."""
        if size <= MAX_INLINE:
            await asyncio.sleep(0)
            return work()
        return await asyncio.get_running_loop().run_in_executor(None, work)

    # ── clear and keep ──────────────────────────────────────────────────────

    async def remove(self, message_ids: Sequence[str]) -> int:
        """Delete these; gives how many existed."""
        return await self._spool.remove([MessageId(each) for each in message_ids])

    async def clear(self, wanted: Filter | None = None) -> int:
        """Delete all that match and are there now; gives how many."""
        before, gone = 0, 0
        while True:
            page = await self.list(wanted, before=before, limit=_PAGE)
            gone += await self._spool.remove([item.message.id for item in page.items])
            if page.before is None:
                return gone
            before = page.before

    def close(self) -> None:
        """Let all waiters go empty-handed, and trim no more."""
        self._closed = True
        self._wake()
        if self._trim_timer is not None:
            self._trim_timer.cancel()
            self._trim_timer = None

    def _on_accepted(self, drafts: Sequence[Draft]) -> None:
        self._wake()
        if self._keep is not None and self._trim_timer is None and not self._closed:
            self._trim_timer = asyncio.get_running_loop().call_later(self._trim_delay, self._begin_trim)

    def _wake(self) -> None:
        signal, self._signal = self._signal, asyncio.Event()
        signal.set()

    def _begin_trim(self) -> None:
        self._trim_timer = None
        if self._trimming is None or self._trimming.done():
            self._trimming = asyncio.get_running_loop().create_task(self.trim())

    async def trim(self) -> None:
        """Delete the oldest beyond what is kept; a fault is logged, for the next acceptance tries again."""
        if self._keep is None:
            return
        try:
            await self._spool.trim(self._keep, self._keep_octets)
        except PostroadError as fault:
            _log.warning("the inbox could not be trimmed: %s", fault)


def _query(wanted: Filter, after: int, before: int, limit: int, oldest_first: bool = False) -> MessageQuery:
    return MessageQuery(
        to=wanted.to,
        reverse_path=wanted.from_,
        after=after,
        before=before,
        limit=limit,
        oldest_first=oldest_first,
        received_before=wanted.until,
    )
