"""A server on a UNIX socket that answers what a test says, and remembers what was asked."""

from __future__ import annotations

import json
import socketserver
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


@dataclass
class Ended:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class Asked:
    method: str
    path: str
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class FakeServer:
    """``answers``: (method, path with query) -> document, octets, (status, document), or an exception's name."""

    state: Path
    answers: dict[tuple[str, str], Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, method: str, path: str, answer: Any) -> None:
        self.answers[method, path] = answer

    @property
    def last(self) -> Asked:
        return self.asked[-1]


class Handler(BaseHTTPRequestHandler):
    fake: FakeServer

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _do(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        path = self.path.removeprefix("/api/v1")
        self.fake.asked.append(
            Asked(
                self.command, path, json.loads(body) if body else None, {k.lower(): v for k, v in self.headers.items()}
            )
        )
        answer = self.fake.answers.get((self.command, path), (404, {"detail": f"no {path}", "hint": "fake"}))
        if callable(answer):
            answer = answer()
        if answer == "hang up":
            return
        if answer == "garbage":
            self.wfile.write(b"220 mail.example.com ESMTP\r\n")
            return
        status, content = answer if isinstance(answer, tuple) else (200, answer)
        octets = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    do_GET = do_POST = do_PUT = do_DELETE = _do


class UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def get_request(self) -> tuple[Any, Any]:
        connection, _ = super().get_request()
        return connection, ("unix", 0)
