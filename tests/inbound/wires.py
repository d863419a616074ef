"""Two ways to call a house: ``Line``, one connection on paper, and ``calling``, the real service on loopback."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from postroad.inbound.connection import Connection
from postroad.inbound.service import InboundService
from postroad.net.listener import listen
from tests.inbound.house import House, settle

TRANSACTION = ("MAIL FROM:<kana@example.org>", "RCPT TO:<bob@example.net>")
BODY = b"Subject: hello\r\n\r\nhello\r\n"


class Wire(asyncio.Transport):
    """A transport on paper. ``stuck``: the peer reads nothing, so what is written waits here."""

    def __init__(self, peer: tuple[Any, ...], tls: object = None) -> None:
        super().__init__({"peername": peer, "sockname": ("192.0.2.25", 25), "ssl_object": tls})
        self.protocol: asyncio.Protocol
        self.writes: list[bytes] = []
        self.stuck = False
        self.waiting = 0
        self.reading = True
        self.state = "open"
        self._high = 64 * 1024
        self._congested = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._high = high if high is not None else self._high

    def write(self, data: bytes) -> None:  # type: ignore[override]
        assert self.state == "open", f"written to after {self.state}: {data!r}"
        self.writes.append(data)
        if self.stuck:
            self.waiting += len(data)
            if self.waiting > self._high and not self._congested:
                self._congested = True
                self.protocol.pause_writing()

    def flow(self) -> None:
        """The peer reads again."""
        self.stuck, self.waiting = False, 0
        if self._congested:
            self._congested = False
            self.protocol.resume_writing()
        if self.state == "closing":
            self._lose(None)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading

    def is_closing(self) -> bool:
        return self.state not in ("open", "half")

    def can_write_eof(self) -> bool:
        return self.get_extra_info("ssl_object") is None

    def write_eof(self) -> None:
        assert self.state == "open"
        self.state = "half"

    def close(self) -> None:
        if not self.is_closing():
            self.state = "closing"
            if not self.waiting:
                self._lose(None)

    def abort(self) -> None:
        if self.state != "aborted":
            self.state = "aborted"
            self._lose(None)

    def lose(self, fault: Exception | None = None) -> None:
        """The network breaks."""
        self.state = "aborted"
        self._lose(fault)

    def _lose(self, fault: Exception | None) -> None:
        asyncio.get_running_loop().call_soon(self.protocol.connection_lost, fault)


class Line:
    """One connection on paper: what is said waits in the kernel while reading is paused."""

    def __init__(self, house: House, peer: tuple[Any, ...] = ("192.0.2.1", 4321), tls: object = None) -> None:
        self.house = house
        self.registry: set[Connection] = set()
        self.wire = Wire(peer, tls)
        self.wire.protocol = self.connection = Connection(house.reception, self.registry)
        self._kernel = b""
        self._heard = 0
        self.connection.connection_made(self.wire)

    def say(self, *lines: str | bytes) -> None:
        """Text gets its CRLF; octets go as they are."""
        self._kernel += b"".join(one if isinstance(one, bytes) else one.encode() + b"\r\n" for one in lines)
        self.pump()

    def pump(self) -> None:
        """The kernel hands over what it has, as long as it may."""
        while self._kernel and self.wire.reading and not self.wire.is_closing():
            block, self._kernel = self._kernel[:65536], self._kernel[65536:]
            self.connection.data_received(block)

    def eof(self) -> None:
        """The peer says no more; gives nothing back, as asyncio's transport closes when it is told to."""
        if not self.connection.eof_received():
            self.wire.close()

    def heard(self) -> str:
        """What was written since the last look."""
        written = b"".join(self.wire.writes[self._heard :]).decode()
        self._heard = len(self.wire.writes)
        return written

    def codes(self) -> list[str]:
        """The codes of the replies since the last look."""
        lines = self.heard().split("\r\n")
        assert lines.pop() == ""
        return [line[:3] for line in lines if line[3:4] == " "]

    async def ask(self, *lines: str | bytes) -> list[str]:
        """Say it, let everything settle, give the codes."""
        self.say(*lines)
        await settle()
        return self.codes()

    def expire(self) -> bool:
        """What the sweeper does; whether the deadline was over."""
        now = self.house.clock.monotonic()
        if self.connection not in self.registry or self.connection.deadline > now:
            return False
        self.connection.expire(now)
        return True

    @property
    def seconds_left(self) -> float:
        return self.connection.deadline - self.house.clock.monotonic()

    @property
    def is_gone(self) -> bool:
        return self.connection not in self.registry


async def greeted(house: House, *lines: str, **more: Any) -> Line:
    """A line on which EHLO (and ``lines``) have been answered."""
    line = Line(house, **more)
    await settle()
    await line.ask("EHLO client.example", *lines)
    return line


# --- over loopback


class Caller:
    """A client of few words."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def hear(self) -> str:
        """One reply, its lines joined by ``\\n``; raises EOFError at the end."""
        lines: list[str] = []
        while not lines or lines[-1][3:4] == "-":
            line = await self.reader.readline()
            if not line.endswith(b"\r\n"):
                raise EOFError(line)
            lines.append(line.decode().removesuffix("\r\n"))
        return "\n".join(lines)

    def say(self, *lines: str | bytes) -> None:
        self.writer.write(b"".join(one if isinstance(one, bytes) else one.encode() + b"\r\n" for one in lines))

    async def ask(self, *lines: str | bytes) -> str:
        self.say(*lines)
        return await self.hear()

    async def deliver(self, body: bytes = BODY) -> str:
        for line in (*TRANSACTION, "DATA"):
            await self.ask(line)
        return await self.ask(body + b".\r\n")

    async def rest(self) -> bytes:
        """All that still comes, until the server closes."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b"(reset)"

    def reset(self) -> None:
        """Vanish without the courtesy of an end."""
        connected = self.writer.get_extra_info("socket")
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def starttls(self, context: Any) -> str:
        """STARTTLS, and the handshake when it was granted."""
        reply = await self.ask("STARTTLS")
        if reply.startswith("220"):
            await self.writer.start_tls(context, server_hostname="mx.example.net")
        return reply


class Called:
    """A running service of one listener."""

    def __init__(self, house: House, service: InboundService, port: int) -> None:
        self.house = house
        self.service = service
        self.port = port
        self._callers: list[Caller] = []

    async def call(self, **more: Any) -> Caller:
        """Connect; the greeting is still to be heard."""
        caller = Caller(*await asyncio.open_connection("127.0.0.1", self.port, **more))
        self._callers.append(caller)
        return caller

    async def greeted(self, **more: Any) -> Caller:
        """Connect, hear the greeting, say EHLO."""
        caller = await self.call(**more)
        assert (await caller.hear()).startswith("220 ")
        assert (await caller.ask("EHLO client.example")).startswith("250-")
        return caller

    def hang_up(self) -> None:
        for caller in self._callers:
            with suppress(AttributeError):  # asyncio's TLS transport before 3.11.4, when it is closed already
                caller.writer.transport.abort()


@asynccontextmanager
async def calling(house: House) -> AsyncIterator[Called]:
    """The service on a port of loopback, drained at the end."""
    service = InboundService(house.clock)
    service.use({house.reception.name: house.reception})
    bound = listen("127.0.0.1", 0)
    await service.start({house.reception.name: [bound]})
    called = Called(house, service, bound.getsockname()[1])
    try:
        yield called
    finally:
        called.hang_up()
        await service.drain(0.2)
        await settle()
