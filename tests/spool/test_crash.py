"""kill -9 under load: what was acknowledged is there afterwards, octet for octet, and what was settled is gone."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from postroad.envelope import MessageId, RecipientState, StoredMessage
from postroad.spool.interface import MessageQuery
from postroad.spool.sqlite import SqliteSpool
from tests.spool.stories import octets

ROUNDS = 10
ROOT = Path(__file__).resolve().parents[2]


def acceptor(folder: Path, seed: int, messages: int, *before: str) -> subprocess.Popen[bytes]:
    command = [*before, sys.executable, "-m", "tests.spool.acceptor", str(folder), str(seed), str(messages)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)


@dataclass
class Ledger:
    """What the process said, kept outside of it."""

    hashes: dict[str, str] = field(default_factory=dict)
    acked: set[str] = field(default_factory=set)
    settling: set[str] = field(default_factory=set)
    settled: set[str] = field(default_factory=set)
    errors: dict[str, str] = field(default_factory=dict)
    reports: dict[str, tuple[str, set[int]]] = field(default_factory=dict)
    """Report -> the message it is about, and the numbers of the recipients that were given up."""
    tried_again: set[str] = field(default_factory=set)
    """Reports about messages that were leased once more: they were never accepted."""
    closed: bool = False

    def note(self, line: str) -> None:
        match line.split(" "):
            case ["sent", name, digest]:
                self.hashes[name] = digest
            case ["acked", name]:
                self.acked.add(name)
            case ["error", name, kind]:
                self.errors[name] = kind
            case ["settling", name]:
                self.settling.add(name)
                self.tried_again |= {report for report, (about, _) in self.reports.items() if about == name}
            case ["settled", name, "True"]:
                self.settled.add(name)
            case ["reporting", name, report, numbers]:
                self.reports[report] = name, {int(number) for number in numbers.split(",")}
            case ["reported", report]:
                self.acked.add(report)
            case ["closed"]:
                self.closed = True

    def read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith(b"\n"):
                self.note(line.decode().rstrip("\n"))


async def check(folder: Path, ledger: Ledger) -> int:
    """Compare the spool with the ledger; gives how many messages it keeps."""
    spool = await SqliteSpool.open(folder, min_free=0)
    try:
        kept = {message.id: message for message in await spool.messages(MessageQuery(limit=1_000_000))}
        assert kept.keys() <= ledger.hashes.keys(), "a message nobody sent"
        lost = ledger.acked - kept.keys() - ledger.settling
        assert not lost, f"{len(lost)} acknowledged messages are lost"
        for name, message in kept.items():
            body = await octets(spool, MessageId(name))
            assert hashlib.sha256(body).hexdigest() == ledger.hashes[name], f"{name} is altered"
            if name in ledger.settled:
                assert all(one.state is not RecipientState.QUEUED for one in message.recipients), f"{name} comes back"
        check_reports(kept, ledger)
        files = {entry.name for entry in (folder / "shard-0" / "content").iterdir()}
        assert len(files) == sum(message.size > 65_536 + 13 for message in kept.values()), "orphans"
        return len(kept)
    finally:
        await spool.close()


def check_reports(kept: dict[MessageId, StoredMessage], ledger: Ledger) -> None:
    """A report is there exactly when the recipients that it reports are closed."""
    for report, (name, numbers) in ledger.reports.items():
        message = kept.get(MessageId(name))
        states = {} if message is None else {one.number: one.state for one in message.recipients}
        closed = all(states.get(number) not in (RecipientState.QUEUED, RecipientState.HELD) for number in numbers)
        if report in ledger.tried_again:
            assert report not in kept, f"{name} was reported, and tried again"
        elif report in kept:
            assert closed, f"{name} was reported, and comes back"
        elif report not in ledger.settling:
            assert not closed, f"{name} was given up, and nobody was told"


def test_kill_under_load(tmp_path: Path) -> None:
    chance = random.Random(os.urandom(8))
    ledger = Ledger()
    for number in range(ROUNDS):
        process = acceptor(tmp_path, number, 10**9)
        reader = threading.Thread(target=ledger.read, args=(process,))
        before = len(ledger.acked)
        reader.start()
        while len(ledger.acked) == before and reader.is_alive():
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.5))
        process.kill()
        process.wait()
        reader.join()  # all that was acknowledged before the end is in the ledger now
        assert len(ledger.acked) > before
        asyncio.run(check(tmp_path, ledger))
    assert ledger.errors == {}
    assert len(ledger.acked) > 20 * ROUNDS
    assert ledger.settled
    assert ledger.reports.keys() & ledger.acked


def test_the_ledger_would_notice(tmp_path: Path) -> None:
    """A check that cannot fail proves nothing: a message that is taken away is reported."""
    process = acceptor(tmp_path, 1, 5)
    ledger = Ledger()
    ledger.read(process)
    assert process.wait() == 0
    assert ledger.closed
    assert len(ledger.acked) == 5
    assert asyncio.run(check(tmp_path, ledger)) == 5
    ledger.acked.add("0-gone")
    try:
        asyncio.run(check(tmp_path, ledger))
    except AssertionError as error:
        assert "1 acknowledged messages are lost" in str(error)
    else:
        raise AssertionError("nothing was noticed")
