"""The runner in bad weather: hosts, name server, disk and operator do as a die says; nobody is lost and nobody doubled."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import Any

import pytest

from postroad.delivery.backoff import Patience
from postroad.delivery.lane import RunnerLimits
from postroad.delivery.mx import Exchange, Site, Unroutable
from postroad.delivery.routing import Hold, Mx, Routes
from postroad.delivery.runner import Runner
from postroad.delivery.schedule import Schedule
from postroad.delivery.transport import Consignment, Fate, Handed, Health, Report
from postroad.envelope import MessageId, RecipientState
from postroad.errors import SpoolError
from postroad.smtp import undeliverable
from postroad.spool.interface import MessageQuery
from postroad.spool.memory import MemorySpool
from tests.delivery.fixtures import HandClock, keep
from tests.delivery.test_runner import run
from tests.delivery.test_settling import Writer

DESTINATIONS = [f"d{number}.example" for number in range(8)]
SITES = 5
LIMITS = RunnerLimits(workers=6, trials=4, per_site=3, leases=40, lease=1e6, per_lease=10)
SCHEDULE = Schedule(steps=(60, 300), expire=20_000, delay_notice=3000)


class Weather:
    """Name server and transport in one."""

    def __init__(self, die: random.Random) -> None:
        self.die = die
        self.clears = False
        self.taken: Counter[tuple[MessageId, int]] = Counter()
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()

    async def site_of(self, destination: str) -> Site:
        if self.die.random() < 0.3:
            await asyncio.sleep(0)
        if not self.clears and self.die.random() < 0.1:
            raise Unroutable(undeliverable.DNS_FAILED, "the name server is away")
        key = f"s{DESTINATIONS.index(destination) % SITES}"
        return Site(key, (Exchange(f"mx.{key}", 25, ("192.0.2.1",)),))

    async def deliver(self, consignment: Consignment) -> Report:
        key = consignment.lane
        self.now[key] += 1
        self.most[key] = max(self.most[key], self.now[key])
        try:
            for _ in range(self.die.randrange(4)):
                await asyncio.sleep(0)
        finally:
            self.now[key] -= 1
        health = self.die.choice(list(Health)) if not self.clears else Health.FINE
        if not self.clears and self.die.random() < 0.05:
            raise self.die.choice([ValueError("boom"), SpoolError("the disk is ill")])
        reached = health in (Health.FINE, Health.OVERLOADED)
        return Report(tuple(self._hand(consignment, one.number, reached) for one in consignment.message.recipients),
                      "host", health=health)  # fmt: skip

    def _hand(self, consignment: Consignment, number: int, reached: bool) -> Handed:
        fate = self.die.choice((Fate.DELIVERED, Fate.DELIVERED, Fate.NOT_NOW, Fate.NEVER)) if reached else Fate.NOT_NOW
        if self.clears:
            fate = Fate.DELIVERED
        if fate is Fate.DELIVERED:
            self.taken[(consignment.message.id, number)] += 1
        return Handed(number, fate, note=fate.value)

    def abort(self, why: str) -> None:
        pass

    async def close(self) -> None:
        pass


async def settle_down(runner: Runner, spool: Any, clock: HandClock) -> None:
    """Until nothing is under way and nothing is due."""
    calm = 0
    for _ in range(20_000):
        due = await spool.next_due()
        calm = calm + 1 if runner.under_way == 0 and (due is None or due > clock.now) else 0
        if calm > 5:
            return
        await asyncio.sleep(0.0005)
    raise AssertionError("it does not settle down")


async def meddle(die: random.Random, spool: Any, runner: Runner, messages: list[MessageId]) -> None:
    """An operator who cannot leave it alone."""
    match die.randrange(8):
        case 0:
            await runner.probe()
        case 1:
            await spool.retry(MessageQuery(destination=die.choice(DESTINATIONS)), 0.0)
        case 2:
            held: dict[str, Any] = {die.choice(DESTINATIONS): Hold()} if die.random() < 0.5 else {}
            runner.reload(Routes(held, Mx()))
        case 3:
            await spool.release(MessageQuery(), 0.0)
        case 4:
            alive = await spool.messages(MessageQuery(limit=1000))
            if alive:
                await spool.hold(die.choice(alive).id, "the operator wants to look")
        case 5:
            alive = await spool.messages(MessageQuery(limit=1000))
            if alive:
                await runner.give_up(die.choice(alive).id, None, "enough")


@pytest.mark.parametrize("seed", range(20))
def test_nobody_is_lost_and_nobody_doubled(seed: int) -> None:
    die = random.Random(seed)

    async def work() -> None:
        clock = HandClock()
        spool: Any = MemorySpool(clock=clock, keep_delivered=True)
        weather, writer = Weather(die), Writer()
        runner = Runner(
            spool,
            Routes({}, Mx()),
            {Mx: weather},
            clock,
            schedule=SCHEDULE,
            limits=LIMITS,
            patience=Patience(failures=2, first=100, longest=1000),
            finder=weather,
            reports=writer if seed % 2 else None,
        )
        runner.start()
        messages: list[MessageId] = []
        for _ in range(60):
            people = [f"n{number}@{die.choice(DESTINATIONS)}" for number in range(die.randrange(1, 5))]
            messages.append(await keep(spool, *people, sender="s@d0.example"))
            if die.random() < 0.3:
                clock.now += die.choice((1.0, 30.0, 90.0, 700.0))
                runner.wake()
                await settle_down(runner, spool, clock)
                await meddle(die, spool, runner, messages)
        weather.clears = True
        runner.reload(Routes({}, Mx()))
        await spool.release(MessageQuery(), clock.now)
        for _ in range(40):
            clock.now += 1000.0
            runner.wake()
            await settle_down(runner, spool, clock)
            if not await spool.messages(MessageQuery(state=RecipientState.QUEUED)):
                break
        found = [one for message in messages for one in (await spool.message(message)).recipients]
        assert {one.state for one in found} <= {RecipientState.DELIVERED, RecipientState.FAILED}
        assert set(weather.taken.values()) <= {1}
        delivered = sum(one.state is RecipientState.DELIVERED for one in found)
        reports = len(await spool.messages(MessageQuery(limit=10_000))) - len(messages)
        assert sum(1 for message, _ in weather.taken if message in messages) == delivered
        assert reports == (len(writer.asked) if seed % 2 else 0)
        assert max(weather.most.values()) <= LIMITS.per_site
        assert runner.under_way == 0
        await runner.stop(1)
        await spool.close()

    run(work())
