"""Mail that the runner claimed while it was being accepted, until it is durable: leased then, or lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from postroad.delivery.leases import Leases
from postroad.envelope import Batch, Draft, MessageId


class Claims:
    """One runner's."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._ids: dict[MessageId, None] = {}
        self._none_left = asyncio.Event()
        self.returns: set[asyncio.Task[None]] = set()
        """What gives back what nobody works on any more."""

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, message_id: MessageId) -> bool:
        return message_id in self._ids

    def add(self, message_id: MessageId) -> None:
        """One more is claimed."""
        self._none_left.clear()
        self._ids[message_id] = None

    def forget(self, drafts: Iterable[Draft]) -> None:
        """They are durable, or never will be."""
        for draft in drafts:
            self._ids.pop(draft.id, None)
        if not self._ids:
            self._none_left.set()

    def ours(self, batches: Sequence[Batch]) -> list[Batch]:
        """Those that we claimed; a runner after us has its own."""
        return [batch for batch in batches if batch.message.id in self._ids]

    def give_back(self, batches: Sequence[Batch]) -> None:
        """They became durable when we had stopped; in a task of its own."""
        task = asyncio.get_running_loop().create_task(self._leases.give_back(batches), name="give back claims")
        self.returns.add(task)
        task.add_done_callback(self.returns.discard)

    async def settled(self, seconds: float) -> None:
        """Until nothing is on its way any more, so long at most."""
        if self._ids:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._none_left.wait(), seconds)
