"""``postroad send``: the dialogue on the screen, the exit codes one by one, both languages, and nothing that leaks or injects."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import trustme

import postroad.reference
import postroad.sending.calling
from postroad.cli.outcome import Exit
from postroad.cli.send_letter import addresses
from postroad.delivery.mx import MxRouting, Unroutable
from postroad.replies.catalogue import catalogue
from postroad.smtp import undeliverable
from tests.cli.fake_server import Ended
from tests.peer_host import CUT, Script, playing
from tests.server_process import ServerProcess

Run = Callable[..., Ended]

SCHEMA = json.loads((Path(postroad.reference.__file__).parent / "schemas" / "send.json").read_text())
VALID = jsonschema.Draft202012Validator(SCHEMA)
SECRET = "Sesame-opens"
SECRETS = (SECRET, "U2VzYW1l", "AG1lAFNlc2FtZ", "TZXNhbWU")


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTROAD_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR", "COLUMNS", "POSTROAD_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def to(run: Run) -> Callable[..., Ended]:
    """Send to a scripted host, with a sender, a name and a recipient unless the test says otherwise."""

    def send(script: Script, *arguments: object) -> Ended:
        words = [str(word) for word in arguments]
        with playing(script):
            given = ["--server", f"127.0.0.1:{script.port}", "--ehlo", "me.example", "--from", "me@example.com"]
            usual = [] if {"--to", "--data", "--bcc"} & set(words) else ["--to", "kana@example.net"]
            return run("send", *given, *usual, *words)

    return send


def is_harmless(text: str) -> bool:
    return all(c.isprintable() or c == "\n" for c in text)


def some(line: bytes) -> bytes:
    return b"250 ok\r\n" if b"a@" in line else b"550 5.1.1 User unknown\r\n"


def mixed(line: bytes) -> bytes:
    return b"451 4.3.0 later\r\n" if b"a@" in line else b"550 5.7.1 no\r\n"


def various(line: bytes) -> bytes:
    return b"550 5.1.1 User unknown\r\n" if b"a@" in line else b"550 5.7.1 no\r\n"


TWO = ("--to", "a@example.net,b@example.net")


# --- what is seen


def test_the_dialogue(to: Any) -> None:
    def mail(line: bytes) -> bytes:
        return b"555 5.5.4 RET is not known here\r\n" if b"RET" in line else b"250 2.1.0 Ok\r\n"

    script = Script(extensions=(b"DSN",), replies={"MAIL": mail})
    ended = to(script, "--param", "RET=HDRS")
    assert (ended.code, ended.err) == (0, "")
    lines = [re.sub(r" +[0-9]+\.[0-9]{3}s$", "", line) for line in ended.out.split("\n")]
    expected = [
        f" === connecting to 127.0.0.1:{script.port}",
        " <-  220 host.example ESMTP",
        "  -> EHLO me.example",
        " <-  250-host.example",
        " <-  250 DSN",
        "  -> MAIL FROM:<me@example.com> RET=HDRS",
        " <-* 555 5.5.4 RET is not known here",
        "     └ permanent: The server does not know a parameter, or cannot do now what it asks.",
        "     └ → Leave the parameter out · who acts: the sending program",
        "     └ → sent again without RET",
        "  -> MAIL FROM:<me@example.com>",
        " <-  250 2.1.0 Ok",
        "  -> RCPT TO:<kana@example.net>",
        " <-  250 ok",
        "  -> DATA",
        " <-  354 go on",
        f"  -> the content ({len(script.contents[0])} octets), then the final dot",
        " <-  250 2.0.0 queued as 7F3A1",
        "  -> QUIT",
        " <-  221 bye",
        " === accepted for 1 of 1 recipients, after dropping: RET",
        "",
    ]
    assert lines == expected
    assert len(re.findall(r"[0-9]\.[0-9]{3}s\n", ended.out)) == 4


def test_the_dialogue_in_japanese(to: Any) -> None:
    script = Script(replies={"RCPT": b"550 5.1.1 User unknown\r\n"})
    ended = to(script, "--lang", "ja")
    assert ended.code == Exit.NO_USER
    for words in (
        "に接続します",
        "恒久的",
        "宛先が不明",
        "対応者: メールの送信者",
        "1 件中 0 件の宛先が受け付けられました",
        "恒久的に拒否されました",
    ):
        assert words in ended.out
    assert " <-* 550 5.1.1 User unknown" in ended.out


def test_inside_tls_the_arrows_change(to: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost", "127.0.0.1").configure_cert(context)
    ended = to(Script(tls=context, replies={"RCPT": b"451 4.7.1 later\r\n"}))
    assert "  -> STARTTLS\n" in ended.out
    assert "  ~> MAIL FROM" in ended.out
    assert " <~* 451 4.7.1 later\n" in ended.out
    assert re.search(r" === TLSv1\.[23] .*certificate not verified", ended.out)


def test_what_a_host_says_moves_no_cursor(to: Any) -> None:
    evil = "250-host.example\r\n250-X \x1b[2J\x1b]0;gone\x07\r\n250 \u202e\u2066moc\r\n".encode()
    script = Script(
        greeting=b"220 \x1b[31mred\x08\x08\r\n", replies={"EHLO": evil, "RCPT": "550 5.1.1 \x1b[1A\u202e\r\n".encode()}
    )
    for arguments in ((), ("--json",), ("--quiet",)):
        ended = to(script, *arguments)
        assert is_harmless(ended.out)
        assert is_harmless(ended.err)


def test_quiet_says_only_what_went_wrong(to: Any, run: Run) -> None:
    assert to(Script(), "-q").out == ""
    refused = to(Script(greeting=CUT), "-q")
    assert (refused.code, refused.out) == (Exit.TRY_AGAIN, "")
    assert refused.err.startswith("error: Connection closed:")


@pytest.mark.parametrize(("replies", "explained", "follow"), [
    ({"MAIL": b"550 5.7.1 no\r\n", "RCPT": b"503 5.5.1 no sender\r\n", "DATA": b"503 5.5.1 no sender\r\n"}, 1, 3),
    ({"RCPT": b"550 5.1.1 no\r\n", "DATA": b"554 5.5.1 No valid recipients\r\n"}, 2, 1),
    ({"RCPT": some, "DATA": b"554 5.7.1 no\r\n"}, 2, 0),
])  # fmt: skip
def test_a_refusal_that_follows_from_another_is_said_to(
    to: Any, replies: dict[str, Any], explained: int, follow: int
) -> None:
    ended = to(Script(extensions=(b"PIPELINING",), replies=replies), *TWO)
    assert ended.out.count("follows from the refusal above") == follow
    assert ended.out.count("who acts: ") == explained


def test_quiet_names_who_was_refused(to: Any) -> None:
    ended = to(Script(replies={"RCPT": some}), *TWO, "-q")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: b@example.net: 550 5.1.1 User unknown\n  hint: Unknown recipient: ")


def test_a_terminal_without_the_signs_gets_plain_ones() -> None:
    script = Script(replies={"RCPT": b"550 5.1.1 User unknown\r\n"})
    with playing(script):
        command = [
            sys.executable,
            "-m",
            "postroad",
            "send",
            "--server",
            f"127.0.0.1:{script.port}",
            "--to",
            "a@example.net",
        ]
        ended = subprocess.run(
            command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": "ascii"}, check=False
        )
    assert b"     `- permanent: The server has no mailbox" in ended.stdout
    assert b"     `- -> Stop sending there | who acts" in ended.stdout


def test_colours_only_on_demand(to: Any) -> None:
    script = Script(replies={"RCPT": b"550 no\r\n"})
    assert "\x1b[" not in to(script).out
    assert "\x1b[31m" in to(script, "--colour", "always").out


@pytest.mark.parametrize(("script", "title", "words"), [
    (Script(greeting=b""), "Connected, but silent", "--tls implicit"),
    (Script(greeting=CUT), "Connection closed", "The server's log"),
    (Script(greeting=b"HTTP/1.1 400 Bad Request\r\n"), "This is no SMTP", "25, 465 or 587"),
])  # fmt: skip
def test_no_220_says_what_was_seen_and_what_to_check(to: Any, script: Script, title: str, words: str) -> None:
    ended = to(script, "--timeout", "0.2")
    assert f"error: {title}: " in ended.err
    assert re.search(r"\(after [0-9]+\.[0-9] s\)\n", ended.err)
    assert words in ended.err
    assert ended.err.count("  check: ") >= 2


@pytest.mark.parametrize(("greeting", "code"), [
    (b"554 5.7.1 not you\r\n", Exit.UNAVAILABLE), (b"521 5.3.2 no mail here\r\n", Exit.UNAVAILABLE),
    (b"421 4.3.2 not now\r\n", Exit.TRY_AGAIN), (b"450 4.3.2 busy\r\n", Exit.TRY_AGAIN),
])  # fmt: skip
def test_another_reply_instead_of_220(to: Any, greeting: bytes, code: Exit) -> None:
    ended = to(Script(greeting=greeting))
    assert ended.code == code
    assert f"{greeting[:3].decode()} came where 220 belongs" in ended.out


# --- exit codes, one by one


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


EXITS = {
    "all accepted": (Script(), TWO, 0),
    "some refused": (Script(replies={"RCPT": some}), TWO, 1),
    "unknown": (Script(replies={"RCPT": b"550 5.1.1 User unknown\r\n"}), TWO, 67),
    "unknown and refused": (Script(replies={"RCPT": various}), TWO, 69),
    "refused at MAIL": (Script(replies={"MAIL": b"550 5.7.1 not you\r\n"}), (), 69),
    "refused at RCPT": (Script(replies={"RCPT": b"550 5.7.1 no\r\n"}), (), 69),
    "refused at DATA": (Script(replies={"DATA": b"554 5.7.1 no\r\n"}), (), 69),
    "refused at the content": (Script(replies={".": b"554 5.6.0 no\r\n"}), (), 69),
    "not now at MAIL": (Script(replies={"MAIL": b"451 4.3.0 later\r\n"}), (), 75),
    "not now at RCPT": (Script(replies={"RCPT": b"450 4.2.0 later\r\n"}), (), 75),
    "not now at the content": (Script(replies={".": b"451 4.3.0 later\r\n"}), (), 75),
    "one later, one never": (Script(replies={"RCPT": mixed}), TWO, 75),
    "cut at DATA": (Script(replies={"DATA": CUT}), (), 75),
    "uncertain": (Script(replies={".": CUT}), (), 75),
    "silent": (Script(replies={"MAIL": b""}), ("--timeout", "0.2"), 75),
    "no SMTP": (Script(greeting=b"SSH-2.0-x\r\n"), (), 76),
    "no TLS": (Script(), ("--tls", "require"), 76),
    "plain behind implicit TLS": (Script(), ("--tls", "implicit"), 76),
    "login required": (Script(replies={"MAIL": b"530 5.7.0 Authentication required\r\n"}), (), 77),
    "looking only": (Script(), ("--quit-after", "rcpt"), 0),
    "looking, refused": (Script(replies={"RCPT": b"550 5.1.1 User unknown\r\n"}), ("--quit-after", "rcpt"), 67),
}


@pytest.mark.parametrize("case", EXITS)
def test_exit_codes(to: Any, case: str) -> None:
    script, arguments, code = EXITS[case]
    assert to(script, *arguments).code == code


@pytest.mark.parametrize("case", EXITS)
@pytest.mark.parametrize("language", ["en", "ja"])
def test_the_document_has_its_form(to: Any, case: str, language: str) -> None:
    script, arguments, code = EXITS[case]
    ended = to(script, *arguments, "--json", "--lang", language)
    VALID.validate(ended.document)
    assert (ended.document["exit"], ended.document["accepted"], ended.document["language"]) == (
        code,
        code == 0,
        language,
    )


def test_nobody_listens(run: Run) -> None:
    ended = run("send", "--server", f"127.0.0.1:{free_port()}", "--to", "a@example.net")
    assert ended.code == Exit.TRY_AGAIN
    assert "error: Connection refused: " in ended.err
    assert "ss -ltn" in ended.err
    document = run("send", "--server", f"127.0.0.1:{free_port()}", "--to", "a@example.net", "--json").document
    VALID.validate(document)
    assert (document["error"]["kind"], document["error"]["stage"]) == ("refused", "CONNECT")


@pytest.mark.parametrize(("reply", "code"), [
    (undeliverable.NO_SUCH_DOMAIN, Exit.NO_HOST), (undeliverable.NULL_MX, Exit.NO_HOST), (undeliverable.DNS_FAILED, Exit.TRY_AGAIN),
])  # fmt: skip
def test_no_way_by_mx(run: Run, monkeypatch: pytest.MonkeyPatch, reply: Any, code: Exit) -> None:
    async def site_of(self: MxRouting, destination: str) -> Any:
        raise Unroutable(reply, f"{destination}: told by the test")

    monkeypatch.setattr(MxRouting, "site_of", site_of)
    ended = run("send", "--to", "a@gone.test", "--via", "mx")
    assert ended.code == code
    assert "a@gone.test" in ended.out


# --- login


@pytest.mark.parametrize("way", ["environment", "file", "stdin"])
def test_a_password_comes_from_elsewhere_and_appears_nowhere(
    to: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    arguments: tuple[object, ...] = ("--auth", "me")
    if way == "environment":
        monkeypatch.setenv("POSTROAD_PASSWORD", SECRET)
    elif way == "file":
        (tmp_path / "password").write_text(f"{SECRET}\nsecond line\n")
        arguments += ("--password-file", tmp_path / "password")
    else:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{SECRET}\r\n".encode())))
        arguments += ("--password-file", "-")
    for mechanism, replies in (("PLAIN", {}), ("LOGIN", {"AUTH": b"334 VXNlcm5hbWU6\r\n"})):
        for more in ((), ("--json",)):
            if way == "stdin":
                monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{SECRET}\r\n".encode())))
            script = Script(extensions=(b"AUTH PLAIN LOGIN",), replies=dict(replies))
            ended = to(script, *arguments, "--auth-mechanism", mechanism, *more)
            assert ended.code == 0
            assert any(b"U2VzYW1lLW9wZW5z" in line or b"AG1lAFNlc2FtZS1vcGVucw" in line for line in script.heard)
            assert not any(secret in ended.out + ended.err for secret in SECRETS)


@pytest.mark.parametrize(
    ("reply", "code"), [(b"535 5.7.8 wrong\r\n", 77), (b"454 4.7.0 later\r\n", 75), (b"530 5.7.0 no\r\n", 77)]
)
def test_a_login_that_is_refused(to: Any, monkeypatch: pytest.MonkeyPatch, reply: bytes, code: int) -> None:
    monkeypatch.setenv("POSTROAD_PASSWORD", SECRET)
    ended = to(Script(extensions=(b"AUTH PLAIN",), replies={"AUTH": reply}), "--auth", "me")
    assert ended.code == code
    assert not any(secret in ended.out + ended.err for secret in SECRETS)


def test_a_login_that_is_not_offered(to: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTROAD_PASSWORD", SECRET)
    assert to(Script(), "--auth", "me").code == Exit.NO_PERMISSION


def test_nobody_is_asked_for_a_password_who_is_not_there(to: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    script = Script(extensions=(b"AUTH PLAIN",))
    ended = to(script, "--auth", "me")
    assert (ended.code, script.connections) == (Exit.USAGE, 0)
    assert "POSTROAD_PASSWORD" in ended.err


def test_a_password_goes_to_no_mail_host_that_is_found_by_mx(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTROAD_PASSWORD", SECRET)
    assert run("send", "--to", "a@example.net", "--auth", "me").code == Exit.USAGE


# --- the message


def made(script: Script) -> Any:
    return message_from_bytes(script.contents[0], policy=default)


def test_a_message_is_made(to: Any, tmp_path: Path) -> None:
    (tmp_path / "日本.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "notes").write_bytes(b"\x00\n\xff")
    script = Script(extensions=(b"8BITMIME",))
    arguments = (
        "--to",
        "Kana@example.net, <b@example.org>",
        "--cc",
        "c@example.org",
        "--bcc",
        "d@example.org",
        "--subject",
        "Grüße",
    )
    more = (
        "--body",
        "Käse\nzwei",
        "--header",
        "X-One: 1",
        "--header",
        "X-Two: zwei ü",
        "--attach",
        tmp_path / "日本.png",
    )
    assert to(script, *arguments, *more, "--attach", tmp_path / "notes").code == 0
    message = made(script)
    assert (message["Subject"], message["X-One"], message["X-Two"]) == ("Grüße", "1", "zwei ü")
    assert (message["To"], message["Cc"], message["From"]) == (
        "Kana@example.net, b@example.org",
        "c@example.org",
        "me@example.com",
    )
    assert message["Date"]
    assert message["Message-ID"]
    body, picture, notes = message.iter_parts()
    assert body.get_content().replace("\r\n", "\n") == "Käse\nzwei\n"
    assert (picture.get_content_type(), picture.get_filename(), picture.get_content()) == (
        "image/png", "日本.png", b"\x89PNG\r\n\x1a\n",
    )  # fmt: skip
    assert (notes.get_content_type(), notes.get_content()) == ("application/octet-stream", b"\x00\n\xff")
    assert [line for line in script.heard if line.startswith(b"RCPT")] == [
        b"RCPT TO:<%s>\r\n" % one for one in (b"Kana@example.net", b"b@example.org", b"c@example.org", b"d@example.org")
    ]
    assert b"d@example.org" not in script.contents[0]


def test_a_header_of_ones_own_replaces_the_usual_one(to: Any) -> None:
    script = Script()
    assert to(script, "--header", "Subject: mine", "--header", "From: Other <o@example.org>").code == 0
    assert (made(script)["Subject"], made(script)["From"]) == ("mine", "Other <o@example.org>")
    assert script.heard[1] == b"MAIL FROM:<me@example.com>\r\n"


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_a_whole_message(to: Any, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    letter = b"From: w@example.com\nTo: k@example.net\nBcc: s@example.org\nMessage-ID: <1@x>\nDate: x\n\n.dot\n"
    (tmp_path / "m.eml").write_bytes(letter)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(letter)))
    script = Script()
    with playing(script):
        data = str(tmp_path / "m.eml") if source == "file" else "-"
        ended = run("send", "--server", f"127.0.0.1:{script.port}", "--ehlo", "me.example", "--data", data)
    assert ended.code == 0
    assert script.heard[1:4] == [
        b"MAIL FROM:<w@example.com>\r\n", b"RCPT TO:<k@example.net>\r\n", b"RCPT TO:<s@example.org>\r\n",
    ]  # fmt: skip
    assert script.contents == [
        b"From: w@example.com\r\nTo: k@example.net\r\nMessage-ID: <1@x>\r\nDate: x\r\n\r\n.dot\r\n"
    ]


def test_the_null_reverse_path(to: Any) -> None:
    script = Script()
    assert to(script, "--from", "<>").code == 0
    assert script.heard[1] == b"MAIL FROM:<>\r\n"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["a@b.example,c@d.example"], ["a@b.example", "c@d.example"]),
        (["a@b.example , <c@d.example>", "e@f.example"], ["a@b.example", "<c@d.example>", "e@f.example"]),
        (['"a,b"@c.example,d@e.example'], ['"a,b"@c.example', "d@e.example"]),
        (['"a\\",b"@c.example'], ['"a\\",b"@c.example']),
        ([" , "], []),
    ],
)
def test_lists_of_addresses(words: list[str], found: list[str]) -> None:
    assert addresses(words) == found


# --- what cannot be


#: A file that exists, by a name that no header may hold.
ODD_NAME = "(odd)"
WRONG: dict[str, tuple[tuple[str, ...], int]] = {
    "a line in --to": (("--to", "a@b.example\r\nRCPT TO:<evil@example.org>"), 64),
    "a line in --cc": (("--cc", "a@b.example\nDATA"), 64),
    "a line in --bcc": (("--bcc", "a@b.example\r\nx"), 64),
    "a path in --to": (("--to", "a@b.example> NOTIFY=NEVER"), 64),
    "a line in --from": (("--from", "a@b.example>\r\nDATA"), 64),
    "a line in --ehlo": (("--ehlo", "x\r\nMAIL FROM:<>"), 64),
    "a line in an attachment's name": (("--attach", ODD_NAME), 64),
    "a line in --subject": (("--subject", "x\r\nBcc: evil@example.org"), 64),
    "a line in --header": (("--header", "X: y\r\nBcc: evil@example.org"), 64),
    "a line in a header's name": (("--header", "X\r\nY: z"), 64),
    "no field": (("--header", "nothing"), 64),
    "Bcc by --header": (("--header", "Bcc: a@b.example"), 64),
    "MIME by --header": (("--header", "Content-Type: text/html"), 64),
    "two subjects": (("--header", "Subject: a", "--header", "Subject: b"), 64),
    "a line in --param": (("--param", "mail:X=1\r\nRCPT TO:<evil@example.org>"), 64),
    "an unknown --param": (("--param", "COLOUR=red"), 64),
    "a wrong --param": (("--param", "RET=SOME"), 64),
    "a line in --auth": (("--auth", "me\r\nDATA"), 64),
    "a line in --auth-mechanism": (("--auth", "me", "--auth-mechanism", "PLAIN\r\nDATA"), 64),
    "a line in --source": (("--source", "127.0.0.1\r\nx"), 64),
    "no address in --source": (("--source", "lo"), 64),
    "both IP versions": (("-4", "-6"), 64),
    "an unknown --tls": (("--tls", "perhaps"), 64),
    "an unknown stage": (("--quit-after", "lunch"), 64),
    "a bad time": (("--retry", "soon"), 64),
    "a bad language": (("--lang", "xx"), 64),
    "data and body": (("--data", "-", "--body", "x"), 64),
    "data and cc": (("--data", "-", "--cc", "a@b.example"), 64),
    "two servers": (("--via", "smtp:127.0.0.1:25"), 64),
    "no such file": (("--data", "/nonexistent/m.eml"), 66),
    "no such attachment": (("--attach", "/nonexistent/a.png"), 66),
    "a directory": (("--attach", "/"), 66),
    "NUL in a file's name": (("--data", "a\0b"), 66),
    "no such authority": (("--tls", "verify", "--tls-ca", "/nonexistent/ca.pem"), 64),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_said_before_anything_is_sent(
    to: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str
) -> None:
    monkeypatch.setenv("POSTROAD_PASSWORD", SECRET)
    arguments, code = WRONG[case]
    odd = tmp_path / "a\r\nBcc: evil@example.org"
    odd.write_bytes(b"x")
    arguments = tuple(str(odd) if word == ODD_NAME else word for word in arguments)
    script = Script(extensions=(b"AUTH PLAIN",))
    ended = to(script, *arguments)
    assert (ended.code, script.connections) == (code, 0)
    assert ended.err.startswith("error: ")
    assert is_harmless(ended.err)
    assert "our bug" not in ended.err


def test_nobody_to_send_to(run: Run) -> None:
    assert run("send", "--server", "127.0.0.1:1").code == Exit.USAGE


def test_a_message_that_is_none(to: Any, tmp_path: Path) -> None:
    (tmp_path / "m.eml").write_bytes(b"From: a@b.example\nno field at all\n\nx\n")
    script = Script()
    ended = to(script, "--data", tmp_path / "m.eml", "--bcc", "c@d.example")
    assert (ended.code, script.connections) == (Exit.DATA, 0)


# --- our own server


def test_against_our_own_server(run: Run, tmp_path: Path) -> None:
    with ServerProcess(tmp_path, None) as server:
        host, port = server.listeners["dev"][0]
        options = (
            "send",
            "--server",
            f"{host}:{port}",
            "--to",
            "ann@example.net,you+455@example.com,you+550@example.com",
        )
        ended = run(*options, "--json", "--param", "NOTIFY=SUCCESS", "--lang", "ja")
    VALID.validate(ended.document)
    assert ended.code == Exit.FINDINGS
    found = [(one["outcome"], one["reply"]["code"]) for one in ended.document["recipients"]]
    assert found == [("delivered", 250), ("retry", 455), ("failed", 550)]
    assert ended.document["recipients"][1]["explanation"]["title"] == "パラメータの拒否"


# --- other ways


def test_a_socket(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "lmtp")
    script = Script(lmtp=True)
    with playing(script, path):
        assert run("send", "--socket", path, "--to", "a@example.net,b@example.net").code == 0
    assert script.verbs[0] == "LHLO"


def test_via_a_route_as_the_settings_write_it(run: Run) -> None:
    script = Script()
    with playing(script):
        assert run("send", "--via", f"smtp:127.0.0.1:{script.port}", "--to", "a@example.net", "-q").code == 0
    assert len(script.contents) == 1


def test_trying_again(to: Any) -> None:
    script = Script(replies={"RCPT": [b"451 4.7.1 later\r\n", b"250 ok\r\n"]})
    ended = to(script, "--retry", "10m", "--retry-pause", "0")
    assert (ended.code, script.connections) == (0, 2)
    assert "try again in 0 s for 1 of 1 recipients" in ended.out


def test_without_adapting(to: Any) -> None:
    script = Script(extensions=(b"DSN",), replies={"MAIL": b"555 5.5.4 no\r\n"})
    assert to(script, "--param", "RET=HDRS", "--no-adapt").code == Exit.UNAVAILABLE
    assert script.verbs.count("MAIL") == 1


@pytest.mark.parametrize("stage", ["connect", "ehlo", "tls", "auth"])
def test_looking_around_needs_no_recipient(run: Run, stage: str) -> None:
    script = Script()
    with playing(script):
        ended = run("send", "--server", f"127.0.0.1:{script.port}", "--quit-after", stage)
    assert (ended.code, script.contents) == (0, [])
    assert f"stopped after {stage}" in ended.out


def test_the_schema_is_printed_and_valid(run: Run) -> None:
    document = json.loads(run("send", "--schema").out)
    jsonschema.Draft202012Validator.check_schema(document)
    assert document == SCHEMA


def test_the_mail_goes_out_although_nobody_reads_the_dialogue_to_its_end() -> None:
    script = Script()
    with playing(script):
        command = [
            sys.executable,
            "-m",
            "postroad",
            "send",
            "--server",
            f"127.0.0.1:{script.port}",
            "--to",
            "a@example.net",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            child.stdout.close()
            errors = child.stderr.read()
    assert (child.returncode, errors, len(script.contents)) == (0, b"", 1)


def test_the_mail_goes_out_although_the_dialogue_has_no_room() -> None:
    script = Script()
    with playing(script), Path("/dev/full").open("wb") as full:
        command = [
            *(sys.executable, "-m", "postroad", "send"),
            *("--server", f"127.0.0.1:{script.port}", "--to", "a@example.net"),
        ]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, len(script.contents)) == (0, 1)
    assert ended.stderr == b"warning: the dialogue cannot be shown any more: No space left on device\n"


def test_other_verbs_pay_nothing_for_it() -> None:
    code = (
        "import sys; from postroad.cli.main import main; main(['version']);"
        "print(sorted(m for m in sys.modules if m in ('asyncio', 'ssl', 'email', 'postroad.sending', 'dns')))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.endswith("[]\n")


def test_both_languages_say_the_same_things() -> None:
    def shape(table: Any) -> Any:
        if isinstance(table, dict):
            return {key: shape(value) for key, value in table.items()}
        return len(table) if isinstance(table, list) else sorted(re.findall(r"\{[a-z]+\}", table))

    assert shape(catalogue().texts("send", "en")) == shape(catalogue().texts("send", "ja"))
    assert catalogue().texts("send", "de") == catalogue().texts("send", "en")
