"""What a running service does now and then: each chore in a task of its own, none of which ever ends by a fault."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from postroad.errors import PostroadError
from postroad.observe.log import get_logger

log = get_logger("service")


class Chores:
    """Begun with the service, ended with it."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, name: str, seconds: float, work: Callable[[], Awaitable[None]], first: float | None = None) -> None:
        """Do ``work`` every so many seconds; ``first``: the time until it is done for the first time."""
        task = asyncio.get_running_loop().create_task(_repeat(name, seconds, work, first), name=name)
        self._tasks.append(task)

    async def end(self) -> None:
        """No more of it; what is under way is cut short."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()


async def _repeat(name: str, seconds: float, work: Callable[[], Awaitable[None]], first: float | None) -> None:
    wait = seconds if first is None else first
    while True:
        await asyncio.sleep(wait)
        wait = seconds
        try:
            await work()
        except Exception as fault:
            log.error("chore not done", chore=name, fault=str(fault), exc_info=not isinstance(fault, PostroadError))
