"""The runner and its sites: dead ones left alone, mail that sleeps, MX look-ups, who goes along, what is claimed."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from postroad.delivery.backoff import Patience
from postroad.delivery.lane import RunnerLimits
from postroad.delivery.mx import Exchange, Site, Unroutable
from postroad.delivery.routing import Mx, Routes
from postroad.delivery.rules import Rule
from postroad.delivery.runner import Runner
from postroad.delivery.schedule import Schedule
from postroad.delivery.transport import Consignment, Fate, Handed, Health, Report, same_for_all
from postroad.envelope import MessageId, Outcome, Recipient, RecipientState
from postroad.net.use_tls import UseTls
from postroad.smtp import undeliverable
from postroad.spool.interface import MessageQuery
from postroad.spool.memory import MemorySpool
from tests.delivery.fixtures import START, HandClock, keep, until
from tests.delivery.test_runner import SCHEDULE, Way, run

PATIENCE = Patience(failures=3, first=60, longest=3600, jitter=0)


class Finder:
    """Sites by destination; one that is not known has no way."""

    def __init__(self, **sites: str) -> None:
        self.sites = {name.replace("_", "."): key for name, key in sites.items()}
        self.asked: list[str] = []
        self.fault = Unroutable(undeliverable.NO_SUCH_DOMAIN, "there is no such domain")
        self.gate: asyncio.Event | None = None

    async def site_of(self, destination: str) -> Site:
        self.asked.append(destination)
        if self.gate is not None:
            await self.gate.wait()
        if destination not in self.sites:
            raise self.fault
        key = self.sites[destination]
        return Site(key, (Exchange(f"mx.{key}", 25, ("192.0.2.1",)),))


class Hosts:
    """A transport: which sites are dead, and who came to which."""

    def __init__(self, *dead: str) -> None:
        self.dead = set(dead)
        self.came: list[tuple[str, tuple[str, ...]]] = []
        self.gate: asyncio.Event | None = None
        self.under_way = 0

    async def deliver(self, consignment: Consignment) -> Report:
        key = consignment.lane
        self.came.append((key, tuple(one.forward_path for one in consignment.message.recipients)))
        self.under_way += 1
        try:
            if self.gate is not None:
                await self.gate.wait()
        finally:
            self.under_way -= 1
        if key in self.dead:
            note = f"no connection to {key}: no answer in time"
            return Report(same_for_all(consignment, Fate.NOT_NOW, note, stage="CONNECT"), health=Health.AWAY)
        return Report(same_for_all(consignment, Fate.DELIVERED, ""), "host", health=Health.FINE)

    def wind_down(self, why: str) -> None:
        """Nothing is on its way here."""

    def abort(self, why: str) -> None:
        if self.gate is not None:
            self.gate.set()

    async def close(self) -> None:
        pass

    def to(self, key: str) -> int:
        return sum(one == key for one, _ in self.came)


class House:
    """A spool, a clock, a runner that goes by MX."""

    def __init__(self, hosts: Any, finder: Finder | None = None, **more: Any) -> None:
        self.clock = HandClock()
        self.spool = more.pop("spool", None) or MemorySpool(clock=self.clock, keep_delivered=True)
        self.hosts = hosts
        self.finder = finder or Finder(a_example="a", b_example="b")
        self.routes = more.pop("routes", None) or Routes({}, Mx())
        limits = RunnerLimits(**{key: more.pop(key) for key in list(more) if key in RunnerLimits.__slots__})
        more.setdefault("schedule", SCHEDULE)
        self.runner = Runner(
            self.spool,
            self.routes,
            {Mx: hosts},
            self.clock,
            finder=self.finder,
            limits=limits,
            patience=PATIENCE,
            **more,
        )

    async def advance(self, seconds: float) -> None:
        self.clock.now += seconds
        self.runner.wake()
        await self.quiet()

    async def quiet(self) -> None:
        """Until nothing happens any more."""
        for _ in range(6):
            await until(lambda: self.runner.under_way == 0)
            await asyncio.sleep(0.002)

    async def one(self, message: MessageId, number: int = 0) -> Recipient:
        return (await self.spool.message(message)).recipients[number]

    async def __aenter__(self) -> House:
        self.runner.start()
        return self

    async def __aexit__(self, *fault: Any) -> None:
        await self.runner.stop(0.1)


# --- dead sites


def test_a_dead_site_is_left_alone_and_its_mail_keeps_its_own_schedule() -> None:
    async def work() -> None:
        async with House(Hosts("a")) as house:
            messages = [await keep(house.spool, f"n{number}@a.example") for number in range(10)]
            await house.quiet()
            assert house.hosts.to("a") == 3
            site = house.runner.site("a.example")
            assert site is not None
            assert (site.back_off_until, site.failures, site.answers) == (START + 60, 3, False)
            assert site.last_fault == "no connection to a: no answer in time"
            tried = [one for one in [await house.one(message) for message in messages] if one.attempts]
            assert [one.next_due for one in tried] == [START + 10] * 3
            assert sum([(await house.one(message)).attempts for message in messages]) == 3
            await house.advance(59)
            assert house.hosts.to("a") == 3
            await house.advance(1)
            assert house.hosts.to("a") == 4  # the probe
            site = house.runner.site("a.example")
            assert site is not None and site.back_off_until == START + 60 + 120
            assert sum([(await house.one(message)).attempts for message in messages]) == 4

    run(work())


def test_new_mail_for_a_dead_site_waits_with_the_other_and_all_goes_when_it_answers() -> None:
    async def work() -> None:
        async with House(Hosts("a")) as house:
            for number in range(5):
                await keep(house.spool, f"n{number}@a.example")
            await house.quiet()
            late = await keep(house.spool, "late@a.example")
            await house.quiet()
            assert (await house.one(late)).attempts == 0
            assert house.hosts.to("a") == 3
            house.hosts.dead.clear()
            await house.advance(60)
            for _ in range(50):
                if (await house.spool.stats()).recipients["delivered"] == 6:
                    break
                await house.advance(0)
            assert (await house.spool.stats()).recipients["delivered"] == 6
            assert (await house.one(late)).attempts == 1
            site = house.runner.site("a.example")
            assert site is not None and (site.back_off_until, site.last_fault) == (None, "")

    run(work())


def test_dead_sites_hold_nobody_up() -> None:
    async def work() -> None:
        names = {f"d{number}_example": f"d{number}" for number in range(40)}
        dead = [f"d{number}" for number in range(20)]
        hosts = Hosts(*dead)
        async with House(hosts, Finder(**names), workers=4, trials=5, leases=60) as house:
            for number in range(400):
                await keep(house.spool, f"x@d{number % 40}.example")
            for _ in range(100):
                await house.quiet()
                if (await house.spool.stats()).recipients["delivered"] == 200:
                    break
            assert (await house.spool.stats()).recipients["delivered"] == 200
            assert all(hosts.to(key) == 3 for key in dead)

    run(work())


def test_the_operator_may_have_a_dead_site_probed_at_once() -> None:
    async def work() -> None:
        async with House(Hosts("a")) as house:
            messages = [await keep(house.spool, f"n{number}@a.example") for number in range(4)]
            await house.quiet()
            house.hosts.dead.clear()
            await house.runner.probe()
            await house.advance(0)
            assert (await house.one(messages[3])).state is RecipientState.DELIVERED
            assert house.hosts.to("a") == 4

    run(work())


def test_mail_that_sleeps_is_given_up_and_told_late_in_time() -> None:
    async def work() -> None:
        schedule = Schedule(steps=(10,), expire=5000, delay_notice=1000, jitter=0)
        async with House(Hosts("a"), schedule=schedule) as house:
            messages = [await keep(house.spool, f"n{number}@a.example") for number in range(300)]
            await house.quiet()
            for _ in range(12):
                await house.advance(90)
            await house.advance(61)  # who was leased just then is looked at again
            assert all([(await house.one(message)).delay_told for message in messages])
            assert house.hosts.to("a") < 20
            for _ in range(45):
                await house.advance(90)
            states = {(one.state, one.expired) for one in [await house.one(message) for message in messages]}
            assert states == {(RecipientState.FAILED, True)}
            assert house.hosts.to("a") < 30

    run(work())


class PagedSpool(MemorySpool):
    """Remembers in which order it is read and leased from; asks for a lease at each page."""

    def __init__(self, **more: Any) -> None:
        super().__init__(keep_delivered=True, **more)
        self.calls: list[str] = []
        self.wake: Any = lambda: None

    async def messages(self, query: MessageQuery) -> Any:
        page = await super().messages(query)
        if len(page) > 1:
            self.calls.append("page")
            self.wake()
        return page

    async def lease(self, *args: Any, **more: Any) -> Any:
        self.calls.append("lease")
        return await super().lease(*args, **more)


def test_others_need_not_wait_until_all_that_is_over_its_time_was_settled() -> None:
    async def work() -> None:
        spool = PagedSpool()
        schedule = Schedule(steps=(10,), expire=500, delay_notice=None, jitter=0)
        async with House(Hosts("a"), schedule=schedule, spool=spool) as house:
            spool.wake = house.runner.wake
            messages = [await keep(spool, f"n{number}@a.example") for number in range(1000)]
            for _ in range(5):
                await house.advance(90)
            spool.calls.clear()
            house.clock.now += 90
            house.runner.wake()
            await until(lambda: spool.calls.count("page") >= 4)
            pages = [at for at, name in enumerate(spool.calls) if name == "page"]
            assert all("lease" in spool.calls[one:other] for one, other in pairwise(pages))
            for _ in range(20):  # who was leased just then is looked at again
                await house.advance(61)
            assert (await spool.stats()).recipients["failed"] == len(messages)

    run(work())


@pytest.mark.parametrize("mode", ["R", "N"])
def test_the_time_that_a_sender_set_is_minded_while_his_mail_sleeps(mode: str) -> None:
    async def work() -> None:
        async with House(Hosts("a")) as house:
            await keep(house.spool, "first@a.example")
            for _ in range(3):
                await house.advance(20)
            assert house.runner.state().sites[0].back_off_until is not None
            hurried = await keep(house.spool, "x@a.example", parameters=f"BY=100;{mode}")
            other = await keep(house.spool, "y@a.example")
            came = len(house.hosts.came)
            house.clock.now = START + 99
            house.runner.wake()
            await house.quiet()
            one = await house.one(hurried)
            assert (one.state, one.attempts, one.delay_told) == (RecipientState.QUEUED, 0, False)
            await house.advance(1)
            one = await house.one(hurried)
            assert (one.expired, one.delay_told) == (mode == "R", mode == "N")
            assert one.state is (RecipientState.FAILED if mode == "R" else RecipientState.QUEUED)
            assert (await house.one(other)).attempts == 0
            assert len(house.hosts.came) == came

    run(work())


def test_a_full_lane_does_not_fill_memory_nor_starve_others() -> None:
    async def work() -> None:
        hosts = Hosts()
        async with House(hosts, leases=40, per_lease=10) as house:
            hosts.gate = asyncio.Event()
            for number in range(500):
                await keep(house.spool, f"n{number}@a.example")
            last = await keep(house.spool, "last@b.example")
            await until(lambda: hosts.to("b") == 1)
            assert house.runner.under_way <= 40
            hosts.gate.set()
            for _ in range(100):
                await house.quiet()
                if (await house.spool.stats()).recipients["delivered"] == 501:
                    break
            assert (await house.spool.stats()).recipients["delivered"] == 501
            assert (await house.one(last)).attempts == 1
            assert len(hosts.came) == 501

    run(work())


# --- MX


def test_destinations_with_the_same_hosts_share_a_transaction() -> None:
    async def work() -> None:
        async with House(Hosts(), Finder(a_example="big", b_example="big", c_example="other")) as house:
            message = await keep(house.spool, "x@a.example", "y@b.example", "z@c.example", "w@a.example")
            await house.quiet()
            assert sorted(house.hosts.came) == [
                ("big", ("x@a.example", "y@b.example", "w@a.example")),
                ("other", ("z@c.example",)),
            ]
            states = [one.state for one in (await house.spool.message(message)).recipients]
            assert states == [RecipientState.DELIVERED] * 4
            assert len(await house.spool.attempts(message)) == 3

    run(work())


def test_a_destination_is_looked_up_once_for_many_messages() -> None:
    async def work() -> None:
        finder = Finder(a_example="a")
        finder.gate = asyncio.Event()
        async with House(Hosts(), finder) as house:
            for number in range(20):
                await keep(house.spool, f"n{number}@a.example")
            await until(lambda: finder.asked)
            finder.gate.set()
            await until(lambda: house.hosts.to("a") == 20)
            assert finder.asked == ["a.example"]
            await house.advance(31)
            await keep(house.spool, "more@a.example")
            await until(lambda: house.hosts.to("a") == 21)
            assert finder.asked == ["a.example"] * 2

    run(work())


def test_a_destination_without_a_way_fails_with_the_reason() -> None:
    async def work() -> None:
        async with House(Hosts()) as house:
            message = await keep(house.spool, "x@nowhere.example", "y@a.example")
            await house.quiet()
            one = await house.one(message)
            assert (one.state, one.reply) == (RecipientState.FAILED, undeliverable.NO_SUCH_DOMAIN)
            assert one.note == "there is no such domain"
            assert (await house.one(message, 1)).state is RecipientState.DELIVERED

    run(work())


def test_dns_that_fails_defers_and_is_asked_again() -> None:
    async def work() -> None:
        finder = Finder()
        finder.fault = Unroutable(undeliverable.DNS_FAILED, "the name server is away")
        async with House(Hosts(), finder) as house:
            message = await keep(house.spool, "x@a.example")
            await house.quiet()
            one = await house.one(message)
            assert (one.state, one.reply) == (RecipientState.QUEUED, undeliverable.DNS_FAILED)
            finder.sites["a.example"] = "a"
            await house.advance(10)
            assert (await house.one(message)).state is RecipientState.DELIVERED

    run(work())


def test_a_look_up_that_breaks_leaves_mail_in_the_queue(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        finder = Finder()
        finder.fault = ValueError("boom")  # type: ignore[assignment]
        async with House(Hosts(), finder) as house:
            message = await keep(house.spool, "x@a.example")
            await house.quiet()
            assert (await house.one(message)).attempts == 0
            finder.sites["a.example"] = "a"
            await house.advance(60)
            assert (await house.one(message)).state is RecipientState.DELIVERED

    run(work())
    assert "boom" in caplog.text


def test_a_dead_site_has_no_say_about_destinations_that_have_moved_away() -> None:
    async def work() -> None:
        finder = Finder(a_example="dead", b_example="dead")
        async with House(Hosts("dead"), finder) as house:

            def back_off_of(key: str) -> float:
                return next(one.back_off_until or 0.0 for one in house.runner.state().sites if one.key == key)

            await keep(house.spool, "x@a.example", "x@b.example")
            for _ in range(3):
                await house.advance(20)
            finder.sites["b.example"] = "b"
            await house.advance(61)  # it is left alone for longer
            await house.advance(121)
            assert house.hosts.to("b") == 1
            other = await keep(house.spool, "y@b.example", hold="wait")
            shut = back_off_of("dead")
            await house.advance(241)
            assert back_off_of("dead") > shut
            await house.spool.release(MessageQuery(), house.clock.now)
            await house.advance(1)
            assert (await house.one(other)).state is RecipientState.DELIVERED

    run(work())


def test_what_owes_another_security_has_another_lane() -> None:
    async def work() -> None:
        routes = Routes({"a.example": Mx(UseTls.VERIFIED), "b.example": Mx()})
        async with House(Hosts(), Finder(a_example="big", b_example="big"), routes=routes) as house:
            await keep(house.spool, "x@a.example", "y@b.example")
            await house.quiet()
            assert sorted(house.hosts.came) == [("big", ("y@b.example",)), ("big tls=verified", ("x@a.example",))]

    run(work())


# --- rules by destination


def test_a_destination_has_its_own_schedule_and_rate() -> None:
    async def work() -> None:
        schedule = Schedule(steps=(77,), expire=100, delay_notice=None, jitter=0)
        rules = {"a.example": Rule(schedule=schedule, rate=0.5)}
        async with House(Hosts("a", "b"), rules=rules) as house:
            mine = await keep(house.spool, "x@a.example")
            other = await keep(house.spool, "x@b.example")
            await house.quiet()
            assert (await house.one(mine)).next_due == START + 77
            assert (await house.one(other)).next_due == START + 10
            stored = await house.spool.message(mine)
            assert house.runner.retry_until(stored, stored.recipients[0]) == START + 100
            house.hosts.dead.clear()
            house.hosts.came.clear()
            for number in range(3):
                await keep(house.spool, f"n{number}@a.example")
            await until(lambda: house.hosts.to("a") == 0)
            await asyncio.sleep(0.005)
            assert house.hosts.to("a") == 0  # the first attempt took the token
            for seen in (1, 2, 3):
                house.clock.now += 2
                house.runner.wake()
                await until(lambda seen=seen: house.hosts.to("a") == seen)  # type: ignore[misc]
                await asyncio.sleep(0.005)
                assert house.hosts.to("a") == seen

    run(work())


# --- the fast way


class CountingSpool(MemorySpool):
    leases = 0

    async def lease(self, *args: Any, **more: Any) -> Any:
        found = await super().lease(*args, **more)
        self.leases += len(found)
        return found


def test_what_is_accepted_while_there_is_room_needs_no_lease() -> None:
    async def work() -> None:
        clock = HandClock()
        spool = CountingSpool(clock=clock, keep_delivered=True)
        async with House(Hosts(), spool=spool) as house:
            house.clock = house.runner._clock = clock  # type: ignore[assignment]
            await house.quiet()
            for number in range(50):
                await keep(spool, f"n{number}@a.example", f"n{number}@b.example")
            await house.quiet()
            assert (await spool.stats()).recipients["delivered"] == 100
            assert spool.leases == 0

    run(work())


def test_what_was_accepted_before_goes_first() -> None:
    async def work() -> None:
        clock = HandClock()
        spool = CountingSpool(clock=clock, keep_delivered=True)
        house = House(Hosts(), spool=spool)
        early = await keep(spool, "early@a.example")
        house.runner.start()
        late = await keep(spool, "late@a.example")
        await until(lambda: house.hosts.to("a") == 2)
        assert [paths for _, paths in house.hosts.came] == [("early@a.example",), ("late@a.example",)]
        await house.quiet()
        assert (await house.one(early)).attempts == (await house.one(late)).attempts == 1
        assert spool.leases == 2
        await house.runner.stop()

    run(work())


def test_a_claimed_message_that_cannot_be_stored_is_forgotten() -> None:
    async def work() -> None:
        clock = HandClock()
        spool = MemorySpool(clock=clock, budget=100)
        async with House(Hosts(), spool=spool) as house:
            await house.quiet()
            with pytest.raises(AssertionError):
                await keep(spool, "x@a.example", content=b"x" * 200)
            assert len(house.runner._claims) == 0
            assert house.runner.under_way == 0

    run(work())


# --- the operator's bounce and the state


def test_the_operator_gives_up_recipients() -> None:
    async def work() -> None:
        async with House(Hosts("a")) as house:
            message = await keep(house.spool, "x@a.example", "y@a.example", "z@a.example")
            await house.quiet()
            await house.spool.hold(message, "wait", [1])
            assert await house.runner.give_up(message, [0, 1], "the operator says so") == 2
            found = (await house.spool.message(message)).recipients
            assert [one.state for one in found] == [RecipientState.FAILED] * 2 + [RecipientState.QUEUED]
            assert {one.note for one in found[:2]} == {"the operator says so"}
            assert not found[0].expired
            assert await house.runner.give_up(message, None, "all") == 1
            last = (await house.spool.attempts(message))[-1]
            assert [result.outcome for result in last.results] == [Outcome.FAILED]

    run(work())


def test_the_state_names_sites_and_what_is_under_way() -> None:
    async def work() -> None:
        hosts = Hosts()
        async with House(hosts) as house:
            hosts.gate = asyncio.Event()
            await keep(house.spool, "x@a.example")
            await keep(house.spool, "y@a.example")
            await until(lambda: hosts.under_way == 1 and house.runner.under_way == 2)
            state = house.runner.state()
            (site,) = state.sites
            assert state.under_way == 2
            assert (site.key, site.running, site.waiting, site.at_once) == ("a", 1, 1, 1)
            assert site.destinations == ("a.example",)
            assert house.runner.site("b.example") is None

    run(work())


def test_results_of_others_are_not_mixed_up() -> None:
    """Two destinations go together and fare differently: each batch gets its own results."""

    class Mixed(Way):
        async def deliver(self, consignment: Consignment) -> Report:
            self.came.append(consignment)
            handed = tuple(
                Handed(one.number, Fate.DELIVERED if one.number % 2 else Fate.NEVER, note=one.forward_path)
                for one in consignment.message.recipients
            )
            return Report(handed, health=Health.FINE)

    async def work() -> None:
        async with House(Mixed(), Finder(a_example="big", b_example="big")) as house:
            message = await keep(house.spool, "0@a.example", "1@b.example", "2@b.example", "3@a.example")
            await house.quiet()
            assert len(house.hosts.came) == 1
            found = (await house.spool.message(message)).recipients
            assert [one.note for one in found] == [one.forward_path for one in found]
            assert [one.state.value for one in found] == ["failed", "delivered"] * 2

    run(work())


def test_stopping_gives_back_what_is_still_looked_up() -> None:
    async def work() -> None:
        finder = Finder(a_example="a")
        finder.gate = asyncio.Event()
        house = House(Hosts(), finder)
        message = await keep(house.spool, "x@a.example")
        house.runner.start()
        await until(lambda: finder.asked)
        await house.runner.stop(0.1)
        assert house.runner.under_way == 0
        assert len(await house.spool.lease(house.clock.now, 10, 1)) == 1
        assert (await house.spool.messages(MessageQuery()))[0].id == message

    run(work())


def test_old_mail_gets_one_more_chance_after_a_standstill() -> None:
    async def work() -> None:
        house = House(Hosts("b"))
        good = await keep(house.spool, "x@a.example")
        bad = await keep(house.spool, "x@b.example")
        house.clock.now += 10 * 86400.0
        house.runner.start()
        await until(lambda: len(house.hosts.came) == 2)
        await house.quiet()
        assert (await house.one(good)).state is RecipientState.DELIVERED
        one = await house.one(bad)
        assert (one.state, one.expired, one.attempts) == (RecipientState.FAILED, True, 1)
        await house.runner.stop()

    run(work())


class QuickSpool(MemorySpool):
    """Leases again what was settled before whoever settled it hears of that."""

    wake: Any = None

    async def settle(self, *args: Any, **more: Any) -> bool:
        done = await super().settle(*args, **more)
        self.wake()
        await asyncio.sleep(0.003)
        return done


def test_what_is_due_again_at_once_is_not_lost_to_its_own_past() -> None:
    async def work() -> None:
        spool = QuickSpool(clock=HandClock())
        hosts = Way(*[Fate.NOT_NOW] * 5, Fate.DELIVERED)
        async with House(hosts, spool=spool, schedule=Schedule(steps=(0.0,), jitter=0)) as house:
            spool.wake = house.runner.wake
            message = await keep(spool, "x@a.example")
            await until(lambda: len(hosts.came) == 6)
            await house.quiet()
            assert await spool.messages(MessageQuery(ids=(message,))) == []

    run(work())
