"""What a host's EHLO answer allows: LIMITS read strictly, parameters and paths only where they were announced."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postroad.address import Mailbox
from postroad.errors import LocalProtocolError
from postroad.smtp.client_commands import Hello, Mail, Rcpt, StartTls
from postroad.smtp.client_extensions import KNOWN
from postroad.smtp.commands import read_parameters
from postroad.smtp.parameters import Given, Traits
from postroad.smtp.peer_limits import PeerLimits, read_limits
from postroad.smtp.states import Verb
from tests.smtp.client_host import BytesHost, converse, greeted

BOB = Mailbox("bob", "example.com")


@pytest.mark.parametrize(
    ("text", "limits"),
    [
        ("", PeerLimits()),
        ("RCPTMAX=100", PeerLimits(rcptmax=100)),
        ("MAILMAX=5 RCPTMAX=20 RCPTDOMAINMAX=1", PeerLimits(5, 20, 1)),
        ("rcptmax=20", PeerLimits(rcptmax=20)),
        ("RCPTMAX=999999", PeerLimits(rcptmax=999_999)),
        ("RCPTMAX=20 RCPTMAX=10", PeerLimits(rcptmax=10)),
        ("FUTURE=1  MAILMAX=2", PeerLimits(mailmax=2)),
        ("RCPTMAX=0", PeerLimits()),
        ("RCPTMAX=010", PeerLimits()),
        ("RCPTMAX=1000000", PeerLimits()),
        ("RCPTMAX=-1 MAILMAX= RCPTDOMAINMAX", PeerLimits()),
        ("RCPTMAX=\u0661\u0662", PeerLimits()),
        ("RCPTMAX=1_0", PeerLimits()),
    ],
)
def test_limits(text: str, limits: PeerLimits) -> None:
    assert read_limits(text) == limits


@given(st.text(max_size=80))
def test_no_text_breaks_the_reading_of_limits(text: str) -> None:
    limits = read_limits(text)
    assert all(value is None or 0 < value < 1_000_000 for value in (limits.mailmax, limits.rcptmax))


def test_limits_are_those_of_the_last_ehlo() -> None:
    engine = greeted(b"LIMITS RCPTMAX=7", b"STARTTLS")
    assert engine.limits == PeerLimits(rcptmax=7)
    converse(engine, BytesHost({b"STARTTLS": b"220 go\r\n"}), StartTls())
    engine.tls_started()
    forgotten = engine.limits
    assert forgotten == PeerLimits()
    converse(engine, BytesHost({b"EHLO": b"250-host.example\r\n250 LIMITS MAILMAX=1\r\n"}), Hello("me.example"))
    assert engine.limits == PeerLimits(mailmax=1)


def test_mails_are_counted() -> None:
    engine = greeted()
    for reply in (b"250 ok\r\n", b"450 no\r\n"):
        converse(engine, BytesHost({b"MAIL": reply}), Mail(None))
        if reply.startswith(b"250"):
            engine.state = engine._ahead = type(engine.state).READY
    assert engine.mails == 2


def parameters(verb: Verb, text: str) -> Given:
    found = read_parameters(f" {text}", verb, KNOWN, Traits(tls=True, authenticated=True, submission=True))
    assert isinstance(found, Given)
    return found


WISHES = [
    (b"SIZE 1000", "SIZE=10"),
    (b"8BITMIME", "BODY=8BITMIME"),
    (b"8BITMIME", "BODY=7BIT"),
    (b"SMTPUTF8", "SMTPUTF8"),
    (b"DSN", "RET=HDRS ENVID=a+2Bb"),
    (b"AUTH PLAIN", "AUTH=<>"),
    (b"AUTH PLAIN", "AUTH=kana@example.com"),
    (b"MT-PRIORITY MIXER", "MT-PRIORITY=4"),
    (b"DELIVERBY 120", "BY=180;N"),
]


@pytest.mark.parametrize(("announced", "text"), WISHES)
def test_each_parameter_of_mail_where_it_was_announced(announced: bytes, text: str) -> None:
    given_ = parameters(Verb.MAIL, text)
    engine = greeted(announced)
    engine.send(Mail(None, given_))
    assert engine.data_to_send() == f"MAIL FROM:<> {text}\r\n".encode()
    with pytest.raises(LocalProtocolError, match="no extension that was announced"):
        greeted(b"PIPELINING", b"X-" + announced).check(Mail(None, given_))


def test_each_parameter_of_rcpt() -> None:
    given_ = parameters(Verb.RCPT, "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.com")
    engine = greeted(b"DSN")
    converse(engine, BytesHost(), Mail(None))
    engine.send(Rcpt(BOB, given_))
    said = b"RCPT TO:<bob@example.com> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.com\r\n"
    assert engine.data_to_send() == said
    with pytest.raises(LocalProtocolError):
        greeted().check(Rcpt(BOB, given_))


def test_requiretls_is_said_inside_tls_only() -> None:
    given_ = parameters(Verb.MAIL, "REQUIRETLS")
    engine = greeted(b"REQUIRETLS")
    with pytest.raises(LocalProtocolError, match="inside TLS only"):
        engine.check(Mail(None, given_))
    engine.tls = True
    engine.check(Mail(None, given_))


@pytest.mark.parametrize("command", [Mail(Mailbox("あ", "example.com")), Rcpt(Mailbox("a", "例え.jp"))])
def test_a_path_beyond_ascii_needs_smtputf8(command: Any) -> None:
    with pytest.raises(LocalProtocolError, match="SMTPUTF8"):
        greeted(b"8BITMIME").check(command)
    greeted(b"SMTPUTF8").check(command)
