"""A disk without space or inodes: 452 4.3.1 before content, delivery goes on, and mail is taken again when there is room.

The state lies on a small file system (``tests.service.disk``).
"""

from __future__ import annotations

import random

import pytest

from tests.server_process import ServerProcess, Wire, until
from tests.service.conftest import Serve
from tests.service.disk import KIB, MIB, MakeDisk, make_disk, on_disk
from tests.service.load import Ledger
from tests.service.sink import Sink

pytestmark = pytest.mark.privileged("mount")
__all__ = ["make_disk"]


def config(port: int = 9, limits: str = "") -> str:
    return f"""
        hostname = "mail.example.com"
        [mx]
        listen = ["127.0.0.1:0"]
        [limits]
        {limits}
        [[domain]]
        name = "hold.example"
        deliver = "hold"
        [[domain]]
        name = "smtp.example"
        deliver = "smtp:127.0.0.1:{port}"
        [retry]
        schedule = ["1s"]
        """


def sender_reply(server: ServerProcess, parameters: str = "") -> str:
    with server.wire("mx") as wire:
        code, lines = wire.ask(f"MAIL FROM:<a@client.example>{parameters}")
        return f"{code} {lines[0][:5]}"


def refuses(server: ServerProcess) -> bool:
    return sender_reply(server) == "452 4.3.1"


def accepts(server: ServerProcess) -> bool:
    return sender_reply(server).startswith("250 ")


@pytest.mark.parametrize("what", ["space", "inodes"])
def test_short_storage_refuses_new_mail_and_delivers_the_old(what: str, serve: Serve, make_disk: MakeDisk) -> None:
    disk = make_disk("size=64m,nr_inodes=4000")
    with Sink(lambda word: "450 4.2.0 not now") as sink:
        server = on_disk(serve, disk, config(sink.port))
        with server.wire("mx") as wire:
            for number in range(5):
                assert wire.deliver(f"n{number}@smtp.example")[0] == 250
        until(lambda: server.log("deferred"), "they wait")
        disk.fill(leave=10 * MIB) if what == "space" else disk.fill_inodes(leave=500)
        until(lambda: refuses(server), "new mail is refused")
        assert server.get("/status")["ready"] is False
        sink.use(lambda word: "")
        until(lambda: len(sink.arrived) == 5, "old mail goes on")
        until(lambda: not queued(server), "and is settled")
        assert refuses(server)
        disk.free()
        until(lambda: accepts(server), "new mail is taken again")
        with server.wire("mx") as wire:
            assert wire.deliver("late@smtp.example")[0] == 250
        until(lambda: len(sink.arrived) == 6, "and delivered")
        assert server.get("/status")["ready"] is True


def queued(server: ServerProcess) -> list[str]:
    return [row["id"] for row in server.messages() if any(one["state"] == "queued" for one in row["recipients"])]


def test_a_message_larger_than_what_is_left(serve: Serve, make_disk: MakeDisk) -> None:
    disk = make_disk("size=48m")
    server = on_disk(serve, disk, config(limits='min_free = "4MiB"'))
    disk.fill(leave=14 * MIB)
    until(lambda: sender_reply(server, f" SIZE={16 * MIB}") == "452 4.3.1", "what is declared too large is refused")
    with server.wire("mx") as wire:
        code, lines = wire.deliver(
            "kept@hold.example", b"Subject: undeclared\r\n\r\n" + (b"x" * 998 + b"\r\n") * 16_000
        )
        assert (code, lines[0][:5]) == (452, "4.3.1")
        assert wire.ask("NOOP")[0] == 250
        assert wire.deliver("kept@hold.example")[0] == 250, "a small one still fits"
    (row,) = server.messages()
    assert server.raw(row["id"]).endswith(b"Subject: probe\r\n\r\nprobe\r\n")


def test_nothing_acknowledged_is_lost_when_the_very_last_block_is_taken(serve: Serve, make_disk: MakeDisk) -> None:
    """Without a reserve the disk may be full in the midst of content, of a commit, of a checkpoint."""
    disk = make_disk("size=24m")
    server = on_disk(serve, disk, config(limits="min_free = 0"))
    ledger, source = Ledger(), random.Random(1)
    for leave in (700 * KIB, 90 * KIB, 20 * KIB, 0):
        disk.fill(leave)
        with server.wire("mx") as wire:
            refused = [send(wire, ledger, source) for _ in range(30)].count("452 4.3.1")
        assert refused, "it was full"
        disk.free()
        until(lambda: send_alone(server, ledger, source).startswith("250 "), "it recovers by itself")
    assert len(ledger.acked) >= 4
    for row in server.messages():
        ledger.arrive(server.raw(row["id"]))
    assert (ledger.lost, ledger.altered) == (set(), set())
    assert server.stop() == 0
    server.start()
    assert len(server.messages()) == sum(ledger.arrived.values())


def send(wire: Wire, ledger: Ledger, source: random.Random) -> str:
    """One message; the first reply that is not the usual one, else the last."""
    number, content = ledger.new_content(source)
    code, lines = wire.deliver("kept@hold.example", content)
    if code == 250:
        ledger.acked.add(number)
    return f"{code} {lines[0][:5]}"


def send_alone(server: ServerProcess, ledger: Ledger, source: random.Random) -> str:
    with server.wire("mx") as wire:
        return send(wire, ledger, source)
