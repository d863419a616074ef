"""`kill -9` under load, again and again: whatever was answered with 250 is there afterwards, each octet of it.

Each round fifty sessions send as fast as they are answered, some to a maildir, some to a next hop, some to be held; at a
moment that nobody chose the process is killed and started on the same state. The ledger is the test's own.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

from tests.server_process import ServerProcess, until
from tests.service.conftest import Serve
from tests.service.load import Ledger, Load, one_of
from tests.service.sink import Sink

ROUNDS = 6
CONNECTIONS = 50
RECIPIENTS = ["box@maildir.example", "hop@smtp.example", "kept@hold.example"]


def config(maildir: Path, port: int) -> str:
    return f"""
        hostname = "mail.example.com"
        [mx]
        listen = ["127.0.0.1:0"]
        [[domain]]
        name = "maildir.example"
        deliver = "maildir:{maildir}/{{user}}"
        [[domain]]
        name = "smtp.example"
        deliver = "smtp:127.0.0.1:{port}"
        [[domain]]
        name = "hold.example"
        deliver = "hold"
        [retry]
        schedule = ["1s"]
        """


async def one_round(server: ServerProcess, ledger: Ledger, seed: int) -> None:
    """Load, and a kill once some mail was taken; ends when every session has lost its connection."""
    load = asyncio.create_task(Load(ledger, one_of(RECIPIENTS), seed).run(server.address("mx"), CONNECTIONS))
    before = len(ledger.acked)
    while len(ledger.acked) < before + CONNECTIONS and not load.done():
        await asyncio.sleep(0.001)
    await asyncio.sleep(random.Random(seed).uniform(0.0, 0.5))
    assert server.process is not None and server.process.poll() is None
    server.kill()
    await load


def test_nothing_acknowledged_is_lost_by_kill_9(serve: Serve, tmp_path: Path) -> None:
    ledger = Ledger()
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    with Sink() as sink:
        server = serve(config(tmp_path / "mail", sink.port))
        for number in range(ROUNDS):
            asyncio.run(one_round(server, ledger, seed + number))
            server.start()
        until(lambda: not waiting(server), "the queue runs empty")
        collect(ledger, server, sink, tmp_path / "mail")
        assert server.stop() == 0
    print(f"{len(ledger.sent)} sent, {len(ledger.acked)} acknowledged, {len(ledger.arrived)} found")
    assert len(ledger.acked) >= ROUNDS * CONNECTIONS
    assert not ledger.lost
    assert not ledger.altered
    twice = sum(times - 1 for times in ledger.arrived.values())
    # At least once: what was under way at a kill may arrive again, ten a route at a time and a batch of settlements,
    # and so may what was sent again since its reply was lost.
    assert twice <= ROUNDS * 2 * 50 + sum(times - 1 for times in ledger.transmitted.values())
    assert not [line for line in server.log() if line["level"] == "error"]


def waiting(server: ServerProcess) -> list[str]:
    """Ids of messages that are still to be delivered."""
    rows = server.messages(to="maildir.example") + server.messages(to="smtp.example")
    return [row["id"] for row in rows if {one["state"] for one in row["recipients"]} - {"delivered"}]


def collect(ledger: Ledger, server: ServerProcess, sink: Sink, mail: Path) -> None:
    """Everything that came to rest, wherever it did."""
    for path in (mail / "box" / "new").iterdir():
        ledger.arrive(path.read_bytes().replace(b"\n", b"\r\n"))
    for arrived in sink.arrived:
        ledger.arrive(arrived.content)
    for row in server.messages(to="hold.example"):
        ledger.arrive(server.raw(row["id"]))


def test_the_ledger_sees_what_is_missing_and_what_is_changed() -> None:
    """A harness that cannot fail proves nothing."""
    ledger = Ledger()
    for _ in range(3):
        number, content = ledger.new_content(random.Random(1))
        ledger.acked.add(number)
        if number != 1:
            ledger.arrive(b"Received: from x\r\n" + content + b"x" * (number == 2))
    assert (ledger.lost, ledger.altered) == ({1}, {2})
