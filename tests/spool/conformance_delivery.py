"""What every spool promises to delivery: reports with their recipients, priorities, claims, busy and dead destinations."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from postroad.envelope import Attempt, Batch, Draft, JournalEntry, MessageId, NewRecipient, Outcome, Result
from postroad.errors import NotFound, SpoolError, StorageFull
from postroad.replies import Reply
from postroad.spool.interface import ContentWriter, MessageQuery, Spool
from tests.spool.stories import (
    BOB,
    DELIVERED,
    EVE,
    FAILED,
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
    draft,
    everything,
    octets,
    outcome,
    recipient,
    story,
    written,
)

NO = Reply(550, "no such user", "5.1.1")
ZOE = NewRecipient("zoe@example.org", "example.org")


def failed(batch: Batch, **fields: object) -> Attempt:
    return attempt(*(Result(one.number, Outcome.FAILED, NO, **fields) for one in batch.message.recipients))  # type: ignore[arg-type]


def report(spool: Spool, content: bytes = b"Sorry.\r\n") -> tuple[Draft, ContentWriter]:
    writer = spool.open_report()
    writer.write(content)
    kana = NewRecipient("kana@example.net", "example.net")
    return draft(spool, kana, reverse_path="", prefix=b""), writer


class Delivery(Backend):
    """A part of Conformance."""

    # ------------------------------------------------------------------------------------- given up, and told

    @story()
    async def test_a_report_is_accepted_with_the_closing_of_its_recipient(self, spool: Spool) -> None:
        heard: list[MessageId] = []
        spool.on_accepted(lambda drafts: heard.extend(one.id for one in drafts))
        name = await accepted(spool, BOB, EVE)
        batch = (await spool.lease(T0, 1, 60))[0]
        told = report(spool)
        assert await spool.settle(batch, failed(batch, stage="RCPT"), [told]) is True
        one = await recipient(spool, name)
        assert (one.state, one.next_due, one.reply, one.attempts, one.expired) == (FAILED, None, NO, 1, False)
        assert await everything(spool) == [name, told[0].id]
        assert await octets(spool, told[0].id) == b"Sorry.\r\n"
        assert heard == [name, told[0].id]
        assert (await spool.stats()).recipients == {"queued": 2, "held": 0, "delivered": 0, "failed": 1}
        assert [batch.message.id for batch in await spool.lease(T0, 9, 60)] == [name, told[0].id]

    @story()
    async def test_what_is_closed_for_all_is_removed_and_its_reports_stay(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, EVE, content=bytes(100_000))
        first, second = await spool.lease(T0, 10, 60)
        assert await spool.settle(first, delivered(first))
        reports = [report(spool), report(spool, bytes(100_000))]
        assert await spool.settle(second, failed(second), reports)
        with pytest.raises(NotFound):
            await spool.message(name)
        assert await everything(spool) == [one.id for one, _ in reports]
        assert len(await octets(spool, reports[1][0].id)) == 100_000
        assert (await spool.stats()).octets == 100_008

    @story(keep_delivered=True)
    async def test_what_failed_stays_when_told_so(self, spool: Spool) -> None:
        name = await accepted(spool)
        batch = (await spool.lease(T0, 10, 60))[0]
        assert await spool.settle(batch, failed(batch, expired=True, delay_told=True))
        one = await recipient(spool, name)
        assert (one.state, one.expired, one.delay_told) == (FAILED, True, True)
        assert await spool.hold(name, "too late") == 0
        assert await spool.trim(0, 0) == 1

    @story()
    async def test_reports_of_a_lost_lease_are_discarded(self, spool: Spool) -> None:
        name = await accepted(spool)
        old = (await spool.lease(T0, 10, 60))[0]
        new = (await spool.lease(T0 + 60, 10, 60))[0]
        told = report(spool, bytes(100_000))
        assert await spool.settle(old, failed(old), [told]) is False
        assert await everything(spool) == [name]
        with pytest.raises(SpoolError):
            spool.accept(told[0], told[1], lambda _: None)
        assert await spool.settle(new, failed(new), [report(spool)]) is True

    @story(budget=100)
    async def test_without_room_for_a_report_nothing_changes(self, spool: Spool) -> None:
        name = await accepted(spool, content=bytes(60))
        batch = (await spool.lease(T0, 10, 60))[0]
        one, content = draft(spool, EVE, reverse_path=""), written(spool, bytes(50))
        with pytest.raises(StorageFull):
            await spool.settle(batch, failed(batch), [report(spool), (one, content)])
        assert await everything(spool) == [name]
        assert await recipient(spool, name) == batch.message.recipients[0]
        assert await spool.attempts(name) == []
        with pytest.raises(SpoolError):
            spool.accept(one, content, lambda _: None)
        assert await spool.settle(batch, failed(batch), [report(spool)])

    @story(budget=100)
    async def test_a_report_may_pass_the_budget(self, spool: Spool) -> None:
        await accepted(spool, content=bytes(84))
        assert spool.free_octets() == 0
        with pytest.raises(StorageFull):
            spool.open_content()
        batch = (await spool.lease(T0, 10, 60))[0]
        assert await spool.settle(batch, failed(batch), [report(spool, bytes(500))])
        assert (await spool.stats()).octets == 500
        assert spool.free_octets() == 0

    @story()
    async def test_a_bad_report_costs_nothing_but_itself(self, spool: Spool) -> None:
        name = await accepted(spool)
        batch = (await spool.lease(T0, 10, 60))[0]
        taken, good = draft(spool), report(spool)
        assert await outcome(spool, taken, written(spool, b"x")) is None
        for bad in (taken, draft(spool, received_at=float("nan")), draft(spool, reverse_path="\ud800")):
            with pytest.raises(SpoolError):
                await spool.settle(batch, failed(batch), [report(spool), (bad, written(spool, b"y"))])
            assert await everything(spool) == [name, taken.id]
            assert await recipient(spool, name) == batch.message.recipients[0]
        assert await spool.settle(batch, failed(batch), [good])
        assert await everything(spool) == [taken.id, good[0].id]

    @story()
    async def test_reports_of_results_that_do_not_fit_are_discarded(self, spool: Spool) -> None:
        await accepted(spool)
        batch = (await spool.lease(T0, 10, 60))[0]
        told = report(spool)
        with pytest.raises(SpoolError):
            await spool.settle(batch, attempt(Result(7, Outcome.FAILED)), [told])
        with pytest.raises(SpoolError):
            spool.accept(told[0], told[1], lambda _: None)

    @story()
    async def test_text_that_is_no_unicode_is_refused_and_changes_nothing(self, spool: Spool) -> None:
        name = await accepted(spool)
        batch = (await spool.lease(T0, 10, 60))[0]
        with pytest.raises(SpoolError):
            await spool.settle(batch, replace(failed(batch), transcript="\udcff"), [report(spool)])
        assert await everything(spool) == [name]
        assert await recipient(spool, name) == batch.message.recipients[0]

    @story()
    async def test_a_delay_is_told_once_and_remembered(self, spool: Spool) -> None:
        name = await accepted(spool)
        for number, told in enumerate((True, False)):
            batch = (await spool.lease(T0 + 10 * number, 10, 5))[0]
            later = Result(0, Outcome.DEFERRED, LATER, next_due=T0 + 10 * number + 10, delay_told=told, expired=True)
            await spool.settle(batch, attempt(later), [report(spool)] if told else [])
            one = await recipient(spool, name)
            assert (one.delay_told, one.expired) == (True, False)
            await spool.remove((await everything(spool))[1:])

    @story()
    async def test_held_while_leased_and_then_given_up(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, EVE)
        batch = (await spool.lease(T0, 1, 60))[0]
        await spool.hold(name, "wait", [0])
        assert await spool.settle(batch, failed(batch), [report(spool)])
        assert (await recipient(spool, name)).state is FAILED

    # ------------------------------------------------------------------------------------- whose turn it is

    @story()
    async def test_higher_priority_goes_first_then_who_waits_longest(self, spool: Spool) -> None:
        names = [
            await accepted(spool, received_at=T0 + late, priority=priority)
            for priority, late in [(0, 2), (-4, 0), (4, 3), (0, 1), (9, 50)]
        ]
        assert [batch.message.id for batch in await spool.lease(T0 + 9, 10, 60)] == [
            names[2], names[3], names[0], names[1],
        ]  # fmt: skip
        assert await spool.next_due() == T0 + 50

    @story()
    @pytest.mark.parametrize("priority", [-10, 10])
    async def test_a_priority_that_does_not_exist_is_refused(self, spool: Spool, priority: int) -> None:
        assert await outcome(spool, draft(spool, priority=priority), written(spool, b"x")) is not None

    @story()
    async def test_a_recipient_that_is_due_later(self, spool: Spool) -> None:
        later, never = replace(EVE, due=T0 + 500), replace(INBOX, due=T0 + 500)
        name = await accepted(spool, BOB, later, never)
        assert [one.next_due for one in (await spool.message(name)).recipients] == [T0, T0 + 500, None]
        assert [batch.destination for batch in await spool.lease(T0 + 499, 10, 9999)] == ["example.org"]
        assert await spool.next_due() == T0 + 500
        assert await outcome(spool, draft(spool, replace(BOB, due=float("inf"))), written(spool, b"x")) is not None

    @story()
    async def test_busy_destinations_are_passed_over(self, spool: Spool) -> None:
        names = [await accepted(spool, BOB, EVE, received_at=T0 + late) for late in range(3)]
        batches = await spool.lease(T0 + 9, 2, 60, busy=["example.org", "elsewhere.example"])
        assert [(batch.message.id, batch.destination) for batch in batches] == [
            (name, "example.com") for name in names[:2]
        ]
        assert await spool.lease(T0 + 9, 9, 60, busy={"example.org", "example.com"}) == []
        assert await spool.next_due(["example.com"]) == T0
        assert await spool.next_due(["example.org"]) == T0 + 2
        assert await spool.next_due(["example.org", "example.com"]) is None

    @story()
    async def test_a_destination_has_only_so_many_batches_at_once(self, spool: Spool) -> None:
        names = [await accepted(spool, BOB, ZOE, EVE, received_at=T0 + late) for late in range(4)]
        batches = await spool.lease(T0 + 9, 9, 60, per_destination=2)
        assert [(batch.message.id, batch.destination) for batch in batches] == [
            (names[0], "example.org"), (names[0], "example.com"), (names[1], "example.org"), (names[1], "example.com"),
        ]  # fmt: skip
        assert [len(batch.message.recipients) for batch in batches] == [2, 1, 2, 1]

    @story()
    async def test_a_postponed_destination_waits_with_those_that_come_later(self, spool: Spool) -> None:
        await accepted(spool, BOB, ZOE, EVE)
        assert await spool.postpone("example.org", T0 + 100) == 2
        late = await accepted(spool, BOB)
        assert [batch.destination for batch in await spool.lease(T0, 9, 999)] == ["example.com"]
        assert (await recipient(spool, late)).next_due == T0
        assert await spool.next_due() == T0 + 100
        assert await spool.lease(T0 + 99, 9, 60) == []
        assert len(await spool.lease(T0 + 100, 9, 999)) == 2
        assert await spool.resume("example.org", T0) == 0

    @story()
    async def test_resuming(self, spool: Spool) -> None:
        await accepted(spool, BOB)
        await accepted(spool, replace(BOB, due=T0 + 50))
        assert await spool.resume("example.org", T0) == 0
        assert await spool.postpone("example.org", T0 + 100) == 2
        assert await spool.next_due() == T0 + 100
        assert await spool.resume("example.org", T0 + 1) == 1
        assert await spool.next_due() == T0
        assert len(await spool.lease(T0, 9, 60)) == 1
        with pytest.raises(SpoolError):
            await spool.postpone("example.org", float("inf"))

    @story()
    async def test_retry_what_matches(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, EVE, INBOX)
        for batch in await spool.lease(T0, 9, 60):
            await spool.settle(
                batch, attempt(Result(batch.message.recipients[0].number, Outcome.DEFERRED, LATER, next_due=T0 + 999))
            )
        await spool.postpone("example.com", T0 + 999)
        assert await spool.retry(MessageQuery(code="5*"), T0 + 5) == 0
        assert await spool.retry(MessageQuery(state=HELD), T0 + 5) == 0
        assert await spool.retry(MessageQuery(code="4.7.1", destination="*.com", limit=0), T0 + 5) == 1
        assert [one.next_due for one in (await spool.message(name)).recipients] == [T0 + 999, T0 + 5, None]
        assert [batch.destination for batch in await spool.lease(T0 + 5, 9, 60)] == ["example.com"]
        assert len(await spool.attempts(name)) == 2

    @story()
    async def test_retry_waits_for_a_lease_that_is_running(self, spool: Spool) -> None:
        await accepted(spool)
        assert len(await spool.lease(T0, 9, 60)) == 1
        assert await spool.retry(MessageQuery(), T0 + 1) == 1
        assert await spool.lease(T0 + 59, 9, 60) == []
        assert len(await spool.lease(T0 + 60, 9, 60)) == 1

    # ------------------------------------------------------------------------------------- taken by an operator

    @story()
    async def test_take_whatever_their_time(self, spool: Spool) -> None:
        name = await accepted(spool, replace(BOB, due=T0 + 500), EVE, INBOX)
        (leased,) = await spool.lease(T0, 9, 60)
        taken = await spool.take(name, None, T0 + 1, 60)
        assert [(one.destination, [each.number for each in one.message.recipients]) for one in taken] == [
            ("example.org", [0, 2])
        ]
        assert taken[0].expires == T0 + 61
        assert await spool.take(name, None, T0 + 2, 60) == []
        assert await spool.settle(taken[0], failed(taken[0]), [report(spool)])
        assert [one.state for one in (await spool.message(name)).recipients] == [FAILED, QUEUED, FAILED]
        assert await spool.settle(leased, delivered(leased))
        assert name not in await everything(spool)

    @story()
    async def test_take_some_and_give_them_back(self, spool: Spool) -> None:
        name = await accepted(spool, INBOX, BOB, EVE)
        before = await spool.message(name)
        (held,) = await spool.take(name, [0, 77], T0, 60)
        assert held.message.recipients == before.recipients[:1]
        assert await spool.settle(held, attempt())
        assert await spool.message(name) == before
        assert [one.destination for one in await spool.take(name, [2, 1], T0, 60)] == ["example.org", "example.com"]
        with pytest.raises(NotFound):
            await spool.take(spool.new_id(), None, T0, 60)

    @story()
    async def test_what_was_taken_may_be_leased_again_when_the_time_is_up(self, spool: Spool) -> None:
        name = await accepted(spool)
        (old,) = await spool.take(name, None, T0, 60)
        assert await spool.lease(T0 + 59, 9, 60) == []
        (new,) = await spool.take(name, None, T0 + 60, 60)
        assert await spool.settle(old, failed(old), [report(spool)]) is False
        assert await spool.settle(new, failed(new)) is True

    # ------------------------------------------------------------------------------------- claimed at once

    @story()
    async def test_a_claimed_message_comes_leased(self, spool: Spool) -> None:
        asked: list[MessageId] = []
        heard: list[object] = []

        def claim(one: Draft) -> float | None:
            asked.append(one.id)
            return 60.0 if one.reverse_path != "slow@example.net" else None

        spool.on_accepting(claim)
        spool.on_claimed(heard.append)
        spool.on_accepted(heard.append)
        name = await accepted(spool, BOB, EVE, ZOE, INBOX, replace(EVE, due=T0 + 30))
        batches, drafts = heard
        assert isinstance(batches, list)
        whole = await spool.message(name)
        assert isinstance(drafts, list)
        assert [one.id for one in drafts] == [name]
        assert [(one.destination, one.expires) for one in batches] == [
            ("example.org", T0 + 60), ("example.com", T0 + 60),
        ]  # fmt: skip
        assert batches[0].message == replace(whole, recipients=(whole.recipients[0], whole.recipients[2]))
        assert await spool.next_due() == T0 + 30
        assert await spool.lease(T0 + 29, 9, 60) == []
        assert await spool.settle(batches[0], delivered(batches[0]))
        assert await spool.renew(batches[1], T0 + 9, 60)
        slow = await accepted(spool, reverse_path="slow@example.net")
        await accepted(spool, INBOX)
        assert asked == [name, slow]
        assert [one.message.id for one in await spool.lease(T0, 9, 60)] == [slow]

    @story()
    async def test_the_content_of_a_claimed_message(self, spool: Spool) -> None:
        claimed: list[Batch] = []
        spool.on_accepting(lambda _: 60.0)
        spool.on_claimed(claimed.extend)
        for size in (0, 10, 65_536, 65_537, 300_000):
            name = await accepted(spool, BOB, EVE, content=bytes(size))
            assert await octets(spool, name) == b"Received: here\r\n" + bytes(size)
            first, second = claimed[-2:]
            assert await spool.settle(first, delivered(first))
            assert await octets(spool, name) == b"Received: here\r\n" + bytes(size)
            assert await spool.settle(second, delivered(second))
            with pytest.raises(NotFound):
                await octets(spool, name)
        name = await accepted(spool)
        await spool.remove([name])
        with pytest.raises(NotFound):
            await octets(spool, name)

    @story(budget=1000)
    async def test_who_claimed_in_vain_is_told(self, spool: Spool) -> None:
        lost: list[Draft] = []
        spool.on_accepting(lambda _: 60.0)
        spool.on_claimed(lambda batches: None, lost.extend)
        one = draft(spool)
        assert await outcome(spool, one, written(spool, bytes(2000))) is not None
        await accepted(spool)
        assert lost == [one]

    @story()
    async def test_a_claim_that_raises_costs_nobody_anything(self, spool: Spool) -> None:
        spool.on_accepting(lambda _: 1 / 0)
        name = await accepted(spool)
        assert [batch.message.id for batch in await spool.lease(T0, 9, 60)] == [name]

    # ------------------------------------------------------------------------------------- heard of

    @story()
    async def test_listeners_hear_what_was_settled(self, spool: Spool) -> None:
        heard: list[JournalEntry] = []

        def bad(_: Sequence[JournalEntry]) -> None:
            raise RuntimeError("listener")

        spool.on_settled(bad)
        spool.on_settled(heard.extend)
        name = await accepted(spool, BOB, EVE)
        first, second = await spool.lease(T0, 9, 60)
        await spool.settle(first, delivered(first))
        await spool.settle(second, attempt())
        await spool.hold(name, "look", [1])
        await spool.release(MessageQuery(), T0)
        await asyncio.sleep(0)
        assert [(one.message, one.reverse_path, one.forward_paths) for one in heard] == [
            (name, "kana@example.net", {0: "bob@example.org"}),
            (name, "kana@example.net", {1: "eve@example.com"}),
            (name, "kana@example.net", {1: "eve@example.com"}),
        ]
        assert [one.line for one in heard] == sorted({one.line for one in heard})
        assert heard[0].attempt == delivered(first)
        assert [one.attempt for one in heard] == await spool.attempts(name)
        assert len(self.complaints) == 3
        self.complaints.clear()
        assert (await recipient(spool, name)).state is DELIVERED
        assert (await recipient(spool, name)).reply == YES
