"""What every spool promises to workers: leases, attempts, and what becomes of recipients."""

from __future__ import annotations

from dataclasses import replace

import pytest

from postroad.envelope import NewRecipient, Outcome, Result
from postroad.errors import NotFound, SpoolError
from postroad.replies import Reply
from postroad.spool.interface import MessageQuery, Spool
from tests.spool.stories import (
    BOB,
    DELIVERED,
    EVE,
    HELD,
    INBOX,
    LATER,
    QUEUED,
    T0,
    YES,
    Backend,
    accepted,
    attempt,
    delivered,
    everything,
    octets,
    recipient,
    story,
)

ZOE = NewRecipient("zoe@example.org", "example.org")


class Leases(Backend):
    """A part of Conformance."""

    @story()
    async def test_a_batch_is_one_message_for_one_destination(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, EVE, ZOE, INBOX)
        batches = await spool.lease(T0, 10, 60)
        numbers = {batch.destination: [one.number for one in batch.message.recipients] for batch in batches}
        assert numbers == {"example.org": [0, 2], "example.com": [1]}
        assert all(batch.message.id == name and batch.expires == T0 + 60 for batch in batches)
        assert len({batch.token for batch in batches}) == 2
        whole = await spool.message(name)
        assert batches[0].message == replace(whole, recipients=(whole.recipients[0], whole.recipients[2]))

    @story()
    async def test_only_what_is_due_is_leased_the_oldest_first(self, spool: Spool) -> None:
        third = await accepted(spool, received_at=T0 + 3)
        first = await accepted(spool, received_at=T0 + 1)
        second = await accepted(spool, received_at=T0 + 2)
        await accepted(spool, INBOX)
        assert await spool.next_due() == T0 + 1
        assert await spool.lease(T0, 10, 60) == []
        assert [batch.message.id for batch in await spool.lease(T0 + 2, 10, 60)] == [first, second]
        assert await spool.next_due() == T0 + 3
        assert [batch.message.id for batch in await spool.lease(T0 + 3, 10, 60)] == [third]
        assert await spool.next_due() == T0 + 62

    @story()
    async def test_a_limit_takes_the_oldest_batches_whole(self, spool: Spool) -> None:
        first = await accepted(spool, BOB, EVE, ZOE)
        second = await accepted(spool)
        assert await spool.lease(T0, 0, 60) == []
        batches = await spool.lease(T0, 1, 60)
        assert [[one.number for one in batch.message.recipients] for batch in batches] == [[0, 2]]
        rest = await spool.lease(T0, 5, 60)
        assert [(batch.message.id, batch.destination) for batch in rest] == [
            (first, "example.com"),
            (second, "example.org"),
        ]

    @story()
    async def test_a_lease_hides_and_runs_out(self, spool: Spool) -> None:
        await accepted(spool)
        old = (await spool.lease(T0, 10, 60))[0]
        assert await spool.lease(T0 + 59.9, 10, 60) == []
        assert await spool.next_due() == T0 + 60
        new = (await spool.lease(T0 + 60, 10, 60))[0]
        assert new.token != old.token
        assert new.message == old.message
        assert await spool.settle(old, delivered(old)) is False
        assert (await recipient(spool, old.message.id)).attempts == 0
        assert await spool.attempts(old.message.id) == []
        assert await spool.settle(new, delivered(new)) is True

    @story()
    async def test_a_lease_that_nobody_took_over_may_be_settled_late(self, spool: Spool) -> None:
        await accepted(spool)
        batch = (await spool.lease(T0, 10, 60))[0]
        self.clock.now += 3600
        assert await spool.settle(batch, delivered(batch)) is True

    @story()
    async def test_renewing(self, spool: Spool) -> None:
        await accepted(spool, BOB, ZOE)
        batch = (await spool.lease(T0, 10, 60))[0]
        renewed = await spool.renew(batch, T0 + 50, 60)
        assert renewed == replace(batch, expires=T0 + 110)
        assert await spool.lease(T0 + 109, 10, 60) == []
        assert await spool.next_due() == T0 + 110
        assert len(await spool.lease(T0 + 110, 10, 60)) == 1
        with pytest.raises(NotFound):
            await spool.renew(renewed, T0 + 111, 60)
        assert await spool.settle(renewed, delivered(renewed)) is False

    @story()
    async def test_renewing_what_is_gone(self, spool: Spool) -> None:
        name = await accepted(spool)
        batch = (await spool.lease(T0, 10, 60))[0]
        await spool.remove([name])
        with pytest.raises(NotFound):
            await spool.renew(batch, T0, 60)
        assert await spool.settle(batch, delivered(batch)) is False

    @story()
    async def test_deferred(self, spool: Spool) -> None:
        name = await accepted(spool)
        batch = (await spool.lease(T0, 10, 60))[0]
        deferred = Result(0, Outcome.DEFERRED, LATER, "greylisting", T0 + 300, uncertain=True)
        line = attempt(deferred, transcript="S: 451 4.7.1 greylisted")
        assert await spool.settle(batch, line) is True
        one = await recipient(spool, name)
        assert (one.state, one.attempts, one.next_due, one.reply, one.note) == (
            QUEUED, 1, T0 + 300, LATER, "greylisting",
        )  # fmt: skip
        assert await spool.attempts(name) == [line]
        assert await spool.next_due() == T0 + 300
        assert await spool.lease(T0 + 299, 10, 60) == []
        assert len(await spool.lease(T0 + 300, 10, 60)) == 1

    @story()
    async def test_an_attempt_replaces_reply_and_note_together(self, spool: Spool) -> None:
        name = await accepted(spool)
        for number, (reply, note) in enumerate([(LATER, ""), (None, "connection refused"), (None, "")]):
            now = T0 + 100 * number
            batch = (await spool.lease(now, 10, 60))[0]
            await spool.settle(batch, attempt(Result(0, Outcome.DEFERRED, reply, note, now + 100)))
            one = await recipient(spool, name)
            assert (one.reply, one.note, one.attempts) == (reply, note, number + 1)
        assert [line.results[0].reply for line in await spool.attempts(name)] == [LATER, None, None]

    @story()
    async def test_held_by_an_attempt(self, spool: Spool) -> None:
        name = await accepted(spool)
        batch = (await spool.lease(T0, 10, 60))[0]
        no = Reply(550, "no such user", "5.1.1")
        await spool.settle(batch, attempt(Result(0, Outcome.HELD, no, "refused")))
        one = await recipient(spool, name)
        assert (one.state, one.next_due, one.reply, one.note, one.attempts) == (HELD, None, no, "refused", 1)
        assert await spool.next_due() is None
        assert await spool.lease(T0 + 9e9, 10, 60) == []

    @story()
    async def test_what_is_delivered_to_all_is_removed(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, EVE, content=bytes(100_000))
        first, second = await spool.lease(T0, 10, 60)
        assert await spool.settle(first, delivered(first))
        assert (await recipient(spool, name)).state is DELIVERED
        assert len(await spool.attempts(name)) == 1
        assert len(await octets(spool, name)) == 100_016
        assert await spool.settle(second, delivered(second))
        for ask in (spool.message, spool.attempts, spool.transcript, lambda one: octets(spool, one)):
            with pytest.raises(NotFound):
                await ask(name)
        assert await everything(spool) == []
        assert (await spool.stats()).octets == 0
        assert await spool.settle(second, delivered(second)) is False

    @story(keep_delivered=True)
    async def test_what_is_delivered_stays_when_told_so(self, spool: Spool) -> None:
        name = await accepted(spool)
        batch = (await spool.lease(T0, 10, 60))[0]
        assert await spool.settle(batch, delivered(batch))
        one = await recipient(spool, name)
        assert (one.state, one.next_due, one.reply) == (DELIVERED, None, YES)
        assert len(await spool.attempts(name)) == 1
        assert await octets(spool, name) == b"Received: here\r\nHi.\r\n"
        assert await spool.lease(T0 + 9e9, 10, 60) == []
        assert await spool.hold(name, "too late") == 0

    @story()
    async def test_a_held_recipient_keeps_the_message(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, INBOX)
        batch = (await spool.lease(T0, 10, 60))[0]
        await spool.settle(batch, delivered(batch))
        assert [one.state for one in (await spool.message(name)).recipients] == [DELIVERED, HELD]

    @story()
    async def test_a_recipient_without_a_result_goes_back_as_it_was(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, ZOE)
        batch = (await spool.lease(T0, 10, 60))[0]
        assert await spool.settle(batch, attempt(Result(1, Outcome.DELIVERED, YES)))
        assert await recipient(spool, name, 0) == batch.message.recipients[0]
        assert (await recipient(spool, name, 1)).state is DELIVERED
        again = await spool.lease(T0, 10, 60)
        assert [[one.number for one in batch.message.recipients] for batch in again] == [[0]]

    @story()
    async def test_an_attempt_without_results_gives_the_lease_back(self, spool: Spool) -> None:
        name = await accepted(spool)
        batch = (await spool.lease(T0, 10, 60))[0]
        assert await spool.settle(batch, attempt())
        assert await spool.attempts(name) == []
        assert await recipient(spool, name) == batch.message.recipients[0]
        assert len(await spool.lease(T0, 10, 60)) == 1
        assert await spool.settle(batch, attempt()) is False

    @story()
    @pytest.mark.parametrize(
        "results",
        [
            [Result(1, Outcome.DELIVERED, YES)],
            [Result(0, Outcome.DELIVERED, YES), Result(0, Outcome.HELD)],
            [Result(0, Outcome.DEFERRED, LATER)],
            [Result(0, Outcome.DEFERRED, LATER, next_due=float("inf"))],
        ],
        ids=["not leased", "twice", "until no time", "until for ever"],
    )
    async def test_results_that_do_not_fit_are_refused(self, spool: Spool, results: list[Result]) -> None:
        name = await accepted(spool, BOB, EVE)
        batch = (await spool.lease(T0, 1, 60))[0]
        with pytest.raises(SpoolError):
            await spool.settle(batch, attempt(*results))
        assert await recipient(spool, name) == batch.message.recipients[0]
        assert await spool.settle(batch, delivered(batch))

    @story()
    async def test_held_while_leased_and_then_delivered(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, EVE)
        batch = (await spool.lease(T0, 1, 60))[0]
        assert await spool.hold(name, "wait", [0]) == 1
        assert await spool.settle(batch, delivered(batch)) is True
        assert (await recipient(spool, name)).state is DELIVERED

    @story()
    async def test_held_while_leased_and_then_deferred(self, spool: Spool) -> None:
        name = await accepted(spool, BOB)
        batch = (await spool.lease(T0, 1, 60))[0]
        await spool.hold(name, "wait")
        assert await spool.settle(batch, attempt(Result(0, Outcome.DEFERRED, LATER, "later", T0 + 9))) is True
        one = await recipient(spool, name)
        assert (one.state, one.next_due, one.note, one.reply, one.attempts) == (HELD, None, "wait", LATER, 1)
        assert await spool.lease(T0 + 9e9, 10, 60) == []

    @story()
    async def test_released_while_leased_waits_for_the_lease(self, spool: Spool) -> None:
        name = await accepted(spool, BOB)
        old = (await spool.lease(T0, 1, 60))[0]
        await spool.hold(name, "wait")
        await spool.release(MessageQuery(), T0 + 1)
        assert await spool.next_due() == T0 + 60
        assert await spool.lease(T0 + 59, 10, 60) == []
        new = (await spool.lease(T0 + 60, 10, 60))[0]
        assert await spool.settle(old, delivered(old)) is False
        assert await spool.settle(new, delivered(new)) is True

    @story()
    async def test_a_batch_of_which_one_was_leased_anew_is_lost_whole(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, ZOE)
        old = (await spool.lease(T0, 1, 60))[0]
        await spool.hold(name, "wait", [1])
        new = (await spool.lease(T0 + 60, 1, 60))[0]
        assert [one.number for one in new.message.recipients] == [0]
        assert await spool.settle(old, delivered(old)) is False
        assert [one.state for one in (await spool.message(name)).recipients] == [QUEUED, HELD]
