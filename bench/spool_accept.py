#!/usr/bin/env python3
"""How many messages a second of CPU the SQLite spool accepts: `bench/spool_accept.py [--seconds S] [--folder DIR]`.

One process, one event loop, no SMTP: N messages in flight, each 5,120 octets for one recipient, each handed in again
as soon as it is durable. CPU is of the whole process, both threads, kernel time included. Beside it, in the same run,
the same rows by plain `sqlite3` from the standard library, one commit a message: what group commit is worth.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import sqlite3
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import uvloop

from postroad.envelope import Draft, NewRecipient, Origin
from postroad.errors import SpoolError
from postroad.spool.sqlite import SqliteSpool

CONTENT = os.urandom(5120)
PREFIX = b"Received: from client.example.net ([192.0.2.1]) by mx.example.org with ESMTP id x; date\r\n"
ORIGIN = Origin("s1", "mx", "192.0.2.1:1234", "client.example.net", "", "TLSv1.3 TLS_AES_256_GCM_SHA384")
TRANSCRIPT = "C: MAIL FROM:<kana@example.net>\nS: 250 2.1.0 OK\n" * 6


@dataclass
class Figures:
    messages: int
    wall: float
    cpu: float
    median: float
    p99: float

    def row(self, name: str) -> str:
        return (
            f"{name:32} {self.messages / self.wall:9,.0f} {self.messages / self.cpu:11,.0f}"
            f" {self.cpu / self.messages * 1e6:8.1f} {self.median * 1e3:9.2f} {self.p99 * 1e3:8.2f}"
        )


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def figures(messages: int, wall: float, cpu: float, waits: list[float]) -> Figures:
    waits.sort()
    return Figures(messages, wall, cpu, waits[len(waits) // 2], waits[len(waits) * 99 // 100])


async def measure(folder: Path, in_flight: int, seconds: float) -> Figures:
    spool = await SqliteSpool.open(folder)
    waits: list[float] = []
    end = time.monotonic() + seconds
    running = in_flight
    finished = asyncio.get_running_loop().create_future()

    def begin() -> None:
        content = spool.open_content()
        content.write(CONTENT[:2560])
        content.write(CONTENT[2560:])
        recipients = (NewRecipient("bob@example.org", "example.org"),)
        draft = Draft(spool.new_id(), "kana@example.net", recipients, time.time(), PREFIX, "", ORIGIN, TRANSCRIPT)
        began = time.monotonic()

        def done(error: SpoolError | None) -> None:
            nonlocal running
            if error is not None:
                raise error
            now = time.monotonic()
            waits.append(now - began)
            if now < end:
                begin()
            else:
                running -= 1
                if not running:
                    finished.set_result(None)

        spool.accept(draft, content, done)

    wall, cpu = time.monotonic(), cpu_seconds()
    for _ in range(in_flight):
        begin()
    await finished
    wall, cpu = time.monotonic() - wall, cpu_seconds() - cpu
    await spool.close()
    return figures(len(waits), wall, cpu, waits)


def measure_plain(folder: Path, seconds: float) -> Figures:
    database = sqlite3.connect(folder / "plain.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.execute("CREATE TABLE message (sequence INTEGER PRIMARY KEY, path TEXT, recipient TEXT, octets BLOB)")
    waits: list[float] = []
    wall, cpu = time.monotonic(), cpu_seconds()
    while time.monotonic() - wall < seconds:
        began = time.monotonic()
        database.execute(
            "INSERT INTO message (path, recipient, octets) VALUES (?, ?, ?)",
            ("kana@example.net", "bob@example.org", CONTENT),
        )
        waits.append(time.monotonic() - began)
    return figures(len(waits), time.monotonic() - wall, cpu_seconds() - cpu, waits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row")
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: the system's temporary folder)")
    parser.add_argument("--in-flight", type=int, nargs="*", default=[1, 20, 100])
    arguments = parser.parse_args()
    print(f"{'':32} {'msg/s':>9} {'msg/CPU-s':>11} {'CPU us':>8} {'median ms':>9} {'p99 ms':>8}")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        plain = measure_plain(Path(scratch), arguments.seconds)
        print(plain.row("sqlite3, a commit a message"))
        for in_flight in arguments.in_flight:
            folder = Path(scratch) / str(in_flight)
            ours = uvloop.run(measure(folder, in_flight, arguments.seconds))
            ratio = ours.messages / ours.cpu / (plain.messages / plain.cpu)
            print(ours.row(f"postroad, {in_flight} in flight") + f"   x{ratio:.1f}")


if __name__ == "__main__":
    main()
