"""The runner on a spool in memory with a clock set by hand: delivered, deferred, held, uncertain, stopped, begun again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import uvloop

from postroad.delivery.lane import RunnerLimits
from postroad.delivery.maildir_transport import MaildirTransport
from postroad.delivery.routing import NO_ROUTE, ROUTE_IS_HOLD, Maildir, Mx, Routes, Smtp
from postroad.delivery.runner import Runner
from postroad.delivery.schedule import Schedule
from postroad.delivery.smtp_transport import SmtpTransport
from postroad.delivery.transport import Consignment, Fate, Handed, Health, Report, same_for_all
from postroad.envelope import MessageId, Outcome, Recipient, RecipientState
from postroad.errors import NotFound, SpoolError
from postroad.net.smtp_client import ClientOptions
from postroad.replies import Reply
from postroad.spool.interface import MessageQuery
from postroad.spool.memory import MemorySpool
from postroad.spool.sqlite import SqliteSpool
from tests.delivery.fixtures import CONTENT, PREFIX, START, HandClock, Peer, host, keep, until

SCHEDULE = Schedule(steps=(10, 20, 40), expire=1000, uncertain=30, jitter=0)
LATER = Reply(450, "later", "4.2.0")
NO = Reply(550, "no", "5.1.1")


def run(work: Awaitable[Any]) -> Any:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(work, 30))  # type: ignore[arg-type]


class Way:
    """A transport that does as it is told and remembers who came."""

    def __init__(self, *says: Any) -> None:
        self.says = list(says) or [Fate.DELIVERED]
        self.came: list[Consignment] = []
        self.at_once = self.most_at_once = 0
        self.gate: asyncio.Event | None = None
        self.aborted = ""
        self.closed = False

    async def deliver(self, consignment: Consignment) -> Report:
        self.came.append(consignment)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.gate is not None:
                await self.gate.wait()
            say = self.says.pop(0) if len(self.says) > 1 else self.says[0]
            if self.aborted:
                say = Fate.NOT_NOW
            if isinstance(say, Exception):
                raise say
            if isinstance(say, Fate):
                handed = same_for_all(consignment, say, self.aborted or f"fate {say.value}")
                return Report(handed, "host.example", "C: x", health=Health.FINE)
            return say(consignment) if callable(say) else Report(say)
        finally:
            self.at_once -= 1

    def wind_down(self, why: str) -> None:
        """Nothing is on its way here."""

    def abort(self, why: str) -> None:
        self.aborted = why
        if self.gate is not None:
            self.gate.set()

    async def close(self) -> None:
        self.closed = True


class House:
    """A spool, a clock, a runner."""

    def __init__(self, way: Any, routes: Routes | None = None, spool: Any = None, **limits: Any) -> None:
        self.clock = HandClock()
        self.spool = spool or MemorySpool(clock=self.clock, keep_delivered=True)
        self.way = way
        self.routes = routes or Routes.parse({"example.com": "smtp:host.example:25"})
        self.runner = Runner(
            self.spool,
            self.routes,
            {Smtp: way, Maildir: way, Mx: way},
            self.clock,
            schedule=SCHEDULE,
            limits=RunnerLimits(**limits),
            **self._more(),
        )

    def _more(self) -> dict[str, Any]:
        return {}

    def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.runner.wake()

    async def recipient(self, message: MessageId, number: int = 0) -> Recipient:
        return (await self.spool.message(message)).recipients[number]

    async def settled(self, message: MessageId, attempts: int = 1, number: int = 0) -> Recipient:
        found: list[Recipient] = []
        for _ in range(3000):
            found[:] = [await self.recipient(message, number)]
            if found[0].attempts >= attempts and self.runner.under_way == 0:
                return found[0]
            await asyncio.sleep(0.001)
        raise AssertionError(f"not settled: {found}")


def test_delivered() -> None:
    async def work() -> None:
        house = House(Way())
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        one = await house.settled(message)
        assert one.state is RecipientState.DELIVERED
        (attempt,) = await house.spool.attempts(message)
        assert (attempt.at, attempt.route, attempt.host) == (START, "smtp:host.example:25", "host.example")
        assert attempt.transcript == "C: x"
        (consignment,) = house.way.came
        assert b"".join([block async for block in consignment.read()]) == PREFIX + CONTENT
        await house.runner.stop()
        assert house.way.closed

    run(work())


def test_what_was_there_before_the_start_is_delivered_too() -> None:
    async def work() -> None:
        house = House(Way())
        message = await keep(house.spool, "bob@example.com")
        house.runner.start()
        assert (await house.settled(message)).state is RecipientState.DELIVERED
        await house.runner.stop()

    run(work())


def test_deferred_by_the_schedule_and_then_delivered() -> None:
    async def work() -> None:
        house = House(Way(lambda c: Report(same_for_all(c, Fate.NOT_NOW, "n", LATER)), Fate.NOT_NOW, Fate.DELIVERED))
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        one = await house.settled(message)
        assert (one.state, one.next_due, one.reply) == (RecipientState.QUEUED, START + 10, LATER)
        house.advance(9.5)
        await asyncio.sleep(0.01)
        assert len(house.way.came) == 1
        house.advance(0.5)
        one = await house.settled(message, 2)
        assert (one.next_due, one.reply, one.note) == (START + 30, None, "fate not now")
        house.advance(20)
        assert (await house.settled(message, 3)).state is RecipientState.DELIVERED
        await house.runner.stop()

    run(work())


def test_the_runner_wakes_by_itself_when_something_falls_due() -> None:
    async def work() -> None:
        house = House(Way(Fate.NOT_NOW, Fate.DELIVERED))
        house.runner.reload(house.routes, Schedule(steps=(0.02,), jitter=0))
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        await house.settled(message)
        house.clock.now += 0.02  # and nobody wakes it
        assert (await house.settled(message, 2)).state is RecipientState.DELIVERED
        await house.runner.stop()

    run(work())


def test_refused_for_good_fails_with_the_reply() -> None:
    async def work() -> None:
        house = House(Way(lambda c: Report(same_for_all(c, Fate.NEVER, "refused at RCPT", NO))))
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        one = await house.settled(message)
        assert (one.state, one.reply, one.note) == (RecipientState.FAILED, NO, "refused at RCPT")
        assert not one.expired
        await house.runner.stop()

    run(work())


def test_each_recipient_has_its_own_fate() -> None:
    async def work() -> None:
        says = (Handed(0, Fate.DELIVERED), Handed(1, Fate.NEVER, NO), Handed(2, Fate.NOT_NOW, None, "lost", True))
        house = House(Way(says))
        house.runner.start()
        message = await keep(house.spool, "a@example.com", "b@example.com", "c@example.com")
        await house.settled(message)
        states = [one.state for one in (await house.spool.message(message)).recipients]
        assert states == [RecipientState.DELIVERED, RecipientState.FAILED, RecipientState.QUEUED]
        (attempt,) = await house.spool.attempts(message)
        assert [result.uncertain for result in attempt.results] == [False, False, True]
        assert attempt.results[2].next_due == START + 30
        await house.runner.stop()

    run(work())


def test_given_up_after_the_expiry() -> None:
    async def work() -> None:
        house = House(Way(Fate.NOT_NOW))
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        await house.settled(message)
        house.advance(995)
        assert (await house.settled(message, 2)).next_due == START + 1000
        house.advance(5)
        one = await house.settled(message, 3)
        assert (one.state, one.expired, one.note) == (RecipientState.FAILED, True, "fate not now")
        await house.runner.stop()

    run(work())


# --- faults of our own


def test_a_worker_that_fails_defers_its_recipients(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        house = House(Way(ValueError("boom"), SpoolError("the disk is ill"), Fate.DELIVERED))
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        one = await house.settled(message)
        assert (one.state, one.note) == (RecipientState.QUEUED, "internal error: ValueError")
        house.advance(10)
        assert (await house.settled(message, 2)).note == "the disk is ill"
        house.advance(20)
        assert (await house.settled(message, 3)).state is RecipientState.DELIVERED
        await house.runner.stop()

    run(work())
    assert "delivery failed" in caplog.text
    assert "boom" in caplog.text


def test_a_message_that_was_removed_meanwhile_is_nobodys_fault(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        house = House(Way(NotFound("gone")))
        house.way.gate = asyncio.Event()
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        await until(lambda: house.way.came)
        await house.spool.remove([message])
        house.way.gate.set()
        await until(lambda: house.runner.under_way == 0)
        await house.runner.stop()

    run(work())
    assert "internal error" not in caplog.text


class StumblingSpool(MemorySpool):
    """Fails so many times at what is named, then goes on."""

    def __init__(self, **faults: int) -> None:
        super().__init__(keep_delivered=True)
        self.faults = faults

    def stumble(self, what: str) -> None:
        if self.faults.get(what, 0) > 0:
            self.faults[what] -= 1
            raise SpoolError(f"{what} failed")

    async def settle(self, *args: Any) -> bool:
        self.stumble("settle")
        return await super().settle(*args)

    async def lease(self, *args: Any, **more: Any) -> Any:
        self.stumble("lease")
        return await super().lease(*args, **more)

    async def renew(self, *args: Any) -> Any:
        self.stumble("renew")
        return await super().renew(*args)


def test_what_was_delivered_is_recorded_although_the_disk_stumbles() -> None:
    async def work() -> None:
        house = House(Way(), spool=StumblingSpool(settle=2))
        house.runner._leases._again = (0.0, 0.0)
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        assert (await house.settled(message)).state is RecipientState.DELIVERED
        assert len(house.way.came) == 1
        await house.runner.stop()

    run(work())


def test_a_record_that_is_lost_leads_to_a_second_delivery_and_never_to_none(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from postroad.delivery import runner

    monkeypatch.setattr(runner, "_RECORD_FOR", 0.0)

    async def work() -> None:
        house = House(Way(), spool=StumblingSpool(settle=3), lease=100)
        house.runner._leases._again = (0.0, 0.0)
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        await until(lambda: house.way.came and house.runner.under_way == 0)
        assert (await house.recipient(message)).state is RecipientState.QUEUED
        house.advance(100)
        assert (await house.settled(message)).state is RecipientState.DELIVERED
        assert len(house.way.came) == 2
        await house.runner.stop()

    run(work())
    assert "delivery not recorded" in caplog.text


def test_a_queue_that_cannot_be_read_is_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    from postroad.delivery import runner

    monkeypatch.setattr(runner, "_BACK_OFF", 0.01)

    async def work() -> None:
        house = House(Way(), spool=StumblingSpool(lease=2))
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        assert (await house.settled(message)).state is RecipientState.DELIVERED
        await house.runner.stop()

    run(work())


# --- leases


@pytest.mark.parametrize("faults", [{}, {"renew": 1}])
def test_a_slow_delivery_keeps_its_lease(faults: dict[str, int]) -> None:
    async def work() -> None:
        house = House(Way(), spool=StumblingSpool(**faults), lease=100)
        house.way.gate = asyncio.Event()
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        await until(lambda: house.way.came)
        for _ in range(8):
            house.advance(45)
            await asyncio.sleep(0.005)
        house.way.gate.set()
        assert (await house.settled(message)).state is RecipientState.DELIVERED
        assert len(house.way.came) == 1
        assert len(await house.spool.attempts(message)) == 1
        await house.runner.stop()

    run(work())


def test_a_clock_that_leaps_gives_nobody_a_second_copy() -> None:
    """The lease runs out while its worker is at work: the work goes on under the new lease."""

    async def work() -> None:
        house = House(Way(), lease=100)
        house.way.gate = asyncio.Event()
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        await until(lambda: house.way.came)
        house.clock.now += 86400.0
        stolen = await house.spool.lease(house.clock.now, 10, 1)  # somebody else, for a moment
        assert len(stolen) == 1
        house.advance(2)
        await asyncio.sleep(0.01)
        assert len(house.way.came) == 1
        house.way.gate.set()
        assert (await house.settled(message)).state is RecipientState.DELIVERED
        await house.runner.stop()

    run(work())


def test_a_lease_that_another_has_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        house = House(Way(lambda c: Report(same_for_all(c, Fate.NEVER, "no", NO))), lease=100)
        house.way.gate = asyncio.Event()
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        await until(lambda: house.way.came)
        house.clock.now += 101
        await house.spool.lease(house.clock.now, 10, 1000)
        house.way.gate.set()
        await until(lambda: house.runner.under_way == 0)
        assert (await house.recipient(message)).state is RecipientState.QUEUED
        await house.runner.stop()

    run(work())
    assert "lease lost" in caplog.text


# --- concurrency


def to_sites(count: int) -> Routes:
    return Routes.parse({f"d{n}.example": f"smtp:host{n}.example:25" for n in range(count)})


async def all_done(house: House, count: int) -> None:
    await until(lambda: len(house.way.came) >= count and house.runner.under_way == 0)


def test_workers_are_bounded_in_all_and_for_each_site() -> None:
    async def work() -> None:
        house = House(Way(), to_sites(4), workers=8, per_site=3)
        house.runner.start()
        for number in range(40):
            await keep(house.spool, f"bob@d{number % 4}.example")
        await all_done(house, 40)
        house.way.most_at_once = 0
        house.way.came.clear()
        house.way.gate = asyncio.Event()
        for number in range(40):
            await keep(house.spool, f"bob@d{number % 4 if number >= 20 else 0}.example")
        await until(lambda: house.way.at_once == 8)
        await asyncio.sleep(0.01)
        by_site = [sum(str(c.route) == f"smtp:host{n}.example:25" for c in house.way.came) for n in range(4)]
        assert sorted(by_site) == [1, 2, 2, 3] or max(by_site) <= 3
        house.way.gate.set()
        await all_done(house, 40)
        assert house.way.most_at_once == 8
        assert (await house.spool.stats()).recipients["delivered"] == 80
        assert len({c.message.id for c in house.way.came}) == 40
        await house.runner.stop()

    run(work())


def test_a_site_that_has_not_answered_gets_one_delivery_and_takes_nobodys_place() -> None:
    async def work() -> None:
        house = House(Way(), to_sites(6), workers=1, trials=4)
        house.way.gate = asyncio.Event()
        house.runner.start()
        for number in range(18):
            await keep(house.spool, f"bob@d{number % 6}.example")
        await until(lambda: house.way.at_once == 4)
        await asyncio.sleep(0.01)
        assert house.way.at_once == 4
        assert len({c.route for c in house.way.came}) == 4
        house.way.gate.set()
        await all_done(house, 18)
        await house.runner.stop()

    run(work())


def test_concurrency_grows_with_success_and_shrinks_with_overload() -> None:
    async def work() -> None:
        house = House(Way())
        house.runner.start()
        for _ in range(30):
            await keep(house.spool, "bob@example.com")
        await all_done(house, 30)
        site = house.runner.site("example.com")
        assert site is not None and site.at_once == 20
        busy = Report((Handed(0, Fate.NOT_NOW, Reply(421, "too busy"), "refused for now at MAIL", stage="MAIL"),))
        house.way.says = [lambda c: replace(busy, health=Health.OVERLOADED)]
        house.way.gate = asyncio.Event()
        for _ in range(20):
            await keep(house.spool, "bob@example.com")
        await until(lambda: house.way.at_once == 20)
        house.way.gate.set()
        await until(lambda: house.way.at_once == 0)
        site = house.runner.site("example.com")
        assert site is not None and site.at_once == 10
        assert site.last_fault == "refused for now at MAIL: 421 too busy"
        await house.runner.stop()

    run(work())


def test_a_busy_route_does_not_keep_others_waiting() -> None:
    async def work() -> None:
        routes = Routes.parse({"slow.example": "smtp:slow.example:25", "quick.example": "smtp:quick.example:25"})
        house = House(Way(), routes, workers=10)
        gate = asyncio.Event()

        async def deliver(consignment: Consignment) -> Report:
            house.way.came.append(consignment)
            if consignment.message.recipients[0].destination == "slow.example":
                await gate.wait()
            return Report(same_for_all(consignment, Fate.DELIVERED, ""))

        house.way.deliver = deliver
        for number in range(50):
            await keep(house.spool, f"n{number}@slow.example")
        last = await keep(house.spool, "bob@quick.example")
        house.runner.start()
        for _ in range(3000):
            if (await house.recipient(last)).state is RecipientState.DELIVERED:
                break
            await asyncio.sleep(0.001)
        assert (await house.recipient(last)).state is RecipientState.DELIVERED
        gate.set()
        await house.runner.stop()

    run(work())


# --- routes


def test_no_route_is_held_and_released_when_there_is_one() -> None:
    async def work() -> None:
        house = House(Way(), Routes({}))
        house.runner.start()
        message = await keep(house.spool, "bob@example.com", "al@other.example")
        accepted = await keep(house.spool, "bob@example.com", hold=NO_ROUTE)
        by_hand = await keep(house.spool, "bob@example.com", hold="the operator says so")

        async def states() -> list[tuple[RecipientState, str]]:
            found = [*(await house.spool.message(message)).recipients]
            found += [await house.recipient(accepted), await house.recipient(by_hand)]
            return [(one.state, one.note) for one in found]

        held = (RecipientState.HELD, NO_ROUTE)
        for _ in range(1000):
            if (await states())[:2] == [held, held]:
                break
            await asyncio.sleep(0.001)
        assert await states() == [held, held, held, (RecipientState.HELD, "the operator says so")]
        assert (await house.recipient(message)).attempts == 0
        house.runner.reload(Routes.parse({"example.com": "smtp:host.example:25"}))
        await house.settled(message)
        await house.settled(accepted)
        found = await states()
        assert [state for state, _ in found] == [
            RecipientState.DELIVERED,
            RecipientState.HELD,
            RecipientState.DELIVERED,
            RecipientState.HELD,
        ]
        house.runner.reload(Routes.parse({}, "smtp:hub.example:25"))
        assert (await house.settled(message, number=1)).state is RecipientState.DELIVERED
        assert (await house.recipient(by_hand)).state is RecipientState.HELD
        assert house.way.came[-1].route == Smtp("hub.example", 25)
        await house.runner.stop()

    run(work())


def test_what_was_held_for_a_route_is_released_at_the_start() -> None:
    async def work() -> None:
        house = House(Way())
        message = await keep(house.spool, "bob@example.com", hold=NO_ROUTE)
        house.runner.start()
        assert (await house.settled(message)).state is RecipientState.DELIVERED
        await house.runner.stop()

    run(work())


def test_a_route_that_becomes_hold_holds_what_is_queued_and_lets_go_again() -> None:
    async def work() -> None:
        house = House(Way(Fate.NOT_NOW, Fate.DELIVERED))
        house.runner.start()
        message = await keep(house.spool, "bob@example.com", "al@other.example")
        await house.settled(message)
        house.runner.reload(Routes.parse({"example.com": "hold"}))
        for _ in range(1000):
            if (await house.recipient(message)).state is RecipientState.HELD:
                break
            await asyncio.sleep(0.001)
        assert (await house.recipient(message)).note == ROUTE_IS_HOLD
        house.runner.reload(house.routes)
        assert (await house.settled(message, 2)).state is RecipientState.DELIVERED
        await house.runner.stop()

    run(work())


def test_a_kind_of_route_that_has_no_transport_defers() -> None:
    async def work() -> None:
        house = House(Way())
        house.runner._worker.transports = {}
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        assert "no way to go" in (await house.settled(message)).note
        await house.runner.stop()

    run(work())


# --- stopping


def test_stop_waits_for_what_is_under_way_and_begins_nothing_more() -> None:
    async def work() -> None:
        house = House(Way())
        house.way.gate = asyncio.Event()
        first = await keep(house.spool, "a@example.com")
        second = await keep(house.spool, "b@example.com")
        house.runner.start()
        await until(lambda: house.way.came and house.runner.under_way == 2)
        stopping = asyncio.create_task(house.runner.stop(20))
        await asyncio.sleep(0.01)
        house.way.gate.set()
        await stopping
        assert (await house.recipient(first)).state is RecipientState.DELIVERED
        waiting = await house.recipient(second)
        assert (waiting.state, waiting.attempts) == (RecipientState.QUEUED, 0)
        assert len(await house.spool.lease(house.clock.now, 10, 1)) == 1  # given back at once
        assert len(house.way.came) == 1

    run(work())


def test_stop_ends_what_takes_too_long_and_leaves_it_due() -> None:
    async def work() -> None:
        house = House(Way())
        house.way.gate = asyncio.Event()
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        await until(lambda: house.way.came)
        await house.runner.stop(0.01)
        one = await house.recipient(message)
        assert (one.state, one.next_due, one.note) == (RecipientState.QUEUED, house.clock.now, "the server was stopped")
        house.way = Way()
        again = Runner(house.spool, house.routes, {Smtp: house.way}, house.clock)
        again.start()
        await until(lambda: house.way.came and again.under_way == 0)
        assert (await house.recipient(message)).state is RecipientState.DELIVERED
        await again.stop()

    run(work())


def test_stop_before_start_and_twice() -> None:
    async def work() -> None:
        house = House(Way())
        await house.runner.stop()
        await house.runner.stop()

    run(work())


# --- with the real transports


def real(house_clock: HandClock) -> dict[Any, Any]:
    return {
        Smtp: SmtpTransport(ClientOptions("me.example")),
        Maildir: MaildirTransport("me.example", house_clock),
    }


def test_one_message_three_ways(tmp_path: Path) -> None:
    contents: list[bytes] = []

    async def play(peer: Peer) -> None:
        await peer.greet(b"PIPELINING", b"SIZE")
        await peer.serve({}, contents)

    async def work() -> None:
        async with host(play) as (port, _):
            clock = HandClock()
            spool = MemorySpool(clock=clock, keep_delivered=True)
            routes = Routes.parse(
                {
                    "example.com": f"smtp:127.0.0.1:{port}",
                    "example.org": f"maildir:{tmp_path}/{{user}}",
                    "example.net": "hold",
                }
            )
            runner = Runner(spool, routes, real(clock), clock)
            runner.start()
            message = await keep(spool, "a@example.com", "b@example.org", "c@example.net", "d@example.com")
            for _ in range(3000):
                found = [one.state for one in (await spool.message(message)).recipients]
                if RecipientState.QUEUED not in found:
                    break
                await asyncio.sleep(0.001)
            assert found == [RecipientState.DELIVERED] * 2 + [RecipientState.HELD, RecipientState.DELIVERED]
            await runner.stop()

    run(work())
    assert contents == [PREFIX + CONTENT]
    (file,) = (tmp_path / "b" / "new").iterdir()
    assert file.read_bytes() == b"Return-Path: <kana@example.net>\n" + (PREFIX + CONTENT).replace(b"\r\n", b"\n")


def test_a_host_that_is_away_and_comes_back(tmp_path: Path) -> None:
    contents: list[bytes] = []

    async def play(peer: Peer) -> None:
        await peer.greet()
        await peer.serve({}, contents)

    async def work() -> None:
        async with host(play) as (port, _):
            clock = HandClock()
            spool = MemorySpool(clock=clock, keep_delivered=True)
            away = tmp_path / "lmtp"
            routes = Routes.parse({"example.com": f"lmtp:{away}"})
            runner = Runner(spool, routes, real(clock), clock, schedule=SCHEDULE)
            runner.start()
            message = await keep(spool, "a@example.com")
            await until(lambda: runner.under_way == 0)
            for _ in range(2000):
                (one,) = (await spool.message(message)).recipients
                if one.attempts:
                    break
                await asyncio.sleep(0.001)
            assert (one.reply, one.note) == (None, f"no connection to {away}: No such file or directory")
            runner.reload(Routes.parse({"example.com": f"smtp:127.0.0.1:{port}"}))
            clock.now += 10
            runner.wake()
            for _ in range(2000):
                (one,) = (await spool.message(message)).recipients
                if one.state is RecipientState.DELIVERED:
                    break
                await asyncio.sleep(0.001)
            assert one.state is RecipientState.DELIVERED
            outcomes = [attempt.results[0].outcome for attempt in await spool.attempts(message)]
            assert outcomes == [Outcome.DEFERRED, Outcome.DELIVERED]
            await runner.stop()

    run(work())
    assert len(contents) == 1


def test_nothing_is_left_in_the_spool_when_all_is_delivered() -> None:
    async def work() -> None:
        spool = MemorySpool()
        runner = Runner(spool, Routes.parse({}, "smtp:hub.example:25"), {Smtp: Way()}, HandClock())
        runner.start()
        for number in range(20):
            await keep(spool, f"a{number}@example.com", f"b{number}@example.org")
        for _ in range(3000):
            if not await spool.messages(MessageQuery()):
                break
            await asyncio.sleep(0.001)
        assert await spool.messages(MessageQuery()) == []
        await runner.stop()

    run(work())


def test_a_restart_goes_on_where_it_was_left(tmp_path: Path) -> None:
    """On disk: one delivered, one deferred, one cut short by the stop; nothing is lost and nothing goes twice."""
    contents: list[bytes] = []
    away = True

    async def play(peer: Peer) -> None:
        if away:
            await peer.say(b"421 4.3.2 come back later\r\n")
            return
        await peer.greet(b"PIPELINING")
        await peer.serve({}, contents)

    async def begin(port: int, clock: HandClock) -> tuple[SqliteSpool, Runner]:
        spool = await SqliteSpool.open(tmp_path / "spool", clock=clock, keep_delivered=True)
        routes = Routes.parse(
            {"example.com": f"smtp:127.0.0.1:{port}", "example.org": f"maildir:{tmp_path}/mail/{{user}}"}
        )
        runner = Runner(spool, routes, real(clock), clock, schedule=SCHEDULE)
        runner.start()
        return spool, runner

    async def work() -> None:
        nonlocal away
        async with host(play) as (port, _):
            clock = HandClock()
            spool, runner = await begin(port, clock)
            large = b"Subject: large\r\n\r\n" + (b"x" * 998 + b"\r\n") * 200
            messages = [await keep(spool, "a@example.com", "b@example.org", content=large) for _ in range(3)]
            for message in messages:
                for _ in range(3000):
                    recipients = (await spool.message(message)).recipients
                    if all(one.attempts for one in recipients):
                        break
                    await asyncio.sleep(0.001)
                assert [one.state for one in recipients] == [RecipientState.QUEUED, RecipientState.DELIVERED]
                assert str(recipients[0].reply) == "421 4.3.2 come back later"
            await runner.stop()
            await spool.close()
            away = False
            clock.now += 10
            spool, runner = await begin(port, clock)
            for message in messages:
                for _ in range(3000):
                    recipients = (await spool.message(message)).recipients
                    if recipients[0].state is RecipientState.DELIVERED:
                        break
                    await asyncio.sleep(0.001)
                assert recipients[0].attempts == 2
            await runner.stop()
            await spool.close()
            assert contents == [PREFIX + large] * 3
            assert len(list((tmp_path / "mail" / "b" / "new").iterdir())) == 3

    run(work())
