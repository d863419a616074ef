"""Whatever comes in the guise of a bounce: nothing raises, every document keeps its form, nothing moves a cursor."""

from __future__ import annotations

import json
import random
from pathlib import Path

import jsonschema
import pytest

import postroad.reference
from postroad.diagnosis import explain_bounce
from postroad.diagnosis.bounce_mail import MAX_OCTETS
from postroad.diagnosis.bounces import read_bounce
from postroad.diagnosis.recognising import as_mail, kind_of
from tests.diagnosis.bounce_corpus import ALL

SCHEMA = json.loads((Path(postroad.reference.__file__).parent / "schemas" / "bounce.json").read_text("utf-8"))
FORM = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())

MUTATIONS = 5_000
ROUNDS = 20

HOSTILE = (
    b"\x00", b"\r", b"\n\n", b"\r\n\r\n", b"\xff\xfe", b"\x1b[2J", b"\xe2\x80\xae", b"=?utf-8?Q?=00?=", b"=?x?B?", b"<", b">", b"@", b'"',
    b"Final-Recipient: rfc822;", b"Action: ", b"Status: 5.999.9999\r\n", b"Diagnostic-Code: smtp; 999 ", b"--=_b1/x.2\r\n", b"--=_b1/x.2--",
    b"Content-Type: message/rfc822\r\n\r\n", b"Content-Transfer-Encoding: base64\r\n", b"Date: Thu, 99 Foo 2026 25:61:61 +9999\r\n",
    b"550 5.1.1 ", b"421-", b"host [", b"a" * 3_000, b"\xe3\x81\x82@\xe3\x81\x82.example", b"{0}%s", b"kana@example.jp ",
)  # fmt: skip


def mutated(random_: random.Random) -> bytes:
    octets = bytearray(random_.choice(ALL).octets)
    for _ in range(random_.randint(1, 8)):
        place, other = random_.randrange(len(octets) + 1), random_.choice(ALL).octets
        match random_.randrange(7):
            case 0:
                octets[place : place + 1] = bytes((random_.randrange(256),))
            case 1:
                octets[place:place] = random_.choice(HOSTILE)
            case 2:
                del octets[place : place + random_.randint(1, 400)]
            case 3:
                octets[place:] = other[random_.randrange(len(other) + 1) :]
            case 4:
                octets[place:place] = octets[place : place + random_.randint(1, 400)] * random_.randint(1, 5)
            case 5:
                lines = bytes(octets).split(b"\n")
                random_.shuffle(lines)
                octets = bytearray(b"\n".join(lines))
            case 6:
                octets = octets.replace(
                    *random_.choice(((b"\r\n", b"\n"), (b": ", b":"), (b"\n", b"\r"), (b"5", b"4")))
                )
    return bytes(octets)


@pytest.mark.parametrize("start", range(ROUNDS))
def test_mutated_bounces_are_read(start: int) -> None:
    random_ = random.Random(f"bounces {start}")
    for number in range(MUTATIONS // ROUNDS):
        octets = mutated(random_)
        document = explain_bounce(octets, "ja" if number % 2 else "en")
        json.dumps(document).encode("ascii")
        if number % 10 == 0:
            FORM.validate(document)
        assert kind_of(octets) in ("mail", "log", "transcript", "reply")
        read_bounce(as_mail(octets))


REPORT = b"Content-Type: multipart/report; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
DAEMON = b"From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered\r\n\r\n"

LONG = {
    "nothing": b"",
    "zeros": bytes(MAX_OCTETS + 10),
    "one line": DAEMON + b"a" * MAX_OCTETS,
    "addresses": DAEMON + b"<kana@example.jp>: 550 x\r\n" * 60_000,
    "at signs": DAEMON + b"a@" * 1_000_000,
    "angles": DAEMON + b"<" * 1_000_000,
    "codes": DAEMON + b"550 " * 400_000,
    "marks": DAEMON + b"said: " * 300_000 + b"550 x",
    "quotes": DAEMON + b'"' * 1_000_000,
    "blanks": DAEMON + b" " * 1_000_000 + b"x",
    "empty lines": DAEMON + b"\r\n" * 900_000,
    "hosts": DAEMON + b"host a." * 250_000 + b"[",
    "dots": DAEMON + b"host " + b"a." * 900_000,
    "rcpt": DAEMON + b"RCPT TO:<" * 200_000,
    "recipients": REPORT + b"Final-Recipient: rfc822;a@b.example\r\nAction: failed\r\n\r\n" * 30_000,
    "fields": REPORT + b"x: y\r\n" * 300_000,
    "folds": REPORT + b"Diagnostic-Code: smtp;\r\n" + b" 550\r\n" * 300_000,
    "words": REPORT + b"Diagnostic-Code: smtp; " + b"=?utf-8?Q?x?= " * 100_000,
    "tags": b"From: MAILER-DAEMON@x.example\r\nContent-Type: text/html\r\n\r\n" + b"<style" * 300_000,
    "ends of tags": b"From: MAILER-DAEMON@x.example\r\nContent-Type: text/html\r\n\r\n" + b"<style></style>" * 130_000,
    "entities": b"From: MAILER-DAEMON@x.example\r\nContent-Type: text/html\r\n\r\n" + b"&lt;&#x3c" * 200_000,
    "numbers of letters": b"From: MAILER-DAEMON@x.example\r\nContent-Type: text/html\r\n\r\n&#" + b"1" * 100_000 + b";",
    "one recipient again and again": REPORT.replace(b"x\r\n", b"<u@d.example>: host mx.example said\r\n" + b"by a.b with c.d \r\n" * 3_000, 1)
    + b"Final-Recipient: rfc822; u@d.example\r\nAction: failed\r\n\r\n" * 1_000,
    "messages": b"Content-Type: message/rfc822\r\n\r\n" * 60_000,
    "parts": b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 150_000,
    "header": b"Subject: x\r\n" * 150_000,
    "dashes": DAEMON + b"-" * 1_000_000,
    "capitals that grow": b"From: MAILER-DAEMON@x.example\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + "İ<style></style>".encode() * 90_000,
    "statuses": DAEMON + b"5.1.1 " * 300_000,
}  # fmt: skip


@pytest.mark.parametrize("name", LONG)
def test_long_things_end(name: str) -> None:
    """Each is quadratic for somebody who is careless; the limit of the tests as a whole is the net."""
    FORM.validate(explain_bounce(LONG[name]))
    kind_of(LONG[name])


def test_every_sample_keeps_the_form() -> None:
    for sample in ALL:
        for language in ("en", "ja"):
            FORM.validate(explain_bounce(sample.octets, language))


def test_what_is_too_long_is_told() -> None:
    assert explain_bounce(LONG["zeros"])["defects"]
