"""A spool of an older release is brought up to date when it is opened: all of it, or, when that is cut short, nothing."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from postroad.envelope import Attempt, MessageId, NewRecipient, Outcome, Recipient, Result
from postroad.errors import SpoolError
from postroad.replies import Reply
from postroad.spool import database, migration
from postroad.spool.interface import JournalQuery, MessageQuery, QueueGroup
from postroad.spool.sqlite import SqliteSpool
from tests.spool.stories import DELIVERED, HELD, QUEUED, T0, FakeClock, accepted, octets, recipient

#: The tables of version 1, as the release that had them wrote them.
VERSION_1 = """
CREATE TABLE message (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    reverse_path TEXT NOT NULL,
    parameters TEXT NOT NULL,
    received_at REAL NOT NULL,
    size INTEGER NOT NULL,   -- octets of prefix and content
    origin TEXT NOT NULL,    -- JSON
    file TEXT                -- content file; NULL: content.octets
) STRICT;
CREATE TABLE content (
    sequence INTEGER PRIMARY KEY,
    prefix BLOB NOT NULL,
    octets BLOB,
    transcript TEXT NOT NULL
) STRICT;
CREATE TABLE recipient (
    message INTEGER NOT NULL,
    number INTEGER NOT NULL,
    forward_path TEXT NOT NULL,
    destination TEXT NOT NULL,
    parameters TEXT NOT NULL,
    state INTEGER NOT NULL,  -- an index into STATES
    attempts INTEGER NOT NULL,
    next_due REAL,
    reply TEXT,              -- JSON
    note TEXT NOT NULL,
    token INTEGER NOT NULL,  -- of the last lease; 0: none
    expires REAL NOT NULL,   -- of the last lease; 0: none
    wake REAL,
    PRIMARY KEY (message, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX recipient_wake ON recipient (wake) WHERE wake IS NOT NULL;
CREATE TABLE attempt (
    message INTEGER NOT NULL,
    line INTEGER NOT NULL,
    at REAL NOT NULL,
    seconds REAL NOT NULL,
    route TEXT NOT NULL,
    host TEXT NOT NULL,
    results TEXT NOT NULL,   -- JSON
    transcript TEXT NOT NULL,
    PRIMARY KEY (message, line)
) STRICT, WITHOUT ROWID;
CREATE TABLE counter (
    name TEXT PRIMARY KEY,   -- 'shard'; 'sequence': the highest ever given, written when its message is deleted
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO counter VALUES ('shard', 0), ('sequence', 41);
PRAGMA application_id = 0x5072640A;
PRAGMA user_version = 1;

INSERT INTO message VALUES (7, '0-seven', 'kana@example.net', 'SMTPUTF8', 1750000000.0, 8, '{}', NULL),
    (9, '0-nine', '', '', 1750000001.0, 2, '{"peer":"192.0.2.1:5"}', NULL);
INSERT INTO content VALUES (7, x'50', CAST('content' AS BLOB), 'S: 220'), (9, x'', CAST('ab' AS BLOB), '');
INSERT INTO recipient VALUES
    (7, 0, 'bob@example.org', 'example.org', 'NOTIFY=NEVER', 0, 1, 1750000300.0, '[451,"4.7.1","a\\nb"]', 'later', 0, 0.0,
        1750000300.0),
    (7, 1, 'eve@example.com', 'example.com', '', 2, 1, NULL, '[250,null,"ok"]', '', 0, 0.0, NULL),
    (7, 2, 'kept@example.org', 'example.org', '', 1, 0, NULL, NULL, 'inbox', 0, 0.0, NULL),
    (9, 0, 'zoe@example.org', 'example.org', '', 0, 1, 1750000001.0, NULL, 'refused', 3, 1750000060.0, 1750000060.0);
INSERT INTO attempt VALUES
    (7, 1, 1750000002.0, 0.5, 'mx', 'mx.example.org',
        '[{"number":0,"outcome":"deferred","reply":[451,"4.7.1","a\\nb"],"note":"later","next_due":1750000300.0,"uncertain":false}]',
        'S: 451'),
    (7, 2, 1750000004.0, 0.5, 'mx', '', '[{"number":1,"outcome":"delivered","reply":[250,null,"ok"],"note":""}]', ''),
    (7, 3, 1750000005.0, 0.5, 'mx', '', '[{}]', 'damaged'),
    (9, 1, 1750000003.0, 0.5, 'mx', '', '[{"number":0,"outcome":"deferred","note":"refused","next_due":1750000001.0}]', '');
"""

SEVEN, NINE = MessageId("0-seven"), MessageId("0-nine")
LATER = Reply(451, "a\nb", "4.7.1")


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A state folder with a spool of version 1."""
    folder = tmp_path / "shard-0"
    (folder / "content").mkdir(parents=True)
    with closing(apsw.Connection(str(folder / "spool.sqlite"))) as connection:
        connection.pragma("journal_mode", "wal")
        connection.execute(VERSION_1)
    return tmp_path


def version_of(folder: Path) -> object:
    with closing(apsw.Connection(str(folder / "shard-0" / "spool.sqlite"))) as connection:
        return connection.pragma("user_version")


def dump(folder: Path) -> list[tuple[object, ...]]:
    with closing(apsw.Connection(str(folder / "shard-0" / "spool.sqlite"))) as connection:
        schema = connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name").fetchall()
        return [*schema, *connection.execute("SELECT * FROM recipient").fetchall()]


def test_everything_is_there_and_goes_on(old: Path) -> None:
    async def play() -> None:
        spool = await SqliteSpool.open(old, clock=FakeClock(), min_free=0)
        seven = await spool.message(SEVEN)
        assert seven.recipients == (
            Recipient(0, "bob@example.org", "example.org", "NOTIFY=NEVER", QUEUED, 1, T0 + 300, LATER, "later"),
            Recipient(1, "eve@example.com", "example.com", "", DELIVERED, 1, None, Reply(250, "ok"), ""),
            Recipient(2, "kept@example.org", "example.org", "", HELD, 0, None, None, "inbox"),
        )
        assert (seven.sequence, seven.parameters, seven.size) == (7, "SMTPUTF8", 8)
        assert await octets(spool, SEVEN) == b"Pcontent"
        assert await spool.transcript(SEVEN) == "S: 220"
        assert [one.transcript for one in await spool.attempts(SEVEN)] == ["S: 451", ""]
        entries = await spool.journal(JournalQuery(oldest_first=True))
        assert [(one.line, one.message, one.forward_paths) for one in entries] == [
            (1, SEVEN, {0: "bob@example.org"}),
            (2, NINE, {0: "zoe@example.org"}),
            (3, SEVEN, {1: "eve@example.com"}),
            (4, NINE, {0: "zoe@example.org"}),  # the lease that was running
        ]
        assert entries[0].attempt == Attempt(
            T0 + 2, 0.5, "mx", "mx.example.org",
            (Result(0, Outcome.DEFERRED, LATER, "later", T0 + 300),), "S: 451",
        )  # fmt: skip
        assert entries[3].attempt.results[0].uncertain
        assert await spool.summary("reply", MessageQuery(), 9) == [
            QueueGroup("451 4.7.1", 1, T0, T0 + 300),
            QueueGroup("refused", 1, T0 + 1, T0 + 1),
        ]
        assert [one.id for one in await spool.messages(MessageQuery(code="2*"))] == [SEVEN]
        assert (await spool.stats()).recipients == {"queued": 2, "held": 1, "delivered": 1, "failed": 0}
        fresh = await accepted(spool, NewRecipient("a@example.org", "example.org"), priority=4, received_at=T0 + 20)
        assert (await spool.message(fresh)).sequence == 42
        assert [batch.message.id for batch in await spool.lease(T0 + 300, 9, 60)] == [fresh, NINE, SEVEN]
        await spool.close()
        assert version_of(old) == 2
        spool = await SqliteSpool.open(old, clock=FakeClock(), min_free=0)
        assert (await recipient(spool, SEVEN)).reply == LATER
        await spool.close()

    asyncio.run(play())


def test_it_becomes_what_a_new_spool_is(old: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    new = tmp_path_factory.mktemp("new")
    shapes = []
    for folder in (old, new):
        asyncio.run(_open_and_close(folder))
        with closing(apsw.Connection(str(folder / "shard-0" / "spool.sqlite"))) as connection:
            columns = "SELECT t.name, c.* FROM pragma_table_list AS t, pragma_table_xinfo(t.name) AS c WHERE t.schema = 'main'"
            indexes = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' ORDER BY name"
            shapes.append((sorted(connection.execute(columns)), connection.execute(indexes).fetchall()))
    assert shapes[0] == shapes[1]


async def _open_and_close(folder: Path) -> None:
    await (await SqliteSpool.open(folder, clock=FakeClock(), min_free=0)).close()


class Cut(Exception):
    """The process ends here."""


def test_cut_short_anywhere_it_is_as_it_was(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every statement: then the same again, from the beginning."""
    before = dump(old)
    statements = 0

    def cut_at(number: int) -> None:
        def migrate(connection: apsw.Connection, version: int) -> None:
            nonlocal statements
            statements = 0

            def trace(*_: object) -> bool:
                nonlocal statements
                statements += 1
                if statements == number:
                    raise Cut
                return True

            connection.exec_trace = trace
            try:
                migration.migrate(connection, version)
            finally:
                connection.exec_trace = None

        monkeypatch.setattr(database, "migrate", migrate)

    number = 0
    while True:
        number += 1
        cut_at(number)
        try:
            asyncio.run(_open_and_close(old))
            break
        except Cut:
            assert version_of(old) == 1
            assert dump(old) == before
    assert number > 20
    assert version_of(old) == 2


def test_a_damaged_recipient_does_not_keep_the_others_from_it(old: Path) -> None:
    with closing(apsw.Connection(str(old / "shard-0" / "spool.sqlite"))) as connection:
        connection.execute(
            "UPDATE recipient SET reply = '{', note = CAST(x'ff' AS TEXT) WHERE message = 7 AND number = 0"
        )
        connection.execute("UPDATE recipient SET forward_path = CAST(x'ff' AS TEXT) WHERE message = 7 AND number = 1")

    async def play() -> None:
        spool = await SqliteSpool.open(old, clock=FakeClock(), min_free=0)
        assert [one.id for one in await spool.messages(MessageQuery())] == [NINE]
        with pytest.raises(SpoolError, match="0-seven"):
            await spool.message(SEVEN)
        assert await spool.remove([SEVEN]) == 1
        await spool.close()

    asyncio.run(play())
