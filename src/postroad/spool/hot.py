"""Small content that somebody claimed: read from memory while it is on its way, so that delivering it asks no disk."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from postroad.envelope import MessageId
from postroad.spool.keeping import Incoming

#: Octets kept at most; what does not fit is read from the database.
HOT_OCTETS: Final = 32 * 1024 * 1024


class HotContent:
    """Prefix and content by message, up to ``limit`` octets; used on the event loop."""

    def __init__(self, limit: int = HOT_OCTETS) -> None:
        self._limit = limit
        self._kept: dict[MessageId, tuple[bytes, bytes]] = {}
        self.octets = 0

    def keep(self, incoming: Incoming) -> None:
        """Remember the content of a claimed message, if it is in memory and there is room."""
        content, draft = incoming.content, incoming.draft
        size = len(draft.prefix) + content.size
        if content.file is None and incoming.batches and self.octets + size <= self._limit:
            self._kept[draft.id] = draft.prefix, content.octets()
            self.octets += size

    def get(self, message_id: MessageId) -> tuple[bytes, bytes] | None:
        """Prefix and content."""
        return self._kept.get(message_id)

    def forget(self, message_ids: Iterable[MessageId]) -> None:
        """Settled, held or removed: the database is asked from now on."""
        for message_id in message_ids:
            parts = self._kept.pop(message_id, None)
            if parts is not None:
                self.octets -= sum(map(len, parts))
