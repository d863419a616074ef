"""The disk fails: full, out of inodes, I/O errors. Nothing is acknowledged then, and service comes back by itself."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from postroad.envelope import Batch, Draft, MessageId, Outcome, Result
from postroad.errors import SpoolError, StorageFull
from postroad.spool import content, keeping
from postroad.spool.interface import JournalQuery
from postroad.spool.space import storage_fault
from postroad.spool.sqlite import SqliteSpool
from tests.spool.stories import (
    BOB,
    EVE,
    LATER,
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
from tests.spool.test_crash import Ledger, acceptor, check

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """16 MiB and 2,000 inodes."""
    point = tmp_path / "disk"
    point.mkdir()
    options = "size=16m,nr_inodes=2000"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(point)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"privileged: mount ({done.stderr.strip()})")
    yield point
    subprocess.run(["umount", "--lazy", str(point)], check=True)


def fill(folder: Path) -> Path:
    """Take all that is left of a disk."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
    return filler


@pytest.mark.privileged("root", "mount")
def test_a_short_disk_is_told_before_content_and_delivery_goes_on(small_disk: Path) -> None:
    async def play() -> None:
        clock = FakeClock()
        spool = await SqliteSpool.open(small_disk, clock=clock, min_free=4 * MIB)
        names = []
        with pytest.raises(StorageFull):
            while True:
                clock.now += 2
                names.append(await accepted(spool, content=os.urandom(60_000)))
        assert len(names) > 30
        assert spool.free_octets() == 0
        for batch in await spool.lease(T0 + 9999, 1000, 60):
            assert await spool.settle(batch, delivered(batch))
        assert await everything(spool) == []
        await asyncio.sleep(1.5)  # the committer finds out what is free while it is idle
        clock.now += 2
        for _ in range(20):
            await accepted(spool, content=os.urandom(60_000))
        await spool.close()

    asyncio.run(play())


@pytest.mark.privileged("root", "mount")
def test_a_full_disk_acknowledges_nothing_and_loses_nothing(small_disk: Path) -> None:
    async def play() -> None:
        clock = FakeClock()
        spool = await SqliteSpool.open(small_disk, clock=clock, min_free=0)
        contents = {}
        for _ in range(20):
            body = os.urandom(50_000)
            contents[await accepted(spool, content=body)] = body
        writers = [written(spool, os.urandom(60_000)) for _ in range(100)]
        large = spool.open_content()
        filler = fill(small_disk)
        with pytest.raises(StorageFull):
            for _ in range(100):
                large.write(bytes(60_000))
        errors = [await outcome(spool, draft(spool), writer) for writer in writers]
        refused = [error for error in errors if error is not None]
        assert len(refused) > 50  # the first ones find room in the WAL
        assert all(isinstance(error, StorageFull) for error in refused)
        assert len(await everything(spool)) == 120 - len(refused)
        for name, body in contents.items():
            assert await octets(spool, name) == b"Received: here\r\n" + body
        clock.now += 2
        with pytest.raises(StorageFull):
            spool.open_content()
        filler.unlink()
        clock.now += 2
        await accepted(spool, content=bytes(60_000))
        await accepted(spool, content=bytes(600_000))
        assert len(list((small_disk / "shard-0" / "content").iterdir())) == 1
        kept = await everything(spool)
        await spool.close()
        spool = await SqliteSpool.open(small_disk, clock=clock, min_free=0)
        assert await everything(spool) == kept
        await spool.close()

    asyncio.run(play())


@pytest.mark.privileged("root", "mount")
def test_a_full_disk_while_reports_are_written(small_disk: Path) -> None:
    """Each message is there, or was given up and its report is there; nothing is there twice."""

    async def play() -> None:
        spool = await SqliteSpool.open(small_disk, clock=FakeClock(), min_free=0)
        names = [await accepted(spool, content=bytes(40_000)) for _ in range(60)]
        batches = await spool.lease(T0, 100, 60)
        filler = fill(small_disk)
        reports: dict[MessageId, MessageId] = {}
        refused: list[Batch] = []

        async def give_up(batch: Batch) -> None:
            one = draft(spool, EVE, reverse_path="", prefix=b"")
            try:
                writer = spool.open_report()
                for _ in range(6):
                    writer.write(os.urandom(10_000))
                done = await spool.settle(batch, attempt(Result(0, Outcome.FAILED, LATER)), [(one, writer)])
            except StorageFull:
                refused.append(batch)
                return
            assert done
            reports[batch.message.id] = one.id

        for batch in batches:
            await give_up(batch)
        assert len(refused) > 10  # the first ones find room in the WAL, and in what messages left behind
        filler.unlink()
        again, refused = refused, []
        assert sorted(await everything(spool)) == sorted([*(set(names) - reports.keys()), *reports.values()])
        await asyncio.gather(*map(give_up, again))
        assert refused == []
        assert reports.keys() == set(names)
        assert sorted(await everything(spool)) == sorted(reports.values())
        await spool.close()
        spool = await SqliteSpool.open(small_disk, clock=FakeClock(), min_free=0)
        assert sorted(await everything(spool)) == sorted(reports.values())
        for name in reports.values():
            assert len(await octets(spool, name)) == 60_000
        await spool.close()

    asyncio.run(play())


