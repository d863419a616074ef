"""``postroad.send``: what a message becomes, what a call gives back, and that nothing slips into the dialogue."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import ssl
from collections.abc import Awaitable, Iterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import trustme
from hypothesis import example, given, settings
from hypothesis import strategies as st

import postroad
from postroad.delivery.dialling import Dialling
from postroad.delivery.mx import MxRouting
from postroad.errors import AddressSyntaxError, PostroadError
from postroad.net.resolver import Resolver
from postroad.sending import (
    FaultKind,
    Heard,
    MessageError,
    OptionError,
    ParameterError,
    SendError,
    SendOptions,
    SendOutcome,
    SendResult,
    ServerError,
    Stage,
    Wishes,
    send,
    send_sync,
)
from postroad.sending.calling import _timeouts
from postroad.sending.composing import Composed, compose
from postroad.sending.parameters import place
from postroad.sending.servers import read_server
from postroad.smtp.client_timeouts import ClientTimeouts
from tests.dns_stub import DnsStub
from tests.peer_host import CUT, Script, playing

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LETTER = b"From: me@example.com\r\nTo: kana@example.net\r\nSubject: hi\r\n\r\nhello\r\n"
#: Waits that a test lets pass are short; none is measured.
SHORT = 0.2


def sent(script: Script, message: Any = LETTER, **options: Any) -> SendResult:
    with playing(script):
        return send_sync(message, **{"server": f"127.0.0.1:{script.port}", "hello": "me.example", **options})


def composed(message: Any, sender: str | None = None, to: list[str] | None = None, *hidden: str) -> Composed:
    return compose(message, sender, to, hidden, now=NOW)


# --- the message


@pytest.mark.parametrize("ends", ["\r\n", "\n", "\r"])
@pytest.mark.parametrize("kind", [str, bytes, bytearray, memoryview, "text file", "binary file", Path])
def test_a_message_in_any_form_goes_out_with_crlf(ends: str, kind: Any, tmp_path: Path) -> None:
    text = LETTER.decode().replace("\r\n", ends)
    octets = text.encode()
    (tmp_path / "m.eml").write_bytes(octets)
    forms = {
        str: text, bytes: octets, bytearray: bytearray(octets), memoryview: memoryview(octets),
        "text file": io.StringIO(text, newline=""), "binary file": io.BytesIO(octets), Path: tmp_path / "m.eml",
    }  # fmt: skip
    script = Script()
    result = sent(script, forms[kind])
    assert result.accepted
    (content,) = script.contents
    assert content.endswith(LETTER)
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert script.heard[1:3] == [b"MAIL FROM:<me@example.com>\r\n", b"RCPT TO:<kana@example.net>\r\n"]


def test_an_email_message() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Cc"] = "Me <me@example.com>", "Kana <kana@example.net>", "bob@example.org"
    message["Bcc"], message["Subject"] = "secret@example.org", "Grüße"
    message.set_content("Käse\n")
    found = composed(message)
    assert [str(one) for one in found.recipients] == ["kana@example.net", "bob@example.org", "secret@example.org"]
    assert b"secret" not in found.content
    assert message["Bcc"] == "secret@example.org"  # the caller's own is left as it was
    assert b"Subject: =?utf-8?" in found.content


def test_an_email_message_with_an_address_beyond_ascii_has_a_header_in_utf8() -> None:
    message = EmailMessage(policy=SMTP)
    message["From"], message["To"], message["Subject"] = "me@example.com", "用户@例子.example", "Grüße"
    message.set_content("hello\n")
    script = Script(extensions=(b"SMTPUTF8", b"8BITMIME"))
    assert sent(script, message).accepted
    assert "To: 用户@例子.example".encode() in script.contents[0]
    assert b"SMTPUTF8" in script.heard[1]


def test_date_and_message_id_are_added_only_where_they_are_missing() -> None:
    found = composed(LETTER)
    assert found.content.startswith(b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\nMessage-ID: <")
    assert f"Message-ID: {found.message_id}\r\n".encode() in found.content
    assert found.message_id.endswith("@example.com>")
    whole = b"date: now\r\nmessage-id:\r\n <x@y>\r\n" + LETTER
    assert composed(whole).content == whole
    assert composed(whole).message_id == "<x@y>"


@pytest.mark.parametrize(
    "bcc",
    [
        b"Bcc: secret@example.org\r\n",
        b"BCC : secret@example.org\r\n",
        b"bcc:\r\n secret@example.org,\r\n\tx@example.org\r\n",
    ],
)
def test_bcc_goes_but_is_delivered(bcc: bytes) -> None:
    found = composed(bcc + LETTER)
    assert b"ecret" not in found.content
    assert "secret@example.org" in map(str, found.recipients)


def test_a_bcc_in_the_body_is_text() -> None:
    assert b"Bcc: x@example.org" in composed(LETTER + b"Bcc: x@example.org\r\n").content


def test_hidden_recipients_and_doubles() -> None:
    found = composed(LETTER, None, None, "kana@EXAMPLE.net", "<deep@example.org>")
    assert [str(one) for one in found.recipients] == ["kana@example.net", "deep@example.org"]
    assert b"deep" not in found.content


def test_a_text_without_header_is_a_body() -> None:
    found = composed("just words, no field", "me@example.com", ["kana@example.net"])
    assert found.content.endswith(b"\r\n\r\njust words, no field\r\n")


def test_a_message_out_of_an_mbox() -> None:
    """Else its header would be a body, Bcc and all."""
    found = composed(b"From me@example.com Tue Nov 24 12:00:00 2026\nBcc: secret@example.org\n" + LETTER)
    assert found.content.endswith(LETTER) and b"ecret" not in found.content and b"From me" not in found.content
    text = b"From here to there\r\nand back\r\n"
    assert composed(text, "me@example.com", ["kana@example.net"]).content.endswith(b"\r\n\r\n" + text)


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        (b"From: me@example.com\r\n", "no recipient"),
        (b"To: kana@example.net\r\n", "nobody is named as the sender"),
        (b"From: me@example.com\r\nTo: =?utf-8?q?evil=40evil.example?=\r\n", "hidden in an encoded word"),
        (b"From: me@example.com\r\nTo: =?utf-8?q?evil=40evil.example=2C?= <kana@example.net>\r\nCc: a(b)@example.net\r\n", "hidden"),
        (b"From: me@example.com\r\nTo: kana\r\n", "To: not a mailbox"),
        (b"From: me@example.com\r\nno field\r\nTo: kana@example.net\r\n", "a line that is no field: 'no field'"),
        (b"From: a@b.example\r\nTo: c@d.example\r\nResent-Date: x\r\nResent-Date: y\r\n", "more than once"),
    ],
)  # fmt: skip
def test_what_a_header_does_not_say_is_asked_for(header: bytes, complaint: str) -> None:
    with pytest.raises(MessageError, match=complaint) as fault:
        composed(header + b"\r\nhello\r\n")
    assert fault.value.hint


ODD = [
    "a",
    "@",
    "b.example",
    " ",
    ",",
    ";",
    "<",
    ">",
    '"',
    "\\",
    "(",
    ")",
    ":",
    "[",
    "]",
    "=?utf-8?q?a?=",
    ".",
    "é",
    "\u3000",
]


@given(st.lists(st.sampled_from(ODD), max_size=14).map("".join))
@settings(max_examples=500)
@example('"')
@example(".:é@=?utf-8?q?a?=>:[")
@example("\u3000a:.,.\t<")
@example("." * 2000 + "(" * 3000)
def test_no_field_is_our_bug(field: str) -> None:
    with contextlib.suppress(MessageError):
        composed(f"From: me@example.com\r\nTo: {field}\r\n\r\nhello\r\n")


def test_a_resent_message_goes_to_whom_it_is_resent() -> None:
    header = b"Resent-From: r@example.org\r\nResent-To: s@example.org\r\nResent-Date: x\r\n"
    found = composed(header + LETTER)
    assert (str(found.sender), [str(one) for one in found.recipients]) == ("r@example.org", ["s@example.org"])


def test_the_arguments_outweigh_the_header() -> None:
    found = composed(LETTER, "", ["x@example.org"])
    assert (found.sender, [str(one) for one in found.recipients]) == (None, ["x@example.org"])


def test_half_of_a_surrogate_pair_is_no_message() -> None:
    with pytest.raises(MessageError, match="surrogate"):
        composed("Subject: \ud800\r\n\r\n", "a@b.example", ["c@d.example"])


def test_something_else_is_no_message() -> None:
    with pytest.raises(TypeError, match="not int"):
        composed(5)


# --- what the content needs


@pytest.mark.parametrize(
    ("extra", "extensions", "mail"),
    [
        (b"", (b"SIZE",), " SIZE=%d"),
        ("Käse\r\n".encode(), (b"8BITMIME",), " BODY=8BITMIME"),
        (b"", (b"8BITMIME", b"SMTPUTF8"), ""),
    ],
)
def test_parameters_follow_from_the_content(extra: bytes, extensions: tuple[bytes, ...], mail: str) -> None:
    script = Script(extensions=extensions)
    result = sent(script, LETTER + extra)
    wanted = mail % len(script.contents[0]) if "%" in mail else mail
    assert script.heard[1] == f"MAIL FROM:<me@example.com>{wanted}\r\n".encode()
    assert result.size == len(script.contents[0])


def test_content_is_made_7_bit_where_8bitmime_is_missing() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "me@example.com", "kana@example.net", "hi"
    message.set_content("Käse\n", cte="8bit")
    script = Script()
    result = sent(script, message)
    assert result.accepted
    assert script.contents[0].isascii()
    assert b"quoted-printable" in script.contents[0]
    assert message_from_bytes(script.contents[0], policy=SMTP).get_content().strip() == "Käse"
    assert [step.action for step in result.steps] == ["seven-bit"]
    assert result.dropped_parameters == ()


def test_a_line_that_is_too_long_goes_as_binary_or_made_7_bit() -> None:
    long = LETTER + b"x" * 1200 + b"\r\n"
    script = Script(extensions=(b"BINARYMIME", b"CHUNKING"))
    assert sent(script, long).accepted
    assert (script.heard[1].endswith(b" BODY=BINARYMIME\r\n"), script.contents[0].endswith(long)) == (True, True)
    old = Script()
    assert sent(old, long).accepted
    assert max(map(len, old.contents[0].split(b"\r\n"))) <= 998


def test_what_cannot_be_made_7_bit_fails_by_our_own_reply() -> None:
    signed = b'Content-Type: multipart/signed; boundary="b"\r\nMIME-Version: 1.0\r\n' + LETTER.replace(
        b"\r\n\r\nhello\r\n", b"\r\n\r\n"
    )
    parts = "--b\r\nContent-Transfer-Encoding: 8bit\r\n\r\nKäse\r\n--b\r\n\r\nsignature\r\n--b--\r\n".encode()
    script = Script()
    (one,) = sent(script, signed + parts).recipients
    assert one.reply is not None
    assert (one.outcome, one.stage, str(one.reply.enhanced)) == (SendOutcome.FAILED, "", "5.6.3")
    assert script.contents == []


def test_a_header_in_utf8_needs_smtputf8() -> None:
    letter = "Subject: Grüße\r\n".encode() + LETTER
    script = Script(extensions=(b"8BITMIME", b"SMTPUTF8"))
    assert sent(script, letter).accepted
    assert script.heard[1].endswith(b" SMTPUTF8\r\n")


def test_an_address_beyond_ascii_is_refused_by_us_where_smtputf8_is_missing() -> None:
    script = Script()
    (one,) = sent(script, LETTER, to="käthe@example.net").recipients
    assert (one.outcome, one.stage, script.contents) == (SendOutcome.FAILED, "", [])
    assert one.reply is not None
    assert str(one.reply.enhanced) == "5.6.7"


# --- parameters


@pytest.mark.parametrize(
    ("words", "mail", "rcpt"),
    [
        (["RET=HDRS", "notify=never"], "RET=HDRS", "NOTIFY=NEVER"),
        (["ENVID=QQ+31", "ORCPT=rfc822;a@b.example"], "ENVID=QQ1", "ORCPT=rfc822;a@b.example"),
        (["SIZE=5", "BODY=8BITMIME", "SMTPUTF8", "AUTH=<>"], "SIZE=5 BODY=8BITMIME SMTPUTF8 AUTH=<>", ""),
        (["BY=120;R", "MT-PRIORITY=3", "REQUIRETLS", "HOLDFOR=60"], "BY=120;R MT-PRIORITY=3 REQUIRETLS HOLDFOR=60", ""),
        (["mail:X-Odd=1", "rcpt:x-even"], "X-ODD=1", "X-EVEN"),
        (["rcpt:RET=HDRS", "mail:NOTIFY=NEVER"], "NOTIFY=NEVER", "RET=HDRS"),
    ],
)
def test_a_parameter_goes_to_its_command(words: list[str], mail: str, rcpt: str) -> None:
    assert tuple(map(str, place(words))) == (mail, rcpt)


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("COLOUR=red", "no parameter 'COLOUR' is known"),
        ("RETT=HDRS", "no parameter 'RETT'"),
        ("", "no parameter ''"),
        ("RET=SOME", "RET: not 'SOME'"),
        ("SIZE", "SIZE: not 'without a value'"),
        ("SIZE=1 BODY=8BITMIME", "SIZE: not"),
        ("mail:", "no keyword"),
        ("mail:X=a b", "X: no value"),
        ("mail:X=a\r\nRCPT TO:<evil@example.org>", "X: no value"),
        ("mail:X\r\nDATA", "no keyword"),
        ("rcpt:X=", "X: no value"),
        ("rcpt:X=ä", "X: no value"),
        ("mail:X=a=b", "X: no value"),
    ],
)
def test_a_parameter_that_cannot_be(word: str, complaint: str) -> None:
    with pytest.raises(ParameterError, match=complaint) as fault:
        place([word])
    assert fault.value.hint


def test_the_hint_names_what_was_meant_and_what_is_known() -> None:
    with pytest.raises(ParameterError) as fault:
        place(["NOTIFI=NEVER"])
    assert fault.value.hint.startswith("did you mean NOTIFY? known are: AUTH, BODY, BY, ENVID")


@pytest.mark.parametrize("words", [["RET=HDRS", "ret=FULL"], ["mail:X=1", "mail:x=2"], ["RET=HDRS", "mail:RET=X"]])
def test_a_parameter_given_twice(words: list[str]) -> None:
    with pytest.raises(ParameterError, match="given twice"):
        place(words)


def test_a_forced_parameter_goes_out_unannounced_and_is_left_out_when_refused() -> None:
    def mail(line: bytes) -> bytes:
        return b"555 5.5.4 X-ODD is unknown\r\n" if b"X-ODD" in line else b"250 ok\r\n"

    script = Script(replies={"MAIL": mail})
    result = sent(script, parameters=["mail:X-Odd=1", "rcpt:X-Even"])
    assert result.accepted
    assert b"MAIL FROM:<me@example.com> X-ODD=1\r\n" in script.heard
    assert b"RCPT TO:<kana@example.net> X-EVEN\r\n" in script.heard
    assert result.dropped_parameters == ("X-ODD",)


@pytest.mark.parametrize("forced", ["mail:SIZE=no", "mail:BODY=NONE"])
def test_a_forced_parameter_stands_in_the_place_of_ours(forced: str) -> None:
    script = Script(extensions=(b"SIZE", b"8BITMIME"))
    sent(script, LETTER + "ä\r\n".encode(), parameters=[forced])
    keyword = forced.partition("=")[0].removeprefix("mail:").encode()
    assert script.heard[1].count(keyword) == 1


# --- results


def test_five_lines() -> None:
    script = Script()
    with playing(script):
        result = postroad.send_sync(
            b"Subject: hi\r\n\r\nhello",
            sender="me@example.com",
            to=["kana@example.net"],
            server=f"127.0.0.1:{script.port}",
        )
    assert [(one.address, one.outcome, one.accepted) for one in result.recipients] == [
        ("kana@example.net", "delivered", True)
    ]
    reply = result.recipients[0].reply
    assert reply is not None
    assert (reply.code, result.dropped_parameters, result.refused) == (250, (), ())
    assert "C: MAIL FROM:<me@example.com>" in result.transcript
    assert result.host == f"127.0.0.1:{script.port}"
    assert result.security == "in clear"
    assert result.recipients[0].explanation().reason == "delivered"


def test_each_recipient_has_an_outcome() -> None:
    replies = {
        b"a@": b"250 ok\r\n",
        b"b@": b"550 5.1.1 User unknown\r\n",
        b"c@": b"451 4.7.1 Greylisted, try again later\r\n",
    }

    def rcpt(line: bytes) -> bytes:
        return next(reply for part, reply in replies.items() if part in line)

    to = ["a@example.net", "b@example.net", "c@example.net"]
    result = sent(Script(extensions=(b"PIPELINING",), replies={"RCPT": rcpt}), to=to)
    a, b, c = result.recipients
    assert [one.outcome for one in (a, b, c)] == [SendOutcome.DELIVERED, SendOutcome.FAILED, SendOutcome.RETRY]
    assert (b.stage, b.temporary, c.temporary, result.accepted) == ("RCPT", False, True, False)
    assert result.refused == (b, c)
    assert (b.explanation().reason, c.explanation().reason) == ("user-unknown", "greylisted")
    assert b.explanation("ja").title == "宛先が不明"
    assert b.explanation("xx").title == b.explanation("en").title
    assert b.explanation().remedy


def test_a_refused_parameter_is_left_out_and_told() -> None:
    def rcpt(line: bytes) -> bytes:
        return b"555 5.5.4 NOTIFY is unknown\r\n" if b"NOTIFY" in line else b"250 ok\r\n"

    script = Script(extensions=(b"DSN",), replies={"RCPT": rcpt})
    result = sent(script, parameters=["NOTIFY=NEVER"])
    assert result.accepted
    assert result.dropped_parameters == ("NOTIFY",)
    assert [step.action for step in result.steps] == ["omit"]


def test_without_adapting_the_first_refusal_is_the_last() -> None:
    script = Script(extensions=(b"DSN",), replies={"MAIL": b"555 5.5.4 no\r\n"})
    result = sent(script, parameters=["RET=HDRS"], adapt=False)
    assert result.recipients[0].outcome is SendOutcome.FAILED
    assert script.verbs.count("MAIL") == 1


def test_lmtp_answers_each_recipient(tmp_path: Path) -> None:
    path = str(tmp_path / "lmtp")
    script = Script(lmtp=True, replies={".": [b"250 ok\r\n", b"552 5.2.2 full\r\n"]})
    with playing(script, path):
        result = send_sync(LETTER, to=["a@example.net", "b@example.net"], server=f"lmtp:{path}", hello="me.example")
    assert [one.outcome for one in result.recipients] == [SendOutcome.DELIVERED, SendOutcome.FAILED]
    assert script.heard[0] == b"LHLO me.example\r\n"


def test_chunks_on_demand() -> None:
    script = Script(extensions=(b"CHUNKING",))
    assert sent(script, bdat=True).accepted
    assert "DATA" not in script.verbs
    assert script.contents[0].endswith(LETTER)


@pytest.mark.parametrize("pipelining", [True, False])
def test_pipelining_on_demand(pipelining: bool) -> None:
    script = Script(extensions=(b"PIPELINING",), replies={"MAIL": b"550 5.7.1 no\r\n"})
    sent(script, pipelining=pipelining)
    assert ("RCPT" in script.verbs) is pipelining


def test_a_host_that_takes_few_at_a_time_gets_the_rest_in_further_sessions() -> None:
    script = Script(extensions=(b"LIMITS MAILMAX=1 RCPTMAX=2",))
    result = sent(script, to=[f"{name}@example.net" for name in "abcde"])
    assert result.accepted
    assert (script.connections, len(script.contents)) == (3, 3)


def test_a_host_that_turns_the_rest_away_is_not_asked_at_once_again() -> None:
    script = Script(
        extensions=(b"LIMITS RCPTMAX=1",), replies={"MAIL": [b"250 ok\r\n", b"421 4.3.2 enough for now\r\n" + CUT]}
    )
    a, b, c = sent(script, to=["a@example.net", "b@example.net", "c@example.net"]).recipients
    assert (a.accepted, b.outcome, c.temporary) == (True, SendOutcome.NEXT_HOST, True)
    assert script.connections < 3


def test_a_short_timeout_is_for_a_wait_and_not_for_the_whole() -> None:
    assert (_timeouts(1.0).rcpt, _timeouts(1.0).transaction) == (1.0, ClientTimeouts().transaction)


def test_an_answer_that_is_lost_after_the_dot_is_uncertain_and_never_tried_again() -> None:
    script = Script(replies={".": CUT})
    (one,) = sent(script, retry=600.0, pause=0.0).recipients
    assert (one.uncertain, one.outcome, one.reply) == (True, SendOutcome.RETRY, None)
    assert len(script.contents) == 1


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
def test_a_connection_that_is_cut_in_the_middle_is_a_result(verb: str) -> None:
    (one,) = sent(Script(replies={verb: CUT})).recipients
    assert (one.kind, one.reply, one.temporary) == (FaultKind.CLOSED, None, True)
    assert one.explanation().steps


def test_temporary_results_are_tried_again_for_a_while() -> None:
    script = Script(replies={"RCPT": [b"451 4.7.1 later\r\n", b"451 4.7.1 later\r\n", b"250 ok\r\n"]})
    result = sent(script, retry=600.0, pause=0.0)
    (one,) = result.recipients
    assert (one.accepted, one.tries, script.connections) == (True, 3, 3)
    assert result.transcript.count("451 4.7.1") == 2


def test_trying_again_ends_with_the_time_and_leaves_the_accepted_alone() -> None:
    def rcpt(line: bytes) -> bytes:
        return b"250 ok\r\n" if b"a@" in line else b"451 4.7.1 later\r\n"

    script = Script(replies={"RCPT": rcpt})
    a, b = sent(script, to=["a@example.net", "b@example.net"], retry=2.0, pause=0.02).recipients
    assert (a.accepted, a.tries, b.outcome) == (True, 1, SendOutcome.RETRY)
    assert b.tries > 1
    assert len(script.contents) == 1


def test_a_refused_connection_is_tried_again_too() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(SendError) as fault:
            send_sync(LETTER, server=f"127.0.0.1:{port}", retry=2.0, pause=0.02)
    assert fault.value.transcript.count("Connection refused") > 1


# --- no outcome


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


NO_OUTCOME = {
    "silent": (Script(greeting=b""), FaultKind.SILENT, "GREETING"),
    "closed": (Script(greeting=CUT), FaultKind.CLOSED, "GREETING"),
    "http": (Script(greeting=b"HTTP/1.1 400 Bad Request\r\n"), FaultKind.GARBLED, "GREETING"),
    "ssh": (Script(greeting=b"SSH-2.0-OpenSSH_9.2\r\n"), FaultKind.GARBLED, "GREETING"),
    "binary": (Script(greeting=b"\x16\x03\x01\x00\r\n"), FaultKind.GARBLED, "GREETING"),
    "cut at EHLO": (Script(replies={"EHLO": CUT}), FaultKind.CLOSED, "EHLO"),
    "silent at EHLO": (Script(replies={"EHLO": b""}), FaultKind.SILENT, "EHLO"),
}


@pytest.mark.parametrize("case", NO_OUTCOME)
def test_without_a_session_there_is_an_exception_that_says_why(case: str) -> None:
    script, kind, stage = NO_OUTCOME[case]
    with pytest.raises(SendError) as fault:
        sent(script, timeout=SHORT)
    assert (fault.value.kind, fault.value.stage, fault.value.reply) == (kind, stage, None)
    assert fault.value.temporary is (kind is not FaultKind.GARBLED)
    assert fault.value.host == f"127.0.0.1:{script.port}"
    assert fault.value.explanation().steps
    assert fault.value.explanation("ja").title != fault.value.explanation("en").title


def test_nobody_listens() -> None:
    with pytest.raises(SendError, match="Connection refused") as fault:
        send_sync(LETTER, server=f"127.0.0.1:{unused_port()}")
    assert (fault.value.kind, fault.value.temporary) == (FaultKind.REFUSED, True)


def test_no_such_socket(tmp_path: Path) -> None:
    with pytest.raises(SendError) as fault:
        send_sync(LETTER, server=f"lmtp:{tmp_path}/none")
    assert fault.value.kind is FaultKind.REFUSED


def test_no_such_name() -> None:
    with pytest.raises(SendError) as fault:
        send_sync(LETTER, server="nobody.invalid")
    assert fault.value.kind in (FaultKind.NAME, FaultKind.LOOKUP)  # the second without any resolver


@pytest.mark.parametrize(("number", "kind", "temporary"), [
    (socket.EAI_NONAME, FaultKind.NAME, False), (socket.EAI_AGAIN, FaultKind.LOOKUP, True),
])  # fmt: skip
def test_a_name_that_is_not_there_and_one_that_cannot_be_looked_up(
    monkeypatch: pytest.MonkeyPatch, number: int, kind: FaultKind, temporary: bool
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "told by the test")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    with pytest.raises(SendError) as fault:
        send_sync(LETTER, server="host.example")
    assert (fault.value.kind, fault.value.temporary) == (kind, temporary)


def test_in_a_running_loop_the_call_says_what_to_do() -> None:
    async def work() -> None:
        send_sync(LETTER, server="127.0.0.1:1")

    with pytest.raises(OptionError) as fault:
        asyncio.run(work())
    assert fault.value.hint == "await postroad.send(...)"


@pytest.mark.parametrize(
    "greeting", [b"554 5.7.1 not you\r\n", b"421 4.3.2 later\r\n", b"450 4.3.2 busy\r\n", b"521 no mail\r\n"]
)
def test_a_refusal_in_place_of_220_is_a_result(greeting: bytes) -> None:
    (one,) = sent(Script(greeting=greeting)).recipients
    assert one.reply is not None
    assert (one.outcome, one.stage, one.kind) == (SendOutcome.NEXT_HOST, "GREETING", FaultKind.REPLY)
    assert one.temporary is greeting.startswith(b"4")
    assert str(one.reply.code).encode() == greeting[:3]


def test_every_kind_has_words_in_both_languages() -> None:
    for kind in FaultKind:
        if kind not in (FaultKind.NONE, FaultKind.REPLY):
            english, japanese = (SendError("x", kind=kind).explanation(tag) for tag in ("en", "ja"))
            assert english.summary != japanese.summary
            assert len(english.steps) == len(japanese.steps) >= 1


# --- TLS and AUTH


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    yield path


@pytest.mark.parametrize("tls", ["auto", "opportunistic", "require"])
def test_any_certificate_is_better_than_none(server_tls: ssl.SSLContext, tls: str) -> None:
    script = Script(tls=server_tls)
    result = sent(script, tls=tls)
    assert result.accepted
    assert result.security.endswith("certificate not verified")
    assert script.inside[script.verbs.index("MAIL")]


def test_a_verified_certificate(server_tls: ssl.SSLContext, ca_file: Path) -> None:
    result = sent(Script(tls=server_tls), tls_ca=ca_file)
    assert result.security.endswith("certificate verified")


@pytest.mark.parametrize(("tls", "offers"), [("verify", True), ("verify", False), ("require", False)])
def test_no_mail_without_the_tls_that_was_asked_for(server_tls: ssl.SSLContext, tls: str, offers: bool) -> None:
    script = Script(tls=server_tls if offers else None)
    with pytest.raises(SendError) as fault:
        sent(script, tls=tls)
    assert (fault.value.kind, fault.value.temporary) == (FaultKind.TLS, False)
    assert "MAIL" not in script.verbs


def test_never_means_never(server_tls: ssl.SSLContext) -> None:
    script = Script(tls=server_tls)
    assert sent(script, tls="never").accepted
    assert "STARTTLS" not in script.verbs


@pytest.mark.parametrize("way", ["implicit", "smtps"])
def test_tls_from_the_first_octet(server_tls: ssl.SSLContext, ca_file: Path, way: str) -> None:
    script = Script(tls=server_tls, implicit=True)
    with playing(script):
        server = f"smtps:localhost:{script.port}" if way == "smtps" else f"localhost:{script.port}"
        options: Any = {"tls": "implicit"} if way == "implicit" else {}
        result = send_sync(LETTER, server=server, tls_ca=ca_file, **options)
    assert result.accepted
    assert all(script.inside)


def test_plain_text_at_a_tls_port_says_so(server_tls: ssl.SSLContext) -> None:
    with pytest.raises(SendError) as fault:
        sent(Script(), tls="implicit")
    assert fault.value.kind is FaultKind.TLS


def test_a_password_appears_nowhere(server_tls: ssl.SSLContext) -> None:
    heard: list[Heard] = []
    script = Script(tls=server_tls, extensions=(b"AUTH PLAIN LOGIN",))
    result = sent(script, user="me", password="Sesame-opens", listener=heard.append)
    assert result.accepted
    shown = result.transcript + repr(heard) + repr(result)
    assert any(line.startswith(b"AUTH PLAIN AG1l") for line in script.heard)
    assert "Sesame" not in shown
    assert "U2VzYW1l" not in shown


def test_another_mechanism() -> None:
    script = Script(extensions=(b"AUTH PLAIN LOGIN",), replies={"AUTH": b"334 VXNlcm5hbWU6\r\n"})
    result = sent(script, user="me", password="Sesame-opens", mechanism="login")
    assert result.accepted
    assert b"AUTH LOGIN\r\n" in script.heard
    assert "U2VzYW1l" not in result.transcript


@pytest.mark.parametrize(
    ("reply", "outcome"), [(b"535 5.7.8 wrong\r\n", SendOutcome.FAILED), (b"454 4.7.0 later\r\n", SendOutcome.RETRY)]
)
def test_a_login_that_is_refused(reply: bytes, outcome: SendOutcome) -> None:
    script = Script(extensions=(b"AUTH PLAIN",), replies={"AUTH": reply})
    (one,) = sent(script, user="me", password="x").recipients
    assert (one.outcome, one.stage) == (outcome, "AUTH")
    assert "MAIL" not in script.verbs


def test_a_login_that_is_not_offered() -> None:
    with pytest.raises(SendError) as fault:
        sent(Script(), user="me", password="x")
    assert (fault.value.kind, fault.value.stage) == (FaultKind.LOCAL, "AUTH")


# --- arguments


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"to": "a@example.net\r\nRCPT TO:<evil@example.org>"}, AddressSyntaxError),
        ({"to": "a b@example.net"}, AddressSyntaxError),
        ({"to": "a@example.net> NOTIFY=NEVER"}, AddressSyntaxError),
        ({"sender": "a@example.net>\r\nDATA"}, AddressSyntaxError),
        ({"bcc": ["a\x00@example.net"]}, AddressSyntaxError),
        ({"hello": "me\r\nMAIL FROM:<>"}, OptionError),
        ({"hello": "me you"}, OptionError),
        ({"user": "a\r\nb", "password": "x"}, OptionError),
        ({"user": "a", "password": "x\r\ny"}, OptionError),
        ({"user": "a", "password": "x\0y"}, OptionError),
        ({"user": "a", "password": "x", "mechanism": "PLAIN\r\nDATA"}, OptionError),
        ({"password": "x"}, OptionError),
        ({"source": "eth0"}, OptionError),
        ({"parameters": ["mail:A=1\r\nB"]}, ParameterError),
        ({"tls": "maybe"}, OptionError),
        ({"stop_after": "later"}, OptionError),
        ({"tls": "never", "server": "example.net:465"}, OptionError),
        ({"server": "", "user": "me", "password": "x"}, OptionError),
        ({"server": "", "lmtp": True}, OptionError),
        ({"timeout": 0.0}, OptionError),
        ({"retry": -1.0}, OptionError),
        ({"tls": "verify", "tls_ca": "/nonexistent/ca.pem"}, OptionError),
        ({"server": "exa mple.net"}, ServerError),
        ({"server": "example.net:0"}, ServerError),
        ({"server": "example.net:70000"}, ServerError),
        ({"server": "example.net:25\r\nx"}, ServerError),
        ({"server": "[example.net]:25"}, ServerError),
        ({"server": "lmtp:/a\0b"}, ServerError),
    ],
)
def test_what_cannot_be_said_is_refused_before_anything_is_said(
    options: dict[str, Any], kind: type[PostroadError]
) -> None:
    script = Script(extensions=(b"AUTH PLAIN",))
    with pytest.raises(kind):
        sent(script, **options)
    assert script.connections == 0


@pytest.mark.parametrize(
    ("text", "more", "host", "port", "implicit"),
    [
        ("mx.example.net", {}, "mx.example.net", 25, False),
        ("mx.example.net.", {"authenticates": True}, "mx.example.net", 587, False),
        ("mx.example.net", {"implicit": True}, "mx.example.net", 465, True),
        ("mx.example.net:465", {}, "mx.example.net", 465, True),
        ("smtps:mx.example.net", {}, "mx.example.net", 465, True),
        ("smtps://mx.example.net:4465/", {}, "mx.example.net", 4465, True),
        ("smtp:mx.example.net:2525", {}, "mx.example.net", 2525, False),
        ("lmtp:mx.example.net", {}, "mx.example.net", 24, False),
        ("例子.example", {}, "xn--fsqu00a.example", 25, False),
        ("[2001:db8::1]:587", {}, "2001:db8::1", 587, False),
        ("2001:db8::1", {}, "2001:db8::1", 25, False),
        ("192.0.2.1:26", {}, "192.0.2.1", 26, False),
        ("smtp:2525", {}, "smtp", 2525, False),
    ],
)
def test_servers(text: str, more: dict[str, bool], host: str, port: int, implicit: bool) -> None:
    server = read_server(text, **more)
    assert (server.target.host, server.target.port, server.implicit_tls) == (host, port, implicit)


@pytest.mark.parametrize(
    ("text", "near"),
    [("localhost", True), ("127.0.0.5:25", True), ("[::1]:25", True), ("lmtp:/x", True), ("mx.example.net", False), ("10.0.0.1", False)],
)  # fmt: skip
def test_what_is_near(text: str, near: bool) -> None:
    assert read_server(text).is_near is near


def test_the_keywords_of_the_call_are_the_wishes() -> None:
    assert set(SendOptions.__annotations__) == set(Wishes.__dataclass_fields__)
    assert get_args(Stage)[0] == get_type_hints(Wishes)["stop_after"].__args__[0] == ""


# --- stopping early


@pytest.mark.parametrize(
    ("stage", "last"),
    [("connect", None), ("ehlo", "EHLO"), ("tls", "EHLO"), ("auth", "AUTH"), ("mail", "MAIL"), ("rcpt", "RCPT"), ("data", "DATA")],
)  # fmt: skip
def test_a_session_that_stops_early_sends_nothing(stage: Any, last: str | None, server_tls: ssl.SSLContext) -> None:
    script = Script(tls=server_tls, extensions=(b"AUTH PLAIN",))
    (one,) = sent(script, user="me", password="x", stop_after=stage).recipients
    assert one.outcome is SendOutcome.STOPPED
    assert script.contents == []
    verbs = [verb for verb in script.verbs if verb != "QUIT"]
    assert (verbs[-1] if verbs else None) == last
    assert ("QUIT" in script.verbs) is (stage != "data")


@pytest.mark.parametrize(("content", "bdat"), [(b"x" * 1000 + b"\r\n", False), (b"short\r\n", True)])
def test_chunks_cannot_be_stopped_before_they_are_sent(content: bytes, bdat: bool) -> None:
    """BODY=BINARYMIME goes by BDAT only (RFC 3030 section 3)."""
    script = Script(extensions=(b"CHUNKING", b"BINARYMIME", b"8BITMIME"))
    (one,) = sent(script, LETTER + content, stop_after="data", bdat=bdat).recipients
    assert (one.outcome, one.stage) == (SendOutcome.STOPPED, "RCPT")
    assert script.verbs[1:] == ["MAIL", "RCPT", "QUIT"] and script.contents == []


def test_a_refusal_on_the_way_is_told(server_tls: ssl.SSLContext) -> None:
    script = Script(replies={"RCPT": [b"250 ok\r\n", b"550 5.1.1 no\r\n"]})
    a, b = sent(script, to=["a@example.net", "b@example.net"], stop_after="rcpt").recipients
    assert (a.outcome, b.outcome) == (SendOutcome.STOPPED, SendOutcome.FAILED)


# --- the dialogue


def test_the_dialogue_is_heard_as_it_happens(server_tls: ssl.SSLContext) -> None:
    def mail(line: bytes) -> bytes:
        return b"555 5.5.4 no RET\r\n" if b"RET" in line else b"250 ok\r\n"

    heard: list[Heard] = []
    script = Script(tls=server_tls, extensions=(b"DSN", b"PIPELINING"), replies={"MAIL": mail})
    sent(script, parameters=["RET=HDRS"], listener=heard.append)
    said = [(one.direction, one.text.split(" ")[0], one.tls) for one in heard if one.direction == "C"]
    assert said[:3] == [("C", "EHLO", False), ("C", "STARTTLS", False), ("C", "EHLO", True)]
    answers = [(one.command, one.reply[:3]) for one in heard if one.reply]
    assert answers[:4] == [("CONNECT", "220"), ("EHLO", "250"), ("STARTTLS", "220"), ("EHLO", "250")]
    assert ("MAIL", "555") in answers
    assert answers[-2:] == [("CONTENT", "250"), ("QUIT", "221")]
    assert [one.step.parameters for one in heard if one.step is not None] == [("RET",)]


def test_a_second_connection_in_clear_is_shown_as_such(server_tls: ssl.SSLContext) -> None:
    """The handshake succeeds, the host hangs up at EHLO, and opportunistic TLS goes on in clear."""
    heard: list[Heard] = []
    script = Script(
        tls=server_tls, replies={"EHLO": lambda line: CUT if script.inside[-1] else b"250-a\r\n250 STARTTLS\r\n"}
    )
    assert sent(script, tls="opportunistic", listener=heard.append).accepted
    second = [one.text.startswith("connecting to") for one in heard]
    behind = heard[len(second) - second[::-1].index(True) :]
    assert not any(one.tls for one in behind)
    answers = [(one.command, one.reply[:3]) for one in behind if one.reply]
    assert answers[:3] == [("CONNECT", "220"), ("EHLO", "250"), ("MAIL", "250")]


def test_the_word_that_there_is_no_tls_is_not_said_inside_it() -> None:
    heard: list[Heard] = []
    with pytest.raises(SendError, match="the host offers none"):
        sent(Script(), tls="require", listener=heard.append)
    assert heard[-1].text.startswith("TLS is required") and not any(one.tls for one in heard)


def test_each_line_of_a_long_reply_belongs_to_its_command() -> None:
    heard: list[Heard] = []
    script = Script(replies={"RCPT": b"550-5.1.1 a\r\n550-5.1.1 b\r\n550 5.1.1 c\r\n"})
    sent(script, listener=heard.append)
    lines = [one for one in heard if one.command == "RCPT"]
    assert [bool(one.reply) for one in lines] == [False, False, True]
    assert lines[-1].reply == "550-5.1.1 a\n550-5.1.1 b\n550 5.1.1 c"


# --- by MX


def routed(zone: Any, port: int, work: Any) -> SendResult:
    async def run() -> SendResult:
        async with DnsStub(zone) as stub:
            resolver = Resolver([stub.address])
            found: SendResult = await work(
                MxRouting(resolver, "me.example", dialling=Dialling(("127.0.0.0/8",)), port=port)
            )
            return found

    return asyncio.run(asyncio.wait_for(run(), 60))


def by_mx(zone: Any, script: Script, *to: str) -> SendResult:
    def work(routing: MxRouting) -> Awaitable[SendResult]:
        return send(LETTER, to=list(to), routing=routing, hello="me.example", timeout=20.0)

    with playing(script):
        return routed(zone, script.port, work)


ZONE = {
    "a.test": {"MX": ["10 mx.a.test."]}, "mx.a.test": {"A": ["127.0.0.1"]},
    "b.test": {"A": ["127.0.0.1"]},
    "null.test": {"MX": ["0 ."]},
    "bad.test": {"MX": ["10 down.a.test.", "20 mx.a.test."]}, "down.a.test": {"A": ["127.0.0.2"]},
}  # fmt: skip


def test_mail_hosts_are_found_by_mx() -> None:
    script = Script()
    result = by_mx(ZONE, script, "x@a.test", "y@a.test", "z@b.test", "n@null.test", "g@gone.test")
    assert [one.accepted for one in result.recipients] == [True, True, True, False, False]
    assert script.connections == 2
    assert [one.kind for one in result.recipients[3:]] == [FaultKind.NAME] * 2
    null = result.recipients[3].reply
    assert null is not None
    assert str(null.enhanced) == "5.1.10"
    assert result.recipients[0].host.startswith("mx.a.test [127.0.0.1]:")


def test_the_next_host_is_asked_when_the_first_is_down() -> None:
    script = Script()
    result = by_mx(ZONE, script, "x@bad.test")
    assert result.accepted
    assert "no connection to down.a.test" in result.transcript


def test_the_next_host_is_asked_when_the_first_turns_us_away() -> None:
    zone = {
        "c.test": {"MX": ["10 one.test.", "20 two.test."]},
        "one.test": {"A": ["127.0.0.1"]},
        "two.test": {"A": ["127.0.0.1"]},
    }
    script = Script(replies={"EHLO": [b"421 4.3.2 not now\r\n" + CUT, b"250 host.example\r\n"]})
    result = by_mx(zone, script, "x@c.test")
    assert (result.accepted, script.connections) == (True, 2)
    assert result.host.startswith("two.test")


def test_the_next_host_gets_the_rest() -> None:
    zone = {
        "c.test": {"MX": ["10 one.test.", "20 two.test."]},
        "one.test": {"A": ["127.0.0.1"]},
        "two.test": {"A": ["127.0.0.1"]},
    }
    mail = [b"250 ok\r\n", b"421 4.3.2 enough\r\n" + CUT, b"250 ok\r\n"]
    script = Script(extensions=(b"LIMITS RCPTMAX=1",), replies={"MAIL": mail})
    result = by_mx(zone, script, "a@c.test", "b@c.test")
    assert result.accepted
    assert [one.host.partition(" ")[0] for one in result.recipients] == ["one.test", "two.test"]


def test_private_addresses_are_not_dialled_for_strangers() -> None:
    async def work() -> SendResult:
        async with DnsStub(ZONE) as stub:
            return await send(LETTER, to="x@a.test", routing=MxRouting(Resolver([stub.address]), "me.example"))

    (one,) = asyncio.run(asyncio.wait_for(work(), 60)).recipients
    assert one.outcome is SendOutcome.FAILED
    assert "loopback" in one.fault


# --- the package


def test_importing_the_package_imports_no_room() -> None:
    import subprocess
    import sys

    code = "import sys, postroad; print([m for m in sys.modules if m.startswith('postroad.') or m == 'asyncio'])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_name_of_the_package_is_there() -> None:
    assert {name: getattr(postroad, name) for name in postroad.__all__}
    assert set(postroad.__all__) <= set(dir(postroad))
    with pytest.raises(AttributeError, match="no attribute 'sned'"):
        _ = postroad.sned
