"""Whatever a reader pastes (a log, a bounce, a session, noise) is taken apart into what can be explained."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postroad.replies.catalogue import catalogue
from postroad.replies.explaining import Explainer, names_of
from postroad.replies.understanding import understand

ENGLISH, JAPANESE = Explainer(catalogue(), "en"), Explainer(catalogue(), "ja")
NAMES = names_of(catalogue())
KINDS = {"code", "enhanced", "keyword", "verb", "reply", "nothing"}
properties = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])


def replies(text: str) -> list[tuple[int | None, str | None, str]]:
    """Code, enhanced status and command of each reply that was found."""
    items = ENGLISH.explain(text)["items"]
    assert all(item["kind"] == "reply" for item in items), items
    return [
        (item.get("code", {}).get("code"), item.get("enhanced", {}).get("code"), item.get("command", ""))
        for item in items
    ]


def only(text: str) -> dict[str, Any]:
    (item,) = ENGLISH.explain(text)["items"]
    return item


# One thing


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("455", "code", "455"),
        (" 455\n", "code", "455"),
        ("4.7.1", "enhanced", "4.7.1"),
        ("#5.1.1", "enhanced", "5.1.1"),
        ("x.7.1", "enhanced", "X.7.1"),
        ("SIZE", "keyword", "SIZE"),
        ("size=1000", "keyword", "SIZE"),
        ("RET=", "keyword", "DSN"),
        ("ORCPT", "keyword", "DSN"),
        ("BODY=8BITMIME", "keyword", "8BITMIME"),
        ("MAIL", "verb", "MAIL"),
        ("mail from", "verb", "MAIL"),
        ("RCPT TO:", "verb", "RCPT"),
        ("rset", "verb", "RSET"),
    ],
)
def test_a_name_or_a_number(text: str, kind: str, name: str) -> None:
    (reading,) = understand(text, NAMES)
    assert (reading.kind, reading.name) == (kind, name)


@pytest.mark.parametrize("text", ["", " ", "\n", "hello", "12", "4550", "4.7", "4.7.1.2", "192.0.2.25", "9.1.1", "٤٥٥"])
def test_nothing(text: str) -> None:
    (reading,) = understand(text, NAMES)
    assert reading.kind == "nothing"


@pytest.mark.parametrize(("code", "status"), [(510, "5.1.0"), (511, "5.1.1"), (431, "4.3.1"), (471, "4.7.1")])
def test_a_number_that_lost_its_dots(code: int, status: str) -> None:
    assert only(str(code))["code"]["dotless"] == status
    assert replies(f"{code} User unknown")[0][0] == code


# One reply


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("550 5.1.1 <x@example.com>: User unknown", (550, "5.1.1", "")),
        ("550 User unknown", (550, None, "")),
        ("  421 4.7.0 Try again later\r\n", (421, "4.7.0", "")),
        ("455 4.5.4 RET cannot be honoured now", (455, "4.5.4", "")),
        ("550 #5.1.1 User unknown", (550, "5.1.1", "")),
        (
            "550-5.1.1 The email account that you tried\n550-5.1.1 to reach does not\n550 5.1.1 exist",
            (550, "5.1.1", ""),
        ),
        ("550-5.1.1 begun but never ended", (550, "5.1.1", "")),
    ],
)
def test_a_reply(text: str, found: tuple[int | None, str | None, str]) -> None:
    assert replies(text) == [found]


def test_a_reply_whose_numbers_contradict_each_other_is_marked() -> None:
    assert "450" in only("450 5.1.1 User unknown")["mismatch"]
    assert "mismatch" not in only("550 5.1.1 User unknown")


def test_a_number_that_nobody_defined_is_read_by_its_first_digit() -> None:
    item = only("599 5.9.9 whatever")
    assert item["kind"] == "reply" and "code" not in item and "5yz" in item["message"]


# Logs and bounces

POSTFIX = "Jan 12 10:11:12 mx postfix/smtp[1234]: 4XyZ12: to=<x@example.com>, relay=mx.example.com[192.0.2.1]:25, "
LOGS = {
    "postfix, bounced": (
        POSTFIX + "delay=1.2, delays=0.1/0/0.5/0.6, dsn=5.1.1, status=bounced (host mx.example.com[192.0.2.1] said: "
        "550 5.1.1 <x@example.com>: Recipient address rejected: User unknown (in reply to RCPT TO command))",
        (550, "5.1.1", "RCPT"),
    ),
    "postfix, deferred": (
        POSTFIX + "delay=450, delays=440/0/5/5, dsn=4.5.4, status=deferred (host mx.example.com[192.0.2.1] said: "
        "455 4.5.4 RET cannot be honoured right now (in reply to MAIL FROM command))",
        (455, "4.5.4", "MAIL"),
    ),
    "postfix, after the content": (
        POSTFIX + "dsn=5.7.1, status=bounced (host mx.example.com[192.0.2.1] said: 554 5.7.1 Message looks like spam "
        "(in reply to end of DATA command))",
        (554, "5.7.1", "CONTENT"),
    ),
    "postfix, a folded reply": (
        "<x@example.com>: host mx.example.com[192.0.2.1] said: 550-5.1.1 The email account that you tried to reach "
        "does not exist. Please try 550-5.1.1 double-checking the recipient's email address for typos or 550-5.1.1 "
        "unnecessary spaces. 550 5.1.1 https://support.example.com/mail (in reply to RCPT TO command)",
        (550, "5.1.1", "RCPT"),
    ),
    "postfix, without an enhanced status": (
        POSTFIX + "dsn=5.0.0, status=bounced (host mx.example.com[192.0.2.1] said: 550 User unknown (in reply to "
        "RCPT TO command))",
        (550, None, "RCPT"),
    ),
    "postfix, refused here": (
        "Jan 12 10:11:12 mx postfix/smtpd[99]: NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 450 4.7.1 "
        "<kana@example.net>: Recipient address rejected: Greylisted; from=<ann@example.com> to=<kana@example.net> "
        "proto=ESMTP helo=<client.example.com>",
        (450, "4.7.1", "RCPT"),
    ),
    "exim, bounced": (
        "2026-01-12 10:11:12 1abCDe-000000-00 ** x@example.com R=dnslookup T=remote_smtp H=mx.example.com "
        "[192.0.2.1]: SMTP error from remote mail server after RCPT TO:<x@example.com>: 550 5.1.1 User unknown",
        (550, "5.1.1", "RCPT"),
    ),
    "exim, deferred": (
        "2026-01-12 10:11:12 1abCDe-000000-00 == x@example.com R=dnslookup T=remote_smtp defer (-44) "
        "H=mx.example.com [192.0.2.1]: SMTP error from remote mail server after MAIL FROM:<ann@example.com> "
        "SIZE=1455: 452 4.3.1 Insufficient system storage",
        (452, "4.3.1", "MAIL"),
    ),
    "exim, after the content": (
        "    SMTP error from remote mail server after end of data:\n    552 5.3.4 Message too big",
        (552, "5.3.4", "CONTENT"),
    ),
    "exim, two lines of a bounce": (
        "    host mx.example.com [192.0.2.1]\n    SMTP error from remote mail server after RCPT TO:<x@example.com>:\n"
        "    550 5.7.1 Relaying denied",
        (550, "5.7.1", "RCPT"),
    ),
    "exim, on connecting": (
        "SMTP error from remote mail server after initial connection: 554 No SMTP service here",
        (554, None, "CONNECT"),
    ),
    "exchange, a bounce": (
        "Remote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found'",
        (550, "5.1.10", ""),
    ),
    "exchange, an older bounce": (
        "mail.example.com #550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##",
        (550, "5.1.1", ""),
    ),
    "exchange, angle brackets": (
        "mail.example.com #<mail.example.com #5.1.1 smtp;550 5.1.1 User unknown> #SMTP#",
        (550, "5.1.1", ""),
    ),
    "exchange, a protocol log": (
        '2026-01-12T10:11:12.450Z,Outbound,08DE,12,192.0.2.5:55021,192.0.2.1:25,<,"550 5.7.1 Unable to relay",',
        (550, "5.7.1", ""),
    ),
    "a delivery report": ("Diagnostic-Code: smtp; 550 5.1.1 User unknown", (550, "5.1.1", "")),
    "a delivery report, folded tightly": ("Diagnostic-Code: smtp;550-5.7.26 Unauthenticated", (550, "5.7.26", "")),
}


@pytest.mark.parametrize(("text", "found"), LOGS.values(), ids=LOGS)
def test_a_log_or_a_bounce(text: str, found: tuple[int | None, str | None, str]) -> None:
    assert replies(text) == [found]


def test_a_status_without_a_reply_is_explained_too() -> None:
    for text in ("Status: 5.1.1", "x@example.com #5.1.1 (user unknown)", "dsn=4.4.1, connection timed out"):
        item = only(text)
        assert item["kind"] in ("reply", "enhanced") and item["enhanced"]["code"] in ("5.1.1", "4.4.1")


@pytest.mark.parametrize(
    "text",
    [
        "connected to mx.example.com[192.0.2.250]:587",
        "delays=0.1/0/450/550, nothing else",
        "2026-05-12 10:11:12 450ms to port 465",
        "size=550 nrcpt=1 (queue active)",
        "version 5.1.1.2 of something",
    ],
)
def test_numbers_that_are_no_replies(text: str) -> None:
    assert only(text)["kind"] == "nothing"


def test_lines_of_several_messages() -> None:
    text = "\n".join(text for text, _ in LOGS.values() if "\n" not in text)
    assert [found[0] for found in replies(text)] == [found[0] for text, found in LOGS.values() if "\n" not in text]


# Sessions

SWAKS = """\
=== Trying mail.example.net:25...
=== Connected to mail.example.net.
<-  220 mail.example.net ESMTP
 -> EHLO client.example.com
