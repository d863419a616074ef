"""What the tests of the client on loopback share: both event loops, a letter, options, and hosts that speak BDAT."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import uvloop

from postroad.address import Mailbox
from postroad.net.connecting import Target
from postroad.net.smtp_client import ClientOptions, Letter, SmtpClient
from postroad.smtp.parameters import NOTHING_GIVEN
from tests.delivery.fixtures import Peer, blocks

BODY = b"Subject: x\r\n\r\n.x\r\n"
LOOPS = ("uvloop", "asyncio")
Run = Callable[[Awaitable[Any]], Any]


def runner(loop: str) -> Run:
    """Runs a coroutine to its end on the loop of that name."""
    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop

    def runs(work: Awaitable[Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as one:
            return one.run(asyncio.wait_for(work, 30))

    return runs


def letter(*names: str, content: Callable[[], AsyncIterator[bytes]] = blocks(BODY), **more: Any) -> Letter:
    """To some of example.com."""
    people = [(Mailbox(name, "example.com"), NOTHING_GIVEN) for name in names or ("bob",)]
    return Letter(Mailbox("kana", "example.net"), people, content, **more)


def options(**more: Any) -> ClientOptions:
    """Ours, and what the test wants else."""
    return ClientOptions("me.example", **more)


async def connect(port: int, **more: Any) -> SmtpClient:
    """To a host of ``tests.delivery.fixtures``."""
    return await SmtpClient.connect(Target("127.0.0.1", port), options(**more))


async def hear_chunk(peer: Peer) -> tuple[bytes, bool]:
    """BDAT and its octets, and whether it was the last."""
    words = (await peer.hear()).split(b" ")
    assert words[0] == b"BDAT"
    return await peer.reader.readexactly(int(words[1])), words[2:] == [b"LAST"]
