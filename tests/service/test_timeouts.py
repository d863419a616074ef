"""Peers that take their time: each gets 421 and is gone, and nobody else waits for them. Never when, only that."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_process import PATIENCE, ServerProcess, Wire

CONFIG = """
hostname = "mail.example.com"
[mx]
listen = ["127.0.0.1:0"]
[limits]
command_timeout = "2s"
content_timeout = "1s"
min_rate = 100000
junk_commands = 10000000
[[domain]]
name = "example.com"
deliver = "hold"
"""


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("hasty"), CONFIG) as server:
        yield server


def drip(wire: Wire, octets: bytes, pause: float) -> None:
    """An octet at a time until the other side has had enough; one that closes early resets us, which is no matter."""
    wire.socket.settimeout(pause)
    end = time.monotonic() + PATIENCE
    for number in range(len(octets)):
        assert time.monotonic() < end
        try:
            wire.send(octets[number : number + 1])
            if wire.socket.recv(1, socket.MSG_PEEK):
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    wire.socket.settimeout(PATIENCE)


def assert_timed_out(wire: Wire) -> None:
    code, lines = wire.reply()
    assert (code, lines[0][:5]) == (421, "4.4.2")
    assert wire.at_end()


def test_silence_at_each_stage(hasty: ServerProcess) -> None:
    stages: list[list[str]] = [
        [],
        ["EHLO client.example"],
        ["EHLO client.example", "MAIL FROM:<a@client.example>"],
        ["EHLO client.example", "MAIL FROM:<a@client.example>", "RCPT TO:<b@example.com>"],
        ["EHLO client.example", "MAIL FROM:<a@client.example>", "RCPT TO:<b@example.com>", "DATA"],
    ]
    with contextlib.ExitStack() as ending:
        wires = [ending.enter_context(hasty.wire("mx", hello=False)) for _ in stages]
        for wire, commands in zip(wires, stages, strict=True):
            assert wire.reply()[0] == 220
            for command in commands:
                assert wire.ask(command)[0] in (250, 354)
        for wire in wires:
            assert_timed_out(wire)


def test_a_command_that_comes_octet_by_octet(hasty: ServerProcess) -> None:
    with hasty.wire("mx") as wire:
        drip(wire, b"NOOP " + b"x" * 400, 0.2)
        assert_timed_out(wire)


def test_content_that_stands_still(hasty: ServerProcess) -> None:
    with hasty.wire("mx") as wire:
        begin_content(wire)
        wire.send(b"Subject: half\r\n\r\nand then noth")
        assert_timed_out(wire)
    assert not hasty.messages()


def test_content_below_the_least_rate(hasty: ServerProcess) -> None:
    with hasty.wire("mx") as wire:
        begin_content(wire)
        drip(wire, b"x" * 400, 0.2)
        assert_timed_out(wire)


def test_fast_content_of_any_size_is_taken(hasty: ServerProcess) -> None:
    with hasty.wire("mx") as wire:
        assert wire.deliver("b@example.com", b"Subject: big\r\n\r\n" + (b"x" * 998 + b"\r\n") * 5_000)[0] == 250


def begin_content(wire: Wire) -> None:
    for command in ("MAIL FROM:<a@client.example>", "RCPT TO:<b@example.com>", "DATA"):
        assert wire.ask(command)[0] in (250, 354)


def test_who_never_reads_is_not_read_from(hasty: ServerProcess) -> None:
    """Replies that nobody takes must not pile up: the peer's sending stops at what the socket buffers hold."""
    commands = b"HELP\r\n" * 10_000
    most = 64 * 1024 * 1024
    before = resident(hasty)
    with hasty.wire("mx") as deaf:
        deaf.socket.settimeout(0.5)
        sent = 0
        with contextlib.suppress(TimeoutError, ConnectionError):
            while sent < most:
                sent += deaf.socket.send(commands)
        assert sent < most
        assert resident(hasty) - before < 16 * 1024 * 1024
        with hasty.wire("mx") as other:
            assert other.deliver("b@example.com")[0] == 250


def resident(server: ServerProcess) -> int:
    """Octets of memory that the process has."""
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024
