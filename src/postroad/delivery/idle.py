"""Connections that wait for the next message to the same site; each for a little while and a bounded number of messages."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from postroad.net.smtp_client import SmtpClient


@dataclass(frozen=True, slots=True)
class Keep:
    """How long a connection is kept for the next message, and for how many."""

    idle: float = 5.0
    """Seconds."""
    messages: int = 1000
    connections: int = 20
    """Idle ones of one site."""
    total: int = 200
    """Idle ones in all; the one that is idle for longest goes first."""


class IdleConnections:
    """By site."""

    def __init__(self, keep: Keep) -> None:
        self._keep = keep
        self._idle: dict[str, list[tuple[SmtpClient, asyncio.TimerHandle]]] = {}
        self._by_age: dict[SmtpClient, str] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def take(self, key: str) -> SmtpClient | None:
        """One that still stands, the one used last first."""
        kept = self._idle.get(key)
        while kept:
            client, timer = kept.pop()
            timer.cancel()
            self._by_age.pop(client, None)
            if not kept:
                del self._idle[key]
            if client.is_usable:
                return client
            client.abort()
        return None

    def put(self, client: SmtpClient, key: str) -> None:
        """Keep it for a while, or close it."""
        kept = self._idle.get(key, [])
        full = client.messages >= self._keep.messages or len(kept) >= self._keep.connections
        if full or self._keep.idle <= 0 or not client.is_usable:
            self.quit(client)
            return
        timer = asyncio.get_running_loop().call_later(self._keep.idle, self._expire, client, key)
        kept.append((client, timer))
        self._idle[key] = kept
        self._by_age[client] = key
        if len(self._by_age) > self._keep.total:
            oldest = next(iter(self._by_age))
            self._expire(oldest, self._by_age[oldest])

    def quit(self, client: SmtpClient) -> None:
        """Say QUIT, in a task of its own."""
        task = asyncio.get_running_loop().create_task(client.quit())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Say QUIT on all of them."""
        for key in list(self._idle):
            while (client := self.take(key)) is not None:
                self.quit(client)
        await asyncio.gather(*self._closing)

    def _expire(self, client: SmtpClient, key: str) -> None:
        self._by_age.pop(client, None)
        for one, timer in self._idle.get(key, []):
            if one is client:
                timer.cancel()
        kept = [entry for entry in self._idle.get(key, []) if entry[0] is not client]
        if kept:
            self._idle[key] = kept
        else:
            self._idle.pop(key, None)
        self.quit(client)
