"""Content on its way in, and the files of content that is too large for a row.

A file is written while its blocks come in, sealed (fsync of file and folder) before the row that names it is
committed, and removed after its row. Whatever no row names at start was never acknowledged or is settled: it is swept.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from postroad.errors import SpoolError
from postroad.spool.interface import INLINE_OCTETS, ContentWriter
from postroad.spool.location import sync_folder
from postroad.spool.space import storage_fault

#: How a content file is called; a row's file name is matched before anything is opened.
FILE_NAME: Final = re.compile(r"[0-9a-f]{24}\Z")
#: How many octets go into a file between two looks at the free space.
_LOOK_EVERY: Final = 1024 * 1024


class ContentFiles:
    """The folder of content files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def create(self) -> tuple[str, int]:
        """A new empty file: its name and descriptor; raises OSError."""
        name = os.urandom(12).hex()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        return name, os.open(name, flags, 0o600, dir_fd=self._handle)

    def open(self, name: str) -> int:
        """A descriptor to read; raises OSError, and SpoolError for a name that no content file can have."""
        if FILE_NAME.match(name) is None:
            raise SpoolError(f"no content file is called {name[:60]!r}")
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self._handle)

    def sync(self) -> None:
        """Make names durable; raises OSError."""
        sync_folder(self._folder)

    def remove(self, names: Iterable[str]) -> None:
        """Delete files whose rows are gone; one that cannot be deleted is swept at the next start."""
        for name in names:
            try:
                os.unlink(name, dir_fd=self._handle)
            except OSError:
                pass

    def sweep(self, named: set[str]) -> int:
        """Delete every file that no row names; gives how many. Only when nobody else has the folder."""
        orphans = [name for name in os.listdir(self._handle) if FILE_NAME.match(name) and name not in named]
        self.remove(orphans)
        return len(orphans)

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._handle)


class SpooledContent:
    """ContentWriter: blocks in memory up to INLINE_OCTETS, a file above; without ``files`` all stays in memory."""

    __slots__ = ("_blocks", "_descriptor", "_files", "_look_at", "_room", "file", "reserved", "size", "state")

    OPEN, SUBMITTED, GONE = range(3)

    def __init__(self, files: ContentFiles | None, room: Callable[[], None] | None, *, reserved: bool = False) -> None:
        """``room`` raises StorageFull when there is none left; ``reserved``: of a report, whatever the budget."""
        self.reserved = reserved
        self._files = files
        self._room = room
        self._blocks: list[bytes] = []
        self._descriptor = -1
        self._look_at = 0
        self.file: str | None = None
        self.size = 0
        self.state = self.OPEN

    def write(self, block: bytes) -> None:
        """Append; raises StorageFull or SpoolError, after which the content is lost."""
        if self.state != self.OPEN:
            raise SpoolError("content was written to after it was accepted, discarded or lost")
        self.size += len(block)
        if self._descriptor < 0:
            self._blocks.append(block)
            if self.size <= INLINE_OCTETS or self._files is None:
                return
            block = self._take()
        try:
            self._put(block)
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Forget all of it, unless it was submitted to ``accept``: then the spool has it."""
        if self.state == self.OPEN:
            self.forget()

    def submit(self) -> None:
        """Hand it to the spool; raises SpoolError when it is not there to be handed over."""
        if self.state != self.OPEN:
            raise SpoolError("content was accepted before, discarded or lost")
        self.state = self.SUBMITTED

    def seal(self) -> None:
        """Make a file's octets durable and close it (its name: ContentFiles.sync); raises OSError."""
        if self._descriptor >= 0:
            os.fsync(self._descriptor)
            self._close()

    def octets(self) -> bytes:
        """What is in memory; joined once, asked for as often as a transaction is tried."""
        if len(self._blocks) != 1:
            self._blocks = [b"".join(self._blocks)]
        return self._blocks[0]

    def forget(self) -> None:
        """Delete it, whoever has it."""
        self.state = self.GONE
        self._blocks = []
        self._close()
        if self.file is not None and self._files is not None:
            self._files.remove([self.file])
            self.file = None

    def _take(self) -> bytes:
        whole = b"".join(self._blocks)
        self._blocks = []
        return whole

    def _put(self, block: bytes) -> None:
        files = self._files
        if files is None:
            raise SpoolError("content in memory has no file")
        if self._room is not None and self.size > self._look_at:
            self._look_at = self.size + _LOOK_EVERY
            self._room()
        try:
            if self._descriptor < 0:
                self.file, self._descriptor = files.create()
            rest = memoryview(block)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise storage_fault(error, "content could not be written") from error

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def submitted(content: ContentWriter) -> SpooledContent:
    """Content as the spool takes it over; raises SpoolError when it is not there, or was opened elsewhere."""
    if not isinstance(content, SpooledContent):
        raise SpoolError("the content was opened by another spool")
    content.submit()
    return content
