"""Starting, reloading and stopping: nothing under way is lost, nothing bad is put into use, nothing is shared by two."""

from __future__ import annotations

import signal
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from tests.server_process import ServerProcess, Wire, until
from tests.service.conftest import Serve

EXIT_SOFTWARE = 70

CONFIG = """
hostname = "mail.example.com"
[mx]
listen = ["127.0.0.1:0"]
[limits]
message_size = "1MiB"
[[domain]]
name = "example.com"
deliver = "hold"
"""


# --- SIGTERM


def test_idle_sessions_hear_421_and_a_message_under_way_is_finished(serve: Serve) -> None:
    server = serve(CONFIG)
    greeted, idle, busy, begun = (server.wire("mx", hello=name != "greeted") for name in ("greeted", "", "", ""))
    assert greeted.reply()[0] == 220
    for command in ("MAIL FROM:<a@client.example>", "RCPT TO:<busy@example.com>", "DATA"):
        assert busy.ask(command)[0] in (250, 354)
    busy.send(b"Subject: slow\r\n\r\nfirst half\r\n")
    assert begun.ask("MAIL FROM:<a@client.example>")[0] == 250
    server.signal(signal.SIGTERM)
    for wire in (greeted, idle):
        code, lines = wire.reply()
        assert (code, lines[0][:5]) == (421, "4.3.2")
        assert wire.at_end()
        wire.close()
    until(lambda: refuses_connections(server), "no new session is taken")
    busy.send(b"second half\r\n.\r\n")
    assert [code for code, _ in busy.replies()] == [250, 421]
    busy.close()
    assert begun.ask("RCPT TO:<begun@example.com>")[0] == 250
    assert begun.ask("DATA")[0] == 354
    begun.send(b"Subject: late\r\n\r\nbut whole\r\n.\r\n")
    assert [code for code, _ in begun.replies()] == [250, 421]
    begun.close()
    assert server.wait() == 0
    server.start()
    assert {row["to"][0] for row in server.messages()} == {"busy@example.com", "begun@example.com"}
    kept = server.raw(server.messages(to="busy")[0]["id"])
    assert kept.endswith(b"Subject: slow\r\n\r\nfirst half\r\nsecond half\r\n")


