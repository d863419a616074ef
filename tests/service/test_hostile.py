"""Peers that mean harm, over loopback, against the whole server: each is answered or cut, and a canary always gets through.

What a single engine does with such octets is proven elsewhere, at every split; here it is the running server's turn.
"""

from __future__ import annotations

import contextlib
import itertools
import resource
import select
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator

import pytest
import trustme

from tests.server_process import PATIENCE, Reply, ServerProcess, Wire, until
from tests.service.conftest import Serve

CONFIG = """
hostname = "mail.example.com"
[mx]
listen = ["127.0.0.1:0"]
[submission]
listen = ["127.0.0.1:0"]
auth = false
trusted_networks = ["127.0.0.0/8"]
greet_delay = "100ms"
[limits]
connections = 5000
errors = 5
junk_commands = 20
exempt = []
connections_per_client = 0
messages_per_minute = 0
recipients_per_minute = 0
tls_starts_per_minute = 0
[[domain]]
name = "example.com"
recipients = ["bob"]
deliver = "hold"
"""
CONTENT = b"Subject: probe\r\n\r\nprobe\r\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("hostile")
    issued = authority.issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    (folder / "key.pem").touch(0o600)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    config = f'{CONFIG}\n[tls]\ncert = "{folder}/cert.pem"\nkey = "{folder}/key.pem"\n'
    with ServerProcess(folder, config) as running:
        yield running
    assert not [line for line in running.log() if line["level"] in ("warning", "error")]


@pytest.fixture(autouse=True)
def canary(server: ServerProcess) -> Iterator[None]:
    """Whatever a test did, the server takes mail from the next client."""
    yield
    assert deliver(server) == 250


def deliver(server: ServerProcess) -> int:
    with server.wire("mx") as wire:
        return wire.deliver("bob@example.com", CONTENT)[0]


def codes(replies: list[Reply]) -> list[int]:
    return [code for code, _ in replies]


# --- talking out of turn


@pytest.mark.parametrize("listener", ["mx", "submission"], ids=["at-once", "greet-delay"])
def test_an_early_talker_is_turned_away(listener: str, server: ServerProcess) -> None:
    """The server is stopped while the connection and its first octets come, so that they are there when it looks."""
    server.signal(signal.SIGSTOP)
    try:
        wire = Wire(server.address(listener))
        wire.send(b"EHLO early.example\r\n")
    finally:
        server.signal(signal.SIGCONT)
    with wire:
        assert codes(wire.replies()) == [554]


@pytest.mark.parametrize("pause", [0.0, 0.001, 0.01, 0.05])
def test_nothing_behind_starttls_is_ever_obeyed(pause: float, server: ServerProcess, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with server.wire("mx") as wire:
        if not pause:
            wire.send(b"STARTTLS\r\nNOOP injected\r\n")
            assert codes(wire.replies()) == [554]
            return
        wire.send(b"STARTTLS\r\n")
        select.select([wire.socket], [], [], pause)
        with contextlib.suppress(ConnectionError):
            wire.send(b"NOOP injected\r\n")
            said = wire.socket.recv(1000)
            assert said.startswith((b"220 ", b"554 ")) and said.count(b"\r\n") <= 1
            wire.socket.settimeout(PATIENCE)
            with pytest.raises((ssl.SSLError, ConnectionError, OSError)):
                context.wrap_socket(wire.socket, server_hostname="localhost")


def test_behind_data_before_354(server: ServerProcess) -> None:
    with server.wire("mx") as wire:
        wire.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n" + CONTENT + b".\r\n")
        assert codes(wire.replies()) == [250, 250, 554]


# --- other protocols


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.1\r\nHost: mail.example.com\r\nX: MAIL FROM:<a@b.example>\r\n\r\nMAIL FROM:<a@b.example>\r\n",
        b"POST / HTTP/1.1\r\nHost: mail.example.com\r\nContent-Length: 30\r\n\r\nMAIL FROM:<a@b.example>\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    ],
    ids=["get", "post", "tls-hello"],
)
def test_another_protocol_is_hung_up_on(octets: bytes, server: ServerProcess) -> None:
    with server.wire("mx", hello=False) as wire:
        assert wire.reply()[0] == 220
        wire.send(octets)
        assert codes(wire.replies()) in ([554], [])


