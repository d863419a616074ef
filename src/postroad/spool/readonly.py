"""A spool that nobody has open, looked at: for ``postroad queue`` while the server is stopped. Nothing is changed.

The server may start meanwhile: the reader then sees what it commits.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import apsw

from postroad.envelope import Attempt, JournalEntry, MessageId, StoredMessage
from postroad.errors import SpoolError
from postroad.spool import journal, matching, rows
from postroad.spool.content import ContentFiles
from postroad.spool.database import check_format
from postroad.spool.interface import Ages, JournalQuery, MessageQuery, QueueGroup, SpoolStats, SpoolView
from postroad.spool.reading import Reader
from postroad.spool.transaction import count_all

_FOLDER: Final = re.compile(r"shard-(0|[1-9][0-9]{0,3})\Z")


class ReadonlySpool:
    """A SpoolView of one shard's folder."""

    def __init__(self, folder: Path, shard: int) -> None:
        """Raises SpoolError when there is no spool that this program reads."""
        self.shard = shard
        self._database = folder / "spool.sqlite"
        try:
            self._files = ContentFiles(folder / "content")
        except OSError as error:
            raise SpoolError(f"cannot read {folder}: {error.strerror}", "check its owner and rights") from error
        self._reader = Reader(self._database, self._files)
        self._checked = False
        self._closed = False

    async def message(self, message_id: MessageId) -> StoredMessage:
        """One message; raises NotFound."""
        await self._check()
        return await self._reader.ask(lambda db: rows.find_message(db, message_id))

    async def read(self, message_id: MessageId) -> AsyncIterator[bytes]:
        """Prefix and content in blocks of at most 64 KiB; raises NotFound at the first step."""
        await self._check()
        async for block in self._reader.content(message_id):
            yield block

    async def transcript(self, message_id: MessageId) -> str:
        """The SMTP session that brought the message; raises NotFound."""
        await self._check()
        return await self._reader.ask(lambda db: rows.load_transcript(db, message_id))

    async def messages(self, query: MessageQuery) -> list[StoredMessage]:
        """Messages by arrival, newest first unless asked otherwise; damaged ones are left out and reported."""
        await self._check()
        return await self._reader.ask(lambda db: matching.list_messages(db, query))

    async def find_ids(self, part: str, limit: int) -> list[MessageId]:
        """Ids that begin or end with ``part``, of messages and of the journal."""
        await self._check()
        return await self._reader.ask(lambda db: matching.find_ids(db, part, limit))

    async def attempts(self, message_id: MessageId) -> list[Attempt]:
        """What the journal has of a message that is here, oldest first; raises NotFound."""
        await self._check()
        return await self._reader.ask(lambda db: journal.load_attempts(db, message_id))

    async def journal(self, query: JournalQuery) -> list[JournalEntry]:
        """Lines of the journal, newest first unless asked otherwise."""
        await self._check()
        return await self._reader.ask(lambda db: journal.find_entries(db, query))

    async def summary(self, by: Literal["destination", "reply"], query: MessageQuery, limit: int) -> list[QueueGroup]:
        """Recipients that match, in groups, the largest first."""
        await self._check()
        return await self._reader.ask(lambda db: matching.summary(db, by, query, limit, {}))

    async def ages(self, query: MessageQuery, moments: Sequence[float], limit: int) -> Ages:
        """Recipients that match by destination and age."""
        await self._check()
        return await self._reader.ask(lambda db: matching.ages(db, query, moments, limit))

    async def stats(self) -> SpoolStats:
        """Counts."""
        await self._check()
        return (await self._reader.ask(count_all)).stats()

    async def close(self) -> None:
        """Let go of files; further calls raise SpoolError. May be repeated."""
        if not self._closed:
            self._closed = True
            self._reader.close()
            self._files.close()

    async def _check(self) -> None:
        """The first question of all is whether this is a spool of ours; an empty file is none yet."""
        if not self._checked:
            await self._reader.ask(self._check_format)
            self._checked = True

    def _check_format(self, connection: apsw.Connection) -> None:
        check_format(connection, self._database, self.shard)


def open_readonly(directory: Path) -> list[ReadonlySpool]:
    """The shards in ``directory``, none when it has none; raises SpoolError when one cannot be read."""
    try:
        found = sorted(int(shard[1]) for entry in directory.iterdir() if (shard := _FOLDER.match(entry.name)))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise SpoolError(f"cannot read {directory}: {error.strerror}", "check its owner and rights") from error
    folders = [(shard, directory / f"shard-{shard}") for shard in found]
    return [ReadonlySpool(folder, shard) for shard, folder in folders if (folder / "spool.sqlite").exists()]


if TYPE_CHECKING:
    _: type[SpoolView] = ReadonlySpool
