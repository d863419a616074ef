"""``postroad bounce explain``, and what ``postroad explain`` does with mails and logs that are piped in."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import jsonschema
import pytest

import postroad.reference
from tests.cli.fake_server import Ended

Run = Callable[..., Ended]

SAMPLES = Path(__file__).parent.parent / "diagnosis" / "bounces"
LOGS = Path(__file__).parent.parent / "diagnosis" / "logs"
SCHEMA = json.loads((Path(postroad.reference.__file__).parent / "schemas" / "bounce.json").read_text("utf-8"))
FORM = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())


@pytest.fixture(autouse=True)
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("POSTROAD_LANG", "LC_ALL", "LC_MESSAGES", "LANG", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def piped(run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    def run_one(octets: bytes, *arguments: str) -> Ended:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(octets), encoding="utf-8"))
        return run(*arguments)

    return run_one


def test_a_bounce_in_full(run: Run) -> None:
    ended = run("bounce", "explain", SAMPLES / "postfix/03-two-recipients.eml")
    assert ended.code == 0
    for text in (
        "To  a@example.jp  not delivered",
        "550 5.1.1 No such user here",
        "Unknown recipient",
        "permanent: mail to this address will fail again",
        "mx.example.jp",
        "To  b@example.org  not delivered",
        "the address itself may be good",
        "in.example.org",
        "postfix",
    ):
        assert text in ended.out


def test_in_japanese(run: Run) -> None:
    ended = run("bounce", "explain", SAMPLES / "postfix/01-user-unknown.eml", "--lang", "ja")
    assert "宛先が不明" in ended.out and "恒久的: この宛先には今後も届きません" in ended.out


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        ("postfix/04-delayed", "the sending server goes on trying by itself"),
        ("postfix/10-success", "Nothing needs to be done"),
        ("exim/03-text-retry-timeout", "given up because its time was over"),
        ("feedback/02-abuse-full", "Take the recipient off your lists"),
        ("vacation/01-rfc3834", "Do not answer automatically"),
        ("challenge-response/02-tmda", "Confirm only when"),
        ("mdn/01-displayed", "receipt"),
        ("odd/15-daemon-says-nothing", "names no recipient"),
    ],
)
def test_each_kind_says_what_to_do(run: Run, sample: str, words: str) -> None:
    assert words in run("bounce", "explain", SAMPLES / f"{sample}.eml").out


def test_json_is_one_document_a_file(run: Run) -> None:
    names = [SAMPLES / "postfix/01-user-unknown.eml", SAMPLES / "feedback/01-abuse.eml", SAMPLES / "odd/08-escapes.eml"]
    lines = run("bounce", "explain", *names, "--json").out.splitlines()
    assert len(lines) == 3
    for line, name in zip(lines, names, strict=True):
        document = json.loads(line)
        FORM.validate(document)
        assert document["file"] == str(name)
        assert "\x1b" not in line
    assert json.loads(lines[0])["recipients"][0]["reply"] == {
        "code": 550,
        "text": "5.1.1 <nobody@example.jp>: Recipient address rejected:\n"
        "User unknown in virtual mailbox table (in reply to RCPT TO command)",
    }


def test_standard_input(piped: Run) -> None:
    octets = (SAMPLES / "qmail/01-local-unknown.eml").read_bytes()
    for arguments in (("-",), ()):
        ended = piped(octets, "bounce", "explain", *arguments, "--json")
        assert json.loads(ended.out)["recipients"][0]["address"] == "nobody@sender.example"
        assert "file" not in json.loads(ended.out)


def test_a_folder_ends_in_counts(run: Run, tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "qmail", tmp_path / "new")
    (tmp_path / "new/expected.json").unlink()
    shutil.copy(SAMPLES / "vacation/01-rfc3834.eml", tmp_path / "letter")
    (tmp_path / ".hidden").write_bytes(b"x")
    ended = run("bounce", "explain", tmp_path)
    assert ended.code == 0
    assert "13 messages: 12 reports on 13 recipients, 0 complaints, 1 automatic answers, 0 others" in ended.out
    assert "nobody@sender.example" in ended.out and "user-unknown" in ended.out
    few = run("bounce", "explain", tmp_path, "--limit", 2).out
    assert "… +12" in few and few.count("@") == 2
    assert len(run("bounce", "explain", tmp_path, "--json").out.splitlines()) == 13


def test_a_mailbox_of_many(run: Run, piped: Run, tmp_path: Path) -> None:
    names = ("qmail/01-local-unknown", "postfix/02-mailbox-full", "vacation/01-rfc3834")
    parts = [(SAMPLES / f"{name}.eml").read_bytes().replace(b"\r\n", b"\n") for name in names]
    box = tmp_path / "box"
    box.write_bytes(b"\n".join(b"From MAILER-DAEMON Mon Nov  2 09:00:00 2026\n" + part for part in parts))
    documents = [json.loads(line) for line in run("bounce", "explain", box, "--json").out.splitlines()]
    assert [(one["file"], one["kind"]) for one in documents] == [
        (f"{box}#1", "bounce"),
        (f"{box}#2", "bounce"),
        (f"{box}#3", "vacation"),
    ]
    assert "2 reports on 2 recipients" in run("bounce", "explain", box, "--table").out
    assert len(piped(box.read_bytes(), "bounce", "explain", "-", "--json").out.splitlines()) == 3


def test_a_folder_without_messages(run: Run, tmp_path: Path) -> None:
    ended = run("bounce", "explain", tmp_path)
    assert (ended.code, "no message" in ended.err) == (66, True)


def test_an_ordinary_mail_ends_with_65(run: Run) -> None:
    ended = run("bounce", "explain", SAMPLES / "ordinary/01-letter.eml")
    assert ended.code == 65 and "Nothing in it tells of a failed delivery" in ended.out


def test_a_missing_file(run: Run, tmp_path: Path) -> None:
    ended = run("bounce", "explain", tmp_path / "none.eml")
    assert ended.code == 66 and "none.eml" in ended.err


def test_a_folder_below_that_may_not_be_read_stops_nothing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(SAMPLES / "postfix" / "01-user-unknown.eml", tmp_path)
    (tmp_path / "shut\x1b[2J").mkdir()
    listed = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:  # root may read everything
        if path.name.startswith("shut"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    ended = run("bounce", "explain", str(tmp_path))
    assert ended.code == 0
    assert "shut\\u001b[2J may not be read" in ended.err


def test_hostile_text_moves_no_cursor(run: Run) -> None:
    out = run("bounce", "explain", SAMPLES / "odd/08-escapes.eml", "--colour", "always").out
    assert "\\u001b[31mUser unknown\\u0007 <script>\\u202e" in out and "\u202e" not in out


def test_the_schema_is_printed_and_valid(run: Run) -> None:
    document = json.loads(run("bounce", "explain", "--schema").out)
    jsonschema.Draft202012Validator.check_schema(document)
    assert document == SCHEMA


# postroad explain


@pytest.mark.parametrize(
    ("sample", "took", "words"),
    [
        ("postfix/01-user-unknown", "taken for a mail that came back", "nobody@example.jp"),
        ("feedback/02-abuse-full", "taken for a feedback report", "Complaint"),
        ("vacation/01-rfc3834", "taken for an automatic answer", "The message arrived"),
        ("ordinary/01-letter", "taken for a mail", "ordinary message"),
    ],
)
def test_explain_hands_mails_over(piped: Run, sample: str, took: str, words: str) -> None:
    ended = piped((SAMPLES / f"{sample}.eml").read_bytes(), "explain")
    assert took in ended.err and words in ended.out


def test_explain_reads_the_text_of_a_bounce_alone(piped: Run) -> None:
    text = (SAMPLES / "exim/01-text-user-unknown.eml").read_bytes().partition(b"\r\n\r\n")[2]
    ended = piped(text, "explain", "-", "--json")
    document = json.loads(ended.out)
    FORM.validate(document)
    assert [one["address"] for one in document["recipients"]] == ["nobody@example.jp"]


@pytest.mark.parametrize("name", ["postfix-recorded", "exim-recorded"])
def test_explain_hands_logs_over(piped: Run, name: str) -> None:
    octets = (LOGS / f"{name}.log").read_bytes()
    ended = piped(octets, "explain")
    assert ended.code == 0 and "taken for a log" in ended.err and "there.example" in ended.out
    document = json.loads(piped(octets, "explain", "--json", "--lang", "ja").out)
    assert document["schema"] == "postroad.log.explanation/1" and document["groups"]


def test_explain_says_that_it_is_a_transcript(piped: Run) -> None:
    ended = piped(b"S: 220 mx.example.jp\r\nC: EHLO x\r\nS: 554 No\r\n", "explain")
    assert "taken for a transcript" in ended.err and "554" in ended.out


def test_a_reply_is_explained_as_ever(piped: Run) -> None:
    ended = piped(b"550 5.1.1 User unknown\n", "explain")
    assert (ended.code, ended.err) == (0, "") and "Unknown recipient" in ended.out
