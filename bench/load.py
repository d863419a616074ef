"""What servers are loaded with: smtp-source, connections that do nothing, and clients that only want to be greeted."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench.measure import Cores, busy_seconds, client_seconds, cpu_seconds, memory_octets, on_core
from bench.peers import LOOPBACK, BenchError, Server, Tls, postfix_environment, smtp_source

OCTETS = 5120
_LIMIT = 60.0


@dataclass(frozen=True, slots=True)
class Burst:
    """What one run of smtp-source came to; seconds."""

    messages: int
    wall: float
    server_cpu: float
    client_cpu: float
    other_cpu: float
    """Of whatever else ran on this machine meanwhile."""


def burst(server: Server, cores: Cores, sessions: int, kept: bool, messages: int) -> Burst:
    """Send ``messages`` of 5 KB over ``sessions`` connections, kept or made anew for each; raises BenchError."""
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
    command += ["-M", "client.example.net", "-f", "kana@example.net", "-t", "bob@example.org"]
    command.append(f"{LOOPBACK}:{server.port}")
    environment = {**os.environ, **postfix_environment()}
    cpu, client, busy, wall = cpu_seconds(server.pid), client_seconds(), busy_seconds(), time.perf_counter()
    with on_core(cores.load):
        try:
            done = subprocess.run(command, env=environment, capture_output=True, timeout=_LIMIT, check=False)
        except subprocess.TimeoutExpired as fault:
            raise BenchError(f"smtp-source did not end within {_LIMIT:.0f} s against {server.kind.name}") from fault
    wall = time.perf_counter() - wall
    client, cpu, busy = client_seconds() - client, cpu_seconds(server.pid) - cpu, busy_seconds() - busy
    if done.returncode:
        said = (done.stderr or done.stdout).decode("utf-8", "replace").strip()
        raise BenchError(f"smtp-source failed against {server.kind.name}: {said[-500:]}")
    return Burst(messages, wall, cpu, client, max(0.0, busy - cpu - client))


def idle_octets(server: Server, cores: Cores, connections: int, tls: Tls | None) -> float:
    """How much a server grows by a connection that was greeted, (did STARTTLS,) said EHLO and stays."""
    context = ssl.create_default_context(cafile=str(tls.ca)) if tls else None
    with on_core(cores.load):
        with contextlib.ExitStack() as first:  # what the first connections load once is not their share
            for _ in range(20):
                first.enter_context(_greeted(server.port, context))
        time.sleep(0.3)
        with contextlib.ExitStack() as held:
            before = memory_octets(server.pid)
            for _ in range(connections):
                held.enter_context(_greeted(server.port, context))
            time.sleep(0.3)
            return (memory_octets(server.pid) - before) / connections


@contextlib.contextmanager
def _greeted(port: int, context: ssl.SSLContext | None) -> Iterator[None]:
    connection = socket.create_connection((LOOPBACK, port), 30)
    try:
        _expect(connection, b"", b"220")
        _expect(connection, b"EHLO client.example.net\r\n", b"250")
        if context is not None:
            _expect(connection, b"STARTTLS\r\n", b"220")
            connection = context.wrap_socket(connection, server_hostname=LOOPBACK)
            _expect(connection, b"EHLO client.example.net\r\n", b"250")
        yield
    finally:
        connection.close()


def _expect(connection: socket.socket, command: bytes, code: bytes) -> None:
    """Say a command and read its whole reply."""
    if command:
        connection.sendall(command)
    reply = b""
    while not (reply.endswith(b"\r\n") and reply[reply.rfind(b"\n", 0, -1) + 1 :].startswith(code + b" ")):
        octets = connection.recv(4096)
        if not octets or not reply.startswith(code[: len(reply)]):
            raise BenchError(
                f"{command.decode().strip() or 'connect'} was answered {reply.decode('utf-8', 'replace')!r}"
            )
        reply += octets


def greeting_seconds(server: Server, cores: Cores, times: int) -> list[float]:
    """From connect to the whole 220, one client after another."""
    waits: list[float] = []
    with on_core(cores.load):
        for _ in range(times):
            began = time.perf_counter()
            with socket.create_connection((LOOPBACK, server.port), 30) as connection:
                octets = connection.recv(512)
                waits.append(time.perf_counter() - began)
                if not (octets.startswith(b"220") and octets.endswith(b"\n")):
                    raise BenchError(f"{server.kind.name} greeted with {octets!r}")
                connection.sendall(b"QUIT\r\n")
                connection.recv(512)
    return waits
