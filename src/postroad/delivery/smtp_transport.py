"""To the next hop by SMTP or LMTP: host after host of a site, one negotiation with each, connections kept for a while.

A refusal before MAIL (greeting, EHLO, TLS, AUTH) is about the host, not about the recipient, so that it sends the mail
to the next host, and in the end defers it, whatever its code. A kept connection that turns out to be dead costs nobody
an attempt. What a host refused of parameters is remembered for a while.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import groupby
from typing import Any

from postroad.clock import Clock, SystemClock
from postroad.delivery.content import StoredContent
from postroad.delivery.errand import Errand, is_dead
from postroad.delivery.idle import IdleConnections, Keep
from postroad.delivery.mx import Exchange
from postroad.delivery.routing import Mx, Smtp
from postroad.delivery.transport import Consignment, Report
from postroad.delivery.wishes import wanted_from
from postroad.errors import LocalProtocolError
from postroad.net.carrying import carry
from postroad.net.connecting import Target
from postroad.net.smtp_client import ClientOptions, ConnectFault, SmtpClient
from postroad.smtp.host_memory import HostMemory
from postroad.smtp.negotiation import Negotiation

__all__ = ["Keep", "SmtpTransport"]

_Connect = Callable[[], Coroutine[Any, Any, SmtpClient]]


class SmtpTransport:
    """Every ``smtp:``, ``smtps:`` and ``lmtp:`` route, and every route by MX records."""

    def __init__(
        self,
        options: ClientOptions,
        keep: Keep | None = None,
        heard: Callable[[Smtp, Mapping[str, str]], None] | None = None,
        *,
        clock: Clock | None = None,
        memory: HostMemory | None = None,
        sources: tuple[str, ...] = (),
        again_after: float = 5.0,
    ) -> None:
        """``heard`` is told what each host of a fixed route announces to a new connection.

        ``sources``: addresses to connect from, at most one of each family. ``again_after``: seconds until a 455 is asked
        again in the same session.
        """
        self._options = options
        self._heard = heard
        self._clock = clock if clock is not None else SystemClock()
        self._memory = memory if memory is not None else HostMemory()
        self._sources = sources
        self._again_after = again_after
        self._idle = IdleConnections(keep if keep is not None else Keep())
        self._active: set[SmtpClient] = set()
        self._connecting: dict[asyncio.Task[SmtpClient], str] = {}
        self._rng = random.Random()
        self._stopped = ""

    async def deliver(self, consignment: Consignment) -> Report:
        """Try once: a kept connection first, then the hosts in turn until everybody is settled."""
        key = consignment.lane or str(consignment.route)
        content = StoredContent(consignment.message, consignment.read)
        wanted, unable = wanted_from(consignment.message, await content.needs(), self._clock.wall())
        errand = Errand(consignment, wanted, unable, content.give)
        if not errand.is_over:
            client = None if self._stopped else self._idle.take(key)
            if client is not None:
                await self._use(client, key, errand, reused=True)
        if not errand.is_over:
            await self._try_hosts(consignment, key, errand)
        return errand.report()

    async def _try_hosts(self, consignment: Consignment, key: str, errand: Errand) -> None:
        """Over new connections, until everybody is settled or no host is left."""
        for connect, route in self._hosts(consignment):
            goes_on = True
            while goes_on and not errand.is_over:
                goes_on = await self._try_host(connect, route, key, errand) and errand.goes_on_here

    async def _try_host(self, connect: _Connect, route: Smtp | None, key: str, errand: Errand) -> bool:
        """Over one new connection; whether there was one."""
        try:
            client = await self._connect(connect)
        except _Aborted as fault:
            errand.abandon(fault.message)
        except ConnectFault as fault:
            errand.unreachable(fault)
        else:
            self._memory.met(client.host, client.engine.announced)
            if self._heard is not None and route is not None:
                self._heard(route, client.engine.announced)
            await self._use(client, key, errand, reused=False)
            return True
        return False

    def wind_down(self, why: str) -> None:
        """Make no more connections, and give up those that are on their way."""
        self._stopped = why
        for task in self._connecting:
            self._connecting[task] = why
            task.cancel()

    def abort(self, why: str) -> None:
        """Close every connection that is in use or on its way, and make no more."""
        self.wind_down(why)
        for client in list(self._active):
            client.abort(why)

    async def close(self) -> None:
        """Say QUIT on idle connections."""
        await self._idle.close()

    # --- one host

    async def _use(self, client: SmtpClient, key: str, errand: Errand, *, reused: bool) -> None:
        """Negotiate over ``client``; nothing happened when a reused connection was dead before it said a word."""
        engine = client.engine
        now, host = self._clock.monotonic(), client.host
        negotiation = Negotiation(
            errand.wanted(),
            engine.announced,
            refused=self._memory.refused(host, now),
            lmtp=engine.lmtp,
            again_after=self._again_after,
            limits=engine.limits,
        )
        self._active.add(client)
        try:
            await carry(client, negotiation, errand.content)
        except BaseException:
            client.abort()
            raise
        finally:
            self._active.discard(client)
        if negotiation.steps or negotiation.learnt:
            self._memory.learn(host, negotiation.learnt, now)
        if reused and is_dead(negotiation):
            client.abort()
            return
        errand.heard(client, negotiation, reused=reused)
        if errand.is_over:
            self._idle.put(client, key)
        else:
            self._idle.quit(client)

    async def _connect(self, connect: _Connect) -> SmtpClient:
        """A new connection; raises ConnectFault, _Aborted after ``abort``."""
        if self._stopped:
            raise _Aborted(self._stopped)
        task = asyncio.get_running_loop().create_task(connect())
        self._connecting[task] = ""
        try:
            await asyncio.wait((task,))
        finally:
            why = self._connecting.pop(task)
            if not task.done():
                task.cancel()
        if not why:
            return task.result()
        if not task.cancelled() and task.exception() is None:
            task.result().abort(why)
        raise _Aborted(why)

    # --- which hosts

    def _hosts(self, consignment: Consignment) -> Iterator[tuple[_Connect, Smtp | None]]:
        """Ways to connect, in turn."""
        route = consignment.route
        match route:
            case Smtp():
                options = self._options_for(route)
                target = Target(route.host, route.port, route.path, route.lmtp)
                if consignment.site is None:
                    yield partial(SmtpClient.connect, target, options), route
                    return
            case Mx():
                options = replace(self._options, tls=route.tls)
            case _:
                raise LocalProtocolError(f"not a route of this transport: {route}")
        for exchange in consignment.site.in_turn(self._rng) if consignment.site is not None else ():
            for connect in self._ways_to(exchange, options):
                yield connect, None

    def _ways_to(self, exchange: Exchange, options: ClientOptions) -> Iterator[_Connect]:
        """All addresses of a host; one by one family after the other when a source address is to be used."""
        endpoints = exchange.endpoints
        if not self._sources:
            yield partial(SmtpClient.connect_to, endpoints, options)
            return
        for six, group in groupby(endpoints, key=lambda one: ":" in one.address):
            source = next((one for one in self._sources if (":" in one) == six), "")
            yield partial(SmtpClient.connect_to, list(group), replace(options, source=source))

    def _options_for(self, route: Smtp) -> ClientOptions:
        login = route.login
        options = replace(self._options, tls=route.tls, implicit_tls=route.implicit_tls)
        return options if login is None else replace(options, account=login.account, password=login.password)


class _Aborted(Exception):
    """We were told to stop."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message