def test_a_real_tls_client_on_the_plain_port(server: ServerProcess) -> None:
    with socket.create_connection(server.address("mx"), PATIENCE) as connected:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ssl.create_default_context().wrap_socket(connected, server_hostname="localhost")


# --- too much of anything


def flood(wire: Wire, octets: bytes) -> list[Reply]:
    """Send while reading, as one must who wants to send more than the other side will buffer."""
    found: list[Reply] = []
    reader = threading.Thread(target=lambda: found.extend(wire.replies()))
    reader.start()
    with contextlib.suppress(ConnectionError):
        wire.send(octets)
        with contextlib.suppress(OSError):
            wire.socket.shutdown(socket.SHUT_WR)
    reader.join(PATIENCE)
    assert not reader.is_alive()
    return found


@pytest.mark.parametrize("command", ["NOOP", "RSET", "VRFY bob", "HELP", "EHLO again.example"])
def test_commands_without_mail_end_at_the_limit(command: str, server: ServerProcess) -> None:
    with server.wire("mx") as wire:
        found = flood(wire, f"{command}\r\n".encode() * 100_000)
    assert found[-1][0] == 421
    assert len(found) <= 22


@pytest.mark.parametrize(
    "commands",
    [
        ["MAIL FROM:<a@client.example>"] + [f"RCPT TO:<guess{number}@example.com>" for number in range(1_000)],
        ["MAIL FROM:<a@client.example>"] + ["RCPT TO:<bob@elsewhere.example>"] * 1_000,
        ["FOO"] * 1_000,
        ["MAIL FROM:<a@client.example> FOO=BAR"] * 1_000,
        ["RCPT TO:<bob@example.com>"] * 1_000,
    ],
    ids=["harvest", "relay", "unknown", "parameters", "order"],
)
def test_errors_end_at_the_limit(commands: list[str], server: ServerProcess) -> None:
    with server.wire("mx") as wire:
        found = flood(wire, "".join(f"{each}\r\n" for each in commands).encode())
    refused = [code for code, _ in found if code >= 500]
    assert len(refused) == 6, "five are borne, the sixth is the last"
    assert found[-1][0] == 421


def test_a_line_without_end_is_cut(server: ServerProcess) -> None:
    before = resident(server)
    with server.wire("mx") as wire:
        found = flood(wire, b"x" * 16 * 1024 * 1024)
    assert codes(found)[-1:] == [421]
    assert resident(server) - before < 8 * 1024 * 1024


def resident(server: ServerProcess) -> int:
    """Octets of memory that the process has."""
    assert server.process is not None
    with open(f"/proc/{server.process.pid}/status") as status:
        return int(status.read().partition("VmRSS:")[2].split()[0]) * 1024


def test_two_thousand_idle_connections_bother_nobody(server: ServerProcess) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2_000
    if soft < wanted + 200:
        pytest.skip(f"privileged: {wanted} open files")
    with contextlib.ExitStack() as ending:
        wires = [ending.enter_context(Wire(server.address("mx"))) for _ in range(wanted)]
        assert {wire.reply()[0] for wire in wires} == {220}
        assert deliver(server) == 250
        assert wires[0].ask("NOOP")[0] == wires[-1].ask("NOOP")[0] == 250


def test_connection_caps(serve: Serve) -> None:
    limits = "connections = 6\nconnections_per_client = 3\nexempt = []"
    capped = serve(
        CONFIG.replace("connections = 5000", limits).replace("exempt = []\nconnections_per_client = 0\n", "")
    )
    with contextlib.ExitStack() as ending:
        first = [ending.enter_context(Wire(capped.address("mx"), "127.0.0.2")) for _ in range(3)]
        assert {wire.reply()[0] for wire in first} == {220}
        with Wire(capped.address("mx"), "127.0.0.2") as fourth:
            code, lines = fourth.reply()
            assert (code, lines[0][:5]) == (421, "4.7.0")
            assert fourth.at_end()
        others = [ending.enter_context(Wire(capped.address("mx"), "127.0.0.3")) for _ in range(3)]
        assert {wire.reply()[0] for wire in others} == {220}
        with Wire(capped.address("mx"), "127.0.0.4") as seventh:
            code, lines = seventh.reply()
            assert (code, lines[0][:5]) == (421, "4.3.2")
            assert seventh.at_end()
        assert first[0].ask("QUIT")[0] == 221
        until(lambda: greeted(capped, "127.0.0.4"), "a place is free again")


