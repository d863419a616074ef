"""What was counted outlives the process that counted it, and a file that is damaged keeps nobody from starting."""

from __future__ import annotations

import signal

from postroad.observe.traffic_file import NAME
from tests.server_process import ServerProcess, until
from tests.service.conftest import Serve

CONFIG = """
hostname = "mail.example.com"
[mx]
listen = ["127.0.0.1:0"]
[[domain]]
name = "example.com"
deliver = "hold"
"""


def one_message_and_one_refusal(server: ServerProcess) -> None:
    with server.wire("mx") as wire:
        assert wire.ask("MAIL FROM:<a@client.example>")[0] == 250
        assert wire.ask("RCPT TO:<a@elsewhere.example>")[0] == 550
        assert wire.ask("RCPT TO:<kana@example.com>")[0] == 250
        assert wire.ask("DATA")[0] == 354
        wire.send(b"Subject: one\r\n\r\none\r\n.\r\n")
        assert wire.reply()[0] == 250


def totals(server: ServerProcess) -> tuple[int, int, int]:
    found = server.get("/traffic?seconds=86400&step=3600")
    return found["totals"]["accepted"], found["totals"]["refused"], found["codes"].get("550", {}).get("said", 0)


def test_counts_outlive_a_restart_and_a_damaged_file_is_left_aside(serve: Serve) -> None:
    server = serve(CONFIG)
    one_message_and_one_refusal(server)
    until(lambda: totals(server) == (1, 1, 1), "all is counted")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    server.start()
    assert totals(server) == (1, 1, 1)
    one_message_and_one_refusal(server)
    until(lambda: totals(server) == (2, 2, 2), "it is counted on")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    (file,) = server.folder.rglob(NAME)
    file.write_bytes(b"\0" * 100)
    server.start()
    assert totals(server) == (0, 0, 0)
