"""Leases of the runner when the clock leaps and the disk stumbles: what it works on is lent to nobody a second time."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from postroad.delivery import runner as runner_module
from postroad.delivery.routing import Mx, Routes
from postroad.delivery.transport import Consignment, Fate, Health, Report, same_for_all
from postroad.envelope import MessageId, RecipientState
from postroad.errors import SpoolError
from postroad.spool.interface import MessageQuery
from postroad.spool.memory import MemorySpool
from postroad.spool.sqlite import SqliteSpool
from tests.delivery.fixtures import HandClock, keep, until
from tests.delivery.test_runner import House, Way, run


class Gated(MemorySpool):
    """Lets calls wait at a gate, or fail, as told; counts them."""

    def __init__(self, **more: Any) -> None:
        super().__init__(keep_delivered=True, **more)
        self.gates: dict[str, asyncio.Event] = {}
        self.ill: set[str] = set()
        self.calls: list[str] = []

    async def _enter(self, name: str) -> None:
        self.calls.append(name)
        if name in self.gates:
            await self.gates[name].wait()
        if name in self.ill:
            raise SpoolError(f"the disk is ill ({name})")

    async def settle(self, *args: Any) -> bool:
        await self._enter("settle")
        return await super().settle(*args)

    async def lease(self, *args: Any, **more: Any) -> Any:
        await self._enter("lease")
        return await super().lease(*args, **more)

    async def renew(self, *args: Any) -> Any:
        await self._enter("renew")
        return await super().renew(*args)


class LentHouse(House):
    """With a spool that waits and fails as told, and leases of 100 seconds."""

    spool: Any

    def __init__(self, way: Any, **limits: Any) -> None:
        super().__init__(way, spool=Gated(), lease=100, **limits)
        self.runner._leases._again = (0.0,)

    async def delivered(self, message: MessageId) -> None:
        for _ in range(3000):
            if (await self.recipient(message)).state is RecipientState.DELIVERED:
                return
            await asyncio.sleep(0.001)
        raise AssertionError("not delivered")


async def turns() -> None:
    """Time enough for whatever does not wait for anything."""
    for _ in range(50):
        await asyncio.sleep(0)


def test_what_is_being_written_down_is_not_delivered_again_when_the_clock_leaps() -> None:
    async def work() -> None:
        house = LentHouse(Way())
        gate = house.spool.gates["settle"] = asyncio.Event()
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        await until(lambda: "settle" in house.spool.calls)
        house.advance(1000)
        await turns()
        gate.set()
        assert (await house.settled(message)).state is RecipientState.DELIVERED
        assert len(house.way.came) == 1
        await house.runner.stop()

    run(work())


def test_nothing_is_leased_while_a_lease_that_ran_out_cannot_be_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "_BACK_OFF", 0.001)

    async def work() -> None:
        house = LentHouse(Way())
        house.way.gate = asyncio.Event()
        house.spool.ill = {"renew"}
        house.runner.start()
        first = await keep(house.spool, "bob@example.com")
        await until(lambda: house.way.came)
        leased = house.spool.calls.count("lease")
        house.advance(1000)
        await until(lambda: house.spool.calls.count("renew") > 3)
        assert house.spool.calls.count("lease") == leased
        house.spool.ill = set()
        house.way.gate.set()
        assert (await house.settled(first)).state is RecipientState.DELIVERED
        assert len(house.way.came) == 1
        await house.runner.stop()

    run(work())


def test_other_recipients_of_a_message_need_not_wait_for_those_under_way() -> None:
    async def work() -> None:
        house = LentHouse(Way())
        house.way.gate = asyncio.Event()
        message = await keep(house.spool, "a@example.com", "b@example.com")
        await house.spool.hold(message, "for a while", [1])
        house.runner.start()
        await until(lambda: house.way.came)
        await house.spool.release(MessageQuery(), house.clock.now)
        house.runner.wake()
        await until(lambda: house.runner.under_way == 2)
        house.way.gate.set()
        assert (await house.settled(message, number=1)).state is RecipientState.DELIVERED
        assert (await house.recipient(message, 0)).state is RecipientState.DELIVERED
        assert [[one.number for one in came.message.recipients] for came in house.way.came] == [[0], [1]]
        await house.runner.stop()

    run(work())


def test_a_clock_that_goes_back_and_forth_lends_nothing_twice() -> None:
    async def work() -> None:
        house = LentHouse(Way())
        house.way.gate = asyncio.Event()
        house.runner.start()
        await until(lambda: "lease" in house.spool.calls)
        house.clock.now -= 90  # less than a lease, so that it need not be noticed
        message = await keep(house.spool, "bob@example.com")
        await until(lambda: house.way.came)
        house.advance(101)
        await turns()
        house.way.gate.set()
        one = await house.settled(message)
        assert (one.state, one.attempts, len(house.way.came)) == (RecipientState.DELIVERED, 1, 1)
        await house.runner.stop()

    run(work())


def test_what_was_delivered_is_recorded_however_long_the_disk_is_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "_RECORD_AGAIN", 0.001)

    async def work() -> None:
        house = LentHouse(Way())
        house.spool.ill = {"settle"}
        house.runner.start()
        message = await keep(house.spool, "bob@example.com")
        await until(lambda: house.spool.calls.count("settle") > 10)
        house.advance(1000)  # its lease is renewed
        await until(lambda: "renew" in house.spool.calls)
        await turns()
        house.spool.ill = set()
        assert (await house.settled(message)).state is RecipientState.DELIVERED
        assert len(house.way.came) == 1
        await house.runner.stop()

    run(work())


def test_a_stop_does_not_wait_for_a_disk_that_stays_ill(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        house = LentHouse(Way())
        house.spool.ill = {"settle"}
        house.runner.start()
        await keep(house.spool, "bob@example.com")
        await until(lambda: house.spool.calls.count("settle") >= 2)
        await asyncio.wait_for(house.runner.stop(1000), 5)  # far less than it would be tried again for

    run(work())
    assert "delivery not recorded" in caplog.text


def test_the_operator_does_not_bounce_what_is_being_delivered_although_its_lease_ran_out() -> None:
    async def work() -> None:
        house = LentHouse(Way())
        house.way.gate = asyncio.Event()
        house.runner.start()
        message = await keep(house.spool, "bob@example.com", "carol@example.org")  # which has no route and is held
        await until(lambda: house.way.came)
        house.clock.now += 1000
        assert await house.runner.give_up(message, None, "enough") == 1
        house.way.gate.set()
        one = await house.settled(message)
        assert (one.state, one.attempts) == (RecipientState.DELIVERED, 1)
        assert (await house.recipient(message, 1)).state is RecipientState.FAILED
        await house.runner.stop()

    run(work())


def test_a_bounce_that_came_too_late_is_not_counted() -> None:
    async def work() -> None:
        house = LentHouse(Way())
        gate = house.spool.gates["settle"] = asyncio.Event()
        message = await keep(house.spool, "bob@example.com")
        asked = asyncio.create_task(house.runner.give_up(message, None, "enough"))
        await until(lambda: "settle" in house.spool.calls)
        await house.spool.remove([message])
        gate.set()
        assert await asked == 0

    run(work())


def test_what_waits_for_a_site_goes_on_although_the_clock_went_back_into_the_time_of_its_rest() -> None:
    def away(consignment: Consignment) -> Report:
        return Report(same_for_all(consignment, Fate.NOT_NOW, "nobody there"), health=Health.AWAY)

    async def work() -> None:
        house = LentHouse(Way(away))
        house.runner.start()
        first = await keep(house.spool, "a@example.com")
        for attempts, seconds in ((1, 10), (2, 20), (3, 70)):  # three failures: it is left alone for about a minute
            await house.settled(first, attempts)
            house.advance(seconds)
        house.way.gate = asyncio.Event()
        second = await keep(house.spool, "b@example.com")
        third = await keep(house.spool, "c@example.com")
        await until(lambda: house.way.at_once == 1 and house.runner.under_way > 1)
        house.clock.now -= 40
        house.way.gate.set()
        await until(lambda: house.runner.under_way == 0)  # what waits goes back, to be leased when its time comes
        house.way.says = [Fate.DELIVERED]
        house.advance(200)
        for message in (first, second, third):
            await house.delivered(message)
        await house.runner.stop()

    run(work())


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_what_was_claimed_and_is_durable_after_the_stop_is_given_back(kind: str, tmp_path: Path) -> None:
    async def work() -> None:
        clock = HandClock()
        real = MemorySpool(clock=clock) if kind == "memory" else await SqliteSpool.open(tmp_path / "s", clock=clock)
        house = House(Way(), spool=real, lease=100)
        house.runner.start()
        await until(lambda: not house.runner._look)
        kept = asyncio.create_task(keep(house.spool, "bob@example.com"))
        await asyncio.sleep(0)
        assert len(house.runner._claims) == 1
        await house.runner.stop()
        message = await kept
        assert house.way.came == []
        batches = await house.spool.lease(house.clock.now, 10, 1)
        assert [batch.message.id for batch in batches] == [message]
        await house.spool.close()

    run(work())


class LostFinder:
    """Fails in a way that nobody foresaw."""

    async def site_of(self, destination: str) -> Any:
        raise RuntimeError("no idea")


class NoWay(LentHouse):
    """Goes by MX records that cannot be asked for."""

    def _more(self) -> dict[str, Any]:
        return {"finder": LostFinder()}


def test_mail_whose_site_cannot_be_found_goes_back_also_when_we_are_stopping() -> None:
    async def work() -> None:
        house = NoWay(Way(), routes=Routes({}, Mx()))
        gate = house.spool.gates["settle"] = asyncio.Event()
        house.runner.start()
        await keep(house.spool, "bob@example.com")
        await until(lambda: "settle" in house.spool.calls)  # it is being given back
        stopped = asyncio.create_task(house.runner.stop())
        await turns()
        gate.set()
        await stopped
        assert len(await house.spool.lease(house.clock.now + 60, 10, 1)) == 1
        assert house.runner.under_way == 0

    run(work())


def test_a_runner_that_was_stopped_leaves_alone_what_its_successor_claimed() -> None:
    async def work() -> None:
        house = LentHouse(Way())
        house.runner.start()
        await house.runner.stop()
        next_one = House(Way(), spool=house.spool)
        next_one.runner.start()
        await until(lambda: not next_one.runner._look)
        gate = next_one.way.gate = asyncio.Event()
        message = await keep(house.spool, "bob@example.com")
        await until(lambda: next_one.way.came)
        await turns()
        assert "settle" not in house.spool.calls
        gate.set()
        assert (await next_one.settled(message)).state is RecipientState.DELIVERED
        await next_one.runner.stop()

    run(work())


def test_what_could_not_be_recorded_before_a_stop_is_called_uncertain_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def ill(*args: Any) -> bool:
        raise SpoolError("the disk is ill")

    async def work() -> None:
        clock = HandClock()
        spool = await SqliteSpool.open(tmp_path / "s", clock=clock)
        house = House(Way(), spool=spool)
        house.runner._leases._again = (0.0,)
        monkeypatch.setattr(spool, "settle", ill)
        house.runner.start()
        message = await keep(spool, "bob@example.com")
        await until(lambda: house.way.came)
        await house.runner.stop()
        await spool.close()
        spool = await SqliteSpool.open(tmp_path / "s", clock=clock)
        (attempt,) = await spool.attempts(message)
        assert [one.uncertain for one in attempt.results] == [True]
        await spool.close()

    run(work())
