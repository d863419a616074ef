"""The inbox over a spool: lists, pages, waits without races, keeps no more than asked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from postroad.envelope import Draft, NewRecipient, Origin, StoredMessage
from postroad.errors import NotFound, PostroadError, SpoolError
from postroad.inbox.inbox import MAX_WAITERS, Filter, Inbox
from postroad.spool.interface import MessageQuery
from postroad.spool.memory import MemorySpool


@dataclass
class Post:
    """A spool with an inbox over it, and a way to put mail in."""

    spool: MemorySpool
    inbox: Inbox
    ids: list[str] = field(default_factory=list)

    async def put(
        self,
        to: str = "kana@example.net",
        subject: str = "hi",
        sender: str = "me@example.com",
        body: bytes = b"text\r\n",
    ) -> str:
        done: asyncio.Future[SpoolError | None] = asyncio.get_running_loop().create_future()
        content = self.spool.open_content()
        content.write(f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\n".encode() + body)
        draft = Draft(
            self.spool.new_id(),
            sender,
            (NewRecipient(to, to.rpartition("@")[2], hold="inbox"),),
            1_000.0,
            prefix=b"Return-Path: <%s>\r\n" % sender.encode(),
            origin=Origin(session="s1", listener="dev"),
            transcript="S: 220 ready\nC: QUIT",
        )
        self.spool.accept(draft, content, done.set_result)
        error = await done
        assert error is None
        self.ids.append(draft.id)
        return draft.id


def run(work: Callable[[Post], Awaitable[Any]], **options: Any) -> Any:
    async def inside() -> Any:
        spool = MemorySpool()
        inbox = Inbox(spool, **options)
        try:
            return await work(Post(spool, inbox))
        finally:
            inbox.close()

    return asyncio.run(inside())


def test_newest_first_by_filter_and_page() -> None:
    async def work(post: Post) -> None:
        for number in range(5):
            await post.put(to=f"user{number % 2}@example.net", subject=f"=?utf-8?q?Gr=C3=BC=C3=9Fe?= {number}")
        page = await post.inbox.list()
        assert [item.message.id for item in page.items] == post.ids[::-1]
        assert page.before is None
        assert page.items[0].summary.subject == "Grüße 4"
        first = await post.inbox.list(limit=2)
        assert first.before == first.items[-1].message.sequence
        second = await post.inbox.list(limit=2, before=first.before)
        third = await post.inbox.list(limit=2, before=second.before or 0)
        shown = [item.message.id for page in (first, second, third) for item in page.items]
        assert (shown, third.before) == (post.ids[::-1], None)
        assert len((await post.inbox.list(Filter(to="USER1"))).items) == 2
        assert len((await post.inbox.list(Filter(from_="me@"))).items) == 5
        assert [i.message.id for i in (await post.inbox.list(Filter(subject="GRÜSSE 3"))).items] == [post.ids[3]]
        assert (await post.inbox.list(Filter(subject="Grüße"), limit=3)).before is not None

    run(work)


def test_a_message_can_be_seen_from_all_sides() -> None:
    async def work(post: Post) -> None:
        message_id = await post.put(body=b"see https://example.com/x\r\n")
        seen = await post.inbox.view(message_id)
        assert seen.text == "see https://example.com/x\n"
        assert dict(seen.headers)["Return-Path"] == "<me@example.com>"
        assert await post.inbox.html(message_id) is None
        assert await post.inbox.transcript(message_id) == "S: 220 ready\nC: QUIT"
        raw = b"".join([block async for block in post.inbox.raw(message_id)])
        assert raw.startswith(b"Return-Path: <me@example.com>\r\nFrom: me@")
        assert await post.inbox.source(message_id, 20) == (raw[:20], False)
        assert await post.inbox.source(message_id, 10_000) == (raw, True)
        with pytest.raises(NotFound):
            await post.inbox.attachment(message_id, 3)
        with pytest.raises(NotFound):
            await post.inbox.view("0-nothing")

    run(work)


def test_a_large_message_is_taken_apart_elsewhere() -> None:
    async def work(post: Post) -> None:
        message_id = await post.put(body=b"line\r\n" * 50_000)
        seen = await post.inbox.view(message_id)
        assert seen.text is not None and len(seen.text) == 250_000

    run(work)


def test_waiting_finds_what_is_there_already() -> None:
    async def work(post: Post) -> None:
        await post.put(subject="first")
        newest = await post.put(subject="second")
        found = await post.inbox.wait(Filter(to="kana@"), None, 5)
        assert found is not None and found.message.id == newest

    run(work)


def test_waiting_behind_a_message_gives_the_oldest_that_follows() -> None:
    async def work(post: Post) -> None:
        for number in range(4):
            await post.put(subject=f"mail {number}")
        after = await post.inbox.sequence_of(post.ids[1])
        found = await post.inbox.wait(Filter(subject="mail"), after, 5)
        assert found is not None and found.message.id == post.ids[2]

    run(work)


@pytest.mark.parametrize("after", [None, 0])
def test_waiting_until_it_comes(after: int | None) -> None:
    async def work(post: Post) -> None:
        await post.put(to="other@example.net")
        waiting = asyncio.create_task(post.inbox.wait(Filter(to="kana@"), after, 60))
        await asyncio.sleep(0)
        await post.put(to="other@example.net")
        assert not waiting.done()
        wanted = await post.put()
        found = await waiting
        assert found is not None and found.message.id == wanted

    run(work)


def test_nobody_comes() -> None:
    async def work(post: Post) -> None:
        assert await post.inbox.wait(Filter(), None, 0) is None
        assert await post.inbox.wait(Filter(), None, 0.01) is None

    run(work)


class Meddling(MemorySpool):
    """Lets a message arrive in the middle of each look, before or after the look has read its answer."""

    arrive: Callable[[], Awaitable[Any]] | None = None
    on_look = 0
    late = False

    async def messages(self, query: MessageQuery) -> list[StoredMessage]:
        self.on_look -= 1
        due = self.on_look == 0 and self.arrive is not None
        if due and not self.late and self.arrive is not None:
            await self.arrive()
        found = await super().messages(query)
        if due and self.late and self.arrive is not None:
            await self.arrive()
        return found


@pytest.mark.parametrize("after", [None, 0])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("look", [1, 2, 3])
@pytest.mark.parametrize("silent", [False, True])
def test_what_arrives_while_a_waiter_looks_is_never_missed(
    after: int | None, late: bool, look: int, silent: bool
) -> None:
    async def inside() -> None:
        spool = Meddling()
        inbox = Inbox(spool)
        post = Post(spool, inbox)
        await post.put(to="other@example.net")
        spool.arrive, spool.late, spool.on_look = post.put, late, look
        listeners = list(spool._listeners)
        if silent:  # durable and visible, but its signal comes a little later
            spool._listeners.clear()
        waiting = asyncio.create_task(inbox.wait(Filter(to="kana@"), after, 60))
        for _ in range(20):
            await asyncio.sleep(0)
        spool._listeners[:] = listeners
        spool.arrive = None
        if len(post.ids) == 1:
            await post.put()
        else:
            inbox._on_accepted([])
        found = await waiting
        assert found is not None and found.message.id == post.ids[1]
        inbox.close()

    asyncio.run(inside())


def test_many_waiters_each_get_theirs() -> None:
    async def work(post: Post) -> None:
        waiters = [asyncio.create_task(post.inbox.wait(Filter(to=f"u{n}@"), None, 60)) for n in range(50)]
        await asyncio.sleep(0)
        ids = await asyncio.gather(*(post.put(to=f"u{n}@example.net") for n in range(50)))
        found = await asyncio.gather(*waiters)
        assert [item.message.id for item in found if item is not None] == list(ids)

    run(work)


def test_waiters_are_bounded_and_go_when_the_inbox_closes() -> None:
    async def work(post: Post) -> None:
        waiters = [asyncio.create_task(post.inbox.wait(Filter(), None, 60)) for _ in range(MAX_WAITERS)]
        await asyncio.sleep(0.01)
        with pytest.raises(PostroadError, match="wait for mail already"):
            await post.inbox.wait(Filter(), None, 60)
        post.inbox.close()
        assert set(await asyncio.gather(*waiters)) == {None}

    run(work)


def test_no_more_is_kept_than_asked() -> None:
    async def work(post: Post) -> None:
        for _ in range(8):
            await post.put()
        while len((await post.inbox.list()).items) != 3:
            await asyncio.sleep(0.005)
        assert [item.message.id for item in (await post.inbox.list()).items] == post.ids[:-4:-1]

    run(work, keep=3, trim_delay=0.001)


def test_trims_are_not_one_a_message() -> None:
    class Counting(MemorySpool):
        trims = 0

        async def trim(self, messages: int, octets: int) -> int:
            self.trims += 1
            raise SpoolError("the disk is gone")

    async def inside() -> None:
        spool = Counting()
        inbox = Inbox(spool, keep=1, trim_delay=0.02)
        post = Post(spool, inbox)
        for _ in range(20):
            await post.put()
        while not spool.trims:
            await asyncio.sleep(0.005)
        assert spool.trims < 20
        inbox.close()

    asyncio.run(inside())


def test_clearing_takes_what_matches_and_only_what_was_there() -> None:
    async def work(post: Post) -> None:
        for number in range(450):
            await post.put(to=f"{'kana' if number % 3 else 'bob'}@example.net")
        assert await post.inbox.clear(Filter(to="bob@")) == 150
        assert await post.inbox.clear() == 300
        assert await post.inbox.clear() == 0
        message_id = await post.put()
        assert await post.inbox.remove([message_id, "0-none"]) == 1

    run(work, keep=None)