def greeted(server: ServerProcess, source: str) -> bool:
    with Wire(server.address("mx"), source) as wire:
        return wire.reply()[0] == 220


# --- ends of many kinds


def test_quit_and_a_half_close(server: ServerProcess) -> None:
    with server.wire("mx") as wire:
        wire.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<bob@example.com>\r\nQUIT\r\n")
        wire.socket.shutdown(socket.SHUT_WR)
        assert codes(wire.replies()) == [250, 250, 221]


def test_a_half_close_in_place_of_quit_loses_nothing(server: ServerProcess) -> None:
    with server.wire("mx") as wire:
        for command in ("MAIL FROM:<a@client.example>", "RCPT TO:<bob@example.com>", "DATA"):
            assert wire.ask(command)[0] in (250, 354)
        wire.send(CONTENT + b".\r\n")
        wire.socket.shutdown(socket.SHUT_WR)
        assert codes(wire.replies())[0] == 250


@pytest.mark.parametrize("at", range(1, 7))
def test_a_reset_at_any_stage(at: int, server: ServerProcess) -> None:
    said = [
        b"EHLO x.example\r\n",
        b"MAIL FROM:<a@b.example>\r\n",
        b"RCPT TO:<bob@example.com>\r\n",
        b"DATA\r\n",
        b"half",
    ]
    before = len(server.messages())
    wire = server.wire("mx", hello=False)
    for octets in [b"", *said][:at]:
        wire.send(octets)
        if octets.endswith(b"\n") or not octets:
            assert wire.reply()[0] in (220, 250, 354)
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    wire.close()
    assert len(server.messages()) == before


# --- octets that mean two things


def chunk(content: bytes, last: str = " LAST") -> bytes:
    return b"BDAT %d%s\r\n" % (len(content), last.encode()) + content


HEADER = b"Subject: x\r\n\r\n"
BDAT: dict[str, tuple[bytes, list[int]]] = {
    "in-two": (chunk(HEADER[:5], "") + chunk(HEADER[5:]), [250, 250]),
    "empty-last": (chunk(HEADER, "") + chunk(b""), [250, 250]),
    "command-inside": (chunk(HEADER + b"RSET\r\nMAIL FROM:<e@e.example>\r\n"), [250]),
    "chunk-inside": (chunk(HEADER + chunk(b"x", "")[:-1]), [250]),
    "dots-are-nothing": (chunk(HEADER + b"\r\n.\r\n.\r\n"), [250]),
    "huge": (b"BDAT 18446744073709551616\r\n", [501]),
    "negative": (b"BDAT -1\r\n", [501]),
    "hexadecimal": (b"BDAT 0x10\r\n", [501]),
    "underscore": (b"BDAT 1_0\r\n", [501]),
    "no-number": (b"BDAT LAST\r\n", [501]),
    "data-after-bdat": (chunk(HEADER, "") + b"DATA\r\n", [250, 503]),
    "rset-between": (chunk(HEADER, "") + b"RSET\r\n" + chunk(b"NOOP\r\n", ""), [250, 250, 503]),
    "bare-lf": (chunk(HEADER + b"NOOP\nNOOP\r\n"), [550]),
    "chunk-after-a-bad-one": (chunk(b"NOOP\nNOOP\r\n", "") + chunk(b"NOOP\r\n"), [550, 503]),
}


