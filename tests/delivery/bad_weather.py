"""Bad weather for a runner: a loop whose time runs only when nothing else does, a clock that leaps, a spool that stumbles,
hosts that do as a die says and remember what they took."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from postroad.delivery.mx import Exchange, Site, Unroutable
from postroad.delivery.transport import Consignment, Fate, Handed, Health, Report
from postroad.envelope import Attempt, Draft, MessageId, NewRecipient, StoredMessage
from postroad.errors import SpoolError, StorageFull
from postroad.smtp import undeliverable
from tests.delivery.fixtures import START

REPORT = b"Received: as a report\r\n"
Key = tuple[MessageId, int]


class _Selector(selectors.DefaultSelector):
    """Sleeps no longer than a thread needs to answer."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0
        self.abroad = 0
        """Questions to threads that are not answered yet."""

    def select(self, timeout: float | None = None) -> Any:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self.abroad or timeout is None:
            return super().select(0.01)
        self.skipped += timeout
        return super().select(0)


class QuickLoop(asyncio.SelectorEventLoop):
    """Its time stands still while there is something to do, and skips what would only be waited for."""

    def __init__(self) -> None:
        self.quick = _Selector()
        super().__init__(self.quick)

    def time(self) -> float:
        return self.quick.skipped


class LeapingClock:
    """Goes with the loop; its wall clock is set now and then."""

    def __init__(self, loop: QuickLoop) -> None:
        self._loop = loop
        self.ahead = START

    def wall(self) -> float:
        return self._loop.time() + self.ahead

    def monotonic(self) -> float:
        return self._loop.time()


class Stumbling:
    """A spool whose calls fail with a chance, before they did anything or after they did it."""

    _FAULTY = frozenset(
        "lease take renew settle next_due postpone resume hold release messages summary retry message".split()
    )

    def __init__(self, spool: Any, die: random.Random, quick: _Selector) -> None:
        self.real = spool
        self.chance = 0.0
        self._die = die
        self._quick = quick

    def __getattr__(self, name: str) -> Any:
        call = getattr(self.real, name)
        return self._stumbling(name, call) if name in self._FAULTY else call

    def _stumbling(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def stumble(*arguments: Any, **more: Any) -> Any:
            before, after = (self._die.random() < self.chance for _ in range(2))
            if before:
                for _, writer in arguments[2] if name == "settle" and len(arguments) > 2 else ():
                    writer.discard()
                raise self._fault(name)
            answer = await self.calm(call(*arguments, **more))
            if after:
                raise SpoolError(f"the disk kept it and said no ({name})")
            return answer

        return stumble

    def _fault(self, name: str) -> SpoolError:
        return self._die.choice((SpoolError, StorageFull))(f"the disk is ill ({name})")

    async def calm(self, work: Awaitable[Any]) -> Any:
        """Without a fault, while time stands still."""
        self._quick.abroad += 1
        try:
            return await work
        finally:
            self._quick.abroad -= 1

    def open_report(self) -> Any:
        if self._die.random() < self.chance:
            raise StorageFull("no room for a report")
        return self.real.open_report()

    async def read(self, message_id: MessageId) -> AsyncIterator[bytes]:
        if self._die.random() < self.chance:
            raise SpoolError("the disk is ill (read)")
        self._quick.abroad += 1
        try:
            blocks = [block async for block in self.real.read(message_id)]
        finally:
            self._quick.abroad -= 1
        for block in blocks:
            yield block

    def accept(self, draft: Draft, writer: Any, done: Callable[[Any], None]) -> None:
        self._quick.abroad += 1

        def told(error: SpoolError | None) -> None:
            self._quick.abroad -= 1
            done(error)

        try:
            self.real.accept(draft, writer, told)
        except BaseException:
            self._quick.abroad -= 1
            raise


class Hosts:
    """Name server and transport in one; every destination of a site goes to the same host."""

    def __init__(self, die: random.Random, sites: int) -> None:
        self.die = die
        self.sites = sites
        self.fair = False
        self.dead: set[str] = set()
        self.taken: Counter[Key] = Counter()
        """What was taken and answered with 250."""
        self.cut: Counter[Key] = Counter()
        """What was taken and not answered."""
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._aborted = ""

    async def site_of(self, destination: str) -> Site:
        await asyncio.sleep(self.die.choice((0, 0, 1)))
        if not self.fair and self.die.random() < 0.1:
            raise Unroutable(undeliverable.DNS_FAILED, "the name server is away")
        key = f"s{int(destination[1]) % self.sites}"
        return Site(key, (Exchange(f"mx.{key}", 25, ("192.0.2.1",)),))

    async def deliver(self, consignment: Consignment) -> Report:
        key = consignment.lane
        self.now[key] += 1
        self.most[key] = max(self.most[key], self.now[key])
        try:
            return await self._deliver(consignment)
        finally:
            self.now[key] -= 1

    async def _deliver(self, consignment: Consignment) -> Report:
        die = self.die
        await asyncio.sleep(die.choice((0, 0, 0.1, 2, 12, 40)))
        health = Health.FINE if self.fair else die.choice((*Health, Health.FINE))
        if consignment.lane in self.dead and not self.fair:
            health = Health.AWAY
        if not self.fair and die.random() < 0.05:
            raise ValueError("boom")
        if self._aborted:
            return Report(
                tuple(Handed(one.number, Fate.NOT_NOW, note="aborted") for one in consignment.message.recipients)
            )
        async for _ in consignment.read():
            pass
        reached = health in (Health.FINE, Health.OVERLOADED)
        handed = tuple(self._hand(consignment.message, one.number, reached) for one in consignment.message.recipients)
        return Report(handed, "host", health=health)

    def _hand(self, message: StoredMessage, number: int, reached: bool) -> Handed:
        if not reached:
            return Handed(number, Fate.NOT_NOW, note="not reached")
        dice = 0.0 if self.fair else self.die.random()
        if dice < 0.5:
            self.taken[message.id, number] += 1
            return Handed(number, Fate.DELIVERED, note="taken")
        if dice < 0.6:
            self.cut[message.id, number] += 1
            return Handed(number, Fate.NOT_NOW, note="cut after the dot", uncertain=True)
        return Handed(number, Fate.NOT_NOW if dice < 0.9 else Fate.NEVER, note="refused")

    def wind_down(self, why: str) -> None:
        """Nothing is on its way here."""

    def abort(self, why: str) -> None:
        self._aborted = why

    async def close(self) -> None:
        self._aborted = ""


class Writer:
    """One report for each attempt that has something to tell, to senders that have a name."""

    def __init__(self, clock: LeapingClock) -> None:
        self._clock = clock

    async def reports(
        self,
        message: StoredMessage,
        attempt: Attempt,
        read: Callable[[], AsyncIterator[bytes]],
        new_id: Callable[[], MessageId],
    ) -> list[tuple[Draft, bytes]]:
        if not message.reverse_path:
            return []
        content = b"".join([block async for block in read()])
        to = NewRecipient(message.reverse_path, message.reverse_path.rpartition("@")[2])
        return [(Draft(new_id(), "", (to,), self._clock.wall(), REPORT), b"Subject: report\r\n\r\n" + content)]
