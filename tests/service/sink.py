"""An SMTP server that does what a test tells it: a next hop that accepts, defers, refuses, and remembers all it heard."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

#: Asked for each recipient and, as "DATA", for each content: a reply line, or "" for 250.
Script = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message that was answered with 250."""

    reverse_path: str
    recipients: list[str]
    content: bytes


@dataclass
class _State:
    script: Script
    arrived: list[Arrived] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Sink:
    """Listens on a port of its own from the start; ``script`` may be exchanged at any time."""

    def __init__(self, script: Script = lambda word: "", port: int = 0) -> None:
        self._state = state = _State(script)

        class Handler(_Handler):
            kept = state

        self._server = _Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def arrived(self) -> list[Arrived]:
        """What was accepted so far."""
        with self._state.lock:
            return list(self._state.arrived)

    @property
    def asked(self) -> list[str]:
        """Every recipient that was asked about, in order."""
        with self._state.lock:
            return list(self._state.asked)

    def use(self, script: Script) -> None:
        """Answer by this from now on."""
        self._state.script = script

    def forget(self) -> None:
        """As on the first day."""
        with self._state.lock:
            self._state.arrived.clear()
            self._state.asked.clear()
            self._state.script = lambda word: ""

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


class _Handler(socketserver.StreamRequestHandler):
    kept: _State
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            self._say("220 sink.example ESMTP")
            while line := self.rfile.readline():
                if self._command(line.decode().rstrip("\r\n")):
                    return

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def _command(self, line: str) -> bool:
        match line[:4].upper():
            case "EHLO":
                self.wfile.write(b"250-sink.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE\r\n")
            case "MAIL":
                self._reverse_path, self._recipients = line.partition("<")[2].partition(">")[0], list[str]()
                self._say("250 ok")
            case "RCPT":
                self._recipient(line.partition("<")[2].partition(">")[0])
            case "DATA":
                self._content()
            case "QUIT":
                self._say("221 bye")
                return True
            case _:
                self._say("250 ok")
        return False

    def _recipient(self, address: str) -> None:
        with self.kept.lock:
            self.kept.asked.append(address)
        reply = self.kept.script(address)
        if not reply:
            self._recipients.append(address)
        self._say(reply or "250 ok")

    def _content(self) -> None:
        if not self._recipients:
            self._say("554 no recipients")
            return
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return
            lines.append(line[1:] if line.startswith(b".") else line)
        reply = self.kept.script("DATA")
        if not reply:
            with self.kept.lock:
                self.kept.arrived.append(Arrived(self._reverse_path, self._recipients, b"".join(lines)))
        self._say(reply or "250 ok")
