"""Single things of reading bounces, and the tables behind it."""

from __future__ import annotations

import pytest

import postroad.diagnosis
from postroad.diagnosis import bounce_status as status
from postroad.diagnosis.bounce_facts import Said
from postroad.diagnosis.bounce_mail import without_tags
from postroad.diagnosis.bounce_tables import tables
from postroad.diagnosis.bounce_text import command_in, host_in, reply_in
from postroad.diagnosis.bounce_verdict import judge
from postroad.diagnosis.bounces import read_bounce
from postroad.diagnosis.recognising import kind_of
from postroad.replies.catalogue import catalogue
from tests.diagnosis.bounce_corpus import ALL

REASONS = set(
    "user-unknown mailbox-full suspended filtered rejected-sender blocked bad-reputation ptr-required auth-failure "
    "policy-violation security-error starttls-failed rate-limited too-many-recipients message-too-big limit-exceeded "
    "content-error spam-detected virus-detected host-unknown not-accepting network-error expired on-hold mailer-error "
    "system-error system-full syntax-error rfc-noncompliance moved relay-denied suppressed delivered undefined".split()
)


def test_every_reason_of_the_catalogue_has_one_of_a_bounce() -> None:
    known = tables()
    assert {known.reasons.get(reason, reason) for reason in catalogue().rules.reasons} == REASONS
    assert known.hard <= REASONS


def test_the_words_of_all_languages_have_the_same_keys() -> None:
    english = catalogue().texts("bounces", "en")
    for language in catalogue().languages:
        texts = catalogue().texts("bounces", language)
        assert {(table, key) for table in texts for key in texts[table]} == {
            (table, key) for table in english for key in english[table]
        }


def test_families_are_told_apart_by_one_name_each() -> None:
    names = [family.id for family in tables().families]
    assert len(names) == len(set(names)) >= 30


def test_it_is_a_function_of_the_package() -> None:
    assert postroad.diagnosis.explain_bounce(b"From: MAILER-DAEMON\n\nx")["kind"] == "bounce"


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; kana@example.jp", "kana@example.jp"),
        ("RFC822;<kana@example.jp>", "kana@example.jp"),
        ("<kana@example.jp>", "kana@example.jp"),
        ("rfc822;\n kana@example.jp", "kana@example.jp"),
        ("rfc822; kana+2Bx@example.jp", "kana+x@example.jp"),
        ('rfc822; "k;a"@example.jp', '"k;a"@example.jp'),
        ("utf-8; かな@例え.example", "かな@例え.example"),
        ("", ""),
    ],
)
def test_addresses(value: str, address: str) -> None:
    assert status.address_of(value) == address


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("Mon, 2 Nov 2026 09:00:05 +0900", "2026-11-02T09:00:05+09:00"),
        ("2 Nov 2026 09:00 -0000 (UTC)", "2026-11-02T09:00:00Z"),
        ("02-Nov-2026 09:00:05", "2026-11-02T09:00:05Z"),
        ("Mon, 31 Foo 2026 09:00:05 +0900", ""),
        ("Mon, 2 Nov 2026 29:00:05 +0900", ""),
        ("yesterday", ""),
    ],
)
def test_moments(value: str, moment: str) -> None:
    assert status.moment_of(value) == moment


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (
            "host mx[1.2.3.4] said: 550 5.1.1 No (in reply to RCPT TO command)",
            "550",
            "5.1.1 No (in reply to RCPT TO command)",
        ),
        ("550-5.7.1 one\n550 5.7.1 two", "550", "5.7.1 one\n5.7.1 two"),
        ("554: delivery error: dd", "554", "delivery error: dd"),
        ("ERROR CODE :550 - Invalid recipient", "550", "- Invalid recipient"),
        ("x\n<<< 452 4.2.2 full\n550 later", "452", "4.2.2 full"),
        ("The response was:\n550 5.1.1 no", "550", "5.1.1 no"),
        ("mailbox unavailable. [SMTP Error Code 550]", "550", "mailbox unavailable."),
    ],
)
def test_replies_are_found(text: str, code: str, words: str) -> None:
    reply = reply_in(text)
    assert reply is not None and (reply.code, reply.text) == (code, words)


@pytest.mark.parametrize(
    "text", ["Call (403) 624-2500.", "port 465 is open", "[192.0.2.550]", "id 1550 x", "a=550 b", "at 09:450 h"]
)
def test_numbers_that_are_no_replies(text: str) -> None:
    assert reply_in(text) is None


@pytest.mark.parametrize(
    ("text", "host", "command"),
    [
        ("host mx.example.jp[192.0.2.1] said: 550 x (in reply to end of DATA command)", "mx.example.jp", "CONTENT"),
        (
            "SMTP error from remote mail server after RCPT TO:<a@b>:\n    host mx.example.jp [192.0.2.1]: 550 x",
            "mx.example.jp",
            "RCPT",
        ),
        ("... while talking to mx.example.jp.:\n>>> MAIL From:<a@b>\n<<< 550 x", "mx.example.jp", "MAIL"),
        ("connect to mx.example.jp[192.0.2.1]:25: Connection refused", "mx.example.jp", ""),
        ("host mx.example.jp[192.0.2.1] refused to talk to me: 421 x", "mx.example.jp", "CONNECT"),
        ("192.0.2.1 does not like recipient.", "192.0.2.1", ""),
        ("This is the mail system at host mail.example.jp.", "", ""),
        ("The second part is meant for mail\nprograms, and for data of text only.", "", ""),
        ("mx.example [192.0.2.1]:25 said this (in answer to RCPT).", "", "RCPT"),
        ("mx.example [192.0.2.1]:25 からの応答です (対象: MAIL)。", "", "MAIL"),
        ("host mx.example says:\n 550 no", "mx.example", ""),
        ("<u@x.example>... Deferred: Connection reset by mx.x.example.", "mx.x.example", ""),
    ],
)  # fmt: skip
def test_who_said_it_and_when(text: str, host: str, command: str) -> None:
    assert (host_in(text), command_in(text)) == (host, command)


