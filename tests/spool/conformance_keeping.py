"""What every spool promises to operators: hold, release, remove, trim, close."""

from __future__ import annotations

import asyncio

import pytest

from postroad.envelope import NewRecipient, Outcome, Result
from postroad.errors import SpoolError
from postroad.spool.interface import MessageQuery, Spool
from tests.spool.stories import (
    BOB,
    EVE,
    HELD,
    INBOX,
    QUEUED,
    T0,
    Backend,
    accepted,
    attempt,
    delivered,
    draft,
    everything,
    octets,
    recipient,
    story,
    written,
)


class Keeping(Backend):
    """A part of Conformance."""

    @story()
    async def test_hold_all_or_some(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, EVE, INBOX)
        self.clock.now = T0 + 5
        assert await spool.hold(name, "looking at it", [1, 2, 77]) == 1
        assert [one.note for one in (await spool.message(name)).recipients] == ["", "looking at it", "inbox"]
        assert await spool.hold(name, "all") == 1
        assert await spool.hold(name, "again") == 0
        assert [one.state for one in (await spool.message(name)).recipients] == [HELD] * 3
        assert (await recipient(spool, name)).next_due is None
        lines = await spool.attempts(name)
        assert [line.results for line in lines] == [
            (Result(1, Outcome.HELD, note="looking at it"),),
            (Result(0, Outcome.HELD, note="all"),),
        ]
        assert [(line.at, line.host) for line in lines] == [(T0 + 5, "")] * 2

    @story()
    async def test_release_what_matches(self, spool: Spool) -> None:
        name = await accepted(spool, INBOX, NewRecipient("x@example.com", "example.com", hold="no route"), BOB)
        other = await accepted(spool, INBOX, reverse_path="other@example.net")
        assert await spool.release(MessageQuery(destination="example.com", state=QUEUED), T0) == 0
        assert await spool.release(MessageQuery(destination="example.com"), T0 + 7) == 1
        one = await recipient(spool, name, 1)
        assert (one.state, one.next_due, one.note) == (QUEUED, T0 + 7, "")
        assert await spool.release(MessageQuery(reverse_path="OTHER@", state=HELD), T0 + 8) == 1
        assert (await recipient(spool, other)).next_due == T0 + 8
        assert (await recipient(spool, name)).state is HELD
        assert [line.results for line in await spool.attempts(name)] == [
            (Result(1, Outcome.DEFERRED, note="released", next_due=T0 + 7),)
        ]

    @story()
    async def test_release_for_one_reason_only(self, spool: Spool) -> None:
        name = await accepted(spool, INBOX, NewRecipient("x@example.com", "example.com", hold="no route"))
        assert await spool.release(MessageQuery(), T0, note="no route") == 1
        assert [one.state for one in (await spool.message(name)).recipients] == [HELD, QUEUED]
        assert await spool.release(MessageQuery(), T0, note="no route") == 0
        assert await spool.release(MessageQuery(), T0) == 1

    @story()
    async def test_release_heeds_bounds_but_no_limit(self, spool: Spool) -> None:
        names = [await accepted(spool, INBOX) for _ in range(5)]
        first, last = (await spool.message(names[0])).sequence, (await spool.message(names[4])).sequence
        assert await spool.release(MessageQuery(after=first, before=last, limit=1), T0) == 3
        assert [(await recipient(spool, name)).state for name in names] == [HELD, QUEUED, QUEUED, QUEUED, HELD]

    @story()
    async def test_release_of_more_than_one_transaction_takes(self, spool: Spool) -> None:
        left = 1203
        finished = asyncio.Event()

        def done(error: SpoolError | None) -> None:
            nonlocal left
            assert error is None
            left -= 1
            if not left:
                finished.set()

        for _ in range(left):
            spool.accept(draft(spool, INBOX), written(spool, b"x"), done)
        await finished.wait()
        assert await spool.release(MessageQuery(), T0) == 1203
        assert (await spool.stats()).recipients == {"queued": 1203, "held": 0, "delivered": 0, "failed": 0}
        assert len(await spool.lease(T0, 5000, 60)) == 1203
        assert await spool.remove(await everything(spool)) == 1203
        assert (await spool.stats()).messages == 0

    @story()
    async def test_release_until_no_time_is_refused(self, spool: Spool) -> None:
        name = await accepted(spool, INBOX)
        with pytest.raises(SpoolError):
            await spool.release(MessageQuery(), float("nan"))
        assert (await recipient(spool, name)).state is HELD

    @story()
    async def test_remove_counts_what_existed(self, spool: Spool) -> None:
        names = [await accepted(spool, content=bytes(size)) for size in (10, 100_000, 10)]
        assert await spool.remove([]) == 0
        assert await spool.remove([names[0], names[1], names[0], spool.new_id()]) == 2
        assert await everything(spool) == names[2:]
        assert (await spool.stats()).octets == 26

    @story()
    async def test_trim_by_number(self, spool: Spool) -> None:
        names = [await accepted(spool, INBOX) for _ in range(5)]
        assert await spool.trim(5, 10**9) == 0
        assert await spool.trim(3, 10**9) == 2
        assert await everything(spool) == names[2:]
        assert await spool.trim(0, 10**9) == 3
        assert await spool.trim(0, 10**9) == 0

    @story()
    async def test_trim_by_octets(self, spool: Spool) -> None:
        names = [await accepted(spool, INBOX, content=bytes(84)) for _ in range(5)]
        assert await spool.trim(100, 300) == 2
        assert await spool.trim(100, 299) == 1
        assert await everything(spool) == names[3:]

    @story(keep_delivered=True)
    async def test_trim_never_touches_what_is_queued(self, spool: Spool) -> None:
        queued = await accepted(spool, BOB, INBOX)
        held = await accepted(spool, INBOX)
        sent = await accepted(spool, EVE)
        batch = (await spool.lease(T0, 10, 60))[1]
        await spool.settle(batch, delivered(batch))
        assert await spool.trim(1, 10**9) == 1
        assert await everything(spool) == [queued, sent]
        assert await spool.trim(0, 0) == 1
        assert await everything(spool) == [queued]
        assert held not in await everything(spool)

    @story()
    async def test_reading_goes_on_though_the_message_is_removed(self, spool: Spool) -> None:
        content = bytes(range(256)) * 4000
        name = await accepted(spool, content=content)
        blocks = spool.read(name)
        got = [await anext(blocks), await anext(blocks)]
        await spool.remove([name])
        got += [block async for block in blocks]
        assert b"".join(got) == b"Received: here\r\n" + content

    @story()
    async def test_close_finishes_what_was_submitted(self, spool: Spool) -> None:
        told: list[SpoolError | None] = []
        for _ in range(20):
            spool.accept(draft(spool), written(spool, b"x"), told.append)
        await spool.close()
        await asyncio.sleep(0)
        assert told == [None] * 20

    @story()
    async def test_a_closed_spool_does_nothing(self, spool: Spool) -> None:
        name = await accepted(spool)
        batch = (await spool.lease(T0, 1, 60))[0]
        writer, late = written(spool, b"x"), draft(spool)
        await spool.close()
        await spool.close()
        with pytest.raises(SpoolError):
            spool.open_content()
        with pytest.raises(SpoolError):
            spool.accept(late, writer, lambda _: None)
        for call in (
            spool.message(name), spool.transcript(name), spool.messages(MessageQuery()), spool.attempts(name),
            spool.stats(), spool.lease(T0, 1, 1), spool.renew(batch, T0, 1), spool.settle(batch, attempt()),
            spool.next_due(), spool.hold(name, "x"), spool.release(MessageQuery(), T0), spool.remove([name]),
            spool.trim(0, 0), octets(spool, name),
        ):  # fmt: skip
            with pytest.raises(SpoolError):
                await call
