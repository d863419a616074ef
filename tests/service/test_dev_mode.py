"""`postroad serve` without a config: the developer's inbox, as a developer meets it."""

from __future__ import annotations

import base64
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server_process import ServerProcess, Wire, until
from tests.service.conftest import Serve

EXIT_USAGE = 64
EXIT_CONFIG = 78


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("dev"), None) as server:
        yield server


def ask_recipient(server: ServerProcess, recipient: str) -> tuple[int, list[str]]:
    with server.wire("dev") as wire:
        assert wire.ask("MAIL FROM:<app@client.example>")[0] == 250
        return wire.ask(f"RCPT TO:<{recipient}>")


# --- what it is


def test_listens_on_loopback_only(dev: ServerProcess) -> None:
    assert {host for addresses in dev.listeners.values() for host, _ in addresses} == {"127.0.0.1"}
    assert dev.web[0] == "127.0.0.1"
    assert dev.get("/status")["mode"] == "dev"


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_addresses_need_a_word_that_says_so(host: str, serve: Serve, tmp_path: Path) -> None:
    refused = ServerProcess(tmp_path, None, arguments=["--host", host])
    assert refused.spawn().wait(60) == EXIT_CONFIG
    assert "--open-to-network" in refused.errors.read_text()
    server = serve(None, arguments=["--host", host, "--open-to-network"])
    with Wire(("127.0.0.1" if host == "0.0.0.0" else "::1", server.address("dev")[1])) as wire:
        assert wire.reply()[0] == 220


def test_tells_what_to_paste(dev: ServerProcess) -> None:
    url = f"http://127.0.0.1:{dev.web[1]}"
    said = until(lambda: [text for text in [dev.errors.read_text()] if url in text and "Ctrl-C" in text], "it tells")[0]
    assert f"host 127.0.0.1 · port {dev.address('dev')[1]}" in said


def test_the_page_is_there(dev: ServerProcess) -> None:
    page = http.client.HTTPConnection(*dev.web, timeout=60)
    page.request("GET", "/")
    answer = page.getresponse()
    assert answer.status == 200
    assert "default-src 'none'" in (answer.getheader("content-security-policy") or "")
    page.close()


def test_any_password_is_taken(dev: ServerProcess) -> None:
    with dev.wire("dev") as wire:
        assert wire.ask("AUTH PLAIN " + base64.b64encode(b"\0anybody\0anything").decode())[0] == 235
        assert wire.deliver("with-password@example.com")[0] == 250
    assert dev.message_to("with-password@example.com")["account"] == "anybody"


def test_keeps_the_newest_and_sends_nothing(serve: Serve) -> None:
    server = serve('[dev]\nlisten = ["127.0.0.1:0"]\nkeep = 3\n[web]\nlisten = ["127.0.0.1:0"]')
    with server.wire("dev") as wire:
        for number in range(8):
            assert wire.deliver(f"n{number}@example.com")[0] == 250
    until(lambda: len(server.messages()) == 3, "the oldest are gone")
    assert [row["to"] for row in server.messages()] == [[f"n{number}@example.com"] for number in (7, 6, 5)]
    assert {row["recipients"][0]["state"] for row in server.messages()} == {"held"}


# --- replies on demand


def test_an_address_names_the_reply_with_no_setting(dev: ServerProcess) -> None:
    code, lines = ask_recipient(dev, "bob+455@example.com")
    assert code == 455
    assert lines[0].startswith("4.5.4 ")


@pytest.mark.parametrize("code", [421, 450, 451, 452, 499, 500, 550, 552, 555, 556, 599])
def test_any_code_can_be_had(code: int, dev: ServerProcess) -> None:
    with dev.wire("dev") as wire:
        assert wire.ask("MAIL FROM:<app@client.example>")[0] == 250
        assert wire.ask(f"RCPT TO:<any+{code}@example.com>")[0] == code
        if code == 421:
            assert wire.at_end()
        else:
            assert wire.ask("RCPT TO:<plain@example.com>")[0] == 250


def test_a_retry_succeeds_when_the_count_runs_out(dev: ServerProcess) -> None:
    codes = [ask_recipient(dev, "again+451x2@example.com")[0] for _ in range(3)]
    assert codes == [451, 451, 250]


