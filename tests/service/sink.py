"""An SMTP server that does what a test tells it: a next hop that accepts, defers, refuses, and remembers all it heard.

With ``Whims`` it does so at random, at every stage, and cuts connections too; a seed tells which.
"""

from __future__ import annotations

import contextlib
import random
import socketserver
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

#: Asked for each recipient and, as "DATA", for each content: a reply line, or "" for 250.
Script = Callable[[str], str]


#: In place of a reply: the connection ends there.
CUT = "cut"
#: In place of the final reply: the message is taken, and the connection ends without a word (RFC 1047).
TAKEN_AND_CUT = "taken and cut"

#: (probability, reply) for each stage: GREETING, EHLO, MAIL, RCPT, DATA, CONTENT (the final reply), PARAMETERS, which
#: is asked before MAIL and RCPT when there are some; HALFWAY (in the midst of content) and AFTER (behind the final
#: reply) know only CUT.
Moods = Mapping[str, Sequence[tuple[float, str]]]


class Whims:
    """Answers at random, the same for the same seed, stage, subject and how often that was asked."""

    def __init__(self, seed: int, moods: Moods) -> None:
        self._seed = seed
        self._moods = moods
        self._asked: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def calm(self) -> None:
        """From now on everything is answered as usual, but for what is refused for ever by name."""
        self._moods = {}

    def __call__(self, stage: str, subject: str) -> str:
        """The reply, ``""`` for the usual one. Recipients that begin with ``no`` are never known."""
        if stage == "RCPT" and subject.startswith("no"):
            return "550 5.1.1 nobody of that name"
        moods = self._moods.get(stage, ())
        with self._lock:
            self._asked[stage, subject] += 1
            times = self._asked[stage, subject]
        chance = random.Random(f"{self._seed} {stage} {subject} {times}").random()
        for probability, reply in moods:
            chance -= probability
            if chance < 0:
                return reply
        return ""


@dataclass(frozen=True, slots=True)
class Arrived:
    """One message that was taken, answered with 250 unless ``cut``."""

    reverse_path: str
    recipients: list[str]
    content: bytes
    cut: bool = False
    era: int = 0
    """``Sink.era`` when the connection began."""


@dataclass
class _State:
    script: Script
    whims: Whims | None = None
    extensions: Sequence[str] = ()
    era: int = 0
    arrived: list[Arrived] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


EXTENSIONS = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE")


class Sink:
    """Listens on a port of its own from the start; ``script`` may be exchanged at any time."""

    def __init__(
        self,
        script: Script = lambda word: "",
        port: int = 0,
        *,
        whims: Whims | None = None,
        extensions: Sequence[str] = EXTENSIONS,
        host: str = "127.0.0.1",
    ) -> None:
        """``whims`` are asked before the script."""
        self._state = state = _State(script, whims, extensions)

        class Handler(_Handler):
            kept = state

        self._server = _Server((host, port), Handler)
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

    @property
    def era(self) -> int:
        """Counts what the test wants to be counted; each message remembers its own."""
        return self._state.era

    @era.setter
    def era(self, number: int) -> None:
        self._state.era = number

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
    _has_sender = False
    _reverse_path = ""

    def handle(self) -> None:
        self._era = self.kept.era
        with contextlib.suppress(ConnectionError, _Cut):
            if self._answer("GREETING", "", "220 sink.example ESMTP"):
                return
            while line := self.rfile.readline():
                if self._command(line.decode().rstrip("\r\n")):
                    return

    def _say(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")

    def _whim(self, stage: str, subject: str) -> str:
        """What the whims answer; raises _Cut."""
        reply = self.kept.whims(stage, subject) if self.kept.whims is not None else ""
        if reply == CUT:
            raise _Cut
        return reply

    def _answer(self, stage: str, subject: str, usual: str) -> bool:
        """Say what the whims want, or the usual; whether it was another, and no success."""
        reply = self._whim(stage, subject)
        self._say(reply or usual)
        return bool(reply)

    def _command(self, line: str) -> bool:
        match line[:4].upper():
            case "EHLO":
                usual = "".join(f"250-{one}\r\n" for one in ("sink.example", *self.kept.extensions[:-1]))
                self._answer("EHLO", "", f"{usual}250 {self.kept.extensions[-1]}")
            case "MAIL":
                self._sender(line)
            case "RCPT":
                self._recipient(line)
            case "DATA":
                self._content()
            case "QUIT":
                self._say("221 bye")
                return True
            case _:
                self._say("250 ok")
        return False

    def _sender(self, line: str) -> None:
        path, _, given = line.partition("<")[2].partition(">")
        self._reverse_path, self._recipients = path, list[str]()
        reply = (self._whim("PARAMETERS", line) if given.strip() else "") or self._whim("MAIL", line)
        self._has_sender = not reply
        self._say(reply or "250 ok")

    def _recipient(self, line: str) -> None:
        if not self._has_sender:
            self._say("503 5.5.1 MAIL first")
            return
        address, _, given = line.partition("<")[2].partition(">")
        with self.kept.lock:
            self.kept.asked.append(address)
        reply = (self._whim("PARAMETERS", line) if given.strip() else "") or self._whim("RCPT", address)
        reply = reply or self.kept.script(address)
        if not reply:
            self._recipients.append(address)
        self._say(reply or "250 ok")

    def _content(self) -> None:
        if not self._has_sender or not self._recipients:
            self._say("554 no recipients")
            return
        if self._answer("DATA", self._recipients[0], "354 go on"):
            return
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return
            lines.append(line[1:] if line.startswith(b".") else line)
            if len(lines) == 3:
                self._whim("HALFWAY", self._recipients[0])
        reply = self._whim("CONTENT", self._recipients[0]) or self.kept.script("DATA")
        self._has_sender = False
        if reply in ("", TAKEN_AND_CUT):
            cut = bool(reply)
            with self.kept.lock:
                self.kept.arrived.append(Arrived(self._reverse_path, self._recipients, b"".join(lines), cut, self._era))
            if cut:
                raise _Cut
        self._say(reply or "250 ok")
        self._whim("AFTER", self._recipients[0])


class _Cut(Exception):
    """The connection ends here."""
