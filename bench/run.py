#!/usr/bin/env python3
"""Measures Postroad beside its peers, in one run on this machine: `bench/run.py [--quick] [--json FILE]`.

Markdown goes to standard output, progress to standard error. What is counted is the server's own CPU time; the wall
clock stands beside it. README.md in this folder tells what each figure means.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

if __package__ in (None, ""):  # run as a script
    sys.path[:1] = [str(Path(__file__).resolve().parent.parent)]

from bench import backlog, logs, pages, peers, relay
from bench.backlog import Backlog, Looked
from bench.load import burst, greeting_seconds, idle_octets
from bench.measure import Cores, allow_many_files, file_system, is_in_memory, machine
from bench.peers import BenchError, Kind, Server, Tls
from bench.report import Row, report

FULL_BACKLOG = Backlog(100_000, 1000)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured."""

    loads: tuple[tuple[bool, int], ...]
    """(connections kept, sessions)"""
    seconds: float
    """The length of one burst."""
    repetitions: int
    idle_repetitions: int
    greetings: int
    connections: int = 1000
    relays: tuple[tuple[bool, int], ...] = ((True, 20), (False, 20))
    relay_messages: int = 3000
    logs: tuple[int, ...] = (10, 100)
    """Megabytes of the logs that are read."""
    backlog: Backlog = FULL_BACKLOG
    backlog_repetitions: int = 2
    requests: int = 200
    """For each page."""


FULL = Plan(((True, 20), (True, 100), (False, 20), (False, 100)), 1.2, 3, 3, 1000)
QUICK = Plan(((True, 20), (False, 20)), 0.4, 3, 1, 300, relays=((True, 20),), relay_messages=1500,
             logs=(10, 50), backlog=Backlog(10_000, 100), backlog_repetitions=1, requests=50)  # fmt: skip


FIGURES = ("throughput", "relay", "backlog", "idle", "greeting", "logs", "pages")


