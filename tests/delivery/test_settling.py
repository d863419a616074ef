"""What an attempt comes to is written down with the reports that it owes, or the recipient stays in the queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from postroad.delivery.notify import Notifier
from postroad.delivery.routing import Maildir, Routes, Smtp
from postroad.delivery.runner import Runner
from postroad.delivery.settling import NO_ROOM, owes_report
from postroad.delivery.transport import Fate, Handed, Health, Report, same_for_all
from postroad.envelope import (
    Attempt,
    Draft,
    MessageId,
    NewRecipient,
    Outcome,
    RecipientState,
    Result,
    StoredMessage,
)
from postroad.errors import SpoolError, StorageFull
from postroad.replies import Reply
from postroad.smtp import undeliverable
from postroad.spool.interface import ContentWriter, MessageQuery
from postroad.spool.memory import MemorySpool
from tests.delivery.fixtures import START, HandClock, keep, message, until
from tests.delivery.test_runner import SCHEDULE, Way, run

NO = Reply(550, "no such user", "5.1.1")
ROUTES = Routes.parse({"example.com": "smtp:host.example:25", "example.net": "maildir:/srv/{user}"})


class Writer:
    """Writes one report for each attempt that has something to tell."""

    def __init__(self) -> None:
        self.asked: list[Attempt] = []
        self.fault: Exception | None = None

    async def reports(
        self,
        message: StoredMessage,
        attempt: Attempt,
        read: Callable[[], AsyncIterator[bytes]],
        new_id: Callable[[], MessageId],
    ) -> list[tuple[Draft, bytes]]:
        if not message.reverse_path:
            return []
        self.asked.append(attempt)
        if self.fault is not None:
            raise self.fault
        content = b"".join([block async for block in read()])
        to = NewRecipient(message.reverse_path, message.reverse_path.rpartition("@")[2])
        return [(Draft(new_id(), "", (to,), START), b"Subject: report\r\n\r\n" + content)]


class FullSpool(MemorySpool):
    """Has no room for reports as long as it is told so; remembers what was settled."""

    def __init__(self, **more: Any) -> None:
        super().__init__(keep_delivered=True, **more)
        self.full = 0
        self.broken = 0
        self.settled: list[tuple[Attempt, int]] = []

    async def settle(self, batch: Any, attempt: Attempt, reports: Sequence[tuple[Draft, ContentWriter]] = ()) -> bool:
        if reports and self.full:
            self.full -= 1
            raise StorageFull("no space for reports")
        if self.broken:
            self.broken -= 1
            raise SpoolError("the disk is ill")
        self.settled.append((attempt, len(reports)))
        return await super().settle(batch, attempt, reports)


class House:
    def __init__(self, way: Any, reports: Any = None, spool: Any = None) -> None:
        self.clock = HandClock()
        self.spool = spool or FullSpool(clock=self.clock)
        self.mailbox = Way()
        self.reports = reports if reports is not None else Writer()
        self.runner = Runner(
            self.spool,
            ROUTES,
            {Smtp: way, Maildir: self.mailbox},
            self.clock,
            schedule=SCHEDULE,
            reports=self.reports,
        )
        self.runner._leases._again = (0.0, 0.0)

    async def __aenter__(self) -> House:
        self.runner.start()
        return self

    async def __aexit__(self, *fault: Any) -> None:
        await self.runner.stop(0.1)

    async def settled(self, message: MessageId, attempts: int = 1) -> Any:
        for _ in range(2000):
            if (await self.spool.message(message)).recipients[0].attempts >= attempts:
                break
            await asyncio.sleep(0.001)
        await until(lambda: self.runner.under_way == 0)
        return (await self.spool.message(message)).recipients[0]


def never(consignment: Any) -> Report:
    return Report(same_for_all(consignment, Fate.NEVER, "refused at RCPT", NO, "RCPT"), "host", health=Health.FINE)


def test_a_failure_and_its_report_are_one_transaction_and_the_report_is_delivered() -> None:
    async def work() -> None:
        async with House(Way(never)) as house:
            message = await keep(house.spool, "bob@example.com")
            one = await house.settled(message)
            assert (one.state, one.reply) == (RecipientState.FAILED, NO)
            assert [(attempt.results[0].outcome, count) for attempt, count in house.spool.settled][:1] == [
                (Outcome.FAILED, 1)
            ]
            await until(lambda: house.mailbox.came)
            (report,) = house.mailbox.came
            assert report.message.reverse_path == ""
            content = b"".join([block async for block in report.read()])
            assert content.startswith(b"Subject: report\r\n\r\nReceived: by test\r\nSubject: hello")

    run(work())


def test_without_room_for_the_report_the_recipient_stays_and_nothing_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with House(Way(never)) as house:
            house.spool.full = 1
            message = await keep(house.spool, "bob@example.com")
            one = await house.settled(message)
            assert (one.state, one.reply, one.next_due) == (RecipientState.QUEUED, NO, START + 300)
            assert one.note == f"refused at RCPT; {NO_ROOM}"
            assert house.mailbox.came == []
            house.clock.now += 300
            house.runner.wake()
            assert (await house.settled(message, 2)).state is RecipientState.FAILED
            await until(lambda: house.mailbox.came)

    run(work())
    assert "report not written" in caplog.text


def test_who_was_delivered_stays_delivered_when_others_cannot_be_reported() -> None:
    async def work() -> None:
        says = (Handed(0, Fate.DELIVERED), Handed(1, Fate.NEVER, NO))
        async with House(Way(says)) as house:
            house.spool.full = 1
            message = await keep(house.spool, "a@example.com", "b@example.com")
            await house.settled(message)
            states = [one.state for one in (await house.spool.message(message)).recipients]
            assert states == [RecipientState.DELIVERED, RecipientState.QUEUED]

    run(work())


def test_a_fault_of_the_notifier_fails_nobody_without_a_word(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        writer = Writer()
        writer.fault = ValueError("boom")
        async with House(Way(never), writer) as house:
            message = await keep(house.spool, "bob@example.com")
            one = await house.settled(message)
            assert (one.state, one.next_due) == (RecipientState.QUEUED, START + 300)

    run(work())
    assert "boom" in caplog.text


def test_a_record_that_stumbles_is_written_again_with_its_report() -> None:
    async def work() -> None:
        async with House(Way(never)) as house:
            house.spool.broken = 2
            message = await keep(house.spool, "bob@example.com")
            assert (await house.settled(message)).state is RecipientState.FAILED
            await until(lambda: house.mailbox.came)
            assert len(house.reports.asked) == 1

    run(work())


def test_the_delay_is_told_once() -> None:
    async def work() -> None:
        async with House(Way(Fate.NOT_NOW)) as house:
            house.runner.reload(ROUTES, SCHEDULE.__class__(steps=(10,), expire=1000, delay_notice=15, jitter=0))
            message = await keep(house.spool, "bob@example.com")
            told = []
            for attempt in range(1, 6):
                one = await house.settled(message, attempt)
                told.append(one.delay_told)
                house.clock.now += 10
                house.runner.wake()
            assert told == [False, False, True, True, True]
            assert len(house.reports.asked) == 1
            assert house.reports.asked[0].results[0].delay_told

    run(work())


def test_the_operators_bounce_is_reported() -> None:
    async def work() -> None:
        async with House(Way(Fate.NOT_NOW)) as house:
            message = await keep(house.spool, "bob@example.com")
            await house.settled(message)
            assert await house.runner.give_up(message, None, "the operator gave it up") == 1
            await until(lambda: house.mailbox.came)
            house.spool.full = 1
            other = await keep(house.spool, "bob@example.com")
            await house.settled(other)
            assert await house.runner.give_up(other, None, "the operator gave it up") == 0

    run(work())


@pytest.mark.parametrize(
    ("result", "wishes", "owed"),
    [
        (Result(0, Outcome.DELIVERED), "", False),
        (Result(0, Outcome.DELIVERED), "NOTIFY=FAILURE,DELAY", False),
        (Result(0, Outcome.DELIVERED), "NOTIFY=SUCCESS", True),
        (Result(0, Outcome.DELIVERED, relayed=True), "", True),
        (Result(0, Outcome.FAILED), "NOTIFY=NEVER", True),  # the notifier knows what NEVER means
        (Result(0, Outcome.DEFERRED, next_due=0), "NOTIFY=SUCCESS", False),
        (Result(0, Outcome.DEFERRED, next_due=0, delay_told=True), "", True),
        (Result(0, Outcome.HELD), "", False),
    ],
)
def test_who_is_asked_to_report(result: Result, wishes: str, owed: bool) -> None:
    assert owes_report(message("bob@example.com", wishes=wishes), result) is owed


def test_with_the_real_notifier_the_sender_gets_the_report() -> None:
    async def work() -> None:
        async with House(Way(never), Notifier("me.example", HandClock(), languages="en")) as house:
            await keep(house.spool, "bob@example.com")
            await until(lambda: house.mailbox.came)
            (report,) = house.mailbox.came
            content = b"".join([block async for block in report.read()])
            assert report.message.recipients[0].forward_path == "kana@example.net"
            assert b"multipart/report" in content
            assert b"Final-Recipient: rfc822; bob@example.com" in content
            assert b"550 5.1.1 no such user" in content

    run(work())


def test_a_report_that_fails_itself_goes_no_further_than_the_postmaster() -> None:
    async def work() -> None:
        notifier = Notifier("me.example", HandClock(), languages="en", postmaster="postmaster@example.com")
        async with House(Way(never), notifier) as house:
            house.mailbox.says = [never]
            await keep(house.spool, "bob@example.com")
            await until(lambda: house.mailbox.came)
            async with asyncio.timeout(20):  # a report is kept together with the failure that it is about: never a gap
                while await house.spool.messages(MessageQuery(state=RecipientState.QUEUED)):
                    await asyncio.sleep(0.01)
            assert len(await house.spool.messages(MessageQuery())) <= 3

    run(work())


def test_mail_whose_time_is_over_is_not_delivered_any_more() -> None:
    async def work() -> None:
        async with House(Way(Fate.NOT_NOW, Fate.DELIVERED)) as house:
            message = await keep(house.spool, "bob@example.com", parameters="BY=15;R")
            assert (await house.settled(message)).next_due == START + 10
            house.clock.now += 16
            house.runner.wake()
            one = await house.settled(message, 2)
            assert (one.state, one.reply) == (RecipientState.FAILED, undeliverable.TIME_IS_OVER)
            late = await keep(house.spool, "bob@example.com", parameters="BY=15;N")
            assert (await house.settled(late)).state is RecipientState.DELIVERED

    run(work())
