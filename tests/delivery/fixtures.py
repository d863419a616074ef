"""What the tests of handing over share: a clock set by hand, messages in a spool, and hosts that follow a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from postroad.address import parse_mailbox
from postroad.envelope import Draft, MessageId, NewRecipient, Origin, Recipient, RecipientState, StoredMessage
from postroad.errors import SpoolError
from postroad.spool.interface import Spool

CONTENT = b"Subject: hello\r\n\r\n.dot\r\nbody\r\n"
PREFIX = b"Received: by test\r\n"
START = 1_000_000.0


class HandClock:
    """Stands still until it is set."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


async def keep(
    spool: Spool,
    *recipients: str,
    sender: str = "kana@example.net",
    content: bytes = CONTENT,
    parameters: str = "",
    hold: str = "",
) -> MessageId:
    """Accept one message; gives its id once it is durable."""
    writer = spool.open_content()
    for start in range(0, len(content), 50_000):
        writer.write(content[start : start + 50_000])
    new = tuple(NewRecipient(one, parse_mailbox(one).destination, hold=hold) for one in recipients)
    draft = Draft(spool.new_id(), sender, new, START, PREFIX, parameters)
    done: asyncio.Future[SpoolError | None] = asyncio.get_running_loop().create_future()
    spool.accept(draft, writer, done.set_result)
    assert await done is None
    return draft.id


def message(
    *recipients: str, sender: str = "kana@example.net", parameters: str = "", size: int = 100, wishes: str = ""
) -> StoredMessage:
    """A message for a transport, without a spool; ``wishes`` are every recipient's parameters."""
    stored = tuple(
        Recipient(number, one, one.rpartition("@")[2].lower(), wishes, RecipientState.QUEUED, 0, 0.0, None, "")
        for number, one in enumerate(recipients)
    )
    return StoredMessage(MessageId("0-1"), 1, sender, parameters, START, size, Origin(), stored)


def blocks(*parts: bytes) -> Callable[[], AsyncIterator[bytes]]:
    """Content for a consignment."""

    async def read() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return read


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until it is so; a test that waits in vain fails here."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("waited in vain")


class Peer:
    """A host's end of one connection, for a test that plays the host."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.heard: list[bytes] = []

    async def say(self, octets: bytes) -> None:
        self.writer.write(octets)
        await self.writer.drain()

    async def hear(self) -> bytes:
        """One line without its end; raises EOFError when the client is gone."""
        line = await self.reader.readline()
        if not line:
            raise EOFError
        self.heard.append(line)
        return line.removesuffix(b"\r\n")

    async def hear_content(self) -> bytes:
        """The content, dots undone."""
        lines = []
        while (line := await self.reader.readline()) != b".\r\n":
            if not line:
                raise EOFError
            lines.append(line.removeprefix(b"."))
        return b"".join(lines)

    async def greet(self, *extensions: bytes) -> None:
        """220, EHLO, 250."""
        await self.say(b"220 host.example ESMTP\r\n")
        await self.hear()
        lines = [b"host.example", *extensions]
        said = (b"250-" + line + b"\r\n" for line in lines[:-1])
        await self.say(b"".join(said) + b"250 " + lines[-1] + b"\r\n")

    async def serve(self, replies: dict[bytes, bytes], contents: list[bytes]) -> None:
        """Answer by the first word of what is heard (``.`` for the content) until QUIT or the end; 250 by default."""
        while True:
            word = (await self.hear()).partition(b" ")[0].upper()
            default = {b"DATA": b"354 go on\r\n", b"QUIT": b"221 bye\r\n"}.get(word, b"250 ok\r\n")
            reply = replies.get(word, default)
            await self.say(reply)
            if word == b"DATA" and reply.startswith(b"354"):
                contents.append(await self.hear_content())
                await self.say(replies.get(b".", b"250 queued\r\n"))
            if word == b"QUIT":
                return


@asynccontextmanager
async def host(
    play: Callable[[Peer], Awaitable[None]], address: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[tuple[int, list[Peer]]]:
    """A host on a free loopback port that plays ``play`` on every connection; gives the port and its connections."""
    peers: list[Peer] = []
    tasks: set[asyncio.Task[Any]] = set()
    faults: list[BaseException] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        peer = Peer(reader, writer)
        peers.append(peer)
        try:
            await play(peer)
        except (EOFError, ConnectionError):
            pass
        except Exception as fault:
            faults.append(fault)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, address, port)
    try:
        yield server.sockets[0].getsockname()[1], peers
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if faults:
        raise faults[0]