@pytest.mark.privileged("root", "mount")
def test_inodes_run_out(small_disk: Path) -> None:
    async def play() -> None:
        clock = FakeClock()
        spool = await SqliteSpool.open(small_disk, clock=clock, min_free=0)
        assert spool.free_octets() != 0
        early = spool.open_content()
        many = small_disk / "many"
        many.mkdir()
        with pytest.raises(OSError, match="No space left"):
            for number in range(3000):
                (many / str(number)).touch()
        assert spool.free_octets() == 0
        clock.now += 2
        with pytest.raises(StorageFull):
            spool.open_content()
        with pytest.raises(StorageFull):
            early.write(bytes(100_000))
        shutil.rmtree(many)
        clock.now += 2
        await accepted(spool, content=bytes(100_000))
        await spool.close()

    asyncio.run(play())


STRACE = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync,pwrite64,write,openat"]


@pytest.mark.privileged("ptrace")
@pytest.mark.parametrize(
    ("fault", "path"),
    [
        ("fdatasync,fsync:error=EIO:when=1", "spool.sqlite-wal"),
        ("fdatasync,fsync:error=EIO:when=3", "spool.sqlite-wal"),
        ("fdatasync,fsync:error=EIO:when=3+7", "spool.sqlite-wal"),
        ("pwrite64:error=EIO:when=5", "spool.sqlite-wal"),
        ("pwrite64:error=ENOSPC:when=7..30", "spool.sqlite-wal"),
        ("fsync:error=EIO:when=3", "content"),
    ],
)
def test_errors_of_the_disk(tmp_path: Path, fault: str, path: str) -> None:
    """The process is told of errors by the kernel; what it did acknowledge is there, what it refused is not."""

    async def create() -> None:
        await (await SqliteSpool.open(tmp_path, min_free=0)).close()

    asyncio.run(create())
    where = str(tmp_path / "shard-0" / path)
    process = acceptor(tmp_path, 5, 40, *STRACE, "-P", where, "-e", f"inject={fault}")
    ledger = Ledger()
    ledger.read(process)
    assert process.wait() == 0
    assert ledger.closed
    assert ledger.errors, "the fault was not met"
    assert len(ledger.acked) >= 5, "the spool did not go on"
    assert len(ledger.acked) + len(ledger.errors) == 40
    kinds = {"StorageFull"} if "ENOSPC" in fault else {"SpoolError"}
    assert set(ledger.errors.values()) == kinds
    kept = asyncio.run(check(tmp_path, ledger))
    assert kept == len(ledger.acked), "what was refused was kept"


class Failing:
    """A connection whose COMMIT is reported as failed: before the fact, or after it (the worst case)."""

    def __init__(self, connection: apsw.Connection, after: bool) -> None:
        self._connection = connection
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *arguments: Any) -> Any:
        if sql != "COMMIT":
            return self._connection.execute(sql, *arguments)
        if self._after:
            self._connection.execute(sql)
        raise apsw.IOError("disk I/O error")


def fail_commits(spool: SqliteSpool, after: bool) -> None:
    real = spool._committer._connection
    assert real is not None
    spool._committer._connection = Failing(real, after)  # type: ignore[assignment]


