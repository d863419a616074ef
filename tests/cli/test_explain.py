"""What ``postroad explain`` answers, to whom: a terminal of any width, a pipe, a program; and what it never does."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

from tests.cli.fake_server import Ended

Run = Callable[..., Ended]

NOT_FIRST = "、。）」』，．！？"
HEAVY = ("asyncio", "ssl", "sqlite3", "socket", "starlette", "uvloop", "rich", "apsw", "uvicorn", "jinja2", "structlog")
SESSION = """\
S: 220 mail.example.net ESMTP
C: EHLO client.example.com
S: 250-mail.example.net
S: 250-SIZE 1000
S: 250 DSN
C: MAIL FROM:<ann@example.com> RET=HDRS
S: 455 4.5.4 RET cannot be honoured right now
C: MAIL FROM:<ann@example.com>
S: 250 2.1.0 Ok
C: RCPT TO:<kana@example.net>
S: 550 5.1.1 No such mailbox here
C: QUIT
S: 221 2.0.0 Bye
"""


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTROAD_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def piped(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """As ``run``, with octets on standard input."""

    def run_one(octets: bytes, *arguments: str) -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(octets), encoding="utf-8"))
        return run(*arguments)

    return run_one


def cells(line: str) -> int:
    """Columns of a terminal that a line takes."""
    marks = ("Mn", "Me", "Cf")
    shown = [c for c in line if unicodedata.category(c) not in marks]
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in shown)


def on_terminal(columns: int, *arguments: str, **environment: str) -> str:
    """What a terminal of so many columns is sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    surroundings = {"PATH": os.environ["PATH"], "TERM": "xterm", "PYTHONUTF8": "1", **environment}
    surroundings |= {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
    command = [sys.executable, "-m", "postroad", *arguments]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=surroundings) as child:
        os.close(theirs)
        said = bytearray()
        try:
            while octets := os.read(ours, 65_536):
                said += octets
        except OSError:  # the way a terminal says that the other side has gone
            pass
        faults = child.stderr.read() if child.stderr else b""
    os.close(ours)
    assert (child.returncode, faults) == (0, b"")
    return said.decode().replace("\r\n", "\n")


def without_colour(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def is_harmless(text: str) -> bool:
    """Nothing that a terminal would obey."""
    return all(c.isprintable() or c == "\n" for c in text)


def kinds(document: dict[str, Any]) -> list[str]:
    return [item["kind"] for item in document["items"]]


# What can be asked


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("455",), ["code"]),
        (("455", "555"), ["code", "code"]),
        (("4.7.1",), ["enhanced"]),
        (("#5.1.1",), ["enhanced"]),
        (("455", "4.5.4"), ["reply"]),
        (("550 5.1.1 No such mailbox here",), ["reply"]),
        (("550", "5.1.1", "No", "such", "mailbox", "here"), ["reply"]),
        (("SIZE",), ["keyword"]),
        (("8bitmime",), ["keyword"]),
        (("RET=",), ["keyword"]),
        (("RET",), ["keyword"]),
        (("NOTIFY=NEVER",), ["keyword"]),
        (("MAIL",), ["verb"]),
        (("rcpt",), ["verb"]),
        (("MAIL FROM",), ["verb"]),
        (("RCPT TO:",), ["verb"]),
        (("455", "RCPT", "4.7.1", "DSN"), ["code", "verb", "enhanced", "keyword"]),
    ],
)
def test_what_can_be_asked(run: Run, words: tuple[str, ...], expected: list[str]) -> None:
    ended = run("explain", "--json", *words)
    assert (ended.code, ended.err) == (0, "")
    assert kinds(ended.document) == expected


def test_a_parameter_leads_to_the_extension_that_brings_it(run: Run) -> None:
    assert run("explain", "--json", "RET=").document["items"][0]["keyword"]["keyword"] == "DSN"


@pytest.mark.parametrize("language", ["en", "ja"])
def test_a_code_in_full(run: Run, language: str) -> None:
    code = run("explain", "455", "--json", "--lang", language).document["items"][0]["code"]
    ended = run("explain", "455", "--lang", language)
    assert (ended.code, ended.err) == (0, "")
    steps = [step for part in code["fix"].values() for step in part]
    wanted = [code["title"], code["summary"], *code["meaning"], code["advice"]["retry"], *code["sources"]]
    wanted += [step[part] for step in steps for part in ("do", "check")]
    wanted += [one["difference"] for one in code["confused"]]
    assert [text for text in wanted if text.replace("`", "") not in ended.out] == []


