"""A host in a thread that follows a script: what the tests of sending talk to, whatever loop they run."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Answer = bytes | list[bytes] | Callable[[bytes], bytes]

CUT = b"(the connection is closed here)"


@dataclass
class Script:
    """``replies``: verb (``.`` for the content, ``BDAT``) -> a reply, replies in turn (the last stays), or a function."""

    greeting: bytes = b"220 host.example ESMTP\r\n"
    extensions: tuple[bytes, ...] = ()
    replies: dict[str, Answer] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    implicit: bool = False
    lmtp: bool = False
    heard: list[bytes] = field(default_factory=list)
    """Every command line, of all connections."""
    inside: list[bool] = field(default_factory=list)
    """Whether it came inside TLS."""
    contents: list[bytes] = field(default_factory=list)
    connections: int = 0
    port: int = 0

    def answer(self, verb: str, line: bytes) -> bytes | None:
        found = self.replies.get(verb)
        if callable(found):
            return found(line)
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        return found

    @property
    def verbs(self) -> list[str]:
        return [line.split(b" ")[0].split(b":")[0].decode("ascii", "replace").strip().upper() for line in self.heard]


@contextlib.contextmanager
def playing(script: Script, path: str = "") -> Iterator[Script]:
    """The host on a free port of 127.0.0.1 (or on a socket), for as long as the block runs."""
    listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
    listener.bind(path or ("127.0.0.1", 0))
    listener.listen(16)
    script.port = 0 if path else listener.getsockname()[1]
    over = threading.Event()
    sockets: list[socket.socket] = []

    def accept() -> None:
        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            sockets.append(connection)
            script.connections += 1
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def serve(connection: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError, ValueError):
            _Session(script, connection).run()
        with contextlib.suppress(OSError):
            connection.close()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield script
    finally:
        over.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in sockets:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join(10)


class _Session:
    def __init__(self, script: Script, connection: socket.socket) -> None:
        self.script = script
        self.connection = connection
        self.tls = False
        self.accepted = 0
        self.chunks = b""
        self.file = connection.makefile("rb")

    def say(self, octets: bytes) -> None:
        if octets.endswith(CUT):
            self.connection.sendall(octets.removesuffix(CUT))
            raise EOFError
        self.connection.sendall(octets)

    def secure(self) -> None:
        assert self.script.tls is not None
        self.connection = self.script.tls.wrap_socket(self.connection, server_side=True)
        self.file = self.connection.makefile("rb")
        self.tls = True

    def run(self) -> None:
        if self.script.implicit:
            self.secure()
        self.say(self.script.greeting)
        while line := self.file.readline():
            self.script.heard.append(line)
            self.script.inside.append(self.tls)
            verb = line.split(b" ")[0].split(b":")[0].decode("ascii", "replace").strip().upper()
            if self.one(verb, line):
                return

    def one(self, verb: str, line: bytes) -> bool:
        answer = self.script.answer(verb, line)
        if verb == "BDAT":
            return self.chunk(line, answer)
        if answer is None:
            answer = self.usual(verb)
        self.say(answer)
        if verb == "MAIL":
            self.accepted = 0
        if verb == "RCPT" and answer.startswith(b"2"):
            self.accepted += 1
        if verb == "STARTTLS" and answer.startswith(b"220"):
            self.secure()
        if verb == "AUTH" and answer.startswith(b"334"):
            self.challenge()
        if verb == "DATA" and answer.startswith(b"354"):
            self.content()
        return verb == "QUIT"

    def challenge(self) -> None:
        """LOGIN: two questions."""
        self.script.heard.append(self.file.readline())
        self.script.inside.append(self.tls)
        self.say(b"334 UGFzc3dvcmQ6\r\n")
        self.script.heard.append(self.file.readline())
        self.script.inside.append(self.tls)
        self.say(self.script.answer("(password)", b"") or b"235 2.7.0 welcome\r\n")

    def usual(self, verb: str) -> bytes:
        if verb in ("EHLO", "LHLO"):
            lines = [b"host.example", *self.script.extensions]
            if self.script.tls is not None and not self.tls:
                lines.append(b"STARTTLS")
            return b"".join(b"250-" + line + b"\r\n" for line in lines[:-1]) + b"250 " + lines[-1] + b"\r\n"
        return {
            "DATA": b"354 go on\r\n",
            "QUIT": b"221 bye\r\n",
            "STARTTLS": b"220 go\r\n",
            "AUTH": b"235 2.7.0 welcome\r\n",
        }.get(verb, b"250 ok\r\n")

    def content(self) -> None:
        lines = []
        while (line := self.file.readline()) != b".\r\n":
            if not line:
                raise EOFError
            lines.append(line.removeprefix(b"."))
        self.finish(b"".join(lines))

    def chunk(self, line: bytes, answer: bytes | None) -> bool:
        size = int(line.split()[1])
        self.chunks += self.file.read(size)
        if b"LAST" in line.upper():
            content, self.chunks = self.chunks, b""
            self.finish(content)
        else:
            self.say(answer or b"250 ok\r\n")
        return False

    def finish(self, content: bytes) -> None:
        self.script.contents.append(content)
        for _ in range(self.accepted if self.script.lmtp else 1):
            self.say(self.script.answer(".", b"") or b"250 2.0.0 queued as 7F3A1\r\n")
