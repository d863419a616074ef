"""Reading beside the committer: a second connection in a thread of its own, and a few threads for content files.

Readers never checkpoint and never wait for the committer; in WAL mode they see the last committed state.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import apsw

from postroad.envelope import MessageId
from postroad.errors import SpoolError
from postroad.spool.content import ContentFiles
from postroad.spool.database import open_reader
from postroad.spool.interface import BLOCK_OCTETS, INLINE_OCTETS
from postroad.spool.rows import CorruptRow, sequence_of, undamaged
from postroad.spool.space import storage_fault

Answer = TypeVar("Answer")

#: Octets of a content file that one visit to a thread fetches.
_CHUNK_OCTETS: Final = 8 * BLOCK_OCTETS
_FILE_THREADS: Final = 4

_CONTENT: Final = "SELECT m.size, m.file, c.prefix, c.octets FROM message AS m JOIN content AS c USING (sequence) WHERE m.sequence = ?"


class Reader:
    """Answers questions about what is stored; used on the event loop."""

    def __init__(self, database: Path, files: ContentFiles) -> None:
        self._database = database
        self._files = files
        self._connection: apsw.Connection | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, "spool-reader")
        self._file_threads = ThreadPoolExecutor(_FILE_THREADS, "spool-files")

    async def ask(self, question: Callable[[apsw.Connection], Answer]) -> Answer:
        """The answer, from one consistent state of the database; raises what ``question`` raises, and SpoolError."""
        self._alive()
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, question)

    def _alive(self) -> None:
        if self._closed:
            raise SpoolError("the spool is closed")

    def _answer(self, question: Callable[[apsw.Connection], Answer]) -> Answer:
        if self._connection is None:
            self._connection = open_reader(self._database)
        connection = self._connection
        try:
            connection.execute("BEGIN")
            try:
                return question(connection)
            finally:
                connection.execute("COMMIT")
        except (apsw.Error, UnicodeDecodeError) as error:
            self._connection = None
            connection.close(True)
            raise SpoolError(f"the spool could not be read: {type(error).__name__}: {error}") from error

    async def content(self, message_id: MessageId) -> AsyncIterator[bytes]:
        """Prefix and content in blocks; raises NotFound at the first step, SpoolError when they are damaged."""
        size, file, prefix, octets = await self.ask(lambda connection: _load_content(connection, message_id))
        for part in (prefix, octets):
            for start in range(0, len(part), BLOCK_OCTETS):
                yield part[start : start + BLOCK_OCTETS]
        if file is None:
            return
        left = size - len(prefix)
        descriptor = await self._descriptor(file, left, message_id)
        try:
            while left:
                chunk = await self._in_thread(_read, descriptor, min(left, _CHUNK_OCTETS), message_id)
                left -= len(chunk)
                for start in range(0, len(chunk), BLOCK_OCTETS):
                    yield chunk[start : start + BLOCK_OCTETS]
        finally:
            os.close(descriptor)

    async def _descriptor(self, file: str, octets: int, message_id: MessageId) -> int:
        """The content file of a row that was just read; NotFound when both went in between, for a file goes after its row."""
        try:
            return await self._in_thread(self._open, file, octets, message_id)
        except SpoolError:
            await self.ask(lambda connection: sequence_of(connection, message_id))
            raise

    async def _in_thread(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        self._alive()
        return await asyncio.get_running_loop().run_in_executor(self._file_threads, function, *arguments)

    def _open(self, file: str, octets: int, message_id: MessageId) -> int:
        """Open a content file of exactly so many octets."""
        try:
            descriptor = self._files.open(file)
        except OSError as error:
            raise storage_fault(error, f"content of {message_id} cannot be read") from error
        found = os.fstat(descriptor).st_size
        if found != octets:
            os.close(descriptor)
            raise CorruptRow(message_id, f"its content file has {found} octets, not {octets}")
        return descriptor

    def close(self) -> None:
        """Finish what was asked, and answer nothing more; blocks."""
        self._closed = True
        self._file_threads.shutdown(wait=True)
        self._thread.submit(self._disconnect)
        self._thread.shutdown(wait=True)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close(True)
            self._connection = None


def _read(descriptor: int, octets: int, message_id: MessageId) -> bytes:
    try:
        chunk = os.read(descriptor, octets)
    except OSError as error:
        raise storage_fault(error, f"content of {message_id} cannot be read") from error
    if not chunk:
        raise CorruptRow(message_id, "its content file was cut while it was read")
    return chunk


def _load_content(connection: apsw.Connection, message_id: MessageId) -> tuple[int, str | None, bytes, bytes]:
    """Size, content file, prefix, and content unless there is a file."""
    sequence = sequence_of(connection, message_id)
    with undamaged(message_id):
        row: tuple[Any, ...] | None = connection.execute(_CONTENT, (sequence,)).fetchone()
    match row:
        case (int(size), str(file), bytes(prefix), None) if size >= len(prefix) + INLINE_OCTETS:
            return size, file, prefix, b""
        case (int(size), None, bytes(prefix), bytes(octets)) if size == len(prefix) + len(octets):
            return size, None, prefix, octets
    raise CorruptRow(message_id, "its content is not as long as its row says")
