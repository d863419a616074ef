"""A queue that is full: half of its destinations dead. What that costs the living half, memory, and who looks at it.

Messages of 1 KB for many destinations are laid into a spool by its own API; then `postroad serve` starts on it. Where each
destination's mail goes is asked of a name server, as on the Internet: every destination has a mail host of its own.
The living ones' are smtp-sink; of the dead ones' every other refuses connections, and every other does not answer at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import resource
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.measure import busy_seconds, cpu_seconds, seconds_without_core
from bench.peers import LOOPBACK, BenchError
from bench.relay import CountingSink
from tests.service.names import NameServer

#: Where nobody listens, and where nobody answers.
_REFUSES: Final = "127.0.0.2"
_SILENT: Final = "127.0.0.3"
_CONTENT: Final = b"Subject: one of very many\r\n\r\n" + (b"x" * 76 + b"\r\n") * 13
#: Seconds.
_DRAIN_LIMIT: Final = 300.0
_PATIENCE: Final = 60.0
_LOOKS: Final = 5
#: Messages that are laid into the spool at a time.
_IN_FLIGHT: Final = 500


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits."""

    messages: int
    destinations: int
    dead: bool = True
    """Whether every other destination is dead; else only the living half is there."""

    @property
    def alive(self) -> int:
        """Messages that can be delivered."""
        return self.messages // 2

    def recipients(self) -> Iterator[tuple[str, str]]:
        """(forward-path, destination) of each message; the destinations take turns."""
        for number in range(self.messages):
            kind = "dead" if number % 2 else "live"
            if kind == "live" or self.dead:
                domain = f"{kind}{number % self.destinations}.example"
                yield f"u{number}@{domain}", domain

    def zone(self) -> dict[str, dict[str, list[str]]]:
        """What the name server says: hosts of their own, however few addresses there are behind them."""
        zone: dict[str, dict[str, list[str]]] = {}
        for number in range(self.destinations):
            kind = "dead" if number % 2 else "live"
            address = LOOPBACK if kind == "live" else (_REFUSES, _SILENT)[number // 2 % 2]
            zone[f"{kind}{number}.example"] = {"MX": [f"10 mx.{kind}{number}.example."]}
            zone[f"mx.{kind}{number}.example"] = {"A": [address]}
        return zone


@dataclass(frozen=True, slots=True)
class Drained:
    """What one run came to."""

    messages: int
    """Delivered."""
    start: float
    """Seconds until the server answered."""
    wall: float
    """Seconds from the server's start until the last living message had arrived."""
    server_cpu: float
    without_core: float
    """Seconds of ``wall`` for which the server's main thread was ready to run, and others had the cores."""
    other_cpu: float
    """What the machine did meanwhile for others than the server, the sink and us."""
    peak: int
    """The most octets of memory that the server had."""


@dataclass(frozen=True, slots=True)
class Looked:
    """CPU seconds of one look at the queue, the median of some."""

    client: float
    server: float


def drained(folder: Path, backlog: Backlog) -> tuple[Drained, dict[str, Looked]]:
    """Deliver what can be delivered; then look at what is left. Raises BenchError."""
    with filled(folder, backlog, due=time.time()) as (server, sink):
        began, busy, ours = time.perf_counter(), busy_seconds(), time.process_time()
        server.start()
        start = time.perf_counter() - began
        sink.wait(backlog.alive, _DRAIN_LIMIT)
        wall, cpu = time.perf_counter() - began, cpu_seconds(server.pid)
        known = cpu + cpu_seconds(sink.pid) + time.process_time() - ours
        other = max(busy_seconds() - busy - known, 0.0)
        done = Drained(backlog.alive, start, wall, cpu, seconds_without_core(server.pid), other, server.peak)
        return done, server.looks() if backlog.dead else {}


def at_rest(folder: Path, backlog: Backlog) -> tuple[int, dict[str, Looked]]:
    """Memory of a server whose queue is full and not due, and what it costs to look at it. Raises BenchError."""
    with filled(folder, backlog, due=time.time() + 86_400) as (server, _):
        server.start()
        return server.peak, server.looks()


@contextlib.contextmanager
def filled(folder: Path, backlog: Backlog, due: float) -> Iterator[tuple[_Postroad, CountingSink]]:
    """A filled spool, the sink, those that do not answer, the name server; and a server that is not started yet."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    asyncio.run(_fill(folder / "state" / "spool", backlog, due))
    with CountingSink() as sink, _silent(sink.port), NameServer(backlog.zone()) as names:
        server = _Postroad(folder, names.address, sink.port)
        try:
            yield server, sink
        finally:
            server.end()


async def _fill(spool_folder: Path, backlog: Backlog, due: float) -> None:
    """Lay the messages into the spool."""
    from postroad.envelope import Draft, NewRecipient, Origin
    from postroad.spool.sqlite import SqliteSpool

    spool_folder.parent.mkdir(mode=0o700)
    spool = await SqliteSpool.open(spool_folder)
    origin = Origin("s1", "mx", "192.0.2.1:1234", "client.example.net")
    prefix = b"Received: from client.example.net ([192.0.2.1]) by bench.example with ESMTP id x; date\r\n"
    loop = asyncio.get_running_loop()
    places = asyncio.Semaphore(_IN_FLIGHT)
    faults: list[Exception] = []
    waiting: set[asyncio.Future[None]] = set()
    for address, domain in backlog.recipients():
        await places.acquire()
        content = spool.open_content()
        content.write(_CONTENT)
        recipients = (NewRecipient(address, domain, due=due),)
        draft = Draft(spool.new_id(), "kana@example.net", recipients, time.time(), prefix, origin=origin)
        done: asyncio.Future[None] = loop.create_future()
        waiting.add(done)

        def finished(fault: Exception | None, done: asyncio.Future[None] = done) -> None:
            if fault is not None:
                faults.append(fault)
            waiting.discard(done)
            done.set_result(None)
            places.release()

        spool.accept(draft, content, finished)
    if waiting:
        await asyncio.wait(waiting)
    await spool.close()
    if faults:
        raise BenchError(f"the spool takes no messages: {faults[0]}")


@contextlib.contextmanager
def _silent(port: int) -> Iterator[None]:
    """A port whose queue of connections is full, so that the kernel does not even answer who connects."""
    with contextlib.ExitStack() as open_:
        listening = open_.enter_context(socket.socket())
        listening.bind((_SILENT, port))
        listening.listen(0)
        for _ in range(4):
            one = open_.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex((_SILENT, port))
        time.sleep(0.1)
        with socket.socket() as probe, contextlib.suppress(TimeoutError):
            probe.settimeout(0.5)
            probe.connect((_SILENT, port))
            raise BenchError(f"{_SILENT} answers: this kernel takes more connections than it was told")
        yield


class _Postroad:
    """`postroad serve`, as a relay by MX records."""

    def __init__(self, folder: Path, resolver: str, port: int) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "postroad.toml").write_text(
            f'hostname = "bench.example"\nstate = "{folder}/state"\n'
            f'[mx]\nlisten = ["{LOOPBACK}:0"]\ntrusted_networks = ["127.0.0.0/8"]\n'
            f'[outbound]\nvia = "mx"\nresolver = ["{resolver}"]\nport = {port}\n'
            'allow_networks = ["127.0.0.0/8"]\nipv6 = false\n'
        )

    def start(self) -> None:
        """Until it answers; raises BenchError."""
        command = [sys.executable, "-m", "postroad", "serve", "--config", str(self._folder / "postroad.toml")]
        with open(self._folder / "log", "wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        end = time.monotonic() + _PATIENCE
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                said = (self._folder / "log").read_text("utf-8", "replace")[-500:]
                raise BenchError(f"postroad does not start: {said}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            return self.get("/status") is not None
        except (OSError, http.client.HTTPException):
            return False

    @property
    def pid(self) -> int:
        """Of the process."""
        if self._process is None:
            raise BenchError("postroad was not started")
        return self._process.pid

    @property
    def peak(self) -> int:
        """Octets: the largest resident set so far."""
        found = re.search(r"^VmHWM:\s+([0-9]+) kB", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        if found is None:
            raise BenchError("the kernel tells no VmHWM")
        return int(found[1]) * 1024

    def get(self, path: str) -> Any:
        """A document of the API, over the control socket; None when it is not 200."""
        connection = Control(str(self._folder / "state" / "control.sock"))
        try:
            connection.request("GET", f"/api/v1{path}")
            answer = connection.getresponse()
            octets = answer.read()
        finally:
            connection.close()
        return json.loads(octets) if answer.status == 200 else None

    def looks(self) -> dict[str, Looked]:
        """`postroad queue list`, and `why` of a message that was tried when there is one."""
        rows = self.get("/queue?limit=1000&state=deferred") or {"recipients": []}
        rows = rows if rows["recipients"] else self.get("/queue?limit=1")
        waits = rows["recipients"][len(rows["recipients"]) // 2]["id"]
        return {"list": self._look("list"), "why": self._look("why", waits)}

    def _look(self, *words: str) -> Looked:
        ours: list[float] = []
        servers: list[float] = []
        for _ in range(_LOOKS):
            before, server = _children_seconds(), cpu_seconds(self.pid)
            command = [sys.executable, "-m", "postroad", "queue", *words, "--state-dir", str(self._folder / "state")]
            done = subprocess.run(command, capture_output=True, timeout=_PATIENCE, check=False)
            if done.returncode:
                raise BenchError(f"postroad queue {words[0]} failed: {done.stderr.decode('utf-8', 'replace')[-300:]}")
            ours.append(_children_seconds() - before)
            servers.append(cpu_seconds(self.pid) - server)
        return Looked(median(ours), median(servers))

    def end(self) -> None:
        """At once: asked to end, it would give those who do not answer their time."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Control(http.client.HTTPConnection):
    """HTTP over the control socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_PATIENCE)
        self.sock.connect(self._path)


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
