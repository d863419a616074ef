"""Content cut into BDAT chunks (RFC 3030 section 2): several of a large message, one of a small one.

Nothing is sent behind a chunk that the host refused. Chunks follow each other without waiting where the host announced
PIPELINING (unless ``pipelining`` is False), but never more than the engine allows, so that what waits here is bounded
by one chunk and one block.
"""

from __future__ import annotations

from typing import Final

from postroad.smtp.client import ClientEngine
from postroad.smtp.client_commands import Bdat

#: Octets of a chunk, or a block more: small enough that a refusal (disk full) is heard before much is sent in vain.
CHUNK_OCTETS: Final = 256 * 1024


class ChunkSender:
    """One content: ``write`` its blocks while not ``is_full``, then ``finish``; ``go_on`` after every answer."""

    __slots__ = ("_blocks", "_engine", "_finished", "_octets", "_pipelining", "_size", "is_closed")

    def __init__(self, engine: ClientEngine, size: int = CHUNK_OCTETS, *, pipelining: bool = True) -> None:
        self._engine = engine
        self._pipelining = pipelining
        self._size = size
        self._blocks: list[bytes] = []
        self._octets = 0
        self._finished = False
        self.is_closed = False
        """Whether no more content is wanted: it is complete, or was refused."""

    @property
    def is_full(self) -> bool:
        """Whether a chunk is ready that may not be sent before an answer."""
        return self._octets >= self._size and not self._may_send

    @property
    def _may_send(self) -> bool:
        return self._engine.may_send_chunk and (self._pipelining or self._engine.is_answered)

    def write(self, block: bytes) -> None:
        """Some content; raises LocalProtocolError when it holds what may not be passed on."""
        if self._octets >= self._size and self._may_send:
            self._send(last=False)
        self._blocks.append(block)
        self._octets += len(block)

    def finish(self) -> None:
        """The content is complete."""
        self.is_closed = self._finished = True
        self.go_on()

    def go_on(self) -> None:
        """An answer has come: what waited for it may go."""
        if self._finished and self._may_send:
            self._finished = False
            self._send(last=True)

    def stop(self) -> None:
        """The host refused a chunk (RFC 3030 section 2: no additional segments)."""
        self.is_closed, self._finished = True, False
        self._blocks.clear()

    def _send(self, *, last: bool) -> None:
        octets = self._blocks[0] if len(self._blocks) == 1 else b"".join(self._blocks)
        self._blocks, self._octets = [], 0
        self._engine.send(Bdat(octets, last))