@pytest.mark.parametrize(
    ("said", "reason", "hard"),
    [
        (Said("a@b.example", code="550", text="5.1.1 User unknown"), "user-unknown", True),
        (Said("a@b.example", code="450", text="4.1.1 User unknown"), "user-unknown", False),
        (Said("a@b.example", action="delayed", code="550", text="User unknown"), "user-unknown", False),
        (Said("a@b.example", code="550", text="Sender address rejected: User unknown"), "rejected-sender", False),
        (Said("a@b.example", code="550", text="Unknown user", host="mfsmax.docomo.ne.jp", command="CONTENT"), "filtered", False),
        (Said("a@b.example", code="550", text="Unknown user", host="mfsmax.docomo.ne.jp", command="RCPT"), "user-unknown", True),
        (Said("a@b.example", status="5.4.7", code="451", text="4.3.0 Busy", expired=True), "expired", False),
        (Said("a@b.example", status="5.4.7", code="452", text="4.2.2 Mailbox full", expired=True), "mailbox-full", False),
        (Said("a@b.example", action="relayed", code="250", text="2.0.0 Ok"), "delivered", False),
        (Said("a@b.example", status="5.1.1"), "user-unknown", True),
        (Said("a@b.example"), "undefined", False),
    ],
)  # fmt: skip
def test_verdicts(said: Said, reason: str, hard: bool) -> None:
    verdict = judge(said)
    assert (verdict.reason, verdict.hard) == (reason, hard)


def test_html_is_read_as_it_is_seen() -> None:
    html = "<head><style>p{}</style></head><p>To: <b>a</b>&lt;kana@example.jp&gt;<br>x</p>"
    assert without_tags(html).split() == ["To:", "a<kana@example.jp>", "x"]


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (b"From: a@b\r\nTo: c@d\r\n\r\nx", "mail"),
        (b"From x Mon\nReceived: from a\nSubject: x\n\nx", "mail"),
        (b"Reporting-MTA: dns; x\n\nFinal-Recipient: rfc822; a@b\n", "mail"),
        (b"This is the mail system at host mx.example.\n\n<a@b.example>: no\n", "mail"),
        (b"Nov  2 09:00:00 mx postfix/smtp[7]: 4Gq1Zx0Qz1: to=<a@b.example>, relay=none, delay=1, dsn=5.1.1, status=bounced (x)\n", "log"),
        (b"C: EHLO x\nS: 250 ok\n", "transcript"),
        (b"550 5.1.1 no\n", "reply"),
        (b"", "reply"),
        (b"\xff\x00", "reply"),
    ],
)  # fmt: skip
def test_what_is_piped_in_is_recognised(octets: bytes, kind: str) -> None:
    assert kind_of(octets) == kind


@pytest.mark.parametrize(
    ("sample", "family"),
    [
        ("postfix/01-user-unknown", "postfix"),
        ("postfix-recorded/two", "postfix"),
        ("exim/01-text-user-unknown", "exim"),
        ("exim-recorded/two", "exim"),
        ("sendmail/08-v5-text", "sendmail"),
        ("gmail/08-old-text", "gmail"),
        ("gmail/01-not-found", "gmail"),
        ("exchange-online/08-japanese", "exchange-online"),
        ("exchange-on-premises/01-not-found", "exchange"),
        ("amazon-ses/01-user", "amazon-ses"),
        ("qmail/05-two", "qmail"),
        ("courier/01-user", "courier"),
        ("opensmtpd/03-delay", "opensmtpd"),
        ("mdaemon-like/01-user", "mdaemon"),
        ("domino-like/04-german", "domino"),
        ("groupwise-like/03-two", "groupwise"),
        ("x400-gateway/01-unrecognised", "x400"),
        ("mfilter/01-text", "mfilter"),
        ("postroad-recorded/unknown-ja", "postroad"),
        ("japanese-isp/01-user", ""),
    ],
)
def test_who_writes_so(sample: str, family: str) -> None:
    found = next(one for one in ALL if str(one) == sample)
    assert read_bounce(found.octets).family == family


def test_an_action_of_one_provider_alone() -> None:
    report = (
        b"From: MAILER-DAEMON@esp.example\r\nContent-Type: multipart/report; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: message/delivery-status\r\n\r\nX-SendGrid-QueueID: 5\r\n\r\n"
        b"Final-Recipient: rfc822; kana@example.org\r\nAction: expired\r\nStatus: \r\nDiagnostic-Code: Connection timed out\r\n"
    )
    (said,) = read_bounce(report).recipients
    assert (said.action, said.expired, judge(said).reason) == ("failed", True, "expired")
