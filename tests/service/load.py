"""A client that sends as fast as it is answered over many connections, and a ledger of what it was promised."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

_ID = re.compile(rb"^X-Ledger: ([0-9]+)\r\n", re.MULTILINE)
_QUEUED_AS = re.compile(rb"queued as ([0-9A-Za-z-]+)")


@dataclass(frozen=True, slots=True)
class Envelope:
    """To whom a message goes, with the parameters of MAIL and RCPT as they stand on the wire."""

    reverse_path: str
    recipients: tuple[tuple[str, str], ...]
    """(address, parameters)"""
    parameters: str = ""


Compose = Callable[[int, random.Random], Envelope]
"""Number of a message in the ledger -> its envelope."""


@dataclass
class Ledger:
    """Outside of the server: what was sent, and for what of it a 250 was read. Ids count from 0."""

    sent: list[bytes] = field(default_factory=list)
    """Digest of each content."""
    acked: set[int] = field(default_factory=set)
    envelopes: dict[int, Envelope] = field(default_factory=dict)
    ids: dict[int, list[str]] = field(default_factory=dict)
    """What the server called it, each time that it acknowledged it."""
    pending: dict[int, bytes] = field(default_factory=dict)
    """Sent to the final dot without hearing the reply: content that a client has to send again."""
    transmitted: Counter[int] = field(default_factory=Counter)
    """How often it was sent as far as the final dot."""
    arrived: Counter[int] = field(default_factory=Counter)
    altered: set[int] = field(default_factory=set)

    def new_content(self, random_source: random.Random) -> tuple[int, bytes]:
        """One more message, from some hundred octets to 200 KB, most of them small."""
        number = len(self.sent)
        size = random_source.choice((300, 1_000, 3_000, 3_000, 10_000, 60_000, 70_000, 200_000))
        line = random_source.randbytes(36).hex().encode() + b"\r\n"
        content = b"X-Ledger: %d\r\nSubject: kept\r\n\r\n" % number + line * (size // len(line))
        self.sent.append(hashlib.sha256(content).digest())
        return number, content

    def arrive(self, message: bytes) -> int:
        """A message was found; what stands before our first line is trace. Gives its number."""
        found = _ID.search(message)
        assert found is not None, message[:500]
        number = int(found[1])
        assert number < len(self.sent), "a ghost"
        self.arrived[number] += 1
        if hashlib.sha256(message[found.start() :]).digest() != self.sent[number]:
            self.altered.add(number)
        return number

    @property
    def lost(self) -> set[int]:
        """Acknowledged and nowhere."""
        return self.acked - set(self.arrived)


def one_of(recipients: list[str]) -> Compose:
    """To one of them, whichever."""
    return lambda _, source: Envelope("load@client.example", ((source.choice(recipients), ""),))


class Load:
    """Sessions that each send message after message until the connection ends; what got no reply goes first."""

    def __init__(self, ledger: Ledger, compose: Compose, seed: int, reply_seconds: float = 60.0) -> None:
        self._ledger = ledger
        self._compose = compose
        self._random = random.Random(seed)
        self._reply_seconds = reply_seconds
        self._again = list(ledger.pending)

    async def run(self, address: tuple[str, int], connections: int) -> None:
        """Until the last connection has ended."""
        async with asyncio.TaskGroup() as sessions:
            for _ in range(connections):
                sessions.create_task(self._session(address))

    async def _session(self, address: tuple[str, int]) -> None:
        writer = None
        try:
            reader, writer = await asyncio.open_connection(*address)
            await self._expect(reader, b"220")
            writer.write(b"EHLO load.example\r\n")
            await self._expect(reader, b"250")
            while True:
                await self._send_one(reader, writer)
        except (OSError, EOFError, asyncio.IncompleteReadError):
            pass
        finally:
            if writer is not None:
                writer.close()

    async def _send_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ledger = self._ledger
        number, content = self._next()
        envelope = ledger.envelopes[number]
        commands = [f"MAIL FROM:<{envelope.reverse_path}>{_given(envelope.parameters)}"]
        commands += [f"RCPT TO:<{address}>{_given(parameters)}" for address, parameters in envelope.recipients]
        try:
            writer.write("".join(f"{one}\r\n" for one in (*commands, "DATA")).encode())
            for _ in commands:
                await self._expect(reader, b"250")
            await self._expect(reader, b"354")
        except BaseException:
            if ledger.transmitted[number]:
                ledger.pending[number] = content
            raise
        ledger.pending[number] = content
        ledger.transmitted[number] += 1
        writer.write(content + b".\r\n")
        await writer.drain()
        reply = await self._expect(reader, b"250")
        del ledger.pending[number]
        ledger.acked.add(number)
        called = _QUEUED_AS.search(reply)
        assert called is not None, reply
        ledger.ids.setdefault(number, []).append(called[1].decode())

    def _next(self) -> tuple[int, bytes]:
        """What must be sent again, else a new message; nobody else sends it meanwhile."""
        if self._again:
            number = self._again.pop()
            return number, self._ledger.pending.pop(number)
        number, content = self._ledger.new_content(self._random)
        self._ledger.envelopes[number] = self._compose(number, self._random)
        return number, content

    async def _expect(self, reader: asyncio.StreamReader, code: bytes) -> bytes:
        async with asyncio.timeout(self._reply_seconds):
            while (line := await reader.readuntil(b"\r\n"))[3:4] == b"-":
                pass
        assert line[:3] == code, line
        return line


def _given(parameters: str) -> str:
    return f" {parameters}" if parameters else ""
