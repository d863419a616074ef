"""A client that sends as fast as it is answered over many connections, and a ledger of what it was promised."""

from __future__ import annotations

import asyncio
import hashlib
import random
import re
from collections import Counter
from dataclasses import dataclass, field

_ID = re.compile(rb"^X-Ledger: ([0-9]+)\r\n", re.MULTILINE)


@dataclass
class Ledger:
    """Outside of the server: what was sent, and for what of it a 250 was read. Ids count from 0."""

    sent: list[bytes] = field(default_factory=list)
    """Digest of each content."""
    acked: set[int] = field(default_factory=set)
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

    def arrive(self, message: bytes) -> None:
        """A message was found; what stands before our first line is trace."""
        found = _ID.search(message)
        assert found is not None, message[:500]
        number = int(found[1])
        assert number < len(self.sent), "a ghost"
        self.arrived[number] += 1
        if hashlib.sha256(message[found.start() :]).digest() != self.sent[number]:
            self.altered.add(number)

    @property
    def lost(self) -> set[int]:
        """Acknowledged and nowhere."""
        return self.acked - set(self.arrived)


class Load:
    """Sessions that each send message after message until the connection ends; each goes to one of ``recipients``."""

    def __init__(self, ledger: Ledger, recipients: list[str], seed: int, reply_seconds: float = 60.0) -> None:
        self._ledger = ledger
        self._recipients = recipients
        self._random = random.Random(seed)
        self._reply_seconds = reply_seconds

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
        number, content = self._ledger.new_content(self._random)
        recipient = self._random.choice(self._recipients)
        writer.write(b"MAIL FROM:<load@client.example>\r\nRCPT TO:<%s>\r\nDATA\r\n" % recipient.encode())
        for code in (b"250", b"250", b"354"):
            await self._expect(reader, code)
        writer.write(content + b".\r\n")
        await writer.drain()
        await self._expect(reader, b"250")
        self._ledger.acked.add(number)

    async def _expect(self, reader: asyncio.StreamReader, code: bytes) -> None:
        async with asyncio.timeout(self._reply_seconds):
            while (line := await reader.readuntil(b"\r\n"))[3:4] == b"-":
                pass
        assert line[:3] == code, line