<-  250-mail.example.net
<-  250-SIZE 26214400
<-  250 STARTTLS
 -> STARTTLS
<-  220 2.0.0 Ready to start TLS
=== TLS started with cipher TLSv1.3:TLS_AES_256_GCM_SHA384:256
 ~> EHLO client.example.com
<~  250-mail.example.net
<~  250 DSN
 ~> MAIL FROM:<ann@example.com>
<~  250 ok
 ~> RCPT TO:<x@example.net>
<~* 550 5.1.1 No such user
 ~> RCPT TO:<kana@example.net>
<~  250 2.1.5 Ok
 ~> DATA
<~  354 Go ahead
 ~> Subject: 550 of them
 ~>
 ~> 554 is only a number in the text
 ~> .
<~  250 2.0.0 Ok: queued as 12AB
 ~> QUIT
<~  221 2.0.0 Bye
=== Connection closed with remote host.
"""
HEARD = [
    (220, "CONNECT"),
    (250, "EHLO"),
    (220, "STARTTLS"),
    (250, "EHLO"),
    (250, "MAIL"),
    (550, "RCPT"),
    (250, "RCPT"),
    (354, "DATA"),
    (250, "CONTENT"),
    (221, "QUIT"),
]


def heard(text: str) -> list[tuple[int | None, str]]:
    return [(code, command) for code, _, command in replies(text)]


def test_swaks() -> None:
    assert heard(SWAKS) == HEARD


def test_swaks_in_clear() -> None:
    assert heard(SWAKS.replace("~>", "->").replace("<~*", "<**").replace("<~ ", "<- ")) == HEARD


@pytest.mark.parametrize(
    ("server", "client"), [("S: ", "C: "), ("<<< ", ">>> "), ("< ", "> "), ("", ""), ("<-- ", "--> ")]
)
@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["lf", "crlf"])
def test_sessions_in_other_hands(server: str, client: str, end: str) -> None:
    lines = [
        f"{server}220 mail.example.net ESMTP",
        f"{client}EHLO client.example.com",
        f"{server}250-mail.example.net",
        f"{server}250 SIZE 1000",
        f"{client}MAIL FROM:<ann@example.com> SIZE=2000",
        f"{server}455 4.5.4 SIZE cannot be honoured now",
        f"{client}rcpt to:<kana@example.net>",
        f"{server}503 5.5.1 MAIL first",
        f"{client}QUIT",
        f"{server}221 Bye",
    ]
    found = [(220, "CONNECT"), (250, "EHLO"), (455, "MAIL"), (503, "RCPT"), (221, "QUIT")]
    assert heard(end.join(lines)) == found
    assert heard(end.join(lines) + end) == found


def test_content_that_looks_like_a_session_is_content() -> None:
    text = "S: 354 Go\nC: Hello\nC: RCPT TO:<x@example.com>\nC: 550 5.1.1 not a reply\nC: .\nS: 250 2.0.0 Ok\n"
    assert heard("C: DATA\n" + text) == [(354, "DATA"), (250, "CONTENT")]


def test_a_lone_reply_is_no_greeting() -> None:
    assert heard("220 mail.example.net ESMTP") == [(220, "")]


# Any text at all

WIRE = st.text(alphabet="0123456789 .-#:<>\r\n\tCSMAILFROMrcpt=~*", max_size=300)
PIECES = st.lists(
    st.sampled_from(
        [
            *(
                "550",
                "5.1.1",
                "455-",
                "\n",
                "\r\n",
                " ",
                "S: ",
                "C: ",
                "<** ",
                " ~> ",
                "MAIL FROM:<>",
                "DATA",
                ".",
                "354 go",
            ),
            *(
                "said: ",
                "(in reply to end of DATA command)",
                "#",
                "\x1b[2J",
                "\u202e",
                "\x00",
                "あ",
                "=",
                "SIZE=",
                "\ud800",
            ),
        ]
    ),
    max_size=60,
).map("".join)
ANY = st.one_of(st.text(max_size=300), st.characters().map(lambda c: c * 90), WIRE, PIECES)


@properties
@given(text=ANY)
def test_any_text_gives_a_document(text: str) -> None:
    found = ENGLISH.explain(text)
    assert found["schema"] == "postroad.explanation/1" and found["items"]
    for item in found["items"]:
        assert item["kind"] in KINDS and isinstance(item["text"], str)
        assert item["kind"] in item or item.get("message") or item["kind"] == "reply"
    assert json.loads(json.dumps(found)) == found


@properties
@given(text=ANY)
def test_the_language_changes_words_only(text: str) -> None:
    def outline(explainer: Explainer) -> list[tuple[Any, ...]]:
        items = explainer.explain(text)["items"]
        return [(item["kind"], item["text"], item.get("command"), sorted(item)) for item in items]

    assert outline(ENGLISH) == outline(JAPANESE)


@properties
@given(
    words=st.lists(
        st.one_of(st.text(max_size=20), st.sampled_from(["455", "4.7.1", "RET=", "MAIL", "550"])),
        min_size=1,
        max_size=6,
    )
)
def test_any_words_give_a_document(words: list[str]) -> None:
    assert ENGLISH.explain_words(words)["items"]


@properties
@given(text=ANY, command=st.text(max_size=10), provider=st.text(max_size=10))
def test_any_command_and_provider_may_be_told(text: str, command: str, provider: str) -> None:
    assert ENGLISH.explain(text, command=command, provider=provider)["items"]


@given(status=st.tuples(st.sampled_from([4, 5]), st.integers(0, 999), st.integers(0, 999)), code=st.integers(200, 599))
@properties
def test_any_code_with_any_status_is_one_reply(status: tuple[int, int, int], code: int) -> None:
    item = only(f"{code} {'.'.join(map(str, status))} Some words")
    assert item["kind"] == "reply" and item["classification"]["reason"]["id"]
    assert "code" in item or item["message"]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "piece",
    ["550-", "550-x\n", "5.1.", "#", "<-", "< ", " ", "\t", "\r", "(in reply to ", "4", "RCPT TO:<", "550 a ", "あ"],
)
def test_a_long_text_is_read_to_its_bound(piece: str) -> None:
    assert understand(piece * 200_000, NAMES)
    assert ENGLISH.explain("550 5.1.1 " + piece * 100_000)["items"]
