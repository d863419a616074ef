"""One connection of the probe: the client engine's conversation, with an eye on the octets themselves and on the clock."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from postroad.net.connecting import Endpoint, open_endpoint
from postroad.net.conversation import Conversation
from postroad.smtp.client import ClientEngine
from postroad.smtp.client_timeouts import ClientTimeouts

#: Octets of what a host says first that are kept as evidence.
KEPT: Final = 2048


@dataclass(frozen=True, slots=True)
class Waits:
    """Seconds that the probe waits, each."""

    connect: float = 15.0
    greeting: float = 60.0
    """A sender waits five minutes (RFC 5321 section 4.5.3.2.1); a person does not."""
    answer: float = 30.0
    """For the answer to a command, and for the handshake."""
    tls_trial: float = 10.0
    """For each half of a trial whether a silent port speaks TLS."""
    quit: float = 5.0
    total: float = 240.0
    """For one address, everything included."""
    slow: float = 10.0
    """A greeting that takes longer is told as slow; Postfix's postscreen waits 6 s on purpose."""

    @classmethod
    def of(cls, seconds: float) -> Waits:
        """The same for every wait, as ``--timeout`` asks."""
        return cls(seconds, seconds, seconds, min(seconds, 30.0), min(seconds, 5.0), 8 * seconds + 60)

    @property
    def timeouts(self) -> ClientTimeouts:
        """For the engine."""
        each = self.answer
        return ClientTimeouts(self.greeting, each, each, each, each, each, each, each, other=each, quit=self.quit)


class Watched(Conversation):
    """Keeps what the host said first, when, and how the connection was lost."""

    def __init__(self, engine: ClientEngine, timeouts: ClientTimeouts) -> None:
        super().__init__(engine, timeouts)
        self.head = b""
        """The first octets, at most KEPT of them."""
        self.received = 0
        """Octets in all."""
        self.lost: Exception | None = None
        """What broke the connection; None when it was closed, or is open."""
        self._began = asyncio.get_running_loop().time()

    @property
    def seconds(self) -> float:
        """Since the connection was tried, or since ``restart``."""
        return asyncio.get_running_loop().time() - self._began

    def restart(self) -> None:
        """Look anew at what comes from here on."""
        self.head, self.received = b"", 0
        self._began = asyncio.get_running_loop().time()

    @property
    def own_address(self) -> str:
        """The address we speak from; ``""`` when it is not known."""
        name = None if self._transport is None else self._transport.get_extra_info("sockname")
        return str(name[0]).partition("%")[0] if isinstance(name, tuple) else ""

    def data_received(self, data: bytes) -> None:
        """Octets of the host."""
        self.head += data[: KEPT - len(self.head)]
        self.received += len(data)
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.lost = exc
        super().connection_lost(exc)


async def connected(endpoint: Endpoint, waits: Waits, *, lmtp: bool = False) -> Watched:
    """A connection to the endpoint; raises OSError (TimeoutError in time)."""
    line = Watched(ClientEngine(lmtp=lmtp, timeouts=waits.timeouts), waits.timeouts)
    try:
        await open_endpoint(endpoint, line, waits.connect)
    except BaseException:
        line.abort()
        raise
    return line