@pytest.mark.parametrize("name", BDAT)
def test_chunks_never_put_command_and_content_out_of_step(name: str, server: ServerProcess) -> None:
    octets, expected = BDAT[name]
    for split in range(0, len(octets), 5):
        with server.wire("mx") as wire:
            wire.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<bob@example.com>\r\n")
            assert [wire.reply()[0], wire.reply()[0]] == [250, 250]
            wire.send(octets[:split])
            wire.send(octets[split:])
            found = [wire.reply() for _ in expected]
            assert codes(found) == expected, found
            assert wire.ask("NOOP in-step") == (250, ["2.0.0 Ok"])
            assert wire.ask("QUIT")[0] == 221
            assert wire.at_end()


def test_a_chunk_larger_than_any_is_refused_and_its_octets_are_no_commands(server: ServerProcess) -> None:
    with server.wire("mx") as wire:
        wire.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<bob@example.com>\r\nBDAT 99999999999 LAST\r\n")
        assert [wire.reply()[0] for _ in range(2)] == [250, 250]
        wire.send(b"NOOP\r\nRSET\r\nMAIL FROM:<evil@client.example>\r\n" * 10)
        wire.socket.shutdown(socket.SHUT_WR)
        assert codes(wire.replies()) in ([552], [])


#: What others have taken for the end of content, or for a line end before the dot (SMTP smuggling, 2023).
TERMINATORS = {
    "lf-dot-lf": b"\n.\n",
    "lf-dot-crlf": b"\n.\r\n",
    "crlf-dot-lf": b"\r\n.\n",
    "cr-dot-cr": b"\r.\r",
    "cr-dot-crlf": b"\r.\r\n",
    "crlf-dot-cr": b"\r\n.\r",
    "crlf-nul-dot-crlf": b"\r\n\0.\r\n",
    "crlf-dot-nul-crlf": b"\r\n.\0\r\n",
    "cr-crlf-dot-cr-crlf": b"\r\r\n.\r\r\n",
}


@pytest.mark.parametrize("name", TERMINATORS)
def test_smuggled_mail_is_refused_at_every_split(name: str, server: ServerProcess) -> None:
    terminator = TERMINATORS[name]
    second = b"MAIL FROM:<smuggled@evil.example>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n"
    content = b"Subject: one\r\n\r\nx" + terminator + second + b"Subject: two\r\n\r\ny\r\n.\r\n"
    before = len(server.messages())
    for split in range(len(content)):
        with server.wire("mx") as wire:
            wire.send(b"MAIL FROM:<a@client.example>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\n")
            assert [wire.reply()[0] for _ in range(3)] == [250, 250, 354]
            wire.send(content[:split])
            wire.send(content[split:])
            code, lines = wire.reply()
            assert (code, lines[0][:5]) == (550, "5.5.2")
            assert wire.ask("NOOP")[0] == 250
    assert len(server.messages()) == before


# --- what is written about them


HOSTILE_WORDS = ["\x1b[2J", "\x07", "\x7f", "\x00", "\t", "\x0b", "\x0c", "\x08" * 4]


def test_what_a_peer_says_forges_no_line_of_the_log(server: ServerProcess) -> None:
    """Control characters in every argument; one event stays one line, and none of them reaches the log raw."""
    begin = len(server.errors.read_bytes())
    sequences: list[Callable[[str], list[str]]] = [
        lambda word: [f"EHLO a{word}b.example"],
        lambda word: [f"EHLO [{word}]"],
        lambda word: ["EHLO x.example", f"MAIL FROM:<a{word}b@client.example>"],
        lambda word: ["EHLO x.example", f"MAIL FROM:<a@client.example> X{word}=1"],
        lambda word: ["EHLO x.example", "MAIL FROM:<a@client.example>", f"RCPT TO:<b{word}@example.com>"],
        lambda word: [f"{word}FOO {word}"],
    ]
    for word, sequence in itertools.product(HOSTILE_WORDS, sequences):
        with server.wire("mx", hello=False) as wire:
            assert wire.reply()[0] == 220
            for command in sequence(word):
                code, lines = wire.ask(command)
                assert all(text.isprintable() for text in lines), lines
            assert code >= 250
    deliver(server)
    written = server.errors.read_bytes()[begin:]
    assert all(octet >= 0x20 and octet != 0x7F for octet in written.replace(b"\n", b""))
    lines = written.decode("utf-8").split("\n")[:-1]
    assert all(line.startswith("{") and line.endswith("}") for line in lines)
