#!/usr/bin/env python3
"""How fast `postroad log explain` reads a Postfix log, and in how much memory: `bench/logs.py [--size MB] [--keep FILE]`.

The log is made here: seven lines for each message (connect, client, message-id, queue, delivery, removed, disconnect), of
which one in five tells of a failure; 300 destinations. Each measurement is a process of its own, so that its peak is its own.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # run as a script
    sys.path[:1] = [str(Path(__file__).resolve().parent.parent)]

from bench.peers import BenchError

MEGABYTE = 1_000_000
#: So much of a log differs; then it goes on with another hour and other ids.
_PIECE = 8 * MEGABYTE

_LINES = (
    "{at}/smtpd[1234]: connect from client.example[203.0.113.{n}]",
    "{at}/smtpd[1234]: {id}: client=client.example[203.0.113.{n}]",
    "{at}/cleanup[22]: {id}: message-id=<{long:032x}@ours.example>",
    "{at}/qmgr[9]: {id}: from=<ann@ours.example>, size={size}, nrcpt=1 (queue active)",
    "{at}/smtpd[1234]: disconnect from client.example[203.0.113.{n}] ehlo=1 mail=1 rcpt=1 data=1 quit=1 commands=5",
    "{at}/smtp[33]: {id}: to=<{to}>, relay=mx.{domain}[192.0.2.9]:25, delay=1.2, delays=0.1/0/0.5/0.6, {end}",
    "{at}/qmgr[9]: {id}: removed",
)
_SENT = "dsn=2.0.0, status=sent (250 2.0.0 OK  {size} a1-{long:x}si{n} - gsmtp)"
_FAILURES = (
    "dsn=5.1.1, status=bounced (host mx.{domain}[192.0.2.{n}] said: 550 5.1.1 <{to}>: Recipient address rejected: User "
    "unknown in virtual mailbox table (in reply to RCPT TO command))",
    "dsn=4.7.28, status=deferred (host mx.{domain}[192.0.2.{n}] said: 421-4.7.28 Our system has detected an unusual rate "
    "of 421-4.7.28 unsolicited mail originating from your IP address. To protect our 421 4.7.28 users {long:x} - gsmtp "
    "(in reply to end of DATA command))",
    "dsn=4.4.1, status=deferred (connect to mx.{domain}[192.0.2.{n}]:25: Connection timed out)",
    "dsn=4.2.0, status=deferred (host mx.{domain}[192.0.2.{n}] said: 450 4.2.0 <{to}>: Recipient address rejected: "
    "Greylisted (in reply to RCPT TO command))",
)


def _piece() -> bytes:
    chance = random.Random(1)
    texts: list[str] = []
    size = count = 0
    while size < _PIECE:
        count += 1
        second = count // 8 % 3600
        domain = f"d{chance.randrange(300)}.example"
        words: dict[str, Any] = {
            "at": f"Nov 24 00:{second // 60:02}:{second % 60:02} mx1 postfix",
            "id": f"{chance.getrandbits(48):012X}",
            "n": chance.randrange(1, 255),
            "long": chance.getrandbits(100),
            "size": chance.randrange(500, 90_000),
            "domain": domain,
            "to": f"user{chance.randrange(100_000)}@{domain}",
        }
        end = _SENT if chance.random() < 0.8 else chance.choice(_FAILURES)
        words["end"] = end.format(**words)
        text = "\n".join(line.format(**words) for line in _LINES)
        size += len(text) + 1
        texts.append(text)
    return ("\n".join(texts) + "\n").encode()


def log_of(size: int) -> Iterator[bytes]:
    """A log of about ``size`` octets, in pieces."""
    piece = _piece()
    written = hour = 0
    while written < size:
        yield piece.replace(b"Nov 24 00:", b"Nov %2d %02d:" % (hour // 24 % 24 + 1, hour % 24))[: size - written]
        written += len(piece)
        hour += 1


def measured(path: Path) -> dict[str, Any]:
    """Read it in a process of its own: octets, lines, events, seconds of CPU and of the clock, peak octets."""
    done = subprocess.run([sys.executable, __file__, "--read", str(path)], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise BenchError(f"{path} was not read")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _read(path: Path) -> dict[str, Any]:
    from postroad.diagnosis.logs_digest import Digest
    from postroad.diagnosis.logs_files import LogStream
    from postroad.replies.catalogue import catalogue

    digest = Digest(catalogue())
    began, used = time.monotonic(), time.process_time()
    with path.open("rb", buffering=0) as source:
        digest.begin(time.time())
        for block in LogStream(source).blocks():  # type: ignore[arg-type]
            digest.read(block)
        for _ in digest.finish():
            pass
    return {
        "octets": digest.octets,
        "lines": digest.lines,
        "events": digest.events,
        "groups": len(digest.groups.top(10**6)[0]),
        "cpu": time.process_time() - used,
        "wall": time.monotonic() - began,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def make(path: Path, size: int) -> None:
    """Write such a log."""
    with path.open("wb") as file:
        file.writelines(log_of(size))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=100, metavar="MB", help="of the log that is made (default: 100)")
    parser.add_argument("--keep", type=Path, metavar="FILE", help="make it there and leave it")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure this log instead; prints JSON")
    arguments = parser.parse_args()
    if arguments.read is not None:
        print(json.dumps(_read(arguments.read)))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.keep or Path(folder) / "mail.log"
        make(path, arguments.size * MEGABYTE)
        found = measured(path)
    rate = found["octets"] / MEGABYTE / found["cpu"]
    print(
        f"{found['octets'] / MEGABYTE:,.0f} MB, {found['lines']:,} lines, {found['events']:,} events, "
        f"{found['groups']:,} groups: {rate:.0f} MB/s of one core, peak {found['peak'] / MEGABYTE:.0f} MB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