class TestCommitFails(Backend):
    async def open(self, folder: Path, **options: Any) -> SqliteSpool:
        self.folder = folder
        return await SqliteSpool.open(folder, clock=self.clock, min_free=0, **options)

    @story()
    @pytest.mark.parametrize("after", [False, True], ids=["not kept", "kept all the same"])
    async def test_nothing_is_acknowledged_and_nothing_comes_back(self, spool: SqliteSpool, after: bool) -> None:
        before, again = await accepted(spool), draft(spool)
        told: list[SpoolError | None] = []
        async with committer_busy(spool):
            fail_commits(spool, after)
            for size in (10, 100_000, 10):
                spool.accept(draft(spool), written(spool, bytes(size)), told.append)
            spool.accept(again, written(spool, b"1"), told.append)
            hold = asyncio.create_task(spool.hold(before, "why"))
            await asyncio.sleep(0)
        with pytest.raises(SpoolError):
            await hold
        assert [type(error) for error in told] == [SpoolError] * 4
        # It goes on by itself, with what it had acknowledged and nothing else.
        assert await outcome(spool, again, written(spool, b"2")) is None
        assert await everything(spool) == [before, again.id]
        assert (await spool.stats()).messages == 2
        assert await octets(spool, again.id) == b"Received: here\r\n2"
        assert list((self.folder / "shard-0" / "content").iterdir()) == []

    @story()
    @pytest.mark.parametrize("after", [False, True], ids=["not kept", "kept all the same"])
    @pytest.mark.parametrize("size", [10, 100_000])
    async def test_a_report_and_its_recipient_are_never_apart(self, spool: SqliteSpool, after: bool, size: int) -> None:
        """A settle that was reported as failed happened with its report, or not at all; doing it again doubles nothing."""
        name = await accepted(spool, BOB, content=bytes(100_000))
        (batch,) = await spool.lease(T0, 9, 60)
        gone = attempt(Result(0, Outcome.FAILED, LATER))
        fail_commits(spool, after)
        first = draft(spool, EVE, reverse_path="")
        with pytest.raises(SpoolError):
            await spool.settle(batch, gone, [(first, written(spool, bytes(size)))])
        second = draft(spool, EVE, reverse_path="")
        assert await spool.settle(batch, gone, [(second, written(spool, bytes(size)))]) is not after
        kept = first if after else second
        assert await everything(spool) == [kept.id]
        assert await octets(spool, kept.id) == b"Received: here\r\n" + bytes(size)
        assert (await spool.stats()).recipients == {"queued": 1, "held": 0, "delivered": 0, "failed": 0}
        assert [entry.message for entry in await spool.journal(JournalQuery())] == [name]
        assert (await spool.journal(JournalQuery()))[0].line == 1
        await spool.close()
        spool = await self.open(self.folder)
        assert await everything(spool) == [kept.id]
        assert len(list((self.folder / "shard-0" / "content").iterdir())) == (size > 65_536)
        await spool.close()

    @story()
    async def test_a_report_whose_file_does_not_reach_the_disk(
        self, spool: SqliteSpool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        name = await accepted(spool, BOB)
        (batch,) = await spool.lease(T0, 9, 60)

        def fail(_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        one = draft(spool, reverse_path="")
        with monkeypatch.context() as patch:
            patch.setattr(content.ContentFiles, "sync", fail)
            with pytest.raises(StorageFull):
                await spool.settle(
                    batch, attempt(Result(0, Outcome.FAILED, LATER)), [(one, written(spool, bytes(100_000)))]
                )
        assert await everything(spool) == [name]
        assert (await spool.message(name)).recipients == batch.message.recipients
        assert list((self.folder / "shard-0" / "content").iterdir()) == []
        assert await spool.settle(batch, delivered(batch))

    @story()
    async def test_who_claimed_hears_of_a_commit_that_failed(self, spool: SqliteSpool) -> None:
        claimed: list[Batch] = []
        lost: list[Draft] = []
        spool.on_accepting(lambda _: 60.0)
        spool.on_claimed(claimed.extend, lost.extend)
        fail_commits(spool, True)
        one = draft(spool)
        assert await outcome(spool, one, written(spool, b"x")) is not None
        await accepted(spool)
        assert lost == [one]
        assert len(claimed) == 1
        assert spool._hot.octets > 0
        assert await spool.settle(claimed[0], delivered(claimed[0]))
        assert spool._hot.octets == 0
        assert await everything(spool) == []

    @story()
    async def test_a_name_that_was_taken_is_not_taken_back(self, spool: SqliteSpool) -> None:
        """A message of long ago, whose id comes again in a transaction that fails, stays."""
        old = draft(spool)
        assert await outcome(spool, old, written(spool, b"old")) is None
        fail_commits(spool, True)
        assert await outcome(spool, old, written(spool, b"new")) is not None
        await accepted(spool)
        assert await octets(spool, old.id) == b"Received: here\r\nold"

    @story()
    async def test_it_tries_to_open_again_until_it_can(self, spool: SqliteSpool) -> None:
        before = await accepted(spool)
        reopen = spool._committer._open_connection
        fail_commits(spool, False)

        def broken() -> apsw.Connection:
            raise SpoolError("still broken")

        spool._committer._open_connection = broken
        for _ in range(3):
            assert await outcome(spool, draft(spool), written(spool, b"x")) is not None
        assert await everything(spool) == [before]
        spool._committer._open_connection = reopen
        after = await accepted(spool)
        assert await everything(spool) == [before, after]

    @story()
    async def test_content_that_does_not_reach_the_disk(
        self, spool: SqliteSpool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        small, large = written(spool, b"x"), written(spool, bytes(100_000))

        def fail(_: Any) -> None:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr(content.ContentFiles, "sync", fail)
        told: list[SpoolError | None] = []
        async with committer_busy(spool):
            spool.accept(draft(spool), small, told.append)
            spool.accept(draft(spool), large, told.append)
        await accepted(spool)
        assert [type(error) for error in told] == [type(None), SpoolError]
        assert list((self.folder / "shard-0" / "content").iterdir()) == []

    @story()
    async def test_an_unexpected_fault_is_an_answer_too(
        self, spool: SqliteSpool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(keeping, "accept", lambda *_: 1 / 0)
        assert isinstance(await outcome(spool, draft(spool), written(spool, b"x")), SpoolError)
        monkeypatch.undo()
        await accepted(spool)


def test_which_errors_mean_a_full_disk() -> None:
    for number in (errno.ENOSPC, errno.EDQUOT):
        fault = storage_fault(OSError(number, os.strerror(number)), "x")
        assert isinstance(fault, StorageFull)
        assert fault.hint
    assert not isinstance(storage_fault(OSError(errno.EIO, "Input/output error"), "x"), StorageFull)