@pytest.mark.parametrize("asked", [(), ("-",)])
def test_a_transcript_on_standard_input_is_explained_reply_by_reply(piped: Run, asked: tuple[str, ...]) -> None:
    items = piped(SESSION.encode(), "explain", "--json", *asked).document["items"]
    assert [(item["code"]["code"], item["command"]) for item in items] == [
        (220, "CONNECT"),
        (250, "EHLO"),
        (455, "MAIL"),
        (250, "MAIL"),
        (550, "RCPT"),
        (221, "QUIT"),
    ]
    shown = piped(SESSION.encode(), "explain", *asked)
    assert shown.code == 0 and shown.out.index("220 mail") < shown.out.index("455 4.5.4") < shown.out.index("550 5.1.1")


def test_the_command_may_be_told(run: Run) -> None:
    item = run("explain", "--json", "--command", "rcpt", "550 no").document["items"][0]
    assert item["command"] == "RCPT"


def test_short_takes_two_lines_for_each(run: Run) -> None:
    parts = run("explain", "--short", "455", "4.7.1", "SIZE", "MAIL").out.strip("\n").split("\n\n")
    assert [part.split()[0] for part in parts] == ["455", "4.7.1", "SIZE", "MAIL"]
    parts += [run("explain", "--short", "--command", "RCPT", "550 5.1.1 User unknown").out.strip("\n")]
    assert [len(part.split("\n")) for part in parts] == [2] * 5


@pytest.mark.parametrize("language", ["en", "ja"])
def test_markdown(run: Run, language: str) -> None:
    ended = run("explain", "--markdown", "455", "--lang", language)
    code = run("explain", "--json", "455", "--lang", language).document["items"][0]["code"]
    assert ended.code == 0 and ended.out.startswith("#") and is_harmless(ended.out)
    assert all(text in ended.out for text in (code["title"], code["summary"], *code["meaning"], "`RET="))


@pytest.mark.parametrize("words", [("455",), ("4.7.1",), ("SIZE",), ("MAIL",), ("550 5.1.1 User unknown",)])
def test_json_has_the_same_keys_in_every_language(run: Run, words: tuple[str, ...]) -> None:
    def shape(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: shape(one) for key, one in value.items()}
        return [shape(one) for one in value] if isinstance(value, list) else type(value)

    english, japanese = (run("explain", *words, "--json", "--lang", lang).document for lang in ("en", "ja"))
    assert english["schema"] == "postroad.explanation/1"
    assert (english["language"], japanese["language"]) == ("en", "ja")
    assert shape(english) == shape(japanese) and english != japanese


def test_a_provider_is_heard(run: Run) -> None:
    text = "421 4.7.0 Try again later, closing connection"
    item = run("explain", "--json", "--provider", "gmail", text).document["items"][0]
    assert item["provider"] == "gmail" and item["kind"] == "reply"


# The language


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LC_ALL": "ja_JP.UTF-8", "LANG": "C"}, "ja"),
        ({"LC_ALL": "C", "LANG": "ja_JP.UTF-8"}, "en"),
        ({"POSTROAD_LANG": "ja", "LC_ALL": "C.UTF-8"}, "ja"),
        ({"POSTROAD_LANG": "en", "LANG": "ja_JP.UTF-8"}, "en"),
        ({"LANG": "xx_YY.UTF-8"}, "en"),
    ],
)
def test_the_language_follows_the_surroundings(
    run: Run, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], language: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run("explain", "455", "--json").document["language"] == language


# Terminals and pipes

EVERYTHING = ("220", "250", "421", "455", "550", "555", "4.7.1", "5.1.1", "SIZE", "DSN", "MAIL", "STARTTLS")


@pytest.mark.parametrize("language", ["ja", "en"])
@pytest.mark.parametrize("columns", [40, 61, 80])
def test_no_line_is_wider_than_the_terminal(columns: int, language: str) -> None:
    lines = without_colour(on_terminal(columns, "explain", "--lang", language, *EVERYTHING)).split("\n")
    assert [line for line in lines if cells(line) > columns] == []
    assert [line for line in lines if re.match(rf"\s*[{NOT_FIRST}]", line)] == []
    assert len(lines) > 100