def refuses_connections(server: ServerProcess) -> bool:
    try:
        socket.create_connection(server.address("mx"), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigint_ends_it_as_well(serve: Serve) -> None:
    server = serve(None)
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    assert server.log("stopped")


def test_sigterm_before_the_start_is_done_is_a_stop_like_any_other(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path, CONFIG)
    server.spawn()
    until(lambda: server.log("listening"), "it accepts", pause=0.0005)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert server.log("stopped")


# --- SIGHUP


def reload(server: ServerProcess, event: str = "settings reloaded") -> dict[str, object]:
    """Send SIGHUP and wait for what comes of it."""
    before = len(server.log(event))
    server.signal(signal.SIGHUP)
    return until(lambda: server.log(event)[before:], f"log: {event}")[0]


def sizes(wire: Wire) -> list[str]:
    return [line for line in wire.ask("EHLO client.example")[1] if line.startswith("SIZE")]


def test_good_settings_are_for_new_sessions(serve: Serve) -> None:
    server = serve(CONFIG)
    with server.wire("mx") as before:
        assert before.ask("MAIL FROM:<a@client.example>")[0] == 250
        server.configure(CONFIG.replace("1MiB", "2MiB").replace('"example.com"', '"example.net"'))
        reload(server)
        assert before.ask("RCPT TO:<bob@example.com>")[0] == 250, "a running session goes on as it began"
        with server.wire("mx") as after:
            assert sizes(before) == [f"SIZE {2**20}"]
            assert sizes(after) == [f"SIZE {2**21}"]
            assert after.deliver("bob@example.com")[0] == 550
            assert after.deliver("bob@example.net")[0] == 250


BAD = {
    "[mx\n": "postroad.toml:2",
    CONFIG.replace("message_size", "mesage_size"): "mesage_size",
    CONFIG.replace('"hold"', '"teleport:x"'): "teleport",
    CONFIG.replace("[mx]", "[submission]"): "mx",
}


def test_bad_settings_change_nothing(serve: Serve) -> None:
    server = serve(CONFIG)
    for config, cause in BAD.items():
        server.configure(config)
        line = reload(server, "settings not reloaded, the old ones stay")
        assert line["level"] == "error"
        assert cause in str(line["cause"])
        with server.wire("mx") as wire:
            assert sizes(wire) == [f"SIZE {2**20}"]
            assert wire.deliver("bob@example.com")[0] == 250


class Certificates:
    """One CA, and certificates of it for one server, written over each other."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.cert, self.key = folder / "cert.pem", folder / "key.pem"

    def write(self, name: str, with_key: bool = True) -> None:
        issued = self.authority.issue_cert("localhost", common_name=name)
        self.cert.write_bytes(issued.cert_chain_pems[0].bytes())
        if with_key:
            self.key.touch(0o600)
            self.key.write_bytes(issued.private_key_pem.bytes())

    def context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def seen_by(self, wire: Wire) -> str:
        """The common name in the certificate that a session shows."""
        assert isinstance(wire.socket, ssl.SSLSocket)
        subject = dict(pair[0] for pair in wire.socket.getpeercert()["subject"])  # type: ignore[index]
        return str(subject["commonName"])


def test_a_new_certificate_is_for_new_handshakes_and_a_bad_one_for_none(serve: Serve, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    certificates.write("first")
    server = serve(
        f'{CONFIG}\n[tls]\ncert = "{certificates.cert}"\nkey = "{certificates.key}"\n[submissions]\nlisten = ["127.0.0.1:0"]\n'
    )
    with server.wire("mx") as old:
        old.start_tls(certificates.context())
        assert certificates.seen_by(old) == "first"
        certificates.write("second")
        reload(server)
        assert certificates.seen_by(old) == "first"
        assert old.deliver("bob@example.com")[0] == 250, "a session of before lives on"
    for broken in (lambda: None, lambda: certificates.write("third", with_key=False)):
        broken()
        server.signal(signal.SIGHUP)
        with server.wire("mx") as new:
            new.start_tls(certificates.context())
            assert certificates.seen_by(new) == "second"
        implicit = certificates.context().wrap_socket(
            socket.create_connection(server.address("submissions"), 60), server_hostname="localhost"
        )
        with implicit:
            assert implicit.recv(100).startswith(b"220 ")
    line = until(lambda: server.log("certificate not reloaded, the old one stays"), "it is told")[0]
    assert "certificate" in str(line["cause"])


# --- starting where one runs already


@pytest.mark.parametrize("table", ["mx", "web"])
def test_a_taken_port_ends_the_start(table: str, tmp_path: Path) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    try:
        port = taken.getsockname()[1]
        config = (
            CONFIG.replace("127.0.0.1:0", f"127.0.0.1:{port}")
            if table == "mx"
            else f'{CONFIG}[web]\nlisten = ["127.0.0.1:{port}"]'
        )
        server = ServerProcess(tmp_path, config)
        assert server.spawn().wait(60) not in (0, EXIT_SOFTWARE)
        said = server.errors.read_text()
        assert f"error: port {port} on 127.0.0.1 is taken" in said
        assert f"[{table}] listen" in said
    finally:
        taken.close()


def test_a_second_process_on_the_same_state_refuses(serve: Serve, tmp_path: Path) -> None:
    first = serve(CONFIG)
    second = ServerProcess(tmp_path, CONFIG, state=first.state)
    assert second.spawn().wait(60) not in (0, EXIT_SOFTWARE)
    said = second.errors.read_text()
    assert "error: " in said and str(first.state) in said
    with first.wire("mx") as wire:
        assert wire.deliver("bob@example.com")[0] == 250, "the first does not notice"
    assert len(first.messages()) == 1, "and its control socket is its own"
