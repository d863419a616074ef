"""Relaying: accept, queue durably, hand over to smtp-sink; the clock stops when the last message has arrived.

Postroad as `postroad serve` runs it, and Postfix as its master(8) does, both on all cores, both syncing what they have
accepted, both to one smtp-sink that counts. CPU is that of all processes of a server.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.measure import cpu_seconds
from bench.peers import LOOPBACK, BenchError, greets, postfix_environment, postfix_program, smtp_source
from tools import mail_servers
from tools.mail_servers import free_port
from tools.peers import PeerError

OCTETS: Final = 5120
_LIMIT: Final = 90.0
_DOMAIN: Final = "relay.example"


@dataclass(frozen=True, slots=True)
class Relayed:
    """What one burst came to; seconds from the first connection to the last arrival."""

    messages: int
    wall: float
    server_cpu: float


class CountingSink:
    """smtp-sink, and how many messages have arrived there."""

    def __init__(self) -> None:
        self.port = free_port()
        self.arrived = 0
        self._said = b""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> CountingSink:
        program = postfix_program("smtp-sink")
        if program is None:
            raise BenchError("smtp-sink is missing: `make peers` fetches it")
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        command = [str(program), *user, "-c", "-m", "2000", f"{LOOPBACK}:{self.port}", "2000"]
        environment = {**os.environ, **postfix_environment()}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment)
        _until(lambda: greets(self.port), 10, "smtp-sink does not answer")
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Of smtp-sink; raises BenchError when it does not run."""
        if self._process is None:
            raise BenchError("smtp-sink does not run")
        return self._process.pid

    def wait(self, arrived: int, seconds: float = _LIMIT) -> None:
        """Until so many have arrived since the start; raises BenchError."""
        deadline = time.monotonic() + seconds
        process = self._process
        if process is None or process.stdout is None:
            raise BenchError("smtp-sink does not run")
        while self.arrived < arrived:
            ready, _, _ = select.select([process.stdout], [], [], 1.0)
            if ready:
                self._said = (self._said + os.read(process.stdout.fileno(), 65536))[-4096:]
                counts = re.findall(rb"mesg=([0-9]+)", self._said)
                self.arrived = int(counts[-1]) if counts else self.arrived
            if time.monotonic() > deadline:
                raise BenchError(f"only {self.arrived} of {arrived} messages arrived within {seconds:.0f} s")


@contextlib.contextmanager
def postroad(folder: Path, sink: int) -> Iterator[tuple[int, int]]:
    """Postroad as a relay; gives its port and pid."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = free_port()
    (folder / "postroad.toml").write_text(
        f'hostname = "bench.example"\nstate = "{folder}/state"\n[mx]\nlisten = ["{LOOPBACK}:{port}"]\n'
        f'[[domain]]\nname = "{_DOMAIN}"\ndeliver = "smtp:{LOOPBACK}:{sink}"\n'
    )
    command = [sys.executable, "-m", "postroad", "serve", "--config", str(folder / "postroad.toml")]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _until(lambda: greets(port), 20, "postroad does not answer")
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(40)


@contextlib.contextmanager
def postfix(folder: Path, sink: int) -> Iterator[tuple[int, int]]:
    """Postfix as a relay; gives its port and the pid above all of its processes."""
    try:
        with mail_servers.Postfix(relay_to=sink, settings="smtp_tls_security_level = none") as server:
            yield server.port, server.pid
    except PeerError as fault:
        raise BenchError(str(fault)) from fault


#: Name -> how it is started.
KINDS: Final[dict[str, Callable[[Path, int], contextlib.AbstractContextManager[tuple[int, int]]]]] = {
    "postroad-relay": postroad,
    "postfix-relay": postfix,
}
TITLES: Final = {"postroad-relay": "Postroad, relay", "postfix-relay": "Postfix, relay"}


def relayed(kind: str, folder: Path, sessions: int, kept: bool, messages: int) -> Relayed:
    """One burst, with an empty queue before it; raises BenchError."""
    with CountingSink() as sink, KINDS[kind](folder, sink.port) as (port, pid):
        first = 2 * sessions
        _send(port, sessions, kept, first)
        sink.wait(first)
        cpu, wall = cpu_seconds(pid), time.perf_counter()
        _send(port, sessions, kept, messages)
        sink.wait(first + messages)
        wall = time.perf_counter() - wall
        return Relayed(messages, wall, cpu_seconds(pid) - cpu)


def _send(port: int, sessions: int, kept: bool, messages: int) -> None:
    command = [
        str(smtp_source()),
        "-s",
        str(sessions),
        "-m",
        str(messages),
        "-l",
        str(OCTETS),
        *(["-d"] if kept else []),
    ]
    command += ["-M", "client.example.net", "-f", "kana@example.net", "-t", f"bob@{_DOMAIN}", f"{LOOPBACK}:{port}"]
    environment = {**os.environ, **postfix_environment()}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=_LIMIT, check=False)
    if done.returncode:
        raise BenchError(f"smtp-source failed: {(done.stderr or done.stdout).decode('utf-8', 'replace')[-300:]}")


def _until(ready: Callable[[], bool], seconds: float, otherwise: str) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise BenchError(otherwise)
        time.sleep(0.02)
