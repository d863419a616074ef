"""The verbs that ask the running server: what they ask, what they print, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.fake_server import Ended, FakeServer

Run = Callable[..., Ended]

ROW: dict[str, Any] = {
    "id": "0-abc",
    "sequence": 7,
    "received_at": "2026-11-23T14:31:00.250Z",
    "size": 1234,
    "from": "me@example.com",
    "to": ["kana@example.net", "bob@example.net"],
    "subject": "ようこそ \x1b[31m\u202e",
    "peer": "127.0.0.1:4321",
    "tls": "",
    "parameters": "BODY=8BITMIME",
    "recipients": [
        {
            "address": "kana@example.net",
            "state": "held",
            "note": "inbox",
            "attempts": 0,
            "next_due": None,
            "reply": None,
        }
    ],
}
MESSAGE = ROW | {
    "headers": [["Received", "by us"], ["From", "Me <me@example.com>"], ["Subject", "hi \x1b]0;x\x07"]],
    "text": "Hello\r\n\tworld \x1b[2J\r\n",
    "html": None,
    "attachments": [{"number": 1, "name": "a\u202egpj.exe", "content_type": "image/png", "size": 2048}],
    "links": [],
    "defects": [],
}
RULE: dict[str, Any] = {
    "id": "r1",
    "to": "*@example.com",
    "from": "*",
    "at": "rcpt",
    "reply": 455,
    "text": "",
    "enhanced": "",
    "times": 2,
    "probability": 1.0,
    "delay": 0.0,
    "disconnect": False,
    "used": 1,
    "spent": False,
}
CONDITION: dict[str, Any] = {
    "parameter": "SMTPUTF8",
    "available": False,
    "why": "the route is old",
    "source": "operator",
    "since": "2026-11-23T14:31:00Z",
    "until": None,
    "refused": 3,
    "last_refused": None,
}
STATUS: dict[str, Any] = {
    "name": "postroad",
    "version": "0.1.0",
    "hostname": "mail.example.com",
    "mode": "dev",
    "ready": True,
    "why": "",
    "started_at": "2026-11-23T14:00:00.000Z",
    "now": "2026-11-23T16:31:00.000Z",
    "listeners": [{"name": "dev", "host": "::1", "port": 1025, "tls": "none", "auth": "any"}],
    "keep": 500,
    "messages": 3,
    "octets": 5_000_000,
    "recipients": {"held": 4, "queued": 0},
    "sessions": 9,
}


def no_controls(text: str) -> bool:
    return all(line.replace("\t", "").isprintable() for line in text.rstrip("\n").split("\n"))


# ── inbox ───────────────────────────────────────────────────────────────────


def test_inbox_list(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/inbox?limit=50", {"messages": [ROW, ROW | {"from": "", "id": "0-b"}], "before": None})
    ended = run("inbox", "list")
    head, first, second = ended.out.rstrip("\n").split("\n")
    assert head.split() == ["ID", "RECEIVED", "FROM", "TO", "SIZE", "SUBJECT"]
    assert first.startswith("0-abc  2026-11-23") and "kana@example.net, bob@example.net" in first
    assert "<>" in second and "1.2 KiB" in second and "ようこそ \\u001b[31m\\u202e" in second
    assert ended.code == 0 and no_controls(ended.out)
    assert server.last.headers["host"] == "localhost"


def test_inbox_list_with_filters(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/inbox?to=a%40b&from=c&subject=%E3%82%88%20%26".replace("%20", "+") + "&after=3&limit=2", {
        "messages": [ROW], "before": 7,
    })  # fmt: skip
    ended = run("inbox", "list", "--to", "a@b", "--from", "c", "--subject", "よ &", "--after", 3, "--limit", 2)
    assert ended.code == 0 and "there are more" in ended.err


def test_inbox_list_json_is_the_document(run: Run, server: FakeServer) -> None:
    page = {"messages": [ROW], "before": None}
    server.answer("GET", "/inbox?limit=50", page)
    ended = run("inbox", "list", "--json")
    assert ended.document == page and no_controls(ended.out)


def test_inbox_list_of_nothing(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/inbox?limit=50", {"messages": [], "before": None})
    assert run("inbox", "list").out == "no messages\n"


def test_inbox_show(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/inbox/0-abc", MESSAGE)
    ended = run("inbox", "show", "0-abc")
    assert ended.code == 0 and no_controls(ended.out)
    assert "envelope  <me@example.com> BODY=8BITMIME" in ended.out
    assert "      to  <kana@example.net> held: inbox" in ended.out
    assert "Subject: hi \\u001b]0;x\\u0007" in ended.out and "Received: by us" not in ended.out
    assert "attachment 1: a\\u202egpj.exe (image/png, 2.0 KiB)" in ended.out
    assert ended.out.endswith("\n\nHello\n\tworld \\u001b[2J\n")


def test_inbox_show_the_newest(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/inbox?limit=1", {"messages": [ROW], "before": None})
    server.answer("GET", "/inbox/0-abc", MESSAGE | {"text": None, "html": "<p>"})
    assert "--html shows the HTML" in run("inbox", "show").out
    server.answer("GET", "/inbox?limit=1", {"messages": [], "before": None})
    ended = run("inbox", "show")
    assert (ended.code, ended.err) == (66, "error: there is no message\n")


@pytest.mark.parametrize("part", ["raw", "text", "html", "transcript"])
def test_inbox_show_a_part_as_it_is(run: Run, server: FakeServer, part: str) -> None:
    server.answer("GET", f"/inbox/0-abc/{part}", b"octets \xff\x00\x1b\r\n")
    ended = run("inbox", "show", "0-abc", f"--{part}")
    assert ended.out.encode("utf-8", "surrogateescape") == b"octets \xff\x00\x1b\r\n"


def test_an_id_cannot_leave_its_segment(run: Run, server: FakeServer) -> None:
    ended = run("inbox", "show", "../chaos?x=1#y")
    assert server.last.path == "/inbox/..%2Fchaos%3Fx%3D1%23y"
    assert (ended.code, ended.err) == (66, "error: no /inbox/..%2Fchaos%3Fx%3D1%23y\n  hint: fake\n")


def test_inbox_wait(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/inbox/wait?to=kana&after=0-a&timeout=5.000", MESSAGE)
    ended = run("inbox", "wait", "--to", "kana", "--after", "0-a", "--timeout", "5", "--json")
    assert ended.code == 0 and ended.document == MESSAGE


def test_inbox_wait_in_vain(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/inbox/wait?timeout=0.000", (404, {"detail": "no such mail came within 0 seconds"}))
    ended = run("inbox", "wait", "--timeout", "0")
    assert ended.code == 75 and ended.err.startswith("error: no such mail came within 0 s\n")


def test_inbox_wait_for_what_cannot_be(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/inbox/wait?after=x&timeout=30.000", (404, {"detail": "no message `x`", "hint": "h"}))
    ended = run("inbox", "wait", "--after", "x")
    assert (ended.code, ended.err) == (66, "error: no message `x`\n  hint: h\n")


def test_inbox_wait_asks_again(run: Run, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from postroad.cli import inbox

    monkeypatch.setattr(inbox, "_POLL", 0.05)

    def in_vain() -> Any:
        time.sleep(0.05)
        return 404, {"detail": "no such mail came"}

    server.answer("GET", "/inbox/wait?timeout=0.050", lambda: MESSAGE if len(server.asked) > 3 else in_vain())
    assert run("inbox", "wait", "--timeout", "30s").code == 0
    assert len(server.asked) == 4


def test_inbox_clear_asks_first(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/inbox?limit=500", {"messages": [ROW] * 3, "before": None})
    server.answer("DELETE", "/inbox", {"removed": 3})
    ended = run("inbox", "clear")
    assert ended.code == 64 and "--yes" in ended.err
    assert [asked.method for asked in server.asked] == ["GET"]
    assert run("inbox", "clear", "--dry-run").out == "3 would be deleted\n"
    ended = run("inbox", "clear", "--yes")
    assert (ended.code, ended.out) == (0, "3 deleted\n")
    assert (server.last.method, server.last.path, server.last.body) == ("DELETE", "/inbox", None)


def test_inbox_clear_counts_page_by_page(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/inbox?subject=x&limit=500", {"messages": [ROW] * 2, "before": 5})
    server.answer("GET", "/inbox?subject=x&limit=500&before=5", {"messages": [ROW], "before": None})
    assert run("inbox", "clear", "--subject", "x", "--dry-run", "--json").document == {"would_remove": 3}


def test_inbox_clear_some(run: Run, server: FakeServer) -> None:
    server.answer("DELETE", "/inbox/0-a", (204, b""))
    server.answer("DELETE", "/inbox/0-b", (204, b""))
    assert run("inbox", "clear", "0-a", "0-b", "--json").document == {"removed": 2}
    assert run("inbox", "clear", "0-a", "--to", "x").code == 64


# ── chaos ───────────────────────────────────────────────────────────────────


def test_chaos_set(run: Run, server: FakeServer) -> None:
    server.answer("POST", "/chaos", (201, RULE))
    ended = run("chaos", "set", 455, "--to", "*@example.com", "--times", 2)
    assert (ended.code, ended.out) == (0, "r1: 455 at rcpt to *@example.com, 2 times\n")
    assert server.last.body == {"reply": 455, "to": "*@example.com", "times": 2}
    assert server.last.headers["content-type"] == "application/json"


def test_chaos_set_everything(run: Run, server: FakeServer) -> None:
    rule = RULE | {"from": "a@b", "text": "no", "enhanced": "4.7.1", "delay": 90.0, "disconnect": True}
    server.answer("POST", "/chaos", (201, rule | {"probability": 0.5, "times": None}))
    options = "--from a@b --at message --text no --enhanced 4.7.1 --delay 1.5m --disconnect --probability .5 --id mine"
    ended = run("chaos", "set", "455", *options.split())
    assert server.last.body == {
        "reply": 455,
        "from": "a@b",
        "at": "message",
        "text": "no",
        "enhanced": "4.7.1",
        "delay": 90.0,
        "disconnect": True,
        "probability": 0.5,
        "id": "mine",
    }
    assert ended.out == (
        "r1: 455 4.7.1 “no” after 90 s then disconnect at rcpt to *@example.com from a@b, with probability 0.5\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [("set",), ("set", "--to", "x"), ("set", "200"), ("set", "600"), ("set", "x"), ("set", "455", "--delay", "1y"),
     ("set", "455", "--times", "0"), ("set", "455", "--probability", "2"), ("list", "x"), ("sit",)],
)  # fmt: skip
def test_chaos_usage(run: Run, server: FakeServer, arguments: tuple[str, ...]) -> None:
    ended = run("chaos", *arguments)
    assert ended.code == 64 and ended.err.startswith("error: ") and "hint: " in ended.err
    assert server.asked == []


def test_chaos_list_and_clear(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/chaos", {"rules": [RULE, RULE | {"id": "r2", "spent": True}]})
    lines = run("chaos", "list").out.split("\n")
    assert lines[1] == "r1  1      455 at rcpt to *@example.com, 2 times"
    assert lines[2].startswith("r2  spent")
    server.answer("DELETE", "/chaos/r1", {"removed": 1})
    server.answer("DELETE", "/chaos", {"removed": 5})
    assert run("chaos", "clear", "r1").out == "1 taken away\n"
    assert run("chaos", "clear", "--json").document == {"removed": 5}
    server.answer("GET", "/chaos", {"rules": []})
    assert "no rules" in run("chaos", "list").out


def test_chaos_outside_dev_mode(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/chaos", (404, {"detail": "replies on demand exist in dev mode only", "hint": "serve"}))
    ended = run("chaos", "list")
    assert (ended.code, ended.err) == (66, "error: replies on demand exist in dev mode only\n  hint: serve\n")


# ── conditions ──────────────────────────────────────────────────────────────


def test_conditions_set(run: Run, server: FakeServer) -> None:
    server.answer("PUT", "/conditions/BODY%3DBINARYMIME", CONDITION | {"parameter": "BODY=BINARYMIME"})
    ended = run("conditions", "set", "BODY=BINARYMIME", "unavailable", "--for", "10m", "--why", "maintenance")
    assert (ended.code, ended.out) == (0, "BODY=BINARYMIME is refused for 10m\n")
    assert server.last.body == {"available": False, "seconds": 600.0, "why": "maintenance"}


def test_conditions_set_without_end_and_back(run: Run, server: FakeServer) -> None:
    server.answer("PUT", "/conditions/SMTPUTF8", CONDITION)
    assert run("conditions", "set", "SMTPUTF8", "unavailable").out == "SMTPUTF8 is refused until cleared\n"
    assert server.last.body == {"available": False}
    server.answer("PUT", "/conditions/SMTPUTF8", {"removed": 1})
    assert run("conditions", "set", "SMTPUTF8", "available").out == "SMTPUTF8 is taken\n"
    assert server.last.body == {"available": True}
    assert run("conditions", "set", "SMTPUTF8", "available", "--for", "1m").code == 64
    assert run("conditions", "set", "SMTPUTF8", "broken").code == 64


def test_conditions_list_and_clear(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/conditions", {"conditions": [CONDITION], "known": []})
    _, row, _ = run("conditions", "list").out.split("\n")
    assert row == "SMTPUTF8   operator  2026-11-23 14:31:00  until cleared  3        the route is old"
    server.answer("GET", "/conditions", {"conditions": [], "known": []})
    assert run("conditions", "list").out == "every parameter is accommodated\n"
    server.answer("DELETE", "/conditions", {"removed": 2})
    server.answer("DELETE", "/conditions/SIZE", {"removed": 1})
    assert run("conditions", "clear").out == "2 taken again\n"
    assert run("conditions", "clear", "SIZE").out == "1 taken again\n"


# ── status ──────────────────────────────────────────────────────────────────


def test_status(run: Run, server: FakeServer) -> None:
    server.answer("GET", "/status", STATUS)
    assert run("status").out == (
        "mail.example.com  postroad 0.1.0, dev mode, up 2h31m\n"
        "state     ready\n"
        "listens   dev [::1]:1025, TLS none\n"
        "keeps     3 messages, 4.8 MiB (the newest 500 are kept)\n"
        "          recipients: 4 held\n"
        "sessions  9 since the start\n"
    )
    assert run("status", "--json").document == STATUS
    assert run("status", "--ready").code == 0
    server.answer("GET", "/status", STATUS | {"ready": False, "why": "storage is short"})
    assert run("status").code == 0
    ended = run("status", "--ready")
    assert ended.code == 75 and "not taking mail: storage is short" in ended.out


# ── how it goes wrong ───────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 64), (401, 77), (403, 77), (404, 66), (409, 69), (413, 64), (421, 64), (429, 75), (503, 75), (500, 70)],
)
def test_problems_become_exit_codes(run: Run, server: FakeServer, status: int, code: int) -> None:
    server.answer("GET", "/status", (status, {"title": "T", "status": status, "detail": "what", "hint": "how"}))
    ended = run("status")
    assert (ended.code, ended.out, ended.err) == (code, "", "error: what\n  hint: how\n")


@pytest.mark.parametrize(
    "answer", ["hang up", "garbage", (200, b"<html>"), (200, b""), (502, b"<html>"), (500, b"[1]")]
)
def test_what_is_no_postroad(run: Run, server: FakeServer, answer: Any) -> None:
    server.answer("GET", "/status", answer)
    ended = run("status")
    assert ended.code == 76 and ended.err.startswith(f"error: {server.state}/control.sock ")


def test_no_server(run: Run, tmp_path: Path) -> None:
    ended = run("status")
    assert ended.code == 69
    assert ended.err.startswith(
        f"error: no server is running at {tmp_path}/xdg/postroad/control.sock\n  hint: start one"
    )
    assert run("status", "--state", tmp_path / "none").code == 69
    assert run("status", "--url", "http://127.0.0.1:1").code == 69


def test_a_socket_that_nobody_serves(run: Run, tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    assert run("status", "--state", tmp_path).code == 69


def test_a_server_that_does_not_answer(run: Run, tmp_path: Path) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(str(tmp_path / "control.sock"))
        deaf.listen()
        ended = run("status", "--state", tmp_path, "--answer-timeout", "0.05")
    assert ended.code == 75 and "did not answer within 0.05 s" in ended.err


@pytest.mark.parametrize("url", ["http://me:s3cret@127.0.0.1:1", "ftp://me:s3cret@x", "http://me:s3cret@x:99999"])
def test_the_password_of_a_url_is_not_repeated(run: Run, url: str) -> None:
    ended = run("status", "--url", url)
    assert ended.code in (64, 69) and "s3cret" not in ended.err


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:8025", "http://", "x", "http://x:99999", "http://[::1"])
def test_a_url_that_is_none(run: Run, url: str) -> None:
    assert run("status", "--url", url).code == 64


def test_the_state_of_a_config(run: Run, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTROAD_STATE")
    config = tmp_path / "postroad.toml"
    config.write_text(f'hostname = "h.example"\nstate = "{server.state}"\n[mx]\n')
    server.answer("GET", "/status", STATUS)
    assert run("status", "--config", config).code == 0
    config.write_text("[mx]\nx = 1\n")
    assert run("status", "--config", config).code == 78


def test_over_tcp_with_a_password(run: Run) -> None:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    seen: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers["authorization"])
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(STATUS).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.handle_request, daemon=True).start()
        ended = run("status", "--url", f"http://me:p%40ss@127.0.0.1:{http.server_port}/", "--json")
    assert ended.code == 0 and ended.document == STATUS
    assert seen == ["Basic bWU6cEBzcw=="]
