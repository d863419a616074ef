"""Lines that were packed into JSON: what comes out, and that nothing hostile in them does harm."""

from __future__ import annotations

import json
import random

import pytest

from postroad.diagnosis.logs import explain_log, format_of
from postroad.diagnosis.logs_event import Stamps
from postroad.diagnosis.logs_packing import MAX_PACKED, unpacked
from postroad.diagnosis.logs_reading import LogLines
from tests.diagnosis.log_corpus import LOGS, REFERENCE

SAID = "4F: to=<a@b.example>, relay=none, delay=1, delays=0/0/0/1, dsn=5.4.4, status=bounced (no host)"


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            {"MESSAGE": "x", "__REALTIME_TIMESTAMP": "1795514401000000", "SYSLOG_IDENTIFIER": "smtpd", "_PID": "7", "_HOSTNAME": "mx"},
            "2026-11-24T10:00:01Z mx smtpd[7]: x",
        ),
        ({"log": "x\n", "stream": "stdout", "time": "2026-11-24T10:00:01.5Z"}, "2026-11-24T10:00:01.5Z - -[0]: x"),
        ({"message": "x", "time": 1795514401.5, "ident": "exim", "pid": 7}, "2026-11-24T10:00:01.500000Z - exim[7]: x"),
        ({"MESSAGE": [120, 255], "PROGRAM": "exim"}, "- exim[0]: x\udcff"),
        ({"message": "a\nb"}, "a b"),
        ({"message": "x", "host": "m x\n", "program": 1, "ident": "e\u202e"}, "m?x? e?[0]: x"),
        ({"message": "x", "time": True}, "x"),
        ({"message": "x", "time": 10**19}, "2286-11-20T17:46:40Z - -[0]: x"),
    ],
)  # fmt: skip
def test_what_comes_out(fields: dict[str, object], line: str) -> None:
    assert unpacked(json.dumps(fields).encode()) == line.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"Nov 24 10:00:01 mx postfix/smtp[1]: x",
        b"{",
        b"{}",
        b'{"message": 5}',
        b'{"message": [1, 256]}',
        b'{"message": [1, "x"]}',
        b'{"message": "\\ud800"}',
        b'{"at": "x", "logger": "postroad.delivery", "message": "01J"}',
        b'{"schema": "postroad.log/1", "message": "01J"}',
        b'{"message": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b'{"message": "' + b"x" * MAX_PACKED + b'"}',
    ],
)
def test_what_packs_nothing_stays(line: bytes) -> None:
    assert unpacked(line) == line


def test_a_long_line_is_no_longer_than_any() -> None:
    log = LogLines(Stamps(REFERENCE))
    line = json.dumps({"log": "postfix/smtp[1]: " + SAID + "x" * 50_000}).encode() + b"\n"
    (event,) = log.feed(line)
    assert len(event.text) < 10_000


def test_what_was_packed_is_a_log() -> None:
    line = json.dumps({"MESSAGE": SAID, "SYSLOG_IDENTIFIER": "postfix/smtp"})
    assert format_of(line.encode()) == "postfix"
    document = explain_log((line + "\n") * 3, now=REFERENCE)
    assert (document["formats"], document["events"], document["lines"]) == (["postfix"], 3, 3)


def test_mutated_packed_lines_are_read() -> None:
    random_ = random.Random("packed")
    lines = [line for path in LOGS.glob("*-packed.log") for line in path.read_bytes().splitlines()]
    for _ in range(1_000):
        line = bytearray(random_.choice(lines))
        for _ in range(random_.randint(1, 4)):
            place = random_.randrange(len(line) + 1)
            line[place : place + random_.randint(0, 30)] = random_.choice(
                (b'"', b"{", b"\\u0000", b"\\ud800", b"1e999", b"null", b"[]", b"\xff", b"}", b"\x1b", b"9" * 30)
            )
        explain_log(bytes(line), now=REFERENCE)


def test_half_a_character_in_a_text_is_no_fault() -> None:
    line = f"Nov 24 10:00:01 mx postfix/smtp[1]: {SAID}\n"
    assert explain_log("\ud800" + line + "\udcff" + line, now=REFERENCE)["events"] == 2
