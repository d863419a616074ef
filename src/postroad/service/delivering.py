"""The delivery half joined: runner, transports, name servers, reports, and what they make of settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from postroad.clock import Clock, SystemClock
from postroad.delivery.dialling import Dialling
from postroad.delivery.idle import Keep
from postroad.delivery.lane import RunnerLimits
from postroad.delivery.maildir_transport import MaildirTransport
from postroad.delivery.mx import MxRouting
from postroad.delivery.next_hops import Conditions, NextHops
from postroad.delivery.notify import Notifier
from postroad.delivery.routing import Maildir, Mx, Route, Routes, Smtp
from postroad.delivery.rules import Rule, Rules
from postroad.delivery.runner import Runner
from postroad.delivery.schedule import Schedule, term_of
from postroad.delivery.smtp_transport import SmtpTransport
from postroad.delivery.state import SiteState
from postroad.delivery.transport import Transport
from postroad.envelope import Recipient, StoredMessage
from postroad.net.descriptors import open_at_most
from postroad.net.own_addresses import answers_on
from postroad.net.resolver import Resolver
from postroad.net.smtp_client import ClientOptions
from postroad.net.tls import client_context
from postroad.service import outgoing
from postroad.settings import Outbound, Settings, Terms
from postroad.smtp.host_memory import HostMemory, Remembered
from postroad.spool.interface import Spool

_MINUTE: Final = 60.0
#: Connections that wait for the next message to their site, in all: fewer than there are busy sites, and hardly any is
#: still there when its site's turn comes again. At most this part of the descriptors that there are.
_IDLE: Final = 1000
_IDLE_PART: Final = 5


def schedule(settings: Settings, terms: Terms | None = None) -> Schedule:
    """When deferred recipients are tried again; ``terms``: of one domain."""
    retry = settings.retry
    steps = terms.schedule if terms is not None and terms.schedule is not None else retry.schedule
    expire = terms.expire if terms is not None and terms.expire is not None else retry.expire
    return Schedule(steps=steps, expire=expire, delay_notice=retry.delay_notice)


def rules(settings: Settings) -> Rules:
    """The schedule of all mail, and what is different for single domains."""
    named = [(one.name, one.terms) for one in settings.domains]
    named += [(one.name, one.terms) for one in settings.destinations]
    different = {name: _rule(settings, terms) for name, terms in named if terms != Terms(tls=terms.tls)}
    return Rules(schedule(settings), different)


def _rule(settings: Settings, terms: Terms) -> Rule:
    timed = terms.schedule is not None or terms.expire is not None
    return Rule(
        schedule=schedule(settings, terms) if timed else None,
        per_site=terms.connections or 0,
        rate=(terms.rate or 0) / _MINUTE,
    )


@dataclass(slots=True)
class Delivery:
    """What delivers, and what it is asked."""

    rules: Rules
    runner: Runner = field(init=False)
    memory: HostMemory = field(default_factory=HostMemory)
    clock: Clock = field(default_factory=SystemClock)
    port: int = 25
    """Of the hosts that MX records name."""

    def reload(self, settings: Settings, routes: Routes) -> None:
        """Other routes and rules from now on."""
        self.rules = rules(settings)
        self.runner.reload(routes, self.rules.schedule, self.rules.by_destination)

    def gives_up_at(self, message: StoredMessage, recipient: Recipient) -> float | None:
        """When trying ends for a recipient, seconds since the epoch."""
        return term_of(message, self.rules.schedule_of(recipient.destination)).end

    def rests_until(self, destination: str) -> float | None:
        """Until when a destination's hosts are left alone, since they did not answer; None: they are not."""
        site = self.runner.site(destination)
        return site.back_off_until if site is not None else None

    # --- what pages show of a destination

    def resting(self) -> Mapping[str, float]:
        """Destination -> until when its hosts are left alone (seconds since the epoch)."""
        return self.runner.resting()

    def site(self, destination: str) -> SiteState | None:
        """What goes on with the hosts of a destination; None: nothing is known."""
        return self.runner.site(destination)

    def route(self, destination: str) -> Route:
        """Which way its mail goes."""
        return self.runner.routes.of(destination)

    def rule(self, destination: str) -> Rule:
        """What is different for it: schedule, concurrency, rate."""
        return self.rules.of(destination)

    def host(self, host: str) -> Remembered:
        """What is remembered of a host (as the journal names it)."""
        return self.memory.known(host, self.clock.monotonic())

    async def resume(self, destination: str) -> None:
        """End the time for which its hosts are left alone."""
        await self.runner.probe(destination)


def make_runner(
    settings: Settings,
    spool: Spool,
    clock: Clock,
    conditions: Conditions,
    routes: Callable[[], Routes],
    listening: Callable[[], frozenset[tuple[str, int]]],
) -> Delivery:
    """The runner of a service; ``listening``: where we answer ourselves, so that no mail runs in a circle."""
    outbound = settings.outbound
    delivery = Delivery(rules(settings), clock=clock, port=outbound.port)
    hops = NextHops(conditions, lambda: outgoing.ways(settings, routes()))
    smtp = _smtp(settings, clock, hops, delivery.memory)
    transports: dict[type[Route], Transport] = {
        Smtp: smtp,
        Mx: smtp,
        Maildir: MaildirTransport(settings.hostname, clock),
    }
    delivery.runner = Runner(
        spool,
        routes(),
        transports,
        clock,
        schedule=delivery.rules.schedule,
        rules=delivery.rules.by_destination,
        limits=_limits(outbound),
        finder=_finder(settings, clock, listening),
        reports=Notifier(
            settings.hostname,
            clock,
            languages=settings.reports.language,
            postmaster=settings.reports.postmaster,
            double_bounce=settings.reports.double_bounces,
            retry_until=delivery.gives_up_at,
        ),
    )
    return delivery


def _limits(outbound: Outbound) -> RunnerLimits:
    return RunnerLimits(
        workers=outbound.connections, per_site=outbound.connections_per_site, rate=outbound.rate / _MINUTE
    )


def _smtp(settings: Settings, clock: Clock, hops: NextHops, memory: HostMemory) -> SmtpTransport:
    options = ClientOptions(
        hello=settings.hostname, context=client_context(verify=False), verifying=client_context(verify=True)
    )
    keep = Keep(total=min(_IDLE, open_at_most() // _IDLE_PART))
    return SmtpTransport(options, keep, hops.heard, clock=clock, memory=memory, sources=settings.outbound.source)


def _finder(settings: Settings, clock: Clock, listening: Callable[[], frozenset[tuple[str, int]]]) -> MxRouting:
    outbound = settings.outbound
    families = ((6, outbound.ipv6), (4, outbound.ipv4))
    return MxRouting(
        Resolver(outbound.resolver, clock),
        settings.hostname,
        lambda address: answers_on(address, outbound.port, listening()),
        Dialling(map(str, outbound.allow_networks)),
        port=outbound.port,
        families=tuple(family for family, wanted in families if wanted),
    )
