"""``postroad log explain``: groups and lines, for people and programs, in two languages, from files, pipes, gzip."""

from __future__ import annotations

import gzip
import io
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import postroad.reference
from tests.cli.fake_server import Ended

Run = Callable[..., Ended]

LOGS = Path(__file__).parent.parent / "diagnosis" / "logs"
SCHEMA = json.loads((Path(postroad.reference.__file__).parent / "schemas" / "logs.json").read_text())
FORMS = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
NAMES = sorted(path.stem for path in LOGS.glob("*.log"))
RECORDED = LOGS / "postfix-recorded.log"
REFUSED = (
    b"Nov 24 12:00:01 mx postfix/smtp[1]: 4XyZ: to=<kana@example.net>, relay=mx.example.net[192.0.2.5]:25, delay=1, "
    b"delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.example.net[192.0.2.5] said: 550 5.1.1 No such %s)\n"
)


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTROAD_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def piped(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """As ``run``, with octets on standard input."""

    def run_one(octets: bytes, *arguments: str) -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(octets), encoding="utf-8"))
        return run("log", "explain", *arguments)

    return run_one


def documents(ended: Ended) -> list[dict[str, Any]]:
    """What --json printed, each of a published form."""
    assert ended.code == 0, ended.err
    found = [json.loads(line) for line in ended.out.split("\n") if line]
    for one in found:
        FORMS.validate(one)
    return found


def test_people_read_what_was_said_who_acts_and_what_to_do(run: Run) -> None:
    ended = run("log", "explain", RECORDED)
    assert ended.code == 0
    assert "postfix-recorded.log: Postfix, 160 lines" in ended.out
    assert "failed 7 · refused here 1 · deferred 9 · delivered 9" in ended.out
    assert "there.example  failed 2" in ended.out
    assert "Said      550 No such user here" in ended.out
    assert "in answer to RCPT, for plain@there.example" in ended.out
    assert "Who acts  the sender of the mail" in ended.out
    assert "Do        Stop sending there." in ended.out
    assert "nothing to this destination was delivered" in ended.out
    assert ended.out.count("Do        Try again later.") >= 1
    assert ended.err == ""


def test_japanese(run: Run) -> None:
    ended = run("log", "explain", LOGS / "exim-recorded.log", "--lang", "ja")
    assert "対応者" in ended.out
    assert "失敗 16 件" in ended.out
    assert "こちらで拒否" in ended.out


def test_what_is_beyond_the_limit_is_counted(run: Run) -> None:
    out = run("log", "explain", RECORDED, "--limit", "1").out
    assert "more groups with " in out
    assert "  1  deferred: Greylisted, 1 destination" in out
    assert "  3  failed: Unknown recipient" not in out
    assert "  2  deferred: Network or DNS trouble, 2 destinations" in out
    assert "1 destination" not in run("log", "explain", RECORDED, "--limit", "100").out


@pytest.mark.parametrize("name", NAMES)
def test_json_is_one_object_a_line_of_the_published_form(name: str, run: Run) -> None:
    *groups, summary = documents(run("log", "explain", LOGS / f"{name}.log", "--json"))
    assert summary["schema"] == "postroad.log.summary/1"
    assert {one["schema"] for one in groups} <= {"postroad.log.group/1"}
    told = sum(one["count"] for one in groups)
    assert told == sum(count for outcome, count in summary["outcomes"].items() if outcome != "delivered")


@pytest.mark.parametrize("name", NAMES)
def test_lines_have_all_fields(name: str, run: Run) -> None:
    *lines, summary = documents(run("log", "explain", LOGS / f"{name}.log", "--json", "--lines", "--lang", "ja"))
    assert len(lines) == summary["events"] == len((LOGS / f"{name}.expected").read_text().rstrip().split("\n"))
    shown = run("log", "explain", LOGS / f"{name}.log", "--lines").out
    assert len(shown.rstrip("\n").split("\n")) == len(lines)


def test_pipes_gzip_and_several_files(piped: Run, run: Run, tmp_path: Path) -> None:
    packed = gzip.compress(RECORDED.read_bytes())
    (tmp_path / "mail.log.1.gz").write_bytes(packed)
    [*_, plain] = documents(run("log", "explain", RECORDED, "--json"))
    for ended in (piped(packed, "--json"), piped(packed, "-", "--json")):
        assert documents(ended)[-1] == plain
    [*_, both] = documents(run("log", "explain", RECORDED, tmp_path / "mail.log.1.gz", "--json"))
    assert both["events"] == 2 * plain["events"]