def test_an_address_longer_than_a_line_is_broken() -> None:
    reply = f"550 5.1.1 <{'kana.' * 40}@example.net>: 宛先の「メールボックス」が見つかりません。（確認してください）"
    lines = without_colour(on_terminal(50, "explain", "--lang", "ja", reply)).split("\n")
    assert [line for line in lines if cells(line) > 50 or re.match(rf"\s*[{NOT_FIRST}]", line)] == []
    assert "kana." * 40 in "".join(line.strip() for line in lines)


def test_only_a_terminal_gets_colour(run: Run) -> None:
    assert "\x1b[" in on_terminal(80, "explain", "455")
    assert "\x1b" not in on_terminal(80, "explain", "455", NO_COLOR="1")
    assert "\x1b" not in on_terminal(80, "explain", "455", "--colour", "never")
    assert "\x1b" not in run("explain", "455").out
    assert "\x1b[" in run("explain", "455", "--colour", "always").out


@pytest.mark.parametrize("language", ["ja", "en"])
def test_a_pipe_gets_each_paragraph_in_one_line(run: Run, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    code = run("explain", "455", "--json", "--lang", language).document["items"][0]["code"]
    lines = run("explain", "455", "--lang", language).out.split("\n")
    for paragraph in (code["summary"], *code["meaning"], code["advice"]["retry"]):
        assert any(paragraph.replace("`", "") in line for line in lines)


# What goes wrong


@pytest.mark.parametrize("what", ["frobnicate", "9.9.9", "4.7", "hello there", "42", "99999", "…", "日本語"])
def test_what_nobody_knows_ends_with_65(run: Run, what: str) -> None:
    for language in ("en", "ja"):
        ended = run("explain", what, "--lang", language)
        assert ended.code == 65
        assert what in ended.out + ended.err and len((ended.out + ended.err).strip()) > len(what) + 10


def test_one_known_thing_among_others_is_explained(piped: Run) -> None:
    ended = piped(b"hello\nnothing here\n550 5.1.1 User unknown\nbye\n", "explain", "--json")
    assert ended.code == 0 and kinds(ended.document) == ["reply"]


def test_a_number_that_nobody_defined_is_explained_by_its_first_digit(run: Run) -> None:
    ended = run("explain", "599")
    assert "599" in ended.out and "5yz" in ended.out


@pytest.mark.parametrize("arguments", [("--frobnicate", "455"), ("455", "--lang"), ("455", "--lang", "xx")])
def test_wrong_usage_ends_with_64(run: Run, arguments: tuple[str, ...]) -> None:
    ended = run("explain", *arguments)
    assert (ended.code, ended.out) == (64, "")
    assert ended.err.startswith("error: ") and "hint: " in ended.err


@pytest.mark.parametrize("octets", [b"", b"\n\n", b"   ", b"\r"])
def test_nothing_on_standard_input_is_said(piped: Run, octets: bytes) -> None:
    ended = piped(octets, "explain")
    assert ended.code in (64, 65) and len((ended.out + ended.err).strip()) > 10
    assert "our bug" not in ended.err


# Hostile input

HOSTILE = {
    "colour": b"550 5.1.1 \x1b[31mred\x1b[0m no such user",
    "title": b"550 \x1b]0;owned\x07 no",
    "c1": "550 5.1.1 \x9b31m no".encode(),
    "bidi": "550 5.1.1 \u202eresu\u202c \u2066x\u2069 \u200f no".encode(),
    "separators": "550 5.1.1 a\u2028b\u2029c\x85d".encode(),
    "nul": b"550 5.1.1 a\x00b\x00",
    "backspace": b"550 5.1.1 aaaa\x08\x08\x08\x08bbbb\x7f",
    "tab and return": b"550 5.1.1 a\tb\rc\x0bd\x0ce",
    "invalid": b"550 5.1.1 \xff\xfe\xc3( \xed\xa0\x80 no",
    "only controls": bytes(range(32)) * 3,
    "only invalid": b"\xff" * 50,
    "tags": "550 5.1.1 a\U000e0041\U000e007f\ufeffb\u00ad".encode(),
    "long line": b"550 5.1.1 " + b"x" * 100_000,
    "long number": b"5" * 100_000,
    "long wide line": b"550 5.1.1 " + "あ".encode() * 33_000,
    "long cut inside a character": b"550 " + "あ".encode() * 400_000,
    "many dots": b"5.1." * 25_000,
    "many replies": b"550 5.1.1 no\n" * 80_000,
    "many verbs": b"MAIL FROM:<>\n" * 80_000,
    "an endless reply": b"550-no\r\n" * 130_000,
    "many spaces": b" " * 1_000_000 + b"550",
    "many marks": b"<- " * 300_000,
    "many ends": b"\r" * 1_000_000,
}


@pytest.mark.timeout(30)
@pytest.mark.parametrize("octets", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("form", [(), ("--json",), ("--markdown",), ("--short",)], ids=lambda form: "".join(form)[2:])
def test_hostile_text_is_harmless(piped: Run, octets: bytes, form: tuple[str, ...]) -> None:
    ended = piped(octets, "explain", *form)
    assert ended.code in (0, 64, 65), ended.err
    assert is_harmless(ended.out) and is_harmless(ended.err)
    assert len(ended.out) < 8_000_000  # an answer to a million octets is not itself an attack


@pytest.mark.parametrize(
    "name", [name for name, octets in HOSTILE.items() if len(octets) < 200 and b"\0" not in octets]
)
def test_hostile_arguments_are_harmless(run: Run, name: str) -> None:
    text = HOSTILE[name].decode("utf-8", "surrogateescape")
    arguments = [
        ("explain", text),
        ("explain", text.replace("550", "").replace("5.1.1", "")),
        ("explain", "455", "--lang", text),
        ("explain", "550 no", "--command", text),
        ("explain", "550 no", "--provider", text),
        ("compare", text, "455"),
        ("compare", "455", text),
        ("compare", "220", "455", "--lang", text),
    ]
    for one in arguments:
        ended = run(*one)
        assert ended.code in (0, 64, 65), (one, ended.err)
        assert is_harmless(ended.out) and is_harmless(ended.err), one


def test_hostile_text_on_a_terminal_moves_no_cursor() -> None:
    text = HOSTILE["colour"] + HOSTILE["bidi"] + HOSTILE["title"]
    shown = on_terminal(60, "explain", "--colour", "never", text.decode())
    assert is_harmless(shown) and "red" in shown


# How it starts


def started(script: str, **options: Any) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-c", script.replace("postroad", f"{sys.executable} -m postroad")]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_a_closed_standard_input_is_no_hindrance() -> None:
    ended = started("postroad explain 455 <&-")
    assert (ended.returncode, ended.stderr) == (0, "") and "455" in ended.stdout


@pytest.mark.parametrize("arguments", ["", "-"])
def test_asking_a_closed_standard_input_is_wrong_usage(arguments: str) -> None:
    ended = started(f"postroad explain {arguments} <&-")
    assert ended.returncode in (64, 65) and ended.stdout == ""
    assert ended.stderr.startswith("error: ") and "our bug" not in ended.stderr


def test_a_terminal_with_nothing_asked_is_wrong_usage() -> None:
    ours, theirs = pty.openpty()
    try:
        ended = started("postroad explain", stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert (ended.returncode, ended.stdout) == (64, "") and ended.stderr.startswith("error: nothing to explain")


def test_a_reader_that_has_seen_enough_is_no_fault() -> None:
    ended = started("set -o pipefail; postroad explain 220 250 421 450 451 452 455 550 554 555 | true; echo $?")
    assert (ended.stdout, ended.stderr) == ("0\n", "")


@pytest.mark.parametrize("language", ["en", "ja"])
def test_an_output_without_the_letters_is_no_bug(language: str) -> None:
    surroundings = os.environ | {"PYTHONIOENCODING": "ascii"}
    ended = started(f"postroad explain 455 --lang {language}", env=surroundings)
    assert ended.returncode == 0 and "our bug" not in ended.stderr


@pytest.mark.parametrize("arguments", [("explain", "455"), ("explain", "4.7.1"), ("compare", "220", "455")])
def test_little_is_imported(arguments: tuple[str, ...]) -> None:
    code = (
        "import json, sys; from postroad.cli.main import main; main(sys.argv[1:]);"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    loaded = json.loads(ended.stderr)
    heavy = HEAVY if arguments[0] == "explain" else tuple(set(HEAVY) - {"socket"})
    assert [name for name in loaded if name.split(".")[0] in heavy] == []
    assert "455" in ended.stdout or "4.7.1" in ended.stdout
