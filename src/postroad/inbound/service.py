"""The listeners of mx, submission and submissions: they accept, one sweeper keeps all deadlines, and they drain."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Final

from postroad.clock import Clock
from postroad.inbound.connection import Connection
from postroad.inbound.reception import Reception
from postroad.observe.log import get_logger
from postroad.smtp import refusals

log = get_logger("inbound")

#: Seconds between two looks at the deadlines and at the free space.
_TICK: Final = 1.0
_DRAIN_TICK: Final = 0.02


class InboundService:
    """Owns the listening sockets and every connection that came of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.connections: set[Connection] = set()
        self._receptions: dict[str, Reception] = {}
        self._servers: list[asyncio.Server] = []
        self._sweeper: asyncio.Task[None] | None = None

    def use(self, receptions: Mapping[str, Reception]) -> None:
        """What new connections are received by, from now on; running sessions go on with what they have."""
        self._receptions = dict(receptions)

    async def start(self, sockets: Mapping[str, list[socket.socket]]) -> None:
        """Accept on these sockets, by listener name; ``use`` must have been told of each name."""
        loop = asyncio.get_running_loop()
        for name, listening in sockets.items():
            for one in listening:
                self._servers.append(await self._serve(loop, name, one))
        self._sweeper = loop.create_task(self._sweep(), name="deadlines")

    async def _serve(self, loop: asyncio.AbstractEventLoop, name: str, listening: socket.socket) -> asyncio.Server:
        def connection() -> Connection:
            return Connection(self._receptions[name], self.connections)

        reception = self._receptions[name]
        if reception.implicit_tls:
            return await loop.create_server(
                connection,
                sock=listening,
                backlog=2048,
                ssl=reception.tls,
                ssl_handshake_timeout=reception.deadlines.handshake,
            )
        return await loop.create_server(connection, sock=listening, backlog=2048)

    async def _sweep(self) -> None:
        """Once a second: measure the storage, and end what is overdue."""
        while True:
            try:
                self._look()
            except Exception:
                log.exception("sweep failed")
            await asyncio.sleep(_TICK)

    def _look(self) -> None:
        for reception in self._receptions.values():
            reception.conditions.measure(reception.spool.free_octets(), reception.message_size)
        now = self._clock.monotonic()
        for connection in [one for one in self.connections if one.deadline <= now]:
            connection.expire(now)

    async def drain(self, seconds: float) -> None:
        """Accept no more; idle sessions get 421 now, the others when their message is done, all within ``seconds``."""
        for server in self._servers:
            server.close()
        for connection in list(self.connections):
            connection.drain()
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self.connections and loop.time() < end:  # noqa: ASYNC110 - many connections, no single event
            await asyncio.sleep(_DRAIN_TICK)
        for connection in list(self.connections):
            connection.end(refusals.SHUTTING_DOWN, "shutdown")
        await asyncio.sleep(0)
        for connection in list(self.connections):
            connection.abandon()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.gather(self._sweeper, return_exceptions=True)
            self._sweeper = None
