#!/usr/bin/env python3
"""One Postroad to be measured: `bench/serve_postroad.py --spool none|sqlite --folder DIR [--tls CERT KEY]`.

``none``: the inbound service as it is in production (engine, policies, Received field), before a spool that throws
every message away. ``sqlite``: the whole service on a spool in DIR. It prints its port, runs until its standard input
ends, and then prints how many messages it has accepted. ``--profile FILE`` keeps what cProfile saw of the event loop.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import os
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import uvloop

from postroad.clock import SystemClock
from postroad.daemon import make_admin
from postroad.envelope import Draft, MessageId
from postroad.errors import SpoolError
from postroad.inbound.reception import ConditionsNow
from postroad.inbound.service import InboundService
from postroad.net.memory import keep_large_blocks_mapped, look_for_circles_seldom
from postroad.net.tls import Certificate
from postroad.observe.log import configure
from postroad.observe.metrics import Metrics
from postroad.observe.sessions import SessionLog
from postroad.policy.accounts import Accounts
from postroad.policy.conditions import ConditionsBoard
from postroad.policy.rates import Rates
from postroad.service import Service, assembly
from postroad.service.service import bind, read_certificate
from postroad.settings import Settings, load_text
from postroad.spool.ids import IdSource

SETTINGS = """
hostname = "mx.example.org"
state = "{folder}"
{tls}
[mx]
listen = ["127.0.0.1:0"]

[limits]
connections = 20000

[[domain]]
name = "example.org"
deliver = "hold"
"""
TLS = """
[tls]
cert = "{}"
key = "{}"
"""


class NoContent:
    """A ContentWriter that only counts."""

    __slots__ = ("size",)

    def __init__(self) -> None:
        self.size = 0

    def write(self, block: bytes) -> None:
        self.size += len(block)

    def discard(self) -> None:
        pass


class NoSpool:
    """The part of a Spool that receiving needs: every message is accepted at once and forgotten."""

    shard = 0

    def __init__(self) -> None:
        self.accepted = 0
        self.new_id: Callable[[], MessageId] = IdSource(0, SystemClock()).next

    def open_content(self) -> NoContent:
        return NoContent()

    def free_octets(self) -> int | None:
        return None

    def accept(self, draft: Draft, content: NoContent, done: Callable[[SpoolError | None], None]) -> None:
        self.accepted += 1
        done(None)

    def on_accepted(self, listener: Callable[[Sequence[Draft]], None]) -> None:
        pass


class WithoutStorage:
    """The inbound service, joined to NoSpool as ``Service`` joins it to its own."""

    def __init__(self, settings: Settings, certificate: Certificate | None) -> None:
        clock = SystemClock()
        self._spool = NoSpool()
        self._inbound = InboundService(clock)
        limits = settings.limits
        shared = assembly.Shared(
            spool=self._spool,  # type: ignore[arg-type]  # receiving asks for no more
            clock=clock,
            conditions=ConditionsNow(ConditionsBoard(clock), limits.message_size),
            rates=Rates(assembly.rate_limits(limits), clock, limits.exempt),
            chaos=None,
            sessions=SessionLog().add,
            metrics=Metrics(),
        )
        accounts = Accounts(assembly.password_hashes(settings), clock)
        self._inbound.use(assembly.receptions(settings, shared, certificate, accounts))

    async def start(self, sockets: Mapping[str, list[socket.socket]]) -> None:
        await self._inbound.start(sockets)

    async def stop(self) -> None:
        await self._inbound.drain(5.0)

    async def accepted(self) -> int:
        return self._spool.accepted


class OnDisk:
    """The whole service."""

    def __init__(self, settings: Settings, certificate: Certificate | None) -> None:
        self._service = Service(settings, certificate=certificate)

    async def start(self, sockets: Mapping[str, list[socket.socket]]) -> None:
        await self._service.start(sockets)
        self._admin = make_admin(self._service)  # which hears of every message

    async def stop(self) -> None:
        await self._service.stop(5.0)

    async def accepted(self) -> int:
        return (await self._service.spool.stats()).messages


async def serve(settings: Settings, kind: type[WithoutStorage | OnDisk]) -> None:
    server = kind(settings, read_certificate(settings))
    sockets = bind(settings)
    port = sockets["mx"][0].getsockname()[1]
    await server.start(sockets)
    look_for_circles_seldom()
    print(f"port {port}", flush=True)
    await until_input_ends()
    print(f"accepted {await server.accepted()}", flush=True)
    await server.stop()


async def until_input_ends() -> None:
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(0, lambda: os.read(0, 4096) or ended.set())
    await ended.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--spool", choices=("none", "sqlite"), required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"))
    parser.add_argument("--profile", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    keep_large_blocks_mapped()
    configure("json", "info")  # a line for each message, as in earnest
    tls = TLS.format(*arguments.tls) if arguments.tls else ""
    settings = load_text(SETTINGS.format(folder=arguments.folder, tls=tls), "bench.toml")
    kind: type[WithoutStorage | OnDisk] = OnDisk if arguments.spool == "sqlite" else WithoutStorage
    if arguments.profile is None:
        uvloop.run(serve(settings, kind))
    else:
        profile = cProfile.Profile()
        profile.runcall(uvloop.run, serve(settings, kind))
        profile.dump_stats(arguments.profile)


if __name__ == "__main__":
    main()
