"""`deliver = "smtp:HOST:PORT"`: what the next hop takes is gone, what it defers is tried again, what it refuses is told."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests import peers
from tests.server_process import ServerProcess, until
from tests.service.sink import Sink

CONTENT = "Subject: to be handed over\r\n\r\n.dot\r\n..\r\nGrüße\r\n\r\n".encode()


def config(port: int, schedule: str = '["1s"]') -> str:
    return f"""
        hostname = "mail.example.com"
        [mx]
        listen = ["127.0.0.1:0"]
        [[domain]]
        name = "example.com"
        deliver = "smtp:127.0.0.1:{port}"
        [outbound]
        via = "hold"
        [retry]
        schedule = {schedule}
        """


@pytest.fixture(scope="module")
def next_hop() -> Iterator[Sink]:
    with Sink() as listening:
        yield listening


@pytest.fixture(scope="module")
def running(next_hop: Sink, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("relay"), config(next_hop.port)) as server:
        yield server


@pytest.fixture
def sink(next_hop: Sink) -> Sink:
    next_hop.forget()
    return next_hop


@pytest.fixture
def server(running: ServerProcess, sink: Sink) -> ServerProcess:
    """One server for all, and a log that begins with the test."""
    running.forget_log()
    return running


def reroute(server: ServerProcess, port: int) -> None:
    """Another next hop, by a reload."""
    before = len(server.log("settings reloaded"))
    server.configure(config(port))
    server.signal(signal.SIGHUP)
    until(lambda: len(server.log("settings reloaded")) > before, "the route is another")


@contextlib.contextmanager
def routed(server: ServerProcess, next_hop: Sink, port: int) -> Iterator[None]:
    """Another next hop for a while."""
    reroute(server, port)
    try:
        yield
    finally:
        reroute(server, next_hop.port)


def free_port() -> int:
    """A port where nobody listens now."""
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        return int(placeholder.getsockname()[1])


def send(server: ServerProcess, *recipients: str, content: bytes = CONTENT) -> None:
    """One message to all of them, taken."""
    with server.wire("mx") as wire:
        assert wire.ask("MAIL FROM:<ann@client.example>")[0] == 250
        for recipient in recipients:
            assert wire.ask(f"RCPT TO:<{recipient}>")[0] == 250
        assert wire.ask("DATA")[0] == 354
        wire.send(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        assert wire.reply()[0] == 250


def recipient_of(server: ServerProcess, address: str) -> dict[str, Any]:
    """Where one recipient stands; {} when there is none any more."""
    rows = [one for row in server.messages(to=address) for one in row["recipients"] if one["address"] == address]
    return rows[0] if rows else {}


def is_empty(server: ServerProcess) -> bool:
    """Nothing is left to deliver."""
    return all(one["state"] in ("delivered", "held") for row in server.messages() for one in row["recipients"])


def test_what_is_taken_arrives_with_its_octets_and_envelope(server: ServerProcess, sink: Sink) -> None:
    send(server, "bob@example.com", "carol@example.com")
    (arrived,) = until(lambda: sink.arrived, "it arrives")
    assert (arrived.reverse_path, arrived.recipients) == (
        "ann@client.example",
        ["bob@example.com", "carol@example.com"],
    )
    assert arrived.content.startswith(b"Received: from client.example ")
    assert arrived.content.endswith(b"\r\n" + CONTENT)
    until(lambda: is_empty(server), "it is settled")
    assert len(sink.arrived) == 1


def test_what_is_deferred_is_tried_again(server: ServerProcess, sink: Sink) -> None:
    answers = iter(["450 4.2.1 not now", "451 4.3.0 nor now"])
    sink.use(lambda word: next(answers, "") if word == "bob@example.com" else "")
    send(server, "bob@example.com", "carol@example.com")
    until(lambda: len(sink.arrived) == 2, "both arrive")
    assert [each.recipients for each in sink.arrived] == [["carol@example.com"], ["bob@example.com"]]
    assert sink.asked.count("carol@example.com") == 1, "who had it is not asked again"
    assert sink.asked.count("bob@example.com") == 3
    until(lambda: is_empty(server), "it is settled")
    deferred = [line["reply"] for line in server.log("deferred")]
    assert [reply[:9] for reply in deferred] == ["450 4.2.1", "451 4.3.0"]


def test_what_is_deferred_after_its_content_is_tried_again(server: ServerProcess, sink: Sink) -> None:
    answers = iter(["452 4.3.1 disk full"])
    sink.use(lambda word: next(answers, "") if word == "DATA" else "")
    send(server, "bob@example.com")
    until(lambda: sink.arrived, "it arrives")
    assert sink.asked == ["bob@example.com"] * 2


def test_what_is_refused_is_told_to_the_sender_and_shown(server: ServerProcess, sink: Sink) -> None:
    sink.use(lambda word: "550 5.1.1 no such mailbox" if word == "gone@example.com" else "")
    send(server, "gone@example.com", "bob@example.com")
    (failed,) = until(lambda: server.log("failed"), "it has failed")
    lines = [
        json.loads(line)
        for line in server.cli("log", "--json", "--message", failed["message"]).stdout.split("\n")
        if line
    ]
    assert {(line["to"], line["outcome"]) for line in lines} == {
        ("gone@example.com", "failed"),
        ("bob@example.com", "delivered"),
    }
    (refusal,) = [line["reply"] for line in lines if line["outcome"] == "failed"]
    assert refusal == {"code": 550, "enhanced": "5.1.1", "text": ["no such mailbox"]}
    assert [each.recipients for each in sink.arrived] == [["bob@example.com"]]
    (report,) = [row for row in server.messages() if row["from"] == ""]
    raw = server.raw(report["id"])
    assert b"Action: failed" in raw and b"Diagnostic-Code: smtp; 550 5.1.1 no such mailbox" in raw
    assert "550 5.1.1" in server.cli("queue", "why", failed["message"]).stdout


def test_no_answer_at_all_is_tried_again(server: ServerProcess, next_hop: Sink) -> None:
    port = free_port()
    with routed(server, next_hop, port):
        send(server, "bob@example.com")
        until(lambda: server.log("deferred"), "nobody listens, so it is deferred")
        assert recipient_of(server, "bob@example.com")["state"] == "queued"
        with Sink(port=port) as late:
            until(lambda: late.arrived, "somebody listens, so it arrives")
            until(lambda: is_empty(server), "it is settled")


def test_a_restart_forgets_nothing_that_waits(server: ServerProcess, sink: Sink) -> None:
    sink.use(lambda word: "450 4.2.0 not now")
    send(server, "bob@example.com")
    until(lambda: server.log("deferred"), "it is deferred")
    assert server.stop() == 0
    sink.use(lambda word: "")
    server.start()
    until(lambda: sink.arrived, "it arrives")


def test_what_the_next_hop_says_forges_no_line_of_the_log(server: ServerProcess, sink: Sink) -> None:
    sink.use(
        lambda word: '550 5.1.1 \x1b[2J\x07\x7f \u202egnp\u2028 {"level":"error"}' if word.startswith("bob") else ""
    )
    send(server, "bob@example.com")
    send(server, '"say \\" level=error x"@example.com')
    until(lambda: server.log("failed") and sink.arrived and server.log("delivered"), "both are settled")
    written = server.new_log
    assert all(character.isprintable() or character == "\n" for character in written)
    assert len(server.log()) == written.count("\n")
    assert not [line for line in server.log() if line["level"] == "error"]


def test_aiosmtpd_takes_it(server: ServerProcess, next_hop: Sink) -> None:
    class Keeping:
        contents: list[bytes] = []

        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            self.contents.append(envelope.original_content or b"")
            return "250 kept"

    controller = Controller(Keeping(), hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        with routed(server, next_hop, controller.port):
            send(server, "bob@example.com")
            until(lambda: Keeping.contents, "it arrives")
            assert Keeping.contents[0].endswith(b"\r\n" + CONTENT)
            until(lambda: is_empty(server), "it is settled")
    finally:
        controller.stop()


def test_smtp_sink_takes_it(server: ServerProcess, next_hop: Sink) -> None:
    port = free_port()
    command = peers.smtp_sink()
    sink = subprocess.Popen(
        [*command.argv, "-c", f"127.0.0.1:{port}", "128"],
        env=command.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        with routed(server, next_hop, port):
            for _ in range(20):
                send(server, "bob@example.com")
            until(lambda: len(server.log("delivered")) == 20, "all are delivered")
            until(lambda: is_empty(server), "all are settled")
    finally:
        sink.kill()
        sink.wait()
        assert sink.stdout is not None
        sink.stdout.close()