def test_a_damaged_file_is_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "cut\x1b[2J.gz").write_bytes(gzip.compress(RECORDED.read_bytes())[:-9])
    ended = run("log", "explain", tmp_path / "cut\x1b[2J.gz")
    assert ended.code == 0
    assert "cut\\u001b[2J.gz: the gzip file is damaged or cut off" in ended.err


def test_filters(run: Run) -> None:
    [group, summary] = documents(run("log", "explain", RECORDED, "--json", "--destination", "RUDE"))
    assert group["destination"] == "rude.example"
    assert summary["events"] == 1
    ended = run("log", "explain", RECORDED, "--since", "2099-01-01")
    assert ended.code == 0
    assert "no line matches the filters" in ended.err
    assert documents(run("log", "explain", RECORDED, "--json", "--since", "2020-01-01"))[-1]["events"] == 26


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nowhere.log"], 66, "there is no file nowhere.log"),
        (["."], 66, "is a folder"),
        ([str(LOGS / "README.md")], 65, "no line in README.md is of a log that is known"),
        ([str(RECORDED), "--since", "soon"], 64, "--since"),
        ([str(RECORDED), "--format", "sendmail"], 64, "sendmail"),
        ([str(RECORDED), str(RECORDED), "--follow"], 64, "only one log can be followed"),
        ([str(RECORDED), "--lang", "xx"], 64, "no language"),
    ],
)
def test_what_cannot_be_done_is_told(arguments: list[str], code: int, words: str, run: Run) -> None:
    ended = run("log", "explain", *arguments)
    assert ended.code == code
    assert words in ended.err
    assert ended.out == ""


def test_the_form_is_printed(run: Run) -> None:
    assert json.loads(run("log", "explain", "--schema").out) == SCHEMA


def test_the_log_verb_still_follows_the_journal(run: Run) -> None:
    ended = run("log", "--limit", "5")
    assert "explain" not in ended.err
    assert ended.code != 64
    assert run("log", "explain", RECORDED).code == 0


@pytest.mark.parametrize("options", [[], ["--lines"], ["--json"], ["--json", "--lines"], ["--follow"]])
def test_hostile_text_moves_no_cursor(options: list[str], piped: Run) -> None:
    hostile = b"\x1b[2J\x9b31m\x07\xe2\x80\xae<script>\xff\xfe\0"
    log = REFUSED % hostile + (REFUSED % b"x").replace(b"kana@", hostile.replace(b">", b"") + b"@")
    ended = piped(log, *options)
    assert ended.code == 0
    assert all(character.isprintable() or character == "\n" for character in ended.out)
    assert ended.out.strip()


def test_a_pipe_is_followed_with_advice(piped: Run) -> None:
    out = piped(REFUSED % b"user", "--follow").out
    assert "kana@example.net  Unknown recipient  → the sender of the mail: Stop sending there" in out


def postroad_process(*arguments: object, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "postroad", "log", "explain", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "TZ": "UTC"}, **options)


def test_a_file_is_followed_through_rotation(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    path.write_bytes(REFUSED % b"first")
    with postroad_process(path, "--follow", "--json", stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            kinds = [json.loads(process.stdout.readline())["schema"] for _ in range(2)]
            assert kinds == ["postroad.log.group/1", "postroad.log.summary/1"]
            for name in ("second", "third"):
                path.rename(tmp_path / f"{name}.old")
                path.write_bytes(REFUSED % name.encode())
                told = json.loads(process.stdout.readline())
                assert told["schema"] == "postroad.log.line/1"
                assert name in told["reply"]
        finally:
            process.kill()


def test_progress_is_for_a_terminal_alone(tmp_path: Path) -> None:
    """On a terminal a line is written over; the outcome on standard output is the same."""
    path = tmp_path / "long.log"
    path.write_bytes(RECORDED.read_bytes() * 1_500)
    told, terminal = pty.openpty()
    with postroad_process(path, "--json", "--limit", "1", stderr=terminal) as process:
        os.close(terminal)
        written = b""
        with suppress(OSError):  # the other end is closed
            while block := os.read(told, 65_536):
                written += block
        os.close(told)
        assert process.stdout is not None
        seen = process.stdout.read()
    assert b"\rlong.log  [" in written
    assert b" % " in written
    with postroad_process(path, "--json", "--limit", "1", stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read() == seen
        assert process.stderr.read() == b""
