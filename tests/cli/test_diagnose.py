"""``postroad diagnose``: the report in both languages, exit codes, the document and its schema, and nothing that leaks or injects."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import re
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

import postroad.reference
from postroad.cli.columns import width
from postroad.cli.diagnose_progress import Watcher
from postroad.cli.outcome import Exit
from postroad.diagnosis.diagnosing import Progress
from postroad.diagnosis.telling import Teller
from tests.cli.fake_server import Ended
from tests.diagnosis.certificates import HOST, trusted
from tests.diagnosis.faulty_servers import PATIENT, TABLE, Faulty, Handler, Talk, says, serving
from tests.dns_stub import DnsStub, Zone

Run = Callable[..., Ended]

SCHEMA = json.loads((Path(postroad.reference.__file__).parent / "schemas" / "diagnosis.json").read_text())
VALID = jsonschema.Draft202012Validator(SCHEMA)
GOOD = Talk()
EVIL = b"554 5.7.1 \x1b]0;owned\x07\x1b[2J\xe2\x80\xaegnp.exe <b>&\r\n"


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTROAD_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR", "COLUMNS", "POSTROAD_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@contextlib.contextmanager
def playing(handler: Handler | None, zone: Zone | None = None) -> Iterator[tuple[int, str]]:
    """The server and a name server in a thread; gives the port and what ``--resolver`` is told."""
    ready, over = threading.Event(), threading.Event()
    told: list[tuple[int, str]] = []

    async def run() -> None:
        names = {HOST: {"A": ["127.0.0.1"]}} if zone is None else zone
        async with serving(handler) as port, DnsStub(names) as stub:
            told.append((port, f"{stub.address[0]}:{stub.address[1]}"))
            ready.set()
            while not over.is_set():
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield told[0]
    finally:
        over.set()
        thread.join(20)


@pytest.fixture
def diagnosed(run: Run) -> Callable[..., Ended]:
    """Diagnose a server that plays, by its name unless the test says otherwise."""

    def look(handler: Handler | None, *arguments: object, zone: Zone | None = None, target: str = HOST) -> Ended:
        with playing(handler, zone) as (port, resolver):
            usual = ["--port", port, "--resolver", resolver, "--ehlo", "me.example.test", "--tls-ca", trusted()]
            return run("diagnose", target, *usual, "--timeout", "20", *arguments)

    return look


def test_a_good_server(diagnosed: Run) -> None:
    ended = diagnosed(GOOD)
    assert ended.code == Exit.OK
    assert ended.err == ""
    lines = ended.out.split("\n")
    assert re.match(rf"{HOST} → 127\.0\.0\.1:[0-9]+ \(from 127\.0\.0\.1\)  [0-9.]+s\Z", lines[0])
    assert lines[1].startswith(" ok     connect   ")
    assert re.match(rf" ok     greeting  220 {HOST} ESMTP \([0-9.]+ m?s\)\Z", lines[2])
    assert " ok     ehlo      PIPELINING SIZE=52428800 8BITMIME STARTTLS" in lines
    assert any(line.startswith(" ok     tls       TLSv1.3") for line in lines)
    assert any(line.startswith(" ok     cert      valid ") for line in lines)
    assert " skip   rcpt      pass --rcpt ADDRESS to test one mailbox" in lines
    assert " skip   relay     not asked; --probe-relay asks, on servers of your own" in lines
    assert lines[-2] == "0 warnings, 0 errors. Evidence: --json or --transcript"


def test_nobody_listens(diagnosed: Run) -> None:
    ended = diagnosed(None)
    assert ended.code == Exit.FINDINGS
    for words in (
        "connection refused",
        "seen",
        "means",
        "not so if",
        "who acts",
        "ss -ltnp 'sport = :",
        "0 warnings, 1 error",
    ):
        assert words in ended.out


def test_in_japanese(diagnosed: Run) -> None:
    ended = diagnosed(says(b"554 5.7.1 blocked\r\n", 0), "--lang", "ja")
    assert ended.code == Exit.FINDINGS
    assert " 異常  あいさつ" in ended.out
    assert "反証" in ended.out
    assert "次の手" in ended.out
    assert "エラー 1 件、警告 0 件。" in ended.out
    assert "# 別のネットワークから" in ended.out


@pytest.mark.parametrize(
    ("fail_on", "handler", "code"),
    [
        ("error", Talk(tls="soon"), Exit.OK),
        ("warn", Talk(tls="soon"), Exit.FINDINGS),
        ("error", Talk(tls="expired"), Exit.FINDINGS),
        ("never", Talk(tls="expired"), Exit.OK),
        ("warn", GOOD, Exit.OK),
    ],
)
def test_exit_codes(diagnosed: Run, fail_on: str, handler: Handler, code: Exit) -> None:
    assert diagnosed(handler, "--fail-on", fail_on, "--json").code == code


@pytest.mark.parametrize("row", TABLE[::5], ids=lambda row: row.name)
def test_documents_follow_the_schema(diagnosed: Run, row: Faulty) -> None:
    words = ["--as", row.role, *(["--implicit-tls"] if row.implicit else [])]
    words += [] if row.waits is PATIENT else ["--timeout", "1"]
    ended = diagnosed(row.serve, *words, "--json", "--lang", "ja")
    found = json.loads(ended.out)
    VALID.validate(found)
    assert found["language"] == "ja"
    assert found["exit"] == ended.code


def test_a_domain(diagnosed: Run) -> None:
    zone: Zone = {
        "example.test": {"MX": [f"10 {HOST}."], "TXT": ['"v=spf1 +all"']},
        HOST: {"A": ["127.0.0.1"]},
    }
    ended = diagnosed(GOOD, zone=zone, target="example.test")
    assert ended.code == Exit.FINDINGS
    assert ended.out.startswith("example.test: records in the DNS\n ok     mx        10 mx.example.test\n")
    assert re.search(r'publish +example\.test\. TXT "v=spf1 ~all"', ended.out)
    assert '_dmarc.example.test. TXT "v=DMARC1; p=none; rua=mailto:dmarc-reports@example.test"' in ended.out
    assert f"{HOST} → 127.0.0.1:" in ended.out
    assert "MX 10" in ended.out
    document = json.loads(diagnosed(GOOD, "--json", zone=zone, target="example.test").out)
    VALID.validate(document)
    assert document["domain"] == "example.test"
    assert document["hosts"][0]["preference"] == 10


def test_a_strangers_text_is_harmless(diagnosed: Run) -> None:
    for arguments in ((), ("--transcript",), ("--json",), ("--colour", "always", "-q"), ("--lang", "ja")):
        ended = diagnosed(says(EVIL, 0), *arguments)
        text = re.sub(r"\x1b\[[0-9]+m", "", ended.out) if "always" in arguments else ended.out
        assert all(character.isprintable() or character == "\n" for character in text)


def test_the_transcript_is_shown_on_demand(diagnosed: Run) -> None:
    assert "C: EHLO me.example.test" not in diagnosed(GOOD).out
    shown = diagnosed(GOOD, "--transcript").out
    assert "C: EHLO me.example.test" in shown
    assert "C: DATA" not in shown


def test_quiet_is_silent_about_what_is_good(diagnosed: Run) -> None:
    ended = diagnosed(Talk(tls="soon"), "-q")
    assert "greeting" not in ended.out
    assert " warn   cert" in ended.out


def test_the_password_is_never_shown(diagnosed: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("Sesame-opens\n")
    inside = GOOD.inside.replace(b"250 DSN", b"250-DSN\r\n250 AUTH PLAIN")
    for refuses in (False, True):
        talk = Talk(inside=inside, auth=b"535 5.7.8 no\r\n" if refuses else b"235 2.7.0 ok\r\n")
        words = ("--as", "submission", "--auth", "kana", "--password-file", secret, "--transcript")
        ended = diagnosed(talk, *words)
        assert ended.code == (Exit.FINDINGS if refuses else Exit.OK)
        assert ("the login is refused" if refuses else "the login works") in ended.out
        assert "Sesame" not in ended.out
        assert "U2VzYW1l" not in ended.out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a b",),
        ("example.test:0",),
        ("example.test", "-4", "-6"),
        ("example.test", "--rcpt", "nobody"),
        ("example.test", "--ehlo", "a b"),
        ("example.test", "--dkim", "a b"),
        ("example.test", "--resolver", "dns.example"),
        ("example.test", "--tls-ca", "/nonexistent"),
        ("example.test", "--as", "pop3"),
    ],
)
def test_wrong_arguments(run: Run, arguments: tuple[str, ...]) -> None:
    ended = run("diagnose", *arguments)
    assert ended.code == Exit.USAGE
    assert ended.out == ""
    assert ended.err.startswith("error: ")


def test_the_schema_is_printed(run: Run) -> None:
    ended = run("diagnose", "--schema")
    assert json.loads(ended.out) == SCHEMA
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_for_people_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that is longest under way, with the seconds that go by, and nothing left of it at the end."""
    beginning = [
        Progress("", "hosts", None, 0, 2),
        Progress("a.example.test [127.0.0.1]:25", "greeting", None, 0, 2),
        Progress("b.example.test [127.0.0.1]:25", "ehlo", None, 0, 2),
    ]

    now = [0.0]

    async def hear(watcher: Watcher, screen: io.StringIO, ticks: str) -> None:
        for one in beginning:
            now[0] += 0.1
            watcher.hear(one)
        now[0] = 7.2
        while ticks not in screen.getvalue():
            await asyncio.sleep(0.001)
        now[0] = 7.4
        watcher.hear(Progress("a.example.test [127.0.0.1]:25", "done", None, 1, 2))
        watcher.end()

    quiet = io.StringIO()
    monkeypatch.setattr(sys, "stderr", quiet)
    asyncio.run(hear(Watcher(Teller("en"), lambda: now[0], 0.001), quiet, ""))
    assert quiet.getvalue() == ""
    monkeypatch.setenv("COLUMNS", "72")
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    now[0] = 0.0
    asyncio.run(hear(Watcher(Teller("ja"), lambda: now[0], 0.001), shown, "(7 秒)"))
    lines = [line.strip() for line in shown.getvalue().split("\r")]
    assert lines[1] == "2 アドレス中 0 件完了 · サーバーを調査"
    assert "2 アドレス中 0 件完了 · a.example.test [127.0.0.1]:25 · あいさつ" in lines
    assert any(line.endswith("あいさつ (7 秒)") for line in lines)
    assert any(line.startswith("2 アドレス中 1 件完了 · b.example.test") for line in lines)
    assert all(width(line) < 72 for line in lines)
    assert lines[-1] == ""
    assert "\n" not in shown.getvalue()
