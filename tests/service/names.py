"""A name server for whole services: the stub of tests/dns_stub.py in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType

from tests.dns_stub import DnsStub, Zone


class NameServer:
    """Answers from ``zone`` between ``with`` and its end; ``address`` is HOST:PORT as the settings write it."""

    def __init__(self, zone: Zone) -> None:
        self.stub = DnsStub(zone)
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._end = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    @property
    def address(self) -> str:
        """Where it listens."""
        host, port = self.stub.address
        return f"{host}:{port}"

    async def _serve(self) -> None:
        async with self.stub:
            self._ready.set()
            await self._end.wait()

    def __enter__(self) -> NameServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join()
        self._loop.close()
