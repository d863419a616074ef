"""Looks at the own house when asked: one run at a time, bounded, kept for a while, told row by row as it goes on."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from postroad.admin.journal import JournalDesk
from postroad.admin.setup import domains, doors, leaving, machine, names
from postroad.admin.setup.checks import Check, Facts, Level, check
from postroad.clock import Clock
from postroad.net.dns_errors import DnsError, DnsTemporary
from postroad.net.own_addresses import outgoing
from postroad.net.resolver import Resolver, Timeouts
from postroad.observe.log import get_logger

log = get_logger("setup")

#: Seconds for which a report is shown before a page has it made again.
KEPT: Final = 600.0
#: Seconds for one row.
_ONE: Final = 30.0
_DNS: Final = Timeouts(attempt=1.5, total=5.0, rounds=2)
#: Domains that are looked at; a house with more has them looked at by the command line.
MAX_DOMAINS: Final = 50
_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True)
class Report:
    """What is known; while a run goes on, of this run only."""

    checks: tuple[Check, ...] = ()
    """In the order of the house."""
    began_at: float = 0.0
    """Seconds since the epoch; 0: nobody has looked yet."""
    ended_at: float = 0.0
    """0: it goes on."""
    of: int = 0
    """Rows that there will be."""
    targets: tuple[str, ...] = ()
    """Hosts that the operator wanted called."""

    @property
    def is_running(self) -> bool:
        """Whether rows are still to come."""
        return self.began_at > 0 and not self.ended_at

    @property
    def level(self) -> Level:
        """The gravest."""
        return max((one.level for one in self.checks), default=Level.SKIP)

    def count(self, level: Level) -> int:
        """Rows of a level."""
        return sum(one.level is level for one in self.checks)


class SetupDesk:
    """See the module."""

    def __init__(
        self,
        facts: Callable[[], Facts],
        journal: JournalDesk,
        clock: Clock,
        *,
        outgoing: Callable[[int], str] = outgoing,
        trust: Callable[[], ssl.SSLContext] = doors.system_trust,
        timeouts: Timeouts = _DNS,
    ) -> None:
        """``facts`` are asked anew for each run; ``outgoing`` and ``trust`` are what the machine knows."""
        self._facts = facts
        self._journal = journal
        self._clock = clock
        self._outgoing = outgoing
        self._trust = trust
        self._timeouts = timeouts
        self._report = Report()
        self._task: asyncio.Task[None] | None = None
        self._rows: dict[int, Check] = {}

    def report(self) -> Report:
        """What is known now."""
        return self._report

    def begin(self, targets: Sequence[str] = ()) -> None:
        """Look again, unless a run goes on; ``targets``: hosts to call on port 25."""
        if self._task is not None and not self._task.done():
            return
        self._rows = {}
        self._report = Report(began_at=self._clock.wall(), targets=tuple(targets))
        self._task = asyncio.get_running_loop().create_task(self._run(tuple(targets)))

    def refresh(self) -> None:
        """Look again when nobody did lately."""
        now = self._clock.wall()
        if not self._report.is_running and not 0 <= now - self._report.ended_at < KEPT:
            self.begin()  # without the hosts that were named once: nobody asks for them now

    async def wait(self, seconds: float) -> None:
        """Until the run has ended, at most so long."""
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=seconds)

    def close(self) -> None:
        """Give up what goes on."""
        if self._task is not None:
            self._task.cancel()

    # --- one run

    async def _run(self, targets: tuple[str, ...]) -> None:
        began = self._report.began_at
        facts = self._facts()
        # Its AD bit is shown, not trusted: nothing is decided by it.
        dns = Resolver(facts.resolver, self._clock, timeouts=self._timeouts, trust_ad=True)
        try:
            mine = await names.own(dns, facts, self._outgoing)
            rows = self._dev(dns, facts, mine) if facts.dev else self._served(dns, facts, mine, targets)
            self._tell(len(rows), began, targets)
            room = asyncio.Semaphore(_AT_ONCE)
            await asyncio.gather(
                *(
                    self._one(place, slug, subject, look, room, len(rows))
                    for place, (slug, subject, look) in enumerate(rows)
                )
            )
        except Exception:
            log.exception("the look at the own house failed")
        finally:
            await dns.close()
            self._tell(len(self._rows), began, targets, self._clock.wall())

    async def _one(self, place: int, slug: str, subject: str, look: _Look, room: asyncio.Semaphore, of: int) -> None:
        async with room:
            try:
                async with asyncio.timeout(_ONE):
                    found = await look()
            except TimeoutError:
                found = check(slug, Level.UNKNOWN, "too-long", subject)
            except Exception:
                log.exception("a check failed", check=slug, subject=subject)
                found = check(slug, Level.UNKNOWN, "broken", subject)
        self._rows[place] = found
        self._tell(of, self._report.began_at, self._report.targets)

    def _tell(self, of: int, began: float, targets: tuple[str, ...], ended: float = 0.0) -> None:
        self._report = Report(tuple(self._rows[one] for one in sorted(self._rows)), began, ended, of, targets)

    # --- the rows

    def _served(self, dns: Resolver, facts: Facts, mine: names.Own, targets: tuple[str, ...]) -> list[_Row]:
        now = self._clock.wall()
        rows: list[_Row] = [
            ("hostname", "", _told(names.look_at_name, facts, mine)),
            ("addresses", "", _told(names.look_at_addresses, facts, mine)),
        ]
        for address in mine.public:
            rows.append(("ptr", address, partial(names.look_at_ptr, dns, facts, address)))
        if not mine.public:
            rows.append(("ptr", "", _told(names.no_ptr, facts)))
        rows.append(("resolver", "", lambda: look_at_resolver(dns, facts)))
        for domain in _named(facts.domains):
            rows += _of_domain(dns, facts, mine, domain)
        rows.append(("certificate", "", lambda: doors.look_at_certificate(facts, now)))
        rows += self._doors(dns, facts)
        rows.append(("port25", "", lambda: leaving.look_at_leaving(dns, facts, self._journal, now, targets)))
        return [*rows, *_of_machine(facts, now)]

    def _dev(self, dns: Resolver, facts: Facts, mine: names.Own) -> list[_Row]:
        rows: list[_Row] = [("hostname", "", _told(names.look_at_name, facts, mine)), *self._doors(dns, facts)]
        return [*rows, *_of_machine(facts, self._clock.wall()), ("dev", "", _told(check, "dev", Level.SKIP, "dev"))]

    def _doors(self, dns: Resolver, facts: Facts) -> list[_Row]:
        rows: list[_Row] = [("listening", "", _told(doors.look_at_listening, facts))]
        for door in facts.doors:
            rows.append(("door", door.role, partial(doors.look_at_door, dns, facts, door, self._trust)))
        return rows


_Look = Callable[[], Awaitable[Check]]
_Row = tuple[str, str, _Look]


def _told(look: Callable[..., Check], *values: object) -> _Look:
    """What takes no time, and what blocks for a moment: both outside of the loop."""

    async def told() -> Check:
        return await asyncio.get_running_loop().run_in_executor(None, lambda: look(*values))

    return told


def _named(domains: Sequence[str]) -> list[str]:
    """Those that the DNS knows: no address literals."""
    return [one for one in domains if not one.startswith("[")][:MAX_DOMAINS]


def _of_domain(dns: Resolver, facts: Facts, mine: names.Own, domain: str) -> list[_Row]:
    return [
        ("mx", domain, lambda: domains.look_at_mx(dns, facts, mine, domain)),
        ("spf", domain, lambda: domains.look_at_spf(dns, facts, mine, domain)),
        ("dkim", domain, _told(domains.look_at_dkim, domain)),
        ("dmarc", domain, lambda: domains.look_at_dmarc(dns, domain)),
    ]


def _of_machine(facts: Facts, now: float) -> list[_Row]:
    return [
        ("disk", "", _told(machine.look_at_disk, facts)),
        ("clock", "", _told(machine.look_at_clock, facts, now)),
        ("secrets", "", _told(machine.look_at_secrets, facts)),
    ]


async def look_at_resolver(dns: Resolver, facts: Facts) -> Check:
    """Whether the DNS answers at all, and whether its answers were validated."""
    asked = [one for one in (facts.hostname, *_named(facts.domains)[:3]) if "." in one]
    evidence: list[tuple[str, str]] = [("dns-server", str(one)) for one in dns.servers]
    answered = secure = False
    for name in asked:
        try:
            secure |= (await dns.addresses(name, (4,))).secure
        except DnsTemporary as fault:
            evidence.append(("dns", str(fault)))
            continue
        except DnsError as fault:
            secure |= fault.secure
        answered = True
    if not asked:
        return check("resolver", Level.UNKNOWN, "resolver.unasked", evidence=evidence)
    if not answered:
        return check("resolver", Level.FAIL, "resolver.silent", evidence=evidence)
    if secure:
        return check("resolver", Level.OK, "resolver.validates", evidence=evidence)
    return check("resolver", Level.OK, "resolver.ok", evidence=evidence)
