"""`postroad serve` as a process of its own, and the plainest client that can talk to it: what the tests of the whole
service and of real clients stand on.

    with ServerProcess(folder, '[dev]\\nlisten = ["127.0.0.1:0"]') as server:
        with server.wire("dev") as wire:
            assert wire.ask("NOOP") == (250, ["2.0.0 Ok"])
        assert server.stop() == 0

Ports are always 0 and learnt from the running server, through the control socket in its state folder.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

T = TypeVar("T")

#: A net against hanging, never a measure: how long anything that must happen may take on a busy machine.
PATIENCE = 60.0

Reply = tuple[int, list[str]]


def until(look: Callable[[], T], what: str, seconds: float = PATIENCE, pause: float = 0.02) -> T:
    """What ``look`` gives as soon as it is true."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"waited in vain: {what}"
        time.sleep(pause)


class ServerProcess:
    """One server, which may be stopped, killed and started again on the same state."""

    def __init__(
        self,
        folder: Path,
        config: str | None,
        *,
        state: Path | None = None,
        arguments: Sequence[str] = (),
        before: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        control: Callable[[Path], Path] = lambda path: path,
    ) -> None:
        """``config`` None: dev mode; ``before``: a program that runs ours; ``control``: how we see the state folder."""
        self.folder = folder
        self.state = state or folder / "state"
        self.config = folder / "postroad.toml"
        self.errors = folder / "stderr.log"
        self._dev = config is None
        if config is not None:
            self.configure(config)
        self._arguments = list(arguments)
        self._before = list(before)
        self._environment = {**os.environ, **(environment or {})}
        self._control = control
        self._forgotten = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.listeners: dict[str, list[tuple[str, int]]] = {}

    # ── the process ─────────────────────────────────────────────────────────

    def configure(self, text: str) -> None:
        """Write the settings file; top-level keys come from ``text`` too, the state folder from us."""
        self.config.write_text(f'state = "{self.state}"\n{text}\n', "utf-8")

    @property
    def command(self) -> list[str]:
        """How it is started."""
        how = ["--port", "0", "--web-port", "0", "--state", str(self.state)] if self._dev else []
        if not self._dev:
            how = ["--config", str(self.config)]
        return [
            *self._before,
            sys.executable,
            "-m",
            "postroad",
            "serve",
            "--log-format",
            "json",
            *how,
            *self._arguments,
        ]

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start it and do not wait."""
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=self._environment
            )
        return self.process

    def start(self) -> ServerProcess:
        """Start it and wait until it listens."""
        self.spawn()
        until(self._learn_ports, "the server listens")
        until(self._minds_signals, "the server minds its signals")
        return self

    def _minds_signals(self) -> bool:
        """Whether the last step of the start is done: SIGHUP has a handler (its default would end the process)."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status")
        if not status.exists():
            return True
        (caught,) = re.findall(r"(?m)^SigCgt:\s*([0-9a-f]+)$", status.read_text())
        return bool(int(caught, 16) >> (signal.SIGHUP - 1) & 1)

    def _learn_ports(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, f"exit status {self.process.returncode}:\n{self.errors.read_text()}"
        try:
            status, about = self.api("GET", "/status")
        except (OSError, http.client.HTTPException):
            return False
        if status != 200 or not about["listeners"]:
            return False
        self.listeners = {}
        for each in about["listeners"]:
            self.listeners.setdefault(each["name"], []).append((each["host"], each["port"]))
        return True

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def wait(self) -> int:
        """Its exit status, once it has ended."""
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def stop(self) -> int:
        """Ask it to end; its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """As a power cut to the process."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(PATIENCE)

    def __enter__(self) -> ServerProcess:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process is not None
        if self.process.poll() is not None:
            return
        self.signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    # ── what it tells ───────────────────────────────────────────────────────

    def log(self, event: str | None = None) -> list[dict[str, Any]]:
        """Every line of the log so far as a document; of one kind of event."""
        lines = self.new_log.split("\n")
        documents = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]
        return [each for each in documents if event is None or each["event"] == event]

    @property
    def new_log(self) -> str:
        """What the process has written since the log was last forgotten."""
        return self.errors.read_bytes()[self._forgotten :].decode("utf-8", "replace")

    def forget_log(self) -> None:
        """Read only what comes from here on."""
        self._forgotten = self.errors.stat().st_size

    def api(
        self, method: str, path: str, body: object = None, query: Mapping[str, object] | None = None
    ) -> tuple[int, Any]:
        """Ask through the control socket: status and document (octets where it is none)."""
        connection = _Control(self._control(self.state / "control.sock"))
        try:
            headers = {"Content-Type": "application/json"} if method in ("POST", "PUT") else {}
            target = f"/api/v1{path}" + (f"?{urlencode(query)}" if query else "")
            connection.request(method, target, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            octets = answer.read()
        finally:
            connection.close()
        if "json" in (answer.getheader("content-type") or ""):
            return answer.status, json.loads(octets)
        return answer.status, octets

    def get(self, path: str, **query: object) -> Any:
        """The document at ``path``."""
        status, document = self.api("GET", path, query=query)
        assert status == 200, (path, status, document)
        return document

    def messages(self, **query: object) -> list[dict[str, Any]]:
        """All rows of the inbox, newest first."""
        rows: list[dict[str, Any]] = []
        page: dict[str, Any] = {"before": 0}
        while page["before"] is not None:
            page = self.get("/inbox", limit=500, before=page["before"], **query)
            rows += page["messages"]
        return rows

    def message_to(self, recipient: str) -> dict[str, Any]:
        """The message to one recipient, waited for."""
        found: dict[str, Any] = self.get("/inbox/wait", to=recipient, timeout=30)
        return found

    def raw(self, message_id: str) -> bytes:
        """A message as it is kept."""
        octets: bytes = self.get(f"/inbox/{message_id}/raw")
        return octets

    def cli(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run another verb of the command line against this server."""
        command = [sys.executable, "-m", "postroad", *arguments, "--state-dir", str(self.state)]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, env=self._environment
        )
        assert not check or done.returncode == 0, (arguments, done)
        return done

    # ── talking to it ───────────────────────────────────────────────────────

    def address(self, listener: str) -> tuple[str, int]:
        """Where a listener listens."""
        return self.listeners[listener][0]

    @property
    def web(self) -> tuple[str, int]:
        """Where page and API listen."""
        (line, *_) = until(
            lambda: [one for one in self.log("listening") if one["listener"] == "web"], "the page listens"
        )
        parts = urlsplit(line["url"])
        return parts.hostname or "", parts.port or 0

    def wire(self, listener: str, hello: bool = True) -> Wire:
        """Connect; greeted, and EHLO said unless not wanted."""
        wire = Wire(self.address(listener))
        if hello:
            assert wire.reply()[0] == 220
            assert wire.ask("EHLO client.example")[0] == 250
        return wire


class _Control(http.client.HTTPConnection):
    """HTTP over the control socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


class Wire:
    """A connection on which tests say exactly what they mean, octet by octet."""

    def __init__(self, address: tuple[str, int], source: str = "") -> None:
        """``source``: the loopback address to come from."""
        self.socket = socket.create_connection(address, PATIENCE, (source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *fault: object) -> None:
        self.close()

    def close(self) -> None:
        """Gone, with a reset if something was left unread."""
        self.socket.close()

    def send(self, octets: bytes) -> None:
        """These octets, in one segment where they fit."""
        self.socket.sendall(octets)

    def _fill(self) -> bool:
        try:
            octets = self.socket.recv(65536)
        except ConnectionResetError:
            octets = b""
        self._buffer += octets
        return bool(octets)

    def line(self) -> str | None:
        """One line, or None at the end."""
        while b"\r\n" not in self._buffer:
            if not self._fill():
                assert not self._buffer, f"half a line: {self._buffer!r}"
                return None
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line.decode("utf-8")

    def reply(self) -> Reply:
        """One reply, (0, []) at the end of the connection."""
        texts: list[str] = []
        while True:
            line = self.line()
            if line is None:
                assert not texts, texts
                return 0, []
            assert line[:3].isdecimal() and line[3:4] in (" ", "-"), line
            texts.append(line[4:])
            if line[3] == " ":
                return int(line[:3]), texts

    def replies(self) -> list[Reply]:
        """All replies until the other side closes."""
        found: list[Reply] = []
        while (reply := self.reply())[0]:
            found.append(reply)
        return found

    def ask(self, command: str) -> Reply:
        """One command and its reply."""
        self.send(command.encode() + b"\r\n")
        return self.reply()

    def at_end(self) -> bool:
        """Whether the other side has closed, and said nothing more."""
        return self.line() is None

    def start_tls(self, context: ssl.SSLContext, name: str = "localhost") -> None:
        """STARTTLS and EHLO anew."""
        assert self.ask("STARTTLS")[0] == 220
        self.socket = context.wrap_socket(self.socket, server_hostname=name)
        assert self.ask("EHLO client.example")[0] == 250

    def deliver(
        self, recipient: str, content: bytes = b"Subject: probe\r\n\r\nprobe\r\n", sender: str = "a@client.example"
    ) -> Reply:
        """One transaction with content that needs no stuffing; the reply that ended it."""
        for command in (f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "DATA"):
            reply = self.ask(command)
            if reply[0] not in (250, 354):
                self.ask("RSET")
                return reply
        self.send(content + b".\r\n")
        return self.reply()
