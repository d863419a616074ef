"""SIGHUP while something else goes on: reloads take turns, and none comes too early, too late, or to harm."""

from __future__ import annotations

import asyncio
import logging

import pytest

from postroad.clock import SystemClock
from postroad.daemon import Reloads
from postroad.errors import SettingsError
from postroad.service import Service


class Reloading(Service):
    """Says when a reload begins and ends."""

    def __init__(self, *faults: Exception) -> None:
        self.said: list[str] = []
        self.faults = list(faults)
        self.clock = SystemClock()

    async def reload(self) -> None:
        self.said.append("begin")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if self.faults:
            raise self.faults.pop(0)
        self.said.append("end")


async def rest() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def test_reloads_take_turns_and_wait_for_the_start() -> None:
    async def work() -> None:
        service = Reloading()
        reloads = Reloads(service, asyncio.Event())
        async with reloads.turn:  # the start
            reloads.ask()
            reloads.ask()
            await rest()
            assert service.said == []
        await rest()
        assert service.said == ["begin", "end"] * 2

    asyncio.run(work())


def test_nothing_is_read_again_once_the_server_is_to_stop() -> None:
    async def work() -> None:
        service, stop = Reloading(), asyncio.Event()
        reloads = Reloads(service, stop)
        reloads.ask()
        reloads.ask()
        stop.set()
        await rest()
        assert service.said == []

    asyncio.run(work())


def test_a_reload_that_fails_is_told_and_harms_none(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        service = Reloading(SettingsError("bad", "mend it"), RuntimeError("a bug"))
        reloads = Reloads(service, asyncio.Event())
        kept: list[str | None] = []
        for _ in range(3):
            reloads.ask()
            await rest()
            kept.append(service.reloaded.fault if service.reloaded is not None else None)
        assert service.said == ["begin", "begin", "begin", "end"]
        assert kept == ["bad", "a fault in the server, see its log", ""]

    with caplog.at_level(logging.ERROR, "postroad"):
        asyncio.run(work())
    assert [one.getMessage() for one in caplog.records] == [
        "settings not reloaded, the old ones stay",
        "settings not reloaded",
    ]
