"""A house with destinations of every kind: well, deferring, refusing, left alone, quiet, and of names that deceive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from postroad.admin.destinations import DestinationDesk
from postroad.admin.heard import HeardDesk
from postroad.delivery.routing import Mx, Route
from postroad.delivery.rules import Rule
from postroad.delivery.state import SiteState
from postroad.envelope import Outcome
from postroad.smtp.host_memory import Remembered
from tests.web.queue_house import GREYLISTED, HOUR, TAKEN, UNKNOWN, QueueHouse

#: A destination as a peer may call it.
HOSTILE = "<img src=x onerror=alert(1)>\u202e.example"


@dataclass
class Delivery:
    """What delivery would tell."""

    routes: dict[str, Route] = field(default_factory=dict)
    rests: dict[str, float] = field(default_factory=dict)
    rules: dict[str, Rule] = field(default_factory=dict)
    sites: dict[str, SiteState] = field(default_factory=dict)
    hosts: dict[str, Remembered] = field(default_factory=dict)
    resumed: list[str] = field(default_factory=list)
    port: int = 25

    def resting(self) -> Mapping[str, float]:
        return self.rests

    def site(self, destination: str) -> SiteState | None:
        return self.sites.get(destination)

    def route(self, destination: str) -> Route:
        return self.routes.get(destination, Mx())

    def rule(self, destination: str) -> Rule:
        return self.rules.get(destination, Rule())

    def host(self, host: str) -> Remembered:
        return self.hosts.get(host, Remembered())

    async def resume(self, destination: str) -> None:
        self.resumed.append(destination)


class DestinationHouse(QueueHouse):
    """Made inside the loop that uses it."""

    def __init__(self, spool: Any = None, **options: Any) -> None:
        super().__init__(spool, **options)
        self.delivery = Delivery()
        self.admin.destinations = DestinationDesk(
            self.admin.queue, HeardDesk(self.spool), self.admin.traffic, self.delivery
        )

    async def fill(self) -> None:
        """Destinations of every kind."""
        for number in range(3):
            one = await self.put(f"kana{number}@slow.example", ago=(number + 2) * HOUR)
            await self.tried(one, host="mx1.slow.example [192.0.2.10]:25", transcript="C: EHLO relay.example")
        well = await self.put("ann@well.example", "bob@well.example")
        await self.tried(well, TAKEN, Outcome.DELIVERED, host="mx.well.example [192.0.2.20]:25")
        no = await self.put("nobody@no.example")
        await self.tried(no, UNKNOWN, Outcome.FAILED, host="mx.no.example [192.0.2.30]:25")
        away = await self.put("kana@away.example")
        await self.tried(away, None, host="", note="no host answered: mx.away.example timed out")
        held = await self.put("kana@held.example", hold="no route")
        assert held
        await self.put("kana@xn--wgv71a119e.example")
        await self.tried(await self.put(f"kana@{HOSTILE}"), GREYLISTED, host="mx.evil <script> [192.0.2.66]:25")
        self.delivery.rests["away.example"] = self.clock.now + 600
        self.delivery.sites["away.example"] = SiteState(
            "mx.away.example", ("away.example",), 0, 0, 1, False, 4, self.clock.now + 600, "no host answered"
        )
        self.delivery.hosts["mx1.slow.example [192.0.2.10]:25"] = Remembered(
            ("PIPELINING", "SIZE 52428800", "STARTTLS", "DSN"), {"RET": 1800.0}
        )
        self.delivery.rules["slow.example"] = Rule(per_site=2, rate=0.5)
