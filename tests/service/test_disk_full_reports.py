"""No space while a report of failure is written: the recipient stays in the queue, and its sender hears when there is room.

A recipient and its report are one transaction (C3); here the disk has room for the one and not for the other, at several
points, and the server is stopped or killed in the midst of it.
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.server_process import ServerProcess, until
from tests.service.account import Told, files_of, read_report
from tests.service.conftest import Serve
from tests.service.disk import KIB, MIB, Disk, MakeDisk, make_disk, on_disk
from tests.service.sink import Sink

pytestmark = pytest.mark.privileged("mount")
__all__ = ["make_disk"]

#: Each a site of its own, so that all fail at the same time, each with a report of its own.
SITES = 40
SENT = {f"n{number}@next{number}.example" for number in range(1, SITES + 1)}
#: Comes back whole in every report: the log of the database, which may be written over, has not seen so much yet.
CONTENT = b"Subject: returned whole\r\n\r\n" + (b"x" * 76 + b"\r\n") * 500


def config(port: int, mail: Path, min_free: str) -> str:
    hops = "".join(
        f'[[domain]]\nname = "next{number}.example"\ndeliver = "smtp:127.0.0.{number}:{port}"\n'
        for number in range(1, SITES + 1)
    )
    return f"""
        hostname = "mail.example.com"
        [mx]
        listen = ["127.0.0.1:0"]
        [limits]
        min_free = {min_free}
        [[domain]]
        name = "senders.example"
        deliver = "maildir:{mail}/{{user}}"
        {hops}
        [retry]
        schedule = ["1h"]
        """


class Refusing:
    """A next hop that refuses every message for ever, once it is let."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self._lock = threading.Lock()
        self.waiting = 0

    def __call__(self, word: str) -> str:
        if word != "DATA":
            return ""
        with self._lock:
            self.waiting += 1
        self.go.wait(120)
        return "554 5.6.0 not that"


def send(server: ServerProcess) -> None:
    """One message to all of them, taken."""
    with server.wire("mx") as wire:
        assert wire.ask("MAIL FROM:<ann@senders.example> RET=FULL")[0] == 250
        for address in sorted(SENT):
            assert wire.ask(f"RCPT TO:<{address}>")[0] == 250
        assert wire.ask("DATA")[0] == 354
        wire.send(CONTENT + b".\r\n")
        assert wire.reply()[0] == 250


def waiting(server: ServerProcess) -> set[str]:
    """Recipients that wait for their next hop."""
    rows = server.get("/queue", limit=1000)["recipients"]
    return {row["to"] for row in rows if row["state"] in ("queued", "held")} & SENT


def told(reports: list[Told]) -> Counter[str]:
    """Whom reports name as failed; one that was delivered twice is one report."""
    return Counter(address for one in set(reports) for action, address in one.recipients if action == "failed")


def reports(server: ServerProcess, mail: Path) -> list[Told]:
    """Still in the queue, and in the sender's mailbox; looked at in the order in which they move."""
    found = []
    for row in server.get("/queue", destination="senders.example", limit=1000)["recipients"]:
        status, octets = server.api("GET", f"/queue/{row['id']}/raw")
        if status == 200:
            found.append(read_report(octets))
    return found + [read_report(octets) for octets in files_of(mail / "ann")]


def all_are_told(server: ServerProcess, mail: Path) -> None:
    """Once there is room: each of them in one report, once, and nothing is left."""
    until(lambda: runs_empty(server), "the queue is empty", pause=0.3)
    assert told([read_report(octets) for octets in files_of(mail / "ann")]) == Counter(SENT)
    lines = server.get("/log", limit=1000, after=0)["entries"]
    assert Counter(one["to"] for one in lines if one["outcome"] == "failed") == Counter(SENT)


def runs_empty(server: ServerProcess) -> bool:
    """What waits is tried now."""
    server.api("POST", "/queue/actions", {"action": "retry", "all": True})
    return not server.get("/queue")["recipients"]


def free_of(disk: Disk) -> int:
    about = os.statvfs(disk.seen(disk.path))
    return about.f_bavail * about.f_frsize


@pytest.mark.parametrize("leave", [400 * KIB, 20 * KIB, 0])
@pytest.mark.parametrize("end", ["stopped", "killed"])
def test_who_cannot_be_reported_stays(leave: int, end: str, serve: Serve, make_disk: MakeDisk, tmp_path: Path) -> None:
    disk, refusing = make_disk("size=24m"), Refusing()
    with Sink(refusing, host="0.0.0.0") as sink:
        server = on_disk(serve, disk, config(sink.port, tmp_path, "0"))
        send(server)
        until(lambda: refusing.waiting == SITES, "all are under way")
        disk.fill(leave)
        refusing.go.set()
        until(lambda: server.log("report not written"), "there is no room for a report")
        now = waiting(server)
        assert now, "some wait"
        assert now | set(told(reports(server, tmp_path))) == SENT, "nobody is lost"
        if end == "killed":
            server.kill()
        else:
            assert server.stop() == 0
        disk.free()
        server.start()
        all_are_told(server, tmp_path)


def test_reports_may_use_what_is_kept_free(serve: Serve, make_disk: MakeDisk, tmp_path: Path) -> None:
    disk, refusing = make_disk("size=48m"), Refusing()
    with Sink(refusing, host="0.0.0.0") as sink:
        server = on_disk(serve, disk, config(sink.port, tmp_path, '"16MiB"'))
        send(server)
        until(lambda: refusing.waiting == SITES, "all are under way")
        disk.fill(leave=12 * MIB)
        until(lambda: sender_code(server) == 452, "new mail is refused", pause=0.2)
        refusing.go.set()
        all_are_told(server, tmp_path)
        assert free_of(disk) < 16 * MIB
        assert not server.log("report not written")


def sender_code(server: ServerProcess) -> int:
    with server.wire("mx") as wire:
        return wire.ask("MAIL FROM:<ann@senders.example>")[0]
