"""The octets of logs on disk: plain or gzip, once or followed through rotation; a block at a time."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from postroad.diagnosis.logs_reading import BLOCK
from postroad.errors import PostroadError

_GZIP: Final = b"\x1f\x8b"


class LogFault(PostroadError):
    """A log that cannot be read on."""


@dataclass(slots=True)
class LogStream:
    """One log from its beginning to its end."""

    source: BinaryIO
    position: int = 0
    """Octets that were read, packed ones if it is packed."""
    damaged: bool = False
    """It is a gzip file that ends in its middle, or holds what is none; what came before was read."""

    def blocks(self) -> Iterator[bytes]:
        """Unpacked blocks of at most BLOCK octets. Raises LogFault."""
        first = self._read()
        while len(first) == 1 and (more := self._read()):
            first += more
        if first[:2] == _GZIP:
            yield from self._unpacked(first)
            return
        while first:
            yield first
            first = self._read()

    def _read(self) -> bytes:
        """What is there, at least an octet but at the end: a pipe is not waited for until it is full."""
        read = getattr(self.source, "read1", self.source.read)
        try:
            block: bytes = read(BLOCK) or b""
        except OSError as fault:
            raise LogFault(f"the log cannot be read on: {fault.strerror or fault}") from fault
        self.position += len(block)
        return block

    def _unpacked(self, packed: bytes) -> Iterator[bytes]:
        """All members (RFC 1952 section 2.2), never more than BLOCK octets at once, however much they were packed."""
        member = zlib.decompressobj(wbits=31)
        try:
            while packed:
                if block := member.decompress(packed, BLOCK):
                    yield block
                packed = member.unconsumed_tail or member.unused_data
                if member.eof:
                    packed = (packed or self._read()).lstrip(b"\0")  # some pad
                    if packed:
                        member = zlib.decompressobj(wbits=31)
                elif not packed:
                    packed = self._read()
            self.damaged = not member.eof
        except zlib.error:
            self.damaged = True


def follow(path: Path) -> Iterator[bytes]:
    """The file's octets as they come, from its beginning on; over to its successor when it is renamed or replaced.

    An empty block says that nothing new is there: who takes it waits a while. A file that was cut short is read from its
    beginning. A last line without an end gets one when its file is left. Raises OSError when the file cannot be opened at
    first.
    """
    current: BinaryIO = path.open("rb", buffering=0)
    ended = True
    try:
        while True:
            block = current.read(BLOCK)
            following = None if block else _successor(path, current)
            if following is not None and following is not current:
                block = current.read(BLOCK)  # written between the last look and now
                if block:
                    following.close()
            if block or following is None:
                ended = block.endswith(b"\n") if block else ended
                yield block
                continue
            if not ended:
                yield b"\n"
            ended = True
            if following is current:
                current.seek(0)
                continue
            current.close()
            current = following
    finally:
        current.close()


def _successor(path: Path, current: BinaryIO) -> BinaryIO | None:
    """The file that stands there now, opened; the same one when it was cut; None when all is as it was."""
    here = os.fstat(current.fileno())
    try:
        there = path.stat()
    except OSError:  # between the renaming and the new one
        return None
    if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
        if here.st_size >= current.tell():
            return None
        return current
    try:
        return path.open("rb", buffering=0)
    except OSError:
        return None
