"""The SQLite spool keeps the contract, and what only a spool with a disk can promise."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from postroad.envelope import Batch, MessageId, Outcome, RecipientState, Result
from postroad.errors import NotFound, SpoolError
from postroad.spool import database, location
from postroad.spool.interface import JournalQuery, MessageQuery, Spool
from postroad.spool.space import default_min_free
from postroad.spool.sqlite import SqliteSpool
from tests.spool.conformance import Conformance
from tests.spool.stories import (
    BOB,
    EVE,
    INBOX,
    QUEUED,
    T0,
    Backend,
    FakeClock,
    accepted,
    attempt,
    committer_busy,
    delivered,
    draft,
    everything,
    octets,
    outcome,
    story,
    written,
)

MIB = 1024 * 1024


class TestSqliteSpool(Conformance):
    async def open(self, folder: Path, **options: Any) -> Spool:
        self.folder = folder
        return await SqliteSpool.open(folder, clock=self.clock, min_free=0, **options)


def content_files(folder: Path) -> list[str]:
    return sorted(entry.name for entry in (folder / "shard-0" / "content").iterdir())


class TestRestart(Backend):
    async def open(self, folder: Path, **options: Any) -> SqliteSpool:
        self.folder = folder
        return await SqliteSpool.open(folder, clock=self.clock, min_free=0, **options)

    async def again(self, spool: Spool) -> SqliteSpool:
        await spool.close()
        return await self.open(self.folder)

    @story()
    async def test_everything_is_found_again(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, EVE, INBOX, transcript="S: 220")
        large = await accepted(spool, content=bytes(100_000))
        batch = (await spool.lease(T0, 1, 60))[0]
        await spool.settle(batch, delivered(batch))
        before = await spool.messages(MessageQuery()), await spool.attempts(name), await spool.stats()
        spool = await self.again(spool)
        assert (await spool.messages(MessageQuery()), await spool.attempts(name), await spool.stats()) == before
        assert await spool.transcript(name) == "S: 220"
        assert len(await octets(spool, large)) == 100_016
        await spool.close()

    @story()
    async def test_a_lease_of_the_process_before_is_ended_and_called_uncertain(self, spool: Spool) -> None:
        name = await accepted(spool, BOB, EVE)
        await spool.lease(T0, 1, 3600)
        self.clock.now = T0 + 5
        spool = await self.again(spool)
        (line,) = await spool.attempts(name)
        assert line.at == T0 + 5
        (result,) = line.results
        assert (result.number, result.outcome, result.uncertain, result.next_due) == (0, Outcome.DEFERRED, True, T0)
        one = (await spool.message(name)).recipients[0]
        assert (one.state, one.attempts, one.next_due) == (QUEUED, 0, T0)
        assert len(await spool.lease(T0 + 5, 10, 60)) == 2
        await spool.close()

    @story()
    async def test_a_sequence_is_never_given_twice(self, spool: Spool) -> None:
        first = await accepted(spool)
        last = (await spool.message(first)).sequence
        await spool.remove([first])
        spool = await self.again(spool)
        assert (await spool.message(await accepted(spool))).sequence > last
        await spool.close()

    @story()
    async def test_orphans_are_swept_and_other_files_are_not(self, spool: Spool) -> None:
        await accepted(spool, content=bytes(100_000))
        abandoned = written(spool, bytes(100_000))
        (self.folder / "shard-0" / "content" / "README").write_text("not ours")
        assert len(content_files(self.folder)) == 3
        del abandoned
        spool = await self.again(spool)
        assert len(content_files(self.folder)) == 2
        assert "README" in content_files(self.folder)
        assert len(await octets(spool, (await everything(spool))[0])) == 100_016
        await spool.close()


class TestDisk(Backend):
    async def open(self, folder: Path, **options: Any) -> SqliteSpool:
        self.folder = folder
        return await SqliteSpool.open(folder, clock=self.clock, **({"min_free": 0} | options))

    @story()
    async def test_the_promise_is_in_the_settings(self, spool: SqliteSpool) -> None:
        connection = spool._committer._connection
        assert connection is not None
        assert (connection.pragma("journal_mode"), connection.pragma("synchronous")) == ("wal", 2)
        assert connection.pragma("wal_autocheckpoint") == 0

    @story()
    async def test_small_content_needs_no_file_and_large_content_one(self, spool: SqliteSpool) -> None:
        await accepted(spool, content=bytes(65_536))
        assert content_files(self.folder) == []
        name = await accepted(spool, content=bytes(65_537))
        assert len(content_files(self.folder)) == 1
        await spool.remove([name])
        assert content_files(self.folder) == []

    @story()
    async def test_content_that_goes_while_it_is_asked_for_is_not_found_and_no_fault(self, spool: SqliteSpool) -> None:
        name = await accepted(spool, content=bytes(100_000))
        open_file = spool._reader._open

        def too_late(file: str, octets: int, message_id: MessageId) -> int:
            asyncio.run_coroutine_threadsafe(spool.remove([message_id]), loop).result(10)
            return open_file(file, octets, message_id)

        loop = asyncio.get_running_loop()
        spool._reader._open = too_late  # type: ignore[method-assign]
        with pytest.raises(NotFound):
            await octets(spool, name)

    @story()
    async def test_content_whose_file_alone_is_gone_is_a_fault(self, spool: SqliteSpool) -> None:
        name = await accepted(spool, content=bytes(100_000))
        for path in (self.folder / "shard-0" / "content").iterdir():
            path.unlink()
        with pytest.raises(SpoolError, match="cannot be read"):
            await octets(spool, name)

    @story()
    async def test_a_refused_message_leaves_no_file(self, spool: SqliteSpool) -> None:
        one = draft(spool)
        assert await outcome(spool, one, written(spool, b"x")) is None
        assert await outcome(spool, one, written(spool, bytes(100_000))) is not None
        assert content_files(self.folder) == []
        written(spool, bytes(100_000)).discard()
        assert content_files(self.folder) == []

    @story()
    async def test_nobody_else_may_read_it(self, spool: SqliteSpool) -> None:
        await accepted(spool, content=bytes(100_000))
        for path in (self.folder / "shard-0", *(self.folder / "shard-0").rglob("*")):
            assert path.stat().st_mode & 0o077 == 0, path

    @story()
    async def test_one_process_one_shard(self, spool: SqliteSpool) -> None:
        with pytest.raises(SpoolError, match="in use by another process") as caught:
            await SqliteSpool.open(self.folder, min_free=0)
        assert str(os.getpid()) in str(caught.value)
        assert caught.value.hint
        other = await SqliteSpool.open(self.folder, shard=1, min_free=0)
        assert other.new_id().startswith("1-")
        await other.close()
        await spool.close()
        await (await SqliteSpool.open(self.folder, min_free=0)).close()

    @story()
    async def test_the_wal_is_written_back_when_nothing_comes(self, spool: SqliteSpool) -> None:
        await accepted(spool, content=bytes(60_000))
        main = self.folder / "shard-0" / "spool.sqlite"
        before = main.stat().st_size
        end = time.monotonic() + 10
        while main.stat().st_size == before and time.monotonic() < end:
            await asyncio.sleep(0.05)
        assert main.stat().st_size > before

    @story()
    async def test_the_wal_stays_short_under_load(self, spool: SqliteSpool) -> None:
        for _ in range(40):
            names = [await accepted(spool, content=bytes(60_000)) for _ in range(10)]
            await spool.messages(MessageQuery())  # a reader in between
            await spool.remove(names)
        wal = self.folder / "shard-0" / "spool.sqlite-wal"
        assert wal.stat().st_size < 8 * MIB  # 24 MB went through it

    @story()
    async def test_what_was_deleted_counts_as_free(self, spool: SqliteSpool) -> None:
        names = [await accepted(spool, content=bytes(60_000)) for _ in range(100)]
        await spool.remove(names)
        end = time.monotonic() + 10
        while not spool._committer.reusable and time.monotonic() < end:
            await asyncio.sleep(0.05)
        assert spool._committer.reusable > 5_000_000

    @story(min_free=1 << 60)
    async def test_min_free_is_left_alone(self, spool: SqliteSpool) -> None:
        assert spool.free_octets() == 0
        with pytest.raises(SpoolError):
            spool.open_content()

    @story()
    async def test_closing_ends_a_reading_that_is_half_done(self, spool: SqliteSpool) -> None:
        blocks = spool.read(await accepted(spool, content=bytes(5 * MIB)))
        await anext(blocks)
        await anext(blocks)
        await spool.close()
        with pytest.raises(SpoolError, match="closed"):
            async for _ in blocks:
                pass

    @story()
    async def test_accept_does_not_wait_for_the_disk(self, spool: SqliteSpool) -> None:
        """While the committer is at work, the event loop goes on, and outcomes come when it is done."""
        told: list[SpoolError | None] = []
        async with committer_busy(spool):
            for _ in range(100):
                spool.accept(draft(spool), written(spool, bytes(5000)), told.append)
            await asyncio.sleep(0.01)
            assert told == []
            assert await everything(spool) == []  # reading goes on as well
        await outcome(spool, draft(spool), written(spool, b"last"))
        assert told == [None] * 100


class TestClaimed(Backend):
    """One transaction brings a message and its lease, one takes it away; between them no disk is asked."""

    claimed: list[Batch]
    folder: Path

    async def open(self, folder: Path, **options: Any) -> SqliteSpool:
        spool = await SqliteSpool.open(folder, clock=self.clock, min_free=0, **options)
        self.folder, self.claimed = folder, []
        spool.on_accepting(lambda _: 60.0)
        spool.on_claimed(self.claimed.extend)
        return spool

    @story()
    async def test_small_content_is_read_from_memory_until_it_is_settled(
        self, spool: SqliteSpool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = await accepted(spool, BOB, EVE, content=bytes(65_536))
        with monkeypatch.context() as patch:
            patch.setattr(spool._reader, "content", None)
            assert len(await octets(spool, name)) == 65_552
        assert await spool.settle(self.claimed[0], delivered(self.claimed[0]))
        assert spool._hot.octets == 0
        assert len(await octets(spool, name)) == 65_552

    @story()
    async def test_two_transactions_a_message(self, spool: SqliteSpool) -> None:
        commits = 0

        def count(_: object) -> bool:
            nonlocal commits
            commits += 1
            return False

        await spool._committer.perform(lambda tx: tx.connection.set_commit_hook(lambda: count(None)))
        commits = 0
        await accepted(spool)
        await spool.settle(self.claimed[0], delivered(self.claimed[0]))
        assert commits == 2
        assert await everything(spool) == []

    @story()
    async def test_many_are_settled_together(self, spool: SqliteSpool) -> None:
        names = [await accepted(spool, content=bytes(size)) for size in (10, 100_000, *range(5, 60))]
        async with committer_busy(spool):
            settling = [asyncio.create_task(spool.settle(one, delivered(one))) for one in self.claimed]
            await asyncio.sleep(0)
        assert await asyncio.gather(*settling) == [True] * len(names)
        assert await spool.settle(self.claimed[0], delivered(self.claimed[0])) is False
        stats = await spool.stats()
        assert (stats.messages, stats.octets, set(stats.recipients.values())) == (0, 0, {0})
        lines = await spool.journal(JournalQuery(limit=100, oldest_first=True))
        assert [(entry.line, entry.message) for entry in lines] == list(enumerate(names, 1))
        assert list((self.folder / "shard-0" / "content").iterdir()) == []
        rows = await spool._committer.perform(lambda tx: tx.rows("SELECT count(*) FROM recipient, content, message"))
        assert rows == [(0,)]
        last = self.claimed[-1].message.sequence
        await spool.close()
        spool = await self.open(self.folder)
        await accepted(spool)
        assert self.claimed[0].message.sequence == last + 1
        await spool.close()

    @story()
    async def test_what_was_touched_meanwhile_is_looked_at(self, spool: SqliteSpool) -> None:
        await accepted(spool, BOB)
        held, lost, removed = [await accepted(spool, BOB) for _ in range(3)]
        batches = {batch.message.id: batch for batch in self.claimed}
        await spool.hold(held, "wait")
        await spool.remove([removed])
        late = attempt(Result(0, Outcome.DEFERRED, note="later", next_due=T0 + 99))
        assert await spool.settle(batches[held], late) is True
        assert (await spool.message(held)).recipients[0].state is RecipientState.HELD
        assert await spool.settle(batches[removed], delivered(batches[removed])) is False
        (again,) = [one for one in await spool.lease(T0 + 61, 9, 60) if one.message.id == lost]
        assert await spool.settle(batches[lost], delivered(batches[lost])) is False
        assert await spool.settle(again, delivered(again)) is True

    @story()
    async def test_memory_is_bounded(self, spool: SqliteSpool, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(spool._hot, "_limit", 1000)
        names = [await accepted(spool, content=bytes(384)) for _ in range(4)]
        assert spool._hot.octets == 800
        assert [len(await octets(spool, name)) for name in names] == [400] * 4
        await spool.hold(names[0], "wait")
        await spool.remove([names[1]])
        assert spool._hot.octets == 0
        await accepted(spool, content=bytes(70_000))
        assert spool._hot.octets == 0

    @story()
    async def test_a_claim_of_the_process_before_ends_with_it(self, spool: SqliteSpool) -> None:
        name = await accepted(spool)
        folder = spool._folder.path.parent
        await spool.close()
        spool = await SqliteSpool.open(folder, clock=self.clock, min_free=0)
        (batch,) = await spool.lease(T0, 9, 60)
        assert batch.message.id == name
        assert (await spool.attempts(name))[0].results[0].uncertain
        await spool.close()


def test_an_old_engine_is_refused() -> None:
    database.check_version("3.51.3")
    database.check_version("3.54.1")
    database.check_version("4.0.0")
    for version in ("3.51.2", "3.9.0", "3.40.1"):
        with pytest.raises(SpoolError, match=r"3\.51\.3 or newer"):
            database.check_version(version)


def opened(folder: Path, **options: Any) -> None:
    async def play() -> None:
        await (await SqliteSpool.open(folder, clock=FakeClock(), min_free=0, **options)).close()

    asyncio.run(play())


def test_what_is_no_spool_of_ours_is_refused(tmp_path: Path) -> None:
    opened(tmp_path)
    path = tmp_path / "shard-0" / "spool.sqlite"
    for statement, complaint in [
        ("PRAGMA user_version = 99", "format 99"),
        ("PRAGMA application_id = 1", "no spool of Postroad"),
        ("UPDATE counter SET value = 3 WHERE name = 'shard'", "another shard"),
    ]:
        original = path.read_bytes()
        with closing(apsw.Connection(str(path))) as connection:
            connection.execute(statement)
        with pytest.raises(SpoolError, match=complaint) as caught:
            opened(tmp_path)
        assert caught.value.hint
        path.write_bytes(original)
    path.write_bytes(b"mail " * 2000)
    with pytest.raises(SpoolError, match="cannot use"):
        opened(tmp_path)


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolError, match="cannot use") as caught:
        opened(tmp_path / "file")
    assert caught.value.hint


def test_the_lock_goes_with_its_process(tmp_path: Path) -> None:
    opened(tmp_path)
    code = (
        "import fcntl, sys, time; lock = open(sys.argv[1], 'r+'); fcntl.flock(lock, fcntl.LOCK_EX)\n"
        "print('locked', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "shard-0" / "lock")],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(SpoolError, match="in use"):
        opened(tmp_path)
    holder.kill()
    holder.communicate()
    opened(tmp_path)


@pytest.mark.parametrize(
    ("kind", "refused"),
    [("ext4", False), ("tmpfs", False), ("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("9p", True)],
)
def test_network_file_systems_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, refused: bool
) -> None:
    folder = str(tmp_path).replace(" ", "\\040")
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 254:0 / / rw - ext4 /dev/root rw\n"
        f"30 22 0:30 / {folder} rw,relatime shared:1 - {kind} server:/export rw\n"
        f"31 22 0:31 / {folder}x rw - xfs /dev/other rw\n"
        "garbage\n"
    )
    assert location.file_system(tmp_path / "deeper", mounts) == kind
    assert location.file_system(Path("/"), mounts) == "ext4"
    assert location.file_system(tmp_path, tmp_path / "missing") == ""
    monkeypatch.setattr(location, "file_system", lambda path: kind)
    if refused:
        with pytest.raises(SpoolError, match=f"network file system \\({kind}\\)"):
            opened(tmp_path)
    else:
        opened(tmp_path)


def test_the_default_reserve() -> None:
    gib = 1024 * MIB
    assert default_min_free(100_000 * gib) == gib
    assert default_min_free(10 * gib) == 10 * gib // 20
    assert default_min_free(gib) == gib // 20
    assert default_min_free(500 * MIB) == 50 * MIB
    assert default_min_free(100 * MIB) == 25 * MIB


def test_results_keep_their_shape(tmp_path: Path) -> None:
    """What is written now must be readable by a later release: this is the format on disk."""
    from postroad.replies import Reply
    from postroad.spool import coding

    later = Result(
        3, Outcome.DEFERRED, Reply(451, "a\nb", "4.7.1"), "note", 1.5, uncertain=True, stage="RCPT", delay_told=True
    )
    results = (later, Result(0, Outcome.HELD))
    text = (
        '[{"number":3,"outcome":"deferred","reply":[451,"4.7.1","a\\nb"],"note":"note","next_due":1.5,"uncertain":true,'
        '"stage":"RCPT","expired":false,"relayed":false,"delay_told":true},'
        '{"number":0,"outcome":"held","reply":null,"note":"","next_due":null,"uncertain":false,'
        '"stage":"","expired":false,"relayed":false,"delay_told":false}]'
    )
    assert coding.encode(results) == text
    assert coding.decode_results(text) == results
    assert coding.decode_results('[{"number":1,"outcome":"held","later":"field"}]') == (Result(1, Outcome.HELD),)
