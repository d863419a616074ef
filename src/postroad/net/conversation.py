"""One ClientEngine on one asyncio transport: its octets carried, every wait with a deadline, every write awaited.

A host that trickles octets makes no progress: only whole replies start the clock anew, and a transaction as a whole
has a deadline too.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from typing import Final, cast

from postroad.errors import PostroadError
from postroad.net.connecting import reason_of
from postroad.smtp.client import ClientEngine
from postroad.smtp.client_commands import Command
from postroad.smtp.client_events import ClientEvent
from postroad.smtp.client_timeouts import ClientTimeouts, Patience
from postroad.smtp.events import NEED_DATA

#: Octets that may wait in the write buffer before content stops being read.
_HIGH_WATER: Final = 256 * 1024


class Fault(PostroadError):
    """The conversation cannot go on; the message says why."""


class Conversation(asyncio.Protocol):
    """Asks and hears; made before the connection, which ``connection_made`` brings."""

    def __init__(self, engine: ClientEngine, timeouts: ClientTimeouts) -> None:
        self.engine = engine
        self.is_paused = False
        """Whether the write buffer is full."""
        self.is_lost = False
        self._timeouts = timeouts
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._is_late = False
        self._fault = ""
        self._progress = -1
        self._deadline = 0.0
        self._latest = math.inf

    # --- what its owner does

    async def ask(self, command: Command) -> ClientEvent:
        """Say something and hear the answer; raises Fault, RemoteProtocolError (for an answer before the question too)."""
        if (early := self.engine.next_event()) is not NEED_DATA:
            return early  # the end of the connection
        self.engine.send(command)
        return await self.event()

    async def event(self) -> ClientEvent:
        """The next event but NEED_DATA; raises Fault when the host keeps us waiting, RemoteProtocolError."""
        while (event := self.next_event()) is NEED_DATA:
            await self.wait()
        return event

    def next_event(self) -> ClientEvent:
        """The next event that was heard already, or NEED_DATA: ``wait`` then; raises RemoteProtocolError."""
        event = self.engine.next_event()
        self.flush()
        return event

    async def wait(self) -> None:
        """Until octets came, the buffer drained or the connection was lost; raises Fault at the deadline."""
        self.check()
        patience = self.engine.patience() or Patience("anything", self._timeouts.other)
        if self.engine.progress != self._progress:
            self._progress = self.engine.progress
            self._deadline = self._loop.time() + patience.seconds
        until = self._deadline
        if self._latest < until and not self.engine.is_content_unanswered:
            until, patience = self._latest, Patience("the transaction to end", self._timeouts.transaction)
        self._is_late = False
        self._waiter = self._loop.create_future()
        timer = self._loop.call_at(until, self._expire)
        try:
            await self._waiter
        finally:
            self._waiter = None
            timer.cancel()
        self.check()
        if self._is_late:
            raise Fault(f"waited {patience.seconds:g} s in vain for {patience.what}")

    def check(self) -> None:
        """Raises Fault once ``abort`` was called."""
        if self._fault:
            raise Fault(self._fault)

    def begin_transaction(self) -> None:
        """From now on ``timeouts.transaction`` seconds are left, until the content is sent."""
        self._latest = self._loop.time() + self._timeouts.transaction

    def end_transaction(self) -> None:
        """It is over."""
        self._latest = math.inf

    def flush(self) -> None:
        """Write what the engine has to say."""
        data = self.engine.data_to_send()
        if data and self._transport is not None and not self.is_lost:
            self._transport.write(data)

    async def start_tls(self, context: ssl.SSLContext, name: str) -> ssl.SSLObject:
        """The handshake; the engine is told of its end by the caller.

        Raises OSError, ValueError (no name to verify), RemoteProtocolError (octets in clear).
        """
        if self._transport is None or self.is_lost:
            raise ConnectionAbortedError("the connection was closed")
        self.engine.tls_begins()  # from here to the first octet of the handshake nothing can be read in between
        transport = await self._loop.start_tls(
            self._transport,
            self,
            context,
            server_hostname=name or None,
            ssl_handshake_timeout=self._timeouts.handshake,
        )
        if transport is None:
            raise ConnectionAbortedError("the connection was closed")
        self._transport = transport
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        return cast("ssl.SSLObject", transport.get_extra_info("ssl_object"))

    def close(self) -> None:
        """Close once what was written has gone."""
        if self._transport is not None:
            self._transport.close()
        self.is_lost = True

    def abort(self, why: str = "") -> None:
        """Close now; whoever waits hears ``why``."""
        self._fault = self._fault or why or "the connection was closed by us"
        if self._transport is not None:
            self._transport.abort()
        self.is_lost = True
        self._wake()

    def _expire(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._is_late = True
            self._waiter.set_result(None)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's do not inherit from asyncio's
        self._transport.set_write_buffer_limits(high=_HIGH_WATER)
        if self._fault:  # aborted while it was being connected
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Octets of the host."""
        self.engine.receive(data)
        self._wake()

    def eof_received(self) -> bool | None:
        """The host will say no more: the transport closes itself."""
        self.engine.receive_eof()
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; ``exc`` says why when it broke."""
        self.is_lost = True
        why = "" if exc is None else reason_of(exc)
        if exc is not None:
            self.engine.transcript.add(f"connection lost: {why}")
        self.engine.receive_eof(why)
        self.is_paused = False
        self._wake()

    def pause_writing(self) -> None:
        """The write buffer is full."""
        self.is_paused = True

    def resume_writing(self) -> None:
        """The write buffer has drained."""
        self.is_paused = False
        self._wake()