RULES = """
[dev]
listen = ["127.0.0.1:0"]
[web]
listen = ["127.0.0.1:0"]
[[dev.chaos]]
at = "connect"
to = "127.0.0.2"
reply = 554
text = "Go away"
[[dev.chaos]]
at = "connect"
to = "127.0.0.3"
disconnect = true
[[dev.chaos]]
at = "connect"
to = "127.0.0.4"
delay = 0.2
[[dev.chaos]]
at = "hello"
to = "bad.example"
reply = 550
[[dev.chaos]]
at = "auth"
to = "mallory"
reply = 535
[[dev.chaos]]
at = "mail"
to = "blocked@*"
reply = 553
[[dev.chaos]]
at = "rcpt"
to = "gone@*"
reply = 450
text = "Not here"
enhanced = "4.2.1"
[[dev.chaos]]
at = "rcpt"
to = "slow@*"
delay = 0.2
[[dev.chaos]]
at = "rcpt"
to = "cut@*"
disconnect = true
[[dev.chaos]]
at = "data"
to = "nodata@*"
reply = 451
[[dev.chaos]]
at = "message"
to = "full@*"
reply = 552
times = 1
[[dev.chaos]]
at = "message"
to = "vanish@*"
disconnect = true
"""


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("ruled"), RULES) as server:
        yield server


def from_address(server: ServerProcess, source: str) -> Wire:
    return Wire(server.address("dev"), source)


def test_rules_of_the_config_at_connect(ruled: ServerProcess) -> None:
    with from_address(ruled, "127.0.0.2") as wire:
        code, lines = wire.reply()
        assert code == 554
        assert lines[0].endswith("Go away")
    with from_address(ruled, "127.0.0.3") as wire:
        assert wire.at_end()
    with from_address(ruled, "127.0.0.4") as wire:
        assert wire.reply()[0] == 220


def test_rules_of_the_config_at_each_later_stage(ruled: ServerProcess) -> None:
    with ruled.wire("dev") as wire:
        assert wire.ask("EHLO bad.example")[0] == 550
        assert wire.ask("EHLO good.example")[0] == 250
        assert wire.ask("AUTH PLAIN " + base64.b64encode(b"\0mallory\0x").decode())[0] == 535
        assert wire.ask("MAIL FROM:<blocked@client.example>")[0] == 553
        assert wire.ask("MAIL FROM:<app@client.example>")[0] == 250
        assert wire.ask("RCPT TO:<gone@example.com>") == (450, ["4.2.1 Not here"])
        assert wire.ask("RCPT TO:<slow@example.com>")[0] == 250
        assert wire.ask("RCPT TO:<nodata@example.com>")[0] == 250
        assert wire.ask("DATA")[0] == 451
        assert wire.ask("RSET")[0] == 250
        assert wire.deliver("full@example.com")[0] == 552
        assert wire.deliver("full@example.com")[0] == 250


@pytest.mark.parametrize("recipient", ["cut@example.com", "vanish@example.com"])
def test_a_rule_hangs_up(recipient: str, ruled: ServerProcess) -> None:
    with ruled.wire("dev") as wire:
        assert wire.deliver(recipient) == (0, [])
    assert not ruled.messages(to=recipient)


def test_rules_by_the_api(dev: ServerProcess) -> None:
    status, rule = dev.api("POST", "/chaos", {"to": "api@example.com", "reply": 455, "times": 1})
    assert status == 201
    assert [ask_recipient(dev, "api@example.com")[0] for _ in range(2)] == [455, 250]
    (listed,) = [each for each in dev.get("/chaos")["rules"] if each["id"] == rule["id"]]
    assert (listed["used"], listed["spent"]) == (1, True)
    assert dev.api("DELETE", f"/chaos/{rule['id']}")[0] == 200


def test_rules_by_the_command_line(dev: ServerProcess) -> None:
    dev.cli("chaos", "set", "451", "--to", "*@shell.example", "--times", "2", "--text", "Try later", "--id", "shell")
    replies = [ask_recipient(dev, "x@shell.example") for _ in range(3)]
    assert [code for code, _ in replies] == [451, 451, 250]
    assert replies[0][1][0].endswith("Try later")
    assert "shell" in dev.cli("chaos", "list").stdout
    dev.cli("chaos", "clear", "shell")
    assert "shell" not in dev.cli("chaos", "list").stdout
    assert dev.cli("chaos", "set", "355", check=False).returncode == EXIT_USAGE


