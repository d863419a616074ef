"""A spool is looked at while no server has it, or while one has; looking changes nothing."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from postroad.envelope import Outcome, Result
from postroad.errors import NotFound, SpoolError
from postroad.spool.interface import JournalQuery, MessageQuery, SpoolView
from postroad.spool.readonly import open_readonly
from postroad.spool.sqlite import SqliteSpool
from tests.spool.stories import BOB, EVE, INBOX, LATER, T0, FakeClock, accepted, attempt, octets


async def filled(folder: Path, shard: int = 0) -> SqliteSpool:
    spool = await SqliteSpool.open(folder, shard, clock=FakeClock(), min_free=0)
    await accepted(spool, BOB, EVE, INBOX, transcript="S: 220")
    await accepted(spool, content=bytes(100_000))
    batch = (await spool.lease(T0, 1, 60))[0]
    await spool.settle(batch, attempt(Result(0, Outcome.DEFERRED, LATER, "", T0 + 9)))
    return spool


async def answers(spool: SpoolView) -> list[object]:
    found = await spool.messages(MessageQuery())
    names = [one.id for one in found]
    return [
        found,
        [await spool.message(name) for name in names],
        [await spool.transcript(name) for name in names],
        [await spool.attempts(name) for name in names],
        await spool.journal(JournalQuery()),
        await spool.summary("destination", MessageQuery(), 9),
        await spool.summary("reply", MessageQuery(), 9),
        await spool.find_ids(names[0][-6:], 9),
        await spool.stats(),
        spool.shard,
        [len(b"".join([block async for block in spool.read(name)])) for name in names],
    ]


@pytest.mark.parametrize("running", [False, True])
def test_it_answers_as_the_spool_itself(tmp_path: Path, running: bool) -> None:
    async def play() -> None:
        for shard in (0, 3):
            spool = await filled(tmp_path, shard)
            expected = await answers(spool)
            if not running:
                await spool.close()
            before = sorted((path, path.stat().st_size) for path in tmp_path.rglob("*.sqlite"))
            view = open_readonly(tmp_path)[-1]
            assert await answers(view) == expected
            with pytest.raises(NotFound):
                await view.message(spool.new_id())
            await view.close()
            await view.close()
            with pytest.raises(SpoolError, match="closed"):
                await view.stats()
            await spool.close()
            assert running or sorted((path, path.stat().st_size) for path in tmp_path.rglob("*.sqlite")) == before
        assert [one.shard for one in open_readonly(tmp_path)] == [0, 3]

    asyncio.run(play())


def test_what_a_killed_server_left_in_the_wal_is_seen(tmp_path: Path) -> None:
    async def play() -> None:
        spool = await filled(tmp_path)
        copy = tmp_path / "copy"
        (copy / "shard-0" / "content").mkdir(parents=True)
        for name in ("spool.sqlite", "spool.sqlite-wal"):
            (copy / "shard-0" / name).write_bytes((tmp_path / "shard-0" / name).read_bytes())
        (view,) = open_readonly(copy)
        assert await view.messages(MessageQuery()) == await spool.messages(MessageQuery())
        await view.close()
        await spool.close()
        again = await SqliteSpool.open(copy, clock=FakeClock(), min_free=0)  # nothing of it was lost by looking
        assert len(await again.messages(MessageQuery())) == 2
        assert len(await octets(again, (await again.messages(MessageQuery(oldest_first=True)))[0].id)) > 16
        await again.close()

    asyncio.run(play())


def test_where_there_is_none(tmp_path: Path) -> None:
    assert open_readonly(tmp_path / "nowhere") == []
    (tmp_path / "shard-1").mkdir()
    (tmp_path / "shard-x").mkdir()
    assert open_readonly(tmp_path) == []
    with pytest.raises(SpoolError, match="cannot read"):
        open_readonly(Path("/dev/null"))


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("PRAGMA user_version = 1", "older format 1"),
        ("PRAGMA user_version = 99", "format 99"),
        ("PRAGMA application_id = 1", "no spool of Postroad"),
        ("UPDATE counter SET value = 3 WHERE name = 'shard'", "another shard"),
    ],
)
def test_what_it_cannot_read_it_says(tmp_path: Path, statement: str, complaint: str) -> None:
    async def play() -> None:
        await (await filled(tmp_path)).close()
        with closing(apsw.Connection(str(tmp_path / "shard-0" / "spool.sqlite"))) as connection:
            connection.execute(statement)
        (view,) = open_readonly(tmp_path)
        with pytest.raises(SpoolError, match=complaint) as caught:
            await view.messages(MessageQuery())
        assert caught.value.hint
        await view.close()

    asyncio.run(play())
