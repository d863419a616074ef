"""The servers that are measured: Postroad without and with storage, and the peers beside it.

Each is one process of ours, known by its pid and ended by it; whatever happens, ``Server.__exit__`` ends it.
"""

from __future__ import annotations

import importlib.util
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.measure import Cores, on_core
from tools import peers as provided

HERE = Path(__file__).resolve().parent
LOOPBACK = "127.0.0.1"
_START = 30.0
_STOP = 15.0


class BenchError(Exception):
    """Something cannot be measured; the text says why."""


@dataclass(frozen=True, slots=True)
class Tls:
    """A certificate for 127.0.0.1, and who issued it."""

    cert: Path
    key: Path
    ca: Path


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """One kind of server."""

    name: str
    title: str
    command: Callable[[Path, int, Tls | None], list[str]]
    """Folder of its own, port to take (0 when it takes one itself and prints it), certificate -> command line."""
    prints_port: bool = True
    speaks_tls: bool = True
    environment: dict[str, str] | None = None
    missing: str = ""
    """Why it cannot be run here."""


class Server:
    """A running server; use it in a ``with`` statement."""

    def __init__(self, kind: Kind, folder: Path, cores: Cores, tls: Tls | None = None) -> None:
        self.kind = kind
        self.port = 0
        self.accepted: int | None = None
        self._folder = folder
        self._cores = cores
        self._tls = tls
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise BenchError(f"{self.kind.name} does not run")
        return self._process.pid

    def __enter__(self) -> Self:
        for attempt in range(3):
            self._folder.mkdir(parents=True, exist_ok=True)
            try:
                self._start(0 if self.kind.prints_port else _free_port())
            except BenchError:
                self.stop()
                if attempt == 2 or self.kind.prints_port:
                    raise  # else somebody was quicker to take the port
            except BaseException:
                self.stop()
                raise
            else:
                break
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self, port: int) -> None:
        command = self.kind.command(self._folder, port, self._tls)
        environment = {**os.environ, **(self.kind.environment or {})}
        with open(self._folder / "stderr", "wb") as errors, on_core(self._cores.server):
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, env=environment
            )
        deadline = time.monotonic() + _START
        self.port = port or self._printed("port", deadline)
        while not greets(self.port):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise BenchError(f"{self.kind.name} does not answer: {self._complaint()}")
            time.sleep(0.02)

    def _printed(self, word: str, deadline: float) -> int:
        """The number that the server prints behind ``word``."""
        process = self._process
        if process is None or process.stdout is None:
            raise BenchError(f"{self.kind.name} does not run")
        said = b""
        while (found := re.search(rb"^%s ([0-9]+)\n" % word.encode(), said, re.MULTILINE)) is None:
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            octets = os.read(process.stdout.fileno(), 4096) if ready else b""
            if not octets:
                raise BenchError(f"{self.kind.name} did not start: {self._complaint()}")
            said += octets
        return int(found[1])

    def _complaint(self) -> str:
        said = (self._folder / "stderr").read_text("utf-8", "replace").strip()
        return said[-1500:] or "it said nothing"

    def finish(self) -> None:
        """End it in order, and learn how many messages it says it has accepted (Postroad only)."""
        process = self._process
        if process is None or process.stdin is None:
            return
        process.stdin.close()
        self.accepted = self._printed("accepted", time.monotonic() + _STOP)
        self.stop()

    def stop(self) -> None:
        """End it, whatever it does."""
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        if not self.kind.prints_port:
            process.terminate()
        for end in (process.terminate, process.kill):
            try:
                process.wait(_STOP)
                return
            except subprocess.TimeoutExpired:
                end()
        process.wait()


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as probe:
        return int(probe.getsockname()[1])


def greets(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), 5) as connection:
            greeted = connection.recv(512).startswith(b"220")
            connection.sendall(b"QUIT\r\n")
            return greeted and connection.recv(512) != b""
    except OSError:
        return False


# --- the kinds


def postroad(spool: str, title: str) -> Kind:
    """Postroad on the spool ``none`` or ``sqlite``."""

    def command(folder: Path, _: int, tls: Tls | None) -> list[str]:
        secured = ["--tls", str(tls.cert), str(tls.key)] if tls else []
        program = [sys.executable, str(HERE / "serve_postroad.py")]
        return [*program, "--spool", spool, "--folder", str(folder / "state"), *secured]

    return Kind(f"postroad-{spool}", title, command)


def aiosmtpd() -> Kind:
    """aiosmtpd's class of a session on asyncio's own loop."""

    def command(_folder: Path, _: int, tls: Tls | None) -> list[str]:
        secured = ["--tls", str(tls.cert), str(tls.key)] if tls else []
        return [sys.executable, str(HERE / "serve_aiosmtpd.py"), *secured]

    missing = "" if importlib.util.find_spec("aiosmtpd") else "aiosmtpd is missing: `make setup` installs it"
    return Kind("aiosmtpd", "aiosmtpd, null handler", command, missing=missing)


def smtp_sink() -> Kind:
    """Postfix's null server, in C."""
    program = postfix_program("smtp-sink")

    def command(_folder: Path, port: int, _: Tls | None) -> list[str]:
        user = ["-u", "nobody"] if os.geteuid() == 0 else []
        return [str(program), *user, "-m", "20000", f"{LOOPBACK}:{port}", "2000"]

    return Kind(
        "smtp-sink",
        "Postfix's smtp-sink",
        command,
        prints_port=False,
        speaks_tls=False,
        environment=postfix_environment(),
        missing="" if program else "smtp-sink is missing: `make peers` fetches it",
    )


def smtp_source() -> Path:
    """Postfix's load generator; raises BenchError."""
    program = postfix_program("smtp-source")
    if program is None:
        raise BenchError("smtp-source is missing, so no load can be made: `make peers` fetches it")
    return program


def postfix_environment() -> dict[str, str]:
    """What Postfix's programs need around them."""
    return provided.postfix_environment(provided.postfix_tree())


def postfix_program(name: str) -> Path | None:
    tree = provided.postfix_tree()
    return tree / "usr/sbin" / name if provided.postfix_runs(tree) else None