# --- seeing it


def test_waiting_for_a_mail_on_the_command_line(dev: ServerProcess) -> None:
    command = [sys.executable, "-m", "postroad", "inbox", "wait", "--to", "awaited@example.com", "--timeout", "60"]
    waiting = subprocess.Popen([*command, "--state", str(dev.state)], stdout=subprocess.PIPE, text=True)
    try:
        with dev.wire("dev") as wire:
            time.sleep(0.2)  # most likely it waits by now; what is asserted holds either way
            assert wire.deliver("awaited@example.com", b"Subject: at last\r\n\r\nhere\r\n")[0] == 250
        said, _ = waiting.communicate(timeout=60)
    finally:
        waiting.kill()
    assert waiting.returncode == 0
    assert "at last" in said and "here" in said


def test_waiting_in_vain_says_so(dev: ServerProcess) -> None:
    done = dev.cli("inbox", "wait", "--to", "nobody@nowhere.example", "--timeout", "0.2", check=False)
    assert done.returncode == 75
    assert done.stderr.startswith("error: ")


def test_refused_sessions_are_shown_with_their_transcript(dev: ServerProcess) -> None:
    ask_recipient(dev, "refused+554@example.com")

    def found() -> str:
        sessions = dev.get("/sessions", refused="true", limit=500)["sessions"]
        named = [each["id"] for each in sessions if any(line.startswith("554 ") for line in each["refusals"])]
        return named[0] if named else ""

    transcript = dev.get(f"/sessions/{until(found, 'the session is listed')}")["transcript"]
    assert "C: RCPT TO:<refused+554@example.com>" in transcript
    assert "S: 554 " in transcript


def test_a_parameter_is_refused_for_a_time(dev: ServerProcess) -> None:
    with dev.wire("dev") as wire:
        dev.cli("conditions", "set", "SMTPUTF8", "unavailable", "--for", "10m", "--why", "trying out")
        assert "250-SMTPUTF8" in announced(wire), "it stays announced"
        code, lines = wire.ask("MAIL FROM:<app@client.example> SMTPUTF8")
        assert code == 455
        assert lines[0].startswith("4.5.4 ")
        (row,) = dev.get("/conditions")["conditions"]
        assert (row["parameter"], row["refused"], row["why"]) == ("SMTPUTF8", 1, "trying out")
        assert "SMTPUTF8" in dev.cli("conditions", "list").stdout
        assert wire.ask("MAIL FROM:<app@client.example>")[0] == 250, "without the parameter it goes"
        assert wire.ask("RSET")[0] == 250
        dev.cli("conditions", "clear", "SMTPUTF8")
        assert wire.ask("MAIL FROM:<app@client.example> SMTPUTF8")[0] == 250
    assert dev.get("/conditions")["conditions"] == []
    assert [line["parameter"] for line in dev.log("parameter refused for a time")] == ["SMTPUTF8"]


def announced(wire: Wire) -> list[str]:
    code, lines = wire.ask("EHLO client.example")
    return [f"{code}{' ' if line is lines[-1] else '-'}{line}" for line in lines]


def test_a_condition_ends_by_itself(dev: ServerProcess) -> None:
    assert dev.api("PUT", "/conditions/SMTPUTF8", {"available": False, "seconds": 0.3})[0] == 200
    with dev.wire("dev") as wire:
        until(lambda: wire.ask("MAIL FROM:<a@client.example> SMTPUTF8")[0] == 250, "it ends", pause=0.1)


def test_a_taken_port_is_told_with_its_option(tmp_path: Path, dev: ServerProcess) -> None:
    taken = socket.create_server(("127.0.0.1", 0))
    try:
        port = str(taken.getsockname()[1])
        for option in ("--port", "--web-port"):
            server = ServerProcess(tmp_path, None, arguments=[option, port])
            assert server.spawn().wait(60) not in (0, 70)
            said = server.errors.read_text()
            assert said.startswith("error: ") and port in said and option in said
            server.errors.unlink()
    finally:
        taken.close()