class Bench:
    """One run; ``rows`` fill while it goes on."""

    def __init__(self, plan: Plan, folder: Path, cores: Cores) -> None:
        self.plan = plan
        self.rows: list[Row] = []
        self.cores = cores
        self.without_storage = peers.postroad("none", "Postroad, nothing stored")
        self.durable = peers.postroad("sqlite", "Postroad, durable")
        known = (self.without_storage, self.durable, peers.aiosmtpd(), peers.smtp_sink())
        self.kinds = [kind for kind in known if not kind.missing]
        self.missing = [kind.missing for kind in known if kind.missing]
        self._folder = folder
        self._started = 0

    def server(self, kind: Kind, tls: Tls | None = None) -> Server:
        """In a folder of its own, which stays until the end: deleting would disturb who is measured next."""
        self._started += 1
        return Server(kind, self._folder / f"{self._started}-{kind.name}", self.cores, tls)

    def turns(self, kinds: list[Kind], repetitions: int) -> Iterator[tuple[int, Kind]]:
        """Every kind once a repetition, in reversed order every other time."""
        for repetition in range(repetitions):
            yield from ((repetition, kind) for kind in (kinds if repetition % 2 == 0 else reversed(kinds)))

    def measure(self, figure: str) -> None:
        """One of FIGURES."""
        match figure:
            case "throughput":
                self.throughput()
            case "idle":
                self.idle(certificate(self._folder))
            case "greeting":
                self.greeting()
            case "relay":
                self.relay()
            case "logs":
                self.logs()
            case "backlog":
                self.backlog()
            case "pages":
                self.pages()

    def throughput(self) -> None:
        """Messages, for each kind of load."""
        try:
            peers.smtp_source()
        except BenchError as fault:
            self.missing.append(str(fault))
            return
        for kept, sessions in self.plan.loads:
            note(f"{sessions} sessions, connections {'kept' if kept else 'for one message each'}")
            with contextlib.ExitStack() as running:
                servers = {kind: running.enter_context(self.server(kind)) for kind in self.kinds}
                self._load(servers, kept, sessions)

    def _load(self, servers: dict[Kind, Server], kept: bool, sessions: int) -> None:
        counts = {kind: self._calibrate(server, kept, sessions) for kind, server in servers.items()}
        sent = {kind: first for kind, (first, _) in counts.items()}
        for repetition, kind in self.turns(list(servers), self.plan.repetitions):
            messages = counts[kind][1]
            done = burst(servers[kind], self.cores, sessions, kept, messages)
            sent[kind] += messages
            self._add("throughput", kind, repetition, kept=kept, sessions=sessions, messages=messages, wall=done.wall,
                      server_cpu=done.server_cpu, client_cpu=done.client_cpu, other_cpu=done.other_cpu)  # fmt: skip
        for kind in (self.without_storage, self.durable):
            servers[kind].finish()
            if servers[kind].accepted != sent[kind]:
                raise BenchError(f"{kind.name} was sent {sent[kind]} messages and has {servers[kind].accepted}")

    def _calibrate(self, server: Server, kept: bool, sessions: int) -> tuple[int, int]:
        """Warm up; gives how many messages that took, and how many fill one burst."""
        first = 3 * sessions
        burst(server, self.cores, sessions, kept, first)
        second = 400
        done = burst(server, self.cores, sessions, kept, second)
        most = 30_000 if kept else 8_000  # each connection keeps its port for a while
        return first + second, max(sessions, min(most, int(second / done.wall * self.plan.seconds)))

    def idle(self, tls: Tls) -> None:
        """Memory of connections at rest; each time in a fresh server, for memory given back is not given back."""
        for certificate in (None, tls):
            kinds = [
                kind for kind in self.kinds if kind is not self.durable and (certificate is None or kind.speaks_tls)
            ]
            note(f"{self.plan.connections} idle connections{' with TLS' if certificate else ''}")
            for repetition, kind in self.turns(kinds, self.plan.idle_repetitions):
                with self.server(kind, certificate) as server:
                    octets = idle_octets(server, self.cores, self.plan.connections, certificate)
                connections = self.plan.connections
                self._add("idle", kind, repetition, tls=certificate is not None, connections=connections, octets=octets)

    def greeting(self) -> None:
        """How soon a client is greeted."""
        note("greetings")
        kinds = [kind for kind in self.kinds if kind is not self.durable]
        with contextlib.ExitStack() as running:
            servers = {kind: running.enter_context(self.server(kind)) for kind in kinds}
            for server in servers.values():
                greeting_seconds(server, self.cores, 50)
            for repetition, kind in self.turns(kinds, self.plan.repetitions):
                waits = sorted(greeting_seconds(servers[kind], self.cores, self.plan.greetings))
                p50, p99 = waits[len(waits) // 2], waits[len(waits) * 99 // 100]
                self._add("greeting", kind, repetition, p50=p50, p99=p99)

    def relay(self) -> None:
        """Accepted, queued and handed over, Postroad and Postfix in turns."""
        for kept, sessions in self.plan.relays:
            note(f"relay, {sessions} sessions, connections {'kept' if kept else 'for one message each'}")
            kinds = list(relay.KINDS)
            try:
                for repetition in range(self.plan.repetitions):
                    for kind in kinds if repetition % 2 == 0 else reversed(kinds):
                        done = relay.relayed(kind, self._folder / "relay", sessions, kept, self.plan.relay_messages)
                        self.rows.append({"figure": "relay", "server": kind, "repetition": repetition, "kept": kept,
                                          "sessions": sessions, "messages": done.messages, "wall": done.wall,
                                          "server_cpu": done.server_cpu})  # fmt: skip
            except BenchError as fault:
                self.missing.append(f"relay: {fault}")

    def backlog(self) -> None:
        """A full queue, with and without a dead half, and a tenth of it."""
        whole = self.plan.backlog
        pair = [("alone", replace(whole, dead=False)), ("whole", whole)]
        try:
            for repetition in range(self.plan.backlog_repetitions):
                for name, one in pair if repetition % 2 == 0 else reversed(pair):
                    self._drain(name, repetition, one)
            self._drain("tenth", 0, replace(whole, messages=whole.messages // 10))
            note(f"backlog, {whole.messages:,} messages that are not due")
            peak, looks = backlog.at_rest(self._folder / "backlog", whole)
            self._add_backlog("rest", 0, whole, looks, peak=peak)
        except BenchError as fault:
            self.missing.append(f"backlog: {fault}")

    def _drain(self, name: str, repetition: int, one: Backlog) -> None:
        note(f"backlog, {one.messages:,} messages{'' if one.dead else ', the living half of it alone'}")
        done, looks = backlog.drained(self._folder / "backlog", one)
        self._add_backlog(name, repetition, one, looks, delivered=done.messages, start=done.start, wall=done.wall,
                          server_cpu=done.server_cpu, without_core=done.without_core, other_cpu=done.other_cpu,
                          peak=done.peak)  # fmt: skip

    def _add_backlog(
        self, name: str, repetition: int, one: Backlog, looks: dict[str, Looked], **values: object
    ) -> None:
        cpu = {f"{word}_cpu": looked.client + looked.server for word, looked in looks.items()}
        self.rows.append({"figure": "backlog", "server": "postroad", "run": name, "repetition": repetition,
                          "messages": one.messages, "destinations": one.destinations, **values, **cpu})  # fmt: skip

    def pages(self) -> None:
        """Pages of a server whose queue is full."""
        note(f"pages, {self.plan.backlog.messages:,} messages queued")
        try:
            for page in pages.measured(self._folder / "pages", self.plan.backlog, self.plan.requests):
                self.rows.append({"figure": "pages", "path": page.path, "p50": pages.at(page.waits, 50),
                                  "p95": pages.at(page.waits, 95), "server_cpu": page.server_cpu,
                                  "octets": page.octets, "messages": self.plan.backlog.messages})  # fmt: skip
        except BenchError as fault:
            self.missing.append(f"pages: {fault}")

    def logs(self) -> None:
        """Logs of several lengths, each made once and read some times over."""
        for size in self.plan.logs:
            note(f"a log of {size} MB")
            path = self._folder / "mail.log"
            logs.make(path, size * logs.MEGABYTE)
            for repetition in range(self.plan.repetitions):
                self.rows.append({"figure": "logs", "repetition": repetition, "size": size, **logs.measured(path)})
            path.unlink()

    def _add(self, figure: str, kind: Kind, repetition: int, **values: object) -> None:
        self.rows.append({"figure": figure, "server": kind.name, "repetition": repetition, **values})


def certificate(folder: Path) -> Tls:
    """A certificate for 127.0.0.1 by an authority that nobody else trusts."""
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert(peers.LOOPBACK)
    tls = Tls(folder / "cert.pem", folder / "key.pem", folder / "ca.pem")
    for path, blobs in (
        (tls.cert, issued.cert_chain_pems),
        (tls.key, [issued.private_key_pem]),
        (tls.ca, [authority.cert_pem]),
    ):
        path.write_bytes(b"".join(blob.bytes() for blob in blobs))
    return tls


def headline(bench: Bench, folder: Path) -> str:
    """Where, when and with what."""
    import postroad

    found = [f"Postroad {postroad.__version__}"]
    for name in ("uvloop", "apsw", "aiosmtpd"):
        with contextlib.suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    kind = file_system(folder)
    repetitions = bench.plan.repetitions
    lines = [
        "# Postroad beside its peers",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {machine()}; {', '.join(found)}.  ",
        f"{str(bench.cores).capitalize()}; spool on {kind}; medians of {repetitions}, order reversed every other time.",
    ]
    if is_in_memory(kind):
        lines.append(f"\n**{kind} is memory: no durable figure counts. Name a folder on a disk with `--folder`.**")
    return "\n".join(lines)


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def disk_folder() -> Path:
    """A folder on a disk, if one of the usual places is."""
    places = [Path(tempfile.gettempdir()), Path("/var/tmp")]
    on_disk = (place for place in places if place.is_dir() and not is_in_memory(file_system(place)))
    return next(on_disk, places[0])


def run(plan: Plan, cores: Cores, parent: Path, rows_file: Path | None, figures: Collection[str]) -> int:
    """What was asked for; gives the exit status."""
    began = time.monotonic()
    try:
        folder = Path(tempfile.mkdtemp(prefix="postroad-bench-", dir=parent))
    except OSError as fault:
        note(f"error: no folder can be made in {parent}: {fault.strerror}\nhint: name one on a disk with --folder")
        return 1
    try:
        bench = Bench(plan, folder, cores)
        try:
            for figure in figures:
                bench.measure(figure)
        finally:
            titles = {kind.name: kind.title for kind in bench.kinds} | relay.TITLES
            print(headline(bench, folder), report(bench.rows, titles), sep="\n\n")
            for line in bench.missing:
                print(f"\nnote: {line}")
            if rows_file is not None:
                rows_file.write_text("".join(f"{json.dumps(row)}\n" for row in bench.rows))
    except (BenchError, OSError) as fault:
        note(f"error: {fault}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        note(f"{time.monotonic() - began:.0f} s")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer loads, shorter: about half a minute")
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write every measurement there, one JSON object a line"
    )
    parser.add_argument("--one-core", action="store_true", help="let the server and the load take turns on one core")
    parser.add_argument("--only", choices=FIGURES, action="append", help="measure this alone (may be said again)")
    parser.add_argument("--log-size", type=int, metavar="MB", help="read a log of this size, too; 1000 takes a minute")
    parser.add_argument("--folder", type=Path, help="on the disk to measure (default: a temporary folder)")
    arguments = parser.parse_args()
    if not sys.platform.startswith("linux"):
        parser.error("the kernel's counters are read as Linux shows them")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):  # so that every server is ended
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    allow_many_files()
    plan, cores = QUICK if arguments.quick else FULL, Cores.of_this_machine(arguments.one_core)
    if arguments.log_size:
        plan = replace(plan, logs=(*plan.logs, arguments.log_size))
    return run(plan, cores, arguments.folder or disk_folder(), arguments.json, arguments.only or FIGURES)


if __name__ == "__main__":
    sys.exit(main())
